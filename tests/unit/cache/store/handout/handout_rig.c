/*
 * handout_rig.c - see handout_rig.h.
 */
#include "tests/unit/cache/store/handout/handout_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

void handout_make(struct handout_fixture *fixture, enum rig_own own)
{
	faults_init(&fixture->faults);
	rig_make(&fixture->rig, 1, ROLES_CAPACITY);
	fixture->rig.files = &fixture->faults.files;
	fixture->rig.config.scrub = 0;
	roles_open(&fixture->rig, own);
	store_handout_allow(fixture->rig.store, 0, true);
}

void handout_end(struct handout_fixture *fixture)
{
	rig_close(&fixture->rig);
	rig_remove(&fixture->rig);
}

void handout_write_whole(struct rig *rig, struct rig_object *object, unsigned number, uint64_t size)
{
	rig_object(object, number, size, "/images");
	assert_int_equal(rig_write_all(rig, object), 0);
	rig_flush(rig);
}

struct ready_wait {
	struct rig *rig;
	const struct rig_object *object;
};

static bool is_ready(void *context)
{
	const struct ready_wait *wait = context;

	return store_handout_ready(wait->rig->store, &wait->object->store.id, true);
}

void handout_wait_ready(struct rig *rig, const struct rig_object *object)
{
	struct ready_wait wait = { rig, object };

	rig_wait(is_ready, &wait);
}

void handout_given(struct handout_fixture *fixture, struct rig_object *object,
		   struct cache_handout *out)
{
	handout_make(fixture, RIG_OWN_ALL);
	handout_write_whole(&fixture->rig, object, 1, LARGE);
	assert_int_equal(handout_take(&fixture->rig, object, out), 0);
}

/* What was queued before it has been looked at when this object is ready. */
void handout_wait_queue(struct rig *rig, unsigned number)
{
	struct rig_object object;

	handout_write_whole(rig, &object, number, 40000);
	handout_wait_ready(rig, &object);
}

int handout_take(struct rig *rig, const struct rig_object *object, struct cache_handout *out)
{
	handout_wait_ready(rig, object);
	return store_handout(rig->store, &object->store.id, out);
}

/* The object's bytes, all of them and no more; but for a bit at @flipped. */
void handout_check_bytes(int fd, const struct rig_object *object, uint64_t flipped)
{
	uint64_t size = object->store.version.size;
	uint8_t *want = malloc(size + 8), *found = malloc(size + 8);

	assert_non_null(want);
	assert_non_null(found);
	rig_bytes(object, 0, want, (uint32_t)size);
	if (flipped < size)
		want[flipped] ^= 1;
	assert_int_equal(pread(fd, found, size + 8, 0), size);
	assert_memory_equal(found, want, size);
	free(want);
	free(found);
}

void handout_flip(struct rig *rig, const struct rig_object *object, uint64_t off)
{
	char path[512];
	uint8_t byte;
	int fd;

	rig_object_file(rig, 0, object, path, sizeof(path));
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)off), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)off), 1);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

struct stat handout_stat(struct rig *rig, const struct rig_object *object)
{
	char path[512];
	struct stat st = { 0 };

	rig_object_file(rig, 0, object, path, sizeof(path));
	if (stat(path, &st) != 0)
		st.st_ino = 0;
	return st;
}

struct count_wait {
	struct rig *rig;
	enum store_counter counter;
	uint64_t least;
};

static bool is_counted(void *context)
{
	const struct count_wait *wait = context;

	return rig_count(wait->rig, wait->counter) >= wait->least;
}

void handout_wait_count(struct rig *rig, enum store_counter counter, uint64_t least)
{
	struct count_wait wait = { rig, counter, least };

	rig_wait(is_counted, &wait);
}

/* Others are written until something had to go. */
void handout_evict_one(struct rig *rig)
{
	struct rig_object other;

	for (unsigned others = 0; rig_count(rig, STORE_EVICTED_OBJECTS) == 0; others++) {
		assert_true(others < 1000);
		rig_object(&other, 1000 + others, 200000, "/images");
		rig_write_all(rig, &other);
		rig_flush(rig);
	}
}

/*
 * Tests of files that are handed out: what is, when, and that it never changes afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/roles.h"

#define BLOCKS 6
#define LARGE  (BLOCKS * RIG_BLOCK_LEN - 3000)

struct fixture {
	struct rig rig;
	struct faults faults;
};

static void make(struct fixture *fixture, enum rig_own own)
{
	faults_init(&fixture->faults);
	rig_make(&fixture->rig, 1, ROLES_CAPACITY);
	fixture->rig.files = &fixture->faults.files;
	fixture->rig.config.scrub = 0;
	roles_open(&fixture->rig, own);
	store_handout_allow(fixture->rig.store, 0, true);
}

static void end(struct fixture *fixture)
{
	rig_close(&fixture->rig);
	rig_remove(&fixture->rig);
}

static void write_whole(struct rig *rig, struct rig_object *object, unsigned number, uint64_t size)
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

static void wait_ready(struct rig *rig, const struct rig_object *object)
{
	struct ready_wait wait = { rig, object };

	rig_wait(is_ready, &wait);
}

/* What was queued before it has been looked at when this object is ready. */
static void wait_queue(struct rig *rig, unsigned number)
{
	struct rig_object object;

	write_whole(rig, &object, number, 40000);
	wait_ready(rig, &object);
}

static int hand_out(struct rig *rig, const struct rig_object *object, struct cache_handout *out)
{
	wait_ready(rig, object);
	return store_handout(rig->store, &object->store.id, out);
}

/* The object's bytes, all of them and no more; but for a bit at @flipped. */
static void check_bytes(int fd, const struct rig_object *object, uint64_t flipped)
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

#define NONE UINT64_MAX

static void flip(struct rig *rig, const struct rig_object *object, uint64_t off)
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

static struct stat stat_of(struct rig *rig, const struct rig_object *object)
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

static void wait_count(struct rig *rig, enum store_counter counter, uint64_t least)
{
	struct count_wait wait = { rig, counter, least };

	rig_wait(is_counted, &wait);
}

/* --- which files, and when --- */

/* Others are written until something had to go. */
static void evict_one(struct rig *rig)
{
	struct rig_object other;

	for (unsigned others = 0; rig_count(rig, STORE_EVICTED_OBJECTS) == 0; others++) {
		assert_true(others < 1000);
		rig_object(&other, 1000 + others, 200000, "/images");
		rig_write_all(rig, &other);
		rig_flush(rig);
	}
}

static void test_handout__complete__its_exact_file_and_it_is_read_only(void **state)
{
	static const uint64_t sizes[] = { 32769, 36864, 40000, RIG_BLOCK_LEN, RIG_BLOCK_LEN + 1,
					  LARGE };
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct cache_handout handout;
		struct rig_object object;

		write_whole(rig, &object, i, sizes[i]);
		assert_int_equal(hand_out(rig, &object, &handout), 0);
		check_bytes(handout.fd, &object, NONE);
		assert_int_equal(fcntl(handout.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(stat_of(rig, &object).st_mode & 0777, 0400);
		assert_true(store_handout_current(rig->store, &handout));
		close(handout.fd);
		store_handback(rig->store, &handout);
	}
	assert_int_equal(rig_count(rig, STORE_VERIFIED), ARRAY_COUNT(sizes));
	assert_int_equal(rig_count(rig, STORE_READS), 0);
	end(&fixture);
}

static void test_handout__not_whole_or_packed__never(void **state)
{
	struct rig_object part, packed;
	struct cache_handout handout;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	rig_object(&part, 1, LARGE, "/images");
	for (uint64_t block = 0; block < BLOCKS - 1; block++)
		assert_int_equal(rig_write(rig, &part, block), 0);
	write_whole(rig, &packed, 2, 3000);
	assert_false(store_handout_ready(rig->store, &part.store.id, true));
	assert_false(store_handout_ready(rig->store, &packed.store.id, true));
	wait_queue(rig, 3);
	assert_int_equal(store_handout(rig->store, &part.store.id, &handout), -EAGAIN);
	assert_int_equal(store_handout(rig->store, &packed.store.id, &handout), -EAGAIN);
	assert_int_equal(rig_write(rig, &part, BLOCKS - 1), 0);
	rig_flush(rig);
	assert_int_equal(hand_out(rig, &part, &handout), 0);
	check_bytes(handout.fd, &part, NONE);
	close(handout.fd);
	end(&fixture);
}

static void test_handout__not_allowed__nothing_is_verified(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t queued;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	wait_ready(rig, &object);
	store_handout_allow(rig->store, 0, false);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	assert_int_equal(store_handout(rig->store, &object.store.id, &handout), -EAGAIN);
	write_whole(rig, &object, 2, LARGE);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	store_handout_count(rig->store, &queued);
	assert_int_equal(queued, 0);
	end(&fixture);
}

static void test_verify__a_flipped_bit__found_dropped_and_whole_again(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	store_handout_allow(rig->store, 0, false);
	write_whole(rig, &object, 1, LARGE);
	flip(rig, &object, LARGE - 2);
	before = stat_of(rig, &object);
	store_handout_allow(rig->store, 0, true);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	wait_count(rig, STORE_BAD_CHECKS, 1);
	assert_int_equal(store_handout(rig->store, &object.store.id, &handout), -EAGAIN);
	rig_flush(rig);
	assert_int_equal(rig_write(rig, &object, BLOCKS - 1), 0);
	rig_flush(rig);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	check_bytes(handout.fd, &object, NONE);
	/* Nobody had the file: it was repaired in place. */
	assert_int_equal(before.st_ino, stat_of(rig, &object).st_ino);
	assert_int_equal(rig_count(rig, STORE_REPLACED), 0);
	close(handout.fd);
	end(&fixture);
}

static void test_handout__cannot_be_sealed__is_not_handed_out(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	faults_set(&fixture.faults, FAULT_SEAL, -EPERM, 0, 1);
	assert_int_equal(hand_out(rig, &object, &handout), -EAGAIN);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	close(handout.fd);
	end(&fixture);
}

static void test_handout__longer_than_the_object__not_before_it_has_a_new_file(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	char path[512];

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	rig_object_file(rig, 0, &object, path, sizeof(path));
	assert_int_equal(truncate(path, LARGE + 5), 0);
	assert_int_equal(hand_out(rig, &object, &handout), -EAGAIN);
	wait_count(rig, STORE_REPLACED, 1);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	check_bytes(handout.fd, &object, NONE);
	close(handout.fd);
	end(&fixture);
}

/* --- what was handed out stays as it is --- */

static void check_even_blocks(struct rig *rig, const struct rig_object *object)
{
	for (uint64_t block = 0; block < BLOCKS; block++) {
		uint32_t len = object_block_len(LARGE, block, RIG_BLOCK_LEN);
		int status = rig_read(rig, object, block, 0, object_granule_count(len));

		assert_int_equal(status, block % 2 ? -ENOENT : 0);
	}
}

static void test_replicas__of_a_handed_out_file__a_new_file_without_them(void **state)
{
	struct rig_object object, other;
	struct cache_handout handout;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before, after;
	unsigned others = 0;

	(void)state;
	make(&fixture, RIG_OWN_EVEN);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	before = stat_of(rig, &object);
	while (rig_count(rig, STORE_REPLICAS_EVICTED) < BLOCKS / 2) {
		rig_object(&other, ROLES_OWNED + others++, 200000, "/images");
		roles_write(rig, &other);
	}
	wait_count(rig, STORE_REPLACED, 1);
	check_bytes(handout.fd, &object, NONE);
	assert_false(store_handout_current(rig->store, &handout));
	check_even_blocks(rig, &object);
	after = stat_of(rig, &object);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_size, LARGE);
	assert_in_range(after.st_blocks * 512, 1, BLOCKS / 2 * RIG_BLOCK_LEN + 16384);
	assert_int_equal(rig_count(rig, STORE_BAD_CHECKS), 0);
	assert_int_equal(rig_count(rig, STORE_EVICTED_OBJECTS), 0);
	close(handout.fd);
	store_handback(rig->store, &handout);
	end(&fixture);
}

/* A block was found bad and is written again: not into the file that somebody may have mapped. */
static void check_rot(struct fixture *fixture, bool restart)
{
	struct rig *rig = &fixture->rig;
	struct cache_handout old, new;
	struct rig_object object;

	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &old), 0);
	if (restart) {
		rig_close(rig);
		roles_open(rig, RIG_OWN_ALL);
		store_handout_allow(rig->store, 0, true);
	}
	flip(rig, &object, RIG_BLOCK_LEN + 100);
	assert_int_equal(rig_read(rig, &object, 1, 0, 1), -EBADMSG);
	rig_flush(rig);
	wait_count(rig, STORE_REPLACED, 1);
	for (uint64_t block = 0; block < BLOCKS; block++)
		assert_int_equal(store_has(rig->store, &object.store.id, block), block != 1);
	assert_int_equal(rig_write(rig, &object, 1), 0);
	rig_flush(rig);
	assert_int_equal(hand_out(rig, &object, &new), 0);
	check_bytes(new.fd, &object, NONE);
	check_bytes(old.fd, &object, RIG_BLOCK_LEN + 100);
	assert_int_equal(stat_of(rig, &object).st_size, LARGE);
	close(old.fd);
	close(new.fd);
}

static void test_rot__of_a_handed_out_file__a_new_file_in_its_place(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	check_rot(&fixture, false);
	end(&fixture);
}

static void test_rot__handed_out_by_an_earlier_run__a_new_file_in_its_place(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	check_rot(&fixture, true);
	end(&fixture);
}

/* What a crash between the index's commit and the new file leaves is found by the sweep. */
static void test_open__handed_out_and_more_than_the_index_names__a_new_file(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	before = stat_of(rig, &object);
	flip(rig, &object, 100);
	faults_set(&fixture.faults, FAULT_RENAME, -EIO, 0, 1000000);
	assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
	rig_flush(rig);
	wait_count(rig, STORE_BAD_CHECKS, 1);
	rig_close(rig);
	faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
	assert_int_equal(stat_of(rig, &object).st_ino, before.st_ino);
	roles_open(rig, RIG_OWN_ALL);
	wait_count(rig, STORE_REPLACED, 1);
	assert_int_not_equal(stat_of(rig, &object).st_ino, before.st_ino);
	for (uint64_t block = 1; block < BLOCKS; block++)
		assert_int_equal(rig_read(rig, &object, block, 0, 1), 0);
	check_bytes(handout.fd, &object, 100);
	close(handout.fd);
	end(&fixture);
}

static void test_replace__no_space_for_a_copy__the_object_goes_as_a_whole(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	flip(rig, &object, 100);
	faults_set(&fixture.faults, FAULT_WRITE, -ENOSPC, 0, 1000000);
	assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
	rig_flush(rig);
	wait_count(rig, STORE_EVICTED_OBJECTS, 1);
	faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
	assert_int_equal(stat_of(rig, &object).st_ino, 0);
	assert_int_equal(rig_read(rig, &object, 1, 0, 1), -ENOENT);
	check_bytes(handout.fd, &object, 100);
	close(handout.fd);
	end(&fixture);
}

/* A file that is left over from a run that handed it out is not written into. */
static void test_write__over_a_left_over_sealed_file__a_new_one(void **state)
{
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	char path[512], folder[512];
	struct stat before;
	int fd;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	wait_queue(rig, 9);
	rig_object(&object, 1, LARGE, "/images");
	rig_object_file(rig, 0, &object, path, sizeof(path));
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	(void)mkdir(folder, 0700);
	fd = open(path, O_WRONLY | O_CREAT, 0400);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old", 3), 3);
	before = stat_of(rig, &object);
	assert_int_equal(rig_write(rig, &object, 0), -ECANCELED);
	for (unsigned tries = 0; stat_of(rig, &object).st_ino != 0; tries++) {
		assert_true(tries < ROLES_TRIES);
		usleep(1000);
	}
	assert_int_equal(rig_write_all(rig, &object), 0);
	rig_flush(rig);
	assert_int_equal(rig_read_all(rig, &object), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(before.st_size, 3);
	close(fd);
	end(&fixture);
}

/* --- the scrub, and what is told --- */

static void test_scrub__rot__is_found_counted_and_no_longer_current(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	rig->config.scrub = UINT64_C(1) << 30;
	store_reload(rig->store, &rig->config);
	wait_count(rig, STORE_SCRUB_BYTES, 2 * LARGE); /* all is well */
	assert_int_equal(rig_count(rig, STORE_ROTTEN), 0);
	assert_true(store_handout_current(rig->store, &handout));
	flip(rig, &object, LARGE / 2);
	wait_count(rig, STORE_ROTTEN, 1);
	wait_count(rig, STORE_REPLACED, 1);
	assert_false(store_handout_current(rig->store, &handout));
	assert_false(store_handout_sound(rig->store, &handout));
	rig->config.scrub = 0;
	store_reload(rig->store, &rig->config);
	assert_int_equal(rig_count(rig, STORE_BAD_CHECKS), 1);
	close(handout.fd);
	end(&fixture);
}

struct told {
	struct object_id id;
	_Atomic uint64_t block; /* + 1 */
};

static void tell(void *context, const struct object_id *id, uint64_t block)
{
	struct told *told = context;

	told->id = *id;
	atomic_store(&told->block, block + 1);
}

static bool is_told(void *context)
{
	return atomic_load(&((struct told *)context)->block) != 0;
}

static void test_lost__a_block_of_a_whole_object__is_told(void **state)
{
	struct told told = { .block = 0 };
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	store_set_lost(rig->store, tell, &told);
	write_whole(rig, &object, 1, LARGE);
	wait_ready(rig, &object);
	flip(rig, &object, 3 * RIG_BLOCK_LEN);
	assert_int_equal(rig_read(rig, &object, 3, 0, 1), -EBADMSG);
	rig_flush(rig);
	rig_wait(is_told, &told);
	assert_int_equal(told.block, 3 + 1);
	assert_true(object_id_equal(&told.id, &object.store.id));
	end(&fixture);
}

static void test_evict__a_handed_out_file__its_bytes_live_on(void **state)
{
	struct rig_object object;
	struct cache_handout handout;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &handout), 0);
	store_obsolete(rig->store, &object.store.id);
	evict_one(rig);
	assert_false(store_handout_current(rig->store, &handout));
	assert_true(store_handout_sound(rig->store, &handout));
	assert_int_equal(stat_of(rig, &object).st_ino, 0);
	check_bytes(handout.fd, &object, NONE);
	store_handback(rig->store, &handout);
	close(handout.fd);
	end(&fixture);
}

/* --- what a worker that died had handed out --- */

static uint64_t verified_count(struct rig *rig)
{
	uint64_t queued;

	return store_handout_count(rig->store, &queued);
}

static void test_adopt__handed_out_by_a_worker_that_died__verified_without_reading(void **state)
{
	struct cache_handout before, first, second;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t bytes;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &before), 0);
	rig_close(rig);
	roles_open(rig, RIG_OWN_ALL);
	bytes = rig_count(rig, STORE_VERIFY_BYTES);
	/* By two nodes. */
	store_handout_adopt(rig->store, 0, &object.store.id, &first);
	store_handout_adopt(rig->store, 0, &object.store.id, &second);
	assert_int_equal(first.fd, -1);
	store_handout_allow(rig->store, 0, true);
	assert_true(store_handout_ready(rig->store, &object.store.id, false));
	assert_true(store_handout_current(rig->store, &first));
	assert_true(store_handout_sound(rig->store, &first));
	assert_int_equal(verified_count(rig), 1);
	assert_int_equal(rig_count(rig, STORE_VERIFY_BYTES), bytes);
	/* As any other: given to others, given back, forgotten. */
	close(before.fd);
	assert_int_equal(store_handout(rig->store, &object.store.id, &before), 0);
	check_bytes(before.fd, &object, NONE);
	close(before.fd);
	store_handback(rig->store, &before);
	store_handback(rig->store, &first);
	store_handback(rig->store, &second);
	assert_true(store_handout_current(rig->store, &second));
	store_drop(rig->store, &object.store.id, 0);
	rig_flush(rig);
	assert_false(store_handout_current(rig->store, &second));
	assert_false(store_handout_sound(rig->store, &second));
	end(&fixture);
}

static void test_adopt__evicted_under_it__unlinked_and_its_bytes_live_on(void **state)
{
	struct cache_handout before, adopted;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	assert_int_equal(hand_out(rig, &object, &before), 0);
	rig_close(rig);
	roles_open(rig, RIG_OWN_ALL);
	store_handout_adopt(rig->store, 0, &object.store.id, &adopted);
	store_handout_allow(rig->store, 0, true);
	store_obsolete(rig->store, &object.store.id);
	evict_one(rig);
	assert_false(store_handout_current(rig->store, &adopted));
	assert_true(store_handout_sound(rig->store, &adopted));
	check_bytes(before.fd, &object, NONE);
	store_handback(rig->store, &adopted);
	close(before.fd);
	end(&fixture);
}

enum change {
	CHANGE_NEVER_HANDED_OUT,
	CHANGE_NOT_SEALED,
	CHANGE_LONGER,
	CHANGE_GONE,
	CHANGE_BLOCK_DROPPED,
	CHANGE_NO_SUCH_DIRECTORY,
	CHANGE_COUNT,
};

static void change(struct rig *rig, const struct rig_object *object, enum change what)
{
	char path[512];

	rig_object_file(rig, 0, object, path, sizeof(path));
	if (what == CHANGE_NOT_SEALED)
		assert_int_equal(chmod(path, 0600), 0);
	if (what == CHANGE_LONGER)
		assert_int_equal(truncate(path, LARGE + 4096), 0);
	if (what == CHANGE_GONE)
		assert_int_equal(unlink(path), 0);
}

static void check_not_adopted(enum change what)
{
	struct cache_handout before, adopted;
	struct rig_object object;
	struct fixture fixture;
	struct rig *rig = &fixture.rig;

	make(&fixture, RIG_OWN_ALL);
	write_whole(rig, &object, 1, LARGE);
	if (what != CHANGE_NEVER_HANDED_OUT) {
		assert_int_equal(hand_out(rig, &object, &before), 0);
		close(before.fd);
	}
	if (what == CHANGE_BLOCK_DROPPED) {
		/* Its new file is not made before the worker dies. */
		flip(rig, &object, 100);
		faults_set(&fixture.faults, FAULT_RENAME, -EIO, 0, 1000000);
		assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
		rig_flush(rig);
		wait_count(rig, STORE_BAD_CHECKS, 1);
	}
	rig_close(rig);
	change(rig, &object, what);
	roles_open(rig, RIG_OWN_ALL); /* with the fault still there */
	store_handout_adopt(rig->store, what == CHANGE_NO_SUCH_DIRECTORY ? 7 : 0, &object.store.id,
			    &adopted);
	store_handout_allow(rig->store, 0, true);
	assert_false(store_handout_current(rig->store, &adopted));
	assert_true(store_handout_sound(rig->store, &adopted));
	assert_false(store_handout_ready(rig->store, &object.store.id, false));
	assert_int_equal(verified_count(rig), 0);
	store_handback(rig->store, &adopted);
	end(&fixture);
}

static void test_adopt__not_as_it_was_handed_out__not_current(void **state)
{
	(void)state;
	for (enum change what = 0; what < CHANGE_COUNT; what++)
		check_not_adopted(what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handout__complete__its_exact_file_and_it_is_read_only),
		cmocka_unit_test(test_handout__not_whole_or_packed__never),
		cmocka_unit_test(test_handout__not_allowed__nothing_is_verified),
		cmocka_unit_test(test_verify__a_flipped_bit__found_dropped_and_whole_again),
		cmocka_unit_test(test_handout__cannot_be_sealed__is_not_handed_out),
		cmocka_unit_test(
			test_handout__longer_than_the_object__not_before_it_has_a_new_file),
		cmocka_unit_test(test_replicas__of_a_handed_out_file__a_new_file_without_them),
		cmocka_unit_test(test_rot__of_a_handed_out_file__a_new_file_in_its_place),
		cmocka_unit_test(test_rot__handed_out_by_an_earlier_run__a_new_file_in_its_place),
		cmocka_unit_test(test_open__handed_out_and_more_than_the_index_names__a_new_file),
		cmocka_unit_test(test_replace__no_space_for_a_copy__the_object_goes_as_a_whole),
		cmocka_unit_test(test_write__over_a_left_over_sealed_file__a_new_one),
		cmocka_unit_test(test_scrub__rot__is_found_counted_and_no_longer_current),
		cmocka_unit_test(test_lost__a_block_of_a_whole_object__is_told),
		cmocka_unit_test(test_evict__a_handed_out_file__its_bytes_live_on),
		cmocka_unit_test(
			test_adopt__handed_out_by_a_worker_that_died__verified_without_reading),
		cmocka_unit_test(test_adopt__evicted_under_it__unlinked_and_its_bytes_live_on),
		cmocka_unit_test(test_adopt__not_as_it_was_handed_out__not_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * rig.c - a store under test.
 */
#include "tests/unit/cache/store/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
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
#include "base/digest.h"
#include "base/thread.h"
#include "cache/store/directory.h"

#define WAIT_NS (20 * NS_PER_S)

void rig_make(struct rig *rig, unsigned directory_count, uint64_t capacity)
{
	char here[200];

	*rig = (struct rig){ .clock = clock_system(), .files = files_system() };
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(rig->path, sizeof(rig->path), "%s/store-XXXXXX", here);
	assert_non_null(mkdtemp(rig->path));
	for (unsigned i = 0; i < directory_count; i++) {
		snprintf(rig->directory_paths[i], sizeof(rig->directory_paths[i]), "%s/%u",
			 rig->path, i);
		rig->directories[i] = (struct cache_directory_config){
			.path = rig->directory_paths[i],
			.capacity = capacity,
		};
	}
	rig->config = (struct cache_config){
		.block_len = RIG_BLOCK_LEN,
		.policy = CACHE_POLICY_EPOCH,
		.directories = { .items = rig->directories, .count = directory_count },
		.high_watermark = 95,
		.low_watermark = 90,
	};
}

bool rig_owns(void *context, const struct object_id *id, uint64_t block)
{
	const struct rig_roles *roles = context;
	unsigned count = roles->count;

	switch (atomic_load(&roles->own)) {
	case RIG_OWN_NONE:
		return false;
	case RIG_OWN_EVEN:
		return block % 2 == 0;
	case RIG_OWN_ODD:
		return block % 2 == 1;
	case RIG_OWN_OTHERS:
		for (unsigned i = 0; i < count; i++) {
			if (object_id_equal(&roles->disowned[i], id))
				return false;
		}
		return true;
	default:
		return true;
	}
}

void rig_disown(struct rig_roles *roles, const struct rig_object *object)
{
	CHECK(roles->count < RIG_DISOWNED_MAX);
	roles->disowned[roles->count] = object->store.id;
	roles->count++;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_remove(struct rig *rig)
{
	assert_int_equal(nftw(rig->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void rig_open(struct rig *rig)
{
	assert_int_equal(store_create_with(&rig->config, rig->clock, rig->files, &rig->store), 0);
}

void rig_close(struct rig *rig)
{
	store_stop(rig->store);
	store_destroy(rig->store);
	rig->store = NULL;
}

void rig_object(struct rig_object *object, unsigned number, uint64_t size, const char *dataset)
{
	memset(object, 0, sizeof(*object));
	object->number = number;
	snprintf(object->key, sizeof(object->key), "train/%u.jpg", number);
	object->store = (struct store_object){
		.version = { .backing = "s3",
			     .bucket = "images",
			     .key = object->key,
			     .etag = "\"e\"",
			     .size = size },
		.mtime_s = 1700000000 + number,
		.dataset = dataset,
	};
	object_id_of(&object->store.version, &object->store.id);
}

/* The bytes of an object follow from its number and their place. */
void rig_bytes(const struct rig_object *object, uint64_t off, uint8_t *out, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t word = (object->number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
				((off + i) * UINT64_C(0xff51afd7ed558ccd));

		memcpy(out + i, &word, len - i < 8 ? len - i : 8);
	}
}

static uint8_t *new_pages(uint32_t len)
{
	uint32_t rounded = (len + 4095) & ~4095u;
	uint8_t *pages = aligned_alloc(4096, rounded);

	assert_non_null(pages);
	memset(pages, 0, rounded);
	return pages;
}

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void wait_init(struct wait *wait)
{
	pthread_mutex_init(&wait->lock, NULL);
	thread_cond_init(&wait->cond);
	wait->done = false;
}

static void wait_tell(struct wait *wait)
{
	pthread_mutex_lock(&wait->lock);
	wait->done = true;
	pthread_cond_signal(&wait->cond);
	pthread_mutex_unlock(&wait->lock);
}

static void wait_for(struct wait *wait)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);
	int error = 0;

	pthread_mutex_lock(&wait->lock);
	while (!wait->done && !error)
		error = thread_cond_wait_until(&wait->cond, &wait->lock, deadline_ns);
	pthread_mutex_unlock(&wait->lock);
	pthread_cond_destroy(&wait->cond);
	pthread_mutex_destroy(&wait->lock);
	assert_int_equal(error, 0);
}

struct write_wait {
	struct store_write op;
	struct wait wait;
};

static void write_done(struct store_write *op)
{
	wait_tell(&CONTAINER_OF(op, struct write_wait, op)->wait);
}

int rig_write(struct rig *rig, const struct rig_object *object, uint64_t block)
{
	uint64_t size = object->store.version.size;
	uint32_t len = object_block_len(size, block, RIG_BLOCK_LEN);
	uint64_t checks[BLOCK_GRANULES_MAX];
	struct write_wait write = { 0 };
	uint8_t *data;

	assert_true(len > 0);
	if (!store_admit(rig->store, &object->store, block, len))
		return RIG_REFUSED;
	data = new_pages(len);
	rig_bytes(object, block * RIG_BLOCK_LEN, data, len);
	for (unsigned i = 0; i < object_granule_count(len); i++) {
		uint32_t left = len - i * GRANULE_LEN;

		checks[i] = digest_crc64(data + (size_t)i * GRANULE_LEN,
					 left < GRANULE_LEN ? left : GRANULE_LEN);
	}
	wait_init(&write.wait);
	write.op = (struct store_write){
		.object = &object->store,
		.block = block,
		.data = data,
		.len = len,
		.checks = checks,
		.done = write_done,
	};
	store_write_start(rig->store, &write.op);
	wait_for(&write.wait);
	free(data);
	return write.op.status;
}

static uint64_t block_count(const struct rig_object *object)
{
	return (object->store.version.size + RIG_BLOCK_LEN - 1) / RIG_BLOCK_LEN;
}

int rig_write_all(struct rig *rig, const struct rig_object *object)
{
	int status = 0;

	for (uint64_t block = 0; block < block_count(object) && status == 0; block++)
		status = rig_write(rig, object, block);
	return status;
}

struct read_wait {
	struct store_read op;
	struct wait wait;
};

static void read_done(struct store_read *op)
{
	wait_tell(&CONTAINER_OF(op, struct read_wait, op)->wait);
}

int rig_read(struct rig *rig, const struct rig_object *object, uint64_t block, unsigned first,
	     unsigned count)
{
	uint32_t block_len = object_block_len(object->store.version.size, block, RIG_BLOCK_LEN);
	uint32_t off = first * GRANULE_LEN;
	uint32_t len =
		block_len - off < count * GRANULE_LEN ? block_len - off : count * GRANULE_LEN;
	struct read_wait read = { 0 };
	uint8_t *want = new_pages(len);
	uint8_t *dst = new_pages(len);

	memset(dst, 0xee, len);
	wait_init(&read.wait);
	read.op = (struct store_read){
		.id = object->store.id,
		.object_size = object->store.version.size,
		.block = block,
		.first_granule = first,
		.granule_count = count,
		.dst = dst,
		.done = read_done,
	};
	store_read_start(rig->store, &read.op);
	wait_for(&read.wait);
	if (read.op.status == 0) {
		rig_bytes(object, block * RIG_BLOCK_LEN + off, want, len);
		assert_memory_equal(dst, want, len);
	}
	free(want);
	free(dst);
	return read.op.status;
}

int rig_read_all(struct rig *rig, const struct rig_object *object)
{
	int status = 0;

	for (uint64_t block = 0; block < block_count(object) && status == 0; block++) {
		uint32_t len = object_block_len(object->store.version.size, block, RIG_BLOCK_LEN);

		status = rig_read(rig, object, block, 0, object_granule_count(len));
	}
	return status;
}

bool rig_has_all(struct rig *rig, const struct rig_object *object)
{
	for (uint64_t block = 0; block < block_count(object); block++) {
		if (!store_has(rig->store, &object->store.id, block))
			return false;
	}
	return true;
}

void rig_flush(struct rig *rig)
{
	assert_int_equal(
		store_flush(rig->store, clock_after_ns(clock_now_ns(clock_system()), WAIT_NS)), 0);
}

uint64_t rig_count(const struct rig *rig, enum store_counter counter)
{
	return counter_get(store_counters(rig->store), counter);
}

void rig_object_file(const struct rig *rig, unsigned index, const struct rig_object *object,
		     char *out, size_t out_size)
{
	char id[OBJECT_ID_TEXT_LEN];

	object_id_text(&object->store.id, id);
	snprintf(out, out_size, "%s/objects/%.2s/%s", rig->directory_paths[index], id, id);
}

static int no_sync(const struct files *files, int fd)
{
	(void)files;
	(void)fd;
	return 0;
}

static int no_sync_directory(const struct files *files, int dirfd, const char *path)
{
	(void)files;
	(void)dirfd;
	(void)path;
	return 0;
}

const struct files *rig_files_unsynced(void)
{
	static struct files files;

	files = *files_system();
	files.sync_data = no_sync;
	files.sync_all = no_sync;
	files.sync_directory = no_sync_directory;
	return &files;
}

void rig_wait(bool (*condition)(void *context), void *context)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);

	while (!condition(context)) {
		struct timespec pause = { .tv_nsec = NS_PER_MS };

		if (clock_now_ns(clock_system()) >= deadline_ns)
			fail_msg("the condition does not come true");
		nanosleep(&pause, NULL);
	}
}

static _Thread_local uint64_t bytes_found;

static int add_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)type;
	(void)ftw;
	bytes_found += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t rig_disk_bytes(const char *path)
{
	bytes_found = 0;
	/* Files may go while it looks: that is no error of the walk's. */
	nftw(path, add_one, 16, FTW_PHYS);
	return bytes_found;
}

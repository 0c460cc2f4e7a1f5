/*
 * Tests of eviction: what is taken never passes the limit, under both policies, and what should go
 * first does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/store/rig.h"

#define MIB	 (UINT64_C(1) << 20)
#define CAPACITY (32 * MIB)

/* Object @number of a dataset with small and large ones. */
static void mixed_object(struct rig_object *object, unsigned number, const char *dataset)
{
	static const uint64_t sizes[] = { 3000, 30000, 50000, 112640, 400000, 1500000 };

	rig_object(object, number, sizes[number % ARRAY_COUNT(sizes)], dataset);
}

/* Looks all the time at what the directory really takes. */
struct watch {
	const struct rig *rig;
	_Atomic bool stop;
	uint64_t most;
};

static void *watch_main(void *argument)
{
	struct watch *watch = argument;

	while (!watch->stop) {
		uint64_t before = rig_count(watch->rig, STORE_WRITE_BYTES);
		uint64_t bytes = rig_disk_bytes(watch->rig->directory_paths[0]);
		uint64_t written = rig_count(watch->rig, STORE_WRITE_BYTES) - before;

		/* A walk is not a moment: it may see what went and what took its place. */
		bytes = bytes > 2 * written ? bytes - 2 * written : 0;
		if (bytes > watch->most)
			watch->most = bytes;
		usleep(2000);
	}
	return NULL;
}

/* Writes about ten times the capacity, in a fixed pseudo-random order of objects. */
static unsigned write_ten_times(struct rig *rig, const char *dataset)
{
	struct rig_object object;
	uint64_t bytes = 0;
	unsigned written = 0;

	for (unsigned i = 0; bytes < 10 * CAPACITY; i++) {
		int status;

		mixed_object(&object, i, dataset);
		status = rig_write_all(rig, &object);
		assert_true(status == 0 || status == RIG_REFUSED);
		written += status == 0;
		bytes += object.store.version.size;
	}
	return written;
}

static void check_never_above(int policy)
{
	struct watch watch = { 0 };
	struct rig_object object;
	unsigned here = 0, written;
	pthread_t watcher;
	struct rig rig;
	int status;

	rig_make(&rig, 1, CAPACITY);
	rig.config.policy = policy;
	watch.rig = &rig;
	rig_open(&rig);
	assert_int_equal(pthread_create(&watcher, NULL, watch_main, &watch), 0);
	written = write_ten_times(&rig, "/images");
	rig_flush(&rig);
	watch.stop = true;
	pthread_join(watcher, NULL);
	assert_in_range(watch.most, CAPACITY / 2, CAPACITY);
	for (unsigned i = 0; i < 1000; i++) {
		mixed_object(&object, i, "/images");
		if (!rig_has_all(&rig, &object))
			continue;
		here++;
		status = rig_read_all(&rig, &object);
		/* Under lru eviction may still be on its way to the low watermark. */
		assert_true(status == 0 || (policy == CACHE_POLICY_LRU && status == -ENOENT));
	}
	assert_true(here > 50);
	if (policy == CACHE_POLICY_EPOCH) {
		assert_int_equal(rig_count(&rig, STORE_EVICTED_OBJECTS), 0);
		assert_true(rig_count(&rig, STORE_REFUSED) > 0);
	} else {
		assert_true(rig_count(&rig, STORE_EVICTED_OBJECTS) > 0);
		assert_true(written > here);
	}
	assert_int_equal(rig_count(&rig, STORE_READ_ERRORS), 0);
	/* The books are right: what was counted is what a restart counts. */
	{
		uint64_t used = rig_count(&rig, STORE_USED_BYTES);

		rig_close(&rig);
		rig_open(&rig);
		assert_in_range(rig_count(&rig, STORE_USED_BYTES), used - MIB, used + MIB);
	}
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_epoch__ten_times_the_capacity__kept_and_never_above(void **state)
{
	(void)state;
	check_never_above(CACHE_POLICY_EPOCH);
}

static void test_lru__ten_times_the_capacity__never_above(void **state)
{
	(void)state;
	check_never_above(CACHE_POLICY_LRU);
}

#define HOT_OBJECTS 8

static void test_lru__objects_in_use__stay(void **state)
{
	struct rig_object object;
	struct rig rig;
	unsigned here = 0;

	(void)state;
	rig_make(&rig, 1, CAPACITY);
	rig.config.policy = CACHE_POLICY_LRU;
	rig_open(&rig);
	for (unsigned i = 0; i < HOT_OBJECTS; i++) {
		rig_object(&object, i, 300000, "/hot");
		assert_int_equal(rig_write_all(&rig, &object), 0);
	}
	for (unsigned i = 0; rig_count(&rig, STORE_EVICTED_OBJECTS) < 200; i++) {
		rig_object(&object, 1000 + i, 300000, "/cold");
		if (rig_write_all(&rig, &object) == RIG_REFUSED)
			usleep(1000); /* eviction is on its way */
		for (unsigned j = 0; j < HOT_OBJECTS; j++) {
			rig_object(&object, j, 300000, "/hot");
			if (j % 2)
				store_touch(rig.store, &object.store.id, "/hot");
			else
				rig_has_all(&rig, &object);
		}
	}
	for (unsigned i = 0; i < HOT_OBJECTS; i++) {
		rig_object(&object, i, 300000, "/hot");
		here += rig_has_all(&rig, &object);
	}
	/* By chance one may go: the order is that of samples. */
	assert_true(here >= HOT_OBJECTS - 2);
	rig_close(&rig);
	rig_remove(&rig);
}

static unsigned count_here(struct rig *rig, unsigned first, unsigned count, uint64_t size)
{
	struct rig_object object;
	unsigned here = 0;

	for (unsigned i = first; i < first + count; i++) {
		rig_object(&object, i, size, "");
		here += rig_has_all(rig, &object);
	}
	return here;
}

/* Fills with @dataset until it is refused, even when all promises were given back by a commit.
 * Return: how many were written. */
static unsigned fill(struct rig *rig, unsigned first, uint64_t size, const char *dataset)
{
	struct rig_object object;
	unsigned count = 0, refused = 0;

	while (refused < 2) {
		rig_object(&object, first + count, size, dataset);
		if (rig_write_all(rig, &object) == 0) {
			count++;
			refused = 0;
		} else {
			rig_flush(rig);
			refused++;
		}
	}
	return count;
}

static const uint64_t kinds[] = { 20000, 200000 }; /* packed, files */

static void test_epoch__another_dataset__the_unused_one_gives_way(void **state)
{
	struct rig_object object;
	unsigned old, here = 0;
	struct rig rig;

	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		uint64_t size = kinds[kind];

		rig_make(&rig, 1, CAPACITY);
		rig_open(&rig);
		old = fill(&rig, 0, size, "/old");
		assert_int_equal(fill(&rig, 100000, size, "/new"), 0);
		/* The next attempts are refused as well, until they make up 1/16 of the capacity.
		 */
		for (unsigned pass = 0; pass < 20; pass++) {
			for (unsigned i = 0; i < old; i++) {
				rig_object(&object, 100000 + i, size, "/new");
				rig_write_all(&rig, &object);
			}
			here = 0;
			for (unsigned i = 0; i < old; i++) {
				rig_object(&object, 100000 + i, size, "/new");
				here += rig_has_all(&rig, &object);
			}
			if (here > old / 2)
				break;
			usleep(20000);
		}
		assert_true(here > old / 2);
		assert_true(rig_count(&rig, STORE_EVICTED_BYTES) > CAPACITY / 4);
		assert_true(rig_disk_bytes(rig.directory_paths[0]) <= CAPACITY);
		rig_close(&rig);
		rig_remove(&rig);
	}
}

static void test_obsolete__space_needed__goes_first(void **state)
{
	struct rig_object object;
	unsigned count, first_here, rest_here;
	struct rig rig;

	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		for (int policy = CACHE_POLICY_EPOCH; policy <= CACHE_POLICY_LRU; policy++) {
			uint64_t size = kinds[kind];
			unsigned share, i;

			rig_make(&rig, 1, CAPACITY);
			rig.config.policy = policy;
			rig_open(&rig);
			/* Not yet full, so that lru has not evicted on its own. */
			count = (unsigned)(CAPACITY * 8 / 10 / (size + 8192));
			for (i = 0; i < count; i++) {
				rig_object(&object, i, size, "/images");
				assert_int_equal(rig_write_all(&rig, &object), 0);
			}
			rig_flush(&rig);
			share = count / 4;
			for (i = 0; i < share; i++) {
				rig_object(&object, i, size, "/images");
				store_obsolete(rig.store, &object.store.id);
			}
			/* Until more is wanted than there is. */
			for (i = 0; rig_count(&rig, STORE_EVICTED_BYTES) == 0; i++) {
				rig_object(&object, 100000 + i, size, "/images");
				rig_write_all(&rig, &object);
				if (i % 20 == 0)
					rig_flush(&rig);
			}
			first_here = count_here(&rig, 0, share, size);
			rest_here = count_here(&rig, share, count - share, size);
			assert_true(first_here < share);
			assert_int_equal(rest_here, count - share);
			rig_close(&rig);
			rig_remove(&rig);
		}
	}
}

static void test_evict__file_being_read__reads_on(void **state)
{
	struct rig_object object;
	struct rig rig;
	char path[512];
	char byte;
	int fd;

	(void)state;
	rig_make(&rig, 1, CAPACITY);
	rig.config.policy = CACHE_POLICY_LRU;
	rig_open(&rig);
	rig_object(&object, 1, 300000, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_flush(&rig);
	rig_object_file(&rig, 0, &object, path, sizeof(path));
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	for (unsigned i = 0; access(path, F_OK) == 0; i++) {
		struct rig_object other;

		rig_object(&other, 1000 + i, 300000, "/images");
		if (rig_write_all(&rig, &other) == RIG_REFUSED)
			usleep(1000); /* eviction is on its way */
	}
	assert_false(rig_has_all(&rig, &object));
	assert_int_equal(rig_read_all(&rig, &object), -ENOENT);
	assert_int_equal(lseek(fd, 0, SEEK_END), 300000);
	assert_int_equal(pread(fd, &byte, 1, 299999), 1);
	close(fd);
	rig_close(&rig);
	rig_remove(&rig);
}

/* More blocks than one transaction removes. */
static void test_evict__object_of_many_blocks__goes_whole(void **state)
{
	struct rig_object large, object;
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, CAPACITY);
	rig_open(&rig);
	rig_object(&large, 1, 40 * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write_all(&rig, &large), 0);
	rig_flush(&rig);
	store_obsolete(rig.store, &large.store.id);
	for (unsigned i = 0; i < 500 && store_has(rig.store, &large.store.id, 0); i++) {
		rig_object(&object, 100 + i, 200000, "/images");
		rig_write_all(&rig, &object);
		rig_flush(&rig);
	}
	for (uint64_t block = 0; block < 40; block++)
		assert_false(store_has(rig.store, &large.store.id, block));
	assert_int_equal(store_resident(rig.store, &large.store.id, 40 * RIG_BLOCK_LEN), 0);
	rig_close(&rig);
	rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoch__ten_times_the_capacity__kept_and_never_above),
		cmocka_unit_test(test_lru__ten_times_the_capacity__never_above),
		cmocka_unit_test(test_lru__objects_in_use__stay),
		cmocka_unit_test(test_epoch__another_dataset__the_unused_one_gives_way),
		cmocka_unit_test(test_obsolete__space_needed__goes_first),
		cmocka_unit_test(test_evict__file_being_read__reads_on),
		cmocka_unit_test(test_evict__object_of_many_blocks__goes_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of prefetch.c: hints are taken up to their limits and cost readers nothing.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_init(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* prefetch_max is half the rig's arena */
#define PREFETCH_BLOCKS (RIG_BLOCKS / 2)

static void test_prefetch__of_a_range__fetches_whole_blocks_in_the_background(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 9 * MIB);
	struct backing_get *get;
	struct reader reader;

	assert_int_equal(cache_prefetch(rig->cache, object, 5 * MIB, 100 * MIB), 4 * MIB);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 4 * MIB);
	assert_true(get->request.background);
	fake_backing_finish(&rig->backing, get, 0);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 8 * MIB);
	assert_int_equal(get->len, 1 * MIB);
	fake_backing_finish(&rig->backing, get, 0);
	assert_int_equal(reader_start(&reader, rig, object, 8 * MIB - 10, 20, false), 1);
	reader_check(&reader);
	assert_int_equal(rig_counter(rig, CACHE_PREFETCHES), 2);
	assert_int_equal(cache_prefetch(rig->cache, object, 9 * MIB, 1), 0);
	cache_object_put(object);
}

static void test_prefetch__of_what_is_on_the_ssd__reads_it(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 8 * MIB);

	fake_store_put(object, 0);
	fake_store_put(object, 1);
	assert_int_equal(cache_prefetch(rig->cache, object, 0, 8 * MIB), 8 * MIB);
	rig_read(rig, object, 4 * MIB - 10, 20, false);
	assert_int_equal(fake_store.reads, 2);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	cache_object_put(object);
}

static void test_prefetch__limit_is_reached__is_refused(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);

	assert_int_equal(cache_prefetch(rig->cache, object, 0, 4 * RIG_MEMORY),
			 PREFETCH_BLOCKS * RIG_BLOCK);
	assert_int_equal(fake_backing_started(&rig->backing), PREFETCH_BLOCKS);
	assert_int_equal(rig_counter(rig, CACHE_PREFETCH_DROPPED), 1);
	/* what is under way already is no new prefetch */
	assert_int_equal(cache_prefetch(rig->cache, object, 0, RIG_BLOCK), RIG_BLOCK);
	cache_object_put(object);
}

static void test_prefetch__much_lies_unread__is_refused_until_it_is_read_or_old(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);
	uint64_t half = PREFETCH_BLOCKS * RIG_BLOCK;

	assert_int_equal(cache_prefetch(rig->cache, object, 0, half), half);
	for (unsigned i = 0; i < PREFETCH_BLOCKS; i++)
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(cache_prefetch(rig->cache, object, half, RIG_BLOCK), 0);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(cache_prefetch(rig->cache, object, half, 2 * RIG_BLOCK), RIG_BLOCK);
	clock_manual_advance(&rig->clock, 20 * NS_PER_S);
	assert_int_equal(cache_prefetch(rig->cache, object, half, 2 * RIG_BLOCK), 2 * RIG_BLOCK);
	cache_object_put(object);
}

static void test_prefetch__unread__outlives_what_was_read_before(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);
	struct reader reader;

	fake_store.refuse = true;
	assert_int_equal(cache_prefetch(rig->cache, object, 0, RIG_BLOCK), RIG_BLOCK);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	fake_backing_automatic(&rig->backing);
	for (uint64_t block = 1; block < 2 * RIG_BLOCKS; block++)
		rig_read(rig, object, block * RIG_BLOCK, 10, false);
	assert_int_equal(reader_start(&reader, rig, object, 0, 10, false), 1);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_prefetch__readers_wait_for_memory__is_refused(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);
	struct reader readers[RIG_BLOCKS + 1];

	for (unsigned i = 0; i < RIG_BLOCKS + 1; i++)
		reader_start(&readers[i], rig, object, i * RIG_BLOCK, 10, false);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), 1);
	assert_int_equal(cache_prefetch(rig->cache, object, 2 * RIG_MEMORY, RIG_BLOCK), 0);
	for (unsigned i = 0; i < RIG_BLOCKS + 1; i++) {
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		reader_check(&readers[i]);
	}
	cache_object_put(object);
}

static void test_prefetch__all_is_pinned_or_unwritten__is_refused(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);

	fake_store.hold_writes = true;
	fake_backing_automatic(&rig->backing);
	for (uint64_t block = 0; block < RIG_BLOCKS; block++)
		rig_read(rig, object, block * RIG_BLOCK, 10, false);
	assert_int_equal(cache_prefetch(rig->cache, object, RIG_MEMORY, RIG_BLOCK), 0);
	rig_read(rig, object, RIG_MEMORY, 10, false); /* a reader gets its frame all the same */
	cache_object_put(object);
}

static void test_prefetch__someone_waits_for_it__is_promoted(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader readers[2];

	cache_prefetch(rig->cache, object, 0, 1);
	fake_backing_await(&rig->backing, 0);
	assert_int_equal(rig->backing.promoted, 0);
	for (unsigned i = 0; i < 2; i++)
		reader_start(&readers[i], rig, object, 0, 10, false);
	assert_int_equal(rig->backing.promoted, 1);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	for (unsigned i = 0; i < 2; i++)
		reader_check(&readers[i]);
	assert_int_equal(rig_counter(rig, CACHE_JOINED), 2);
	cache_object_put(object);
}

static void test_prefetch__fails__leaves_nothing_behind(void **state)
{
	static const int errors[] = { -EIO, -ETIMEDOUT, -EAGAIN };
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		assert_int_equal(cache_prefetch(rig->cache, object, 0, 1), 1);
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), errors[i]);
		assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	}
	assert_int_equal(rig->cache->prefetch_bytes, 0);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_prefetch__of_a_range__fetches_whole_blocks_in_the_background),
		TEST(test_prefetch__of_what_is_on_the_ssd__reads_it),
		TEST(test_prefetch__limit_is_reached__is_refused),
		TEST(test_prefetch__much_lies_unread__is_refused_until_it_is_read_or_old),
		TEST(test_prefetch__unread__outlives_what_was_read_before),
		TEST(test_prefetch__readers_wait_for_memory__is_refused),
		TEST(test_prefetch__all_is_pinned_or_unwritten__is_refused),
		TEST(test_prefetch__someone_waits_for_it__is_promoted),
		TEST(test_prefetch__fails__leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

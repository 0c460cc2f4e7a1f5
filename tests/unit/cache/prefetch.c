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

/* The fake gets every member by itself, but sees how they are linked. */
static unsigned run_length(struct backing_get *get)
{
	unsigned count = 1;

	for (; get->next; get = get->next, count++) {
		assert_int_equal(get->next->off, get->off + get->len);
		assert_ptr_equal(get->next->etag, get->etag);
	}
	return count;
}

static void test_prefetch__of_adjacent_blocks__asks_for_runs(void **state)
{
	static const struct {
		uint64_t size;
		int on_ssd;
		unsigned runs[3];
	} rows[] = {
		{ 8 * RIG_BLOCK, -1, { 4, 4 } },
		{ 5 * RIG_BLOCK + 7, -1, { 4, 2 } },
		{ 7, -1, { 1 } },
		{ 4 * RIG_BLOCK, 1, { 1, 2 } },
		{ 4 * RIG_BLOCK, 0, { 3 } },
	};
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, rows[i].size);
		unsigned index = 0;

		if (rows[i].on_ssd >= 0)
			fake_store_put(object, (uint64_t)rows[i].on_ssd);
		assert_int_equal(cache_prefetch(rig->cache, object, 0, rows[i].size), rows[i].size);
		for (unsigned j = 0; j < ARRAY_COUNT(rows[i].runs) && rows[i].runs[j]; j++) {
			assert_int_equal(run_length(fake_backing_await(&rig->backing, index)),
					 rows[i].runs[j]);
			index += rows[i].runs[j];
		}
		assert_int_equal(fake_backing_pending(&rig->backing), index);
		while (fake_backing_pending(&rig->backing) > 0)
			fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		rig_read(rig, object, 0, rows[i].size < MIB ? rows[i].size : MIB, false);
		rig_wait_counter(rig, CACHE_MEMORY_PINNED, 0);
		cache_object_put(object);
		clock_manual_advance(&rig->clock, 20 * NS_PER_S); /* unread, and old */
	}
}

static void test_prefetch__two_calls__are_two_runs(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_BLOCK);

	cache_prefetch(rig->cache, object, 0, RIG_BLOCK);
	cache_prefetch(rig->cache, object, 0, 3 * RIG_BLOCK);
	assert_int_equal(run_length(fake_backing_await(&rig->backing, 0)), 1);
	assert_int_equal(run_length(fake_backing_await(&rig->backing, 1)), 2);
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 3 * RIG_BLOCK - MIB, MIB, false);
	cache_object_put(object);
}

/* A reader of one block promotes it; what fails in the run is tried again alone, for its reader. */
static void test_prefetch__run_breaks_off__each_block_goes_its_own_way(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 3 * RIG_BLOCK);
	struct backing_get *gets[3], *again;
	struct reader reader;

	cache_prefetch(rig->cache, object, 0, 3 * RIG_BLOCK);
	for (unsigned i = 0; i < 3; i++)
		gets[i] = fake_backing_await(&rig->backing, i);
	reader_start(&reader, rig, object, RIG_BLOCK, 10, false);
	assert_int_equal(rig->backing.promoted, 1);
	fake_backing_finish(&rig->backing, gets[0], 0);
	fake_backing_finish(&rig->backing, gets[1], -EAGAIN);
	fake_backing_finish(&rig->backing, gets[2], -EAGAIN); /* nobody waits for it */
	clock_manual_advance(&rig->clock, NS_PER_S);
	again = fake_backing_await(&rig->backing, 0);
	assert_int_equal(again->off, RIG_BLOCK);
	assert_null(again->next);
	assert_false(again->request.background);
	fake_backing_finish(&rig->backing, again, 0);
	reader_check(&reader);
	assert_int_equal(reader_start(&reader, rig, object, 0, 10, false), 1);
	reader_check(&reader);
	assert_int_equal(fake_backing_started(&rig->backing), 4);
	assert_int_equal(rig->cache->prefetch_bytes, 0);
	cache_object_put(object);
}

static void test_stop__with_a_run_under_way__ends_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 3 * RIG_BLOCK);

	cache_prefetch(rig->cache, object, 0, 3 * RIG_BLOCK);
	assert_int_equal(fake_backing_pending(&rig->backing), 3);
	cache_object_put(object); /* rig_fini() cancels them, and checks */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

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
		TEST(test_prefetch__of_adjacent_blocks__asks_for_runs),
		TEST(test_prefetch__two_calls__are_two_runs),
		TEST(test_prefetch__run_breaks_off__each_block_goes_its_own_way),
		TEST(test_stop__with_a_run_under_way__ends_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

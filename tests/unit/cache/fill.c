/*
 * Tests of fill.c: where a block's bytes come from and what happens when they do not come.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_fill__fetch_fails__all_waiters_hear_and_nothing_is_cached(void **state)
{
	static const int errors[] = { -ENOENT, -EACCES, -EIO, -EPROTO, -EINVAL, -ERANGE };
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		struct reader first, second;

		reader_start(&first, rig, object, 0, 10, false);
		reader_start(&second, rig, object, 3 * MIB, 10, false);
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), errors[i]);
		assert_int_equal(reader_wait(&first), errors[i]);
		assert_int_equal(reader_wait(&second), errors[i]);
	}
	assert_int_equal(rig_counter(rig, CACHE_READ_ERRORS), 2 * ARRAY_COUNT(errors));
	assert_int_equal(rig_counter(rig, CACHE_FETCH_ERRORS), ARRAY_COUNT(errors));
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	assert_false(cache_object_stale(object));
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 10, false);
	cache_object_put(object);
}

static void test_fill__fails_under_a_reader_of_its_prefix__leaves_it_its_bytes(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader prefix, rest, again;
	struct backing_get *get;

	reader_start(&prefix, rig, object, 0, 4096, false);
	reader_start(&rest, rig, object, 4096, 4096, false);
	get = fake_backing_await(&rig->backing, 0);
	fake_backing_progress(get, 4096);
	fake_backing_finish(&rig->backing, get, -EIO);
	assert_int_equal(reader_wait(&rest), -EIO);
	/* the block is asked for anew, in another frame */
	assert_int_equal(reader_start(&again, rig, object, 0, 4096, false), 0);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&prefix);
	reader_check(&again);
	cache_object_put(object);
}

static void test_fill__version_is_gone__marks_the_object(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	reader_start(&reader, rig, object, 0, 10, false);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), -ESTALE);
	assert_int_equal(reader_wait(&reader), -ESTALE);
	assert_true(cache_object_stale(object));
	assert_int_equal(rig_counter(rig, CACHE_STALE), 1);
	cache_object_put(object);
}

static void test_fill__times_out_while_others_have_time__asks_for_the_rest_again(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader early, late;
	struct backing_get *get;
	uint64_t deadline_ns;

	reader_start(&early, rig, object, 0, 4 * KIB, false);
	get = fake_backing_await(&rig->backing, 0);
	deadline_ns = get->request.deadline_ns;
	assert_int_equal(deadline_ns, clock_now_ns(&rig->clock.clock) + rig->config.read_timeout);
	clock_manual_advance(&rig->clock, 10 * NS_PER_S);
	reader_start(&late, rig, object, 3 * MIB, 4 * KIB, false);
	fake_backing_progress(get, 100000);
	clock_manual_advance(&rig->clock, rig->config.read_timeout - 10 * NS_PER_S);
	fake_backing_finish(&rig->backing, get, -ETIMEDOUT);
	clock_manual_advance(&rig->clock, NS_PER_S);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 100000);
	assert_int_equal(get->len, 4 * MIB - 100000);
	assert_int_equal(get->request.deadline_ns, deadline_ns + 10 * NS_PER_S);
	fake_backing_progress(get, 200000);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&late);
	reader_check(&early); /* its bytes were there before its time was over */
	cache_flush(rig->cache, RIG_WAIT_NS);
	assert_true(fake_store_holds(object, 0)); /* with the right checks, or it would not */
	cache_object_put(object);
}

static void test_fill__times_out_with_all_who_wait__is_an_error(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;
	struct backing_get *get;

	reader_start(&reader, rig, object, 0, 10, false);
	get = fake_backing_await(&rig->backing, 0);
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	fake_backing_finish(&rig->backing, get, -ETIMEDOUT);
	assert_int_equal(reader_wait(&reader), -ETIMEDOUT);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	cache_object_put(object);
}

static void test_fill__queue_of_the_backing_is_full__tries_again(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	reader_start(&reader, rig, object, 0, 10, false);
	for (unsigned i = 0; i < 3; i++) {
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), -EAGAIN);
		clock_manual_advance(&rig->clock, NS_PER_S);
	}
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_fill__on_the_ssd__needs_no_backing_store(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 9 * MIB + 5);

	for (uint64_t block = 0; block < 3; block++)
		fake_store_put(object, block);
	for (uint64_t off = 0; off < 9 * MIB; off += MIB)
		rig_read(rig, object, off, MIB, false);
	rig_read(rig, object, 9 * MIB, 5, false);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_int_equal(fake_store.reads, 3);
	assert_int_equal(fake_store.writes_started, 0);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_SSD), 3 * MIB);
	cache_object_put(object);
}

static void test_fill__ssd_fails__is_repaired_from_the_backing_store(void **state)
{
	static const struct {
		int status;
		bool repaired;
	} rows[] = { { -EBADMSG, true }, { -EIO, true }, { -ENOENT, false } };
	struct rig *rig = *state;

	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, 4 * MIB);
		uint64_t before = rig_counter(rig, CACHE_REPAIRED);

		fake_store_put(object, 0);
		fake_store.read_status = rows[i].status;
		rig_read(rig, object, 10, 4096, false);
		assert_int_equal(rig_counter(rig, CACHE_REPAIRED) - before, rows[i].repaired);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		assert_true(fake_store_holds(object, 0)); /* written again */
		cache_object_put(object);
	}
	assert_int_equal(rig_counter(rig, CACHE_READ_ERRORS), 0);
}

static void test_fill__granule_on_the_ssd_is_bad__fetches_that_granule(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 8 * MIB);
	struct reader reader;
	struct backing_get *get;

	fake_store_put(object, 1);
	fake_store.read_status = -EBADMSG;
	reader_start(&reader, rig, object, 5 * MIB + 100, 4096, true);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 5 * MIB);
	assert_int_equal(get->len, GRANULE_LEN);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&reader);
	assert_int_equal(rig_counter(rig, CACHE_REPAIRED), 1);
	assert_int_equal(fake_store.writes_started, 0); /* a granule is not a block */
	cache_object_put(object);
}

static void test_fill__repair_fails_too__is_the_readers_error(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	fake_store.read_status = -EIO;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), -EACCES);
	assert_int_equal(reader_wait(&reader), -EACCES);
	assert_int_equal(rig_counter(rig, CACHE_REPAIRED), 0);
	cache_object_put(object);
}

static void test_fill__hanging_ssd__does_not_hang_the_reader(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	fake_store.hold_reads = true;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_store_wait_reads_started(1);
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	assert_int_equal(reader_wait(&reader), -ETIMEDOUT);
	cache_object_put(object);
}

static void test_fill__small_object__takes_a_small_frame(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 110 * KIB);

	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 110 * KIB, false);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 128 * KIB);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.last_write_len, 110 * KIB);
	assert_true(fake_store.last_padding_clear);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fill__fetch_fails__all_waiters_hear_and_nothing_is_cached),
		TEST(test_fill__fails_under_a_reader_of_its_prefix__leaves_it_its_bytes),
		TEST(test_fill__version_is_gone__marks_the_object),
		TEST(test_fill__times_out_while_others_have_time__asks_for_the_rest_again),
		TEST(test_fill__times_out_with_all_who_wait__is_an_error),
		TEST(test_fill__queue_of_the_backing_is_full__tries_again),
		TEST(test_fill__on_the_ssd__needs_no_backing_store),
		TEST(test_fill__ssd_fails__is_repaired_from_the_backing_store),
		TEST(test_fill__granule_on_the_ssd_is_bad__fetches_that_granule),
		TEST(test_fill__repair_fails_too__is_the_readers_error),
		TEST(test_fill__hanging_ssd__does_not_hang_the_reader),
		TEST(test_fill__small_object__takes_a_small_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

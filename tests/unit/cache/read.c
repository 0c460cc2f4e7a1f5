/*
 * Tests of read.c: the life of a read, alone and among others.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"

#define ASKERS 64

static void test_read__cold__fetches_its_block_and_is_warm_then(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 10 * MIB);
	struct reader reader;
	struct backing_get *get;

	assert_int_equal(reader_start(&reader, rig, object, 5 * MIB, 4096, false), 0);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 4 * MIB);
	assert_int_equal(get->len, 4 * MIB);
	assert_string_equal(get->etag, "etag");
	assert_string_equal(get->request.bucket, "bucket");
	assert_false(get->request.background);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&reader);
	assert_int_equal(reader_start(&reader, rig, object, 7 * MIB, 1 * MIB, false), 1);
	reader_check(&reader);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 1);
	assert_int_equal(rig_counter(rig, CACHE_FETCH_BYTES), 4 * MIB);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_BACKING), 4096);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_MEMORY), 1 * MIB);
	assert_int_equal(rig_counter(rig, CACHE_READS), 2);
	cache_object_put(object);
}

static void test_read__of_several_sizes__is_right_at_the_edges(void **state)
{
	static const struct {
		uint64_t size, off, len;
	} rows[] = {
		{ 1, 0, 1 },
		{ 4095, 1, 4094 },
		{ 110 * KIB, 0, 110 * KIB },
		{ 4 * MIB, 4 * MIB - 1, 1 },
		{ 4 * MIB + 1, 4 * MIB, 1 },
		{ 9 * MIB, 4 * MIB - 5, 10 },
		{ 9 * MIB, 7 * MIB + 512 * KIB, 1 * MIB },
		{ 9 * MIB, 8 * MIB, 1 * MIB },
	};
	struct rig *rig = *state;

	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[8] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, rows[i].size);

		rig_read(rig, object, rows[i].off, rows[i].len, false);
		rig_read(rig, object, rows[i].off, rows[i].len, true);
		cache_object_put(object);
	}
}

static void test_read__many_askers__cause_one_fetch(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader *readers = calloc(ASKERS, sizeof(*readers));

	for (uint64_t i = 0; i < ASKERS; i++)
		assert_int_equal(
			reader_start(&readers[i], rig, object, i * 64 * KIB, 64 * KIB, false), 0);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	for (unsigned i = 0; i < ASKERS; i++)
		reader_check(&readers[i]);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	assert_int_equal(rig_counter(rig, CACHE_JOINED), ASKERS - 1);
	free(readers);
	cache_object_put(object);
}

struct asker {
	struct rig *rig;
	struct cache_object *object;
	pthread_t thread;
};

static void *ask(void *argument)
{
	struct asker *asker = argument;

	for (uint64_t off = 0; off < 12 * MIB; off += 1 * MIB)
		rig_read(asker->rig, asker->object, off, 1 * MIB, false);
	return NULL;
}

static void test_read__many_threads__fetch_each_byte_once(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 12 * MIB);
	struct asker askers[16];

	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < ARRAY_COUNT(askers); i++) {
		askers[i] = (struct asker){ .rig = rig, .object = object };
		assert_int_equal(thread_start(&askers[i].thread, "asker", ask, &askers[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(askers); i++)
		pthread_join(askers[i].thread, NULL);
	assert_int_equal(rig_counter(rig, CACHE_FETCH_BYTES), 12 * MIB);
	cache_object_put(object);
}

static void test_read__its_prefix_is_there__does_not_wait_for_the_block(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader first, second, third;
	struct backing_get *get;

	reader_start(&first, rig, object, 0, 64 * KIB, false);
	reader_start(&second, rig, object, 64 * KIB, 1, false);
	get = fake_backing_await(&rig->backing, 0);
	fake_backing_progress(get, 64 * KIB - 1);
	assert_false(reader_is_done(&first));
	fake_backing_progress(get, 64 * KIB);
	assert_true(reader_is_done(&first));
	assert_false(reader_is_done(&second));
	assert_int_equal(reader_start(&third, rig, object, 100, 1000, false), 1);
	reader_check(&first);
	reader_check(&third);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&second);
	cache_object_put(object);
}

static void test_read__its_time_is_over__fails_but_its_fetch_goes_on(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	reader_start(&reader, rig, object, 0, 4096, false);
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	assert_int_equal(reader_wait(&reader), -ETIMEDOUT);
	assert_int_equal(rig_counter(rig, CACHE_READ_TIMEOUTS), 1);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	assert_int_equal(reader_start(&reader, rig, object, 0, 4096, false), 1);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_cancel__while_it_waits__ends_it_and_only_it(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 8 * MIB);
	struct reader cancelled, other;

	reader_start(&cancelled, rig, object, 4 * MIB - 10, 20, false);
	reader_start(&other, rig, object, 4 * MIB - 10, 20, false);
	cache_read_cancel(&cancelled.read);
	assert_int_equal(reader_wait(&cancelled), -ECANCELED);
	cache_read_cancel(&cancelled.read); /* too late, and no harm */
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&other);
	assert_int_equal(cancelled.done_count, 1);
	assert_int_equal(rig_counter(rig, CACHE_READ_CANCELLED), 1);
	cache_object_put(object);
}

static void *cancel(void *argument)
{
	cache_read_cancel(&((struct reader *)argument)->read);
	return NULL;
}

static void test_cancel__while_its_bytes_arrive__ends_it_once(void **state)
{
	struct rig *rig = *state;

	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < 200; i++) {
		char key[16];
		struct cache_object *object;
		struct reader reader;
		pthread_t thread;

		snprintf(key, sizeof(key), "%u", i);
		object = rig_open(rig, key, 4096);
		if (reader_start(&reader, rig, object, 0, 4096, false) == 0) {
			assert_int_equal(thread_start(&thread, "cancel", cancel, &reader), 0);
			reader_wait(&reader);
			pthread_join(thread, NULL);
			assert_int_equal(reader.done_count, 1);
		}
		if (reader.read.status == 0)
			reader_check(&reader);
		else
			assert_int_equal(reader.read.status, -ECANCELED);
		cache_object_put(object);
	}
}

/* Fills the arena with blocks that are held by readers. */
static void hold_all(struct rig *rig, struct cache_object *object, struct reader *readers)
{
	for (unsigned i = 0; i < RIG_BLOCKS; i++) {
		reader_start(&readers[i], rig, object, i * RIG_BLOCK, 4096, false);
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		assert_int_equal(reader_wait(&readers[i]), 0);
	}
}

static void test_read__no_memory_left__waits_its_turn(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 2 * RIG_MEMORY);
	struct reader held[RIG_BLOCKS], first, second, hit;

	hold_all(rig, object, held);
	reader_start(&first, rig, object, RIG_MEMORY, 10, false);
	reader_start(&second, rig, object, RIG_MEMORY + RIG_BLOCK, 10, false);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), 2);
	assert_int_equal(fake_backing_pending(&rig->backing), 0);
	assert_int_equal(reader_start(&hit, rig, object, 0, 10, false), 1);
	reader_check(&hit);
	reader_check(&held[3]);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&first);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&second);
	for (unsigned i = 0; i < RIG_BLOCKS; i++)
		if (i != 3)
			reader_check(&held[i]);
	assert_true(rig_counter(rig, CACHE_MEMORY_USED) <= RIG_MEMORY);
	cache_object_put(object);
}

static void test_read__waits_for_memory_too_long__times_out_or_is_cancelled(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 2 * RIG_MEMORY);
	struct reader held[RIG_BLOCKS], late, cancelled;

	hold_all(rig, object, held);
	reader_start(&late, rig, object, RIG_MEMORY, 10, false);
	reader_start(&cancelled, rig, object, RIG_MEMORY, 10, false);
	cache_read_cancel(&cancelled.read);
	assert_int_equal(reader_wait(&cancelled), -ECANCELED);
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	assert_int_equal(reader_wait(&late), -ETIMEDOUT);
	for (unsigned i = 0; i < RIG_BLOCKS; i++)
		reader_check(&held[i]);
	assert_int_equal(fake_backing_pending(&rig->backing), 0);
	cache_object_put(object);
}

/* Readers of two blocks each, more than fit: were they to hold one while they wait for the other,
 * they would wait for each other. */
static void test_read__of_several_blocks__cannot_block_each_other(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 128 * RIG_BLOCK);
	struct reader *readers = calloc(64, sizeof(*readers));

	for (unsigned i = 0; i < 64; i++)
		reader_start(&readers[i], rig, object, (2 * i + 1) * RIG_BLOCK - 100, 200, false);
	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < 64; i++)
		reader_check(&readers[i]);
	free(readers);
	cache_object_put(object);
}

static void test_random_read__of_what_is_on_the_ssd__moves_a_granule(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 100 * MIB);

	for (uint64_t block = 0; block < 25; block++)
		fake_store_put(object, block);
	for (uint64_t i = 0; i < 200; i++)
		rig_read(rig, object, i * 512 * KIB, 4096, true);
	assert_int_equal(fake_store.granules_read, 200);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 64 * KIB * 200);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_SSD), 800 * KIB);
	rig_read(rig, object, 64 * KIB - 10, 20, true); /* the granule 0 is there already */
	assert_int_equal(fake_store.granules_read, 201);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 0);
	cache_object_put(object);
}

/* The SSD is full and the policy keeps what is there: whole blocks would be read for nothing. */
static void test_random_read__of_what_will_not_be_on_the_ssd__fetches_a_granule(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 100 * MIB);
	struct reader reader;
	struct backing_get *get;

	fake_store.refuse = true;
	reader_start(&reader, rig, object, 5 * MIB + 100, 4096, true);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, 5 * MIB);
	assert_int_equal(get->len, 64 * KIB);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&reader);
	assert_int_equal(fake_store.writes_started, 0);
	rig_read(rig, object, 5 * MIB, 100, true); /* the granule is there already */
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 1);
	cache_object_put(object);
}

static void test_random_read__of_what_is_not_on_the_ssd__fetches_the_block(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 100 * MIB);
	struct reader reader;
	struct backing_get *get;

	reader_start(&reader, rig, object, 5 * MIB, 4096, true);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->len, 4 * MIB);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_read__of_an_object__is_told_to_the_store(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4096);

	fake_store_put(object, 0);
	for (unsigned i = 0; i < 100; i++)
		rig_read(rig, object, 0, 4096, false);
	assert_int_equal(fake_store.touches, 1); /* at most once a second */
	clock_manual_advance(&rig->clock, 2 * NS_PER_S);
	rig_read(rig, object, 0, 4096, false);
	assert_int_equal(fake_store.touches, 2);
	cache_object_put(object);
}

static void test_reload__shorter_timeout__ends_the_younger_read_first(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct cache_config config = rig->config;
	struct reader older, younger;

	reader_start(&older, rig, object, 0, 10, false);
	config.read_timeout = NS_PER_S;
	cache_reload(rig->cache, &config);
	reader_start(&younger, rig, object, 0, 10, false);
	clock_manual_advance(&rig->clock, NS_PER_S);
	assert_int_equal(reader_wait(&younger), -ETIMEDOUT);
	assert_false(reader_is_done(&older));
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&older);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read__cold__fetches_its_block_and_is_warm_then),
		TEST(test_read__of_several_sizes__is_right_at_the_edges),
		TEST(test_read__many_askers__cause_one_fetch),
		TEST(test_read__many_threads__fetch_each_byte_once),
		TEST(test_read__its_prefix_is_there__does_not_wait_for_the_block),
		TEST(test_read__its_time_is_over__fails_but_its_fetch_goes_on),
		TEST(test_cancel__while_it_waits__ends_it_and_only_it),
		TEST(test_cancel__while_its_bytes_arrive__ends_it_once),
		TEST(test_read__no_memory_left__waits_its_turn),
		TEST(test_read__waits_for_memory_too_long__times_out_or_is_cancelled),
		TEST(test_read__of_several_blocks__cannot_block_each_other),
		TEST(test_random_read__of_what_is_on_the_ssd__moves_a_granule),
		TEST(test_random_read__of_what_will_not_be_on_the_ssd__fetches_a_granule),
		TEST(test_random_read__of_what_is_not_on_the_ssd__fetches_the_block),
		TEST(test_read__of_an_object__is_told_to_the_store),
		TEST(test_reload__shorter_timeout__ends_the_younger_read_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of cache.c: starting, and stopping with everything under way.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/rig_store.h"

static void default_config(struct cache_config *config)
{
	assert_int_equal(option_defaults(&cache_options, config), 0);
	config->memory = RIG_MEMORY;
}

static void test_create__any_allocation_fails__leaves_nothing(void **state)
{
	struct cache_config config;
	unsigned n;

	(void)state;
	default_config(&config);
	for (n = 1;; n++) {
		struct cache *cache = NULL;
		char problem[256] = "";
		int error;

		fake_store_reset();
		allocation_fault_arm(n);
		error = cache_create(&config, clock_system(), &cache, problem, sizeof(problem));
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			cache_stop(cache);
			cache_destroy(cache);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_non_null(strstr(problem, "memory"));
		assert_null(cache);
	}
	assert_true(n > 5);
	option_free(&cache_options, &config);
}

static void test_create__store_cannot_start__says_so(void **state)
{
	struct cache_config config;
	struct cache *cache = NULL;
	char problem[256] = "";

	(void)state;
	default_config(&config);
	fake_store_reset();
	fake_store.create_error = -EAGAIN;
	assert_int_equal(cache_create(&config, clock_system(), &cache, problem, sizeof(problem)),
			 -EAGAIN);
	assert_non_null(strstr(problem, "EAGAIN"));
	assert_null(cache);
	option_free(&cache_options, &config);
}

static void test_create__settings_contradict__is_refused(void **state)
{
	struct cache_config config;
	struct cache *cache = NULL;
	char problem[256] = "";

	(void)state;
	default_config(&config);
	config.block_len = 3 * MIB;
	assert_int_equal(cache_create(&config, clock_system(), &cache, problem, sizeof(problem)),
			 -EINVAL);
	assert_non_null(strstr(problem, "block_len"));
	option_free(&cache_options, &config);
}

static void test_destroy__nothing__is_fine(void **state)
{
	(void)state;
	cache_destroy(NULL);
}

static void test_stop__with_everything_under_way__ends_it_all(void **state)
{
	struct reader readers[RIG_BLOCKS + 3], after;
	struct cache_object *object, *stored;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	object = rig_open(&rig, "a", 4 * RIG_MEMORY);
	stored = rig_open(&rig, "b", 4 * MIB);
	fake_store_put(stored, 0);
	fake_store.hold_reads = fake_store.hold_writes = true;
	/* a read from the SSD, a block being written, fetches, and readers without memory */
	reader_start(&readers[0], &rig, stored, 0, 10, false);
	reader_start(&readers[1], &rig, object, 0, 10, false);
	fake_backing_finish(&rig.backing, fake_backing_await(&rig.backing, 0), 0);
	reader_check(&readers[1]);
	for (unsigned i = 1; i < RIG_BLOCKS + 3; i++)
		reader_start(&readers[i], &rig, object, i * RIG_BLOCK, 10, false);
	/* and one that waits for its next attempt */
	fake_backing_finish(&rig.backing, fake_backing_await(&rig.backing, 3), -EAGAIN);
	cache_stop(rig.cache);
	for (unsigned i = 0; i < RIG_BLOCKS + 3; i++)
		assert_int_equal(reader_wait(&readers[i]), -ECANCELED);
	assert_int_equal(reader_start(&after, &rig, object, 3 * RIG_MEMORY, 10, false), 0);
	assert_int_equal(reader_wait(&after), -ECANCELED);
	assert_int_equal(cache_prefetch(rig.cache, object, 3 * RIG_MEMORY, 10), 0);
	cache_object_put(object);
	cache_object_put(stored);
	rig_fini(&rig); /* stops once more, ends the fetches, destroys */
}

static void test_stop__blocks_wait_to_be_written__gives_up_their_objects(void **state)
{
	struct cache_object *object;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	object = rig_open(&rig, "a", RIG_MEMORY);
	fake_store.hold_writes = true;
	fake_backing_automatic(&rig.backing);
	for (uint64_t off = 0; off < RIG_MEMORY; off += RIG_BLOCK)
		rig_read(&rig, object, off, 10, false);
	cache_object_put(object);
	assert_int_equal(rig_counter(&rig, CACHE_OBJECTS), 1);
	rig_fini(&rig);
}

static void *finish_one(void *argument)
{
	struct rig *rig = argument;

	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	return NULL;
}

static void *stop(void *argument)
{
	cache_stop(argument);
	return NULL;
}

static void test_stop__a_block_is_being_handed_to_the_store__waits_for_that(void **state)
{
	struct reader first, second;
	struct cache_object *object;
	pthread_t finisher, stopper;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	object = rig_open(&rig, "a", RIG_MEMORY);
	fake_store.hold_admit = true;
	reader_start(&first, &rig, object, 0, 10, false);
	assert_int_equal(thread_start(&finisher, "finish", finish_one, &rig), 0);
	reader_check(&first);
	fake_store_wait_admits(1);
	reader_start(&second, &rig, object, RIG_BLOCK, 10, false);
	assert_int_equal(thread_start(&stopper, "stop", stop, rig.cache), 0);
	assert_int_equal(reader_wait(&second), -ECANCELED); /* the stop has begun */
	fake_store_let_go();
	pthread_join(stopper, NULL);
	pthread_join(finisher, NULL);
	assert_int_equal(fake_store.writes_started, fake_store.writes_done);
	cache_object_put(object);
	rig_fini(&rig);
}

static void test_status__of_a_cache__is_there(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(cache_memory_len(rig.cache), RIG_MEMORY);
	assert_int_equal(cache_directory_count(rig.cache), 0);
	assert_non_null(cache_read_latency(rig.cache));
	assert_non_null(cache_store_counters(rig.cache));
	for (unsigned i = 0; i < CACHE_COUNTER_COUNT; i++) {
		assert_non_null(cache_counters(rig.cache)->specs[i].name);
		assert_non_null(cache_counters(rig.cache)->specs[i].help);
	}
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create__any_allocation_fails__leaves_nothing),
		cmocka_unit_test(test_create__store_cannot_start__says_so),
		cmocka_unit_test(test_create__settings_contradict__is_refused),
		cmocka_unit_test(test_destroy__nothing__is_fine),
		cmocka_unit_test(test_stop__with_everything_under_way__ends_it_all),
		cmocka_unit_test(test_stop__blocks_wait_to_be_written__gives_up_their_objects),
		cmocka_unit_test(test_stop__a_block_is_being_handed_to_the_store__waits_for_that),
		cmocka_unit_test(test_status__of_a_cache__is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of handout.c: what becomes of a block that the SSD has lost.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_lost__in_memory__is_written_again(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB + 5000);

	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 4 * MIB - 1, 2, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_started, 2);
	cache_block_lost(rig->cache, cache_object_id(object), 1);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_started, 3);
	rig_read(rig, object, 4 * MIB, 10, false);
	cache_object_put(object);
}

static void test_lost__not_in_memory_or_nobody_has_it_open__nothing_happens(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct object_id id = *cache_object_id(object);

	fake_backing_automatic(&rig->backing);
	cache_block_lost(rig->cache, &id, 0);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_started, 0);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 0);
	cache_object_put(object);
	cache_block_lost(rig->cache, &id, 0);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
}

static void test_handout__nothing_to_hand_out__eagain(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct cache_handout handout;

	assert_int_equal(cache_handout(object, &handout), -EAGAIN);
	assert_false(cache_handout_ready(rig->cache, cache_object_id(object), true));
	cache_object_put(object);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_lost__in_memory__is_written_again),
		ROW(test_lost__not_in_memory_or_nobody_has_it_open__nothing_happens),
		ROW(test_handout__nothing_to_hand_out__eagain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

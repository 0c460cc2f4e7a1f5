/*
 * Tests of write.c: blocks on their way to the SSD, and that nobody waits for it.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_write__after_a_fetch__puts_the_block_on_the_ssd(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB + 5000);

	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 4 * MIB - 1, 2, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_true(fake_store_holds(object, 0));
	assert_true(fake_store_holds(object, 1));
	assert_int_equal(cache_object_resident(rig->cache, &object->store.version), 4 * MIB + 5000);
	cache_object_put(object);
}

static void test_write__policy_refuses__keeps_the_block_in_memory_only(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	fake_store.refuse = true;
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_started, 0);
	assert_int_equal(rig_counter(rig, CACHE_STORE_SKIPPED), 1);
	assert_int_equal(cache_object_resident(rig->cache, &object->store.version), 0);
	rig_read(rig, object, 0, 10, false);
	cache_object_put(object);
}

static void test_write__disk_is_full_or_broken__readers_do_not_notice(void **state)
{
	static const int errors[] = { -ENOSPC, -EIO };
	struct rig *rig = *state;

	fake_backing_automatic(&rig->backing);
	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, 4 * MIB);

		fake_store.write_status = errors[i];
		rig_read(rig, object, 0, 10, false);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		rig_read(rig, object, 100, 10, false);
		cache_object_put(object);
	}
	assert_int_equal(rig_counter(rig, CACHE_STORE_SKIPPED), 2);
	assert_int_equal(rig_counter(rig, CACHE_READ_ERRORS), 0);
}

static void test_write__slow_ssd__holds_up_no_reader(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * RIG_MEMORY);

	fake_store.hold_writes = true;
	fake_backing_automatic(&rig->backing);
	for (uint64_t off = 0; off < 4 * RIG_MEMORY; off += RIG_BLOCK) {
		rig_read(rig, object, off, 4096, false);
		assert_true(fake_store.bytes_held <= RIG_MEMORY / 4);
	}
	assert_true(rig_counter(rig, CACHE_STORE_SKIPPED) > 0);
	assert_int_equal(cache_flush(rig->cache, NS_PER_MS), -ETIMEDOUT);
	fake_store_let_go();
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_done + rig_counter(rig, CACHE_STORE_SKIPPED),
			 4 * RIG_BLOCKS);
	cache_object_put(object);
}

static void test_write__object_is_obsolete__is_not_written(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	cache_object_obsolete(rig->cache, &object->store.version);
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.writes_started, 0);
	cache_object_put(object);
}

static void test_write__handle_is_closed__goes_on(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct object_version version = { "fake", "bucket", "a", "etag", 4 * MIB };

	fake_store.hold_writes = true;
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 10, false);
	cache_object_put(object);
	assert_int_equal(cache_object_resident(rig->cache, &version), 4 * MIB);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 1);
	fake_store_let_go();
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(cache_object_resident(rig->cache, &version), 4 * MIB);
	rig_wait_counter(rig, CACHE_OBJECTS, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write__after_a_fetch__puts_the_block_on_the_ssd),
		TEST(test_write__policy_refuses__keeps_the_block_in_memory_only),
		TEST(test_write__disk_is_full_or_broken__readers_do_not_notice),
		TEST(test_write__slow_ssd__holds_up_no_reader),
		TEST(test_write__object_is_obsolete__is_not_written),
		TEST(test_write__handle_is_closed__goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

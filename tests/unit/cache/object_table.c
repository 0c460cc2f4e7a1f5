/*
 * Tests of object_table.c: open versions are shared and live as long as they are needed.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

static void test_open__equal_versions__are_one_object(void **state)
{
	struct rig *rig = *state;
	struct cache_object *first = rig_open(rig, "a", 10), *second = rig_open(rig, "a", 10);
	struct cache_object *other = rig_open(rig, "a", 11);

	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, other);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 2);
	assert_int_equal(cache_object_size(other), 11);
	assert_memory_equal(cache_object_id(first), cache_object_id(second), OBJECT_ID_LEN);
	cache_object_put(first);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 2);
	cache_object_put(second);
	cache_object_put(other);
	cache_object_put(NULL);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
}

static void test_open__strings_of_the_caller_change__keeps_its_own(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", etag[] = "etag", dataset[] = "/data";
	struct object_version version = { "fake", "bucket", key, etag, 10 };
	struct cache_object *object;

	assert_int_equal(
		cache_object_open(rig->cache, &version, 5, &rig->backing.backing, dataset, &object),
		0);
	key[0] = etag[0] = dataset[0] = 'x';
	assert_string_equal(object->store.version.key, "key");
	assert_string_equal(object->store.version.etag, "etag");
	assert_string_equal(object->store.dataset, "/data");
	assert_int_equal(object->store.mtime_s, 5);
	cache_object_put(object);
}

static void test_open__no_memory__fails_without_a_trace(void **state)
{
	struct object_version version = { "fake", "bucket", "a", "etag", 10 };
	struct cache_object *object = NULL;
	struct rig *rig = *state;

	allocation_fault_arm(1);
	assert_int_equal(
		cache_object_open(rig->cache, &version, 0, &rig->backing.backing, "/", &object),
		-ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_null(object);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
}

static void test_open__closed_and_open_again__finds_its_blocks(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4096);
	struct reader reader;

	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 4096, false);
	cache_object_put(object);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	object = rig_open(rig, "a", 4096);
	assert_int_equal(reader_start(&reader, rig, object, 0, 4096, false), 1);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_resident__of_a_version__counts_what_needs_no_backing_store(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 10 * MIB);
	const struct object_version *version = &object->store.version;

	assert_int_equal(cache_object_resident(rig->cache, version), 0);
	fake_store_put(object, 2);
	assert_int_equal(cache_object_resident(rig->cache, version), 2 * MIB);
	fake_store_put(object, 0);
	assert_int_equal(cache_object_resident(rig->cache, version), 6 * MIB);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open__equal_versions__are_one_object),
		TEST(test_open__strings_of_the_caller_change__keeps_its_own),
		TEST(test_open__no_memory__fails_without_a_trace),
		TEST(test_open__closed_and_open_again__finds_its_blocks),
		TEST(test_resident__of_a_version__counts_what_needs_no_backing_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

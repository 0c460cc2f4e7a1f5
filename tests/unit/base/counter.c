/*
 * Tests of counter.h.
 */
#include "base/counter.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "base/check.h"

enum { READ_BYTES, OPEN_COUNT, METER_COUNT };
static const struct counter_spec specs[] = {
	{ "read_bytes", COUNTER_TOTAL, "bytes", "bytes that were read" },
	{ "open_count", COUNTER_GAUGE, "files", "files that are open" },
};
_Static_assert(ARRAY_COUNT(specs) == METER_COUNT, "a row each");

static void test_counters__add_sub_set__are_read_back(void **state)
{
	struct counters counters;

	(void)state;
	assert_int_equal(counters_init(&counters, "fuse", specs, METER_COUNT), 0);
	assert_string_equal(counters.room, "fuse");
	assert_int_equal(counter_get(&counters, READ_BYTES), 0);
	counter_add(&counters, READ_BYTES, UINT64_C(1) << 40);
	counter_add(&counters, READ_BYTES, 1);
	counter_set(&counters, OPEN_COUNT, 5);
	counter_sub(&counters, OPEN_COUNT, 2);
	assert_int_equal(counter_get(&counters, READ_BYTES), (UINT64_C(1) << 40) + 1);
	assert_int_equal(counter_get(&counters, OPEN_COUNT), 3);
	counters_fini(&counters);
	assert_true(counters.values == NULL);
	counters_fini(&counters);
}

static void test_counters_init__no_memory__says_so_and_writes_nothing(void **state)
{
	struct counters counters = { .room = "untouched" };

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(counters_init(&counters, "fuse", specs, METER_COUNT), -ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_string_equal(counters.room, "untouched");
	counters_fini(&counters);
}

static void *add_many(void *argument)
{
	for (int i = 0; i < 10000; i++)
		counter_add(argument, READ_BYTES, 3);
	return NULL;
}

static void test_counter_add__several_threads__loses_nothing(void **state)
{
	struct counters counters;
	pthread_t threads[4];

	(void)state;
	assert_int_equal(counters_init(&counters, "fuse", specs, METER_COUNT), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &counters), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counter_get(&counters, READ_BYTES), 120000);
	counters_fini(&counters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters__add_sub_set__are_read_back),
		cmocka_unit_test(test_counters_init__no_memory__says_so_and_writes_nothing),
		cmocka_unit_test(test_counter_add__several_threads__loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

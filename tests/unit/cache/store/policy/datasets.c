/*
 * Tests of cache/store/policy/datasets.h.
 */
#include "cache/store/policy/datasets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

static uint32_t number_of(struct datasets *datasets, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "/dataset/%u", i);
	return datasets_number(datasets, name);
}

static void test_number__same_name__same_number(void **state)
{
	struct datasets datasets;

	(void)state;
	assert_int_equal(datasets_init(&datasets), 0);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 1000; i++)
			assert_int_equal(number_of(&datasets, i), i + 1);
	}
	assert_int_equal(datasets_find(&datasets, "/dataset/7"), 8);
	assert_int_equal(datasets_find(&datasets, "/dataset"), DATASET_SHARED);
	datasets_fini(&datasets);
}

static void test_number__more_than_there_are__shared_until_one_is_empty(void **state)
{
	struct datasets datasets;

	(void)state;
	assert_int_equal(datasets_init(&datasets), 0);
	for (unsigned i = 1; i < DATASETS_MAX; i++) {
		assert_int_equal(number_of(&datasets, i), i);
		datasets_add(&datasets, i, 1);
	}
	assert_int_equal(number_of(&datasets, DATASETS_MAX), DATASET_SHARED);
	datasets_add(&datasets, 77, -1);
	datasets_add(&datasets, 78, -1);
	datasets_touch(&datasets, 77);
	assert_int_equal(number_of(&datasets, DATASETS_MAX), 78);
	assert_int_equal(number_of(&datasets, DATASETS_MAX), 78);
	assert_int_equal(number_of(&datasets, 79), 79);
	datasets_fini(&datasets);
}

static void test_load__from_an_index__found_by_name_and_counted(void **state)
{
	struct datasets datasets;

	(void)state;
	assert_int_equal(datasets_init(&datasets), 0);
	assert_int_equal(datasets_load(&datasets, 500, "/dataset/3", 10, 4096, 17), 0);
	assert_int_equal(datasets_load(&datasets, DATASETS_MAX, "/beyond", 7, 1, 1), 0);
	assert_int_equal(number_of(&datasets, 3), 500);
	assert_int_equal(datasets_get(&datasets, 500)->bytes, 4096);
	assert_int_equal(number_of(&datasets, 4), 501);
	assert_true(datasets_get(&datasets, 501)->access > 17);
	/* Numbers that nobody knows are the shared one. */
	assert_ptr_equal(datasets_get(&datasets, 60000), datasets_get(&datasets, DATASET_SHARED));
	datasets_fini(&datasets);
}

static void test_number__no_memory__shared(void **state)
{
	struct datasets datasets;
	unsigned i = 0;

	(void)state;
	assert_int_equal(datasets_init(&datasets), 0);
	do
		datasets_add(&datasets, number_of(&datasets, i++), 1);
	while (datasets.count < 64);
	for (unsigned nth = 1; nth <= 2; nth++) {
		allocation_fault_arm(nth);
		assert_int_equal(number_of(&datasets, 1000), DATASET_SHARED);
		assert_true(allocation_fault_disarm());
	}
	assert_int_equal(number_of(&datasets, 1000), 64);
	assert_int_equal(number_of(&datasets, 3), 4);
	datasets_fini(&datasets);
}

static void test_init__no_memory__says_so(void **state)
{
	struct datasets datasets;

	(void)state;
	for (unsigned nth = 1; nth <= 2; nth++) {
		allocation_fault_arm(nth);
		assert_int_equal(datasets_init(&datasets), -ENOMEM);
		assert_true(allocation_fault_disarm());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number__same_name__same_number),
		cmocka_unit_test(test_number__more_than_there_are__shared_until_one_is_empty),
		cmocka_unit_test(test_load__from_an_index__found_by_name_and_counted),
		cmocka_unit_test(test_number__no_memory__shared),
		cmocka_unit_test(test_init__no_memory__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

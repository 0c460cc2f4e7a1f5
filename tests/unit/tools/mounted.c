/*
 * Tests of tools/mounted.h.
 */
#include "tools/mounted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_mounted_type__of_proc__is_proc(void **state)
{
	char type[64];

	(void)state;
	mounted_type("/proc", type, sizeof(type));
	assert_string_equal(type, "proc");
	mounted_type("/proc/", type, sizeof(type));
	assert_string_equal(type, "proc");
}

static void test_mounted_type__of_no_mountpoint__is_empty(void **state)
{
	char type[64] = "x";

	(void)state;
	mounted_type("/proc/self", type, sizeof(type));
	assert_string_equal(type, "");
	mounted_type("/nonexistent", type, sizeof(type));
	assert_string_equal(type, "");
	mounted_type("/pro", type, sizeof(type));
	assert_string_equal(type, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mounted_type__of_proc__is_proc),
		cmocka_unit_test(test_mounted_type__of_no_mountpoint__is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

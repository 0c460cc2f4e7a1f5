/*
 * Tests of error.h.
 */
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	int error;
	const char *text;
	const char *name;
} rows[] = {
	{ 0, "no error", "OK" },
	{ -EIO, "Input/output error (EIO)", "EIO" },
	{ EIO, "Input/output error (EIO)", "EIO" },
	{ -ENOENT, "No such file or directory (ENOENT)", "ENOENT" },
	{ -EHWPOISON, "Memory page has hardware error (EHWPOISON)", "EHWPOISON" },
	{ -58, "error 58", "EUNKNOWN" }, /* a gap in Linux' numbers */
	{ -139, "error 139", "EUNKNOWN" },
	{ -4096, "error 4096", "EUNKNOWN" },
	{ INT_MIN, "error 2147483647", "EUNKNOWN" },
	{ INT_MAX, "error 2147483647", "EUNKNOWN" },
};

static void test_error_text__any_code__is_readable(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(error_text(rows[i].error), rows[i].text);
		assert_string_equal(error_name(rows[i].error), rows[i].name);
	}
}

static void test_error_text__several_known_codes__live_side_by_side(void **state)
{
	const char *first = error_text(-EIO);
	const char *second = error_text(-EACCES);

	(void)state;
	assert_string_equal(first, "Input/output error (EIO)");
	assert_string_equal(second, "Permission denied (EACCES)");
	assert_ptr_equal(error_text(-EIO), first);
}

static void *read_texts(void *argument)
{
	for (int i = 0; i < 200; i++) {
		if (strlen(error_text(-i)) < 5)
			return NULL;
	}
	return argument;
}

static void test_error_text__several_threads__agree(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_texts, threads), 0);
	for (int i = 0; i < 4; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, threads);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_text__several_threads__agree),
		cmocka_unit_test(test_error_text__any_code__is_readable),
		cmocka_unit_test(test_error_text__several_known_codes__live_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of etag.h.
 */
#include "s3/wire/etag.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_etag_unquote__rows(void **state)
{
	static const struct {
		const char *in;
		int error;
		const char *out;
	} rows[] = {
		{ "\"abc\"", 0, "abc" },     { "abc", 0, "abc" }, { "\"a\"b\"", 0, "a\"b" },
		{ "W/\"x\"", 0, "W/\"x\"" }, { "\"", 0, "\"" },	  { "\"\"", -EINVAL, "" },
		{ "", -EINVAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char out[S3_ETAG_MAX] = "";
		assert_int_equal(etag_unquote(rows[i].in, out), rows[i].error);
		assert_string_equal(out, rows[i].out);
	}
}

static void test_etag_unquote__too_long__is_refused(void **state)
{
	char in[S3_ETAG_MAX + 4] = "", out[S3_ETAG_MAX];

	(void)state;
	memset(in, 'e', S3_ETAG_MAX - 1);
	assert_int_equal(etag_unquote(in, out), 0);
	memset(in, 'e', S3_ETAG_MAX);
	assert_int_equal(etag_unquote(in, out), -EINVAL);
}

static void test_etag_quote__strong_and_weak(void **state)
{
	char out[ETAG_HEADER_MAX];

	(void)state;
	etag_quote("abc", out);
	assert_string_equal(out, "\"abc\"");
	etag_quote("W/\"abc\"", out);
	assert_string_equal(out, "W/\"abc\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_etag_unquote__rows),
		cmocka_unit_test(test_etag_unquote__too_long__is_refused),
		cmocka_unit_test(test_etag_quote__strong_and_weak),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

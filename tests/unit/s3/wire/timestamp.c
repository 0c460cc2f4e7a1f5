/*
 * Tests of timestamp.h.
 */
#include "s3/wire/timestamp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"

static void test_timestamp_format_basic__rows(void **state)
{
	char out[TIMESTAMP_BASIC_SIZE];

	(void)state;
	timestamp_format_basic(0, out);
	assert_string_equal(out, "19700101T000000Z");
	timestamp_format_basic(1369353600, out);
	assert_string_equal(out, "20130524T000000Z");
	timestamp_format_basic(1709251199, out);
	assert_string_equal(out, "20240229T235959Z");
}

static void test_timestamp_parse_iso8601__rows(void **state)
{
	static const struct {
		const char *text;
		int error;
		int64_t time_s;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2009-10-12T17:50:30.000Z", 0, 1255369830 },
		{ "2009-10-12T17:50:30.999Z", 0, 1255369830 },
		{ "2009-10-12T17:50:30", 0, 1255369830 },
		{ "2009-10-12T19:50:30+02:00", 0, 1255369830 },
		{ "2009-10-12T16:20:30-01:30", 0, 1255369830 },
		{ "2024-02-29T00:00:00Z", 0, 1709164800 },
		{ "2023-02-29T00:00:00Z", -EINVAL, 0 },
		{ "2009-13-12T17:50:30Z", -EINVAL, 0 },
		{ "2009-00-12T17:50:30Z", -EINVAL, 0 },
		{ "2009-10-32T17:50:30Z", -EINVAL, 0 },
		{ "2009-10-12T24:50:30Z", -EINVAL, 0 },
		{ "2009-10-12T17:60:30Z", -EINVAL, 0 },
		{ "2009-10-12T17:50:61Z", -EINVAL, 0 },
		{ "2009-10-12 17:50:30Z", -EINVAL, 0 },
		{ "2009-10-12T17:50:30Zx", -EINVAL, 0 },
		{ "2009-10-12T17:50:30+2", -EINVAL, 0 },
		{ "2009-10-12T17:50:30+24:00", -EINVAL, 0 },
		{ "2009-10-12", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "yesterday", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t time_s = 0;
		assert_int_equal(timestamp_parse_iso8601(rows[i].text, &time_s), rows[i].error);
		assert_int_equal(time_s, rows[i].time_s);
	}
}

static void test_timestamp_parse_http__rows(void **state)
{
	static const struct {
		const char *text;
		int error;
		int64_t time_s;
	} rows[] = {
		{ "Wed, 21 Oct 2015 07:28:00 GMT", 0, 1445412480 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0, 0 },
		{ "Thu, 29 Feb 2024 00:00:00 GMT", 0, 1709164800 },
		{ "Wed, 21 Oct 2015 07:28:00", -EINVAL, 0 },
		{ "Wed, 21 Oct 2015 07:28:00 CET", -EINVAL, 0 },
		{ "Wed, 32 Oct 2015 07:28:00 GMT", -EINVAL, 0 },
		{ "Wed, 21 Okt 2015 07:28:00 GMT", -EINVAL, 0 },
		{ "Wed, 21 Oct 2015 25:28:00 GMT", -EINVAL, 0 },
		{ "21 Oct 2015 07:28:00 GMT", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t time_s = 0;
		assert_int_equal(timestamp_parse_http(rows[i].text, &time_s), rows[i].error);
		assert_int_equal(time_s, rows[i].time_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timestamp_format_basic__rows),
		cmocka_unit_test(test_timestamp_parse_iso8601__rows),
		cmocka_unit_test(test_timestamp_parse_http__rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of response.h.
 */
#include "s3/engine/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static struct response parse(const char *lines)
{
	struct response response = { 0 };

	while (*lines) {
		size_t len = strcspn(lines, "\n") + 1;
		response_line(&response, lines, len);
		lines += len;
	}
	return response;
}

static void test_response_line__a_get__is_read(void **state)
{
	struct response response = parse("HTTP/1.1 206 Partial Content\r\n"
					 "ETag: \"abc\"\r\n"
					 "content-length:100\r\n"
					 "Content-Range: bytes 50-149/1000\r\n"
					 "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
					 "DATE: Thu, 22 Oct 2015 07:28:00 GMT \r\n"
					 "x-other: y\r\n");

	(void)state;
	assert_int_equal(response.http_status, 206);
	assert_string_equal(response.etag, "abc");
	assert_true(response.has_length);
	assert_int_equal(response.length, 100);
	assert_true(response.has_range);
	assert_int_equal(response.range_first, 50);
	assert_int_equal(response.range_last, 149);
	assert_int_equal(response.range_total, 1000);
	assert_true(response.has_mtime);
	assert_int_equal(response.mtime_s, 1445412480);
	assert_true(response.has_date);
	assert_int_equal(response.date_s, 1445412480 + 86400);
}

static void test_response_line__empty_line__ends_the_head(void **state)
{
	struct response response = { 0 };

	(void)state;
	assert_int_equal(response_line(&response, "HTTP/2 200\r\n", 12), RESPONSE_MORE);
	assert_int_equal(response_line(&response, "A: b\r\n", 6), RESPONSE_MORE);
	assert_int_equal(response_line(&response, "\r\n", 2), RESPONSE_HEAD);
	assert_int_equal(response.http_status, 200);
}

static void test_response_line__trailers__are_left_out(void **state)
{
	struct response response = parse("HTTP/1.1 200 OK\r\nETag: \"x\"\r\n\r\n");

	(void)state;
	assert_int_equal(response_line(&response, "ETag: \"y\"\r\n", 11), RESPONSE_MORE);
	assert_int_equal(response_line(&response, "\r\n", 2), RESPONSE_MORE);
	assert_string_equal(response.etag, "x");
}

static void test_response_line__second_status__starts_over(void **state)
{
	struct response response =
		parse("HTTP/1.1 100 Continue\r\nETag: \"x\"\r\n\r\nHTTP/1.1 403 Forbidden\r\n");

	(void)state;
	assert_int_equal(response.http_status, 403);
	assert_string_equal(response.etag, "");
}

static void test_response_line__what_cannot_be_read__is_absent(void **state)
{
	static const char *const lines[] = {
		"HTTP/1.1 2x6 OK\r\n",
		"HTTP/1.1\r\n",
		"HTTP/1.1 20\r\n",
		"Content-Length: -1\r\n",
		"Content-Length: 1x\r\n",
		"Content-Length: 99999999999999999999\r\n",
		"Content-Length:\r\n",
		"Content-Range: bytes 5-4/10\r\n",
		"Content-Range: bytes 5-10/10\r\n",
		"Content-Range: bytes 5-9\r\n",
		"Content-Range: bytes */10\r\n",
		"Content-Range: lines 0-9/10\r\n",
		"Content-Range: bytes 0-9/10x\r\n",
		"ETag: \"\"\r\n",
		"ETag\r\n",
		"Date: today\r\n",
		"Last-Modified: never\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct response response = parse(lines[i]);
		assert_int_equal(response.http_status, 0);
		assert_false(response.has_length);
		assert_false(response.has_range);
		assert_false(response.has_mtime);
		assert_false(response.has_date);
		assert_string_equal(response.etag, "");
	}
}

static void test_response_line__total_not_known__is_a_range(void **state)
{
	struct response response = parse("Content-Range: bytes 0-9/*\r\n");

	(void)state;
	assert_true(response.has_range);
	assert_true(response.range_total == UINT64_MAX);
}

static void test_response_line__two_ranges__the_last_counts_even_if_it_is_none(void **state)
{
	struct response response =
		parse("Content-Range: bytes 0-9/10\r\nContent-Range: bytes 9-0/5\r\n");

	(void)state;
	assert_false(response.has_range);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_response_line__a_get__is_read),
		cmocka_unit_test(test_response_line__empty_line__ends_the_head),
		cmocka_unit_test(test_response_line__trailers__are_left_out),
		cmocka_unit_test(test_response_line__second_status__starts_over),
		cmocka_unit_test(test_response_line__what_cannot_be_read__is_absent),
		cmocka_unit_test(test_response_line__total_not_known__is_a_range),
		cmocka_unit_test(
			test_response_line__two_ranges__the_last_counts_even_if_it_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

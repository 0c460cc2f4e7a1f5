/*
 * Tests of s3_head(): what it reads, and how it finds out why a HEAD was refused although the
 * answer has no body that would tell.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/s3/support/fixture.h"

#define GOOD "ETag: \"abc\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"

static struct s3_head make_head(void)
{
	return (struct s3_head){ .request = { .bucket = "bucket",
					      .key = "a key",
					      .deadline_ns = fixture_deadline(30000) } };
}

struct answer {
	const char *head; /* of the answer, without the empty line */
};

static void send_head(struct http_exchange *exchange, void *context)
{
	const struct answer *answer = context;

	CHECK(!strcmp(exchange->method, "HEAD"));
	http_send(exchange, answer->head, strlen(answer->head));
	http_send(exchange, "\r\n", 2);
}

static void test_s3_head__good_answer__is_read(void **state)
{
	struct answer answer = { "HTTP/1.1 200 OK\r\n" GOOD "Content-Length: 5000000000\r\n" };
	struct s3_head head = make_head();
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, send_head, &answer);
	fixture_start(&fixture);
	assert_int_equal(fixture_head(&fixture, &head), 0);
	assert_int_equal(head.meta.size, UINT64_C(5000000000));
	assert_int_equal(head.meta.mtime_s, 1445412480);
	assert_string_equal(head.meta.etag, "abc");
	assert_int_equal(fixture_counter(&fixture, S3_HEADS), 1);
	fixture_fini(&fixture);
}

static void test_s3_head__refusals_and_odd_answers(void **state)
{
	static const struct {
		const char *head;
		int status;
		const char *problem;
	} rows[] = {
		{ "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", -ENOENT, "404" },
		{ "HTTP/1.1 404 Not Found\r\nContent-Length: 300\r\n", -ENOENT, "404" },
		{ "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n", -EACCES, "403" },
		{ "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n", -EINVAL, "400" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", -EPROTO, "without ETag" },
		{ "HTTP/1.1 200 OK\r\n" GOOD, -EPROTO, "without Content-Length" },
		{ "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 5\r\n", -EPROTO,
		  "without Last-Modified" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct answer answer = { rows[i].head };
		struct s3_head head = make_head();
		struct fixture fixture;
		fixture_init(&fixture, send_head, &answer);
		fixture_start(&fixture);
		assert_int_equal(fixture_head(&fixture, &head), rows[i].status);
		assert_non_null(strstr(head.request.problem, rows[i].problem));
		assert_int_equal(head.meta.size, 0);
		assert_int_equal(http_server_count(fixture.server), 1);
		fixture_fini(&fixture);
	}
}

/* A service whose clock is @offset_s off ours and that minds. */
struct skewed {
	int64_t offset_s;
	bool with_code; /* says RequestTimeTooSkewed where there is a body */
	_Atomic unsigned refused;
};

static void format_date(int64_t time_s, char *out, size_t size)
{
	time_t time = (time_t)time_s;
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(out, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

static void serve_skewed(struct http_exchange *exchange, void *context)
{
	static const char body[] = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
	struct skewed *skewed = context;
	int64_t now_s = clock_wall_ns(clock_system()) / (int64_t)NS_PER_S + skewed->offset_s;
	char stamp[64], date[64], headers[256];
	struct tm tm = { 0 };

	CHECK(http_header(exchange, "x-amz-date", stamp, sizeof(stamp)));
	CHECK(strptime(stamp, "%Y%m%dT%H%M%SZ", &tm));
	format_date(now_s, date, sizeof(date));
	if (llabs((long long)(timegm(&tm) - now_s)) > 900) {
		atomic_fetch_add(&skewed->refused, 1);
		http_answer(exchange, 403, date, body, skewed->with_code ? strlen(body) : 0);
		return;
	}
	snprintf(headers, sizeof(headers), "%s%s", date, GOOD);
	http_answer(exchange, 200, headers, "x", 1);
}

static void test_s3_head__our_clock_is_off__is_corrected_once_for_all(void **state)
{
	static const int64_t offsets[] = { 86400, -7200 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		struct skewed skewed = { .offset_s = offsets[i] };
		struct fixture fixture;
		fixture_init(&fixture, serve_skewed, &skewed);
		fixture_start(&fixture);
		for (int j = 0; j < 3; j++) {
			struct s3_head head = make_head();
			assert_int_equal(fixture_head(&fixture, &head), 0);
		}
		assert_int_equal(skewed.refused, 1);
		fixture_fini(&fixture);
	}
}

static void always_skewed(struct http_exchange *exchange, void *context)
{
	char date[64];

	(void)context;
	format_date(1000000000, date, sizeof(date));
	http_answer(exchange, 403, date, "", 0);
}

static void test_s3_head__correcting_the_clock_does_not_help__is_eacces(void **state)
{
	struct s3_head head = make_head();
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, always_skewed, NULL);
	fixture_start(&fixture);
	assert_int_equal(fixture_head(&fixture, &head), -EACCES);
	assert_int_equal(http_server_count(fixture.server), 2);
	fixture_fini(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_head__good_answer__is_read),
		cmocka_unit_test(test_s3_head__refusals_and_odd_answers),
		cmocka_unit_test(test_s3_head__our_clock_is_off__is_corrected_once_for_all),
		cmocka_unit_test(test_s3_head__correcting_the_clock_does_not_help__is_eacces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

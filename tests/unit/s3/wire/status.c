/*
 * Tests of status.h: what each answer means to the reader.
 */
#include "s3/wire/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/check.h"

static void test_status_of_http__rows(void **state)
{
	static const struct {
		const char *code;
		int http_status;
		struct status wanted;
	} rows[] = {
		{ "", 200, { STATUS_DONE, 0, false } },
		{ "", 206, { STATUS_DONE, 0, false } },
		{ "SlowDown", 206, { STATUS_DONE, 0, false } },
		{ "", 204, { STATUS_FINAL, -EPROTO, false } },
		{ "", 100, { STATUS_FINAL, -EPROTO, false } },
		{ "PermanentRedirect", 301, { STATUS_FINAL, -EINVAL, false } },
		{ "TemporaryRedirect", 307, { STATUS_FINAL, -EINVAL, false } },
		{ "", 400, { STATUS_FINAL, -EINVAL, false } },
		{ "AuthorizationHeaderMalformed", 400, { STATUS_FINAL, -EINVAL, false } },
		{ "RequestTimeout", 400, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "ExpiredToken", 400, { STATUS_EXPIRED, -EACCES, false } },
		{ "InvalidToken", 400, { STATUS_FINAL, -EACCES, false } },
		{ "", 401, { STATUS_FINAL, -EACCES, false } },
		{ "", 403, { STATUS_FINAL, -EACCES, false } },
		{ "AccessDenied", 403, { STATUS_FINAL, -EACCES, false } },
		{ "SignatureDoesNotMatch", 403, { STATUS_FINAL, -EACCES, false } },
		{ "RequestTimeTooSkewed", 403, { STATUS_SKEWED, -EACCES, false } },
		{ "ExpiredToken", 403, { STATUS_EXPIRED, -EACCES, false } },
		{ "", 404, { STATUS_FINAL, -ENOENT, false } },
		{ "NoSuchKey", 404, { STATUS_FINAL, -ENOENT, false } },
		{ "NoSuchBucket", 404, { STATUS_FINAL, -ENOENT, false } },
		{ "MethodNotAllowed", 405, { STATUS_FINAL, -EINVAL, false } },
		{ "", 408, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "PreconditionFailed", 412, { STATUS_FINAL, -ESTALE, false } },
		{ "InvalidRange", 416, { STATUS_FINAL, -ERANGE, false } },
		{ "", 429, { STATUS_RETRY, -ETIMEDOUT, true } },
		{ "InternalError", 500, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "NotImplemented", 501, { STATUS_FINAL, -EPROTO, false } },
		{ "", 502, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "", 503, { STATUS_RETRY, -ETIMEDOUT, true } },
		{ "SlowDown", 503, { STATUS_RETRY, -ETIMEDOUT, true } },
		{ "NoSuchKey", 503, { STATUS_RETRY, -ETIMEDOUT, true } },
		{ "", 504, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "SlowDown", 404, { STATUS_RETRY, -ETIMEDOUT, true } },
		{ "", 599, { STATUS_RETRY, -ETIMEDOUT, false } },
		{ "", 700, { STATUS_FINAL, -EPROTO, false } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct status status = status_of_http(rows[i].http_status, rows[i].code);
		assert_int_equal(status.class, rows[i].wanted.class);
		assert_int_equal(status.error, rows[i].wanted.error);
		assert_int_equal(status.throttled, rows[i].wanted.throttled);
	}
}

static void test_status_of_http__503_whatever_the_code__is_never_enoent(void **state)
{
	static const char *const codes[] = {
		"", "NoSuchKey", "NoSuchBucket", "AccessDenied", "ServiceUnavailable", "odd"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		struct status status = status_of_http(503, codes[i]);
		assert_int_equal(status.class, STATUS_RETRY);
		assert_int_not_equal(status.error, -ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_of_http__rows),
		cmocka_unit_test(test_status_of_http__503_whatever_the_code__is_never_enoent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
		int http_status;
		const char *code;
		struct status wanted;
	} rows[] = {
		{ 200, "", { STATUS_DONE, 0, false } },
		{ 206, "", { STATUS_DONE, 0, false } },
		{ 206, "SlowDown", { STATUS_DONE, 0, false } },
		{ 204, "", { STATUS_FINAL, -EPROTO, false } },
		{ 100, "", { STATUS_FINAL, -EPROTO, false } },
		{ 301, "PermanentRedirect", { STATUS_FINAL, -EINVAL, false } },
		{ 307, "TemporaryRedirect", { STATUS_FINAL, -EINVAL, false } },
		{ 400, "", { STATUS_FINAL, -EINVAL, false } },
		{ 400, "AuthorizationHeaderMalformed", { STATUS_FINAL, -EINVAL, false } },
		{ 400, "RequestTimeout", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 400, "ExpiredToken", { STATUS_EXPIRED, -EACCES, false } },
		{ 400, "InvalidToken", { STATUS_FINAL, -EACCES, false } },
		{ 401, "", { STATUS_FINAL, -EACCES, false } },
		{ 403, "", { STATUS_FINAL, -EACCES, false } },
		{ 403, "AccessDenied", { STATUS_FINAL, -EACCES, false } },
		{ 403, "SignatureDoesNotMatch", { STATUS_FINAL, -EACCES, false } },
		{ 403, "RequestTimeTooSkewed", { STATUS_SKEWED, -EACCES, false } },
		{ 403, "ExpiredToken", { STATUS_EXPIRED, -EACCES, false } },
		{ 404, "", { STATUS_FINAL, -ENOENT, false } },
		{ 404, "NoSuchKey", { STATUS_FINAL, -ENOENT, false } },
		{ 404, "NoSuchBucket", { STATUS_FINAL, -ENOENT, false } },
		{ 405, "MethodNotAllowed", { STATUS_FINAL, -EINVAL, false } },
		{ 408, "", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 412, "PreconditionFailed", { STATUS_FINAL, -ESTALE, false } },
		{ 416, "InvalidRange", { STATUS_FINAL, -ERANGE, false } },
		{ 429, "", { STATUS_RETRY, -ETIMEDOUT, true } },
		{ 500, "InternalError", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 501, "NotImplemented", { STATUS_FINAL, -EPROTO, false } },
		{ 502, "", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 503, "", { STATUS_RETRY, -ETIMEDOUT, true } },
		{ 503, "SlowDown", { STATUS_RETRY, -ETIMEDOUT, true } },
		{ 503, "NoSuchKey", { STATUS_RETRY, -ETIMEDOUT, true } },
		{ 504, "", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 404, "SlowDown", { STATUS_RETRY, -ETIMEDOUT, true } },
		{ 599, "", { STATUS_RETRY, -ETIMEDOUT, false } },
		{ 700, "", { STATUS_FINAL, -EPROTO, false } },
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

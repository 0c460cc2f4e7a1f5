/*
 * status.c - two tables: S3's error codes first, because a proxy may dress SlowDown as anything;
 * then the HTTP status.
 */
#include "s3/wire/status.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

static const struct {
	const char *code;
	struct status status;
} codes[] = {
	{ "SlowDown", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "Throttling", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "ThrottlingException", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "TooManyRequests", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "RequestLimitExceeded", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "BandwidthLimitExceeded", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "ServiceUnavailable", { STATUS_RETRY, -ETIMEDOUT, true } },
	{ "RequestTimeout", { STATUS_RETRY, -ETIMEDOUT, false } },
	{ "InternalError", { STATUS_RETRY, -ETIMEDOUT, false } },
	{ "RequestTimeTooSkewed", { STATUS_SKEWED, -EACCES, false } },
	{ "ExpiredToken", { STATUS_EXPIRED, -EACCES, false } },
	{ "ExpiredTokenException", { STATUS_EXPIRED, -EACCES, false } },
	{ "TokenRefreshRequired", { STATUS_EXPIRED, -EACCES, false } },
	{ "InvalidToken", { STATUS_FINAL, -EACCES, false } },
};

static struct status of_number(int http_status)
{
	switch (http_status) {
	case 200:
	case 206:
		return (struct status){ STATUS_DONE, 0, false };
	case 401:
	case 403:
		return (struct status){ STATUS_FINAL, -EACCES, false };
	case 404:
		return (struct status){ STATUS_FINAL, -ENOENT, false };
	case 412:
		return (struct status){ STATUS_FINAL, -ESTALE, false };
	case 416:
		return (struct status){ STATUS_FINAL, -ERANGE, false };
	case 408:
		return (struct status){ STATUS_RETRY, -ETIMEDOUT, false };
	case 429:
	case 503:
	case 509:
		return (struct status){ STATUS_RETRY, -ETIMEDOUT, true };
	case 501: /* not implemented, */
	case 505: /* HTTP version: neither will be tomorrow */
		return (struct status){ STATUS_FINAL, -EPROTO, false };
	default:
		break;
	}
	if (http_status >= 500 && http_status <= 599)
		return (struct status){ STATUS_RETRY, -ETIMEDOUT, false };
	if (http_status >= 300 && http_status <= 499)
		return (struct status){ STATUS_FINAL, -EINVAL, false };
	return (struct status){ STATUS_FINAL, -EPROTO, false };
}

struct status status_of_http(int http_status, const char *code)
{
	struct status status = of_number(http_status);

	if (status.class == STATUS_DONE)
		return status;
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
		if (!strcmp(code, codes[i].code))
			return codes[i].status;
	return status;
}

/*
 * response_fuzz.c - any lines as the head of an answer: what is taken from it makes sense.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "s3/engine/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct response *response)
{
	CHECK(response->http_status >= 0 && response->http_status <= 999);
	CHECK(memchr(response->etag, 0, sizeof(response->etag)));
	if (!response->has_range)
		return;
	CHECK(response->range_first <= response->range_last);
	CHECK(response->range_last < response->range_total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct response response = { 0 };
	const char *line = (const char *)data;

	while (len) {
		const char *end = memchr(line, '\n', len);
		size_t line_len = end ? (size_t)(end - line) + 1 : len;
		response_line(&response, line, line_len);
		check(&response);
		line += line_len;
		len -= line_len;
	}
	return 0;
}

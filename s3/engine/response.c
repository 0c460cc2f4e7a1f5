/*
 * response.c - the few headers that matter to us.
 */
#include "s3/engine/response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "s3/wire/etag.h"
#include "s3/wire/timestamp.h"

#define VALUE_MAX 256

static bool take_u64(const char **text, uint64_t *out)
{
	uint64_t value = 0;
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	*text = p;
	*out = value;
	return true;
}

static void on_length(struct response *response, const char *value)
{
	response->has_length = take_u64(&value, &response->length) && !*value;
}

/* "bytes 0-99/1000", or a star for a total that is not known */
static void on_range(struct response *response, const char *value)
{
	response->has_range = false; /* of two that differ the last one counts, whatever it is */
	if (strncasecmp(value, "bytes ", 6) != 0)
		return;
	value += 6;
	if (!take_u64(&value, &response->range_first) || *value++ != '-' ||
	    !take_u64(&value, &response->range_last) || *value++ != '/')
		return;
	response->range_total = UINT64_MAX;
	if (strcmp(value, "*") != 0 && (!take_u64(&value, &response->range_total) || *value))
		return;
	response->has_range = response->range_first <= response->range_last &&
			      response->range_last < response->range_total;
}

static void on_etag(struct response *response, const char *value)
{
	if (etag_unquote(value, response->etag))
		response->etag[0] = 0;
}

static void on_modified(struct response *response, const char *value)
{
	response->has_mtime = !timestamp_parse_http(value, &response->mtime_s);
}

static void on_date(struct response *response, const char *value)
{
	response->has_date = !timestamp_parse_http(value, &response->date_s);
}

static const struct {
	const char *name;
	void (*on)(struct response *response, const char *value);
} headers[] = {
	{ "content-length", on_length },  { "content-range", on_range }, { "etag", on_etag },
	{ "last-modified", on_modified }, { "date", on_date },
};

/* "HTTP/1.1 206 Partial Content": a new answer begins (a 100 or a proxy's may have gone before). */
static void on_status(struct response *response, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	int status = 0;

	memset(response, 0, sizeof(*response));
	if (!space || len - (size_t)(space - line) < 4)
		return;
	for (int i = 1; i <= 3; i++) {
		if (space[i] < '0' || space[i] > '9')
			return;
		status = status * 10 + (space[i] - '0');
	}
	response->http_status = status;
}

static void on_header(struct response *response, const char *line, size_t len)
{
	char value[VALUE_MAX];
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return;
	size_t name_len = (size_t)(colon - line);
	const char *start = colon + 1;
	len -= name_len + 1;
	while (len && (*start == ' ' || *start == '\t')) {
		start++;
		len--;
	}
	if (len >= sizeof(value))
		return;
	memcpy(value, start, len);
	value[len] = 0;
	for (size_t i = 0; i < ARRAY_COUNT(headers); i++)
		if (strlen(headers[i].name) == name_len &&
		    !strncasecmp(headers[i].name, line, name_len))
			headers[i].on(response, value);
}

enum response_line response_line(struct response *response, const char *line, size_t len)
{
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	if (len > 5 && !strncmp(line, "HTTP/", 5)) {
		on_status(response, line, len);
	} else if (!response->complete && len) {
		on_header(response, line, len);
	} else if (!response->complete) {
		response->complete = true;
		return RESPONSE_HEAD;
	}
	return RESPONSE_MORE;
}

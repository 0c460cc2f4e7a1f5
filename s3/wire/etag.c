/*
 * etag.c - see etag.h.
 */
#include "s3/wire/etag.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int etag_unquote(const char *value, char out[S3_ETAG_MAX])
{
	size_t len = strlen(value);

	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value++;
		len -= 2;
	}
	if (!len || len >= S3_ETAG_MAX)
		return -EINVAL;
	memcpy(out, value, len);
	out[len] = 0;
	return 0;
}

void etag_quote(const char *etag, char out[ETAG_HEADER_MAX])
{
	const char *quote = strncmp(etag, "W/", 2) != 0 ? "\"" : "";
	snprintf(out, ETAG_HEADER_MAX, "%s%s%s", quote, etag, quote);
}

/*
 * etag.h - ETags travel in quotes and are kept without them. A weak one (W/"...") keeps its form:
 * no S3 condition matches it, and hiding that would only delay the 412.
 */
#pragma once

#include "s3/s3.h"

#define ETAG_HEADER_MAX (S3_ETAG_MAX + 2)

/** etag_unquote() - from a header or a listing. Return: 0, or -EINVAL: empty or too long. */
int etag_unquote(const char *value, char out[S3_ETAG_MAX]);

/** etag_quote() - as If-Match wants it. @etag: shorter than S3_ETAG_MAX. */
void etag_quote(const char *etag, char out[ETAG_HEADER_MAX]);

/*
 * timestamp.h - the three ways S3 writes a time: 20130524T000000Z (signatures), ISO 8601
 * (listings, credentials) and HTTP dates (headers). Seconds since 1970, UTC.
 */
#pragma once

#include <stdint.h>

#define TIMESTAMP_BASIC_SIZE 17 /* "20130524T000000Z" and a NUL */

/** timestamp_format_basic() - 20130524T000000Z; the first 8 bytes are the day. Years 0..9999. */
void timestamp_format_basic(int64_t time_s, char out[TIMESTAMP_BASIC_SIZE]);

/**
 * timestamp_parse_iso8601() - "2009-10-12T17:50:30.000Z" or with +hh:mm; fractions are cut off,
 * because HEAD has none and the two must agree.
 * Return: 0 or -EINVAL.
 */
int timestamp_parse_iso8601(const char *text, int64_t *out_s);

/** timestamp_parse_http() - "Wed, 21 Oct 2015 07:28:00 GMT". Return: 0 or -EINVAL. */
int timestamp_parse_http(const char *text, int64_t *out_s);

/*
 * uri.h - percent-encoding as RFC 3986 and SigV4 want it, endpoints, and where a bucket and key lie
 * below one.
 *
 * The path that is signed is the path that is sent, byte for byte: keys may hold "//", "/../", "%"
 * or a leading "/", so nothing here normalises, and curl is told not to either.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "s3/wire/text.h"

#define ENDPOINT_HOST_MAX 256 /* bytes with the NUL */

struct endpoint {
	bool tls;
	bool numeric; /* the host is an IP address */
	uint16_t port;
	char host[ENDPOINT_HOST_MAX];	       /* IPv6 in brackets */
	char authority[ENDPOINT_HOST_MAX + 8]; /* the Host header: with the port unless default */
};

/**
 * uri_encode() - appends @len bytes of @in with everything but A-Z a-z 0-9 - . _ ~ as %XX, upper
 * case. @keep_slash leaves "/" as it is, for paths.
 */
void uri_encode(struct text *out, const char *in, size_t len, bool keep_slash);

/**
 * uri_decode() - undoes percent-encoding in place; the result is NUL-ended and never longer.
 * @plus_is_space: "+" stands for a space, as in what S3 returns for encoding-type=url.
 * Return: the decoded length (the result may hold NULs), or -EINVAL for a broken escape.
 */
ssize_t uri_decode(char *text, size_t len, bool plus_is_space);

/**
 * endpoint_parse() - "http://host[:port]" or "https://...", a trailing "/" allowed.
 * Return: 0, or -EINVAL with @problem.
 */
int endpoint_parse(const char *url, struct endpoint *out, char *problem, size_t problem_size);

/**
 * endpoint_locate() - the authority and encoded path of a key, or of the bucket when @key is NULL.
 * @virtual_host: http://bucket.endpoint/key in place of http://endpoint/bucket/key.
 * Return: 0, or -EINVAL: the bucket's name cannot be part of a host name.
 */
int endpoint_locate(const struct endpoint *endpoint, bool virtual_host, const char *bucket,
		    const char *key, struct text *out_authority, struct text *out_path);

/*
 * uri.c - see uri.h.
 */
#include "s3/wire/uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void uri_encode(struct text *out, const char *in, size_t len, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t plain = 0; /* start of the run that needs no escape */

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)in[i];
		if (is_unreserved(c) || (keep_slash && c == '/'))
			continue;
		text_add_bytes(out, in + plain, i - plain);
		char escape[3] = { '%', digits[c >> 4], digits[c & 15] };
		text_add_bytes(out, escape, sizeof(escape));
		plain = i + 1;
	}
	text_add_bytes(out, in + plain, len - plain);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

ssize_t uri_decode(char *text, size_t len, bool plus_is_space)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%') {
			int high = len - i > 2 ? digit_value(text[i + 1]) : -1;
			int low = high >= 0 ? digit_value(text[i + 2]) : -1;
			if (low < 0)
				return -EINVAL;
			text[out++] = (char)(high << 4 | low);
			i += 2;
		} else if (text[i] == '+' && plus_is_space) {
			text[out++] = ' ';
		} else {
			text[out++] = text[i];
		}
	}
	text[out] = 0;
	return (ssize_t)out;
}

/* Whether @host (without brackets for IPv6) is an address rather than a name. */
static bool is_address(const char *host)
{
	struct in_addr v4;
	return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

static bool is_host(const char *host, size_t len)
{
	struct in6_addr v6;
	char inside[INET6_ADDRSTRLEN];

	if (!len || len >= ENDPOINT_HOST_MAX)
		return false;
	if (host[0] == '[') {
		if (len < 4 || host[len - 1] != ']' || len - 2 >= sizeof(inside))
			return false;
		memcpy(inside, host + 1, len - 2);
		inside[len - 2] = 0;
		return inet_pton(AF_INET6, inside, &v6) == 1;
	}
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-._", host[i]))
			return false;
	return host[0] != '.';
}

static int parse_port(const char *text, size_t len, uint16_t *out)
{
	unsigned long port = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || i > 4)
			return -EINVAL;
		port = port * 10 + (unsigned long)(text[i] - '0');
	}
	if (!port || port > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

static int refuse(const char *url, const char *what, char *problem, size_t problem_size)
{
	snprintf(problem, problem_size,
		 "endpoint '%s': %s; it must look like http://host:port or https://host", url,
		 what);
	return -EINVAL;
}

int endpoint_parse(const char *url, struct endpoint *out, char *problem, size_t problem_size)
{
	struct endpoint endpoint = { 0 };
	const char *rest;

	if (!strncasecmp(url, "https://", 8)) {
		endpoint.tls = true;
		rest = url + 8;
	} else if (!strncasecmp(url, "http://", 7)) {
		rest = url + 7;
	} else {
		return refuse(url, "the scheme is missing or unknown", problem, problem_size);
	}
	size_t len = strcspn(rest, "/?#");
	if (rest[len] && strcmp(rest + len, "/") != 0)
		return refuse(url, "a path or query is not supported", problem, problem_size);
	if (memchr(rest, '@',
		   len)) /* the URL would be shown in messages: not a place for secrets */
		return refuse("http://...@...", "credentials do not belong into the URL", problem,
			      problem_size);

	size_t host_len = len;
	uint16_t default_port = endpoint.tls ? 443 : 80;
	const char *bracket = memchr(rest, ']', len);
	const char *colon = memrchr(rest, ':', len);
	endpoint.port = default_port;
	if (colon && (!bracket || colon > bracket)) {
		host_len = (size_t)(colon - rest);
		if (parse_port(colon + 1, len - host_len - 1, &endpoint.port))
			return refuse(url, "the port is not a number in 1..65535", problem,
				      problem_size);
	}
	if (!is_host(rest, host_len))
		return refuse(url, "the host is not a name or address", problem, problem_size);
	memcpy(endpoint.host, rest, host_len);
	endpoint.numeric = is_address(endpoint.host);
	if (endpoint.port == default_port)
		snprintf(endpoint.authority, sizeof(endpoint.authority), "%s", endpoint.host);
	else
		snprintf(endpoint.authority, sizeof(endpoint.authority), "%s:%u", endpoint.host,
			 endpoint.port);
	*out = endpoint;
	return 0;
}

/* A bucket in front of the host must be made of labels, or it would name another host. */
static bool is_host_label(const char *bucket)
{
	size_t len = strlen(bucket);

	if (!len || len > 63 || bucket[0] == '.' || bucket[len - 1] == '.' || strstr(bucket, ".."))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)bucket[i]) && !strchr("-._", bucket[i]))
			return false;
	return true;
}

int endpoint_locate(const struct endpoint *endpoint, bool virtual_host, const char *bucket,
		    const char *key, struct text *out_authority, struct text *out_path)
{
	if (virtual_host) {
		if (!is_host_label(bucket))
			return -EINVAL;
		text_addf(out_authority, "%s.%s", bucket, endpoint->authority);
	} else {
		text_add(out_authority, endpoint->authority);
		text_add(out_path, "/");
		uri_encode(out_path, bucket, strlen(bucket), false);
	}
	if (key || virtual_host)
		text_add(out_path, "/");
	if (key)
		uri_encode(out_path, key, strlen(key), true);
	return 0;
}

/*
 * sigv4.c - canonical request -> string to sign -> signature -> Authorization header.
 */
#include "s3/wire/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/timestamp.h"
#include "s3/wire/uri.h"

static int compare_names(const void *a, const void *b)
{
	const struct sigv4_pair *left = a, *right = b;
	int order = strcmp(left->name, right->name);
	return order ? order : strcmp(left->value, right->value);
}

static size_t sort_pairs(const struct sigv4_pair *pairs, size_t count,
			 struct sigv4_pair out[SIGV4_PAIRS_MAX])
{
	CHECK(count <= SIGV4_PAIRS_MAX);
	if (count)
		memcpy(out, pairs, count * sizeof(*pairs));
	qsort(out, count, sizeof(*out), compare_names);
	return count;
}

void sigv4_canonical_query(const struct sigv4_pair *pairs, size_t count, struct text *out)
{
	/* Sorted before encoding: names are plain words and occur once, so the order is the same.
	 */
	struct sigv4_pair sorted[SIGV4_PAIRS_MAX];

	sort_pairs(pairs, count, sorted);
	for (size_t i = 0; i < count; i++) {
		if (i)
			text_add(out, "&");
		uri_encode(out, sorted[i].name, strlen(sorted[i].name), false);
		text_add(out, "=");
		uri_encode(out, sorted[i].value, strlen(sorted[i].value), false);
	}
}

static void add_trimmed(struct text *out, const char *value)
{
	value += strspn(value, " \t");
	size_t len = strlen(value);
	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	text_add_bytes(out, value, len);
}

void sigv4_canonical_request(const struct sigv4_request *request, struct text *out,
			     struct text *out_signed_headers)
{
	struct sigv4_pair sorted[SIGV4_PAIRS_MAX];
	size_t count = sort_pairs(request->headers, request->header_count, sorted);

	text_addf(out, "%s\n%s\n%s\n", request->method, request->path, request->query);
	for (size_t i = 0; i < count; i++) {
		text_addf(out, "%s:", sorted[i].name);
		add_trimmed(out, sorted[i].value);
		text_add(out, "\n");
		if (i)
			text_add(out_signed_headers, ";");
		text_add(out_signed_headers, sorted[i].name);
	}
	text_addf(out, "\n%s\n%s", text_get(out_signed_headers), request->payload_hash);
}

void sigv4_string_to_sign(const struct sigv4_scope *scope, int64_t time_s,
			  const struct text *canonical_request, struct text *out)
{
	char stamp[TIMESTAMP_BASIC_SIZE];
	uint8_t hash[DIGEST_SHA256_LEN];
	char hex[2 * DIGEST_SHA256_LEN + 1];
	struct digest_part part = { text_get(canonical_request), canonical_request->len };

	timestamp_format_basic(time_s, stamp);
	digest_sha256(&part, 1, hash);
	digest_hex(hash, sizeof(hash), hex);
	text_addf(out, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", stamp, stamp,
		  scope->region, scope->service, hex);
}

int sigv4_derive_key(struct sigv4_scope *scope, const char *secret_key, int64_t time_s)
{
	char stamp[TIMESTAMP_BASIC_SIZE];
	uint8_t key[DIGEST_SHA256_LEN];
	struct text first = { 0 };

	timestamp_format_basic(time_s, stamp);
	if (!strncmp(scope->day, stamp, 8))
		return 0;
	text_addf(&first, "AWS4%s", secret_key);
	if (text_failed(&first))
		return -ENOMEM;
	digest_hmac_sha256(text_get(&first), first.len, stamp, 8, key);
	text_fini(&first);
	digest_hmac_sha256(key, sizeof(key), scope->region, strlen(scope->region), key);
	digest_hmac_sha256(key, sizeof(key), scope->service, strlen(scope->service), key);
	digest_hmac_sha256(key, sizeof(key), "aws4_request", 12, scope->day_key);
	explicit_bzero(key, sizeof(key));
	memcpy(scope->day, stamp, 8);
	scope->day[8] = 0;
	return 0;
}

int sigv4_authorization(const struct sigv4_request *request, struct sigv4_scope *scope,
			const char *access_key, const char *secret_key, struct text *scratch,
			struct text *out)
{
	struct text signed_headers = { 0 }, to_sign = { 0 };
	uint8_t signature[DIGEST_SHA256_LEN];
	char hex[2 * DIGEST_SHA256_LEN + 1];

	text_reset(scratch);
	sigv4_canonical_request(request, scratch, &signed_headers);
	sigv4_string_to_sign(scope, request->time_s, scratch, &to_sign);
	int error = sigv4_derive_key(scope, secret_key, request->time_s);
	digest_hmac_sha256(scope->day_key, sizeof(scope->day_key), text_get(&to_sign), to_sign.len,
			   signature);
	digest_hex(signature, sizeof(signature), hex);
	text_addf(out,
		  "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request,SignedHeaders=%s,"
		  "Signature=%s",
		  access_key, scope->day, scope->region, scope->service, text_get(&signed_headers),
		  hex);
	if (text_failed(scratch) || text_failed(&signed_headers) || text_failed(&to_sign) ||
	    text_failed(out))
		error = -ENOMEM;
	text_fini(&to_sign);
	text_fini(&signed_headers);
	return error;
}

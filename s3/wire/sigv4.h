/*
 * sigv4.h - AWS Signature Version 4, as a pure function of what it signs.
 *
 * The query string that is signed is also the one that is sent: sigv4_canonical_query() makes it.
 * Our own signer because curl's signs the URL as it stands (flags without "=", unsorted or
 * half-escaped queries are then refused). S3 does not encode the path twice.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "s3/wire/text.h"

#define SIGV4_PAIRS_MAX 16
/* SHA-256 of nothing: the payload hash of every request without a body. */
#define SIGV4_EMPTY_PAYLOAD "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_pair {
	const char *name;  /* query: as is; header: lower case */
	const char *value; /* not encoded */
};

struct sigv4_request {
	const char *method;
	const char *path;		  /* encoded, as it is sent */
	const char *query;		  /* from sigv4_canonical_query() */
	const struct sigv4_pair *headers; /* "host" must be among them; any order */
	size_t header_count;
	const char *payload_hash;
	int64_t time_s;
};

/* Region, service and the key derived from the secret for one day. The caller clears it. */
struct sigv4_scope {
	const char *region;
	const char *service;
	char day[9]; /* of the key; "" when there is none yet */
	uint8_t day_key[DIGEST_SHA256_LEN];
};

/**
 * sigv4_canonical_query() - appends name=value&..., encoded and sorted.
 * @count: at most SIGV4_PAIRS_MAX.
 */
void sigv4_canonical_query(const struct sigv4_pair *pairs, size_t count, struct text *out);

/** sigv4_canonical_request() - appends the canonical request; the header names once more, joined
 *  by ";", to @out_signed_headers. */
void sigv4_canonical_request(const struct sigv4_request *request, struct text *out,
			     struct text *out_signed_headers);

/** sigv4_string_to_sign() - appends it. */
void sigv4_string_to_sign(const struct sigv4_scope *scope, int64_t time_s,
			  const struct text *canonical_request, struct text *out);

/** sigv4_derive_key() - makes sure that @scope has the key of @time_s's day. The caller empties
 *  scope->day when the secret changes. Return: 0 or -ENOMEM. */
int sigv4_derive_key(struct sigv4_scope *scope, const char *secret_key, int64_t time_s);

/**
 * sigv4_authorization() - appends the value of the Authorization header.
 * @scratch: any text; it holds the canonical request afterwards, which is not secret.
 * Return: 0 or -ENOMEM.
 */
int sigv4_authorization(const struct sigv4_request *request, struct sigv4_scope *scope,
			const char *access_key, const char *secret_key, struct text *scratch,
			struct text *out);

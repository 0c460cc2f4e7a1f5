/*
 * digest.h - the three hashes, each for its purpose:
 *   SHA-256  identity: keys are chosen by others, so a forgeable hash will not do (OpenSSL)
 *   CRC-64   the check of a granule, computed once and carried for life (ISA-L, ecma reflected)
 *   XXH3     tables and placement (inline from xxhash.h)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_LEN 32

struct digest_part {
	const void *data;
	size_t len;
};

/** digest_sha256() - SHA-256 over the concatenation of @parts. Any thread. */
void digest_sha256(const struct digest_part *parts, size_t part_count,
		   uint8_t out[DIGEST_SHA256_LEN]);

/** digest_hmac_sha256() - HMAC-SHA-256 of @data under @key. Any thread. */
void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			uint8_t out[DIGEST_SHA256_LEN]);

/** digest_crc64() - the granule check of @len bytes. Any thread. */
uint64_t digest_crc64(const void *data, size_t len);

/** digest_xxh3() - 64 bits for hash tables. Not for anything that is stored or sent. */
uint64_t digest_xxh3(const void *data, size_t len);

/** digest_hex() - lower-case hexadecimal and a NUL: @out holds 2 * @len + 1 bytes. */
void digest_hex(const void *data, size_t len, char *out);

/**
 * digest_unhex() - @len bytes from twice as many digits, as digest_hex() writes them; what follows
 * is not looked at.
 * Return: false: one of them is no such digit, the text's end perhaps; @out means nothing.
 */
bool digest_unhex(const char *text, size_t len, void *out);

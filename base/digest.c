/*
 * digest.c - SHA-256 and HMAC by OpenSSL, CRC-64 by ISA-L, XXH3 by xxHash.
 */
#include "base/digest.h"

#include <isa-l/crc64.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

/* Fetched once: OpenSSL 3 looks EVP_sha256() up again, under a lock, at every use. */
static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	CHECK(sha256);
}

void digest_sha256(const struct digest_part *parts, size_t part_count,
		   uint8_t out[DIGEST_SHA256_LEN])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	pthread_once(&sha256_once, fetch_sha256);
	CHECK(context);
	CHECK(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
	for (size_t i = 0; i < part_count; i++)
		CHECK(EVP_DigestUpdate(context, parts[i].data, parts[i].len) == 1);
	CHECK(EVP_DigestFinal_ex(context, out, NULL) == 1);
	EVP_MD_CTX_free(context);
}

void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			uint8_t out[DIGEST_SHA256_LEN])
{
	CHECK(key_len <= INT_MAX);
	pthread_once(&sha256_once, fetch_sha256);
	CHECK(HMAC(sha256, key, (int)key_len, data, len, out, NULL));
}

uint64_t digest_crc64(const void *data, size_t len)
{
	/* ISA-L inverts the seed and the result itself: seed 0 is the standard CRC-64/XZ */
	return crc64_ecma_refl(0, data, len);
}

uint64_t digest_xxh3(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

void digest_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_unhex(const char *text, size_t len, void *out)
{
	uint8_t *p = out;

	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/*
 * seal_key.c - derivations and AES-256-GCM. A failure of OpenSSL here is a failure of memory or of
 * our arguments; the latter are CHECKed, and so is the former: its contexts exist already.
 */
#include "fabric/gossip/seal_key.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define STAMP_PURPOSE	"cenote gossip 1 stamp"
#define SENDER_PURPOSE	"cenote gossip 1 packets"
#define STREAM_PURPOSE	"cenote gossip 1 stream"
#define STREAM_INFO_MAX 512

void seal_key_stamp(const struct keyring_key *key, uint8_t out[SEAL_KEY_LEN])
{
	keyring_derive(key, STAMP_PURPOSE, strlen(STAMP_PURPOSE), out, SEAL_KEY_LEN);
}

void seal_key_sender(const struct keyring_key *key, const struct member_id *sender, uint64_t boot,
		     uint8_t out[SEAL_KEY_LEN])
{
	uint8_t info[sizeof(SENDER_PURPOSE) + MEMBER_ID_LEN + 8];

	memcpy(info, SENDER_PURPOSE, sizeof(SENDER_PURPOSE));
	memcpy(info + sizeof(SENDER_PURPOSE), sender->bytes, MEMBER_ID_LEN);
	bytes_put_u64(info + sizeof(SENDER_PURPOSE) + MEMBER_ID_LEN, boot);
	keyring_derive(key, info, sizeof(info), out, SEAL_KEY_LEN);
}

void seal_key_stream(const struct keyring_key *key, uint8_t direction, const void *hellos,
		     size_t hellos_len, uint8_t out[SEAL_KEY_LEN])
{
	uint8_t info[STREAM_INFO_MAX];

	CHECK(hellos_len <= sizeof(info) - sizeof(STREAM_PURPOSE) - 1);
	memcpy(info, STREAM_PURPOSE, sizeof(STREAM_PURPOSE));
	info[sizeof(STREAM_PURPOSE)] = direction;
	memcpy(info + sizeof(STREAM_PURPOSE) + 1, hellos, hellos_len);
	keyring_derive(key, info, sizeof(STREAM_PURPOSE) + 1 + hellos_len, out, SEAL_KEY_LEN);
}

EVP_CIPHER_CTX *seal_key_context(const EVP_CIPHER *cipher)
{
	EVP_CIPHER_CTX *context = cipher ? EVP_CIPHER_CTX_new() : NULL;

	if (context && EVP_CipherInit_ex2(context, cipher, NULL, NULL, 1, NULL) != 1) {
		EVP_CIPHER_CTX_free(context);
		context = NULL;
	}
	return context;
}

static void context_begin(EVP_CIPHER_CTX *context, const uint8_t *key, uint64_t counter,
			  struct seal_aad aad, int encrypt)
{
	uint8_t nonce[SEAL_KEY_NONCE_LEN] = { 0 };
	int out_len;

	bytes_put_u64(nonce + SEAL_KEY_NONCE_LEN - 8, counter);
	CHECK(aad.len <= INT_MAX);
	CHECK(EVP_CipherInit_ex2(context, NULL, key, nonce, encrypt, NULL) == 1);
	CHECK(EVP_CipherUpdate(context, NULL, &out_len, aad.data, (int)aad.len) == 1);
	CHECK(EVP_CipherUpdate(context, NULL, &out_len, (const uint8_t *)aad.cluster,
			       (int)strlen(aad.cluster)) == 1);
}

void seal_key_encrypt(EVP_CIPHER_CTX *context, const uint8_t key[SEAL_KEY_LEN], uint64_t counter,
		      struct seal_aad aad, const void *plain, size_t len, uint8_t *out)
{
	int out_len = 0;

	CHECK(len <= INT_MAX);
	context_begin(context, key, counter, aad, 1);
	if (len > 0)
		CHECK(EVP_CipherUpdate(context, out, &out_len, plain, (int)len) == 1);
	CHECK((size_t)out_len == len);
	CHECK(EVP_CipherFinal_ex(context, out + len, &out_len) == 1);
	CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEAL_KEY_TAG_LEN, out + len) ==
	      1);
}

int seal_key_decrypt(EVP_CIPHER_CTX *context, const uint8_t key[SEAL_KEY_LEN], uint64_t counter,
		     struct seal_aad aad, const uint8_t *sealed, size_t len, uint8_t *out)
{
	uint8_t tag[SEAL_KEY_TAG_LEN];
	int out_len = 0, rest;

	CHECK(len >= SEAL_KEY_TAG_LEN && len <= INT_MAX);
	len -= SEAL_KEY_TAG_LEN;
	memcpy(tag, sealed + len, sizeof(tag));
	context_begin(context, key, counter, aad, 0);
	if (len > 0 && EVP_CipherUpdate(context, out, &out_len, sealed, (int)len) != 1)
		return -EACCES;
	CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1);
	if (EVP_CipherFinal_ex(context, out + len, &rest) != 1)
		return -EACCES;
	return (int)len;
}

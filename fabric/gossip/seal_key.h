/*
 * seal_key.h - the keys that gossip derives from a cluster key, and AES-256-GCM with them: what
 * packets (seal.h) and streams (stream_seal.h) share.
 *
 * Each purpose has its own derivation, so a key is used for one thing: stamps of headers, packets
 * of one sender in one boot, one direction of one stream.
 */
#pragma once

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/identity.h"
#include "fabric/keyring.h"

#define SEAL_KEY_LEN	   32
#define SEAL_KEY_NONCE_LEN 12
#define SEAL_KEY_TAG_LEN   16

/* What is authenticated along with a message: some bytes in clear, and the cluster's name. */
struct seal_aad {
	const uint8_t *data;
	size_t len;
	const char *cluster;
};

/** seal_key_stamp() - for the stamps of packet headers. */
void seal_key_stamp(const struct keyring_key *key, uint8_t out[SEAL_KEY_LEN]);

/** seal_key_sender() - for the packets of one sender in one boot. */
void seal_key_sender(const struct keyring_key *key, const struct member_id *sender, uint64_t boot,
		     uint8_t out[SEAL_KEY_LEN]);

/** seal_key_stream() - for one direction (0, 1) of the stream that began with @hellos. */
void seal_key_stream(const struct keyring_key *key, uint8_t direction, const void *hellos,
		     size_t hellos_len, uint8_t out[SEAL_KEY_LEN]);

/** seal_key_context() - a context for the two below; NULL when out of memory. @cipher may be NULL.
 */
EVP_CIPHER_CTX *seal_key_context(const EVP_CIPHER *cipher);

/**
 * seal_key_encrypt() - @out receives @len bytes and the tag. @counter is the nonce: never twice
 * under one key.
 */
void seal_key_encrypt(EVP_CIPHER_CTX *context, const uint8_t key[SEAL_KEY_LEN], uint64_t counter,
		      struct seal_aad aad, const void *plain, size_t len, uint8_t *out);

/**
 * seal_key_decrypt() - @len >= SEAL_KEY_TAG_LEN bytes with their tag.
 * Return: how many bytes are in @out; -EACCES: not what was encrypted with this key, counter and
 *         @aad; @out holds nothing of use then.
 */
int seal_key_decrypt(EVP_CIPHER_CTX *context, const uint8_t key[SEAL_KEY_LEN], uint64_t counter,
		     struct seal_aad aad, const uint8_t *sealed, size_t len, uint8_t *out);

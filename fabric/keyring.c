/*
 * keyring.c - the ring in memory, and what is derived from its keys. The file is keyring_file.c's.
 */
#include "fabric/keyring.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

#define DERIVED_LEN_MAX 64

struct keyring {
	struct keyring *self; /* the way to the lock for who only reads */
	pthread_mutex_t lock;
	/* guarded by lock */
	struct keyring_key keys[KEYRING_KEYS_MAX]; /* the used one first */
	unsigned count;
	uint64_t version;
};

static EVP_KDF *hkdf;
static pthread_once_t hkdf_once = PTHREAD_ONCE_INIT;

static void fetch_hkdf(void)
{
	hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	CHECK(hkdf);
}

static void lock(const struct keyring *ring)
{
	CHECK(pthread_mutex_lock(&ring->self->lock) == 0);
}

static void unlock(const struct keyring *ring)
{
	CHECK(pthread_mutex_unlock(&ring->self->lock) == 0);
}

void keyring_id(const uint8_t key[KEYRING_KEY_LEN], uint8_t out[KEYRING_ID_LEN])
{
	static const char purpose[] = "cenote key id";
	const struct digest_part parts[] = { { purpose, strlen(purpose) },
					     { key, KEYRING_KEY_LEN } };
	uint8_t digest[DIGEST_SHA256_LEN];

	digest_sha256(parts, ARRAY_COUNT(parts), digest);
	memcpy(out, digest, KEYRING_ID_LEN);
}

/* Under the lock. Return: the key's place, ring->count when there is none. */
static unsigned place_of(const struct keyring *ring, const uint8_t id[KEYRING_ID_LEN])
{
	unsigned i = 0;

	while (i < ring->count && memcmp(ring->keys[i].id, id, KEYRING_ID_LEN) != 0)
		i++;
	return i;
}

int keyring_create(struct keyring **out_ring)
{
	struct keyring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->self = ring;
	CHECK(pthread_mutex_init(&ring->lock, NULL) == 0);
	*out_ring = ring;
	return 0;
}

void keyring_destroy(struct keyring *ring)
{
	if (!ring)
		return;
	CHECK(pthread_mutex_destroy(&ring->lock) == 0);
	OPENSSL_cleanse(ring, sizeof(*ring));
	free(ring);
}

int keyring_add(struct keyring *ring, const uint8_t key[KEYRING_KEY_LEN])
{
	uint8_t id[KEYRING_ID_LEN];
	int error = 0;

	keyring_id(key, id);
	lock(ring);
	if (place_of(ring, id) < ring->count) {
		error = 0;
	} else if (ring->count == KEYRING_KEYS_MAX) {
		error = -ENOSPC;
	} else {
		memcpy(ring->keys[ring->count].id, id, KEYRING_ID_LEN);
		memcpy(ring->keys[ring->count].key, key, KEYRING_KEY_LEN);
		ring->count++;
		ring->version++;
	}
	unlock(ring);
	return error;
}

int keyring_use(struct keyring *ring, const uint8_t id[KEYRING_ID_LEN])
{
	struct keyring_key key;
	unsigned place;

	lock(ring);
	place = place_of(ring, id);
	if (place == ring->count) {
		unlock(ring);
		return -ENOENT;
	}
	if (place > 0) {
		key = ring->keys[place];
		memmove(ring->keys + 1, ring->keys, place * sizeof(ring->keys[0]));
		ring->keys[0] = key;
		ring->version++;
		keyring_key_wipe(&key);
	}
	unlock(ring);
	return 0;
}

int keyring_remove(struct keyring *ring, const uint8_t id[KEYRING_ID_LEN])
{
	unsigned place;
	int error = 0;

	lock(ring);
	place = place_of(ring, id);
	if (place == ring->count) {
		error = -ENOENT;
	} else if (place == 0) {
		error = -EBUSY;
	} else {
		ring->count--;
		memmove(ring->keys + place, ring->keys + place + 1,
			(ring->count - place) * sizeof(ring->keys[0]));
		keyring_key_wipe(&ring->keys[ring->count]);
		ring->version++;
	}
	unlock(ring);
	return error;
}

int keyring_used(const struct keyring *ring, struct keyring_key *out)
{
	int error = -ENOENT;

	lock(ring);
	if (ring->count) {
		*out = ring->keys[0];
		error = 0;
	}
	unlock(ring);
	return error;
}

int keyring_find(const struct keyring *ring, const uint8_t id[KEYRING_ID_LEN],
		 struct keyring_key *out)
{
	int error = -ENOENT;
	unsigned place;

	lock(ring);
	place = place_of(ring, id);
	if (place < ring->count) {
		*out = ring->keys[place];
		error = 0;
	}
	unlock(ring);
	return error;
}

unsigned keyring_copy(const struct keyring *ring, struct keyring_key out[KEYRING_KEYS_MAX])
{
	unsigned count;

	lock(ring);
	count = ring->count;
	memcpy(out, ring->keys, count * sizeof(ring->keys[0]));
	unlock(ring);
	return count;
}

unsigned keyring_list(const struct keyring *ring, uint8_t out_ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN])
{
	unsigned count;

	lock(ring);
	count = ring->count;
	for (unsigned i = 0; i < count; i++)
		memcpy(out_ids[i], ring->keys[i].id, KEYRING_ID_LEN);
	unlock(ring);
	return count;
}

uint64_t keyring_version(const struct keyring *ring)
{
	uint64_t version;

	lock(ring);
	version = ring->version;
	unlock(ring);
	return version;
}

void keyring_key_wipe(struct keyring_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

/* OpenSSL's parameters are not const, but what it takes in it only reads. */
static void *readable(const void *data)
{
	void *same;

	memcpy(&same, &data, sizeof(same));
	return same;
}

void keyring_derive(const struct keyring_key *key, const void *info, size_t info_len, void *out,
		    size_t len)
{
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, readable(key->key),
						  sizeof(key->key)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, readable(info), info_len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX *context;

	CHECK(len > 0 && len <= DERIVED_LEN_MAX);
	pthread_once(&hkdf_once, fetch_hkdf);
	context = EVP_KDF_CTX_new(hkdf);
	CHECK(context);
	CHECK(EVP_KDF_derive(context, out, len, parameters) == 1);
	EVP_KDF_CTX_free(context);
}

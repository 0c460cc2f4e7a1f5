/*
 * seal.c - AES-256-GCM around gossip packets, by OpenSSL.
 */
#include "fabric/gossip/seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "fabric/gossip/seal_key.h"
#include "fabric/keyring.h"

#define MAGIC_LEN  4
#define KIND_PLAIN 0
#define STAMP_LEN  8
#define STAMPED	   (SEAL_HEADER_LEN - STAMP_LEN)

static const uint8_t magic[MAGIC_LEN] = { 'C', 'e', 'G', 'o' };

enum header_at {
	AT_VERSION = 4,
	AT_KIND = 5,
	AT_ZERO = 6,
	AT_KEY_ID = 8,
	AT_SENDER = 16,
	AT_BOOT = 32,
	AT_COUNTER = 40,
	AT_STAMP = 48,
};
_Static_assert(AT_STAMP + STAMP_LEN == SEAL_HEADER_LEN, "the header as drawn");
_Static_assert(AT_BOOT == AT_SENDER + MEMBER_ID_LEN, "the header as drawn");

/* Someone whose packets opened. */
struct sender {
	struct seal_sender who; /* the key of the table */
	uint8_t key_id[KEYRING_ID_LEN];
	uint8_t key[SEAL_KEY_LEN];	   /* derived from the cluster key of that id */
	uint64_t newest;		   /* the highest counter that came */
	uint64_t window[SEAL_WINDOW / 64]; /* bit n: counter newest - n came */
	UT_hash_handle hh;
	TAILQ_ENTRY(sender) link;
};

TAILQ_HEAD(sender_list, sender);

struct ring_key {
	struct keyring_key key;
	uint8_t stamp_key[SEAL_KEY_LEN];
};

struct seal {
	const struct identity *identity;
	uint64_t ring_version;
	struct ring_key keys[KEYRING_KEYS_MAX]; /* the used one first */
	unsigned key_count;
	uint8_t own_key[SEAL_KEY_LEN];
	uint64_t counter;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *sealing, *opening;
	struct sender *senders;
	struct sender_list by_use; /* the least recently heard first */
	unsigned sender_count;
};

static void sender_free(struct sender *sender)
{
	OPENSSL_cleanse(sender->key, sizeof(sender->key));
	free(sender);
}

static void keys_wipe(struct seal *seal)
{
	for (unsigned i = 0; i < seal->key_count; i++)
		OPENSSL_cleanse(&seal->keys[i], sizeof(seal->keys[i]));
	seal->key_count = 0;
}

/* Takes over the ring when it has changed. A ring that changes meanwhile is looked at again by the
 * next packet: its version is read first. */
static void keys_refresh(struct seal *seal)
{
	const struct identity *identity = seal->identity;
	uint64_t version = keyring_version(identity->ring);
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];
	unsigned count;

	if (seal->key_count > 0 && version == seal->ring_version)
		return;
	keys_wipe(seal);
	count = keyring_list(identity->ring, ids);
	for (unsigned i = 0; i < count; i++) {
		struct ring_key *key = &seal->keys[seal->key_count];

		if (keyring_find(identity->ring, ids[i], &key->key) != 0)
			continue;
		seal_key_stamp(&key->key, key->stamp_key);
		seal->key_count++;
	}
	seal->ring_version = version;
	if (seal->key_count > 0)
		seal_key_sender(&seal->keys[0].key, &identity->member, identity->boot,
				seal->own_key);
}

static const struct ring_key *key_find(const struct seal *seal, const uint8_t *id)
{
	for (unsigned i = 0; i < seal->key_count; i++)
		if (!memcmp(seal->keys[i].key.id, id, KEYRING_ID_LEN))
			return &seal->keys[i];
	return NULL;
}

static void stamp_make(const struct ring_key *key, const uint8_t *header, uint8_t out[STAMP_LEN])
{
	uint8_t digest[DIGEST_SHA256_LEN];

	digest_hmac_sha256(key->stamp_key, sizeof(key->stamp_key), header, STAMPED, digest);
	memcpy(out, digest, STAMP_LEN);
}

int seal_packet(struct seal *seal, const void *plain, size_t len, uint8_t out[SEAL_PACKET_MAX])
{
	const struct identity *identity = seal->identity;
	uint8_t *body = out + SEAL_HEADER_LEN;

	CHECK(len <= SEAL_PLAIN_MAX);
	keys_refresh(seal);
	if (seal->key_count == 0)
		return -ENOENT;
	memcpy(out, magic, MAGIC_LEN);
	out[AT_VERSION] = SEAL_VERSION;
	out[AT_KIND] = KIND_PLAIN;
	bytes_put_u16(out + AT_ZERO, 0);
	memcpy(out + AT_KEY_ID, seal->keys[0].key.id, KEYRING_ID_LEN);
	memcpy(out + AT_SENDER, identity->member.bytes, MEMBER_ID_LEN);
	bytes_put_u64(out + AT_BOOT, identity->boot);
	bytes_put_u64(out + AT_COUNTER, ++seal->counter);
	stamp_make(&seal->keys[0], out, out + AT_STAMP);
	seal_key_encrypt(seal->sealing, seal->own_key, seal->counter,
			 (struct seal_aad){ out, SEAL_HEADER_LEN, identity->cluster }, plain, len,
			 body);
	return (int)(SEAL_HEADER_LEN + len + SEAL_TAG_LEN);
}

/* Looks at what costs nothing first. */
static int header_check(const struct seal *seal, const uint8_t *packet, size_t len,
			const struct ring_key **out_key)
{
	uint8_t stamp[STAMP_LEN];

	if (len < SEAL_HEADER_LEN + SEAL_TAG_LEN || len > SEAL_PACKET_MAX ||
	    memcmp(packet, magic, MAGIC_LEN) != 0)
		return -EBADMSG;
	if (packet[AT_VERSION] != SEAL_VERSION)
		return -EPROTONOSUPPORT;
	if (packet[AT_KIND] != KIND_PLAIN || bytes_get_u16(packet + AT_ZERO) != 0)
		return -EBADMSG;
	*out_key = key_find(seal, packet + AT_KEY_ID);
	if (!*out_key)
		return -ENOKEY;
	stamp_make(*out_key, packet, stamp);
	return CRYPTO_memcmp(stamp, packet + AT_STAMP, STAMP_LEN) ? -EACCES : 0;
}

static bool counter_is_new(const struct sender *sender, uint64_t counter)
{
	uint64_t age;

	if (counter > sender->newest)
		return true;
	age = sender->newest - counter;
	return age < SEAL_WINDOW && !(sender->window[age / 64] >> age % 64 & 1);
}

/* Moves the window's bits up by @by: each counter is that much older. */
static void window_shift(uint64_t window[SEAL_WINDOW / 64], uint64_t by)
{
	unsigned words = SEAL_WINDOW / 64;

	for (unsigned i = words; i-- > 0;) {
		uint64_t from = by / 64;
		uint64_t value = 0;

		if (i >= from && i - from < words)
			value = window[i - from] << by % 64;
		if (by % 64 > 0 && i >= from + 1)
			value |= window[i - from - 1] >> (64 - by % 64);
		window[i] = value;
	}
}

static void counter_note(struct sender *sender, uint64_t counter)
{
	if (counter > sender->newest) {
		uint64_t by = counter - sender->newest;

		if (by < SEAL_WINDOW)
			window_shift(sender->window, by);
		else
			memset(sender->window, 0, sizeof(sender->window));
		sender->newest = counter;
	}
	sender->window[(sender->newest - counter) / 64] |= UINT64_C(1)
							   << (sender->newest - counter) % 64;
}

static struct sender *sender_find(struct seal *seal, const struct seal_sender *who)
{
	struct sender *sender;

	HASH_FIND(hh, seal->senders, who, sizeof(*who), sender);
	return sender;
}

static void sender_forget(struct seal *seal, struct sender *sender)
{
	HASH_DEL(seal->senders, sender);
	TAILQ_REMOVE(&seal->by_use, sender, link);
	seal->sender_count--;
	sender_free(sender);
}

static int sender_add(struct seal *seal, const struct sender *made, struct sender **out_sender)
{
	struct sender *sender;

	if (seal->sender_count == SEAL_SENDERS_MAX)
		sender_forget(seal, TAILQ_FIRST(&seal->by_use));
	sender = malloc(sizeof(*sender));
	if (!sender)
		return -ENOMEM;
	*sender = *made;
	HASH_ADD(hh, seal->senders, who, sizeof(sender->who), sender);
	TAILQ_INSERT_TAIL(&seal->by_use, sender, link);
	seal->sender_count++;
	*out_sender = sender;
	return 0;
}

/* Opens the body with the sender's key, derived in @sender when it is of another cluster key. */
static int body_open(struct seal *seal, const struct ring_key *key, struct sender *sender,
		     const uint8_t *packet, size_t len, uint8_t *out)
{
	struct seal_aad aad = { packet, SEAL_HEADER_LEN, seal->identity->cluster };

	if (memcmp(sender->key_id, key->key.id, KEYRING_ID_LEN) != 0) {
		memcpy(sender->key_id, key->key.id, KEYRING_ID_LEN);
		seal_key_sender(&key->key, &sender->who.member, sender->who.boot, sender->key);
	}
	return seal_key_decrypt(seal->opening, sender->key, bytes_get_u64(packet + AT_COUNTER), aad,
				packet + SEAL_HEADER_LEN, len - SEAL_HEADER_LEN, out);
}

static int known_open(struct seal *seal, const struct ring_key *key, struct sender *sender,
		      const uint8_t *packet, size_t len, uint8_t *out)
{
	uint64_t counter = bytes_get_u64(packet + AT_COUNTER);
	int plain_len;

	if (!counter_is_new(sender, counter))
		return -EALREADY;
	plain_len = body_open(seal, key, sender, packet, len, out);
	if (plain_len < 0)
		return plain_len;
	counter_note(sender, counter);
	TAILQ_REMOVE(&seal->by_use, sender, link);
	TAILQ_INSERT_TAIL(&seal->by_use, sender, link);
	return plain_len;
}

/* A sender is remembered once a packet of his has opened, never before. */
static int stranger_open(struct seal *seal, const struct ring_key *key,
			 const struct seal_sender *who, const uint8_t *packet, size_t len,
			 uint8_t *out)
{
	struct sender made = { .who = *who }, *sender;
	int error, plain_len;

	memcpy(made.key_id, key->key.id, KEYRING_ID_LEN);
	seal_key_sender(&key->key, &who->member, who->boot, made.key);
	plain_len = body_open(seal, key, &made, packet, len, out);
	if (plain_len >= 0) {
		error = sender_add(seal, &made, &sender);
		if (error)
			plain_len = error;
		else
			counter_note(sender, bytes_get_u64(packet + AT_COUNTER));
	}
	OPENSSL_cleanse(&made, sizeof(made));
	return plain_len;
}

int seal_open(struct seal *seal, const uint8_t *packet, size_t len, uint8_t out[SEAL_PLAIN_MAX],
	      struct seal_sender *out_sender)
{
	const struct ring_key *key = NULL;
	struct seal_sender who;
	struct sender *sender;
	int result;

	keys_refresh(seal);
	result = header_check(seal, packet, len, &key);
	if (result)
		return result;
	memcpy(who.member.bytes, packet + AT_SENDER, MEMBER_ID_LEN);
	who.boot = bytes_get_u64(packet + AT_BOOT);
	if (who.boot == seal->identity->boot &&
	    member_id_equal(&who.member, &seal->identity->member))
		return -ELOOP;
	sender = sender_find(seal, &who);
	if (sender)
		result = known_open(seal, key, sender, packet, len, out);
	else
		result = stranger_open(seal, key, &who, packet, len, out);
	if (result >= 0)
		*out_sender = who;
	return result;
}

int seal_create(const struct identity *identity, struct seal **out_seal)
{
	struct seal *seal = calloc(1, sizeof(*seal));
	int error = -ENOMEM;

	if (!seal)
		return -ENOMEM;
	seal->identity = identity;
	TAILQ_INIT(&seal->by_use);
	seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	seal->sealing = seal_key_context(seal->cipher);
	seal->opening = seal_key_context(seal->cipher);
	if (!seal->cipher || !seal->sealing || !seal->opening)
		goto destroy_seal;
	keys_refresh(seal);
	error = seal->key_count > 0 ? 0 : -ENOENT;
	if (error)
		goto destroy_seal;
	*out_seal = seal;
	return 0;
destroy_seal:
	seal_destroy(seal);
	return error;
}

void seal_destroy(struct seal *seal)
{
	struct sender *sender;

	if (!seal)
		return;
	HASH_CLEAR(hh, seal->senders);
	while ((sender = TAILQ_FIRST(&seal->by_use))) {
		TAILQ_REMOVE(&seal->by_use, sender, link);
		sender_free(sender);
	}
	EVP_CIPHER_CTX_free(seal->sealing);
	EVP_CIPHER_CTX_free(seal->opening);
	EVP_CIPHER_free(seal->cipher);
	keys_wipe(seal);
	OPENSSL_cleanse(seal->own_key, sizeof(seal->own_key));
	free(seal);
}

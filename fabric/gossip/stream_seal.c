/*
 * stream_seal.c - HELLOs and records.
 */
#include "fabric/gossip/stream_seal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define MAGIC_LEN 4
#define NONCE_LEN 32

static const uint8_t magic[MAGIC_LEN] = { 'C', 'e', 'G', 's' };

enum hello_at {
	AT_VERSION = 4,
	AT_STATUS = 5,
	AT_ZERO = 6,
	AT_KEY_ID = 8,
	AT_MEMBER = 16,
	AT_BOOT = 32,
	AT_NONCE = 40,
};
_Static_assert(AT_NONCE + NONCE_LEN == STREAM_SEAL_HELLO_LEN, "the HELLO as drawn");

static void hello_make(const struct identity *identity, enum stream_seal_status status,
		       const uint8_t *key_id, const uint8_t *nonce,
		       uint8_t out[STREAM_SEAL_HELLO_LEN])
{
	memset(out, 0, STREAM_SEAL_HELLO_LEN);
	memcpy(out, magic, MAGIC_LEN);
	out[AT_VERSION] = STREAM_SEAL_VERSION;
	out[AT_STATUS] = (uint8_t)status;
	memcpy(out + AT_MEMBER, identity->member.bytes, MEMBER_ID_LEN);
	bytes_put_u64(out + AT_BOOT, identity->boot);
	if (key_id)
		memcpy(out + AT_KEY_ID, key_id, KEYRING_ID_LEN);
	if (nonce)
		memcpy(out + AT_NONCE, nonce, NONCE_LEN);
}

static int hello_check(const struct identity *identity, const uint8_t *in)
{
	if (memcmp(in, magic, MAGIC_LEN) != 0)
		return -EBADMSG;
	if (in[AT_VERSION] != STREAM_SEAL_VERSION)
		return -EPROTONOSUPPORT;
	if (in[AT_STATUS] > STREAM_SEAL_BUSY || bytes_get_u16(in + AT_ZERO) != 0)
		return -EBADMSG;
	if (in[AT_STATUS] == STREAM_SEAL_OK && bytes_get_u64(in + AT_BOOT) == identity->boot &&
	    !memcmp(in + AT_MEMBER, identity->member.bytes, MEMBER_ID_LEN))
		return -ELOOP;
	return 0;
}

static void peer_take(struct stream_seal *seal, const uint8_t *hello)
{
	memcpy(seal->peer.member.bytes, hello + AT_MEMBER, MEMBER_ID_LEN);
	seal->peer.boot = bytes_get_u64(hello + AT_BOOT);
}

static void keys_derive(struct stream_seal *seal)
{
	for (uint8_t direction = 0; direction < 2; direction++)
		seal_key_stream(&seal->key, direction, seal->hellos, sizeof(seal->hellos),
				seal->keys[direction]);
	keyring_key_wipe(&seal->key);
}

int stream_seal_open(struct stream_seal *seal, const struct identity *identity,
		     const uint8_t nonce[NONCE_LEN], uint8_t out[STREAM_SEAL_HELLO_LEN])
{
	int error;

	memset(seal, 0, sizeof(*seal));
	seal->identity = identity;
	seal->is_opener = true;
	error = keyring_used(identity->ring, &seal->key);
	if (error)
		return error;
	hello_make(identity, STREAM_SEAL_OK, seal->key.id, nonce, out);
	memcpy(seal->hellos, out, STREAM_SEAL_HELLO_LEN);
	return 0;
}

int stream_seal_accept(struct stream_seal *seal, const struct identity *identity,
		       const uint8_t nonce[NONCE_LEN], const uint8_t in[STREAM_SEAL_HELLO_LEN],
		       uint8_t out[STREAM_SEAL_HELLO_LEN])
{
	int error;

	memset(seal, 0, sizeof(*seal));
	seal->identity = identity;
	error = hello_check(identity, in);
	if (!error && in[AT_STATUS] != STREAM_SEAL_OK)
		error = -EBADMSG;
	if (!error && keyring_find(identity->ring, in + AT_KEY_ID, &seal->key) != 0)
		error = -ENOKEY;
	/* To one who reached himself the plain answer says so: it has our id and boot. */
	if (error && error != -ELOOP) {
		stream_seal_refuse(identity,
				   error == -ENOKEY ? STREAM_SEAL_NO_KEY : STREAM_SEAL_VERSIONS,
				   out);
		return error;
	}
	hello_make(identity, STREAM_SEAL_OK, in + AT_KEY_ID, nonce, out);
	memcpy(seal->hellos, in, STREAM_SEAL_HELLO_LEN);
	memcpy(seal->hellos + STREAM_SEAL_HELLO_LEN, out, STREAM_SEAL_HELLO_LEN);
	if (error)
		return error;
	peer_take(seal, in);
	keys_derive(seal);
	return 0;
}

void stream_seal_refuse(const struct identity *identity, enum stream_seal_status status,
			uint8_t out[STREAM_SEAL_HELLO_LEN])
{
	hello_make(identity, status, NULL, NULL, out);
}

int stream_seal_answered(struct stream_seal *seal, const uint8_t in[STREAM_SEAL_HELLO_LEN])
{
	static const int refusals[] = {
		[STREAM_SEAL_NO_KEY] = -ENOKEY,
		[STREAM_SEAL_VERSIONS] = -EPROTONOSUPPORT,
		[STREAM_SEAL_BUSY] = -EBUSY,
	};
	int error = hello_check(seal->identity, in);

	if (error)
		return error;
	if (in[AT_STATUS] != STREAM_SEAL_OK)
		return refusals[in[AT_STATUS]];
	if (memcmp(in + AT_KEY_ID, seal->hellos + AT_KEY_ID, KEYRING_ID_LEN) != 0)
		return -EBADMSG;
	memcpy(seal->hellos + STREAM_SEAL_HELLO_LEN, in, STREAM_SEAL_HELLO_LEN);
	peer_take(seal, in);
	keys_derive(seal);
	return 0;
}

static struct seal_aad aad_of(const struct stream_seal *seal, const uint8_t *frame)
{
	return (struct seal_aad){ frame, STREAM_SEAL_FRAME_LEN, seal->identity->cluster };
}

size_t stream_seal_encrypt(struct stream_seal *seal, EVP_CIPHER_CTX *context, const void *plain,
			   size_t len, uint8_t *out)
{
	CHECK(len > 0 && len <= STREAM_SEAL_RECORD_MAX);
	bytes_put_u32(out, (uint32_t)(len + SEAL_TAG_LEN));
	seal_key_encrypt(context, seal->keys[!seal->is_opener], seal->sent++, aad_of(seal, out),
			 plain, len, out + STREAM_SEAL_FRAME_LEN);
	return len + STREAM_SEAL_OVERHEAD;
}

int stream_seal_frame(const uint8_t in[STREAM_SEAL_FRAME_LEN])
{
	uint32_t len = bytes_get_u32(in);

	if (len <= SEAL_TAG_LEN || len > STREAM_SEAL_RECORD_MAX + SEAL_TAG_LEN)
		return -EBADMSG;
	return (int)len;
}

int stream_seal_decrypt(struct stream_seal *seal, EVP_CIPHER_CTX *context, const uint8_t *in,
			size_t len, uint8_t *out)
{
	uint8_t frame[STREAM_SEAL_FRAME_LEN];

	bytes_put_u32(frame, (uint32_t)len);
	return seal_key_decrypt(context, seal->keys[seal->is_opener], seal->received++,
				aad_of(seal, frame), in, len, out);
}

void stream_seal_wipe(struct stream_seal *seal)
{
	OPENSSL_cleanse(seal, sizeof(*seal));
}

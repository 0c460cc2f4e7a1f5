/*
 * gossip_stream_fuzz.c - what a stranger sends on a gossip stream: a HELLO, then records. The first
 * byte says whether the HELLO is as sent or a true one in its place. No record of a stranger opens.
 */
/* fuzz-links: cenote_gossip */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/gossip/stream_seal.h"
#include "fabric/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static EVP_CIPHER_CTX *crypto;
static struct identity stranger, member;

static void identity_make(struct identity *identity, uint8_t number)
{
	const uint8_t key[KEYRING_KEY_LEN] = { 42 };

	strcpy(identity->cluster, "fuzz");
	memset(identity->member.bytes, number, MEMBER_ID_LEN);
	identity->boot = number;
	CHECK(keyring_create(&identity->ring) == 0);
	CHECK(keyring_add(identity->ring, key) == 0);
}

static void records_take(struct stream_seal *seal, const uint8_t *data, size_t len)
{
	static uint8_t out[STREAM_SEAL_RECORD_MAX];

	while (len >= STREAM_SEAL_FRAME_LEN) {
		int frame = stream_seal_frame(data);

		data += STREAM_SEAL_FRAME_LEN;
		len -= STREAM_SEAL_FRAME_LEN;
		if (frame < 0 || (size_t)frame > len)
			return;
		CHECK(frame > SEAL_TAG_LEN && frame <= STREAM_SEAL_RECORD_MAX + SEAL_TAG_LEN);
		CHECK(stream_seal_decrypt(seal, crypto, data, (size_t)frame, out) < 0);
		data += frame;
		len -= (size_t)frame;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t hello[STREAM_SEAL_HELLO_LEN], answer[STREAM_SEAL_HELLO_LEN];
	const uint8_t nonce[32] = { 7 };
	struct stream_seal opener, seal;

	if (!crypto) {
		crypto = seal_key_context(EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL));
		CHECK(crypto);
		identity_make(&member, 1);
		identity_make(&stranger, 2);
	}
	if (len < 1 + sizeof(hello))
		return 0;
	CHECK(stream_seal_open(&opener, &stranger, nonce, hello) == 0);
	/* An acceptor's HELLO to an opener: it may be any, too. */
	stream_seal_answered(&opener, data + 1);
	stream_seal_wipe(&opener);
	if (data[0] & 1)
		memcpy(hello, data + 1, sizeof(hello));
	if (stream_seal_accept(&seal, &member, nonce, hello, answer) == 0)
		records_take(&seal, data + 1 + sizeof(hello), len - 1 - sizeof(hello));
	else
		CHECK(data[0] & 1);
	stream_seal_wipe(&seal);
	return 0;
}

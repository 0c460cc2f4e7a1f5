/*
 * gossip_packet_fuzz.c - packets as a stranger sends them, and as one would who can have a member
 * seal his bytes (first byte 1: they are sealed here, then changed as the next two bytes say).
 * Strangers' packets never open; sealed ones open once, changed ones never.
 */
/* fuzz-links: cenote_gossip */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/gossip/seal.h"
#include "fabric/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct side {
	struct identity identity;
	struct seal *seal;
};

static void side_make(struct side *side, uint8_t number)
{
	const uint8_t key[KEYRING_KEY_LEN] = { 42 };

	strcpy(side->identity.cluster, "fuzz");
	memset(side->identity.member.bytes, number, MEMBER_ID_LEN);
	side->identity.boot = number;
	CHECK(keyring_create(&side->identity.ring) == 0);
	CHECK(keyring_add(side->identity.ring, key) == 0);
	CHECK(seal_create(&side->identity, &side->seal) == 0);
}

static int packet_open(struct seal *seal, const uint8_t *packet, size_t len)
{
	uint8_t plain[SEAL_PLAIN_MAX];
	struct seal_sender sender;

	return seal_open(seal, packet, len, plain, &sender);
}

static void sealed_check(struct side *from, struct side *to, const uint8_t *data, size_t len)
{
	uint8_t packet[SEAL_PACKET_MAX];
	size_t at = data[0] | (size_t)data[1] << 8;
	int packet_len;

	data += 2;
	len -= 2;
	if (len > SEAL_PLAIN_MAX)
		len = SEAL_PLAIN_MAX;
	packet_len = seal_packet(from->seal, data, len, packet);
	CHECK(packet_len == (int)(SEAL_HEADER_LEN + len + SEAL_TAG_LEN));
	packet[at % (size_t)packet_len] ^= 1;
	CHECK(packet_open(to->seal, packet, (size_t)packet_len) < 0);
	packet[at % (size_t)packet_len] ^= 1;
	CHECK(packet_open(to->seal, packet, (size_t)packet_len) == (int)len);
	CHECK(packet_open(to->seal, packet, (size_t)packet_len) == -EALREADY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct side from, to;

	if (!from.seal) {
		side_make(&from, 1);
		side_make(&to, 2);
	}
	if (len >= 3 && data[0] == 1)
		sealed_check(&from, &to, data + 1, len - 1);
	else
		CHECK(packet_open(to.seal, data, len) < 0);
	return 0;
}

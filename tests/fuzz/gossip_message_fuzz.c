/*
 * gossip_message_fuzz.c - what is inside a packet that opened: a member's word, which may be of
 * another version or of a member gone mad. What decodes encodes and decodes to the same.
 */
/* fuzz-links: cenote_gossip */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/gossip/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Longer than a packet: a newer version's details are passed over, which makes it shorter only. */
#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct wire_message message, again;
	static uint8_t out[INPUT_MAX], out_again[INPUT_MAX];
	size_t out_len;

	if (len > INPUT_MAX || wire_message_decode(data, len, &message) != 0)
		return 0;
	CHECK(message.rumor_count <= SWIM_RUMORS_MAX);
	for (unsigned i = 0; i < message.rumor_count; i++) {
		const struct membership_details *said = &message.rumors[i].details.said;

		if (message.rumors[i].detailed)
			CHECK(memchr(said->name, 0, sizeof(said->name)) &&
			      memchr(said->site, 0, sizeof(said->site)) &&
			      memchr(said->version, 0, sizeof(said->version)));
	}
	out_len = wire_message_encode(&message, out, sizeof(out));
	CHECK(out_len <= len);
	CHECK(wire_message_decode(out, out_len, &again) == 0);
	CHECK(wire_message_encode(&again, out_again, sizeof(out_again)) == out_len);
	CHECK(memcmp(out, out_again, out_len) == 0);
	return 0;
}

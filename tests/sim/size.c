/*
 * size.c - bytes as the codec makes them, computed once by the codec itself for a member whose
 * details have the usual length.
 */
#include <string.h>

#include "fabric/gossip/wire.h"
#include "tests/sim/sim.h"

#define TCP_SEGMENT  1448
#define TCP_OVERHEAD 52 /* IPv4 and TCP with timestamps, each segment */
#define TCP_SEGMENTS 4	/* of one side that carry nothing: opening, closing */

static void details_make(struct wire_details *details)
{
	char problem[128];

	*details = (struct wire_details){ .boot = 1 };
	CHECK(!address_parse("10.20.30.40", 7472, &details->gossip, problem, sizeof(problem)));
	CHECK(!address_parse("10.20.30.40", 7471, &details->said.fabric, problem, sizeof(problem)));
	strcpy(details->said.name, "node-00123.train");
	strcpy(details->said.site, "hall-1");
	strcpy(details->said.version, CENOTE_VERSION);
}

static size_t codec_len(enum swim_kind kind, bool detailed, bool accused)
{
	struct wire_rumor rumor = { .kind = (uint8_t)kind, .detailed = detailed };

	memset(&rumor.member, 1, sizeof(rumor.member));
	if (accused)
		memset(&rumor.accuser, 2, sizeof(rumor.accuser));
	if (detailed)
		details_make(&rumor.details);
	return wire_rumor_len(&rumor);
}

size_t sim_rumor_len(const struct swim_rumor *rumor)
{
	static size_t lens[SWIM_RUMOR_LEFT + 1][2][2];
	bool accused = rumor->from != SWIM_NOBODY;
	size_t *len = &lens[rumor->kind][rumor->detailed][accused];

	if (*len == 0)
		*len = codec_len(rumor->kind, rumor->detailed, accused);
	return *len + (rumor->detailed && rumor->phase == SWIM_RESTARTING ? 4 : 0);
}

size_t sim_room(enum swim_message_kind kind)
{
	return SEAL_PLAIN_MAX - wire_message_header_len(kind);
}

size_t sim_datagram_len(const struct sim_packet *packet)
{
	size_t len =
		WIRE_UDP_OVERHEAD + WIRE_PACKET_OVERHEAD + wire_message_header_len(packet->kind);

	for (uint32_t i = 0; i < packet->rumor_count; i++)
		len += sim_rumor_len(&packet->rumors[i]);
	return len;
}

size_t sim_stream_len(size_t payload)
{
	size_t records = payload / STREAM_SEAL_RECORD_MAX + 1;
	size_t len = WIRE_STREAM_SETUP / 2 + payload + records * STREAM_SEAL_OVERHEAD;

	return len + (len / TCP_SEGMENT + 1 + TCP_SEGMENTS) * TCP_OVERHEAD;
}

/*
 * gossip_state_fuzz.c - the files of the state directory, as a bad disk or a bad editor leaves
 * them. What parses prints to the same.
 */
/* fuzz-links: cenote_gossip */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/gossip/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct state_peers peers, again;
	char text[STATE_FILE_MAX];
	struct state_member member;

	if (state_member_parse((const char *)data, len, &member) == 0) {
		CHECK(!member_id_is_none(&member.id));
		CHECK(state_member_print(&member, text, sizeof(text)) == len);
		CHECK(memcmp(text, data, len) == 0);
	}
	state_peers_parse((const char *)data, len, &peers);
	CHECK(peers.count <= STATE_PEERS_MAX);
	state_peers_parse(text, state_peers_print(&peers, text, sizeof(text)), &again);
	CHECK(again.count == peers.count);
	for (unsigned i = 0; i < peers.count; i++)
		CHECK(address_equal(&peers.addresses[i], &again.addresses[i]));
	return 0;
}

/*
 * gossip_ask_fuzz.c - questions and answers on a gossip stream, views among them. What decodes
 * encodes to the same; a view's rumors are read to their end or refused.
 */
/* fuzz-links: cenote_gossip */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/gossip/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void view_read(struct wire_reader reader)
{
	static struct wire_rumor rumor;
	uint8_t out[WIRE_RUMOR_MAX];

	while (reader.at < reader.end) {
		const uint8_t *before = reader.at;
		size_t rumor_len;

		if (wire_rumor_decode(&reader, &rumor) != 0)
			return;
		CHECK(reader.at > before && reader.at <= reader.end);
		rumor_len = wire_rumor_encode(&rumor, out);
		CHECK(rumor_len == wire_rumor_len(&rumor));
		/* Shorter by what a newer version added to the details. */
		CHECK(rumor_len <= (size_t)(reader.at - before));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t out[WIRE_ASK_MAX];
	struct wire_ask ask;
	size_t out_len;

	if (wire_ask_decode(data, len, &ask) != 0)
		return 0;
	out_len = wire_ask_encode(&ask, out);
	if (ask.kind == WIRE_VIEW) {
		view_read(ask.rest);
		CHECK(out_len + (size_t)(ask.rest.end - ask.rest.at) == len);
	} else {
		CHECK(out_len == len);
	}
	CHECK(memcmp(out, data, out_len) == 0);
	return 0;
}

/*
 * keeper_protocol_fuzz.c - any bytes as what a worker and its keeper say to each other: the first
 * chooses between a datagram and the line of the environment. What is accepted encodes to the same.
 */
/* fuzz-links: cenote_link */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fuse/keeper/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_message(const uint8_t *data, size_t len)
{
	uint8_t again[PROTOCOL_MESSAGE_MAX];
	struct protocol_message message;

	if (protocol_decode(data, len, &message))
		return;
	CHECK(strnlen(message.text, sizeof(message.text)) < sizeof(message.text));
	CHECK(protocol_encode(&message, again) == len);
	CHECK(!memcmp(again, data, len));
}

static void check_start(const uint8_t *data, size_t len)
{
	char text[2 * PROTOCOL_ENVIRONMENT_MAX], again[PROTOCOL_ENVIRONMENT_MAX];
	char twice[PROTOCOL_ENVIRONMENT_MAX];
	struct protocol_start start;

	if (len >= sizeof(text))
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (protocol_start_decode(text, &start))
		return;
	CHECK(start.kept_count <= PROTOCOL_KEPT_MAX);
	for (unsigned i = 0; i < start.kept_count; i++)
		CHECK(start.kept[i].fd > 2 && protocol_name_valid(start.kept[i].name));
	protocol_start_encode(&start, again);
	CHECK(protocol_start_decode(again, &start) == 0);
	protocol_start_encode(&start, twice);
	CHECK(!strcmp(again, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] % 2 == 0)
		check_message(data + 1, len - 1);
	else
		check_start(data + 1, len - 1);
	return 0;
}

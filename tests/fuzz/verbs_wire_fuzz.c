/*
 * verbs_wire_fuzz.c - any bytes as what a peer of the verbs backend says: the first chooses the
 * decoder. What is accepted encodes to the same bytes.
 */
/* fuzz-links: cenote_transport */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/transport/verbs/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_hello(const uint8_t *data, size_t len)
{
	uint8_t again[WIRE_HELLO_LEN];
	struct wire_hello hello;
	unsigned version;

	if (wire_hello_decode(data, len, &hello, &version))
		return;
	wire_hello_encode(&hello, again);
	CHECK(!memcmp(again, data, sizeof(again)));
}

static void check_welcome(const uint8_t *data, size_t len)
{
	uint8_t again[WIRE_WELCOME_LEN];
	struct wire_welcome welcome;

	if (wire_welcome_decode(data, len, &welcome))
		return;
	wire_welcome_encode(&welcome, again);
	CHECK(!memcmp(again, data, sizeof(again)));
}

static void check_refusal(const uint8_t *data, size_t len)
{
	char text[TRANSPORT_REFUSAL_MAX];

	if (!wire_refusal_decode(data, len, text))
		return;
	CHECK(strnlen(text, sizeof(text)) < sizeof(text));
	for (const char *p = text; *p; p++)
		CHECK(*p >= ' ' && *p < 0x7f);
}

static void check_offer(const uint8_t *data, size_t len)
{
	struct wire_rail rails[TRANSPORT_RAILS_MAX];
	uint8_t again[TRANSPORT_OFFER_MAX];
	int count = wire_offer_decode(data, len, rails);

	if (count < 0)
		return;
	CHECK(count >= 1 && count <= TRANSPORT_RAILS_MAX);
	CHECK(wire_offer_encode(rails, (unsigned)count, again) == len);
	CHECK(!memcmp(again, data, len));
}

static void check_message(const uint8_t *data, size_t len)
{
	uint8_t again[WIRE_HEADER_LEN];
	struct wire_header header;

	if (wire_header_decode(data, len, &header))
		return;
	CHECK(header.len == len - WIRE_HEADER_LEN);
	wire_header_encode(&header, again);
	CHECK(!memcmp(again, data, sizeof(again)));
}

static void check_keys(const uint8_t *data, size_t len)
{
	uint8_t again[WIRE_KEYS_HEADER_LEN];
	struct wire_keys keys;

	if (wire_keys_decode(data, len, &keys))
		return;
	CHECK(keys.first + keys.count <= wire_chunks(keys.len));
	CHECK(keys.keys + 4 * (size_t)keys.count == data + len);
	wire_keys_encode(&keys, again);
	CHECK(!memcmp(again, data, sizeof(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const checks[])(const uint8_t *, size_t) = {
		check_hello, check_welcome, check_refusal, check_offer, check_message, check_keys,
	};

	if (len)
		checks[data[0] % ARRAY_COUNT(checks)](data + 1, len - 1);
	return 0;
}

/*
 * ucx_wire_fuzz.c - what comes over UCX, once UCX has taken it apart: the first byte says the kind,
 * 255 an offer. What decodes, encodes back to the same, but for statuses that nobody may say.
 */
/* fuzz-links: cenote_transport_ucx */
#include <string.h>

#include "base/check.h"
#include "fabric/transport/ucx/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void same(const uint8_t *encoded, size_t encoded_len, const uint8_t *data, size_t len)
{
	CHECK(encoded_len == len && !memcmp(encoded, data, len));
}

static void check_hello(const uint8_t *data, size_t len)
{
	uint8_t out[UCX_HELLO_LEN] = { 0 };
	struct ucx_hello hello;

	if (!ucx_hello_decode(data, len, &hello))
		same(out, ucx_hello_encode(&hello, out), data, len);
}

static void check_welcome(const uint8_t *data, size_t len)
{
	uint8_t out[UCX_WELCOME_LEN_MAX] = { 0 };
	struct ucx_welcome welcome;

	if (!ucx_welcome_decode(data, len, &welcome))
		same(out, ucx_welcome_encode(&welcome, out), data, len);
}

static void check_refusal(const uint8_t *data, size_t len)
{
	uint8_t out[UCX_REFUSAL_LEN_MAX] = { 0 };
	struct ucx_refusal refusal, back;
	size_t used;

	if (ucx_refusal_decode(data, len, &refusal))
		return;
	CHECK(refusal.status < 0);
	used = ucx_refusal_encode(&refusal, out);
	CHECK(used == len && !ucx_refusal_decode(out, used, &back));
	CHECK(back.status == refusal.status && strcmp(back.text, refusal.text) == 0);
}

static void check_read(const uint8_t *data, size_t len)
{
	uint8_t out[UCX_READ_HEAD_LEN + UCX_REQUESTS_MAX * UCX_REQUEST_LEN] = { 0 };
	struct ucx_request requests[UCX_REQUESTS_MAX];
	int count = ucx_read_decode(data, len, requests);
	size_t used;

	if (count < 0)
		return;
	used = ucx_read_begin(ucx_to(data, len), out);
	for (int i = 0; i < count; i++)
		used += ucx_read_add(out, &requests[i]);
	same(out, used, data, len);
}

static void check_answer(const uint8_t *data, size_t len)
{
	struct ucx_piece pieces[UCX_PIECES_MAX];
	int count = ucx_answer_decode(data, len, pieces);

	CHECK(count <= UCX_PIECES_MAX);
	for (int i = 0; i < count; i++)
		CHECK(pieces[i].status <= 0);
}

static void check_message(const uint8_t *data, size_t len)
{
	const uint8_t *bytes;
	uint32_t number;
	int count = ucx_message_decode(data, len, &number, &bytes);

	if (count > 0)
		CHECK(bytes + count == data + len);
}

static void check_offer(const uint8_t *data, size_t len)
{
	struct address addresses[UCX_OFFER_ADDRESSES_MAX];
	uint8_t out[TRANSPORT_OFFER_MAX] = { 0 };
	int count = ucx_offer_decode(data, len, addresses);

	if (count > 0)
		same(out, ucx_offer_encode(addresses, (unsigned)count, out), data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const checks[UCX_KINDS])(const uint8_t *, size_t) = {
		[UCX_HELLO] = check_hello,     [UCX_WELCOME] = check_welcome,
		[UCX_REFUSAL] = check_refusal, [UCX_READ] = check_read,
		[UCX_ANSWER] = check_answer,   [UCX_MESSAGE] = check_message,
	};

	if (!len)
		return 0;
	if (data[0] == 255)
		check_offer(data + 1, len - 1);
	else
		checks[data[0] % UCX_KINDS](data + 1, len - 1);
	return 0;
}

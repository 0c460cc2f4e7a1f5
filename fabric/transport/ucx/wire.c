/*
 * wire.c - see wire.h.
 */
#include "fabric/transport/ucx/wire.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define MAGIC UINT32_C(0x58554e43) /* "CNUX" */

/* What an answer or a refusal may say; anything else is -EIO, so that no number of the wire is
   ever taken for one of ours. */
static int known_status(int32_t status)
{
	switch (status) {
	case 0:
	case -ERANGE:
	case -EACCES:
	case -EBUSY:
	case -EPROTONOSUPPORT:
	case -ENOMEM:
		return status;
	default:
		return -EIO;
	}
}

size_t ucx_hello_encode(const struct ucx_hello *hello, uint8_t out[UCX_HELLO_LEN])
{
	bytes_put_u32(out, MAGIC);
	bytes_put_u16(out + 4, UCX_WIRE_VERSION);
	bytes_put_u64(out + 6, hello->token);
	bytes_put_u32(out + 14, hello->eager_max);
	memcpy(out + 18, hello->proof, TRANSPORT_PROOF_LEN);
	return UCX_HELLO_LEN;
}

int ucx_hello_decode(const void *data, size_t len, struct ucx_hello *out)
{
	const uint8_t *p = data;

	if (len < 6 || bytes_get_u32(p) != MAGIC)
		return -EBADMSG;
	if (bytes_get_u16(p + 4) != UCX_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (len != UCX_HELLO_LEN || !bytes_get_u64(p + 6))
		return -EBADMSG;
	out->token = bytes_get_u64(p + 6);
	out->eager_max = bytes_get_u32(p + 14);
	memcpy(out->proof, p + 18, TRANSPORT_PROOF_LEN);
	return 0;
}

size_t ucx_welcome_encode(const struct ucx_welcome *welcome, uint8_t out[UCX_WELCOME_LEN_MAX])
{
	uint8_t *p = out + 28;

	CHECK(welcome->region_count <= TRANSPORT_REGIONS_MAX);
	bytes_put_u64(out, welcome->to);
	bytes_put_u16(out + 8, UCX_WIRE_VERSION);
	bytes_put_u64(out + 10, welcome->token);
	bytes_put_u32(out + 18, welcome->eager_max);
	bytes_put_u32(out + 22, welcome->depth);
	bytes_put_u16(out + 26, (uint16_t)welcome->region_count);
	for (unsigned i = 0; i < welcome->region_count; i++, p += UCX_REGION_LEN) {
		bytes_put_u32(p, welcome->regions[i].index);
		bytes_put_u64(p + 4, welcome->regions[i].len);
	}
	return (size_t)(p - out);
}

int ucx_welcome_decode(const void *data, size_t len, struct ucx_welcome *out)
{
	const uint8_t *p = data;
	unsigned count;

	if (len < 28)
		return -EBADMSG;
	if (bytes_get_u16(p + 8) != UCX_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	count = bytes_get_u16(p + 26);
	if (count > TRANSPORT_REGIONS_MAX || len != 28 + (size_t)count * UCX_REGION_LEN)
		return -EBADMSG;
	*out = (struct ucx_welcome){ .to = bytes_get_u64(p),
				     .token = bytes_get_u64(p + 10),
				     .eager_max = bytes_get_u32(p + 18),
				     .depth = bytes_get_u32(p + 22),
				     .region_count = count };
	if (!out->token || !out->depth)
		return -EBADMSG;
	p += 28;
	for (unsigned i = 0; i < count; i++, p += UCX_REGION_LEN) {
		out->regions[i].index = bytes_get_u32(p);
		out->regions[i].len = bytes_get_u64(p + 4);
		if (out->regions[i].index >= TRANSPORT_REGIONS_MAX)
			return -EBADMSG;
	}
	return 0;
}

size_t ucx_refusal_encode(const struct ucx_refusal *refusal, uint8_t out[UCX_REFUSAL_LEN_MAX])
{
	size_t len = strnlen(refusal->text, TRANSPORT_REFUSAL_MAX - 1);

	bytes_put_u64(out, refusal->to);
	bytes_put_u32(out + 8, (uint32_t)refusal->status);
	memcpy(out + 12, refusal->text, len);
	return 12 + len;
}

int ucx_refusal_decode(const void *data, size_t len, struct ucx_refusal *out)
{
	const uint8_t *p = data;

	if (len < 12 || len - 12 >= TRANSPORT_REFUSAL_MAX || memchr(p + 12, 0, len - 12))
		return -EBADMSG;
	out->to = bytes_get_u64(p);
	out->status = known_status((int32_t)bytes_get_u32(p + 8));
	if (!out->status)
		return -EBADMSG;
	memcpy(out->text, p + 12, len - 12);
	out->text[len - 12] = 0;
	return 0;
}

uint64_t ucx_to(const void *data, size_t len)
{
	return len < 8 ? 0 : bytes_get_u64(data);
}

/* READ and the header of ANSWER: to, count, items. */
static size_t begin(uint64_t to, uint8_t *out)
{
	bytes_put_u64(out, to);
	bytes_put_u16(out + 8, 0);
	return 10;
}

static uint8_t *add(uint8_t *batch, size_t item_len, unsigned count_max)
{
	unsigned count = bytes_get_u16(batch + 8);

	CHECK(count < count_max);
	bytes_put_u16(batch + 8, (uint16_t)(count + 1));
	return batch + 10 + count * item_len;
}

static int count_of(const uint8_t *batch, size_t len, size_t item_len, unsigned count_max)
{
	unsigned count;

	if (len < 10)
		return -EBADMSG;
	count = bytes_get_u16(batch + 8);
	if (!count || count > count_max || len != 10 + count * item_len)
		return -EBADMSG;
	return (int)count;
}

size_t ucx_read_begin(uint64_t to, uint8_t out[UCX_READ_HEAD_LEN])
{
	return begin(to, out);
}

size_t ucx_read_add(uint8_t *read, const struct ucx_request *request)
{
	uint8_t *p = add(read, UCX_REQUEST_LEN, UCX_REQUESTS_MAX);

	bytes_put_u32(p, request->id);
	bytes_put_u32(p + 4, request->region);
	bytes_put_u64(p + 8, request->off);
	bytes_put_u32(p + 16, request->len);
	return UCX_REQUEST_LEN;
}

int ucx_read_decode(const void *data, size_t len, struct ucx_request out[UCX_REQUESTS_MAX])
{
	int count = count_of(data, len, UCX_REQUEST_LEN, UCX_REQUESTS_MAX);

	for (int i = 0; i < count; i++) {
		const uint8_t *p =
			(const uint8_t *)data + UCX_READ_HEAD_LEN + (size_t)i * UCX_REQUEST_LEN;

		out[i] = (struct ucx_request){ .id = bytes_get_u32(p),
					       .region = bytes_get_u32(p + 4),
					       .off = bytes_get_u64(p + 8),
					       .len = bytes_get_u32(p + 16) };
	}
	return count;
}

size_t ucx_answer_begin(uint64_t to, uint8_t out[UCX_ANSWER_HEAD_LEN])
{
	return begin(to, out);
}

size_t ucx_answer_add(uint8_t *answer, const struct ucx_piece *piece)
{
	uint8_t *p = add(answer, UCX_PIECE_LEN, UCX_PIECES_MAX);

	bytes_put_u32(p, piece->id);
	bytes_put_u32(p + 4, piece->len);
	bytes_put_u32(p + 8, (uint32_t)piece->status);
	return UCX_PIECE_LEN;
}

int ucx_answer_decode(const void *data, size_t len, struct ucx_piece out[UCX_PIECES_MAX])
{
	int count = count_of(data, len, UCX_PIECE_LEN, UCX_PIECES_MAX);

	for (int i = 0; i < count; i++) {
		const uint8_t *p =
			(const uint8_t *)data + UCX_ANSWER_HEAD_LEN + (size_t)i * UCX_PIECE_LEN;

		out[i] = (struct ucx_piece){
			.id = bytes_get_u32(p),
			.len = bytes_get_u32(p + 4),
			.status = known_status((int32_t)bytes_get_u32(p + 8)),
		};
	}
	return count;
}

size_t ucx_message_begin(uint64_t to, uint32_t number, uint8_t out[UCX_MESSAGE_HEAD_LEN])
{
	bytes_put_u64(out, to);
	bytes_put_u32(out + 8, number);
	return UCX_MESSAGE_HEAD_LEN;
}

int ucx_message_decode(const void *data, size_t len, uint32_t *out_number,
		       const uint8_t **out_bytes)
{
	const uint8_t *p = data;

	if (len <= UCX_MESSAGE_HEAD_LEN || len - UCX_MESSAGE_HEAD_LEN > TRANSPORT_MESSAGE_MAX)
		return -EBADMSG;
	*out_number = bytes_get_u32(p + 8);
	*out_bytes = p + UCX_MESSAGE_HEAD_LEN;
	return (int)(len - UCX_MESSAGE_HEAD_LEN);
}

size_t ucx_offer_encode(const struct address *addresses, unsigned count,
			uint8_t out[TRANSPORT_OFFER_MAX])
{
	CHECK(count && count <= UCX_OFFER_ADDRESSES_MAX);
	out[0] = UCX_WIRE_VERSION;
	out[1] = (uint8_t)count;
	for (unsigned i = 0; i < count; i++)
		address_encode(&addresses[i], out + 2 + (size_t)i * ADDRESS_WIRE_LEN);
	return 2 + (size_t)count * ADDRESS_WIRE_LEN;
}

int ucx_offer_decode(const uint8_t *data, size_t len, struct address out[UCX_OFFER_ADDRESSES_MAX])
{
	unsigned count;

	if (len < 2)
		return -EBADMSG;
	if (data[0] != UCX_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	count = data[1];
	if (!count || count > UCX_OFFER_ADDRESSES_MAX ||
	    len != 2 + (size_t)count * ADDRESS_WIRE_LEN)
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		if (address_decode(data + 2 + (size_t)i * ADDRESS_WIRE_LEN, &out[i]) ||
		    !address_port(&out[i]))
			return -EBADMSG;
	}
	return (int)count;
}

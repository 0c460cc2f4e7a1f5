/*
 * wire.c - see wire.h.
 *
 *	HELLO    "cnte" | version | role | rail | mtu | session 8 | secret 32 | attempt 4 | zero 4
 *	WELCOME  "cnte" | version | mtu  | zero 2     | session 8
 *	refusal  "cnte" | version | code | text
 *	offer    version | count | (rail | address 19) * count
 *	message  type | zero | credits 2 | len 4 | ...
 *	KEYS     region 4 | rail 4 | len 8 | base 8 | first 2 | count 2 | key 4 * count
 */
#include "fabric/transport/verbs/wire.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"

#define OFFER_RAIL_LEN (1 + ADDRESS_WIRE_LEN)
#define MTU_MAX	       5 /* IBV_MTU_4096 */

static const uint8_t magic[4] = { 'c', 'n', 't', 'e' };
static const uint8_t zeros[4];

_Static_assert(2 + OFFER_RAIL_LEN * TRANSPORT_RAILS_MAX <= TRANSPORT_OFFER_MAX, "offer");
_Static_assert(WIRE_SECRET_LEN == TRANSPORT_PROOF_LEN, "the proof is the first secret");
_Static_assert(WIRE_CHUNKS_MAX <= 1u << 16, "chunks are counted in 16 bits");

static int check_start(const uint8_t *data, size_t len, size_t wanted, unsigned *out_version)
{
	if (len < wanted || memcmp(data, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	*out_version = data[4];
	return data[4] == WIRE_VERSION ? 0 : -EPROTONOSUPPORT;
}

void wire_hello_encode(const struct wire_hello *hello, uint8_t out[WIRE_HELLO_LEN])
{
	memset(out, 0, WIRE_HELLO_LEN);
	memcpy(out, magic, sizeof(magic));
	out[4] = WIRE_VERSION;
	out[5] = hello->role;
	out[6] = hello->rail;
	out[7] = hello->mtu;
	bytes_put_u64(out + 8, hello->session);
	memcpy(out + 16, hello->secret, WIRE_SECRET_LEN);
	bytes_put_u32(out + 48, hello->attempt);
}

int wire_hello_decode(const void *data, size_t len, struct wire_hello *out, unsigned *out_version)
{
	const uint8_t *in = data;
	int error = check_start(in, len, WIRE_HELLO_LEN, out_version);

	if (error)
		return error;
	struct wire_hello hello = {
		.role = in[5],
		.rail = in[6],
		.mtu = in[7],
		.session = bytes_get_u64(in + 8),
		.attempt = bytes_get_u32(in + 48),
	};
	memcpy(hello.secret, in + 16, WIRE_SECRET_LEN);
	if ((hello.role != WIRE_CONTROL && hello.role != WIRE_DATA) || !hello.mtu ||
	    hello.mtu > MTU_MAX || hello.rail >= TRANSPORT_RAILS_MAX ||
	    (hello.role == WIRE_CONTROL && (hello.session || hello.attempt)) ||
	    (hello.role == WIRE_DATA && !hello.attempt) ||
	    memcmp(in + 52, zeros, sizeof(zeros)) != 0)
		return -EBADMSG;
	*out = hello;
	return 0;
}

void wire_welcome_encode(const struct wire_welcome *welcome, uint8_t out[WIRE_WELCOME_LEN])
{
	memset(out, 0, WIRE_WELCOME_LEN);
	memcpy(out, magic, sizeof(magic));
	out[4] = WIRE_VERSION;
	out[5] = welcome->mtu;
	bytes_put_u64(out + 8, welcome->session);
}

int wire_welcome_decode(const void *data, size_t len, struct wire_welcome *out)
{
	const uint8_t *in = data;
	unsigned version;

	if (!in || check_start(in, len, WIRE_WELCOME_LEN, &version) || !in[5] || in[5] > MTU_MAX ||
	    in[6] || in[7])
		return -EBADMSG;
	*out = (struct wire_welcome){ .mtu = in[5], .session = bytes_get_u64(in + 8) };
	return 0;
}

static const int refusals[] = { 0, -EACCES, -EBUSY, -EPROTONOSUPPORT, -ECONNREFUSED };

size_t wire_refusal_encode(int status, const char *text, uint8_t out[WIRE_REFUSAL_MAX])
{
	uint8_t code = 1;
	size_t len = strnlen(text, TRANSPORT_REFUSAL_MAX - 1);

	while (code < ARRAY_COUNT(refusals) - 1 && refusals[code] != status)
		code++;
	memcpy(out, magic, sizeof(magic));
	out[4] = WIRE_VERSION;
	out[5] = code;
	memcpy(out + 6, text, len);
	out[6 + len] = 0;
	return 6 + len + 1;
}

/* Of any version, so that two versions can tell each other so. */
int wire_refusal_decode(const void *data, size_t len, char out_text[TRANSPORT_REFUSAL_MAX])
{
	const uint8_t *in = data;
	size_t count = 0;

	if (!in || len < 7 || memcmp(in, magic, sizeof(magic)) != 0 || !in[5] ||
	    in[5] >= ARRAY_COUNT(refusals))
		return 0;
	for (size_t i = 6; i < len && in[i] && count < TRANSPORT_REFUSAL_MAX - 1; i++)
		out_text[count++] = (char)(in[i] >= ' ' && in[i] < 0x7f ? in[i] : '?');
	out_text[count] = 0;
	return refusals[in[5]];
}

void wire_tag(const uint8_t proof[WIRE_SECRET_LEN], const struct wire_hello *hello,
	      uint8_t out[WIRE_SECRET_LEN])
{
	uint8_t text[36] = "cenote verbs data";

	bytes_put_u64(text + 20, hello->session);
	bytes_put_u32(text + 28, hello->attempt);
	text[32] = hello->rail;
	_Static_assert(DIGEST_SHA256_LEN == WIRE_SECRET_LEN, "a tag is a whole HMAC");
	digest_hmac_sha256(proof, WIRE_SECRET_LEN, text, sizeof(text), out);
}

bool wire_secret_equal(const uint8_t a[WIRE_SECRET_LEN], const uint8_t b[WIRE_SECRET_LEN])
{
	return !CRYPTO_memcmp(a, b, WIRE_SECRET_LEN);
}

size_t wire_offer_encode(const struct wire_rail *rails, unsigned count,
			 uint8_t out[TRANSPORT_OFFER_MAX])
{
	uint8_t *p = out;

	CHECK(count <= TRANSPORT_RAILS_MAX);
	*p++ = WIRE_VERSION;
	*p++ = (uint8_t)count;
	for (unsigned i = 0; i < count; i++, p += OFFER_RAIL_LEN) {
		p[0] = rails[i].index;
		address_encode(&rails[i].address, p + 1);
	}
	return (size_t)(p - out);
}

int wire_offer_decode(const uint8_t *data, size_t len, struct wire_rail out[TRANSPORT_RAILS_MAX])
{
	struct wire_rail rails[TRANSPORT_RAILS_MAX];

	if (len < 2)
		return -EBADMSG;
	if (data[0] != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	unsigned count = data[1];
	if (!count || count > TRANSPORT_RAILS_MAX || len != 2 + (size_t)count * OFFER_RAIL_LEN)
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *in = data + 2 + (size_t)i * OFFER_RAIL_LEN;

		rails[i].index = in[0];
		/* in rising order: no rail twice */
		if (in[0] >= TRANSPORT_RAILS_MAX || (i && in[0] <= rails[i - 1].index) ||
		    address_decode(in + 1, &rails[i].address) || !address_port(&rails[i].address) ||
		    address_is_any(&rails[i].address))
			return -EBADMSG;
	}
	memcpy(out, rails, count * sizeof(*rails));
	return (int)count;
}

void wire_header_encode(const struct wire_header *header, uint8_t out[WIRE_HEADER_LEN])
{
	out[0] = header->type;
	out[1] = 0;
	bytes_put_u16(out + 2, header->credits);
	bytes_put_u32(out + 4, header->len);
}

int wire_header_decode(const uint8_t *data, size_t len, struct wire_header *out)
{
	if (len < WIRE_HEADER_LEN)
		return -EBADMSG;
	struct wire_header header = {
		.type = data[0],
		.credits = bytes_get_u16(data + 2),
		.len = bytes_get_u32(data + 4),
	};
	if (header.type < WIRE_READY || header.type > WIRE_PONG || data[1] ||
	    header.len != len - WIRE_HEADER_LEN || header.len > TRANSPORT_MESSAGE_MAX)
		return -EBADMSG;
	*out = header;
	return 0;
}

void wire_keys_encode(const struct wire_keys *keys, uint8_t out[WIRE_KEYS_HEADER_LEN])
{
	bytes_put_u32(out, keys->region);
	bytes_put_u32(out + 4, keys->rail);
	bytes_put_u64(out + 8, keys->len);
	bytes_put_u64(out + 16, keys->base);
	bytes_put_u16(out + 24, (uint16_t)keys->first);
	bytes_put_u16(out + 26, (uint16_t)keys->count);
}

int wire_keys_decode(const uint8_t *data, size_t len, struct wire_keys *out)
{
	if (len < WIRE_KEYS_HEADER_LEN)
		return -EBADMSG;
	struct wire_keys keys = {
		.region = bytes_get_u32(data),
		.rail = bytes_get_u32(data + 4),
		.len = bytes_get_u64(data + 8),
		.base = bytes_get_u64(data + 16),
		.first = bytes_get_u16(data + 24),
		.count = bytes_get_u16(data + 26),
		.keys = data + WIRE_KEYS_HEADER_LEN,
	};
	if (keys.region >= TRANSPORT_REGIONS_MAX || keys.rail >= TRANSPORT_RAILS_MAX || !keys.len ||
	    keys.len > UINT64_MAX - keys.base || wire_chunks(keys.len) > WIRE_CHUNKS_MAX ||
	    !keys.count || keys.first >= wire_chunks(keys.len) ||
	    keys.count > wire_chunks(keys.len) - keys.first ||
	    len - WIRE_KEYS_HEADER_LEN != 4 * (size_t)keys.count)
		return -EBADMSG;
	*out = keys;
	return 0;
}

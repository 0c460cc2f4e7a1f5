/*
 * wire.c - the codec. A writer that overflows is our error and CHECKed; a reader trusts nothing.
 */
#include "fabric/gossip/wire.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define HAS_ACCUSER 0x80
#define HAS_DETAILS 0x40
#define KIND_MASK   0x3f

#define ADDRESS_PORT_AT 17 /* of address_encode()'s form */

/* The fixed part, three addresses' worth and three texts of a length byte each. */
_Static_assert(1 + 8 * 3 + 2 * ADDRESS_WIRE_LEN + MEMBERSHIP_NAME_MAX + MEMBERSHIP_SITE_MAX +
			       MEMBERSHIP_VERSION_MAX <=
		       WIRE_DETAILS_MAX,
	       "details have their length in one byte");

struct writer {
	uint8_t *at, *end;
};

static uint8_t *put(struct writer *writer, size_t len)
{
	uint8_t *at = writer->at;

	CHECK(len <= (size_t)(writer->end - at));
	writer->at += len;
	return at;
}

static void put_u8(struct writer *writer, uint8_t value)
{
	*put(writer, 1) = value;
}

static void put_u32(struct writer *writer, uint32_t value)
{
	bytes_put_u32(put(writer, 4), value);
}

static void put_u64(struct writer *writer, uint64_t value)
{
	bytes_put_u64(put(writer, 8), value);
}

static void put_id(struct writer *writer, const struct member_id *id)
{
	memcpy(put(writer, MEMBER_ID_LEN), id->bytes, MEMBER_ID_LEN);
}

static void put_text(struct writer *writer, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	put_u8(writer, (uint8_t)len);
	memcpy(put(writer, len), text, len);
}

static size_t address_bytes(unsigned family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static void put_address(struct writer *writer, const struct address *address)
{
	uint8_t whole[ADDRESS_WIRE_LEN];
	size_t len;

	address_encode(address, whole);
	put_u8(writer, whole[0]);
	if (whole[0] == 0)
		return;
	len = address_bytes(whole[0]);
	memcpy(put(writer, len), whole + 1, len);
	memcpy(put(writer, 2), whole + ADDRESS_PORT_AT, 2);
}

static const uint8_t *get(struct wire_reader *reader, size_t len)
{
	const uint8_t *at = reader->at;

	if (len > (size_t)(reader->end - at))
		return NULL;
	reader->at += len;
	return at;
}

static int get_u8(struct wire_reader *reader, uint8_t *out)
{
	const uint8_t *at = get(reader, 1);

	if (!at)
		return -EBADMSG;
	*out = *at;
	return 0;
}

static int get_u32(struct wire_reader *reader, uint32_t *out)
{
	const uint8_t *at = get(reader, 4);

	if (!at)
		return -EBADMSG;
	*out = bytes_get_u32(at);
	return 0;
}

static int get_u64(struct wire_reader *reader, uint64_t *out)
{
	const uint8_t *at = get(reader, 8);

	if (!at)
		return -EBADMSG;
	*out = bytes_get_u64(at);
	return 0;
}

/* An id that stands for somebody. */
static int get_id(struct wire_reader *reader, struct member_id *out)
{
	const uint8_t *at = get(reader, MEMBER_ID_LEN);

	if (!at)
		return -EBADMSG;
	memcpy(out->bytes, at, MEMBER_ID_LEN);
	return member_id_is_none(out) ? -EBADMSG : 0;
}

/* For people's terminals: no control bytes. */
static int get_text(struct wire_reader *reader, char *out, size_t size)
{
	const uint8_t *at;
	uint8_t len;

	if (get_u8(reader, &len) || len >= size)
		return -EBADMSG;
	at = get(reader, len);
	if (!at)
		return -EBADMSG;
	for (unsigned i = 0; i < len; i++)
		if (at[i] < 0x20 || at[i] == 0x7f)
			return -EBADMSG;
	memcpy(out, at, len);
	memset(out + len, 0, size - len);
	return 0;
}

static int get_address(struct wire_reader *reader, struct address *out)
{
	uint8_t whole[ADDRESS_WIRE_LEN] = { 0 };
	const uint8_t *at, *port;

	if (get_u8(reader, &whole[0]))
		return -EBADMSG;
	if (whole[0] == 0) {
		memset(out, 0, sizeof(*out));
		return 0;
	}
	at = get(reader, address_bytes(whole[0]));
	port = get(reader, 2);
	if (!at || !port)
		return -EBADMSG;
	memcpy(whole + 1, at, address_bytes(whole[0]));
	memcpy(whole + ADDRESS_PORT_AT, port, 2);
	return address_decode(whole, out);
}

/* --- details */

static size_t address_len_on_wire(const struct address *address)
{
	switch (address->storage.ss_family) {
	case AF_INET:
		return 1 + 4 + 2;
	case AF_INET6:
		return 1 + 16 + 2;
	default:
		return 1;
	}
}

static size_t details_len(const struct wire_details *details)
{
	const struct membership_details *said = &details->said;

	return 1 + 8 * 3 + address_len_on_wire(&details->gossip) +
	       address_len_on_wire(&said->fabric) + 3 +
	       strnlen(said->name, MEMBERSHIP_NAME_MAX - 1) +
	       strnlen(said->site, MEMBERSHIP_SITE_MAX - 1) +
	       strnlen(said->version, MEMBERSHIP_VERSION_MAX - 1);
}

static void details_encode(struct writer *writer, const struct wire_details *details)
{
	const struct membership_details *said = &details->said;

	put_u8(writer, (uint8_t)(details_len(details) - 1));
	put_u64(writer, details->boot);
	put_u64(writer, said->capacity);
	put_u64(writer, said->config);
	put_address(writer, &details->gossip);
	put_address(writer, &said->fabric);
	put_text(writer, said->name, sizeof(said->name));
	put_text(writer, said->site, sizeof(said->site));
	put_text(writer, said->version, sizeof(said->version));
}

static int details_decode(struct wire_reader *reader, struct wire_details *out)
{
	struct wire_reader inner;
	uint8_t len;

	if (get_u8(reader, &len))
		return -EBADMSG;
	inner.at = get(reader, len);
	if (!inner.at)
		return -EBADMSG;
	inner.end = inner.at + len;
	if (get_u64(&inner, &out->boot) || get_u64(&inner, &out->said.capacity) ||
	    get_u64(&inner, &out->said.config) || get_address(&inner, &out->gossip) ||
	    get_address(&inner, &out->said.fabric) ||
	    get_text(&inner, out->said.name, sizeof(out->said.name)) ||
	    get_text(&inner, out->said.site, sizeof(out->said.site)) ||
	    get_text(&inner, out->said.version, sizeof(out->said.version)))
		return -EBADMSG;
	return 0;
}

/* --- rumors */

static bool rumor_has_remaining(const struct wire_rumor *rumor)
{
	return rumor->phase == SWIM_RESTARTING;
}

size_t wire_rumor_len(const struct wire_rumor *rumor)
{
	size_t len = WIRE_RUMOR_LEN;

	if (!member_id_is_none(&rumor->accuser))
		len += WIRE_ACCUSER_LEN;
	if (rumor->detailed)
		len += 1 + (rumor_has_remaining(rumor) ? 4 : 0) + details_len(&rumor->details);
	return len;
}

static void rumor_encode(struct writer *writer, const struct wire_rumor *rumor)
{
	bool accused = !member_id_is_none(&rumor->accuser);

	put_u8(writer, (uint8_t)(rumor->kind | (accused ? HAS_ACCUSER : 0) |
				 (rumor->detailed ? HAS_DETAILS : 0)));
	put_id(writer, &rumor->member);
	put_u32(writer, rumor->incarnation);
	if (accused)
		put_id(writer, &rumor->accuser);
	if (!rumor->detailed)
		return;
	put_u8(writer, rumor->phase);
	if (rumor_has_remaining(rumor))
		put_u32(writer, rumor->remaining_ms);
	details_encode(writer, &rumor->details);
}

size_t wire_rumor_encode(const struct wire_rumor *rumor, uint8_t *out)
{
	struct writer writer = { out, out + WIRE_RUMOR_MAX };

	rumor_encode(&writer, rumor);
	return (size_t)(writer.at - out);
}

static int rumor_details_decode(struct wire_reader *reader, struct wire_rumor *out)
{
	if (get_u8(reader, &out->phase) || out->phase > SWIM_LEAVING)
		return -EBADMSG;
	if (rumor_has_remaining(out) && get_u32(reader, &out->remaining_ms))
		return -EBADMSG;
	return details_decode(reader, &out->details);
}

/* Fields that are not there are zero; but not what details are, of which there may be many. */
static void rumor_clear(struct wire_rumor *rumor)
{
	memset(&rumor->accuser, 0, sizeof(rumor->accuser));
	rumor->phase = 0;
	rumor->remaining_ms = 0;
}

int wire_rumor_decode(struct wire_reader *reader, struct wire_rumor *out)
{
	uint8_t first;

	rumor_clear(out);
	if (get_u8(reader, &first))
		return -EBADMSG;
	out->kind = first & KIND_MASK;
	out->detailed = first & HAS_DETAILS;
	if (out->kind < SWIM_RUMOR_ALIVE || out->kind > SWIM_RUMOR_LEFT ||
	    (out->kind == SWIM_RUMOR_ALIVE && !out->detailed))
		return -EBADMSG;
	if (get_id(reader, &out->member) || get_u32(reader, &out->incarnation))
		return -EBADMSG;
	if (first & HAS_ACCUSER && get_id(reader, &out->accuser))
		return -EBADMSG;
	return out->detailed ? rumor_details_decode(reader, out) : 0;
}

/* --- messages */

static bool message_has_sequence(enum swim_message_kind kind)
{
	return kind != SWIM_GOSSIP;
}

static bool message_has_target(enum swim_message_kind kind)
{
	return kind == SWIM_PING || kind == SWIM_PING_REQ;
}

size_t wire_message_header_len(enum swim_message_kind kind)
{
	return 1 + (message_has_sequence(kind) ? 4 : 0) +
	       (message_has_target(kind) ? MEMBER_ID_LEN : 0) + 1;
}

size_t wire_message_encode(const struct wire_message *message, uint8_t *out, size_t size)
{
	struct writer writer = { out, out + size };

	CHECK(message->rumor_count <= SWIM_RUMORS_MAX);
	put_u8(&writer, (uint8_t)message->kind);
	if (message_has_sequence(message->kind))
		put_u32(&writer, message->sequence);
	if (message_has_target(message->kind))
		put_id(&writer, &message->target);
	put_u8(&writer, (uint8_t)message->rumor_count);
	for (unsigned i = 0; i < message->rumor_count; i++)
		rumor_encode(&writer, &message->rumors[i]);
	return (size_t)(writer.at - out);
}

static int message_header_decode(struct wire_reader *reader, struct wire_message *out)
{
	uint8_t kind, count;

	if (get_u8(reader, &kind) || kind < SWIM_PING || kind >= SWIM_MESSAGE_KINDS)
		return -EBADMSG;
	out->kind = (enum swim_message_kind)kind;
	out->sequence = 0;
	memset(&out->target, 0, sizeof(out->target));
	if (message_has_sequence(out->kind) && get_u32(reader, &out->sequence))
		return -EBADMSG;
	if (message_has_target(out->kind) && get_id(reader, &out->target))
		return -EBADMSG;
	if (get_u8(reader, &count) || count > SWIM_RUMORS_MAX)
		return -EBADMSG;
	out->rumor_count = count;
	return 0;
}

int wire_message_decode(const uint8_t *data, size_t len, struct wire_message *out)
{
	struct wire_reader reader = { data, data + len };

	if (message_header_decode(&reader, out))
		return -EBADMSG;
	for (unsigned i = 0; i < out->rumor_count; i++)
		if (wire_rumor_decode(&reader, &out->rumors[i]))
			return -EBADMSG;
	return reader.at == reader.end ? 0 : -EBADMSG;
}

/* --- questions and answers on a stream */

static void keys_encode(struct writer *writer, const struct wire_ask *ask)
{
	put_u8(writer, (uint8_t)ask->action);
	if (ask->action == MEMBERSHIP_KEYS_ADD)
		memcpy(put(writer, KEYRING_KEY_LEN), ask->key, KEYRING_KEY_LEN);
	else if (ask->action != MEMBERSHIP_KEYS_LIST)
		memcpy(put(writer, KEYRING_ID_LEN), ask->ids[0], KEYRING_ID_LEN);
}

static void keys_answer_encode(struct writer *writer, const struct wire_ask *ask)
{
	put_u32(writer, (uint32_t)ask->status);
	put_u8(writer, (uint8_t)ask->id_count);
	for (unsigned i = 0; i < ask->id_count; i++)
		memcpy(put(writer, KEYRING_ID_LEN), ask->ids[i], KEYRING_ID_LEN);
}

size_t wire_ask_encode(const struct wire_ask *ask, uint8_t out[WIRE_ASK_MAX])
{
	struct writer writer = { out, out + WIRE_ASK_MAX };

	put_u8(&writer, (uint8_t)ask->kind);
	switch (ask->kind) {
	case WIRE_DIGEST:
	case WIRE_TWIN:
		put_u64(&writer, ask->number);
		break;
	case WIRE_TWIN_ANSWER:
		put_u8(&writer, (uint8_t)ask->number);
		break;
	case WIRE_KEYS:
		keys_encode(&writer, ask);
		break;
	case WIRE_KEYS_ANSWER:
		keys_answer_encode(&writer, ask);
		break;
	case WIRE_VIEW:
	case WIRE_SAME:
	case WIRE_DIFFERENT:
	case WIRE_PING:
	case WIRE_PONG:
		break;
	}
	return (size_t)(writer.at - out);
}

static int get_copy(struct wire_reader *reader, void *out, size_t len)
{
	const uint8_t *at = get(reader, len);

	if (!at)
		return -EBADMSG;
	memcpy(out, at, len);
	return 0;
}

static int keys_decode(struct wire_reader *reader, struct wire_ask *out)
{
	uint8_t action;

	if (get_u8(reader, &action) || action > MEMBERSHIP_KEYS_REMOVE)
		return -EBADMSG;
	out->action = (enum membership_keys_action)action;
	switch (out->action) {
	case MEMBERSHIP_KEYS_ADD:
		return get_copy(reader, out->key, KEYRING_KEY_LEN);
	case MEMBERSHIP_KEYS_USE:
	case MEMBERSHIP_KEYS_REMOVE:
		out->id_count = 1;
		return get_copy(reader, out->ids[0], KEYRING_ID_LEN);
	case MEMBERSHIP_KEYS_LIST:
		break;
	}
	return 0;
}

static int keys_answer_decode(struct wire_reader *reader, struct wire_ask *out)
{
	uint32_t status;
	uint8_t count;

	if (get_u32(reader, &status) || get_u8(reader, &count) || count > KEYRING_KEYS_MAX)
		return -EBADMSG;
	/* A status is 0 or a negative errno: nobody has one beyond 4095. */
	if (status != 0 && status < UINT32_C(0xfffff001))
		return -EBADMSG;
	out->status = (int)status;
	out->id_count = count;
	for (unsigned i = 0; i < count; i++)
		if (get_copy(reader, out->ids[i], KEYRING_ID_LEN))
			return -EBADMSG;
	return 0;
}

static int ask_body_decode(struct wire_reader *reader, struct wire_ask *out)
{
	uint8_t who;

	switch (out->kind) {
	case WIRE_DIGEST:
	case WIRE_TWIN:
		return get_u64(reader, &out->number);
	case WIRE_VIEW:
		out->rest = *reader;
		reader->at = reader->end;
		return 0;
	case WIRE_TWIN_ANSWER:
		if (get_u8(reader, &who) || who > 1)
			return -EBADMSG;
		out->number = who;
		return 0;
	case WIRE_KEYS:
		return keys_decode(reader, out);
	case WIRE_KEYS_ANSWER:
		return keys_answer_decode(reader, out);
	case WIRE_SAME:
	case WIRE_DIFFERENT:
	case WIRE_PING:
	case WIRE_PONG:
		return 0;
	}
	return -EBADMSG;
}

int wire_ask_decode(const uint8_t *data, size_t len, struct wire_ask *out)
{
	struct wire_reader reader = { data, data + len };
	uint8_t kind;

	memset(out, 0, sizeof(*out));
	if (get_u8(&reader, &kind) || kind < WIRE_DIGEST || kind > WIRE_TWIN_ANSWER)
		return -EBADMSG;
	out->kind = (enum wire_ask_kind)kind;
	if (ask_body_decode(&reader, out) || reader.at != reader.end)
		return -EBADMSG;
	return 0;
}

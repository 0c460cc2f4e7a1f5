/*
 * note.c - the codec: fixed fields, little-endian, one after the other.
 */
#include "tools/bw/note.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define PORTS_LEN  (2 * (size_t)NOTE_PORTS_MAX)
#define NOTE_MAGIC UINT32_C(0x42577463) /* "ctWB" */

/* The 64-bit fields, in their order on the wire. */
static const size_t long_fields[] = {
	offsetof(struct note, region_len), offsetof(struct note, seed),
	offsetof(struct note, read_len),   offsetof(struct note, depth),
	offsetof(struct note, footprint),  offsetof(struct note, verify),
	offsetof(struct note, reads),	   offsetof(struct note, corrupt),
	offsetof(struct note, elapsed_ns), offsetof(struct note, cpu_ns),
};

static_assert(ARRAY_COUNT(long_fields) == 10, "NOTE_LEN counts them");

static uint64_t long_get(const struct note *note, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)note + offset, sizeof(value));
	return value;
}

static void long_set(struct note *note, size_t offset, uint64_t value)
{
	memcpy((uint8_t *)note + offset, &value, sizeof(value));
}

void note_encode(const struct note *note, uint8_t out[NOTE_LEN])
{
	uint8_t *p = out + 20;

	CHECK(note->port_count <= NOTE_PORTS_MAX);
	memset(out, 0, NOTE_LEN);
	bytes_put_u32(out, NOTE_MAGIC);
	bytes_put_u16(out + 4, NOTE_VERSION);
	bytes_put_u16(out + 6, (uint16_t)note->kind);
	bytes_put_u32(out + 8, note->number);
	bytes_put_u32(out + 12, note->region);
	bytes_put_u32(out + 16, note->clients);
	for (size_t i = 0; i < ARRAY_COUNT(long_fields); i++, p += 8)
		bytes_put_u64(p, long_get(note, long_fields[i]));
	address_encode(&note->address, p);
	p += ADDRESS_WIRE_LEN;
	*p++ = (uint8_t)note->port_count;
	for (unsigned i = 0; i < note->port_count; i++)
		bytes_put_u16(p + 2 * (size_t)i, note->ports[i]);
	p += PORTS_LEN;
	memcpy(p, note->text, strnlen(note->text, NOTE_TEXT_MAX - 1));
}

static int ports_decode(const uint8_t *p, struct note *out)
{
	out->port_count = *p++;
	if (out->port_count > NOTE_PORTS_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < NOTE_PORTS_MAX; i++) {
		out->ports[i] = bytes_get_u16(p + 2 * (size_t)i);
		if ((out->ports[i] != 0) != (i < out->port_count))
			return -EBADMSG;
	}
	return 0;
}

/* What is shown on a terminal must not command it. */
static int text_decode(const uint8_t *p, struct note *out)
{
	size_t len = strnlen((const char *)p, NOTE_TEXT_MAX);

	for (size_t i = 0; i < NOTE_TEXT_MAX; i++)
		if (i < len ? p[i] < ' ' || p[i] == 0x7f : p[i] != 0)
			return -EBADMSG;
	if (len == NOTE_TEXT_MAX)
		return -EBADMSG;
	memcpy(out->text, p, NOTE_TEXT_MAX);
	return 0;
}

int note_decode(const void *data, size_t len, struct note *out)
{
	const uint8_t *in = data, *p = in + 20;
	struct note note;
	uint16_t kind;

	if (len < 8 || bytes_get_u32(in) != NOTE_MAGIC)
		return -EBADMSG;
	if (bytes_get_u16(in + 4) != NOTE_VERSION)
		return -EPROTONOSUPPORT;
	kind = bytes_get_u16(in + 6);
	if (len != NOTE_LEN || kind == 0 || kind >= NOTE_KIND_END)
		return -EBADMSG;
	memset(&note, 0, sizeof(note));
	note.kind = (enum note_kind)kind;
	note.number = bytes_get_u32(in + 8);
	note.region = bytes_get_u32(in + 12);
	note.clients = bytes_get_u32(in + 16);
	for (size_t i = 0; i < ARRAY_COUNT(long_fields); i++, p += 8)
		long_set(&note, long_fields[i], bytes_get_u64(p));
	if (note.verify > 1 || address_decode(p, &note.address) != 0 ||
	    ports_decode(p + ADDRESS_WIRE_LEN, &note) != 0 ||
	    text_decode(p + ADDRESS_WIRE_LEN + 1 + PORTS_LEN, &note) != 0)
		return -EBADMSG;
	*out = note;
	return 0;
}

/*
 * record.c - the index's records as bytes. A cursor writes or reads field after field; a reader
 * that runs out of bytes stays at the end and is found out once, by cursor_ended().
 */
#include "cache/store/index/record.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"

#define CRC_LEN 8

enum {
	VERSION_OBJECT = 1,
	VERSION_BLOCK = 1,
	VERSION_SEGMENT = 1,
	VERSION_DATASET = 1,
	VERSION_META = 1,
};

enum {
	OBJECT_OBSOLETE = 1,
	META_CLEAN = 1,
};

struct writer {
	uint8_t *start, *at;
};

static struct writer writer_open(uint8_t *out, uint8_t version, uint8_t flags)
{
	out[0] = version;
	out[1] = flags;
	bytes_put_u16(out + 2, 0);
	return (struct writer){ .start = out, .at = out + 4 };
}

static void write_u32(struct writer *w, uint32_t v)
{
	bytes_put_u32(w->at, v);
	w->at += 4;
}

static void write_u64(struct writer *w, uint64_t v)
{
	bytes_put_u64(w->at, v);
	w->at += 8;
}

static void write_string(struct writer *w, const struct record_string *s)
{
	CHECK(s->len <= RECORD_STRING_MAX);
	bytes_put_u16(w->at, s->len);
	w->at += 2;
	if (s->len > 0)
		memcpy(w->at, s->data, s->len);
	w->at += s->len;
}

static size_t writer_close(struct writer *w)
{
	write_u64(w, digest_crc64(w->start, (size_t)(w->at - w->start)));
	return (size_t)(w->at - w->start);
}

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

/* The check comes first: the fields of a damaged record are not even looked at. */
static int reader_open(struct reader *r, const uint8_t *data, size_t len, uint8_t version,
		       uint8_t flags_known, uint8_t *out_flags)
{
	if (len < 4 + CRC_LEN || data[0] != version)
		return -EBADMSG;
	if (bytes_get_u64(data + len - CRC_LEN) != digest_crc64(data, len - CRC_LEN))
		return -EBADMSG;
	if ((data[1] & ~flags_known) != 0 || bytes_get_u16(data + 2) != 0)
		return -EBADMSG;
	*out_flags = data[1];
	*r = (struct reader){ .at = data + 4, .end = data + len - CRC_LEN };
	return 0;
}

static const uint8_t *reader_take(struct reader *r, size_t len)
{
	const uint8_t *p = r->at;

	if ((size_t)(r->end - r->at) < len) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return p;
}

static uint32_t read_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);

	return p ? bytes_get_u32(p) : 0;
}

static uint64_t read_u64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);

	return p ? bytes_get_u64(p) : 0;
}

static struct record_string read_string(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	uint16_t len = p ? bytes_get_u16(p) : 0;

	if (len > RECORD_STRING_MAX)
		r->bad = true;
	p = reader_take(r, len);
	return (struct record_string){ .data = (const char *)p, .len = p ? len : 0 };
}

static int reader_close(const struct reader *r)
{
	return r->bad || r->at != r->end ? -EBADMSG : 0;
}

size_t record_object_encode(const struct record_object *object, uint8_t *out)
{
	struct writer w = writer_open(out, VERSION_OBJECT, object->obsolete ? OBJECT_OBSOLETE : 0);

	write_u64(&w, object->size);
	write_u64(&w, (uint64_t)object->mtime_s);
	write_u64(&w, object->tick);
	write_u64(&w, object->resident);
	write_u64(&w, object->check);
	write_u32(&w, object->dataset);
	write_u32(&w, object->segment);
	write_u32(&w, object->segment_off);
	for (int i = 0; i < RECORD_IDENTITY_COUNT; i++)
		write_string(&w, &object->identity[i]);
	return writer_close(&w);
}

int record_object_decode(const uint8_t *data, size_t len, struct record_object *out)
{
	struct record_object object = { 0 };
	struct reader r;
	uint8_t flags;

	if (reader_open(&r, data, len, VERSION_OBJECT, OBJECT_OBSOLETE, &flags))
		return -EBADMSG;
	object.obsolete = flags & OBJECT_OBSOLETE;
	object.size = read_u64(&r);
	object.mtime_s = (int64_t)read_u64(&r);
	object.tick = read_u64(&r);
	object.resident = read_u64(&r);
	object.check = read_u64(&r);
	object.dataset = read_u32(&r);
	object.segment = read_u32(&r);
	object.segment_off = read_u32(&r);
	for (int i = 0; i < RECORD_IDENTITY_COUNT; i++)
		object.identity[i] = read_string(&r);
	if (reader_close(&r) || object.resident > object.size)
		return -EBADMSG;
	*out = object;
	return 0;
}

size_t record_block_encode(const struct record_block *block, uint8_t *out)
{
	struct writer w = writer_open(out, VERSION_BLOCK, 0);

	CHECK(block->check_count == object_granule_count(block->len));
	write_u32(&w, block->len);
	for (unsigned i = 0; i < block->check_count; i++)
		write_u64(&w, block->checks[i]);
	return writer_close(&w);
}

int record_block_decode(const uint8_t *data, size_t len, struct record_block *out)
{
	struct reader r;
	uint8_t flags;
	uint32_t block_len;
	unsigned count;

	if (reader_open(&r, data, len, VERSION_BLOCK, 0, &flags))
		return -EBADMSG;
	block_len = read_u32(&r);
	if (r.bad || block_len == 0 || block_len > BLOCK_LEN_MAX)
		return -EBADMSG;
	count = object_granule_count(block_len);
	if ((size_t)(r.end - r.at) != (size_t)count * 8)
		return -EBADMSG;
	out->len = block_len;
	out->check_count = count;
	for (unsigned i = 0; i < count; i++)
		out->checks[i] = read_u64(&r);
	return 0;
}

size_t record_segment_encode(const struct record_segment *segment, uint8_t *out)
{
	struct writer w = writer_open(out, VERSION_SEGMENT, 0);

	write_u64(&w, segment->tick);
	write_u32(&w, segment->dataset);
	write_u32(&w, segment->len);
	write_u32(&w, segment->live);
	write_u32(&w, segment->count);
	return writer_close(&w);
}

int record_segment_decode(const uint8_t *data, size_t len, struct record_segment *out)
{
	struct record_segment segment;
	struct reader r;
	uint8_t flags;

	if (reader_open(&r, data, len, VERSION_SEGMENT, 0, &flags))
		return -EBADMSG;
	segment.tick = read_u64(&r);
	segment.dataset = read_u32(&r);
	segment.len = read_u32(&r);
	segment.live = read_u32(&r);
	segment.count = read_u32(&r);
	if (reader_close(&r) || segment.live > segment.len)
		return -EBADMSG;
	*out = segment;
	return 0;
}

size_t record_dataset_encode(const struct record_dataset *dataset, uint8_t *out)
{
	struct writer w = writer_open(out, VERSION_DATASET, 0);

	write_u64(&w, dataset->bytes);
	write_u64(&w, dataset->tick);
	write_u32(&w, dataset->segment);
	write_string(&w, &dataset->name);
	return writer_close(&w);
}

int record_dataset_decode(const uint8_t *data, size_t len, struct record_dataset *out)
{
	struct record_dataset dataset;
	struct reader r;
	uint8_t flags;

	if (reader_open(&r, data, len, VERSION_DATASET, 0, &flags))
		return -EBADMSG;
	dataset.bytes = read_u64(&r);
	dataset.tick = read_u64(&r);
	dataset.segment = read_u32(&r);
	dataset.name = read_string(&r);
	if (reader_close(&r))
		return -EBADMSG;
	*out = dataset;
	return 0;
}

size_t record_meta_encode(const struct record_meta *meta, uint8_t *out)
{
	struct writer w = writer_open(out, VERSION_META, meta->clean ? META_CLEAN : 0);

	memcpy(w.at, meta->uuid, RECORD_UUID_LEN);
	w.at += RECORD_UUID_LEN;
	write_u64(&w, meta->tick);
	write_u32(&w, meta->block_len);
	write_u32(&w, meta->segment_next);
	return writer_close(&w);
}

int record_meta_decode(const uint8_t *data, size_t len, struct record_meta *out)
{
	struct record_meta meta;
	struct reader r;
	const uint8_t *uuid;
	uint8_t flags;

	if (reader_open(&r, data, len, VERSION_META, META_CLEAN, &flags))
		return -EBADMSG;
	uuid = reader_take(&r, RECORD_UUID_LEN);
	meta.tick = read_u64(&r);
	meta.block_len = read_u32(&r);
	meta.segment_next = read_u32(&r);
	meta.clean = flags & META_CLEAN;
	if (reader_close(&r) || !uuid)
		return -EBADMSG;
	memcpy(meta.uuid, uuid, RECORD_UUID_LEN);
	*out = meta;
	return 0;
}

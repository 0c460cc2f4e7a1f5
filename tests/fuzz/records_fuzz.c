/*
 * records_fuzz.c - any bytes as what another process left in the tail of the arena. The first byte
 * says whose own checks are made to hold before, as a fuzzer never finds them. What is believed
 * lies within the arena, at a place where a frame of its order can be, and is written again as the
 * same bytes.
 */
/* fuzz-links: cenote_cache */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "cache/window/buddy.h"
#include "cache/window/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SEAL_HEAD    1
#define SEAL_RECORDS 2
#define RECORDS_OFF  4096
#define RECORD_LEN   64
#define OWNERS_OFF   64
#define OWNERS_LEN   40

static const struct records_shape shape = {
	.arena_len = 8 << 20,
	.slot_count = RECORDS_GROUP,
	.block_len = 4 << 20,
};

/* The layout is documented in records.c. */
static void seal_record(uint8_t *at, const uint8_t *checks)
{
	uint8_t sealed[RECORD_LEN - 8 + BLOCK_GRANULES_MAX * 8];
	uint64_t off = bytes_get_u64(at + 24);
	uint32_t len = bytes_get_u32(at + 32);
	size_t checks_len = 0;

	memcpy(sealed, at, RECORD_LEN - 8);
	if (len > GRANULE_LEN && len <= BLOCK_LEN_MAX && off < shape.arena_len &&
	    len <= shape.arena_len - off && at[37] != RECORD_FILLING) {
		checks_len = (size_t)object_granule_count(len) * 8;
		memcpy(sealed + RECORD_LEN - 8, checks + off / GRANULE_LEN * 8, checks_len);
	}
	bytes_put_u64(at + RECORD_LEN - 8, digest_crc64(sealed, RECORD_LEN - 8 + checks_len));
}

static void seal(uint8_t *tail, uint8_t choice)
{
	const uint8_t *checks = tail + RECORDS_OFF + shape.slot_count * RECORD_LEN;

	if (choice & SEAL_HEAD) {
		bytes_put_u64(tail + 56, digest_crc64(tail, 56));
		bytes_put_u64(tail + OWNERS_OFF + OWNERS_LEN - 8,
			      digest_crc64(tail + OWNERS_OFF, OWNERS_LEN - 8));
	}
	for (uint64_t slot = 0; choice & SEAL_RECORDS && slot < shape.slot_count; slot++)
		if (tail[RECORDS_OFF + slot * RECORD_LEN + 37])
			seal_record(tail + RECORDS_OFF + slot * RECORD_LEN, checks);
}

static void check_record(struct records *records, uint64_t slot)
{
	const uint8_t *at = records->memory + RECORDS_OFF + slot * RECORD_LEN;
	uint8_t before[RECORD_LEN];
	struct record record;

	if (records_get(records, slot, &record) != 0)
		return;
	CHECK(record.state != RECORD_NOTHING && record.state < RECORD_STATES);
	CHECK(record.len > 0 && record.len <= BLOCK_LEN_MAX);
	CHECK(record.order == buddy_order_of(record.len));
	CHECK(record.off % buddy_frame_len(record.order) == 0);
	CHECK(record.off < shape.arena_len &&
	      buddy_frame_len(record.order) <= shape.arena_len - record.off);
	memcpy(before, at, sizeof(before));
	records_put(records, slot, &record);
	CHECK(memcmp(before, at, sizeof(before)) == 0);
}

/* Input: choice, 128 bytes of head, then records, then checks; the rest is zeros. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t tail_len = records_len(&shape), head_len;
	uint8_t *tail = aligned_alloc(RECORDS_OFF, tail_len);
	struct owner owners[RECORDS_OWNERS];
	struct records records;
	uint8_t choice;

	CHECK(tail);
	memset(tail, 0, tail_len);
	records_init(&records, &shape, tail);
	choice = len > 0 ? data[0] : 0;
	data += len > 0;
	len -= len > 0;
	head_len = len < 136 ? len : 136;
	for (size_t i = 0; i < head_len; i++) /* changes to what is right */
		tail[i] ^= data[i];
	if (len > head_len)
		memcpy(tail + RECORDS_OFF, data + head_len,
		       len - head_len < tail_len - RECORDS_OFF ? len - head_len
							       : tail_len - RECORDS_OFF);
	seal(tail, choice);
	if (records_init_over(&records, &shape, tail, owners) == 0) {
		CHECK(records_used(&records) <= shape.slot_count);
		for (uint64_t slot = 0; slot < shape.slot_count; slot++)
			check_record(&records, slot);
	}
	free(tail);
	return 0;
}

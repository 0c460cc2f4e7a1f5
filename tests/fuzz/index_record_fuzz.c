/*
 * index_record_fuzz.c - records of the store's index: what decodes encodes back to the same bytes.
 * The first byte says which kind of record; the check at the end is made right first, or nearly
 * nothing would get past it.
 *
 * fuzz-links: cenote_base cenote_cache
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "cache/store/index/record.h"

#define CRC_LEN 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t again(unsigned kind, const uint8_t *data, size_t len, uint8_t *out)
{
	struct record_object object;
	struct record_block block;
	struct record_segment segment;
	struct record_dataset dataset;
	struct record_meta meta;

	switch (kind) {
	case 0:
		return record_object_decode(data, len, &object)
			       ? 0
			       : record_object_encode(&object, out);
	case 1:
		return record_block_decode(data, len, &block) ? 0
							      : record_block_encode(&block, out);
	case 2:
		return record_segment_decode(data, len, &segment)
			       ? 0
			       : record_segment_encode(&segment, out);
	case 3:
		return record_dataset_decode(data, len, &dataset)
			       ? 0
			       : record_dataset_encode(&dataset, out);
	default:
		return record_meta_decode(data, len, &meta) ? 0 : record_meta_encode(&meta, out);
	}
}

static void check(unsigned kind, const uint8_t *data, size_t len)
{
	static uint8_t out[RECORD_OBJECT_MAX + RECORD_BLOCK_MAX];
	size_t out_len = again(kind, data, len, out);

	if (out_len == 0)
		return;
	CHECK(out_len == len);
	CHECK(memcmp(out, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *record;
	unsigned kind;

	if (len == 0)
		return 0;
	kind = data[0] % 5;
	len--;
	record = calloc(1, len ? len : 1);
	CHECK(record);
	if (len)
		memcpy(record, data + 1, len);
	check(kind, record, len);
	if (len >= CRC_LEN) {
		bytes_put_u64(record + len - CRC_LEN, digest_crc64(record, len - CRC_LEN));
		check(kind, record, len);
	}
	free(record);
	return 0;
}

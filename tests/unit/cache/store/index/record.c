/*
 * Tests of cache/store/index/record.h.
 */
#include "cache/store/index/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"

#define TEXT(text)                                                                                 \
	{                                                                                          \
		.data = (text), .len = sizeof(text) - 1                                            \
	}

static const struct record_object objects[] = {
	{ .size = 1, .resident = 1, .segment = 1, .check = 7 },
	{
		.size = UINT64_C(1) << 40,
		.mtime_s = -5,
		.tick = UINT64_MAX,
		.resident = 4096,
		.dataset = 65535,
		.obsolete = true,
		.identity = { TEXT("s3"), TEXT("bucket"), TEXT("a b/\xc3\xa4+%.jpg"),
			      TEXT("\"e\"") },
	},
	{
		.size = 32768,
		.resident = 32768,
		.check = UINT64_MAX,
		.segment = UINT32_MAX,
		.segment_off = UINT32_MAX,
		.identity = { TEXT(""), TEXT(""), TEXT("k"), TEXT("") },
	},
};

static void assert_objects_equal(const struct record_object *a, const struct record_object *b)
{
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime_s, b->mtime_s);
	assert_int_equal(a->tick, b->tick);
	assert_int_equal(a->resident, b->resident);
	assert_int_equal(a->check, b->check);
	assert_int_equal(a->dataset, b->dataset);
	assert_int_equal(a->segment, b->segment);
	assert_int_equal(a->segment_off, b->segment_off);
	assert_int_equal(a->obsolete, b->obsolete);
	for (int i = 0; i < RECORD_IDENTITY_COUNT; i++) {
		assert_int_equal(a->identity[i].len, b->identity[i].len);
		if (a->identity[i].len > 0)
			assert_memory_equal(a->identity[i].data, b->identity[i].data,
					    a->identity[i].len);
	}
}

static void test_object__encoded__decodes_to_the_same(void **state)
{
	uint8_t data[RECORD_OBJECT_MAX];
	struct record_object out;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(objects); i++) {
		size_t len = record_object_encode(&objects[i], data);

		assert_int_equal(record_object_decode(data, len, &out), 0);
		assert_objects_equal(&objects[i], &out);
	}
}

static void test_object__longest_strings__fit(void **state)
{
	static char text[RECORD_STRING_MAX];
	struct record_object object = { .size = 9 };
	uint8_t *data = malloc(RECORD_OBJECT_MAX);
	struct record_object out;
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < RECORD_IDENTITY_COUNT; i++)
		object.identity[i] = (struct record_string){ .data = text, .len = sizeof(text) };
	len = record_object_encode(&object, data);
	assert_in_range(len, 1, RECORD_OBJECT_MAX);
	assert_int_equal(record_object_decode(data, len, &out), 0);
	assert_objects_equal(&object, &out);
	free(data);
}

static void test_block__encoded__decodes_to_the_same(void **state)
{
	static const uint32_t lens[] = { 1, GRANULE_LEN, GRANULE_LEN + 1, BLOCK_LEN_MAX };
	uint8_t data[RECORD_BLOCK_MAX];
	struct record_block out;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(lens); i++) {
		struct record_block block = { .len = lens[i],
					      .check_count = object_granule_count(lens[i]) };
		size_t len;

		for (unsigned j = 0; j < block.check_count; j++)
			block.checks[j] = UINT64_MAX - j;
		len = record_block_encode(&block, data);
		assert_int_equal(record_block_decode(data, len, &out), 0);
		assert_int_equal(out.len, block.len);
		assert_int_equal(out.check_count, block.check_count);
		assert_memory_equal(out.checks, block.checks,
				    block.check_count * sizeof(out.checks[0]));
	}
}

static void test_others__encoded__decode_to_the_same(void **state)
{
	static const struct record_segment segment = { 1, 2, 30, 4, 5 };
	static const struct record_dataset dataset = { 1, 2, 3, TEXT("/images/train") };
	static const struct record_meta meta = { { 1, 2, 3 }, 4, 5, 6, true };
	struct record_segment segment_out;
	struct record_dataset dataset_out;
	struct record_meta meta_out;
	uint8_t data[RECORD_DATASET_MAX];
	size_t len;

	(void)state;
	len = record_segment_encode(&segment, data);
	assert_int_equal(record_segment_decode(data, len, &segment_out), 0);
	assert_memory_equal(&segment, &segment_out, sizeof(segment));
	len = record_dataset_encode(&dataset, data);
	assert_int_equal(record_dataset_decode(data, len, &dataset_out), 0);
	assert_int_equal(dataset_out.bytes, 1);
	assert_int_equal(dataset_out.tick, 2);
	assert_int_equal(dataset_out.segment, 3);
	assert_int_equal(dataset_out.name.len, dataset.name.len);
	assert_memory_equal(dataset_out.name.data, dataset.name.data, dataset.name.len);
	len = record_meta_encode(&meta, data);
	assert_int_equal(record_meta_decode(data, len, &meta_out), 0);
	assert_memory_equal(meta_out.uuid, meta.uuid, RECORD_UUID_LEN);
	assert_int_equal(meta_out.tick, 4);
	assert_int_equal(meta_out.block_len, 5);
	assert_int_equal(meta_out.segment_next, 6);
	assert_true(meta_out.clean);
}

/* Every byte counts: cut anywhere or flipped anywhere, none is believed. */
static void test_decode__damaged__bad_message(void **state)
{
	uint8_t data[RECORD_OBJECT_MAX], copy[RECORD_OBJECT_MAX + 1];
	struct record_object out;
	size_t len = record_object_encode(&objects[1], data);

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(record_object_decode(data, cut, &out), -EBADMSG);
	for (size_t at = 0; at < len; at++) {
		memcpy(copy, data, len);
		copy[at] ^= 1;
		assert_int_equal(record_object_decode(copy, len, &out), -EBADMSG);
	}
	memcpy(copy, data, len);
	copy[len] = 0;
	assert_int_equal(record_object_decode(copy, len + 1, &out), -EBADMSG);
}

static void seal(uint8_t *data, size_t len)
{
	bytes_put_u64(data + len - 8, digest_crc64(data, len - 8));
}

/* A right check over wrong fields: from a later version, or from a bug. */
static void test_decode__fields_that_cannot_be__bad_message(void **state)
{
	uint8_t data[RECORD_OBJECT_MAX];
	struct record_object object = objects[0];
	struct record_segment segment = { .len = 5, .live = 6 };
	struct record_block block = { .len = 100000, .check_count = 2 };
	struct record_object out;
	struct record_segment segment_out;
	struct record_block block_out;
	size_t len;

	(void)state;
	object.resident = 2;
	len = record_object_encode(&object, data);
	assert_int_equal(record_object_decode(data, len, &out), -EBADMSG);
	len = record_object_encode(&objects[0], data);
	data[0] = 2; /* version */
	seal(data, len);
	assert_int_equal(record_object_decode(data, len, &out), -EBADMSG);
	data[0] = 1;
	data[1] = 2; /* an unknown flag */
	seal(data, len);
	assert_int_equal(record_object_decode(data, len, &out), -EBADMSG);
	len = record_segment_encode(&segment, data);
	assert_int_equal(record_segment_decode(data, len, &segment_out), -EBADMSG);
	len = record_block_encode(&block, data);
	bytes_put_u32(data + 4, 60000); /* one granule, two checks */
	seal(data, len);
	assert_int_equal(record_block_decode(data, len, &block_out), -EBADMSG);
	bytes_put_u32(data + 4, BLOCK_LEN_MAX + 1);
	seal(data, len);
	assert_int_equal(record_block_decode(data, len, &block_out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object__encoded__decodes_to_the_same),
		cmocka_unit_test(test_object__longest_strings__fit),
		cmocka_unit_test(test_block__encoded__decodes_to_the_same),
		cmocka_unit_test(test_others__encoded__decode_to_the_same),
		cmocka_unit_test(test_decode__damaged__bad_message),
		cmocka_unit_test(test_decode__fields_that_cannot_be__bad_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

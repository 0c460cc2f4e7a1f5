/*
 * directory_fuzz.c - any bytes as what was read of a peer's directory: a superblock, a bucket and
 * checks, one behind the other. The first byte says which of their own checks are made to hold
 * before, as a fuzzer never finds them and an owner gone mad may seal anything; and which entry is
 * looked for. Whatever is believed leads to places inside the arena and inside the directory.
 */
/* fuzz-links: cenote_cache */
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "cache/window/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SEAL_SUPERBLOCK 0x10
#define SEAL_ENTRIES	0x20
#define SEAL_CHECKS	0x40
#define ENTRY_LEN	64
#define ENTRIES		(DIRECTORY_BUCKET_LEN / ENTRY_LEN)
#define OWNER_LEN	24

/* The layout is documented in directory.c. */
struct input {
	uint8_t choice;
	uint8_t superblock[DIRECTORY_SUPERBLOCK_LEN];
	uint8_t bucket[DIRECTORY_BUCKET_LEN];
	uint8_t checks[DIRECTORY_CHECKS_LEN_MAX];
};

static void owner_put(const struct directory_shape *shape, uint8_t *out)
{
	memcpy(out, shape->owner.bytes, MEMBER_ID_LEN);
	bytes_put_u64(out + MEMBER_ID_LEN, shape->epoch);
}

static void seal_entries(const struct directory_shape *shape, uint8_t *bucket)
{
	uint8_t sealed[OWNER_LEN + ENTRY_LEN - 8];

	owner_put(shape, sealed);
	for (unsigned i = 0; i < ENTRIES; i++, bucket += ENTRY_LEN) {
		memcpy(sealed + OWNER_LEN, bucket, ENTRY_LEN - 8);
		bytes_put_u64(bucket + ENTRY_LEN - 8, digest_crc64(sealed, sizeof(sealed)));
	}
}

static void seal_checks(const struct directory_shape *shape, const struct window_key *key,
			const struct directory_place *place, uint8_t *checks)
{
	uint8_t sealed[OWNER_LEN + 40 + BLOCK_GRANULES_MAX * 8];
	size_t len = (size_t)object_granule_count(place->len) * 8;

	owner_put(shape, sealed);
	memcpy(sealed + OWNER_LEN, key->id.bytes, OBJECT_ID_LEN);
	bytes_put_u64(sealed + OWNER_LEN + 16, key->index);
	bytes_put_u64(sealed + OWNER_LEN + 24, place->generation);
	bytes_put_u64(sealed + OWNER_LEN + 32, place->len);
	memcpy(sealed + OWNER_LEN + 40, checks + 16, len);
	bytes_put_u64(checks, place->generation);
	bytes_put_u64(checks + 8, digest_crc64(sealed, OWNER_LEN + 40 + len));
}

static void check_checks(struct input *input, const struct directory_shape *shape,
			 const struct window_key *key, const struct directory_place *place)
{
	uint64_t off, area_len = shape->arena_len / GRANULE_LEN * 16;
	uint64_t checks[BLOCK_GRANULES_MAX];
	size_t len;

	directory_checks_at(shape, place, &off, &len);
	CHECK(len <= sizeof(input->checks));
	CHECK(off >= shape->checks_off && off - shape->checks_off < area_len);
	CHECK(len <= area_len - (off - shape->checks_off));
	if (input->choice & SEAL_CHECKS)
		seal_checks(shape, key, place, input->checks);
	if (directory_checks_read(shape, input->checks, key, place, checks)) {
		CHECK(!(input->choice & SEAL_CHECKS));
		return;
	}
	for (unsigned i = 0; i < object_granule_count(place->len); i++)
		CHECK(checks[i] == bytes_get_u64(input->checks + 16 + (size_t)i * 8));
}

static void check_bucket(struct input *input, const struct directory_shape *shape)
{
	const uint8_t *entry = input->bucket + (size_t)(input->choice % ENTRIES) * ENTRY_LEN;
	struct window_key key = { .index = bytes_get_u64(entry + 16) };
	uint32_t len = bytes_get_u32(entry + 40);
	struct directory_place place;
	uint64_t off;

	memcpy(key.id.bytes, entry, OBJECT_ID_LEN);
	off = directory_bucket_off(shape, &key);
	CHECK(off % DIRECTORY_BUCKET_LEN == 0 && off >= DIRECTORY_SUPERBLOCK_LEN);
	CHECK(off < shape->checks_off && DIRECTORY_BUCKET_LEN <= shape->checks_off - off);
	if (input->choice & SEAL_ENTRIES)
		seal_entries(shape, input->bucket);
	if (directory_bucket_find(shape, input->bucket, &key, len, &place))
		return;
	CHECK(place.len == len && len > 0 && len <= BLOCK_LEN_MAX);
	CHECK(place.off < shape->arena_len && len <= shape->arena_len - place.off);
	if (len > GRANULE_LEN)
		check_checks(input, shape, &key, &place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = { 0 };
	struct directory_shape shape;
	struct member_id owner;

	memcpy(&input, data, len < sizeof(input) ? len : sizeof(input));
	if (input.choice & SEAL_SUPERBLOCK)
		bytes_put_u64(input.superblock + 120, digest_crc64(input.superblock, 120));
	memcpy(owner.bytes, input.superblock + 16, MEMBER_ID_LEN);
	if (directory_shape_read(input.superblock, &owner, &shape))
		return 0;
	CHECK(shape.checks_off <= UINT64_MAX - shape.arena_len);
	check_bucket(&input, &shape);
	return 0;
}

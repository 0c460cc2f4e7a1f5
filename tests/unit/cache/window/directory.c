/*
 * Tests of window/directory.h: its layout, what is published, withdrawn and displaced. What peers
 * must not believe is in directory_torn.c.
 */
#include "cache/window/directory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/window/directory_rig.h"

#define PAGE	    UINT64_C(4096)
#define BUCKETS_MAX (UINT64_C(1) << 30)

static void superblock_seal(uint8_t *superblock)
{
	bytes_put_u64(superblock + 120, digest_crc64(superblock, 120));
}

static void test_publish__first_entry__has_the_documented_bytes(void **state)
{
	uint8_t bucket[DIRECTORY_BUCKET_LEN], wanted[DIRECTORY_BUCKET_LEN] = { 0 };
	uint8_t checks[DIRECTORY_CHECKS_LEN_MAX], sealed[24 + 24 + 16 + 2 * RIG_WORD_LEN];
	struct window_key key = rig_key_of(7, 5 << 1);
	uint64_t off = 2 * RIG_GRANULE, salted[BLOCK_GRANULES_MAX];
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, off, GRANULE_LEN + 1, 3);
	rig_bucket_read(&rig, &key, bucket);
	rig_entry_make(wanted, &key, off, GRANULE_LEN + 1, 1, 0);
	assert_memory_equal(bucket, wanted, sizeof(wanted));

	rig_checks_of(3, salted);
	memcpy(sealed, rig_owner.bytes, 16);
	bytes_put_u64(sealed + 16, RIG_EPOCH);
	memcpy(sealed + 24, wanted, 24);
	bytes_put_u64(sealed + 48, 1);
	bytes_put_u64(sealed + 56, GRANULE_LEN + 1);
	bytes_put_u64(sealed + 64, salted[0]);
	bytes_put_u64(sealed + 72, salted[1]);
	bytes_put_u64(checks, 1);
	bytes_put_u64(checks + 8, digest_crc64(sealed, sizeof(sealed)));
	memcpy(checks + 16, sealed + 64, 16);
	assert_memory_equal(rig.memory + 512 + rig.shape.bucket_count * 512 + (size_t)2 * 16,
			    checks, 32);
	rig_fini(&rig);
}

/* --- shape */

static void test_create__each_arena__is_as_large_as_it_says(void **state)
{
	static const struct {
		uint64_t arena_len, bucket_count;
	} rows[] = {
		{ 4 * MIB, 64 },      { 16 * MIB, 64 },	       { 20 * MIB, 128 },
		{ 1024 * MIB, 4096 }, { 65536 * MIB, 262144 }, { 65540 * MIB, 524288 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct directory_rig rig;

		rig_init(&rig, rows[i].arena_len);
		assert_int_equal((uintptr_t)rig.memory % 4096, 0);
		assert_int_equal(rig.len % 4096, 0);
		assert_true(member_id_equal(&rig.shape.owner, &rig_owner));
		assert_int_equal(rig.shape.epoch, RIG_EPOCH);
		assert_int_equal(window_directory_epoch(rig.directory), RIG_EPOCH);
		assert_int_equal(rig.shape.arena_len, rows[i].arena_len);
		assert_int_equal(rig.shape.bucket_count, rows[i].bucket_count);
		assert_true(rig.len - rig.shape.checks_off >= rows[i].arena_len / GRANULE_LEN * 16);
		rig_fini(&rig);
	}
	window_directory_destroy(NULL);
}

static void test_create__no_memory__fails(void **state)
{
	struct window_directory *directory;

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(window_directory_create(RIG_ARENA_LEN, &rig_owner, RIG_EPOCH, &directory),
			 -ENOMEM);
	assert_true(allocation_fault_disarm());
}

static void test_shape_read__any_byte_changed__is_refused(void **state)
{
	uint8_t superblock[DIRECTORY_SUPERBLOCK_LEN];
	struct directory_shape shape;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	for (unsigned at = 0; at < sizeof(superblock); at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(superblock, rig.memory, sizeof(superblock));
			superblock[at] ^= (uint8_t)(1 << bit);
			assert_int_equal(directory_shape_read(superblock, &rig_owner, &shape),
					 at >= 8 && at < 12 ? -EPROTONOSUPPORT : -EBADMSG);
		}
	}
	assert_int_equal(directory_shape_read(rig.memory, &rig_stranger, &shape), -EBADMSG);
	memset(superblock, 0, sizeof(superblock));
	assert_int_equal(directory_shape_read(superblock, &rig_owner, &shape), -EBADMSG);
	rig_fini(&rig);
}

/* Well sealed, and nonsense: what would be computed from it must not overflow. */
static void test_shape_read__nonsense__is_refused(void **state)
{
	static const struct {
		const char *what;
		uint64_t arena_len, bucket_count, checks_off;
		int error;
	} rows[] = {
		{ "sane", RIG_ARENA_LEN, 64, 512 + 64 * 512, 0 },
		{ "another size of the table", RIG_ARENA_LEN, 128, 512 + 128 * 512, 0 },
		{ "largest", UINT64_C(1) << 48, BUCKETS_MAX, 512 + BUCKETS_MAX * 512, 0 },
		{ "no arena", 0, 64, 512 + 64 * 512, -EBADMSG },
		{ "odd arena", RIG_ARENA_LEN + GRANULE_LEN, 64, 512 + 64 * 512, -EBADMSG },
		{ "huge arena", (UINT64_C(1) << 48) + 4 * MIB, 64, 512 + 64 * 512, -EBADMSG },
		{ "all of the arena", UINT64_MAX - 4 * MIB + 1, 64, 512 + 64 * 512, -EBADMSG },
		{ "no buckets", RIG_ARENA_LEN, 0, 512, -EBADMSG },
		{ "few buckets", RIG_ARENA_LEN, 32, 512 + 32 * 512, -EBADMSG },
		{ "odd buckets", RIG_ARENA_LEN, 96, 512 + 96 * 512, -EBADMSG },
		{ "many buckets", RIG_ARENA_LEN, 2 * BUCKETS_MAX, 512 + 2 * BUCKETS_MAX * 512,
		  -EBADMSG },
		{ "buckets overflow", RIG_ARENA_LEN, UINT64_C(1) << 63, 512, -EBADMSG },
		{ "checks in the buckets", RIG_ARENA_LEN, 64, 512, -EBADMSG },
		{ "checks far off", RIG_ARENA_LEN, 64, UINT64_MAX - 7, -EBADMSG },
	};
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t superblock[DIRECTORY_SUPERBLOCK_LEN];
		struct directory_shape shape;
		int error;

		memcpy(superblock, rig.memory, sizeof(superblock));
		bytes_put_u64(superblock + 40, rows[i].arena_len);
		bytes_put_u64(superblock + 48, rows[i].bucket_count);
		bytes_put_u64(superblock + 56, rows[i].checks_off);
		superblock_seal(superblock);
		error = directory_shape_read(superblock, &rig_owner, &shape);
		if (error != rows[i].error)
			fail_msg("%s: %d", rows[i].what, error);
	}
	rig_fini(&rig);
}

static void test_bucket_off__keys_of_one_object__spread_evenly(void **state)
{
	static const struct {
		uint64_t first, step;
	} rows[] = { { 0, 2 }, { 1, 2 }, { 0, 128 }, { 1, 1 } };
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		unsigned counts[64] = { 0 };

		for (unsigned k = 0; k < 64 * 64; k++) {
			struct window_key key = rig_key_of(9, rows[i].first + k * rows[i].step);
			uint64_t off = directory_bucket_off(&rig.shape, &key);

			assert_true(off >= 512 && off < rig.shape.checks_off && off % 512 == 0);
			counts[(off - 512) / 512]++;
		}
		for (unsigned b = 0; b < 64; b++)
			assert_in_range(counts[b], 32, 128);
	}
	rig_fini(&rig);
}

/* --- publishing */

static void test_publish__each_length_and_place__is_found_with_its_checks(void **state)
{
	static const struct {
		uint64_t off;
		uint32_t len;
	} rows[] = {
		{ 0, 1 },
		{ 4096, 4096 },
		{ RIG_ARENA_LEN - 4096, 1 },
		{ 0, GRANULE_LEN },
		{ RIG_ARENA_LEN - GRANULE_LEN, GRANULE_LEN },
		{ 2 * RIG_GRANULE, GRANULE_LEN + 1 },
		{ RIG_ARENA_LEN - 2 * RIG_GRANULE, 2 * RIG_GRANULE },
		{ RIG_ARENA_LEN - 4 * MIB, 2 * MIB + 1 },
		{ 4 * MIB, BLOCK_LEN_MAX },
		{ RIG_ARENA_LEN - BLOCK_LEN_MAX, BLOCK_LEN_MAX },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		for (unsigned granule = 0; granule < 2; granule++) {
			uint64_t checks[BLOCK_GRANULES_MAX], wanted[BLOCK_GRANULES_MAX];
			struct window_key key = rig_key_of(3, 2 * i + granule);
			struct directory_place place;
			struct directory_rig rig;

			rig_init(&rig, RIG_ARENA_LEN);
			assert_false(rig_is_there(&rig, &key, rows[i].len));
			rig_publish(&rig, &key, rows[i].off, rows[i].len, i);
			assert_int_equal(rig_look_up(&rig, &key, rows[i].len, &place, checks), 0);
			assert_int_equal(place.off, rows[i].off);
			assert_int_equal(place.len, rows[i].len);
			assert_int_equal(place.generation, 1);
			rig_checks_of(i, wanted);
			assert_memory_equal(checks, wanted,
					    object_granule_count(rows[i].len) * sizeof(*checks));
			rig_fini(&rig);
		}
	}
}

/* Side by side in the arena, units do not touch each other's checks. */
static void test_publish__neighbours_in_the_arena__keep_their_checks(void **state)
{
	static const unsigned granules[] = { 2, 64, 1, 1, 4, 33, 2, 3, 8, 64 };
	uint64_t off = 0, checks[BLOCK_GRANULES_MAX], wanted[BLOCK_GRANULES_MAX];
	struct directory_place place;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	for (unsigned i = 0; i < ARRAY_COUNT(granules); i++) {
		struct window_key key = rig_key_of(i, 0);

		rig_publish(&rig, &key, off, granules[i] * GRANULE_LEN, i);
		off += granules[i] * RIG_GRANULE;
	}
	for (unsigned i = 0; i < ARRAY_COUNT(granules); i++) {
		struct window_key key = rig_key_of(i, 0);

		assert_int_equal(rig_look_up(&rig, &key, granules[i] * GRANULE_LEN, &place, checks),
				 0);
		rig_checks_of(i, wanted);
		assert_memory_equal(checks, wanted, granules[i] * sizeof(*checks));
	}
	rig_fini(&rig);
}

static void test_find__what_was_not_published__is_not_there(void **state)
{
	struct window_key key = rig_key_of(1, 2), other_block = rig_key_of(1, 4);
	struct window_key other_object = rig_key_of(2, 2), granule = rig_key_of(1, 3);
	uint8_t bucket[DIRECTORY_BUCKET_LEN];
	struct directory_place place;
	struct directory_shape shape;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, 0, 100, 0);
	assert_true(rig_is_there(&rig, &key, 100));
	assert_false(rig_is_there(&rig, &key, 99));
	assert_false(rig_is_there(&rig, &key, 101));
	assert_false(rig_is_there(&rig, &key, 0));
	rig_bucket_read(&rig, &key, bucket);
	shape = rig.shape;
	assert_int_equal(directory_bucket_find(&shape, bucket, &other_block, 100, &place), -ENOENT);
	assert_int_equal(directory_bucket_find(&shape, bucket, &other_object, 100, &place),
			 -ENOENT);
	assert_int_equal(directory_bucket_find(&shape, bucket, &granule, 100, &place), -ENOENT);
	shape.epoch++; /* the owner was started again */
	assert_int_equal(directory_bucket_find(&shape, bucket, &key, 100, &place), -ENOENT);
	shape.epoch--;
	shape.owner = rig_stranger; /* another is at its address now */
	assert_int_equal(directory_bucket_find(&shape, bucket, &key, 100, &place), -ENOENT);
	rig_fini(&rig);
}

/* An entry that is not used does not speak of the key of zeros. */
static void test_withdraw__key_of_zeros__is_gone_from_behind_an_unused_entry(void **state)
{
	struct window_key zeros = rig_key_of(0, 0), before = rig_key_of(0, 2);
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	while (directory_bucket_off(&rig.shape, &before) !=
	       directory_bucket_off(&rig.shape, &zeros))
		before.index++;
	rig_publish(&rig, &before, 0, 100, 0);
	rig_publish(&rig, &zeros, 4096, 100, 0);
	window_directory_withdraw(rig.directory, &before);
	assert_false(rig_is_there(&rig, &zeros, 0));
	assert_true(rig_is_there(&rig, &zeros, 100));
	window_directory_withdraw(rig.directory, &zeros);
	assert_false(rig_is_there(&rig, &zeros, 100));
	rig_fini(&rig);
}

static void test_withdraw__published__is_gone_and_nothing_else(void **state)
{
	uint8_t before[DIRECTORY_BUCKET_LEN], after[DIRECTORY_BUCKET_LEN];
	struct window_key keys[RIG_ENTRIES + 1];
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_keys_of_one_bucket(&rig, keys, ARRAY_COUNT(keys));
	for (unsigned i = 0; i < RIG_ENTRIES; i++)
		rig_publish(&rig, &keys[i], i * PAGE, 100, i);

	rig_bucket_read(&rig, &keys[0], before);
	window_directory_withdraw(rig.directory, &keys[RIG_ENTRIES]);
	rig_bucket_read(&rig, &keys[0], after);
	assert_memory_equal(before, after, sizeof(before));

	window_directory_withdraw(rig.directory, &keys[3]);
	for (unsigned i = 0; i < RIG_ENTRIES; i++)
		assert_int_equal(rig_is_there(&rig, &keys[i], 100), i != 3);
	/* its entry is the one that the next gets */
	rig_publish(&rig, &keys[RIG_ENTRIES], 0, 100, 0);
	for (unsigned i = 0; i <= RIG_ENTRIES; i++)
		assert_int_equal(rig_is_there(&rig, &keys[i], 100), i != 3);
	for (unsigned i = 0; i <= RIG_ENTRIES; i++)
		window_directory_withdraw(rig.directory, &keys[i]);
	rig_bucket_read(&rig, &keys[0], after);
	memset(before, 0, sizeof(before));
	assert_memory_equal(before, after, sizeof(before));
	rig_fini(&rig);
}

static void test_publish__full_bucket__displaces_the_oldest(void **state)
{
	struct window_key keys[RIG_ENTRIES + 3];
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_keys_of_one_bucket(&rig, keys, ARRAY_COUNT(keys));
	for (unsigned i = 0; i < RIG_ENTRIES; i++)
		rig_publish(&rig, &keys[i], i * PAGE, 100, i);
	rig_publish(&rig, &keys[0], 9 * PAGE, 100, 0); /* that is the latest now */
	rig_publish(&rig, &keys[8], 0, 100, 8);
	rig_publish(&rig, &keys[9], 0, 100, 9);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rig_is_there(&rig, &keys[i], 100), i != 1 && i != 2);
	rig_fini(&rig);
}

static void test_publish__again__only_the_latest_is_there(void **state)
{
	struct window_key key = rig_key_of(4, 8);
	uint64_t checks[BLOCK_GRANULES_MAX], wanted[BLOCK_GRANULES_MAX];
	struct directory_place place;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, 0, 3 * GRANULE_LEN, 1);
	rig_publish(&rig, &key, 4 * RIG_GRANULE, 3 * GRANULE_LEN, 2);
	assert_int_equal(rig_look_up(&rig, &key, 3 * GRANULE_LEN, &place, checks), 0);
	assert_int_equal(place.off, 4 * RIG_GRANULE);
	assert_int_equal(place.generation, 2);
	rig_checks_of(2, wanted);
	assert_memory_equal(checks, wanted, 3 * sizeof(*checks));
	window_directory_withdraw(rig.directory, &key);
	assert_false(rig_is_there(&rig, &key, 3 * GRANULE_LEN));
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish__first_entry__has_the_documented_bytes),
		cmocka_unit_test(test_create__each_arena__is_as_large_as_it_says),
		cmocka_unit_test(test_create__no_memory__fails),
		cmocka_unit_test(test_shape_read__any_byte_changed__is_refused),
		cmocka_unit_test(test_shape_read__nonsense__is_refused),
		cmocka_unit_test(test_bucket_off__keys_of_one_object__spread_evenly),
		cmocka_unit_test(test_publish__each_length_and_place__is_found_with_its_checks),
		cmocka_unit_test(test_publish__neighbours_in_the_arena__keep_their_checks),
		cmocka_unit_test(test_find__what_was_not_published__is_not_there),
		cmocka_unit_test(test_withdraw__key_of_zeros__is_gone_from_behind_an_unused_entry),
		cmocka_unit_test(test_withdraw__published__is_gone_and_nothing_else),
		cmocka_unit_test(test_publish__full_bucket__displaces_the_oldest),
		cmocka_unit_test(test_publish__again__only_the_latest_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

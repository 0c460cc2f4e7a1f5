/*
 * Tests of cache/placement/score.h: the numbers that all members must agree on, for ever, and that
 * they mean what the header says.
 */
#include "cache/placement/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "tests/unit/cache/placement/rig.h"

/* Another number in any of these tests is another PLACEMENT_VERSION: members that have the one
 * look for blocks where members that have the other do not keep them. */
static void test_version__known__answers(void **state)
{
	(void)state;
	assert_int_equal(PLACEMENT_VERSION, 1);
	assert_int_equal(PLACEMENT_SLOT_COUNT, 1048576);
}

static void test_slot__known__answers(void **state)
{
	static const struct {
		struct object_id id;
		uint64_t block;
		uint32_t slot;
	} rows[] = {
		{ { { 0 } }, 0, 0xca53f },
		{ { { 0 } }, 1, 0x3156f },
		{ { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } }, 0, 0x1f64 },
		{ { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
		  UINT64_MAX,
		  0x7e2f5 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(placement_slot(&rows[i].id, rows[i].block), rows[i].slot);
}

static const struct member_id nobody;
static const struct member_id someone = { { 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
					    1 } };

static void test_key__known__answers(void **state)
{
	static const struct {
		const struct member_id *id;
		uint64_t weight;
		struct score_key key;
	} rows[] = {
		{ &nobody,
		  1,
		  { UINT64_C(0xfe6872d7907c7b08),
		    UINT64_C(0xffffffffffffffff),
		    0xf524,
		    { 0x4bee5, 0xa9f55, 0xbf9f7 } } },
		{ &someone,
		  65537,
		  { UINT64_C(0x60680e48518dd1d2),
		    UINT64_C(0x7fffffffffffffff),
		    0x43534,
		    { 0xfd66b, 0x5a8f3, 0xdb777 } } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct score_key key;

		score_key_init(&key, rows[i].id, rows[i].weight);
		assert_int_equal(key.fine, rows[i].key.fine);
		assert_int_equal(key.inverse, rows[i].key.inverse);
		assert_int_equal(key.flip, rows[i].key.flip);
		for (unsigned j = 0; j < 3; j++)
			assert_int_equal(key.factors[j], rows[i].key.factors[j]);
	}
}

static void test_distance__known__answers(void **state)
{
	static const struct {
		uint64_t draw, distance;
	} rows[] = {
		{ 0, 0x0 },
		{ 1, 0x0 },
		{ 64, 0x1 },
		{ UINT64_C(1) << 43, UINT64_C(0x2000008000) },
		{ UINT64_C(1) << 54, UINT64_C(0x1002005565586) },
		{ UINT64_C(0x123456789abcdef0), UINT64_C(0x4b895a8b52e2e7) },
		{ UINT64_C(1) << 63, UINT64_C(0x2c5c85fdf473d95) },
		{ (UINT64_C(1) << 63) + 1, UINT64_C(0x2c5c85fdf473dc8) },
		{ UINT64_C(0xfedcba9876543210), UINT64_C(0x15aa16394d481dff) },
		{ UINT64_MAX, UINT64_C(0xb17217f7d1cf71cd) },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(score_distance(rows[i].draw), rows[i].distance);
}

static void test_score__known__answers(void **state)
{
	static const struct {
		uint32_t slot;
		uint64_t high, low;
	} rows[] = {
		{ 0, 0x76678a4f, UINT64_C(0xcb1890205adf1bb3) },
		{ 1, 0x84a7f6bf, UINT64_C(0x9513e9b3eb151219) },
		{ 524288, 0x3d7b70c6, UINT64_C(0x9567439e4a116bb) },
		{ PLACEMENT_SLOT_COUNT - 1, 0x81fb6af, UINT64_C(0x8b490c495074aed4) },
	};
	struct score_key key;

	(void)state;
	score_key_init(&key, &someone, 3 * TIB);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		__uint128_t score = score_of(&key, rows[i].slot);

		assert_int_equal((uint64_t)(score >> 64), rows[i].high);
		assert_int_equal((uint64_t)score, rows[i].low);
	}
}

static void test_table__known__answers(void **state)
{
	static const struct {
		unsigned count;
		bool weighed;
		uint64_t check;
	} rows[] = {
		{ 5, false, UINT64_C(0xcfeeb4624850fabd) },
		{ 70, true, UINT64_C(0x41da39bbbb834c6c) },
	};
	static struct placement_member members[70];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct placement_table *table;
		struct placement *placement;

		rig_members(members, rows[i].count, 77);
		if (rows[i].weighed)
			rig_weigh(members, rows[i].count, 77);
		placement = rig_place(members, rows[i].count);
		table = placement_acquire(placement);
		assert_int_equal(
			digest_crc64(table->slots, PLACEMENT_SLOT_COUNT * sizeof(*table->slots)),
			rows[i].check);
		placement_release(placement, table);
		placement_destroy(placement);
	}
}

/* The header's words with the C library's logarithm; the order must be the same. */
static long double score_by_words(const struct placement_member *member, uint32_t slot)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(member->id.bytes, 16, UINT64_C(0x200000001));
	uint64_t z = XXH3_64bits_withSeed(member->id.bytes, 16, UINT64_C(0x300000001));
	uint64_t factors[] = { hash.low64 >> 20 | 1, hash.low64 >> 40 | 1, hash.high64 | 1 };
	uint64_t x = (slot ^ hash.low64) % PLACEMENT_SLOT_COUNT;

	for (unsigned i = 0; i < 3; i++) {
		x = x * factors[i] % PLACEMENT_SLOT_COUNT;
		x ^= x / 1024;
	}
	z += slot * UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return -log1pl(-ldexpl((long double)(x << 44 | z >> 20), -64)) /
	       ceill(member->weight / 65536.0L);
}

static void test_rank__as_the_words_say__same_order(void **state)
{
	const struct placement_member *ranked[PLACEMENT_RANK_MAX];
	static struct placement_member members[50];
	const struct placement_table *table;
	struct placement *placement;

	(void)state;
	rig_members(members, 50, 5);
	rig_weigh(members, 50, 5);
	placement = rig_place(members, 50);
	table = placement_acquire(placement);
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t slot = i * 7919 % PLACEMENT_SLOT_COUNT;
		unsigned better = 0;

		assert_int_equal(placement_rank(table, slot, PLACEMENT_RANK_MAX, ranked),
				 PLACEMENT_RANK_MAX);
		for (unsigned j = 1; j < PLACEMENT_RANK_MAX; j++)
			assert_true(score_by_words(ranked[j - 1], slot) <
				    score_by_words(ranked[j], slot));
		for (unsigned j = 0; j < 50; j++)
			if (score_by_words(&members[j], slot) <
			    score_by_words(ranked[PLACEMENT_RANK_MAX - 1], slot))
				better++;
		assert_int_equal(better, PLACEMENT_RANK_MAX - 1);
	}
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_distance__any_draw__near_the_logarithm(void **state)
{
	struct random random;

	(void)state;
	random_init(&random, 9);
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t draw = random_u64(&random) >> random_below(&random, 64);
		uint64_t distance;
		long double exact;

		if (random_below(&random, 2))
			draw = -draw;
		distance = score_distance(draw);
		exact = -log1pl(-ldexpl((long double)draw, -64));
		assert_true(distance >= draw >> 6);
		assert_true(fabsl(ldexpl((long double)distance, -58) - exact) <=
			    ldexpl(1 + exact, -51));
	}
}

static void test_stratum__any_member__a_permutation_and_its_inverse(void **state)
{
	unsigned char *seen = malloc(PLACEMENT_SLOT_COUNT);
	struct placement_member members[4];

	(void)state;
	rig_members(members, 4, 10);
	for (unsigned i = 0; i < 4; i++) {
		struct score_reverse reverse;
		struct score_key key;

		score_key_init(&key, &members[i].id, 1);
		score_reverse_init(&reverse, &key);
		memset(seen, 0, PLACEMENT_SLOT_COUNT);
		for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot++) {
			uint32_t stratum = score_stratum(&key, slot);

			assert_true(stratum < PLACEMENT_SLOT_COUNT && !seen[stratum]);
			seen[stratum] = 1;
			assert_int_equal(score_slot_at(&reverse, stratum), slot);
		}
	}
	free(seen);
}

static void test_score__any_weight__not_below_its_floor(void **state)
{
	static const uint64_t weights[] = { 1, 65536, 65537, TIB, 1000 * TIB, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(weights); i++) {
		struct score_key key;

		score_key_init(&key, &someone, weights[i]);
		for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot += 13) {
			__uint128_t score = score_of(&key, slot);

			assert_true(score >= score_floor(&key, score_stratum(&key, slot)));
			assert_true(score < SCORE_NONE);
		}
	}
}

static int init(void **state)
{
	(void)state;
	score_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version__known__answers),
		cmocka_unit_test(test_slot__known__answers),
		cmocka_unit_test(test_key__known__answers),
		cmocka_unit_test(test_distance__known__answers),
		cmocka_unit_test(test_score__known__answers),
		cmocka_unit_test(test_table__known__answers),
		cmocka_unit_test(test_rank__as_the_words_say__same_order),
		cmocka_unit_test(test_distance__any_draw__near_the_logarithm),
		cmocka_unit_test(test_stratum__any_member__a_permutation_and_its_inverse),
		cmocka_unit_test(test_score__any_weight__not_below_its_floor),
	};

	return cmocka_run_group_tests(tests, init, NULL);
}

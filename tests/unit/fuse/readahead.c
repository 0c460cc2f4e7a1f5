/*
 * Tests of readahead.h.
 */
#include "fuse/readahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define KIB   UINT64_C(1024)
#define MIB   (KIB * 1024)
#define BLOCK (4 * MIB)

struct reader {
	struct readahead readahead;
	struct readahead_limits limits;
	struct readahead_advice advice;
	uint64_t fetched; /* bytes advised */
	uint64_t covered; /* end of the furthest advice */
};

static struct reader reader(uint64_t size, uint64_t max)
{
	return (struct reader){ .limits = { .size = size, .block = BLOCK, .max = max } };
}

static void read_at(struct reader *r, uint64_t off, uint64_t len)
{
	readahead_read(&r->readahead, &r->limits, off, len, &r->advice);
	for (unsigned i = 0; i < r->advice.count; i++) {
		const struct readahead_range *range = &r->advice.ranges[i];

		assert_true(range->len > 0);
		assert_true(range->off < r->limits.size);
		assert_true(range->len <= r->limits.size - range->off);
		r->fetched += range->len;
		if (range->off + range->len > r->covered)
			r->covered = range->off + range->len;
	}
}

static void test_read__sequential__everything_is_fetched_ahead_once(void **state)
{
	static const uint64_t lens[] = { 4 * KIB, 128 * KIB, MIB };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct reader r = reader(256 * MIB + 5, 64 * MIB);

		for (uint64_t off = 0; off < r.limits.size; off += lens[i]) {
			uint64_t left = r.limits.size - off;

			read_at(&r, off, left < lens[i] ? left : lens[i]);
			assert_false(r.advice.random);
			assert_true(r.covered <= off + lens[i] + 64 * MIB + BLOCK);
			if (off >= 32 * MIB && off < 128 * MIB)
				assert_true(r.covered >= off + 48 * MIB);
		}
		/* All but the first block, which the first read fetches itself. */
		assert_int_equal(r.fetched, r.limits.size - BLOCK);
	}
}

static void test_read__far_into_a_sequence__several_blocks_are_fetched_at_a_time(void **state)
{
	static const struct {
		uint64_t max, step;
	} rows[] = { { 128 * MIB, 16 * MIB }, { 64 * MIB, 8 * MIB }, { 16 * MIB, BLOCK } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct reader r = reader(256 * MIB, rows[i].max);

		for (uint64_t off = 0; off < 256 * MIB; off += MIB) {
			uint64_t covered = r.covered;

			read_at(&r, off, MIB);
			if (off < 32 * MIB || covered == r.limits.size)
				continue;
			if (r.advice.count > 0 && r.covered < r.limits.size)
				assert_int_equal(r.advice.ranges[0].len, rows[i].step);
		}
		assert_int_equal(r.fetched, r.limits.size - BLOCK);
	}
}

static void test_read__a_short_sequence__costs_a_few_times_what_was_read(void **state)
{
	struct reader r = reader(1024 * MIB, 64 * MIB);

	(void)state;
	for (uint64_t off = 0; off < 64 * KIB; off += 4 * KIB)
		read_at(&r, off, 4 * KIB);
	assert_int_equal(r.fetched, 0);
	for (uint64_t off = 64 * KIB; off < MIB; off += 4 * KIB)
		read_at(&r, off, 4 * KIB);
	assert_true(r.fetched > 0 && r.fetched <= BLOCK);
}

static void test_read__random__nothing_is_fetched_and_it_is_said(void **state)
{
	struct reader r = reader(UINT64_C(1) << 40, 64 * MIB);
	struct random random;

	(void)state;
	random_init(&random, 7);
	for (unsigned i = 0; i < 10000; i++) {
		read_at(&r, 4 * KIB + random_below(&random, r.limits.size / 2), 4 * KIB);
		assert_true(r.advice.random);
	}
	assert_int_equal(r.fetched, 0);
}

static void test_read__strided__the_next_pieces_are_fetched(void **state)
{
	static const struct {
		uint64_t begin;
		int64_t stride;
		uint64_t len;
	} rows[] = {
		{ 0, 10 * MIB, MIB },
		{ 3 * MIB, 10 * MIB, 4 * KIB },
		{ 900 * MIB, -(int64_t)(8 * MIB), 64 * KIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct reader r = reader(1000 * MIB, 64 * MIB);
		uint64_t off = rows[i].begin, pieces = 50;
		uint64_t wasted;

		for (uint64_t n = 0; n < pieces; n++, off += (uint64_t)rows[i].stride) {
			read_at(&r, off, rows[i].len);
			if (n > 3) {
				assert_false(r.advice.random);
				assert_true(r.readahead.stride.pieces > 0);
			}
		}
		/* What the first read at 0 guessed, and the pieces ahead of the last. */
		wasted = 2 * BLOCK;
		assert_true(r.fetched >= (pieces - 3) * rows[i].len);
		assert_true(r.fetched <= (pieces + 40) * rows[i].len + wasted);
	}
}

static void test_read__strided_in_pieces_of_several_reads__pieces_are_fetched_whole(void **state)
{
	struct reader r = reader(10000 * MIB, 64 * MIB);

	(void)state;
	for (uint64_t piece = 0; piece < 50; piece++) {
		uint64_t fetched = r.fetched;

		for (uint64_t part = 0; part < 4; part++)
			read_at(&r, piece * 40 * MIB + part * MIB, MIB);
		if (piece > 20)
			assert_int_equal(r.fetched - fetched, 4 * MIB);
	}
}

static void test_read__several_streams_of_one_handle__all_are_followed(void **state)
{
	struct reader r = reader(4096 * MIB, 16 * MIB);

	(void)state;
	for (uint64_t off = 0; off < 64 * MIB; off += MIB)
		for (uint64_t stream = 0; stream < 3; stream++) {
			read_at(&r, stream * 1024 * MIB + off, MIB);
			if (off >= 8 * MIB)
				assert_false(r.advice.random);
		}
	assert_true(r.fetched >= UINT64_C(3) * 64 * MIB);
}

static void test_read__reordered__is_still_a_sequence(void **state)
{
	static const uint64_t order[] = { 0, 1, 3, 2, 4, 6, 5, 7, 9, 8, 10, 11 };
	struct reader r = reader(1024 * MIB, 32 * MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
		read_at(&r, order[i] * MIB, MIB);
		assert_false(r.advice.random);
	}
	assert_true(r.fetched >= 32 * MIB);
}

static void test_read__limit_of_zero__nothing_is_fetched(void **state)
{
	struct reader r = reader(1024 * MIB, 0);

	(void)state;
	for (uint64_t off = 0; off < 64 * MIB; off += MIB)
		read_at(&r, off, MIB);
	for (uint64_t off = 100 * MIB; off < 600 * MIB; off += 50 * MIB)
		read_at(&r, off, 64 * KIB);
	assert_int_equal(r.fetched, 0);
}

static void test_refused__it_is_advised_again(void **state)
{
	struct reader r = reader(1024 * MIB, 64 * MIB);
	uint64_t refused;

	(void)state;
	for (uint64_t off = 0; off < 8 * MIB; off += MIB)
		read_at(&r, off, MIB);
	refused = r.covered - BLOCK;
	readahead_refused(&r.readahead, refused);
	read_at(&r, 8 * MIB, MIB);
	assert_int_equal(r.advice.count, 1);
	assert_int_equal(r.advice.ranges[0].off, refused);
}

static void test_read__anything__stays_within_the_file(void **state)
{
	struct random random;

	(void)state;
	random_init(&random, 42);
	for (unsigned round = 0; round < 200; round++) {
		struct reader r = reader(1 + random_below(&random, 100 * MIB), 8 * MIB);
		uint64_t off = 0;

		for (unsigned i = 0; i < 200; i++) { /* read_at() asserts */
			uint64_t len = 1 + random_below(&random, MIB);

			if (random_below(&random, 3) == 0)
				off = random_below(&random, r.limits.size);
			if (off >= r.limits.size)
				off = 0;
			if (len > r.limits.size - off)
				len = r.limits.size - off;
			read_at(&r, off, len);
			off += len;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read__sequential__everything_is_fetched_ahead_once),
		cmocka_unit_test(
			test_read__far_into_a_sequence__several_blocks_are_fetched_at_a_time),
		cmocka_unit_test(test_read__a_short_sequence__costs_a_few_times_what_was_read),
		cmocka_unit_test(test_read__random__nothing_is_fetched_and_it_is_said),
		cmocka_unit_test(test_read__strided__the_next_pieces_are_fetched),
		cmocka_unit_test(
			test_read__strided_in_pieces_of_several_reads__pieces_are_fetched_whole),
		cmocka_unit_test(test_read__several_streams_of_one_handle__all_are_followed),
		cmocka_unit_test(test_read__reordered__is_still_a_sequence),
		cmocka_unit_test(test_read__limit_of_zero__nothing_is_fetched),
		cmocka_unit_test(test_refused__it_is_advised_again),
		cmocka_unit_test(test_read__anything__stays_within_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

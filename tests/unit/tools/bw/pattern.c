/*
 * Tests of tools/bw/pattern.h.
 */
#include "tools/bw/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED UINT64_C(0x1234567890abcdef)
#define LEN  4096

static void test_check__what_fill_writes__is_right_at_any_length(void **state)
{
	uint8_t data[LEN];
	size_t wrong;

	(void)state;
	for (size_t len = 0; len < 70; len++) {
		memset(data, 0, sizeof(data));
		pattern_fill(data, SEED, 8 * len, len);
		assert_true(pattern_check(data, SEED, 8 * len, len, &wrong));
		assert_int_equal(data[len], 0);
	}
}

static void test_check__a_part_of_a_larger_one__is_right(void **state)
{
	uint8_t data[LEN];

	(void)state;
	pattern_fill(data, SEED, 0, sizeof(data));
	for (size_t off = 0; off < 512; off += 8)
		assert_true(pattern_check(data + off, SEED, off, 100, NULL));
}

static void test_check__one_bit_anywhere__is_found_where_it_is(void **state)
{
	uint8_t data[99];

	(void)state;
	pattern_fill(data, SEED, 64, sizeof(data));
	for (size_t i = 0; i < sizeof(data); i++) {
		size_t wrong = SIZE_MAX;

		data[i] ^= (uint8_t)(1 << i % 8);
		assert_false(pattern_check(data, SEED, 64, sizeof(data), &wrong));
		assert_int_equal(wrong, i);
		data[i] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(pattern_check(data, SEED, 64, sizeof(data), NULL));
}

static void test_check__another_place_or_seed__is_wrong(void **state)
{
	uint8_t data[64];

	(void)state;
	pattern_fill(data, SEED, 0, sizeof(data));
	assert_false(pattern_check(data, SEED, 8, sizeof(data), NULL));
	assert_false(pattern_check(data, SEED, LEN, sizeof(data), NULL));
	assert_false(pattern_check(data, SEED + 1, 0, sizeof(data), NULL));
}

/* So that a read which writes only some bytes cannot pass for one that wrote all. */
static void test_spoil__any_byte_left__is_found(void **state)
{
	uint8_t data[50];

	(void)state;
	for (size_t left = 0; left < sizeof(data); left++) {
		uint8_t spoilt[sizeof(data)];
		size_t wrong;

		pattern_fill(data, SEED, 8, sizeof(data));
		pattern_spoil(spoilt, SEED, 8, sizeof(spoilt));
		data[left] = spoilt[left];
		assert_false(pattern_check(data, SEED, 8, sizeof(data), &wrong));
		assert_int_equal(wrong, left);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check__what_fill_writes__is_right_at_any_length),
		cmocka_unit_test(test_check__a_part_of_a_larger_one__is_right),
		cmocka_unit_test(test_check__one_bit_anywhere__is_found_where_it_is),
		cmocka_unit_test(test_check__another_place_or_seed__is_wrong),
		cmocka_unit_test(test_spoil__any_byte_left__is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of bytes.h: the layout is little-endian at any alignment, and what is put is got.
 */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_bytes_put__each_width__is_little_endian_and_stays_inside(void **state)
{
	static const uint8_t wanted[] = { 0xee, 8, 7, 6, 5, 4, 3, 2, 1, 0xee };
	uint8_t buffer[10];

	(void)state;
	memset(buffer, 0xee, sizeof(buffer));
	bytes_put_u64(buffer + 1, UINT64_C(0x0102030405060708));
	assert_memory_equal(buffer, wanted, sizeof(wanted));
	memset(buffer, 0xee, sizeof(buffer));
	bytes_put_u32(buffer + 1, 0x05060708);
	assert_memory_equal(buffer, wanted, 5);
	assert_int_equal(buffer[5], 0xee);
	memset(buffer, 0xee, sizeof(buffer));
	bytes_put_u16(buffer + 1, 0x0708);
	assert_memory_equal(buffer, wanted, 3);
	assert_int_equal(buffer[3], 0xee);
}

static void test_bytes_get__what_was_put__is_the_same(void **state)
{
	static const uint64_t values[] = { 0,	       1,	   0x7f,	  0x80,
					   0xff,       0x8000,	   0xffff,	  0x80000000,
					   0xffffffff, UINT64_MAX, UINT64_MAX / 3 };
	uint8_t buffer[9];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		bytes_put_u64(buffer + 1, values[i]);
		assert_int_equal(bytes_get_u64(buffer + 1), values[i]);
		bytes_put_u32(buffer + 1, (uint32_t)values[i]);
		assert_int_equal(bytes_get_u32(buffer + 1), (uint32_t)values[i]);
		bytes_put_u16(buffer + 1, (uint16_t)values[i]);
		assert_int_equal(bytes_get_u16(buffer + 1), (uint16_t)values[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_put__each_width__is_little_endian_and_stays_inside),
		cmocka_unit_test(test_bytes_get__what_was_put__is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

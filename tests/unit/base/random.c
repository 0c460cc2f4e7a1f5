/*
 * Tests of random.h: the published sequence, replay from a seed, no bias.
 */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_random_u64__the_published_state__gives_the_published_sequence(void **state)
{
	static const uint64_t wanted[] = {
		UINT64_C(41943041),
		UINT64_C(58720359),
		UINT64_C(3588806011781223),
		UINT64_C(3591011842654386),
		UINT64_C(9228616714210784205),
		UINT64_C(9973669472204895162),
		UINT64_C(14011001112246962877),
		UINT64_C(12406186145184390807),
		UINT64_C(15849039046786891736),
		UINT64_C(10450023813501588000),
	};
	struct random random = { { 1, 2, 3, 4 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(wanted); i++)
		assert_int_equal(random_u64(&random), wanted[i]);
}

static void test_random_init__equal_seeds__replay(void **state)
{
	struct random a, b, c;
	unsigned equal = 0;

	(void)state;
	random_init(&a, 7);
	random_init(&b, 7);
	random_init(&c, 8);
	for (int i = 0; i < 1000; i++) {
		uint64_t value = random_u64(&a);

		assert_int_equal(random_u64(&b), value);
		equal += random_u64(&c) == value;
	}
	assert_int_equal(equal, 0);
}

static void test_random_below__small_limits__hits_all_about_equally(void **state)
{
	struct random random;

	(void)state;
	random_init(&random, 1);
	for (unsigned limit = 1; limit <= 10; limit++) {
		unsigned hits[10] = { 0 };

		for (unsigned i = 0; i < 1000 * limit; i++) {
			uint64_t value = random_below(&random, limit);

			assert_true(value < limit);
			hits[value]++;
		}
		/* 1000 expected of each; 6 sigma are 190 */
		for (unsigned i = 0; i < limit; i++)
			assert_in_range(hits[i], 810, 1190);
	}
}

static void test_random_below__two_thirds_of_the_range__has_no_bias(void **state)
{
	/* a plain remainder would give the lower half twice as often as the upper one */
	const uint64_t limit = UINT64_C(3) << 62;
	struct random random;
	unsigned low = 0;

	(void)state;
	random_init(&random, 2);
	for (int i = 0; i < 30000; i++)
		low += random_below(&random, limit) < limit / 3;
	assert_in_range(low, 9500, 10500);
}

static void test_random_bytes__long_and_empty__fills_exactly(void **state)
{
	static uint8_t a[4099], b[4099];
	unsigned zeros = 0;

	(void)state;
	random_bytes(a, 0);
	assert_int_equal(a[0], 0);
	random_bytes(a, sizeof(a) - 1);
	random_bytes(b, sizeof(b) - 1);
	assert_int_equal(a[sizeof(a) - 1], 0);
	assert_memory_not_equal(a, b, sizeof(a));
	for (unsigned i = 0; i < sizeof(a) - 1; i++)
		zeros += a[i] == 0;
	assert_true(zeros < 100);
	assert_true(random_seed() != random_seed());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_random_u64__the_published_state__gives_the_published_sequence),
		cmocka_unit_test(test_random_init__equal_seeds__replay),
		cmocka_unit_test(test_random_below__small_limits__hits_all_about_equally),
		cmocka_unit_test(test_random_below__two_thirds_of_the_range__has_no_bias),
		cmocka_unit_test(test_random_bytes__long_and_empty__fills_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of retry.h.
 */
#include "s3/engine/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"

#define SCALE (100 * NS_PER_MS)

static void test_retry_at__steps__stay_in_range_and_fill_it(void **state)
{
	static const struct {
		unsigned step;
		uint64_t range_ns;
	} rows[] = {
		{ 0, SCALE },
		{ 1, 2 * SCALE },
		{ 3, 8 * SCALE },
		{ 5, 32 * SCALE },
		{ 6, 50 * SCALE },
		{ 31, 50 * SCALE },
		{ 4000000000, 50 * SCALE },
	};
	struct random random;

	(void)state;
	random_init(&random, 42);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t least = CLOCK_NEVER, most = 0, at_ns;
		for (int j = 0; j < 1000; j++) {
			assert_true(
				retry_at(1000, SCALE, rows[i].step, CLOCK_NEVER, &random, &at_ns));
			least = at_ns < least ? at_ns : least;
			most = at_ns > most ? at_ns : most;
		}
		assert_in_range(least, 1000, 1000 + rows[i].range_ns / 20);
		assert_in_range(most, 1000 + rows[i].range_ns * 19 / 20, 1000 + rows[i].range_ns);
	}
}

static void test_retry_at__beyond_the_deadline__is_no_retry(void **state)
{
	struct random random;
	uint64_t at_ns = 7;

	(void)state;
	random_init(&random, 42);
	assert_false(retry_at(1000, SCALE, 0, 1000, &random, &at_ns));
	assert_int_equal(at_ns, 7);
	for (int i = 0; i < 1000; i++)
		if (retry_at(1000, SCALE, 0, 1000 + SCALE / 2, &random, &at_ns))
			assert_true(at_ns < 1000 + SCALE / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_at__steps__stay_in_range_and_fill_it),
		cmocka_unit_test(test_retry_at__beyond_the_deadline__is_no_retry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of clock.h: the machine's clocks run, the manual one moves by hand alone.
 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void test_clock_system__read_often__never_goes_back(void **state)
{
	const struct clock *clock = clock_system();
	uint64_t last = clock_now_ns(clock);

	(void)state;
	assert_true(last > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_now_ns(clock);

		assert_true(now >= last);
		last = now;
	}
}

static void test_clock_system__wall__is_the_date(void **state)
{
	int64_t before = (int64_t)time(NULL);
	int64_t wall_s = clock_wall_ns(clock_system()) / (int64_t)NS_PER_S;

	(void)state;
	/* time() reads the coarse clock, which may be a tick behind */
	assert_true(wall_s >= before && wall_s <= (int64_t)time(NULL) + 1);
}

static void test_clock_manual__advanced__moves_both_clocks_by_that(void **state)
{
	struct clock_manual manual;

	(void)state;
	clock_manual_init(&manual, 5, -7);
	assert_int_equal(clock_now_ns(&manual.clock), 5);
	assert_int_equal(clock_wall_ns(&manual.clock), -7);
	assert_int_equal(clock_now_ns(&manual.clock), 5);
	clock_manual_advance(&manual, 100);
	assert_int_equal(clock_now_ns(&manual.clock), 105);
	assert_int_equal(clock_wall_ns(&manual.clock), 93);
}

static void test_clock_before_ns__before_the_beginning__is_0(void **state)
{
	(void)state;
	assert_int_equal(clock_before_ns(5, 3), 2);
	assert_int_equal(clock_before_ns(5, 5), 0);
	assert_int_equal(clock_before_ns(5, UINT64_MAX), 0);
}

static void test_clock_after_ns__past_the_end_of_time__is_never(void **state)
{
	static const struct {
		uint64_t now_ns, duration_ns, wanted;
	} rows[] = {
		{ 0, 0, 0 },
		{ 1, 2, 3 },
		{ 1, CLOCK_NEVER - 2, CLOCK_NEVER - 1 },
		{ 1, CLOCK_NEVER - 1, CLOCK_NEVER },
		{ 1, CLOCK_NEVER, CLOCK_NEVER },
		{ CLOCK_NEVER, 0, CLOCK_NEVER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(clock_after_ns(rows[i].now_ns, rows[i].duration_ns),
				 rows[i].wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_system__read_often__never_goes_back),
		cmocka_unit_test(test_clock_system__wall__is_the_date),
		cmocka_unit_test(test_clock_manual__advanced__moves_both_clocks_by_that),
		cmocka_unit_test(test_clock_after_ns__past_the_end_of_time__is_never),
		cmocka_unit_test(test_clock_before_ns__before_the_beginning__is_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

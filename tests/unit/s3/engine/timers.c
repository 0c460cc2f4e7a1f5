/*
 * Tests of timers.h against a plain search.
 */
#include "s3/engine/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define COUNT 200

static uint64_t least_of(const struct s3_timer *timers)
{
	uint64_t least = CLOCK_NEVER;
	for (int i = 0; i < COUNT; i++)
		if (timers[i].index && timers[i].at_ns < least)
			least = timers[i].at_ns;
	return least;
}

static void test_timers__random_changes__the_first_is_the_earliest(void **state)
{
	struct s3_timer all[COUNT] = { 0 };
	struct timers timers;
	struct random random;

	(void)state;
	random_init(&random, 7);
	assert_int_equal(timers_init(&timers, COUNT), 0);
	for (int i = 0; i < 20000; i++) {
		struct s3_timer *timer = &all[random_below(&random, COUNT)];
		if (random_below(&random, 3))
			timers_set(&timers, timer, random_below(&random, 1000));
		else
			timers_remove(&timers, timer);
		assert_int_equal(timers_next_ns(&timers), least_of(all));
	}
	while (timers_first(&timers)) {
		struct s3_timer *first = timers_first(&timers);
		assert_int_equal(first->at_ns, least_of(all));
		timers_remove(&timers, first);
		assert_int_equal(first->index, 0);
	}
	assert_int_equal(timers_next_ns(&timers), CLOCK_NEVER);
	timers_fini(&timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers__random_changes__the_first_is_the_earliest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

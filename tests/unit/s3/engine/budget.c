/*
 * Tests of budget.h.
 */
#include "s3/engine/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define START (1000 * NS_PER_S)

static void test_budget_take__no_limits__never_waits(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(budget_take(&budget, UINT64_C(1) << 40, START), 0);
}

/* Takes requests as fast as the budget lets it for @seconds. Return: how many. */
static unsigned run(struct budget *budget, uint64_t bytes, uint64_t seconds)
{
	uint64_t now_ns = START, end_ns = START + seconds * NS_PER_S;
	unsigned count = 0;

	while (now_ns < end_ns) {
		uint64_t wait_ns = budget_take(budget, bytes, now_ns);
		count += wait_ns == 0;
		now_ns += wait_ns;
	}
	return count;
}

static void test_budget_take__requests_per_second__is_kept(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_set(&budget, 100, 0, START);
	unsigned count = run(&budget, 0, 10);
	assert_in_range(count, 1000, 1010); /* and a burst of 100 ms */
}

static void test_budget_take__bytes_per_second__is_kept_by_large_requests_too(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_set(&budget, 0, 1000000, START);
	/* each is four seconds' worth: the next waits until the debt is paid */
	unsigned count = run(&budget, 4000000, 41);
	assert_in_range(count, 10, 11);
}

static void test_budget_take__after_an_idle_hour__bursts_100_ms_only(void **state)
{
	struct budget budget = { 0 };
	unsigned count = 0;

	(void)state;
	budget_set(&budget, 100, 0, START);
	while (!budget_take(&budget, 0, START + 3600 * NS_PER_S))
		count++;
	assert_int_equal(count, 10);
}

static void test_budget_take__rate_below_one_burst__lets_one_through(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_set(&budget, 2, 0, START);
	assert_int_equal(budget_take(&budget, 0, START), 0);
	uint64_t wait_ns = budget_take(&budget, 0, START);
	assert_in_range(wait_ns, NS_PER_S / 2, NS_PER_S / 2 + 10);
	assert_int_equal(budget_take(&budget, 0, START + wait_ns), 0);
}

static void test_budget_settle__bytes_that_never_came__are_given_back(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_set(&budget, 0, 1000, START);
	assert_int_equal(budget_take(&budget, 5000, START), 0);
	assert_int_not_equal(budget_take(&budget, 1, START), 0);
	budget_settle(&budget, 5000, 0);
	assert_int_equal(budget_take(&budget, 1, START), 0);
	budget_settle(&budget, 0, 10000); /* more came than was reckoned with: a listing */
	assert_int_not_equal(budget_take(&budget, 1, START + 5 * NS_PER_S), 0);
}

static void test_budget_set__live__counts_from_now(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_set(&budget, 1, 0, START);
	assert_int_equal(budget_take(&budget, 0, START), 0);
	assert_int_not_equal(budget_take(&budget, 0, START), 0);
	budget_set(&budget, 1000, 0, START);
	assert_in_range(budget_take(&budget, 0, START), 1, 2 * NS_PER_MS);
	budget_set(&budget, 0, 0, START);
	assert_int_equal(budget_take(&budget, 0, START), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget_take__no_limits__never_waits),
		cmocka_unit_test(test_budget_take__requests_per_second__is_kept),
		cmocka_unit_test(test_budget_take__bytes_per_second__is_kept_by_large_requests_too),
		cmocka_unit_test(test_budget_take__after_an_idle_hour__bursts_100_ms_only),
		cmocka_unit_test(test_budget_take__rate_below_one_burst__lets_one_through),
		cmocka_unit_test(test_budget_settle__bytes_that_never_came__are_given_back),
		cmocka_unit_test(test_budget_set__live__counts_from_now),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

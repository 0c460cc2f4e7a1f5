/*
 * Tests of scale.c: the formulas at the sizes that people compare.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

#include <string.h>

static void test_retransmits__of_sizes__grow_with_the_digits(void **state)
{
	static const struct {
		unsigned factor;
		uint32_t members;
		unsigned times;
	} rows[] = {
		{ 4, 0, 1 },
		{ 4, 1, 4 },
		{ 4, 9, 4 },
		{ 4, 10, 8 },
		{ 4, 99, 8 },
		{ 4, 100, 12 },
		{ 4, 999, 12 },
		{ 4, 10000, 20 },
		{ 1, 10000, 5 },
		{ 16, 1 << 20, 112 },
		{ 100, 1 << 20, SWIM_LEVELS - 1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(swim_scale_retransmits(rows[i].factor, rows[i].members),
				 rows[i].times);
}

static void test_push_pull__of_sizes__is_rarer_beyond_32(void **state)
{
	static const struct {
		uint32_t members;
		unsigned times;
	} rows[] = {
		{ 0, 1 }, { 1, 1 }, { 32, 1 }, { 33, 2 }, { 64, 2 }, { 65, 3 }, { 10000, 10 }
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(swim_scale_push_pull(rows[i].members), rows[i].times);
}

static void test_suspicion__of_sizes__grows_with_the_logarithm(void **state)
{
	static const struct {
		uint32_t members;
		uint64_t seconds;
	} rows[] = { { 1, 4 }, { 10, 4 }, { 100, 8 }, { 1000, 12 }, { 10000, 16 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t got = swim_scale_suspicion(4, rows[i].members, S);

		assert_true(got + MS > rows[i].seconds * S && got < rows[i].seconds * S + MS);
	}
}

static void test_confirmed__by_more__falls_from_longest_to_shortest(void **state)
{
	static const struct {
		unsigned count, wanted;
		uint64_t ms;
	} rows[] = {
		{ 0, 2, 60000 }, { 1, 2, 28453 }, { 2, 2, 10000 }, { 3, 2, 10000 }, { 0, 0, 10000 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(
			swim_scale_confirmed(10 * S, 60 * S, rows[i].count, rows[i].wanted) / MS,
			rows[i].ms);
}

static void test_options__that_cannot_work__are_refused(void **state)
{
	struct swim_config config;
	char problem[OPTION_PROBLEM_MAX];

	(void)state;
	assert_int_equal(option_defaults(&swim_options, &config), 0);
	assert_int_equal(swim_options.validate(&config, problem, sizeof(problem)), 0);
	assert_int_equal(config.probe_interval, S);
	assert_int_equal(config.probe_timeout, 500 * MS);
	config.probe_timeout = S;
	assert_int_not_equal(swim_options.validate(&config, problem, sizeof(problem)), 0);
	assert_non_null(strstr(problem, "probe_timeout"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retransmits__of_sizes__grow_with_the_digits),
		cmocka_unit_test(test_push_pull__of_sizes__is_rarer_beyond_32),
		cmocka_unit_test(test_suspicion__of_sizes__grows_with_the_logarithm),
		cmocka_unit_test(test_confirmed__by_more__falls_from_longest_to_shortest),
		cmocka_unit_test(test_options__that_cannot_work__are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

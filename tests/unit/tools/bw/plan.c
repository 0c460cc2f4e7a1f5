/*
 * Tests of tools/bw/plan.h: options to steps.
 */
#include "tools/bw/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

static char problem[PLAN_PROBLEM_MAX];

/* The plan of a command line, without the server's name. */
static int plan_of(const char *line, struct plan *out)
{
	struct client_options options;
	char words[256], *argv[32], *rest = words;
	char why[OPTION_PROBLEM_MAX] = "";
	int argc = 0, error;

	snprintf(words, sizeof(words), "%s", line);
	while ((argv[argc] = strsep(&rest, ";")))
		argc += *argv[argc] != '\0';
	assert_int_equal(option_defaults(&client_options_group, &options), 0);
	if (option_parse_arguments(&client_options_group, &options, argc, argv, why, sizeof(why)) !=
	    0)
		fail_msg("%s: %s", line, why);
	error = plan_make(&options, out, problem, sizeof(problem));
	option_free(&client_options_group, &options);
	return error;
}

static void test_make__nothing_asked__one_size_bandwidth_then_latency(void **state)
{
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of("", &plan), 0);
	assert_int_equal(plan.step_count, 2);
	assert_int_equal(plan.steps[0].test, PLAN_BANDWIDTH);
	assert_int_equal(plan.steps[0].len, 65536);
	assert_int_equal(plan.steps[0].depth, 128);
	assert_int_equal(plan.steps[0].limit_ns, 2 * NS_PER_S);
	assert_int_equal(plan.steps[1].test, PLAN_LATENCY);
	assert_int_equal(plan.steps[1].depth, 1);
	assert_int_equal(plan.connections, 1);
	assert_int_equal(plan.lane_len, 128 * 65536);
}

static void test_make__all_sizes__from_2_to_8_mib(void **state)
{
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of("-a;--test=bw", &plan), 0);
	assert_int_equal(plan.step_count, 23);
	assert_int_equal(plan.steps[0].len, 2);
	assert_int_equal(plan.steps[22].len, 8 << 20);
	assert_int_equal(plan.steps[22].depth, 8);
	assert_int_equal(plan.len_max, 8 << 20);
	assert_int_equal(plan.lane_len, 64 << 20);
	assert_int_equal(plan.steps[0].limit_ns, 500 * NS_PER_MS);
}

static void test_make__duration__in_perftests_seconds_or_with_a_unit(void **state)
{
	static const struct {
		const char *line;
		uint64_t limit_ns;
	} rows[] = {
		{ "-D5", 5 * NS_PER_S },	 { "-D5;-n1000", 5 * NS_PER_S },
		{ "-D250 ms", 250 * NS_PER_MS }, { "-D1 min", 60 * NS_PER_S },
		{ "-n1000", 60 * NS_PER_S },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct plan plan;

		assert_int_equal(plan_of(rows[i].line, &plan), 0);
		assert_int_equal(plan.steps[0].limit_ns, rows[i].limit_ns);
	}
}

static void test_make__several_sizes_depth_and_connections__as_asked(void **state)
{
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of("-s4096;-s1 MiB;-t16;-T2;-q3;--test=bw", &plan), 0);
	assert_int_equal(plan.step_count, 2);
	assert_int_equal(plan.steps[0].len, 4096);
	assert_int_equal(plan.steps[1].len, 1 << 20);
	assert_int_equal(plan.steps[1].depth, 16);
	assert_int_equal(plan.threads, 2);
	assert_int_equal(plan.connections, 3);
	assert_int_equal(plan.lane_len, 16 << 20);
}

static void test_make__too_much_or_nonsense__says_which_option(void **state)
{
	static const struct {
		const char *line, *problem;
	} rows[] = {
		{ "-s64 MiB;-t128", "--memory allows 1.00 GiB" },
		{ "-b;-s8 MiB;-t100", "both ways, need 1.56 GiB" },
		{ "-q64;-s1 MiB;-t64", "need 4.00 GiB" },
		{ "-s0", "--size: " },
		{ "-s65 MiB", "--size: " },
		{ "-sbig", "--size: " },
		{ "-a;-s4096", "--all and --size" },
		{ "-D0", "--duration: " },
		{ "-Dlong", "--duration: " },
		{ "-D99999999999999999999", "--duration: " },
		{ "-T4;-q2", "--qp=2 is too few" },
		{ "-v;--footprint=4096", "--verify" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct plan plan = { .threads = 77 };

		if (plan_of(rows[i].line, &plan) != -EINVAL || !strstr(problem, rows[i].problem))
			fail_msg("%s: %s", rows[i].line, problem);
		assert_int_equal(plan.threads, 77);
	}
}

static void test_footprint__rounded_to_whole_reads(void **state)
{
	(void)state;
	assert_int_equal(plan_footprint(0, 65536, 16), 16 * 65536);
	assert_int_equal(plan_footprint(0, 2, 4), 4 * PLAN_STRIDE);
	assert_int_equal(plan_footprint(1, 65536, 16), 65536);
	assert_int_equal(plan_footprint(200000, 65536, 16), 3 * 65536);
}

static void test_share__parts__add_up(void **state)
{
	(void)state;
	for (uint64_t reads = 0; reads < 20; reads++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < 7; i++)
			sum += plan_share(reads, i, 7);
		assert_int_equal(sum, reads);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make__nothing_asked__one_size_bandwidth_then_latency),
		cmocka_unit_test(test_make__all_sizes__from_2_to_8_mib),
		cmocka_unit_test(test_make__duration__in_perftests_seconds_or_with_a_unit),
		cmocka_unit_test(test_make__several_sizes_depth_and_connections__as_asked),
		cmocka_unit_test(test_make__too_much_or_nonsense__says_which_option),
		cmocka_unit_test(test_footprint__rounded_to_whole_reads),
		cmocka_unit_test(test_share__parts__add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

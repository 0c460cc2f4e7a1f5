/*
 * Tests of options.c: defaults, and what is refused with a reason.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/config.h"
#include "cache/peer/peers.h"

static void test_defaults__of_the_peers__are_valid(void **state)
{
	struct peers_config config;
	char problem[OPTION_PROBLEM_MAX] = "";

	(void)state;
	assert_int_equal(option_defaults(&peers_options, &config), 0);
	assert_int_equal(config.silence, 500 * NS_PER_MS);
	assert_int_equal(config.lease, 10 * NS_PER_S);
	assert_int_equal(config.settle, UINT64_C(24) * 3600 * NS_PER_S);
	assert_int_equal(config.stages_max, 256);
	assert_int_equal(config.queue_max, 4096);
	assert_int_equal(config.locators_memory, 64 << 20);
	assert_int_equal(config.locators_age, 60 * NS_PER_S);
	assert_int_equal(config.breaker_failures, 3);
	assert_int_equal(config.breaker_probe, 500 * NS_PER_MS);
	assert_int_equal(config.hot_readers, 8);
	assert_int_equal(config.failover_rate, 1 << 30);
	assert_int_equal(peers_options.validate(&config, problem, sizeof(problem)), 0);
	option_free(&peers_options, &config);
}

static void test_config__in_full__is_taken_over(void **state)
{
	static const char text[] =
		"silence = \"300 ms\"; lease = \"30 s\"; settle = 0; stages_max = 1; queue_max = 0;"
		"locators_memory = \"1 MiB\"; locators_age = 0; breaker_failures = 1;"
		"breaker_probe = \"1 s\"; hot_readers = 0; failover_rate = \"5 GiB\";";
	struct peers_config config;
	char problem[OPTION_PROBLEM_MAX] = "";

	(void)state;
	if (config_load_text(text, "test", &peers_options, &config, problem, sizeof(problem)))
		fail_msg("%s", problem);
	assert_int_equal(config.silence, 300 * NS_PER_MS);
	assert_int_equal(config.lease, 30 * NS_PER_S);
	assert_int_equal(config.settle, 0);
	assert_int_equal(config.queue_max, 0);
	assert_int_equal(config.hot_readers, 0);
	assert_int_equal(config.failover_rate, UINT64_C(5) << 30);
	option_free(&peers_options, &config);
}

static void test_config__that_cannot_work__is_refused_by_name(void **state)
{
	static const struct {
		const char *text, *named;
	} rows[] = {
		{ "silence = \"299 ms\";", "silence" },
		{ "silence = \"10 s\";", "lease" },
		{ "lease = \"999 ms\";", "lease" },
		{ "silence = \"5 s\"; lease = \"5 s\";", "lease" },
		{ "stages_max = 0;", "stages_max" },
		{ "queue_max = -1;", "queue_max" },
		{ "locators_memory = \"1 KiB\";", "locators_memory" },
		{ "breaker_failures = 0;", "breaker_failures" },
		{ "breaker_probe = 0;", "breaker_probe" },
		{ "hot_readers = -1;", "hot_readers" },
		{ "failover_rate = 0;", "failover_rate" },
		{ "leese = \"5 s\";", "leese" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct peers_config config;
		char problem[OPTION_PROBLEM_MAX] = "";

		assert_int_equal(config_load_text(rows[i].text, "test", &peers_options, &config,
						  problem, sizeof(problem)),
				 -EINVAL);
		if (!strstr(problem, rows[i].named))
			fail_msg("\"%s\" does not name %s", problem, rows[i].named);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults__of_the_peers__are_valid),
		cmocka_unit_test(test_config__in_full__is_taken_over),
		cmocka_unit_test(test_config__that_cannot_work__is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

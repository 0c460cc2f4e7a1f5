/*
 * Tests of options.c: defaults, and what is refused with a reason.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/config.h"
#include "cache/cache.h"

#define MIB (UINT64_C(1) << 20)

static void test_defaults__of_the_cache__are_valid(void **state)
{
	struct cache_config config;
	char problem[256] = "";

	(void)state;
	assert_int_equal(option_defaults(&cache_options, &config), 0);
	assert_int_equal(config.memory, 1024 * MIB);
	assert_int_equal(config.block_len, 4 * MIB);
	assert_int_equal(config.policy, CACHE_POLICY_EPOCH);
	assert_int_equal(config.high_watermark, 95);
	assert_int_equal(config.low_watermark, 90);
	assert_int_equal(config.read_timeout, 30 * NS_PER_S);
	assert_int_equal(config.prefetch_max, 256 * MIB);
	assert_int_equal(config.fetch_max, 16 * MIB);
	assert_false(config.huge_pages);
	assert_int_equal(config.directories.count, 0);
	assert_int_equal(cache_options.validate(&config, problem, sizeof(problem)), 0);
	option_free(&cache_options, &config);
}

static void test_config__in_full__is_taken_over(void **state)
{
	static const char text[] =
		"memory = \"256 MiB\"; block_len = \"1 MiB\"; policy = \"lru\";"
		"directories = ( { path = \"/ssd0\"; capacity = \"1 TiB\"; },"
		"                { path = \"/ssd1\"; } );"
		"high_watermark = 80; low_watermark = 70; read_timeout = \"5 s\";"
		"prefetch_max = 0; fetch_max = \"8 MiB\"; huge_pages = true;";
	const struct cache_directory_config *directories;
	struct cache_config config;
	char problem[256] = "";

	(void)state;
	if (config_load_text(text, "test", &cache_options, &config, problem, sizeof(problem)))
		fail_msg("%s", problem);
	directories = config.directories.items;
	assert_int_equal(config.directories.count, 2);
	assert_string_equal(directories[0].path, "/ssd0");
	assert_int_equal(directories[0].capacity, UINT64_C(1) << 40);
	assert_int_equal(directories[1].capacity, 0);
	assert_int_equal(config.policy, CACHE_POLICY_LRU);
	assert_int_equal(config.fetch_max, 8 * MIB);
	assert_true(config.huge_pages);
	option_free(&cache_options, &config);
}

static void test_config__that_cannot_work__is_refused_by_name(void **state)
{
	static const struct {
		const char *text, *named;
	} rows[] = {
		{ "memory = \"32 MiB\";", "memory" },
		{ "memory = \"lots\";", "memory" },
		{ "block_len = \"3 MiB\";", "block_len" },
		{ "block_len = \"8 MiB\";", "block_len" },
		{ "block_len = \"256 KiB\";", "block_len" },
		{ "policy = \"arc\";", "policy" },
		{ "high_watermark = 90; low_watermark = 90;", "low_watermark" },
		{ "high_watermark = 101;", "high_watermark" },
		{ "read_timeout = \"1 ms\";", "read_timeout" },
		{ "directories = ( { capacity = 5; } );", "path" },
		{ "directories = ( { path = \"ssd\"; } );", "absolute" },
		{ "directories = ( { path = \"/a\"; }, { path = \"/a\"; } );", "twice" },
		{ "memroy = 5;", "memroy" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct cache_config config;
		char problem[256] = "";

		assert_int_equal(config_load_text(rows[i].text, "test", &cache_options, &config,
						  problem, sizeof(problem)),
				 -EINVAL);
		if (!strstr(problem, rows[i].named))
			fail_msg("\"%s\" does not name %s", problem, rows[i].named);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults__of_the_cache__are_valid),
		cmocka_unit_test(test_config__in_full__is_taken_over),
		cmocka_unit_test(test_config__that_cannot_work__is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

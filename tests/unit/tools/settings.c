/*
 * Tests of tools/settings.h: the configurations that are handed out, and what only the whole file
 * can have wrong.
 */
#include "tools/settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/config.h"

static void test_load__example_configuration__is_valid(void **state)
{
	char problem[SETTINGS_PROBLEM_MAX];
	struct settings settings;

	(void)state;
	if (settings_load(SOURCE_DIR "/tools/deploy/cenote.conf", &settings, problem,
			  sizeof(problem)) != 0)
		fail_msg("%s", problem);
	assert_true(settings.backings.count > 0);
	assert_true(settings.mount.entries.count > 0);
	assert_string_equal(settings.node.run_dir, SETTINGS_RUN_DIR_DEFAULT);
	settings_free(&settings);
}

/* The configuration in the README, between the lines of its first libconfig block. */
static char *readme_example(void)
{
	static const char start[] = "```libconfig\n";
	FILE *file = fopen(SOURCE_DIR "/README.md", "re");
	char *text = calloc(1, 1 << 20);
	char *example, *end, *copy;

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	example = strstr(text, start);
	assert_non_null(example);
	example += strlen(start);
	end = strstr(example, "```");
	assert_non_null(end);
	copy = strndup(example, (size_t)(end - example));
	free(text);
	return copy;
}

static void test_load__configuration_of_the_readme__is_valid(void **state)
{
	char problem[SETTINGS_PROBLEM_MAX];
	char *text = readme_example();
	struct settings settings;

	(void)state;
	if (config_load_text(text, "README.md", &settings_options, &settings, problem,
			     sizeof(problem)) != 0)
		fail_msg("%s", problem);
	settings_free(&settings);
	free(text);
}

#define BACKING(id)	     "{ id = \"" id "\"; type = \"directory\"; directory = \"/data\"; }"
#define ENTRY(path, backing) "{ path = \"" path "\"; backing = \"" backing "\"; }"

static void test_load__parts_that_do_not_fit__says_which(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "mount = { path = \"/m\"; entries = ( " ENTRY("/", "a") " ); };", "backings" },
		{ "backings = ( " BACKING("a") " );", "mount" },
		{ "backings = ( " BACKING("a") ", " BACKING(
			  "a") " );"
			       "mount = { path = \"/m\"; entries = ( " ENTRY("/", "a") " ); };",
		  "two backing stores are called 'a'" },
		{ "backings = ( " BACKING("a") ", " BACKING(
			  "b") " );"
			       "mount = { path = \"/m\"; entries = ( " ENTRY("/", "c") " ); };",
		  "names the backing store 'c', which 'backings' does not have (it has: a, b)" },
		{ "node = { run_dir = \"run\"; };"
		  "backings = ( " BACKING("a") " );"
					       "mount = { path = \"/m\"; entries = ( " ENTRY(
						       "/", "a") " ); };",
		  "'run' is not absolute" },
		{ "peers = { lease = \"9 s\"; }; fabric = { read_timeout = \"5 s\"; };"
		  "backings = ( " BACKING("a") " );"
					       "mount = { path = \"/m\"; entries = ( " ENTRY(
						       "/", "a") " ); };",
		  "'peers.lease' is less than twice fabric.read_timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[SETTINGS_PROBLEM_MAX] = "";
		struct settings settings;

		assert_int_equal(config_load_text(rows[i].text, "test", &settings_options,
						  &settings, problem, sizeof(problem)),
				 -EINVAL);
		if (!strstr(problem, rows[i].problem))
			fail_msg("row %zu: %s", i, problem);
	}
}

static void test_backing_find__of_several__by_id(void **state)
{
	char problem[SETTINGS_PROBLEM_MAX];
	struct settings settings;

	(void)state;
	if (config_load_text(
		    "backings = ( " BACKING("a") ", " BACKING(
			    "b") " );"
				 "mount = { path = \"/m\"; entries = ( " ENTRY("/", "b") " ); };",
		    "test", &settings_options, &settings, problem, sizeof(problem)) != 0)
		fail_msg("%s", problem);
	assert_ptr_equal(settings_backing_find(&settings, "a"), settings_backing(&settings, 0));
	assert_ptr_equal(settings_backing_find(&settings, "b"), settings_backing(&settings, 1));
	assert_null(settings_backing_find(&settings, "c"));
	assert_string_equal(settings_mount_entry(&settings, 0)->backing, "b");
	settings_free(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load__example_configuration__is_valid),
		cmocka_unit_test(test_load__configuration_of_the_readme__is_valid),
		cmocka_unit_test(test_load__parts_that_do_not_fit__says_which),
		cmocka_unit_test(test_backing_find__of_several__by_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

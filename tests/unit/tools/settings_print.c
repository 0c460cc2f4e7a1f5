/*
 * Tests of tools/settings_print.h.
 */
#include "tools/settings_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/config.h"
#include "base/clock.h"

struct leaf {
	char *name;
	char *secret;
	uint64_t time;
};

struct root {
	bool on;
	int64_t number;
	uint64_t size;
	uint32_t mode;
	int color;
	struct option_strings words;
	struct leaf inner;
	struct option_structs leaves;
};

static const char *const colors[] = { "red", "green", NULL };
static const struct option leaf_table[] = {
	OPTION(struct leaf, name, OPTION_STRING, .help = "h"),
	OPTION(struct leaf, secret, OPTION_STRING, .flags = OPTION_SECRET, .help = "h"),
	OPTION(struct leaf, time, OPTION_DURATION, .default_text = "200 ms", .help = "h"),
};
static const struct option_group leaf_options = OPTION_GROUP_OF("leaf", struct leaf, leaf_table);
static const struct option root_table[] = {
	OPTION(struct root, on, OPTION_BOOL, .default_text = "true", .help = "h"),
	OPTION(struct root, number, OPTION_INT, .default_text = "-1", .help = "h"),
	OPTION(struct root, size, OPTION_BYTES, .default_text = "4 GiB", .help = "h"),
	OPTION(struct root, mode, OPTION_MODE, .default_text = "0644", .help = "h"),
	OPTION(struct root, color, OPTION_CHOICE, .choices = colors, .default_text = "green",
	       .help = "h"),
	OPTION(struct root, words, OPTION_STRINGS, .help = "h"),
	OPTION(struct root, inner, OPTION_STRUCT, .group = &leaf_options, .help = "h"),
	OPTION(struct root, leaves, OPTION_STRUCTS, .group = &leaf_options, .help = "h"),
};
static const struct option_group root_options = OPTION_GROUP_OF("root", struct root, root_table);

static void load(const char *text, struct root *out)
{
	char problem[OPTION_PROBLEM_MAX];

	if (config_load_text(text, "test", &root_options, out, problem, sizeof(problem)) != 0)
		fail_msg("%s\n%s", problem, text);
}

/* Return: heap memory */
static char *print(const struct root *root)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	settings_print(&root_options, root, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_print__any_configuration__parses_to_the_same(void **state)
{
	static const char *const rows[] = {
		"",
		"on = false; number = 1234567890123L; size = 1000;",
		"mode = \"0400\"; color = \"red\";",
		"words = [ \"a b\", \"q\\\"q\", \"back\\\\slash\", \"tab\\tx\" ];",
		"inner = { name = \"x\\ny\"; time = \"1500 us\"; };",
		"leaves = ( { name = \"1\"; }, { name = \"\"; time = \"0\"; } );",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct root root, again;
		char *text;

		load(rows[i], &root);
		text = print(&root);
		load(text, &again);
		for (size_t j = 0; j < ARRAY_COUNT(root_table); j++)
			if (root_table[j].type != OPTION_STRUCTS &&
			    !option_equal(&root_table[j], &root, &again))
				fail_msg("%s: %s\n%s", rows[i], root_table[j].name, text);
		assert_int_equal(root.leaves.count, again.leaves.count);
		free(text);
		option_free(&root_options, &root);
		option_free(&root_options, &again);
	}
}

static void test_print__secrets__are_left_out(void **state)
{
	struct root root;
	char *text;

	(void)state;
	load("inner = { secret = \"hunter2\"; }; leaves = ( { secret = \"hunter3\"; } );", &root);
	text = print(&root);
	assert_null(strstr(text, "hunter"));
	assert_non_null(strstr(text, "# secret is set (secret)"));
	assert_non_null(strstr(text, "# name is not set"));
	free(text);
	option_free(&root_options, &root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print__any_configuration__parses_to_the_same),
		cmocka_unit_test(test_print__secrets__are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of backing.c: what a configuration must name.
 */
#include "cache/backing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/config.h"

static int load(const char *text, struct backing_config **out_config, char *problem, size_t size)
{
	struct backing_config *config = calloc(1, backing_options.size);
	int error = config_load_text(text, "test", &backing_options, config, problem, size);

	if (error)
		free(config);
	*out_config = error ? NULL : config;
	return error;
}

static void unload(struct backing_config *config)
{
	option_free(&backing_options, config);
	free(config);
}

static void test_config__that_cannot_work__is_refused_by_name(void **state)
{
	static const struct {
		const char *text, *named;
	} rows[] = {
		{ "type = \"directory\"; directory = \"/\";", "id" },
		{ "id = \"\"; directory = \"/\";", "id" },
		{ "id = \"a/b\"; directory = \"/\";", "a/b" },
		{ "id = \".catalog\"; directory = \"/\";", "in front" },
		{ "id = \"a\"; type = \"directory\";", "directory" },
		{ "id = \"a\"; directory = \"data\";", "absolute" },
		{ "id = \"a\"; type = \"s3\";", "endpoint" },
		{ "id = \"a\"; type = \"ftp\";", "type" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct backing_config *config;
		char problem[256] = "";

		assert_int_equal(load(rows[i].text, &config, problem, sizeof(problem)), -EINVAL);
		if (!strstr(problem, rows[i].named))
			fail_msg("\"%s\" does not name %s", problem, rows[i].named);
	}
}

static void test_create__of_each_kind__describes_itself(void **state)
{
	static const struct {
		const char *text, *described;
	} rows[] = {
		{ "id = \"disk\"; directory = \"/tmp\";", "directory /tmp" },
		{ "id = \"cloud\"; type = \"s3\"; s3 = { endpoint = \"http://127.0.0.1:1\";"
		  " credentials = { source = \"anonymous\"; }; };",
		  "s3 http://127.0.0.1:1" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct backing_config *config;
		struct backing *backing = NULL;
		char problem[256] = "", text[256] = "";

		if (load(rows[i].text, &config, problem, sizeof(problem)) ||
		    backing_create(config, clock_system(), &backing, problem, sizeof(problem)))
			fail_msg("%s", problem);
		CHECK(backing);
		assert_string_equal(backing->id, backing_config_id(config));
		backing_describe(backing, text, sizeof(text));
		if (strncmp(text, rows[i].described, strlen(rows[i].described)) != 0)
			fail_msg("%s", text);
		backing_reload(backing, config);
		(void)backing_counters(backing);
		backing_destroy(backing);
		unload(config);
	}
}

static void test_create__directory_is_not_there__says_which(void **state)
{
	struct backing_config *config;
	struct backing *backing = NULL;
	char problem[256] = "";

	(void)state;
	assert_int_equal(load("id = \"a\"; directory = \"/nowhere/at/all\";", &config, problem,
			      sizeof(problem)),
			 0);
	assert_int_equal(backing_create(config, clock_system(), &backing, problem, sizeof(problem)),
			 -ENOENT);
	assert_non_null(strstr(problem, "/nowhere/at/all"));
	assert_null(backing);
	unload(config);
	backing_destroy(NULL);
}

static void test_memory_max__of_each_kind__counts_buffers(void **state)
{
	struct backing_config *config;
	char problem[256] = "";

	(void)state;
	assert_int_equal(
		load("id = \"a\"; directory = \"/tmp\";", &config, problem, sizeof(problem)), 0);
	assert_int_equal(backing_config_memory_max(config), 0);
	unload(config);
	assert_int_equal(load("id = \"a\"; type = \"s3\"; s3 = { endpoint = \"http://h\"; };",
			      &config, problem, sizeof(problem)),
			 0);
	assert_true(backing_config_memory_max(config) > 0);
	unload(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config__that_cannot_work__is_refused_by_name),
		cmocka_unit_test(test_create__of_each_kind__describes_itself),
		cmocka_unit_test(test_create__directory_is_not_there__says_which),
		cmocka_unit_test(test_memory_max__of_each_kind__counts_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

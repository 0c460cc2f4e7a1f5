/*
 * Tests of the mount's options.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/config.h"
#include "fuse/mount.h"

static void test_load__the_least__has_sensible_defaults(void **state)
{
	const char *text = "path = \"/mnt\"; entries = ( { backing = \"b\"; } );";
	struct mount_config config;
	const struct mount_entry_config *entry;
	char problem[256] = "";

	(void)state;
	assert_int_equal(
		config_load_text(text, "t", &mount_options, &config, problem, sizeof(problem)), 0);
	assert_int_equal(config.entries.count, 1);
	entry = config.entries.items;
	assert_string_equal(entry->path, "/");
	assert_string_equal(entry->bucket, "");
	assert_string_equal(entry->prefix, "");
	assert_int_equal(entry->uid, -1);
	assert_int_equal(entry->file_mode, 0444);
	assert_int_equal(entry->directory_mode, 0555);
	assert_int_equal(entry->negative_timeout, 5 * NS_PER_S);
	assert_int_equal(entry->entry_timeout, 60 * NS_PER_S);
	assert_int_equal(config.threads, 4);
	assert_int_equal(config.hang_after, 10 * NS_PER_S);
	assert_true(config.max_background >= 64);
	option_free(&mount_options, &config);
}

static void test_load__nonsense__is_named(void **state)
{
	static const struct {
		const char *entries, *problem;
	} rows[] = {
		{ "( )", "entries" },
		{ "( { path = \"/a\"; } )", "backing" },
		{ "( { backing = \"\"; } )", "backing" },
		{ "( { backing = \"b\"; path = \"a\"; } )", "must begin with a slash" },
		{ "( { backing = \"b\"; path = \"/a/\"; } )", "must not end with a slash" },
		{ "( { backing = \"b\"; path = \"/a/../b\"; } )", "'/a/../b'" },
		{ "( { backing = \"b\"; prefix = \"train\"; } )", "must end with a slash" },
		{ "( { backing = \"b\"; file_mode = \"01777\"; } )", "0777" },
		{ "( { backing = \"b\"; kind = \"tiny\"; } )", "small-files" },
		{ "( { backing = \"b\"; path = \"/a\"; }, { backing = \"b\"; path = \"/a/b\"; } )",
		  "'/a' and '/a/b'" },
		{ "( { backing = \"b\"; }, { backing = \"b\"; path = \"/x\"; } )", "'/' and '/x'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mount_config config;
		char text[512], problem[512] = "";

		snprintf(text, sizeof(text), "path = \"/mnt\"; entries = %s;", rows[i].entries);
		assert_int_equal(config_load_text(text, "t", &mount_options, &config, problem,
						  sizeof(problem)),
				 -EINVAL);
		if (!strstr(problem, rows[i].problem))
			fail_msg("row %zu: %s", i, problem);
	}
}

/* Return: as config_load_text(), of @count small-files entries and one at "/ordinary". */
static int load_parts(unsigned count, struct mount_config *config, char *problem,
		      size_t problem_size)
{
	char text[1024] = "path = \"/mnt\"; entries = ( { backing = \"b\"; path = \"/ordinary\"; }";
	size_t len = strlen(text);

	for (unsigned i = 0; i < count; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len,
			", { backing = \"b\"; path = \"/%u\"; kind = \"small-files\"; }", i);
	snprintf(text + len, sizeof(text) - len, " );");
	return config_load_text(text, "t", &mount_options, config, problem, problem_size);
}

static void test_parts__as_many_as_may_be__are_found(void **state)
{
	const struct mount_entry_config *parts[MOUNT_PARTS_MAX];
	struct mount_config config;
	char problem[512] = "";

	(void)state;
	assert_int_equal(load_parts(MOUNT_PARTS_MAX, &config, problem, sizeof(problem)), 0);
	assert_int_equal(mount_config_parts(&config, parts), MOUNT_PARTS_MAX);
	assert_string_equal(parts[0]->path, "/0");
	assert_string_equal(parts[MOUNT_PARTS_MAX - 1]->path, "/7");
	assert_string_equal(mount_kind_name(parts[0]->kind), "small-files");
	option_free(&mount_options, &config);
}

static void test_parts__one_too_many__is_refused(void **state)
{
	struct mount_config config;
	char problem[512] = "";

	(void)state;
	assert_int_equal(load_parts(MOUNT_PARTS_MAX + 1, &config, problem, sizeof(problem)),
			 -EINVAL);
	assert_non_null(strstr(problem, "at most 8"));
}

static void test_parts__the_whole_is_of_small_files__has_none(void **state)
{
	const char *text =
		"path = \"/mnt\"; entries = ( { backing = \"b\"; kind = \"small-files\"; } );";
	const struct mount_entry_config *parts[MOUNT_PARTS_MAX];
	struct mount_config config;
	char problem[512] = "";

	(void)state;
	assert_int_equal(
		config_load_text(text, "t", &mount_options, &config, problem, sizeof(problem)), 0);
	assert_int_equal(mount_config_parts(&config, parts), 0);
	option_free(&mount_options, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load__the_least__has_sensible_defaults),
		cmocka_unit_test(test_load__nonsense__is_named),
		cmocka_unit_test(test_parts__as_many_as_may_be__are_found),
		cmocka_unit_test(test_parts__one_too_many__is_refused),
		cmocka_unit_test(test_parts__the_whole_is_of_small_files__has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of config.h: every type from a file, every refusal with its place, nothing half done.
 */
#include "base/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

struct limits {
	uint64_t rate;
};

struct entry {
	char *path, *bucket;
	struct limits limits;
};

struct credentials {
	char *key_id, *secret;
};

struct config {
	char *name;
	bool flag;
	int64_t threads;
	uint64_t memory, timeout;
	uint32_t mode;
	int level;
	struct option_strings directories;
	struct option_structs mount;
	struct credentials credentials;
};

static const char *const levels[] = { "error", "info", "debug", NULL };

static const struct option limits_options[] = {
	OPTION(struct limits, rate, OPTION_BYTES, .default_text = "1 MiB"),
};
static const struct option_group limits_group =
	OPTION_GROUP_OF("limits", struct limits, limits_options);

static const struct option entry_options[] = {
	OPTION(struct entry, path, OPTION_STRING, .default_text = "/"),
	OPTION(struct entry, bucket, OPTION_STRING, .flags = OPTION_REQUIRED),
	OPTION(struct entry, limits, OPTION_STRUCT, .group = &limits_group),
};

static int validate_entry(const void *value, char *problem, size_t problem_size)
{
	const struct entry *entry = value;

	if (entry->path[0] == '/')
		return 0;
	return option_problem(problem, problem_size, "path '%s' must start with /", entry->path);
}

static const struct option_group entry_group = {
	.name = "entry",
	.size = sizeof(struct entry),
	.options = entry_options,
	.count = ARRAY_COUNT(entry_options),
	.validate = validate_entry,
};

static const struct option credentials_options[] = {
	OPTION(struct credentials, key_id, OPTION_STRING, .flags = OPTION_REQUIRED),
	OPTION(struct credentials, secret, OPTION_STRING, .flags = OPTION_REQUIRED | OPTION_SECRET,
	       .min = 4, .max = 8),
};
static const struct option_group credentials_group =
	OPTION_GROUP_OF("credentials", struct credentials, credentials_options);

static const struct option config_options[] = {
	OPTION(struct config, name, OPTION_STRING, .flags = OPTION_REQUIRED),
	OPTION(struct config, flag, OPTION_BOOL),
	OPTION(struct config, threads, OPTION_INT, .min = 1, .max = 64, .default_text = "2"),
	OPTION(struct config, memory, OPTION_BYTES, .default_text = "4 KiB"),
	OPTION(struct config, timeout, OPTION_DURATION, .default_text = "30 s"),
	OPTION(struct config, mode, OPTION_MODE, .default_text = "0644"),
	OPTION(struct config, level, OPTION_CHOICE, .choices = levels, .default_text = "info"),
	OPTION(struct config, directories, OPTION_STRINGS, .default_text = "/ssd", .min = 1,
	       .max = 3),
	OPTION(struct config, mount, OPTION_STRUCTS, .group = &entry_group, .max = 4),
	OPTION(struct config, credentials, OPTION_STRUCT, .group = &credentials_group),
};

static int validate_config(const void *value, char *problem, size_t problem_size)
{
	const struct config *config = value;

	if (strcmp(config->name, "out of memory") == 0)
		return -ENOMEM;
	if (config->memory >= 1 << 10)
		return 0;
	return option_problem(problem, problem_size, "memory is too small for anything");
}

static const struct option_group config_group = {
	.name = "config",
	.size = sizeof(struct config),
	.options = config_options,
	.count = ARRAY_COUNT(config_options),
	.validate = validate_config,
};

static char problem[OPTION_PROBLEM_MAX];

static int load(const char *text, struct config *config)
{
	problem[0] = 0;
	return config_load_text(text, "f.conf", &config_group, config, problem, sizeof(problem));
}

static void test_config_load_text__the_least__has_the_defaults(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(load("name = \"x\"", &config), 0);
	assert_string_equal(config.name, "x");
	assert_false(config.flag);
	assert_int_equal(config.threads, 2);
	assert_int_equal(config.memory, 4096);
	assert_int_equal(config.level, 1);
	assert_int_equal(config.directories.count, 1);
	assert_string_equal(config.directories.items[0], "/ssd");
	assert_int_equal(config.mount.count, 0);
	assert_null(config.credentials.key_id);
	option_free(&config_group, &config);
}

static void test_config_load_text__everything__is_read(void **state)
{
	static const char text[] =
		"# a comment\n"
		"name = \"two \" \"parts\";\n"
		"flag : true\n"
		"threads = 64; memory = 5000000000;\n"
		"timeout = \"200 ms\"; mode = \"0755\"; level = \"debug\";\n"
		"directories = [ \"/a\", \"/b\" ];\n"
		"mount = (\n"
		"  { bucket = \"one\"; },\n"
		"  { path = \"/two\"; bucket = \"two\"; limits = { rate = \"2 MiB\" } }\n"
		");\n"
		"credentials = { key_id = \"id\"; secret = \"hunter2\"; };\n";
	const struct entry *entries;
	struct config config;

	(void)state;
	assert_int_equal(load(text, &config), 0);
	assert_string_equal(config.name, "two parts");
	assert_true(config.flag);
	assert_int_equal(config.threads, 64);
	assert_int_equal(config.memory, INT64_C(5000000000));
	assert_int_equal(config.timeout, 200000000);
	assert_int_equal(config.mode, 0755);
	assert_int_equal(config.level, 2);
	assert_int_equal(config.directories.count, 2);
	assert_string_equal(config.directories.items[1], "/b");
	assert_int_equal(config.mount.count, 2);
	entries = config.mount.items;
	assert_string_equal(entries[0].path, "/");
	assert_string_equal(entries[0].bucket, "one");
	assert_int_equal(entries[0].limits.rate, 1 << 20);
	assert_string_equal(entries[1].path, "/two");
	assert_int_equal(entries[1].limits.rate, 2 << 20);
	assert_string_equal(config.credentials.secret, "hunter2");
	option_free(&config_group, &config);
}

/* One setting beside the name; the option's value as text. */
static void test_config_load_text__one_value_in_each_form__is_taken(void **state)
{
	static const struct {
		const char *setting, *option, *value;
	} rows[] = {
		{ "flag = TRUE", "flag", "true" },
		{ "flag = \"on\"", "flag", "true" },
		{ "threads = \"7\"", "threads", "7" },
		{ "threads = 0x10", "threads", "16" },
		{ "memory = 4096", "memory", "4 KiB" },
		{ "memory = \"64KiB\"", "memory", "64 KiB" },
		{ "memory = 1099511627776L", "memory", "1 TiB" },
		{ "timeout = 0", "timeout", "0" },
		{ "timeout = \"5 min\"", "timeout", "5 min" },
		{ "directories = \"/one\"", "directories", "/one" },
		{ "directories = [\"/one\"]", "directories", "/one" },
		{ "directories = (\"/one\", \"/two\")", "directories", "/one, /two" },
		{ "mount = ()", "mount", "(0 groups)" },
		{ "mount = ({bucket=\"a\"})", "mount", "(1 group)" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char text[200], value[200];
		struct config config;

		snprintf(text, sizeof(text), "name = \"x\"; %s;", rows[i].setting);
		assert_int_equal(load(text, &config), 0);
		option_value_text(option_find(&config_group, rows[i].option), &config, value,
				  sizeof(value));
		assert_string_equal(value, rows[i].value);
		option_free(&config_group, &config);
	}
}

#define N      "name = \"x\";\n"
#define SYNTAX "syntax error here or just before; texts, sizes and durations stand in double quotes"
#define NO_SIZE                                                                                    \
	" is not a size: a whole number of bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, "   \
	"GB or TB"
#define NO_UNIT " has no unit: a duration is a number with ns, us, ms, s, min, h or d"

static const struct {
	const char *text, *problem;
} mistakes[] = {
	{ "", "f.conf: setting 'name' is missing: text" },
	{ "name = ", "f.conf:1: " SYNTAX },
	{ N "memory = 4 GiB\n", "f.conf:2: " SYNTAX },
	{ N "}", "f.conf:2: " SYNTAX },
	{ N N, "f.conf:2: duplicate setting name" },
	{ N "directories = [ \"a\", 1 ]", "f.conf:2: mismatched element type in array" },
	{ N "threads = 99999999999999999999",
	  "f.conf:2: the number 99999999999999999999 is too large" },
	{ N "\nthreds = 1", "f.conf:3: setting 'threds': unknown; did you mean threads?" },
	{ N "whatever = { }", "f.conf:2: group 'whatever': unknown" },
	{ N "mount = ({bucket = \"a\";\nbuket = \"b\"})",
	  "f.conf:3: setting 'mount[0].buket': unknown; did you mean bucket?" },
	{ "name = 5", "f.conf:1: setting 'name': is a whole number; accepted: text" },
	{ "name = 5.5", "f.conf:1: setting 'name': is a decimal number; accepted: text" },
	{ "name = true", "f.conf:1: setting 'name': is true or false; accepted: text" },
	{ "name = { }", "f.conf:1: group 'name': is a group { ... }; accepted: text" },
	{ "name = ( )", "f.conf:1: setting 'name': is a list ( ... ); accepted: text" },
	{ "name = [ ]", "f.conf:1: setting 'name': is an array [ ... ]; accepted: text" },
	{ N "flag = 1", "f.conf:2: setting 'flag': is a whole number; accepted: true or false" },
	{ N "flag = \"maybe\"",
	  "f.conf:2: setting 'flag': 'maybe' is not true or false (also yes, no, on, off)" },
	{ N "threads = 65",
	  "f.conf:2: setting 'threads': '65' is out of range: whole number from 1 to 64" },
	{ N "threads = -1",
	  "f.conf:2: setting 'threads': '-1' is out of range: whole number from 1 to 64" },
	{ N "threads = 1.5", "f.conf:2: setting 'threads': is a decimal number; accepted: whole "
			     "number from 1 to 64" },
	{ N "threads = \"many\"", "f.conf:2: setting 'threads': 'many' is not a whole number" },
	{ N "memory = \"12 parsecs\"", "f.conf:2: setting 'memory': '12 parsecs'" NO_SIZE },
	{ N "memory = -1", "f.conf:2: setting 'memory': '-1'" NO_SIZE },
	{ N "memory = \"99 EiB\"", "f.conf:2: setting 'memory': '99 EiB' is too large" },
	{ N "timeout = 30", "f.conf:2: setting 'timeout': '30'" NO_UNIT },
	{ N "timeout = \"30\"", "f.conf:2: setting 'timeout': '30'" NO_UNIT },
	{ N "mode = 0644",
	  "f.conf:2: setting 'mode': is a number, which libconfig reads as a decimal one; write "
	  "the octal mode in quotes: \"0644\"" },
	{ N "mode = \"rwx\"",
	  "f.conf:2: setting 'mode': 'rwx' is not a file mode: octal digits such as 0644" },
	{ N "level = \"inof\"", "f.conf:2: setting 'level': 'inof' is not one of error, info, "
				"debug; did you mean info?" },
	{ N "level = 3",
	  "f.conf:2: setting 'level': is a whole number; accepted: one of error, info, debug" },
	{ N "directories = 3", "f.conf:2: setting 'directories': is a whole number; accepted: "
			       "list of texts from 1 to 3 of them" },
	{ N "directories = [ ]",
	  "f.conf:2: setting 'directories': 0 given: list of texts from 1 to 3 of them" },
	{ N "directories = (\"a\", \"b\", \"c\", \"d\")",
	  "f.conf:2: setting 'directories': 4 given: list of texts from 1 to 3 of them" },
	{ N "directories = (\"a\",\n5)",
	  "f.conf:3: setting 'directories[1]': is a whole number; accepted: list of texts from 1 "
	  "to 3 of them" },
	{ N "mount = { bucket = \"a\" }", "f.conf:2: group 'mount': is a group { ... }; accepted: "
					  "list of groups ( { ... }, ... ) from 0 to 4 of them" },
	{ N "mount = ( { bucket = \"a\" },\n \"b\" )",
	  "f.conf:3: setting 'mount[1]': is a text; accepted: a group { ... }" },
	{ N "mount = ( { bucket = \"a\" },\n { path = \"/b\" } )",
	  "f.conf:3: group 'mount[1]': setting 'bucket' is missing: text" },
	{ N "mount = ({bucket=\"a\"}, {bucket=\"a\"}, {bucket=\"a\"}, {bucket=\"a\"}, "
	    "{bucket=\"a\"})",
	  "f.conf:2: setting 'mount': 5 given: list of groups ( { ... }, ... ) from 0 to 4 of "
	  "them" },
	{ N "mount = ( { bucket = \"a\"; limits = { rate = 1.5 } } )",
	  "f.conf:2: setting 'mount[0].limits.rate': is a decimal number; accepted: size" },
	{ N "mount = ( { bucket = \"a\"; limits = 5 } )",
	  "f.conf:2: setting 'mount[0].limits': is a whole number; accepted: group { ... }" },
	{ N "mount = ( { bucket = \"a\"; path = \"b\" } )",
	  "f.conf:2: group 'mount[0]': path 'b' must start with /" },
	{ N "memory = 5", "f.conf: memory is too small for anything" },
	{ N "credentials = { key_id = \"a\" }",
	  "f.conf:2: group 'credentials': setting 'secret' is missing: text from 4 to 8 bytes" },
	{ N "credentials = { key_id = \"a\"; secret = \"hunter2hunter2\" }",
	  "f.conf:2: setting 'credentials.secret': the value (secret) is out of range: text from "
	  "4 to 8 bytes" },
};

static void test_config_load_text__each_mistake__names_its_place(void **state)
{
	struct config config, before;

	(void)state;
	memset(&config, 0xee, sizeof(config));
	memcpy(&before, &config, sizeof(config));
	for (unsigned i = 0; i < ARRAY_COUNT(mistakes); i++) {
		int error = load(mistakes[i].text, &config);

		assert_string_equal(problem, mistakes[i].problem);
		assert_int_equal(error, -EINVAL);
		assert_memory_equal(&config, &before, sizeof(config));
	}
}

static void test_config_load_text__validate_has_no_memory__is_passed_on(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(load("name = \"out of memory\"", &config), -ENOMEM);
}

static void test_config_load_text__a_very_long_name__is_cut_in_the_message(void **state)
{
	char text[1000];
	struct config config;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + 500, " = 5;", 6);
	assert_int_equal(load(text, &config), -EINVAL);
	assert_non_null(strstr(problem, "xxx...': unknown"));
	assert_true(strlen(problem) < 200);
}

static void test_config_load_text__deep_nesting__is_refused(void **state)
{
	char *text = malloc(200001);
	struct config config;

	(void)state;
	assert_non_null(text);
	memset(text, '(', 200000);
	memcpy(text, "a = ", 4);
	text[200000] = 0;
	assert_int_equal(load(text, &config), -EINVAL);
	free(text);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_config_load__a_file_with_an_include__names_the_right_one(void **state)
{
	char folder[] = "/tmp/config.XXXXXX", path[64], included[64], wanted[128];
	struct config config;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/main.conf", folder);
	snprintf(included, sizeof(included), "%s/secret.conf", folder);
	write_file(path, "name = \"x\";\n@include \"secret.conf\"\nthreads = 3;\nflag = 5;\n");
	write_file(included, "credentials = {\n key_id = \"i\";\n secret = \"12345\";\n};\n");
	assert_int_equal(config_load(path, &config_group, &config, problem, sizeof(problem)),
			 -EINVAL);
	snprintf(wanted, sizeof(wanted), "%s:4: setting 'flag': ", path);
	assert_ptr_equal(strstr(problem, wanted), problem);
	write_file(path, "name = \"x\";\n@include \"secret.conf\"\nthreads = 3;\n");
	assert_int_equal(config_load(path, &config_group, &config, problem, sizeof(problem)), 0);
	assert_int_equal(config.threads, 3);
	assert_string_equal(config.credentials.secret, "12345");
	option_free(&config_group, &config);
	write_file(included, "credentials = {\n key_id = \"i\";\n secret = 5;\n};\n");
	assert_int_equal(config_load(path, &config_group, &config, problem, sizeof(problem)),
			 -EINVAL);
	snprintf(wanted, sizeof(wanted), "%s:3: setting 'credentials.secret': ", included);
	assert_ptr_equal(strstr(problem, wanted), problem);
	write_file(included, "credentials = }\n");
	assert_int_equal(config_load(path, &config_group, &config, problem, sizeof(problem)),
			 -EINVAL);
	snprintf(wanted, sizeof(wanted), "%s:1: syntax error", included);
	assert_ptr_equal(strstr(problem, wanted), problem);
	unlink(path);
	unlink(included);
	rmdir(folder);
	assert_int_equal(config_load(path, &config_group, &config, problem, sizeof(problem)),
			 -ENOENT);
	snprintf(wanted, sizeof(wanted), "cannot read %s: No such file or directory (ENOENT)",
		 path);
	assert_string_equal(problem, wanted);
}

static void test_config_load_part__others_settings__are_not_looked_at(void **state)
{
	char folder[] = "/tmp/config.XXXXXX", path[64];
	struct credentials credentials;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/main.conf", folder);
	write_file(path, "name = 5;\nmount = ( { anything = 1; } );\nsecret = \"12345\";\n"
			 "key_id = \"i\";\n");
	assert_int_equal(
		config_load_part(path, &credentials_group, &credentials, problem, sizeof(problem)),
		0);
	assert_string_equal(credentials.key_id, "i");
	option_free(&credentials_group, &credentials);
	/* its own are as ever */
	write_file(path, "name = 5;\nsecret = 5;\nkey_id = \"i\";\n");
	assert_int_equal(
		config_load_part(path, &credentials_group, &credentials, problem, sizeof(problem)),
		-EINVAL);
	assert_non_null(strstr(problem, ":2: setting 'secret': "));
	write_file(path, "name = \n");
	assert_int_equal(
		config_load_part(path, &credentials_group, &credentials, problem, sizeof(problem)),
		-EINVAL);
	unlink(path);
	rmdir(folder);
}

static void test_config_load_text__each_allocation_fails__leaks_nothing(void **state)
{
	static const char text[] = "name = \"x\"; directories = [\"a\", \"b\"];\n"
				   "mount = ({bucket = \"a\"; path = \"/p\"}, {bucket = \"b\"});\n"
				   "credentials = { key_id = \"a\"; secret = \"12345\" };\n";
	struct config config, before;
	unsigned n;

	(void)state;
	memset(&config, 0xee, sizeof(config));
	memcpy(&before, &config, sizeof(config));
	for (n = 1;; n++) {
		int error;

		allocation_fault_arm(n);
		error = load(text, &config);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_memory_equal(&config, &before, sizeof(config));
	}
	assert_true(n > 15);
	option_free(&config_group, &config);
}

/* Every prefix of a good file loads or is refused with a text; none crashes or leaks. */
static void test_config_load_text__every_prefix__loads_or_says_why(void **state)
{
	static const char text[] =
		"name = \"x\"; flag = true; threads = 5L; memory = \"4 KiB\"; /* c */ # d\n"
		"mount = ({bucket = \"a\"; limits : { rate = 0x10 }}, {bucket = \"b\"});\n"
		"credentials = { key_id = \"a\"; secret = \"12345\" };\n";
	char prefix[sizeof(text)];
	struct config config;

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		int error;

		memcpy(prefix, text, len);
		prefix[len] = 0;
		error = load(prefix, &config);
		if (!error)
			option_free(&config_group, &config);
		else
			assert_true(error == -EINVAL && problem[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_load_text__the_least__has_the_defaults),
		cmocka_unit_test(test_config_load_text__everything__is_read),
		cmocka_unit_test(test_config_load_text__one_value_in_each_form__is_taken),
		cmocka_unit_test(test_config_load_text__each_mistake__names_its_place),
		cmocka_unit_test(test_config_load_text__validate_has_no_memory__is_passed_on),
		cmocka_unit_test(test_config_load_text__a_very_long_name__is_cut_in_the_message),
		cmocka_unit_test(test_config_load_text__deep_nesting__is_refused),
		cmocka_unit_test(test_config_load__a_file_with_an_include__names_the_right_one),
		cmocka_unit_test(test_config_load_part__others_settings__are_not_looked_at),
		cmocka_unit_test(test_config_load_text__each_allocation_fails__leaks_nothing),
		cmocka_unit_test(test_config_load_text__every_prefix__loads_or_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

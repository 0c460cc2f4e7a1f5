/*
 * Tests of the printers: --help, both man forms, completion.
 */
#include "base/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct entry {
	char *bucket;
};

struct cache {
	uint64_t memory;
	struct option_structs entries;
};

struct command {
	char *config_file;
	bool force, colour;
	int level;
	char *secret_key;
	char *very_long_name_of_an_option;
	struct cache cache;
};

static const char *const levels[] = { "error", "debug", NULL };

static const struct option entry_options[] = {
	OPTION(struct entry, bucket, OPTION_STRING, .flags = OPTION_REQUIRED,
	       .help = "The bucket's name"),
};
static const struct option_group entry_group =
	OPTION_GROUP_OF("entry", struct entry, entry_options);

static const struct option cache_options[] = {
	OPTION(struct cache, memory, OPTION_BYTES, .default_text = "4 GiB", .min = 1 << 20,
	       .flags = OPTION_LIVE, .help = "Memory for blocks."),
	OPTION(struct cache, entries, OPTION_STRUCTS, .group = &entry_group,
	       .help = "What is cached."),
};
static const struct option_group cache_group =
	OPTION_GROUP_OF("cache", struct cache, cache_options);

static const struct option command_options[] = {
	OPTION(struct command, config_file, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .flags = OPTION_REQUIRED, .help = "File to read; see cenote.conf(5)"),
	OPTION(struct command, force, OPTION_BOOL, .letter = 'f', .help = "Go on."),
	OPTION(struct command, colour, OPTION_BOOL, .default_text = "true",
	       .help = "Colours in the table, of which there are many, so that this line has to "
		       "be broken in two or even three to stay within the width of a terminal."),
	OPTION(struct command, level, OPTION_CHOICE, .choices = levels, .default_text = "debug",
	       .help = "How much is said"),
	OPTION(struct command, secret_key, OPTION_STRING, .flags = OPTION_SECRET,
	       .default_text = "hunter2", .help = "Never shown."),
	OPTION(struct command, very_long_name_of_an_option, OPTION_STRING,
	       .help = ".starts with a dot, has a \\ and a -dash\n'quote"),
	OPTION(struct command, cache, OPTION_STRUCT, .group = &cache_group, .help = "The cache."),
};
static const struct option_group command_group =
	OPTION_GROUP_OF("command", struct command, command_options);

static void check_printed(void (*print)(const struct option_group *group, FILE *out),
			  const char *wanted)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(&command_group, out);
	fclose(out);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_option_print_help__all_kinds__is_wrapped_in_columns(void **state)
{
	(void)state;
	check_printed(
		option_print_help,
		"Options:\n"
		"  -c, --config-file=FILE      File to read; see cenote.conf(5) (required)\n"
		"  -f, --force                 Go on.\n"
		"      --[no-]colour           Colours in the table, of which there are many, so\n"
		"                              that this line has to be broken in two or even\n"
		"                              three to stay within the width of a terminal.\n"
		"      --level=WORD            How much is said (one of error, debug; default:\n"
		"                              debug)\n"
		"      --secret-key=TEXT       Never shown.\n"
		"      --very-long-name-of-an-option=TEXT\n"
		"                              .starts with a dot, has a \\ and a -dash 'quote\n"
		"      --cache.memory=SIZE     Memory for blocks. (default: 4 GiB)\n");
}

static void test_option_print_man__all_kinds__is_correct_roff(void **state)
{
	(void)state;
	check_printed(option_print_man,
		      ".TP\n"
		      "\\fB\\-c\\fR, \\fB\\-\\-config\\-file\\fR=\\fIFILE\\fR\n"
		      "File to read; see cenote.conf(5).\n"
		      "Required.\n"
		      ".TP\n"
		      "\\fB\\-f\\fR, \\fB\\-\\-force\\fR\n"
		      "Go on.\n"
		      ".TP\n"
		      "\\fB\\-\\-[no\\-]colour\\fR\n"
		      "Colours in the table, of which there are many, so that this line has to be "
		      "broken in two or even three to stay within the width of a terminal.\n"
		      "Default: true.\n"
		      ".TP\n"
		      "\\fB\\-\\-level\\fR=\\fIWORD\\fR\n"
		      "How much is said.\n"
		      "A value is: one of error, debug.\n"
		      "Default: debug.\n"
		      ".TP\n"
		      "\\fB\\-\\-secret\\-key\\fR=\\fITEXT\\fR\n"
		      "Never shown.\n"
		      ".TP\n"
		      "\\fB\\-\\-very\\-long\\-name\\-of\\-an\\-option\\fR=\\fITEXT\\fR\n"
		      "\\&.starts with a dot, has a \\e and a \\-dash\n"
		      "\\&'quote.\n"
		      ".TP\n"
		      "\\fB\\-\\-cache.memory\\fR=\\fISIZE\\fR\n"
		      "Memory for blocks.\n"
		      "A value is: size of at least 1 MiB.\n"
		      "Default: 4 GiB.\n");
}

static void test_option_print_man_settings__nested__has_a_section_a_group(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	option_print_man_settings(&command_group, out);
	fclose(out);
	assert_ptr_equal(strstr(text, ".TP\n\\fBconfig_file\\fR = \\fItext\\fR\nFile to read"),
			 text);
	assert_non_null(strstr(text, "\\fBcache\\fR = \\fIgroup { ... }\\fR\nThe cache.\n"
				     ".SS cache\n"
				     ".TP\n"
				     "\\fBmemory\\fR = \\fIsize of at least 1 MiB\\fR\n"
				     "Memory for blocks.\n"
				     "Default: 4 GiB.\n"
				     "May change at SIGHUP, without a restart.\n"
				     ".TP\n"
				     "\\fBentries\\fR = \\fIlist of groups ( { ... }, ... )\\fR\n"
				     "What is cached.\n"
				     ".SS cache.entries[]\n"
				     ".TP\n"
				     "\\fBbucket\\fR = \\fItext\\fR\n"
				     "The bucket's name.\n"
				     "Required.\n"));
	assert_null(strstr(text, "hunter2"));
	free(text);
}

static void test_option_print_completion__all_kinds__are_words(void **state)
{
	(void)state;
	check_printed(option_print_completion, "--config-file\n-c\n--force\n-f\n--colour\n"
					       "--no-colour\n--level\n--secret-key\n"
					       "--very-long-name-of-an-option\n--cache.memory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_print_help__all_kinds__is_wrapped_in_columns),
		cmocka_unit_test(test_option_print_man__all_kinds__is_correct_roff),
		cmocka_unit_test(test_option_print_man_settings__nested__has_a_section_a_group),
		cmocka_unit_test(test_option_print_completion__all_kinds__are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of option_parse_arguments(): forms of options, positional arguments, every refusal.
 */
#include "base/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

#define ARGUMENTS_MAX 8

struct tls {
	char *ca_file;
	bool verify;
};

struct command {
	char *config_file;
	bool force, colour;
	int64_t jobs;
	struct option_strings tag;
	char *secret_key;
	struct tls tls;
	struct option_structs entries;
};

static const struct option tls_options[] = {
	OPTION(struct tls, ca_file, OPTION_STRING, .flags = OPTION_REQUIRED),
	OPTION(struct tls, verify, OPTION_BOOL, .default_text = "true"),
};

static int validate_tls(const void *value, char *problem, size_t problem_size)
{
	const struct tls *tls = value;

	if (tls->verify || strcmp(tls->ca_file, "none") == 0)
		return 0;
	return option_problem(problem, problem_size, "--tls.ca-file is useless unverified");
}

static const struct option_group tls_group = {
	.name = "tls",
	.size = sizeof(struct tls),
	.options = tls_options,
	.count = ARRAY_COUNT(tls_options),
	.validate = validate_tls,
};

static const struct option command_options[] = {
	OPTION(struct command, config_file, OPTION_STRING, .letter = 'c', .flags = OPTION_REQUIRED),
	OPTION(struct command, force, OPTION_BOOL, .letter = 'f'),
	OPTION(struct command, colour, OPTION_BOOL, .letter = 'k', .default_text = "true"),
	OPTION(struct command, jobs, OPTION_INT, .letter = 'j', .min = 1, .max = 64,
	       .default_text = "4"),
	OPTION(struct command, tag, OPTION_STRINGS, .default_text = "latest", .max = 2),
	OPTION(struct command, secret_key, OPTION_STRING, .flags = OPTION_SECRET, .max = 8),
	OPTION(struct command, tls, OPTION_STRUCT, .group = &tls_group),
	OPTION(struct command, entries, OPTION_STRUCTS, .group = &tls_group),
};

static int validate_command(const void *value, char *problem, size_t problem_size)
{
	const struct command *command = value;

	if (command->jobs == 13)
		return option_problem(problem, problem_size, "13 jobs bring bad luck");
	return 0;
}

static const struct option_group command_group = {
	.name = "command",
	.size = sizeof(struct command),
	.options = command_options,
	.count = ARRAY_COUNT(command_options),
	.validate = validate_command,
};

/* A row's words; the array is writable, as main()'s is. */
struct words {
	char *argv[ARGUMENTS_MAX + 1];
	char text[ARGUMENTS_MAX][64];
	int argc;
};

static void copy_words(struct words *words, const char *const *given)
{
	words->argc = 0;
	for (int i = 0; given[i]; i++) {
		snprintf(words->text[i], sizeof(words->text[i]), "%s", given[i]);
		words->argv[i] = words->text[i];
		words->argc++;
	}
	words->argv[words->argc] = NULL;
}

/* "file,force,colour,jobs,tags,secret,ca_file,verify: positionals" */
static void describe(const struct command *c, const struct words *words, int positionals, char *out,
		     size_t out_size)
{
	char tags[64];

	option_value_text(&command_options[4], c, tags, sizeof(tags));
	snprintf(out, out_size, "%s %d%d %d [%s] %s %s%d:", c->config_file, c->force, c->colour,
		 (int)c->jobs, tags, c->secret_key ? c->secret_key : "-",
		 c->tls.ca_file ? c->tls.ca_file : "-", c->tls.verify);
	for (int i = 0; i < positionals; i++) {
		size_t len = strlen(out);

		snprintf(out + len, out_size - len, " %s", words->argv[i]);
	}
}

static void test_option_parse_arguments__each_form__is_understood(void **state)
{
	static const struct {
		const char *given[ARGUMENTS_MAX];
		const char *wanted;
	} rows[] = {
		{ { "--config-file=x" }, "x 01 4 [latest] - -1:" },
		{ { "--config-file", "x" }, "x 01 4 [latest] - -1:" },
		{ { "--config_file=x" }, "x 01 4 [latest] - -1:" },
		{ { "--config-file=" }, " 01 4 [latest] - -1:" },
		{ { "--config-file=a=b" }, "a=b 01 4 [latest] - -1:" },
		{ { "--config-file", "--force" }, "--force 01 4 [latest] - -1:" },
		{ { "-c", "x" }, "x 01 4 [latest] - -1:" },
		{ { "-cx" }, "x 01 4 [latest] - -1:" },
		{ { "-fc", "x" }, "x 11 4 [latest] - -1:" },
		{ { "-fkcx" }, "x 11 4 [latest] - -1:" },
		{ { "-cx", "--force", "--no-colour" }, "x 10 4 [latest] - -1:" },
		{ { "-cx", "--force=false", "--colour=off" }, "x 00 4 [latest] - -1:" },
		{ { "-cx", "-j", "8", "-j9" }, "x 01 9 [latest] - -1:" },
		{ { "-cx", "--tag=a", "--tag", "b" }, "x 01 4 [a, b] - -1:" },
		{ { "-cx", "--secret-key=hunter2" }, "x 01 4 [latest] hunter2 -1:" },
		{ { "-cx", "--tls.ca-file=ca" }, "x 01 4 [latest] - ca1:" },
		{ { "-cx", "--no-tls.verify", "--tls.ca-file=none" }, "x 01 4 [latest] - none0:" },
		{ { "a", "-cx", "b", "--force", "-" }, "x 11 4 [latest] - -1: a b -" },
		{ { "-cx", "--", "--force", "-q", "--" }, "x 01 4 [latest] - -1: --force -q --" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[OPTION_PROBLEM_MAX] = "", found[256];
		struct command command;
		struct words words;
		int positionals;

		copy_words(&words, rows[i].given);
		assert_int_equal(option_defaults(&command_group, &command), 0);
		positionals = option_parse_arguments(&command_group, &command, words.argc,
						     words.argv, problem, sizeof(problem));
		assert_string_equal(problem, "");
		assert_true(positionals >= 0);
		describe(&command, &words, positionals, found, sizeof(found));
		assert_string_equal(found, rows[i].wanted);
		option_free(&command_group, &command);
	}
}

static void test_option_parse_arguments__each_mistake__is_named(void **state)
{
	static const struct {
		const char *given[ARGUMENTS_MAX];
		const char *problem;
	} rows[] = {
		{ { NULL }, "--config-file is required" },
		{ { "--forse" }, "unknown option --forse; did you mean --force?" },
		{ { "--config=x" }, "unknown option --config; did you mean --config-file?" },
		{ { "--config-fiel=x" },
		  "unknown option --config-fiel; did you mean --config-file?" },
		{ { "--tls.cafile=x" },
		  "unknown option --tls.cafile; did you mean --tls.ca-file?" },
		{ { "--secretkey=hunter2" },
		  "unknown option --secretkey; did you mean --secret-key?" },
		{ { "--entries=x" }, "unknown option --entries" },
		{ { "--=x" }, "unknown option --" },
		{ { "--no-jobs" }, "unknown option --no-jobs; did you mean --jobs?" },
		{ { "--no-" }, "unknown option --no-" },
		{ { "-x" }, "unknown option -x" },
		{ { "-fx" }, "unknown option -x" },
		{ { "--no-force=1" }, "--no-force takes no value" },
		{ { "--force=maybe" },
		  "--force: 'maybe' is not true or false (also yes, no, on, off)" },
		{ { "--config-file" }, "--config-file needs a value: text" },
		{ { "-j" }, "-j needs a value: whole number from 1 to 64" },
		{ { "-fj" }, "-j needs a value: whole number from 1 to 64" },
		{ { "-j0" }, "-j: '0' is out of range: whole number from 1 to 64" },
		{ { "--jobs", "many" }, "--jobs: 'many' is not a whole number" },
		{ { "--secret-key=hunter2hunter2" },
		  "--secret-key: the value (secret) is out of range: text from 0 to 8 bytes" },
		{ { "-cx", "--tag=1", "--tag=2", "--tag=3" },
		  "--tag 3 given: list of texts from 0 to 2 of them" },
		{ { "-cx", "--no-tls.verify" }, "--tls.ca-file is required" },
		{ { "-cx", "--no-tls.verify", "--tls.ca-file=a" },
		  "--tls.ca-file is useless unverified" },
		{ { "-cx", "-j13" }, "13 jobs bring bad luck" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[OPTION_PROBLEM_MAX] = "";
		struct command command;
		struct words words;

		copy_words(&words, rows[i].given);
		assert_int_equal(option_defaults(&command_group, &command), 0);
		assert_int_equal(option_parse_arguments(&command_group, &command, words.argc,
							words.argv, problem, sizeof(problem)),
				 -EINVAL);
		assert_string_equal(problem, rows[i].problem);
		option_free(&command_group, &command);
	}
}

static void test_option_parse_arguments__each_allocation_fails__leaks_nothing(void **state)
{
	static const char *const given[] = { "-cx", "--tag=a", "--tag=b", "y", NULL };
	char problem[OPTION_PROBLEM_MAX];
	struct command command;
	struct words words;

	(void)state;
	for (unsigned n = 1;; n++) {
		int result;

		copy_words(&words, given);
		assert_int_equal(option_defaults(&command_group, &command), 0);
		allocation_fault_arm(n);
		result = option_parse_arguments(&command_group, &command, words.argc, words.argv,
						problem, sizeof(problem));
		if (!allocation_fault_disarm()) {
			assert_int_equal(result, 1);
			assert_int_equal(n, 7);
			break;
		}
		assert_int_equal(result, -ENOMEM);
		option_free(&command_group, &command);
	}
	option_free(&command_group, &command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_parse_arguments__each_form__is_understood),
		cmocka_unit_test(test_option_parse_arguments__each_mistake__is_named),
		cmocka_unit_test(test_option_parse_arguments__each_allocation_fails__leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of tools/cli/command.h: what the command line says, above all to those who mistype.
 */
#include "tools/cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORDS_MAX 6

struct output {
	char *out, *err;
	int status;
};

static void run(const char *const *words, struct output *output)
{
	FILE *real_out = stdout, *real_err = stderr;
	char *copies[WORDS_MAX] = { NULL }, *argv[WORDS_MAX + 1] = { NULL };
	size_t out_len, err_len;
	int argc = 0;

	for (; argc < WORDS_MAX && words[argc]; argc++)
		argv[argc] = copies[argc] = strdup(words[argc]);
	stdout = open_memstream(&output->out, &out_len);
	stderr = open_memstream(&output->err, &err_len);
	output->status = command_main(argc, argv);
	fclose(stdout);
	fclose(stderr);
	stdout = real_out;
	stderr = real_err;
	for (int i = 0; i < argc; i++)
		free(copies[i]);
}

static void test_main__any_command_line__says_what_fits(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		int status;
		const char *out, *err; /* a part of it; NULL: nothing at all */
	} rows[] = {
		{ { "cenote" }, COMMAND_USAGE, NULL, "usage: cenote COMMAND" },
		{ { "cenote", "--help" }, COMMAND_OK, "Commands:", NULL },
		{ { "cenote", "-h" }, COMMAND_OK, "Commands:", NULL },
		{ { "cenote", "--version" }, COMMAND_OK, CENOTE_VERSION, NULL },
		{ { "cenote", "version" }, COMMAND_OK, CENOTE_VERSION, NULL },
		{ { "cenote", "version", "x" }, COMMAND_USAGE, NULL, "unexpected argument 'x'" },
		{ { "cenote", "version", "--x" }, COMMAND_USAGE, NULL, "unknown option --x" },
		{ { "cenote", "stauts" }, COMMAND_USAGE, NULL, "did you mean status?" },
		{ { "cenote", "bananas" }, COMMAND_USAGE, NULL, "unknown command 'bananas'\n" },
		{ { "cenote", "help" }, COMMAND_OK, "Commands:", NULL },
		{ { "cenote", "help", "status" }, COMMAND_OK, "--watch", NULL },
		{ { "cenote", "help", "chekc" }, COMMAND_USAGE, NULL, "did you mean check?" },
		{ { "cenote", "status", "--help" }, COMMAND_OK, "--watch", NULL },
		{ { "cenote", "status", "-h" }, COMMAND_OK, "--watch", NULL },
		{ { "cenote", "status", "--wacth" }, COMMAND_USAGE, NULL, "did you mean --watch?" },
		{ { "cenote", "status", "now" }, COMMAND_USAGE, NULL, "unexpected argument 'now'" },
		{ { "cenote", "status", "--interval=soon" }, COMMAND_USAGE, NULL, "duration" },
		{ { "cenote", "status", "--run-dir", "/nonexistent" },
		  COMMAND_PROBLEM,
		  NULL,
		  "/nonexistent/control" },
		{ { "cenote", "status", "--config", "/nonexistent.conf" },
		  COMMAND_PROBLEM,
		  NULL,
		  "/nonexistent.conf" },
		{ { "cenote", "flush", "-r", "/nonexistent" },
		  COMMAND_PROBLEM,
		  NULL,
		  "/nonexistent/control" },
		{ { "cenote", "check", "--config", "/nonexistent.conf" },
		  COMMAND_PROBLEM,
		  "fail configuration: cannot read /nonexistent.conf",
		  NULL },
		{ { "cenote", "check", "--json", "--config", "/nonexistent.conf" },
		  COMMAND_PROBLEM,
		  "\"ok\": false",
		  NULL },
		{ { "cenote", "config", "--config", "/nonexistent.conf" },
		  COMMAND_PROBLEM,
		  NULL,
		  "/nonexistent.conf" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct output output;

		run(rows[i].words, &output);
		if (output.status != rows[i].status ||
		    (rows[i].out ? !strstr(output.out, rows[i].out) : *output.out) ||
		    (rows[i].err ? !strstr(output.err, rows[i].err) : *output.err))
			fail_msg("row %zu, %s: status %d\n%s\n%s", i,
				 rows[i].words[1] ? rows[i].words[1] : "", output.status,
				 output.out, output.err);
		free(output.out);
		free(output.err);
	}
}

static void test_commands__each__can_be_found_and_explained(void **state)
{
	(void)state;
	for (unsigned i = 0; commands[i]; i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		assert_ptr_equal(command_find(commands[i]->name), commands[i]);
		command_print_help(commands[i], out);
		fclose(out);
		assert_non_null(strstr(text, commands[i]->name));
		/* for an 80-column terminal */
		for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
			if (strcspn(line, "\n") > 90)
				fail_msg("%s: %.*s", commands[i]->name, (int)strcspn(line, "\n"),
					 line);
		free(text);
	}
	assert_null(command_find("nothing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main__any_command_line__says_what_fits),
		cmocka_unit_test(test_commands__each__can_be_found_and_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

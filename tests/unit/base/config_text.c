/*
 * Tests of config_text.h: includes, integers, origins of lines, limits.
 */
#include "base/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "base/check.h"

static char folder[64];
static char problem[512];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/config_text.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "main", "a", "b", "pipe", "folder" };
	char path[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		remove(path);
	}
	return rmdir(folder);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_bytes(const char *name, const char *text, size_t len)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static int read_main(struct config_text *out)
{
	problem[0] = 0;
	return config_text_read(out, path_of("main"), problem, sizeof(problem));
}

static void assert_problem(const char *wanted)
{
	char *found = strstr(problem, folder);

	/* without the folder, which has another name at every run */
	while (found) {
		memmove(found, found + strlen(folder) + 1, strlen(found + strlen(folder)));
		found = strstr(problem, folder);
	}
	assert_string_equal(problem, wanted);
}

static void test_config_text_take__integers__become_64_bits_and_nothing_else_does(void **state)
{
	static const struct {
		const char *given, *wanted;
	} rows[] = {
		{ "", "\n" },
		{ "a = 1;", "a = 1L;\n" },
		{ "a = 5000000000;", "a = 5000000000L;\n" },
		{ "a = 1L; b = 2LL;", "a = 1L; b = 2L;\n" },
		{ "a = -12 b = +3", "a = -12L b = +3L\n" },
		{ "a = 0x1F; b = 0XFFFFFFFF", "a = 0x1FL; b = 0XFFFFFFFFL\n" },
		{ "a = [1,2,3]", "a = [1L,2L,3L]\n" },
		{ "a = 1.5; b = .5; c = 1e9; d = 1.; e = -2.5E-3",
		  "a = 1.5; b = .5; c = 1e9; d = 1.; e = -2.5E-3\n" },
		{ "s3 = 1; a-1 = 2; x_9* = 3", "s3 = 1L; a-1 = 2L; x_9* = 3L\n" },
		{ "a = \"12 \\\" 13\" 14", "a = \"12 \\\" 13\" 14L\n" },
		{ "# 12\na = 1 // 13\n/* 14\n15 */ b = 2 # 16",
		  "# 12\na = 1L // 13\n/* 14\n15 */ b = 2L # 16\n" },
		{ "a = 9223372036854775807; b = -9223372036854775808",
		  "a = 9223372036854775807L; b = -9223372036854775808L\n" },
		{ "a = / b - c + . e", "a = / b - c + . e\n" },
		{ "a = 1; @include \"x\"", "a = 1L; @include \"x\"\n" }, /* not at a line's start */
		{ "/* \n@include \"x\" */ \"\n@include \\\"x\\\"\"",
		  "/* \n@include \"x\" */ \"\n@include \\\"x\\\"\"\n" },
		{ "@includes \"x\"\n@include x\n@include\"x\"",
		  "@includes \"x\"\n@include x\n@include\"x\"\n" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct config_text text;

		problem[0] = 0;
		assert_int_equal(
			config_text_take(&text, rows[i].given, "f", problem, sizeof(problem)), 0);
		assert_string_equal(text.text, rows[i].wanted);
		config_text_free(&text);
	}
}

static void test_config_text_take__each_mistake__is_named_with_its_line(void **state)
{
	static const struct {
		const char *given, *problem;
	} rows[] = {
		{ "\n\n/* a\n", "f:3: the comment that starts here is not closed by */" },
		{ "/*/", "f:1: the comment that starts here is not closed by */" },
		{ "a;\nb = \"x\n\n", "f:2: the text that starts here is not closed by \"" },
		{ "b = \"x\\", "f:1: the text that starts here is not closed by \"" },
		{ "b = \"x\\\"", "f:1: the text that starts here is not closed by \"" },
		{ "\na = 9223372036854775808", "f:2: the number 9223372036854775808 is too large" },
		{ "a = 0xFFFFFFFFFFFFFFFFF", "f:1: the number 0xFFFFFFFFFFFFFFFFF is too large" },
		{ "@include \"x", "f:1: the path of @include is not closed by \"" },
		{ "\n @include\t\"x\n\"", "f:2: the path of @include is not closed by \"" },
		{ "@include \"\"", "f:1: the path of @include is empty" },
		{ "\n@include \"/nonexistent/x\"",
		  "f:2: cannot include /nonexistent/x: No such file or directory (ENOENT)" },
		{ "@include \"/dev\"", "f:1: cannot include /dev: Is a directory (EISDIR)" },
		{ "@include \"/dev/zero\"",
		  "f:1: cannot include /dev/zero: it is not a regular file" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct config_text text;

		problem[0] = 0;
		assert_int_equal(
			config_text_take(&text, rows[i].given, "f", problem, sizeof(problem)),
			-EINVAL);
		assert_string_equal(problem, rows[i].problem);
	}
}

static void assert_origin(const struct config_text *text, unsigned line, const char *name,
			  unsigned file_line)
{
	const char *file;

	assert_int_equal(config_text_origin(text, line, &file), file_line);
	assert_string_equal(strrchr(file, '/') + 1, name);
}

static void test_config_text_read__includes__are_put_in_with_their_origins(void **state)
{
	struct config_text text;

	(void)state;
	write_file("main", "m1\n  @include \"a\" rest @include\nm3\n@include \"b\"\nm5");
	write_file("a", "a1\n@include \"b\"\na3");
	write_file("b", "b1 # no newline at its end");
	assert_int_equal(read_main(&text), 0);
	assert_string_equal(text.text, "m1\n"
				       "a1\n"
				       "b1 # no newline at its end\n"
				       "\n"
				       "a3\n"
				       " rest @include\n"
				       "m3\n"
				       "b1 # no newline at its end\n"
				       "\n"
				       "m5\n");
	assert_origin(&text, 0, "main", 1);
	assert_origin(&text, 1, "main", 1);
	assert_origin(&text, 2, "a", 1);
	assert_origin(&text, 3, "b", 1);
	assert_origin(&text, 4, "a", 2);
	assert_origin(&text, 5, "a", 3);
	assert_origin(&text, 6, "main", 2);
	assert_origin(&text, 7, "main", 3);
	assert_origin(&text, 8, "b", 1);
	assert_origin(&text, 9, "main", 4);
	assert_origin(&text, 10, "main", 5);
	config_text_free(&text);
}

static void test_config_text_read__an_absolute_path_and_two_on_a_line__are_found(void **state)
{
	struct config_text text;
	char main_text[200];

	(void)state;
	write_file("a", "a");
	write_file("b", "b");
	snprintf(main_text, sizeof(main_text), "@include \"%s\"\t@include \"b\"", path_of("a"));
	write_file("main", main_text);
	assert_int_equal(read_main(&text), 0);
	assert_string_equal(text.text, "a\nb\n");
	config_text_free(&text);
}

static void test_config_text_read__a_mistake_in_an_include__names_that_file(void **state)
{
	struct config_text text;

	(void)state;
	write_file("main", "\n\n@include \"a\"\n");
	write_file("a", "\nb = \"open\n");
	assert_int_equal(read_main(&text), -EINVAL);
	assert_problem("a:2: the text that starts here is not closed by \"");
}

static void test_config_text_read__includes_itself__is_refused(void **state)
{
	struct config_text text;

	(void)state;
	write_file("main", "@include \"main\"");
	assert_int_equal(read_main(&text), -EINVAL);
	assert_problem("main:1: includes are nested more than 10 deep");
}

static void test_config_text_read__too_many_includes__is_refused(void **state)
{
	static const char line[] = "@include \"a\"\n";
	char main_text[64 * (sizeof(line) - 1) + 1];
	struct config_text text;

	(void)state;
	write_file("a", "");
	for (int i = 0; i < 64; i++)
		memcpy(main_text + i * (sizeof(line) - 1), line, sizeof(line));
	write_bytes("main", main_text, 63 * (sizeof(line) - 1));
	assert_int_equal(read_main(&text), 0);
	assert_origin(&text, text.line, "main", 64);
	config_text_free(&text);
	write_file("main", main_text);
	assert_int_equal(read_main(&text), -EINVAL);
	assert_problem("main:64: more than 63 files are included");
}

static void test_config_text_read__a_large_file__is_limited(void **state)
{
	char *large = malloc(CONFIG_TEXT_MAX + 1);
	struct config_text text;

	(void)state;
	assert_non_null(large);
	memset(large, ' ', CONFIG_TEXT_MAX + 1);
	write_bytes("main", large, CONFIG_TEXT_MAX - 1);
	assert_int_equal(read_main(&text), 0);
	config_text_free(&text);
	write_bytes("main", large, CONFIG_TEXT_MAX);
	assert_int_equal(read_main(&text), -EINVAL);
	assert_problem("main:1: the configuration is larger than 1048576 bytes with its includes");
	write_bytes("a", large, CONFIG_TEXT_MAX / 2);
	write_file("main", "@include \"a\"\n@include \"a\"\n");
	assert_int_equal(read_main(&text), -EINVAL);
	write_bytes("main", large, CONFIG_TEXT_MAX + 1);
	assert_int_equal(read_main(&text), -EINVAL);
	free(large);
}

static void test_config_text_read__what_cannot_be_read__says_why(void **state)
{
	struct config_text text;

	(void)state;
	assert_int_equal(read_main(&text), -ENOENT);
	assert_problem("cannot read main: No such file or directory (ENOENT)");
	assert_int_equal(config_text_read(&text, folder, problem, sizeof(problem)), -EISDIR);
	write_bytes("main", "a\0b", 3);
	assert_int_equal(read_main(&text), -EINVAL);
	assert_problem("cannot read main: it is not a text file (it has a NUL byte)");
	/* nobody writes to it: opening must not wait */
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	assert_int_equal(config_text_read(&text, path_of("pipe"), problem, sizeof(problem)),
			 -EINVAL);
	assert_problem("cannot read pipe: it is not a regular file");
}

static void test_config_text_read__each_allocation_fails__leaks_nothing(void **state)
{
	struct config_text text;
	unsigned n;

	(void)state;
	write_file("main", "a = 1;\n@include \"a\"\n");
	write_file("a", "b = 2;\n");
	for (n = 1;; n++) {
		int error;

		allocation_fault_arm(n);
		error = read_main(&text);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
	}
	assert_true(n > 4);
	config_text_free(&text);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_config_text_take__integers__become_64_bits_and_nothing_else_does),
		TEST(test_config_text_take__each_mistake__is_named_with_its_line),
		TEST(test_config_text_read__includes__are_put_in_with_their_origins),
		TEST(test_config_text_read__an_absolute_path_and_two_on_a_line__are_found),
		TEST(test_config_text_read__a_mistake_in_an_include__names_that_file),
		TEST(test_config_text_read__includes_itself__is_refused),
		TEST(test_config_text_read__too_many_includes__is_refused),
		TEST(test_config_text_read__a_large_file__is_limited),
		TEST(test_config_text_read__what_cannot_be_read__says_why),
		TEST(test_config_text_read__each_allocation_fails__leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of check.h: a broken invariant ends the process with one line that says which.
 */
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct outer {
	int before;
	struct inner {
		int x;
	} inner;
};

static void test_check__that_holds__does_nothing(void **state)
{
	int evaluated = 0;

	(void)state;
	CHECK(++evaluated == 1);
	assert_int_equal(evaluated, 1);
}

/* What a child that breaks an invariant writes to stderr. Return: its wait status. */
static int run_broken(char *out, size_t out_size, int as_journal)
{
	int pipe_fds[2], status;
	ssize_t len;
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };
		struct stat st;
		char stream[64];

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(pipe_fds[1], STDERR_FILENO);
		fstat(STDERR_FILENO, &st);
		snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
			 (unsigned long)st.st_ino);
		setenv("JOURNAL_STREAM", as_journal ? stream : "1:1", 1);
		CHECK(getpid() == 0);
		_exit(0);
	}
	close(pipe_fds[1]);
	len = read(pipe_fds[0], out, out_size - 1);
	assert_true(len > 0);
	out[len] = 0;
	close(pipe_fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_check__that_fails__writes_one_line_and_aborts(void **state)
{
	char text[1024];
	int status = run_broken(text, sizeof(text), 0);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_ptr_equal(strstr(text, "check failed: getpid() == 0 at "), text);
	assert_non_null(strstr(text, "check.c:"));
	assert_non_null(strstr(text, " in run_broken()\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_check__that_fails_in_a_service__has_the_journals_priority(void **state)
{
	char text[1024];

	(void)state;
	run_broken(text, sizeof(text), 1);
	assert_ptr_equal(strstr(text, "<2>check failed: "), text);
}

static void test_array_count__of_arrays__is_a_constant(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	static char table[ARRAY_COUNT(names)];

	(void)state;
	assert_int_equal(sizeof(table), 3);
}

static void test_container_of__a_member__is_its_struct(void **state)
{
	struct outer outer;

	(void)state;
	assert_ptr_equal(CONTAINER_OF(&outer.inner, struct outer, inner), &outer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check__that_holds__does_nothing),
		cmocka_unit_test(test_check__that_fails__writes_one_line_and_aborts),
		cmocka_unit_test(test_check__that_fails_in_a_service__has_the_journals_priority),
		cmocka_unit_test(test_array_count__of_arrays__is_a_constant),
		cmocka_unit_test(test_container_of__a_member__is_its_struct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * run_dir.c - where the daemon is looked for.
 */
#include "tools/run_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/settings.h"

static void test_run_dir_find__what_is_given__decides(void **state)
{
	static const struct {
		const char *run_dir, *config; /* the latter: its text */
		const char *found;	      /* NULL: none, and this is said: */
		const char *problem;
	} rows[] = {
		{ "/a", NULL, "/a", NULL },
		{ "/a", "node = { run_dir = \"/b\"; };", "/a", NULL },
		{ NULL, "node = { run_dir = \"/b\"; };", "/b", NULL },
		{ NULL, "cache = { nonsense = 1; }; node = { name = 5; run_dir = \"/b\"; };", "/b",
		  NULL },
		{ NULL, "cache = { };", SETTINGS_RUN_DIR_DEFAULT, NULL },
		{ NULL, "node = { run_dir = 5; };", NULL, "setting 'node.run_dir'" },
		{ NULL, "node = ", NULL, "syntax error" },
	};
	char path[] = "/tmp/run-dir.XXXXXX", problem[512];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = rows[i].config ? rows[i].config : "";
		char *found;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
		found = run_dir_find(rows[i].run_dir, rows[i].config ? path : NULL, problem,
				     sizeof(problem));
		if (rows[i].found)
			assert_string_equal(found, rows[i].found);
		else
			assert_null(found);
		if (rows[i].problem)
			assert_non_null(strstr(problem, rows[i].problem));
		free(found);
	}
	close(fd);
	unlink(path);
	assert_null(run_dir_find(NULL, path, problem, sizeof(problem)));
	assert_non_null(strstr(problem, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_dir_find__what_is_given__decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

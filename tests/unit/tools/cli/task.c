/*
 * Tests of tools/cli/task.h: the line that tells how far a task is. What needs a daemon is shown by
 * the integration tests.
 */
#include "tools/cli/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static char *render(const char *task_text, bool live)
{
	json_t *task = json_loads(task_text, 0, NULL);
	struct terminal terminal = { .live = live };
	char *text = NULL;
	size_t len;

	assert_non_null(task);
	terminal.out = open_memstream(&text, &len);
	assert_non_null(terminal.out);
	task_progress_show(&terminal, task);
	fclose(terminal.out);
	json_decref(task);
	return text;
}

static void test_progress_show__what_is_known__is_on_the_line(void **state)
{
	static const struct {
		const char *task, *line;
	} rows[] = {
		{ "{\"progress\": null}", "" },
		{ "{}", "" },
		{ "{\"progress\": {\"done\": 1073741824, \"total\": 4294967296,"
		  " \"unit\": \"bytes\", \"rate\": 268435456, \"left_ns\": 12000000000,"
		  " \"text\": \"to n2\"}}",
		  "\r\033[Kto n2  [######..................]  1.00 GiB of 4.00 GiB, 256 MiB/s, "
		  "12.0 s left" },
		{ "{\"progress\": {\"done\": 3, \"total\": 12, \"unit\": \"pairs\", \"rate\": null,"
		  " \"left_ns\": null, \"text\": \"n1 from n2\"}}",
		  "\r\033[Kn1 from n2  [######..................]  3 of 12" },
		{ "{\"progress\": {\"done\": 1200, \"total\": 1200, \"unit\": \"members\","
		  " \"rate\": 40, \"left_ns\": 0, \"text\": \"asking\"}}",
		  "\r\033[Kasking  [########################]  1,200 of 1,200, 40/s" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char *text = render(rows[i].task, true);

		assert_string_equal(text, rows[i].line);
		free(text);
	}
}

static void test_progress_show__nobody_looks__says_nothing(void **state)
{
	char *text =
		render("{\"progress\": {\"done\": 3, \"total\": 12, \"unit\": \"pairs\"}}", false);

	(void)state;
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress_show__what_is_known__is_on_the_line),
		cmocka_unit_test(test_progress_show__nobody_looks__says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

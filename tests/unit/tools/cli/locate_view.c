/*
 * Tests of tools/cli/locate_view.h: the tables of fixed answers.
 */
#include "tools/cli/locate_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

#define HEAD                                                                                       \
	"\"path\": \"/images/cat.jpg\", \"version\": {\"backing\": \"lake\","                      \
	" \"bucket\": \"pictures\", \"key\": \"train/cat.jpg\", \"etag\": \"\\\"abc\\\"\"},"       \
	" \"block_len\": 4194304,"

static char *render(const char *result_text)
{
	json_t *result = json_loads(result_text, 0, NULL);
	struct terminal terminal = { 0 };
	char *text = NULL;
	size_t len;

	assert_non_null(result);
	terminal.out = open_memstream(&text, &len);
	locate_view_print(result, &terminal);
	fclose(terminal.out);
	json_decref(result);
	return text;
}

static void test_print__of_a_cluster__a_row_each_that_matters(void **state)
{
	static const char expected[] =
		"/images/cat.jpg  16.0 MiB in 4 blocks of 4.00 MiB\n"
		"  lake/pictures/train/cat.jpg, version \"abc\"\n"
		"  12.0 MiB (75 %) is with its owners, 8.00 MiB (50 %) on this node\n"
		"\n"
		"MEMBER             BLOCKS       OWNS        HAS               SSD   REPLICAS     "
		"MEMORY\n"
		"gpu-1                   1   4.00 MiB   4.00 MiB  100 %   8.00 MiB   4.00 MiB   "
		"4.00 MiB  this node\n"
		"gpu-2                   2   8.00 MiB   8.00 MiB  100 %   8.00 MiB        0 B      "
		"  "
		"0 B\n"
		"gpu-3                   1   4.00 MiB  it does not answer\n"
		"1 more own and have nothing of it\n";
	char *text = render(
		"{" HEAD "\"confirmed\": true, \"size\": 16777216, \"blocks\": 4, \"members\": ["
		"{\"name\": \"gpu-1\", \"id\": \"1f\", \"self\": true, \"owned_blocks\": 1,"
		" \"owned_bytes\": 4194304, \"held_bytes\": 4194304, \"ssd_bytes\": 8388608,"
		" \"replica_bytes\": 4194304, \"memory_bytes\": 4194304},"
		"{\"name\": \"gpu-2\", \"id\": \"2f\", \"self\": false, \"owned_blocks\": 2,"
		" \"owned_bytes\": 8388608, \"held_bytes\": 8388608, \"ssd_bytes\": 8388608,"
		" \"replica_bytes\": 0, \"memory_bytes\": 0},"
		"{\"name\": \"gpu-3\", \"id\": \"3f\", \"self\": false, \"owned_blocks\": 1,"
		" \"owned_bytes\": 4194304, \"problem\": \"it does not answer\"},"
		"{\"name\": \"gpu-4\", \"id\": \"4f\", \"self\": false, \"owned_blocks\": 0,"
		" \"owned_bytes\": 0, \"held_bytes\": 0, \"ssd_bytes\": 0, \"replica_bytes\": 0,"
		" \"memory_bytes\": 0}], \"members_left\": 0}");

	(void)state;
	assert_string_equal(text, expected);
	free(text);
}

static void test_print__with_blocks__runs_and_what_is_left_out(void **state)
{
	static const char *const lines[] = {
		"          BLOCKS  OWNER\n               0  gpu-1\n",
		"             1-2  2f\n", /* one without a name */
		"               3  -\n",
		"the 7 blocks behind are left out\n",
		"3 more were not asked\n",
		"when it was last looked up, now that fails: connection refused\n",
	};
	char *text =
		render("{" HEAD "\"confirmed\": false, \"problem\": \"connection refused\","
		       " \"size\": 46137344, \"blocks\": 11, \"members\": ["
		       "{\"name\": \"gpu-1\", \"id\": \"1f\", \"self\": true, \"owned_blocks\": 1,"
		       " \"owned_bytes\": 4194304, \"held_bytes\": 0, \"ssd_bytes\": 0,"
		       " \"replica_bytes\": 0, \"memory_bytes\": 0},"
		       "{\"name\": \"\", \"id\": \"2f\", \"self\": false, \"owned_blocks\": 2,"
		       " \"owned_bytes\": 8388608, \"problem\": \"gone\"}], \"members_left\": 3,"
		       " \"runs\": [{\"first\": 0, \"count\": 1, \"member\": 0},"
		       " {\"first\": 1, \"count\": 2, \"member\": 1},"
		       " {\"first\": 3, \"count\": 1, \"member\": null}], \"runs_left\": 7}");

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("'%s' is not in:\n%s", lines[i], text);
	free(text);
}

static void test_print__of_an_empty_file_or_nothing_at_all__does_not_divide(void **state)
{
	static const char *const results[] = {
		"{" HEAD "\"confirmed\": true, \"size\": 0, \"blocks\": 0, \"members\": []}",
		"{}",
		"{\"members\": [7, null, {\"self\": true}], \"version\": 3, \"runs\": [{}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
		char *text = render(results[i]);

		assert_non_null(strstr(text, "0 B (-) is with its owners, 0 B (-) on this node\n"));
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print__of_a_cluster__a_row_each_that_matters),
		cmocka_unit_test(test_print__with_blocks__runs_and_what_is_left_out),
		cmocka_unit_test(test_print__of_an_empty_file_or_nothing_at_all__does_not_divide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

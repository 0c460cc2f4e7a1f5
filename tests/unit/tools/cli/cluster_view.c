/*
 * Tests of tools/cli/cluster_view.h: the table of fixed answers.
 */
#include "tools/cli/cluster_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NUMBERS                                                                                    \
	"\"ssd_capacity\": 1073741824, \"ssd_used\": 268435456, \"ssd_replicas\": 67108864,"       \
	" \"memory\": 1073741824, \"memory_used\": 536870912,"                                     \
	" \"read_bytes\": 104857600, \"ssd_bytes\": 26214400, \"peer_bytes\": 52428800,"           \
	" \"backing_bytes\": 0, \"fetched_bytes\": 1048576, \"served_bytes\": 4194304"

static const char status[] =
	"{\"cluster\": \"demo\", \"time_ns\": 3000000000, \"asked\": 3, \"answered\": 2,"
	" \"left_out\": 0, \"members\": ["
	"  {\"name\": \"gpu-17\", \"state\": \"alive\", \"version\": \"1.2.3\", \"self\": true,"
	"   \"numbers\": {\"uptime_s\": 7500, " NUMBERS ", \"read_errors\": 0,"
	"     \"mismatches\": 0, \"silent\": 0, \"breakers\": 0, \"directories_failed\": 0}},"
	"  {\"name\": \"n2\", \"state\": \"alive\", \"version\": \"1.2.3\", \"self\": false,"
	"   \"numbers\": {\"uptime_s\": 60, " NUMBERS ", \"read_errors\": 3,"
	"     \"mismatches\": 1, \"silent\": 1234, \"breakers\": 1, \"directories_failed\": 2}},"
	"  {\"name\": \"n3\", \"state\": \"suspect\", \"version\": \"1.2.3\", \"self\": false,"
	"   \"problem\": \"it does not answer\"},"
	"  {\"name\": \"n4\", \"state\": \"dead\", \"version\": \"1.2.3\", \"self\": false,"
	"   \"problem\": \"not asked, as it is dead\"}],"
	" \"total\": {" NUMBERS "}}";

static char *render(const char *status_text, const char *before_text)
{
	json_t *json = json_loads(status_text, 0, NULL);
	json_t *before = before_text ? json_loads(before_text, 0, NULL) : NULL;
	struct terminal terminal = { 0 };
	char *text = NULL;
	size_t len;

	assert_non_null(json);
	assert_true(before || !before_text);
	terminal.out = open_memstream(&text, &len);
	assert_non_null(terminal.out);
	cluster_view_print(json, before, &terminal);
	fclose(terminal.out);
	json_decref(json);
	json_decref(before);
	return text;
}

static void test_print__members__a_line_each_trouble_below_and_the_sum(void **state)
{
	static const char expected[] =
		"CLUSTER demo  2 of 3 members answered\n"
		"MEMBER STATE      VERSION             UP   SSD USED   CAPACITY   REPLICAS     "
		"MEMORY"
		"       READ MEMORY    SSD  PEERS     S3    FETCHED     SERVED\n"
		"gpu-17 alive      1.2.3       2 h 05 min    256 MiB   1.00 GiB   64.0 MiB    512 "
		"MiB"
		"    100 MiB   25 %   25 %   50 %    0 %   1.00 MiB   4.00 MiB\n"
		"n2     alive      1.2.3       1 min 00 s    256 MiB   1.00 GiB   64.0 MiB    512 "
		"MiB"
		"    100 MiB   25 %   25 %   50 %    0 %   1.00 MiB   4.00 MiB\n"
		"  ! 3 read errors, 1 mismatches, 1,234 times without an answer, 1 members spared, "
		"2 directories failed\n"
		"n3     suspect    1.2.3                -  no answer: it does not answer\n"
		"n4     dead       1.2.3                -  no answer: not asked, as it is dead\n"
		"TOTAL                                       256 MiB   1.00 GiB   64.0 MiB    512 "
		"MiB"
		"    100 MiB   25 %   25 %   50 %    0 %   1.00 MiB   4.00 MiB\n";
	char *text = render(status, NULL);

	(void)state;
	assert_string_equal(text, expected);
	free(text);
}

static void test_print__with_an_earlier_one__rate_of_reads(void **state)
{
	static const char *const earlier[] = {
		/* as many answered: 50 MiB in two seconds */
		"{\"time_ns\": 1000000000, \"answered\": 2, \"total\": {\"read_bytes\": 52428800}}",
		/* not comparable: somebody else's bytes are missing; a daemon started anew */
		"{\"time_ns\": 1000000000, \"answered\": 3, \"total\": {\"read_bytes\": 52428800}}",
		"{\"time_ns\": 1, \"answered\": 2, \"total\": {\"read_bytes\": 204857600}}",
		"{\"time_ns\": 9000000000, \"answered\": 2, \"total\": {\"read_bytes\": 52428800}}",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(earlier) / sizeof(earlier[0]); i++) {
		char *text = render(status, earlier[i]);
		bool has_rate = strstr(text, "reads  25.0 MiB/s\n");

		assert_int_equal(has_rate, i == 0);
		assert_int_equal(strstr(text, "/s\n") != NULL, i == 0);
		free(text);
	}
}

static void test_print__less_than_expected__still_a_table(void **state)
{
	char *text = render("{\"members\": [{\"name\": \"a\"}], \"left_out\": 7}", NULL);

	(void)state;
	assert_non_null(strstr(text, "no answer: \n"));
	assert_non_null(strstr(text, "and 7 more, not asked\n"));
	assert_non_null(strstr(text, "TOTAL"));
	free(text);
	text = render("{}", NULL);
	assert_non_null(strstr(text, "0 of 0 members answered"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print__members__a_line_each_trouble_below_and_the_sum),
		cmocka_unit_test(test_print__with_an_earlier_one__rate_of_reads),
		cmocka_unit_test(test_print__less_than_expected__still_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

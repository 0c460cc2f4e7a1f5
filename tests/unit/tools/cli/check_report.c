/*
 * Tests of tools/cli/check_report.h.
 */
#include "tools/cli/check_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_add__for_people__a_line_a_finding(void **state)
{
	struct check_report report = { 0 };
	char *text = NULL;
	size_t len;

	(void)state;
	report.terminal.out = open_memstream(&text, &len);
	check_report_add(&report, CHECK_OK, "kernel", "Linux %d", 6);
	check_report_add(&report, CHECK_FAIL, "/dev/fuse", "is missing");
	check_report_add(&report, CHECK_WARN, "x", "y");
	check_report_add(&report, CHECK_SKIP, "x", "y");
	fclose(report.terminal.out);
	assert_string_equal(text, "ok   kernel: Linux 6\nfail /dev/fuse: is missing\n"
				  "warn x: y\nskip x: y\n");
	for (unsigned i = 0; i < CHECK_LEVEL_COUNT; i++)
		assert_int_equal(report.counts[i], 1);
	free(text);
}

static void test_add__as_json__is_collected(void **state)
{
	struct check_report report = { .findings = json_array() };
	json_t *first;

	(void)state;
	check_report_add(&report, CHECK_FAIL, "/dev/fuse", "is \"missing\"");
	assert_int_equal(json_array_size(report.findings), 1);
	first = json_array_get(report.findings, 0);
	assert_string_equal(json_string_value(json_object_get(first, "level")), "fail");
	assert_string_equal(json_string_value(json_object_get(first, "subject")), "/dev/fuse");
	assert_string_equal(json_string_value(json_object_get(first, "text")), "is \"missing\"");
	json_decref(report.findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__for_people__a_line_a_finding),
		cmocka_unit_test(test_add__as_json__is_collected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

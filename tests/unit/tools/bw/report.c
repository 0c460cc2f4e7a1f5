/*
 * Tests of tools/bw/report.h: tables and JSON.
 */
#include "tools/bw/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

static const struct plan plan = {
	.threads = 1,
	.connections = 2,
	.verify = true,
	.steps = { { .test = PLAN_BANDWIDTH, .len = 65536, .depth = 128 },
		   { .test = PLAN_LATENCY, .len = 65536, .depth = 1 } },
	.step_count = 2,
};

static const struct report_header header = {
	.transport = "ucx (eth0)",
	.server = "10.0.0.7:7480",
	.plan = &plan,
};

static const struct report_row bandwidth_row = {
	.step = &plan.steps[0],
	.reads = 1000,
	.bytes = 65536000,
	.elapsed_ns = NS_PER_S / 2,
	.average = 131072000,
	.peak = 262144000,
	.reads_per_s = 2000,
	.client_cpu = 0.25,
	.server_cpu = -1,
	.complete = true,
};

static const struct report_row latency_row = {
	.step = &plan.steps[1],
	.reads = 10,
	.latency = { .count = 10,
		     .least = 1000,
		     .greatest = 9000,
		     .p50 = 2500,
		     .p99 = 8000,
		     .p999 = 9000,
		     .mean = 3000.5,
		     .deviation = 100 },
	.histogram = { { 1415, 9 }, { 2001, 1 } },
	.bucket_count = 2,
	.client_cpu = -1,
	.server_cpu = -1,
	.complete = true,
};

static char *render(bool json, const char *problem)
{
	struct report report;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(report_init(&report, &header, json, out), 0);
	assert_int_equal(report_add(&report, &bandwidth_row, NULL), 0);
	assert_int_equal(report_add(&report, &latency_row, NULL), 0);
	report.rails_lost = 1;
	assert_int_equal(report_end(&report, problem), 0);
	report_fini(&report);
	report_fini(&report);
	fclose(out);
	return text;
}

static void test_table__two_tests__perftests_columns(void **state)
{
	char *text = render(false, NULL);

	(void)state;
	assert_non_null(strstr(text, " Server         : 10.0.0.7:7480\n"));
	assert_non_null(strstr(text, " #bytes     #iterations    BW peak[MiB/sec]    "
				     "BW average[MiB/sec]   MsgRate[Mpps]"));
	assert_non_null(strstr(text, " 65536      1000           250.00             125.00  "));
	assert_non_null(strstr(text, "0.002000"));
	assert_non_null(strstr(text, "t_typical[usec]"));
	assert_non_null(
		strstr(text, " 65536      10             1.00           9.00         2.50"));
	free(text);
}

static void test_json__two_tests__what_the_table_has_and_more(void **state)
{
	char *text = render(true, "something was wrong");
	json_t *object = json_loads(text, 0, NULL), *results, *usec;

	(void)state;
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "problem")),
			    "something was wrong");
	assert_int_equal(json_integer_value(json_object_get(object, "rails_lost")), 1);
	results = json_object_get(object, "results");
	assert_int_equal(json_array_size(results), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(results, 0), "iterations")),
		1000);
	assert_true(
		json_is_null(json_object_get(json_array_get(results, 0), "server_cpu_s_per_gb")));
	assert_true(json_real_value(json_object_get(json_array_get(results, 0),
						    "bw_average_mib_s")) == 125);
	usec = json_object_get(json_array_get(results, 1), "usec");
	assert_true(json_real_value(json_object_get(usec, "t_typical")) == 2.5);
	assert_int_equal(json_array_size(json_object_get(usec, "histogram")), 2);
	json_decref(object);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table__two_tests__perftests_columns),
		cmocka_unit_test(test_json__two_tests__what_the_table_has_and_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

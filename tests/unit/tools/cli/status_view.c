/*
 * Tests of tools/cli/status_view.h: the table of fixed reports.
 */
#include "tools/cli/status_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static const char first_report[] =
	"{\"version\": \"1.2.3\", \"pid\": 42, \"node\": \"gpu-17\", \"config\": \"/etc/c.conf\","
	" \"state\": \"running\", \"uptime_ns\": 7500000000000, \"time_ns\": 1000000000,"
	" \"mount\": {\"path\": \"/mnt\", \"entries\": ["
	"   {\"path\": \"/images\", \"backing\": \"lake\", \"bucket\": \"imagenet\","
	"    \"prefix\": \"train/\"},"
	"   {\"path\": \"/a\", \"backing\": \"lake\", \"kind\": \"small-files\", \"mounted\": "
	"true},"
	"   {\"path\": \"/b\", \"backing\": \"lake\", \"kind\": \"small-files\", \"mounted\": "
	"false}"
	"   ]},"
	" \"backings\": [{\"id\": \"lake\", \"type\": \"s3\","
	"   \"description\": \"http://s3:9000, access key AK...3F\"}],"
	" \"memory\": {\"arena\": 1073741824, \"used\": 536870912, \"pinned\": 0,"
	"   \"resident\": 1090519040, \"peak\": 1090519040},"
	" \"directories\": ["
	"   {\"path\": \"/ssd0\", \"state\": \"ok\", \"capacity\": 1073741824, \"used\": 268435456,"
	"    \"objects\": 1234, \"problem\": \"\"},"
	"   {\"path\": \"/ssd1\", \"state\": \"failed\", \"capacity\": 1073741824, \"used\": 0,"
	"    \"objects\": 0, \"problem\": \"EIO\"}],"
	" \"counters\": {"
	"   \"fuse\": {\"reads\": 1000},"
	"   \"cache\": {\"read_bytes\": 104857600, \"bytes_memory\": 78643200,"
	"     \"bytes_ssd\": 26214400, \"bytes_backing\": 0,"
	"     \"fetch_bytes\": 1048576, \"repaired\": 2}},"
	" \"latency_ns\": {\"fuse_read\":"
	"   {\"count\": 5, \"mean\": 1, \"p50\": 85000, \"p99\": 1200000, \"max\": 31000000}}}";

static char *render(const char *report_text, const char *before_text)
{
	json_t *report = json_loads(report_text, 0, NULL);
	json_t *before = before_text ? json_loads(before_text, 0, NULL) : NULL;
	struct terminal terminal = { 0 };
	char *text = NULL;
	size_t len;

	assert_non_null(report);
	terminal.out = open_memstream(&text, &len);
	status_view_print(report, before, &terminal);
	fclose(terminal.out);
	json_decref(report);
	json_decref(before);
	return text;
}

static void test_print__keeper__who_it_is_and_what_became_of_the_last_worker(void **state)
{
	static const struct {
		const char *keeper, *line;
	} rows[] = {
		{ "null", "not kept: without cenoted, the end of this process ends open files\n" },
		{ "{\"pid\": 7, \"restarts\": 0, \"end\": \"none\"}", "kept by 7, no restarts\n" },
		{ "{\"pid\": 7, \"restarts\": 1, \"end\": \"signal\", \"end_code\": 9,"
		  " \"end_age_ns\": 640, \"reason\": \"\"}",
		  "kept by 7, 1 restart, the last 640 ns ago: ended by signal 9\n" },
		{ "{\"pid\": 7, \"restarts\": 1200, \"end\": \"exit\", \"end_code\": 1,"
		  " \"end_age_ns\": 640}",
		  "kept by 7, 1,200 restarts, the last 640 ns ago: ended with status 1\n" },
		{ "{\"pid\": 7, \"restarts\": 2, \"end\": \"hang\", \"end_age_ns\": 640,"
		  " \"reason\": \"READ was overdue\"}",
		  "kept by 7, 2 restarts, the last 640 ns ago: READ was overdue\n" },
		{ "{\"pid\": 7, \"restarts\": 2, \"end\": \"hang\", \"end_age_ns\": 640}",
		  "kept by 7, 2 restarts, the last 640 ns ago: it hung\n" },
		{ "{\"pid\": 7, \"restarts\": 2, \"end\": \"upgrade\", \"end_age_ns\": 640}",
		  "kept by 7, 2 restarts, the last 640 ns ago: an upgrade\n" },
		{ "{\"pid\": 7, \"restarts\": 0, \"end\": \"none\", \"resend_reason\": \"old\"}",
		  "kept by 7, no restarts; old\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char report[512];
		char *text;

		snprintf(report, sizeof(report), "{\"keeper\": %s}", rows[i].keeper);
		text = render(report, NULL);
		assert_non_null(strstr(text, rows[i].line));
		free(text);
	}
}

static void test_print__one_report__totals_and_shares(void **state)
{
	static const char expected[] =
		"cenote 1.2.3  node gpu-17  pid 42  running for 2 h 05 min\n"
		"/etc/c.conf\n"
		"\n"
		"MOUNT /mnt\n"
		"  /images              lake, bucket imagenet, prefix train/  http://s3:9000, "
		"access key AK...3F\n"
		"  /a                   lake, small-files  http://s3:9000, access key AK...3F\n"
		"  /b                   lake, small-files, not mounted: restart the service  "
		"http://s3:9000, access key AK...3F\n"
		"\n"
		"SSD                                      USED   CAPACITY              OBJECTS  "
		"STATE\n"
		"  /ssd0                               256 MiB   1.00 GiB   25 %        1,234  ok\n"
		"  /ssd1                                   0 B   1.00 GiB    0 %            0  "
		"failed: EIO\n"
		"\n"
		"MEMORY  512 MiB of 1.00 GiB used; the process holds 1.02 GiB, at most 1.02 GiB so "
		"far\n"
		"\n"
		"READ FROM                   TOTAL   SHARE\n"
		"  memory                 75.0 MiB    75 %\n"
		"  SSD                    25.0 MiB    25 %\n"
		"  backing store               0 B     0 %\n"
		"  all                     100 MiB   100 %\n"
		"  requests                  1,000\n"
		"\n"
		"MOVED\n"
		"  from backing store     1.00 MiB\n"
		"  from SSD                    0 B\n"
		"  to SSD                      0 B\n"
		"\n"
		"LATENCY                           P50        P99        MAX\n"
		"  a read                        85 us     1.2 ms    31.0 ms\n"
		"\n"
		"TROUBLE since the start\n"
		"             2  blocks whose SSD copy was bad, fetched again\n";
	char *text = render(first_report, NULL);

	(void)state;
	assert_string_equal(text, expected);
	free(text);
}

static void test_print__two_reports__rates_between_them(void **state)
{
	static const char later[] =
		"{\"time_ns\": 3000000000, \"counters\": {"
		"\"fuse\": {\"reads\": 3000},"
		"\"cache\": {\"read_bytes\": 209715200, \"bytes_memory\": 183500800,"
		"\"bytes_ssd\": 26214400, \"repaired\": 4}}}";
	char *text = render(later, first_report);

	(void)state;
	assert_non_null(strstr(text, "memory                  175 MiB    88 %     50.0 MiB/s\n"));
	assert_non_null(strstr(text, "SSD                    25.0 MiB    12 %          0 B/s\n"));
	assert_non_null(strstr(text, "requests                  3,000                1,000/s\n"));
	assert_non_null(strstr(text, "fetched again (still rising)"));
	free(text);
}

static void test_print__of_a_cluster__says_how_and_with_whom_blocks_are_shared(void **state)
{
	static const char report[] =
		"{\"cluster\": {\"name\": \"c\", \"standing\": \"member\", \"address\": "
		"\"10.0.0.1:7472\","
		"  \"problem\": \"\", \"members\": {\"alive\": 2}, \"fabric\":"
		"  {\"transport\": \"ucx (eth0)\", \"address\": \"0.0.0.0:7471\", \"placed\": 2}},"
		" \"counters\": {\"peers\": {\"fetched_bytes\": 2097152, \"staged_bytes\": 1048576,"
		"   \"mismatches\": 3}, \"cache\": {\"read_bytes\": 200, \"bytes_peer\": 100},"
		"   \"fabric\": {\"forged\": 7}},"
		" \"latency_ns\": {\"fuse_read\": {\"count\": 1}, \"peers_fetch\":"
		"   {\"count\": 5, \"p50\": 85000, \"p99\": 1200000, \"max\": 31000000}}}";
	static const char *const lines[] = {
		"  fabric ucx (eth0) at 0.0.0.0:7471, blocks are placed on 2 members\n",
		"  other nodes               100 B    50 %\n",
		"  from other nodes       2.00 MiB\n",
		"  for other nodes        1.00 MiB\n",
		"  a block from other nodes      85 us     1.2 ms    31.0 ms\n",
		"             3  blocks read from members that did not match their checks\n",
		"             7  requests outside of what may be read\n",
	};
	char *text = render(report, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("no \"%s\" in %s", lines[i], text);
	free(text);
}

static void test_print__passthrough__on_with_figures_or_off_with_the_reason(void **state)
{
	static const struct {
		const char *report, *lines[2];
	} rows[] = {
		{ "{\"mount\": {\"passthrough\": {\"used\": true, \"reason\": \"\", \"verified\": "
		  "1234, \"queued\": 5}}, \"counters\": {\"fuse\": {\"opens\": 50, "
		  "\"opens_stale\": 10, \"opens_passthrough\": 30, \"passthrough_bytes\": "
		  "2097152}}}",
		  { "  passthrough on, 1,234 files verified, 5 wait to be\n",
		    "  passthrough                  30    75 % of the opens: the kernel reads "
		    "these "
		    "files, 2.00 MiB\n" } },
		{ "{\"mount\": {\"passthrough\": {\"used\": false, \"reason\": \"no luck\"}}}",
		  { "  passthrough off: no luck\n", "" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char *text = render(rows[i].report, NULL);

		for (size_t j = 0; j < ARRAY_COUNT(rows[i].lines); j++)
			if (!strstr(text, rows[i].lines[j]))
				fail_msg("no \"%s\" in %s", rows[i].lines[j], text);
		free(text);
	}
}

static void test_print__empty_report__is_a_table_all_the_same(void **state)
{
	char *text = render("{}", NULL);

	(void)state;
	assert_non_null(strstr(text, "no errors since the start"));
	assert_non_null(strstr(text, "SSD  none"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print__one_report__totals_and_shares),
		cmocka_unit_test(test_print__keeper__who_it_is_and_what_became_of_the_last_worker),
		cmocka_unit_test(test_print__two_reports__rates_between_them),
		cmocka_unit_test(
			test_print__of_a_cluster__says_how_and_with_whom_blocks_are_shared),
		cmocka_unit_test(test_print__passthrough__on_with_figures_or_off_with_the_reason),
		cmocka_unit_test(test_print__empty_report__is_a_table_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

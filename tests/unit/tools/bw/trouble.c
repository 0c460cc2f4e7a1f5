/*
 * Tests of tools/bw/trouble.h: sentences that say what to do.
 */
#include "tools/bw/trouble.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

static char text[TROUBLE_MAX];

static struct address server(void)
{
	struct address address;

	assert_int_equal(address_parse("10.0.0.7:7480", 0, &address, (char[64]){ 0 }, 64), 0);
	return address;
}

static void test_connecting__known_causes__where_and_what_to_do(void **state)
{
	static const struct {
		int status;
		const char *why, *said;
	} rows[] = {
		{ -ECONNREFUSED, "whatever", "start `cenote-bw serve`" },
		{ -ETIMEDOUT, "", "firewall" },
		{ -EACCES, "another cluster: 'a' and 'b'", "another cluster: 'a' and 'b': both" },
		{ -EACCES, "wrong secret", "--secret-file" },
		{ -EPROTONOSUPPORT, "another version", "same version" },
		{ -EPROTO, "not a handshake", "something else" },
		{ -EBUSY, "", "try again" },
		{ -EIO, "the roof is on fire", "the roof is on fire" },
	};
	struct address address = server();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		trouble_connecting(&address, rows[i].status, rows[i].why, text);
		if (!strstr(text, "10.0.0.7:7480") || !strstr(text, rows[i].said))
			fail_msg("%s", text);
	}
}

static void test_reading__lost__how_many_reads_with_what(void **state)
{
	const struct pump_result result = {
		.failed = { { -ECONNRESET, 255 }, { -ECANCELED, 1 } },
	};
	struct address address = server();

	(void)state;
	trouble_reading(&address, &result, "peer closed", NS_PER_S, text);
	assert_non_null(strstr(text, "10.0.0.7:7480 was lost in the middle: peer closed"));
	assert_non_null(strstr(text, "255 with ECONNRESET, 1 with ECANCELED"));
}

static void test_reading__timed_out__stalled_and_for_how_long(void **state)
{
	const struct pump_result result = {
		.failed = { { -ECONNRESET, 3 }, { -ETIMEDOUT, 1 } },
	};
	struct address address = server();

	(void)state;
	trouble_reading(&address, &result, "", 5 * NS_PER_S, text);
	assert_non_null(strstr(text, "stalled"));
	assert_non_null(strstr(text, "5.0 s"));
	assert_non_null(strstr(text, "--read-timeout"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connecting__known_causes__where_and_what_to_do),
		cmocka_unit_test(test_reading__lost__how_many_reads_with_what),
		cmocka_unit_test(test_reading__timed_out__stalled_and_for_how_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

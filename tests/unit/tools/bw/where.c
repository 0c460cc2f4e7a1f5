/*
 * Tests of tools/bw/where.h.
 */
#include "tools/bw/where.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static char problem[TROUBLE_MAX];

static void check_is(const char *text, const char *expected)
{
	struct address address;
	char found[ADDRESS_TEXT_MAX];

	if (where_is(text, 7480, &address, problem) != 0)
		fail_msg("%s: %s", text, problem);
	assert_string_equal(address_text(&address, found), expected);
}

static void test_is__addresses__with_and_without_port(void **state)
{
	(void)state;
	check_is("10.0.0.7", "10.0.0.7:7480");
	check_is("10.0.0.7:99", "10.0.0.7:99");
	check_is("::1", "[::1]:7480");
	check_is("[::1]:99", "[::1]:99");
}

static void test_is__a_name__is_resolved(void **state)
{
	struct address address;

	(void)state;
	assert_int_equal(where_is("localhost:99", 7480, &address, problem), 0);
	assert_int_equal(address_port(&address), 99);
	assert_int_equal(where_is("localhost", 7480, &address, problem), 0);
	assert_int_equal(address_port(&address), 7480);
}

static void test_is__nonsense__says_so(void **state)
{
	static const char *const rows[] = { "",		  "host:",   "host:x",
					    "host:70000", ":7480",   "host:-1",
					    "host: 1",	  "host:1x", "10.0.0.7:99999" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct address address;

		problem[0] = '\0';
		if (where_is(rows[i], 7480, &address, problem) == 0 || !problem[0])
			fail_msg("'%s': %s", rows[i], problem);
	}
}

static void test_are_we__on_the_way_to_ourselves__the_same_address(void **state)
{
	struct address server, ours;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(where_is("127.0.0.1:7480", 0, &server, problem), 0);
	assert_int_equal(where_are_we(&server, &ours), 0);
	assert_string_equal(address_text(&ours, text), "127.0.0.1:0");
}

static void test_reachable__an_any_address__becomes_one_to_connect_to(void **state)
{
	struct address any, found;

	(void)state;
	assert_int_equal(where_is("0.0.0.0:7480", 0, &any, problem), 0);
	where_reachable(&any, &found);
	assert_false(address_is_any(&found));
	assert_int_equal(address_port(&found), 7480);
	assert_int_equal(where_is("10.1.2.3:7480", 0, &any, problem), 0);
	where_reachable(&any, &found);
	assert_true(address_equal(&any, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is__addresses__with_and_without_port),
		cmocka_unit_test(test_is__a_name__is_resolved),
		cmocka_unit_test(test_is__nonsense__says_so),
		cmocka_unit_test(test_are_we__on_the_way_to_ourselves__the_same_address),
		cmocka_unit_test(test_reachable__an_any_address__becomes_one_to_connect_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Addresses as text and on the wire. */
#include "base/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static void test_parse__what_people_write__is_printed_in_full(void **state)
{
	static const struct {
		const char *text, *printed;
	} rows[] = {
		{ "10.0.0.7", "10.0.0.7:7471" },
		{ "10.0.0.7:1", "10.0.0.7:1" },
		{ "0.0.0.0:65535", "0.0.0.0:65535" },
		{ "::1", "[::1]:7471" },
		{ "[::1]", "[::1]:7471" },
		{ "[fd00::7]:80", "[fd00::7]:80" },
		{ "[fe80::1%lo]:80", "[fe80::1%lo]:80" },
	};
	char problem[128], text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct address address;

		assert_int_equal(
			address_parse(rows[i].text, 7471, &address, problem, sizeof(problem)), 0);
		assert_string_equal(address_text(&address, text), rows[i].printed);
	}
}

static void test_parse__anything_else__is_refused_and_named(void **state)
{
	static const char *const rows[] = {
		"",	  "host",   "10.0.0.7:", "10.0.0.7:65536", "10.0.0.7:x", "[::1",
		"[::1]x", "[::1]:", "10.0.0",	 "fe80::1%none0",  "10.0.0.7:-1"
	};
	char problem[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct address address;

		assert_int_equal(address_parse(rows[i], 1, &address, problem, sizeof(problem)),
				 -EINVAL);
		assert_non_null(strstr(problem, rows[i]));
	}
}

static void test_encode__each_family__decodes_to_the_same(void **state)
{
	static const char *const rows[] = { "10.0.0.7:7471", "[fd00::7]:80", "[::]:0" };
	uint8_t wire[ADDRESS_WIRE_LEN];
	char problem[128];
	struct address address = { 0 }, back;

	(void)state;
	address_encode(&address, wire);
	assert_int_equal(address_decode(wire, &back), 0);
	assert_true(address_equal(&address, &back));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(address_parse(rows[i], 1, &address, problem, sizeof(problem)), 0);
		address_encode(&address, wire);
		assert_int_equal(address_decode(wire, &back), 0);
		assert_true(address_equal(&address, &back));
	}
}

static void test_decode__what_encode_does_not_write__is_refused(void **state)
{
	static const struct {
		unsigned off;
		uint8_t value;
	} rows[] = { { 0, 5 }, { 0, 0xff }, { 7, 1 }, { 16, 1 } };
	uint8_t wire[ADDRESS_WIRE_LEN];
	char problem[128];
	struct address address;

	(void)state;
	assert_int_equal(address_parse("10.0.0.7:1", 1, &address, problem, sizeof(problem)), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		address_encode(&address, wire);
		wire[rows[i].off] = rows[i].value;
		assert_int_equal(address_decode(wire, &address), -EBADMSG);
	}
	memset(wire, 0, sizeof(wire));
	wire[17] = 1;
	assert_int_equal(address_decode(wire, &address), -EBADMSG);
}

static void test_equal__what_differs__is_seen(void **state)
{
	static const char *const others[] = { "10.0.0.8:1", "10.0.0.7:2", "[::1]:1" };
	char problem[128];
	struct address a, b, none = { 0 };

	(void)state;
	assert_int_equal(address_parse("10.0.0.7:1", 1, &a, problem, sizeof(problem)), 0);
	assert_true(address_equal(&a, &a));
	assert_false(address_equal(&a, &none));
	assert_int_equal(address_len(&none), 0);
	for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
		assert_int_equal(address_parse(others[i], 1, &b, problem, sizeof(problem)), 0);
		assert_false(address_equal(&a, &b));
	}
}

static void test_is_any__wildcards__alone(void **state)
{
	char problem[128];
	struct address address;

	(void)state;
	assert_int_equal(address_parse("0.0.0.0", 1, &address, problem, sizeof(problem)), 0);
	assert_true(address_is_any(&address));
	assert_int_equal(address_parse("::", 1, &address, problem, sizeof(problem)), 0);
	assert_true(address_is_any(&address));
	assert_int_equal(address_parse("127.0.0.1", 1, &address, problem, sizeof(problem)), 0);
	assert_false(address_is_any(&address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__what_people_write__is_printed_in_full),
		cmocka_unit_test(test_parse__anything_else__is_refused_and_named),
		cmocka_unit_test(test_encode__each_family__decodes_to_the_same),
		cmocka_unit_test(test_decode__what_encode_does_not_write__is_refused),
		cmocka_unit_test(test_equal__what_differs__is_seen),
		cmocka_unit_test(test_is_any__wildcards__alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

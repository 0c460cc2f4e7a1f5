/*
 * Tests of error_xml.h.
 */
#include "s3/wire/error_xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_error_xml_parse__rows(void **state)
{
	static const struct {
		const char *body, *code, *message;
	} rows[] = {
		{ "", "", "" },
		{ "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message>"
		  "</Error>",
		  "NoSuchKey", "gone" },
		{ "<Error><Code>SlowDown</Code>", "SlowDown", "" },
		{ "<Error><Code>Slow", "Slow", "" },
		{ "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>ExpiredToken"
		  "Exception</Code></Error></ErrorResponse>",
		  "ExpiredTokenException", "" },
		{ "<html><body><h1>502 Bad Gateway</h1></body></html>", "", "" },
		{ "Service Unavailable", "", "" },
		{ "<Error><Code>A B\n\"C</Code><Message>x\ny\xc3\xbc</Message></Error>", "ABC",
		  "x?y??" },
		{ "<Error><Code>First</Code><Code>Second</Code></Error>", "First", "" },
		{ "<!DOCTYPE a [<!ENTITY e \"boom\">]><Error><Code>&e;</Code></Error>", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct error_xml out;
		error_xml_parse(rows[i].body, strlen(rows[i].body), &out);
		assert_string_equal(out.code, rows[i].code);
		assert_string_equal(out.message, rows[i].message);
	}
}

static void test_error_xml_parse__overlong_values__are_cut(void **state)
{
	char body[ERROR_XML_LEN_MAX];
	struct error_xml out;
	size_t len = (size_t)sprintf(
		body, "<Error><Code>%0*d</Code><Message>%0*d</Message></Error>", 200, 1, 500, 2);

	(void)state;
	error_xml_parse(body, len, &out);
	assert_int_equal(strlen(out.code), STATUS_CODE_MAX - 1);
	assert_int_equal(strlen(out.message), ERROR_XML_MESSAGE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_xml_parse__rows),
		cmocka_unit_test(test_error_xml_parse__overlong_values__are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

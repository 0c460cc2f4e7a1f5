/*
 * Tests of text.h.
 */
#include "s3/wire/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

static void test_text_add__many_pieces__are_joined(void **state)
{
	struct text text = { 0 };

	(void)state;
	assert_string_equal(text_get(&text), "");
	for (int i = 0; i < 1000; i++)
		text_addf(&text, "%03d", i);
	assert_int_equal(text.len, 3000);
	assert_false(text_failed(&text));
	assert_string_equal(text_get(&text) + 2997, "999");
	text_reset(&text);
	assert_string_equal(text_get(&text), "");
	text_add(&text, "again");
	text_add_bytes(&text, "\0x", 2);
	assert_int_equal(text.len, 7);
	text_fini(&text);
	assert_null(text.data);
}

static void test_text_add__beyond_the_limit__fails_and_stays_failed(void **state)
{
	static char large[TEXT_LEN_MAX];
	struct text text = { 0 };

	(void)state;
	memset(large, 'x', sizeof(large));
	text_add_bytes(&text, large, TEXT_LEN_MAX - 1);
	assert_false(text_failed(&text));
	text_add(&text, "y");
	assert_true(text_failed(&text));
	assert_int_equal(text.len, TEXT_LEN_MAX - 1);
	text_add(&text, "");
	assert_true(text_failed(&text));
	text_reset(&text);
	assert_false(text_failed(&text));
	text_fini(&text);
}

static void test_text_add__no_memory__keeps_what_was_there(void **state)
{
	struct text text = { 0 };
	char piece[300];

	(void)state;
	memset(piece, 'p', sizeof(piece));
	text_add(&text, "before");
	allocation_fault_arm(1);
	text_add_bytes(&text, piece, sizeof(piece));
	assert_true(allocation_fault_disarm());
	assert_true(text_failed(&text));
	assert_string_equal(text_get(&text), "before");
	text_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_add__many_pieces__are_joined),
		cmocka_unit_test(test_text_add__beyond_the_limit__fails_and_stays_failed),
		cmocka_unit_test(test_text_add__no_memory__keeps_what_was_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

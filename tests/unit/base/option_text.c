/*
 * Tests of option_type_text() and option_value_text().
 */
#include "base/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

static const char *const colours[] = { "red", "green", NULL };
static const struct option_group empty_group = { .name = "empty", .size = 8 };

#define TYPE(option_type, ...)                                                                     \
	{                                                                                          \
		.name = "x", .type = (option_type), __VA_ARGS__                                    \
	}

static void test_option_type_text__each_type__says_what_is_accepted(void **state)
{
	static const struct {
		struct option option;
		const char *text;
	} rows[] = {
		{ TYPE(OPTION_BOOL, .min = 0), "true or false" },
		{ TYPE(OPTION_INT, .min = 0), "whole number" },
		{ TYPE(OPTION_INT, .min = 1, .max = 64), "whole number from 1 to 64" },
		{ TYPE(OPTION_INT, .min = 1), "whole number of at least 1" },
		{ TYPE(OPTION_INT, .min = -3, .max = 0), "whole number from -3 to 0" },
		{ TYPE(OPTION_BYTES, .min = 0), "size" },
		{ TYPE(OPTION_BYTES, .max = 1 << 20), "size from 0 to 1 MiB" },
		{ TYPE(OPTION_DURATION, .min = 1000), "duration of at least 1 us" },
		{ TYPE(OPTION_MODE, .min = 0), "octal file mode" },
		{ TYPE(OPTION_STRING, .min = 0), "text" },
		{ TYPE(OPTION_STRING, .min = 1, .max = 9), "text from 1 to 9 bytes" },
		{ TYPE(OPTION_STRINGS, .min = 0), "list of texts" },
		{ TYPE(OPTION_CHOICE, .choices = colours), "one of red, green" },
		{ TYPE(OPTION_STRUCT, .group = &empty_group), "group { ... }" },
		{ TYPE(OPTION_STRUCTS, .group = &empty_group), "list of groups ( { ... }, ... )" },
	};
	char text[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		option_type_text(&rows[i].option, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

static void check_number(enum option_type type, uint64_t value, const char *wanted)
{
	const struct option option = { .name = "x", .type = type };
	char text[64];

	option_value_text(&option, &value, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static void test_option_value_text__numbers__take_the_unit_that_fits(void **state)
{
	(void)state;
	check_number(OPTION_BYTES, 0, "0");
	check_number(OPTION_BYTES, 1, "1");
	check_number(OPTION_BYTES, 4096, "4 KiB");
	check_number(OPTION_BYTES, 4097, "4097");
	check_number(OPTION_BYTES, 3 << 20, "3 MiB");
	check_number(OPTION_BYTES, UINT64_C(5) << 60, "5 EiB");
	check_number(OPTION_BYTES, 500000000, "500 MB");
	check_number(OPTION_BYTES, UINT64_C(1000000000000), "1 TB");
	check_number(OPTION_DURATION, 0, "0");
	check_number(OPTION_DURATION, 1, "1 ns");
	check_number(OPTION_DURATION, 1500, "1500 ns");
	check_number(OPTION_DURATION, 2000, "2 us");
	check_number(OPTION_DURATION, 200 * NS_PER_MS, "200 ms");
	check_number(OPTION_DURATION, 90 * NS_PER_S, "90 s");
	check_number(OPTION_DURATION, 120 * NS_PER_S, "2 min");
	check_number(OPTION_DURATION, 7200 * NS_PER_S, "2 h");
	check_number(OPTION_DURATION, 172800 * NS_PER_S, "2 d");
	check_number(OPTION_INT, (uint64_t)-5, "-5");
	check_number(OPTION_MODE, 0640, "0640");
	check_number(OPTION_BOOL, 1, "true");
	check_number(OPTION_BOOL, 0, "false");
	check_number(OPTION_STRUCT, 0, "{ ... }");
}

static void test_option_value_text__texts_lists_choices__read_like_input(void **state)
{
	static const struct option text_option = { .name = "x", .type = OPTION_STRING };
	static const struct option list_option = { .name = "x", .type = OPTION_STRINGS };
	static const struct option many_option = { .name = "x", .type = OPTION_STRUCTS };
	static const struct option choice_option = { .name = "x",
						     .type = OPTION_CHOICE,
						     .choices = colours };
	char one[] = "one", two[] = "two";
	char *items[] = { one, two };
	struct option_strings list = { items, 2 };
	struct option_structs many = { NULL, 1 };
	char *string = one;
	int choice = 1;
	char text[64];

	(void)state;
	option_value_text(&text_option, &string, text, sizeof(text));
	assert_string_equal(text, "one");
	string = NULL;
	option_value_text(&text_option, &string, text, sizeof(text));
	assert_string_equal(text, "");
	option_value_text(&list_option, &list, text, sizeof(text));
	assert_string_equal(text, "one, two");
	list.count = 0;
	option_value_text(&list_option, &list, text, sizeof(text));
	assert_string_equal(text, "");
	option_value_text(&choice_option, &choice, text, sizeof(text));
	assert_string_equal(text, "green");
	option_value_text(&many_option, &many, text, sizeof(text));
	assert_string_equal(text, "(1 group)");
	many.count = 3;
	option_value_text(&many_option, &many, text, sizeof(text));
	assert_string_equal(text, "(3 groups)");
}

static void test_option_value_text__a_secret__is_never_shown(void **state)
{
	static const enum option_type types[] = { OPTION_STRING, OPTION_INT, OPTION_STRINGS };
	char hunter[] = "hunter2";
	char *items[] = { hunter };
	struct option_strings value = { items, 1 };
	char text[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(types); i++) {
		const struct option option = { .name = "x",
					       .type = types[i],
					       .flags = OPTION_SECRET };

		option_value_text(&option, &value, text, sizeof(text));
		assert_string_equal(text, "(secret)");
	}
}

static void test_option_value_text__a_small_buffer__is_cut_not_overrun(void **state)
{
	static const struct option list_option = { .name = "x", .type = OPTION_STRINGS };
	char one[] = "one", two[] = "two";
	char *items[] = { one, two, one, two };
	struct option_strings list = { items, 4 };
	char text[16];

	(void)state;
	for (size_t size = 1; size < 12; size++) {
		memset(text, '#', sizeof(text));
		option_value_text(&list_option, &list, text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_memory_equal(text, "one, two, one", size - 1);
		assert_int_equal(text[size], '#');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_type_text__each_type__says_what_is_accepted),
		cmocka_unit_test(test_option_value_text__numbers__take_the_unit_that_fits),
		cmocka_unit_test(test_option_value_text__texts_lists_choices__read_like_input),
		cmocka_unit_test(test_option_value_text__a_secret__is_never_shown),
		cmocka_unit_test(test_option_value_text__a_small_buffer__is_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of suggest.h.
 */
#include "base/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_suggestion__of_names__is_the_nearest(void **state)
{
	static const char *const names[] = { "memory", "directory", "endpoint", "bucket", "log" };
	static const struct {
		const char *wanted, *text;
	} rows[] = {
		{ "mememory", "; did you mean memory?" },
		{ "memry", "; did you mean memory?" },
		{ "memroy", "; did you mean memory?" },
		{ "endpt", "; did you mean endpoint?" },
		{ "buckets", "; did you mean bucket?" },
		{ "lgo", "; did you mean log?" },
		{ "memory", "; did you mean memory?" },
		{ "directories", "; did you mean directory?" },
		{ "dir", "; did you mean directory?" },
		{ "di", "" },
		{ "x", "" },
		{ "", "" },
		{ "completely_different", "" },
		{ "abc", "" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct suggestion suggestion;

		suggestion_init(&suggestion, rows[i].wanted, "");
		for (unsigned j = 0; j < ARRAY_COUNT(names); j++)
			suggestion_offer(&suggestion, names[j]);
		assert_string_equal(suggestion_text(&suggestion), rows[i].text);
	}
}

static void test_suggestion__nothing_offered__is_empty(void **state)
{
	struct suggestion suggestion;

	(void)state;
	suggestion_init(&suggestion, "memory", "");
	assert_string_equal(suggestion_text(&suggestion), "");
}

static void test_suggestion__names_at_the_limit__are_whole(void **state)
{
	char name[SUGGESTION_NAME_MAX + 2], wanted[SUGGESTION_NAME_MAX + 2];
	struct suggestion suggestion;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[SUGGESTION_NAME_MAX] = 0;
	memcpy(wanted, name, sizeof(name));
	wanted[0] = 'b';
	suggestion_init(&suggestion, wanted, "--");
	suggestion_offer(&suggestion, name);
	assert_int_equal(strlen(suggestion_text(&suggestion)),
			 strlen("; did you mean --?") + SUGGESTION_NAME_MAX);
	name[SUGGESTION_NAME_MAX] = 'a';
	name[SUGGESTION_NAME_MAX + 1] = 0;
	suggestion_init(&suggestion, wanted, "--");
	suggestion_offer(&suggestion, name);
	assert_string_equal(suggestion_text(&suggestion), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suggestion__of_names__is_the_nearest),
		cmocka_unit_test(test_suggestion__nothing_offered__is_empty),
		cmocka_unit_test(test_suggestion__names_at_the_limit__are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

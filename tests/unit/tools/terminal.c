/*
 * Tests of tools/terminal.h.
 */
#include "tools/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

struct row {
	uint64_t value;
	const char *text;
};

static void check_rows(const char *(*to_text)(uint64_t, char *), const struct row *rows,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[TERMINAL_TEXT_MAX];

		assert_string_equal(to_text(rows[i].value, text), rows[i].text);
	}
}

static void test_text_bytes__any_size__three_digits_and_a_unit(void **state)
{
	static const struct row rows[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "0.98 KiB" },
		{ 1024, "1.00 KiB" },
		{ 10 << 10, "10.0 KiB" },
		{ 1023 << 10, "1.00 MiB" },
		{ UINT64_C(4) << 30, "4.00 GiB" },
		{ UINT64_C(900) << 30, "900 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};

	(void)state;
	check_rows(text_bytes, rows, ARRAY_COUNT(rows));
}

static void test_text_count__any_number__in_groups_of_three(void **state)
{
	static const struct row rows[] = {
		{ 0, "0" },
		{ 999, "999" },
		{ 1000, "1,000" },
		{ 1234567, "1,234,567" },
		{ UINT64_MAX, "18,446,744,073,709,551,615" },
	};

	(void)state;
	check_rows(text_count, rows, ARRAY_COUNT(rows));
}

static void test_text_duration__any_time__in_the_unit_that_fits(void **state)
{
	static const struct row rows[] = {
		{ 0, "0 us" },
		{ 640, "640 ns" },
		{ 85000, "85 us" },
		{ 12400000, "12.4 ms" },
		{ 3100 * NS_PER_MS, "3.1 s" },
		{ 65 * NS_PER_S, "1 min 05 s" },
		{ 7500 * NS_PER_S, "2 h 05 min" },
		{ (6 * 24 + 3) * UINT64_C(3600) * NS_PER_S, "6 d 3 h" },
	};

	(void)state;
	check_rows(text_duration, rows, ARRAY_COUNT(rows));
}

static void test_text_percent__of_parts__never_hides_a_part(void **state)
{
	static const struct {
		uint64_t part, whole;
		const char *text;
	} rows[] = {
		{ 0, 0, "-" },	     { 0, 10, "0 %" },	     { 1, 1000, "<1 %" },
		{ 37, 100, "37 %" }, { 999, 1000, ">99 %" }, { 10, 10, "100 %" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char text[TERMINAL_TEXT_MAX];

		assert_string_equal(text_percent(rows[i].part, rows[i].whole, text), rows[i].text);
	}
}

static void test_print__not_a_terminal__is_plain_text(void **state)
{
	struct terminal terminal;
	char *text = NULL;
	size_t len;
	FILE *out = tmpfile();

	(void)state;
	assert_non_null(out);
	terminal_open(out, &terminal);
	assert_false(terminal.color);
	assert_false(terminal.live);
	fclose(out);
	terminal.out = open_memstream(&text, &len);
	terminal_print(&terminal, TERMINAL_BAD, "%d", 5);
	progress_show(&terminal, "label", 1, 2, "note");
	progress_clear(&terminal);
	fclose(terminal.out);
	assert_string_equal(text, "5");
	free(text);
}

static void test_progress__on_a_terminal__overwrites_its_line(void **state)
{
	static const struct {
		uint64_t done, total;
		const char *text;
	} rows[] = {
		{ 0, 0, "\r\033[Klabel  note" },
		{ 1, 2, "\r\033[Klabel  [############............]  note" },
		{ 3, 2, "\r\033[Klabel  [########################]  note" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct terminal terminal = { .live = true };
		char *text = NULL;
		size_t len;

		terminal.out = open_memstream(&text, &len);
		progress_show(&terminal, "label", rows[i].done, rows[i].total, "note");
		fclose(terminal.out);
		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_bytes__any_size__three_digits_and_a_unit),
		cmocka_unit_test(test_text_count__any_number__in_groups_of_three),
		cmocka_unit_test(test_text_duration__any_time__in_the_unit_that_fits),
		cmocka_unit_test(test_text_percent__of_parts__never_hides_a_part),
		cmocka_unit_test(test_print__not_a_terminal__is_plain_text),
		cmocka_unit_test(test_progress__on_a_terminal__overwrites_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

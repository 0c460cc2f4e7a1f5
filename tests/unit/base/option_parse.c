/*
 * Tests of option_set_text(): every type, its limits, and the text of each refusal.
 */
#include "base/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"

struct all {
	bool flag;
	int64_t number, bounded, least;
	uint64_t size, bounded_size, duration, bounded_duration;
	uint32_t mode;
	char *text, *bounded_text, *secret;
	struct option_strings list, bounded_list;
	int choice;
	uint64_t secret_size;
	struct {
		int64_t x;
	} group;
};

static const char *const levels[] = { "error", "warning", "debug", NULL };
static const struct option_group no_group;

enum {
	FLAG,
	NUMBER,
	BOUNDED,
	LEAST,
	SIZE,
	BOUNDED_SIZE,
	DURATION,
	BOUNDED_DURATION,
	MODE,
	TEXT,
	BOUNDED_TEXT,
	SECRET,
	LIST,
	BOUNDED_LIST,
	CHOICE,
	SECRET_SIZE,
	GROUP,
};

static const struct option options[] = {
	OPTION(struct all, flag, OPTION_BOOL),
	OPTION(struct all, number, OPTION_INT),
	OPTION(struct all, bounded, OPTION_INT, .min = -5, .max = 10),
	OPTION(struct all, least, OPTION_INT, .min = 1),
	OPTION(struct all, size, OPTION_BYTES),
	OPTION(struct all, bounded_size, OPTION_BYTES, .min = 16384, .max = 10 << 20),
	OPTION(struct all, duration, OPTION_DURATION),
	OPTION(struct all, bounded_duration, OPTION_DURATION, .min = 1000000,
	       .max = INT64_C(60000000000)),
	OPTION(struct all, mode, OPTION_MODE),
	OPTION(struct all, text, OPTION_STRING),
	OPTION(struct all, bounded_text, OPTION_STRING, .min = 1, .max = 4),
	OPTION(struct all, secret, OPTION_STRING, .flags = OPTION_SECRET, .max = 4),
	OPTION(struct all, list, OPTION_STRINGS),
	OPTION(struct all, bounded_list, OPTION_STRINGS, .min = 1, .max = 2),
	OPTION(struct all, choice, OPTION_CHOICE, .choices = levels),
	OPTION(struct all, secret_size, OPTION_BYTES, .flags = OPTION_SECRET),
	OPTION(struct all, group, OPTION_STRUCT, .group = &no_group),
};

static const struct option_group group = OPTION_GROUP_OF("all", struct all, options);

/* -EINVAL rows: the problem; others: the value as a number. */
struct row {
	int option;
	const char *text;
	const char *problem;
	int64_t value;
};

static int64_t value_of(const struct option *option, const void *value)
{
	const void *field = (const char *)value + option->offset;

	switch (option->type) {
	case OPTION_BOOL:
		return *(const bool *)field;
	case OPTION_CHOICE:
		return *(const int *)field;
	case OPTION_MODE:
		return *(const uint32_t *)field;
	default:
		return *(const int64_t *)field;
	}
}

static void check_rows(const struct row *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct option *option = &options[rows[i].option];
		char problem[OPTION_PROBLEM_MAX] = "";
		struct all all, before;
		int error;

		memset(&all, 0, sizeof(all));
		*(uint32_t *)(void *)((char *)&all + option->offset) = 1;
		memcpy(&before, &all, sizeof(all));
		error = option_set_text(option, &all, rows[i].text, problem, sizeof(problem));
		if (rows[i].problem) {
			assert_string_equal(problem, rows[i].problem);
			assert_int_equal(error, -EINVAL);
			assert_memory_equal(&all, &before, sizeof(all));
		} else {
			assert_string_equal(problem, "");
			assert_int_equal(error, 0);
			assert_int_equal(value_of(option, &all), rows[i].value);
		}
	}
}

#define KI INT64_C(1024)
#define MI (1024 * KI)
#define GI (1024 * MI)
#define TI (1024 * GI)

#define NO_SIZE                                                                                    \
	" is not a size: a whole number of bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, "   \
	"GB or TB"

static void test_option_set_text__sizes__are_read_or_refused(void **state)
{
	static const struct row rows[] = {
		{ SIZE, "0", NULL, 0 },
		{ SIZE, "4096", NULL, 4096 },
		{ SIZE, "007", NULL, 7 },
		{ SIZE, "12 B", NULL, 12 },
		{ SIZE, "4 GiB", NULL, 4 * GI },
		{ SIZE, "64KiB", NULL, 64 * KI },
		{ SIZE, "64 kib", NULL, 64 * KI },
		{ SIZE, " 1\tMiB ", NULL, MI },
		{ SIZE, "3 TiB", NULL, 3 * TI },
		{ SIZE, "2 PiB", NULL, 2048 * TI },
		{ SIZE, "7 EiB", NULL, 7 * MI * TI },
		{ SIZE, "5 kB", NULL, 5000 },
		{ SIZE, "5 MB", NULL, 5000000 },
		{ SIZE, "5 GB", NULL, INT64_C(5000000000) },
		{ SIZE, "1 TB", NULL, INT64_C(1000000000000) },
		{ SIZE, "1 PB", NULL, INT64_C(1000000000000000) },
		{ SIZE, "9 EB", NULL, INT64_C(9000000000000000000) },
		{ SIZE, "9223372036854775807", NULL, INT64_MAX },
		{ SIZE, "9223372036854775808", "'9223372036854775808' is too large", 0 },
		{ SIZE, "99999999999999999999999", "'99999999999999999999999' is too large", 0 },
		{ SIZE, "8 EiB", "'8 EiB' is too large", 0 },
		{ SIZE, "16 EiB", "'16 EiB' is too large", 0 },
		{ SIZE, "10 EB", "'10 EB' is too large", 0 },
		{ SIZE, "", "''" NO_SIZE, 0 },
		{ SIZE, "GiB", "'GiB'" NO_SIZE, 0 },
		{ SIZE, "-1", "'-1'" NO_SIZE, 0 },
		{ SIZE, "1.5 GiB", "'1.5 GiB'" NO_SIZE, 0 },
		{ SIZE, "4 G", "'4 G'" NO_SIZE, 0 },
		{ SIZE, "4 GiB x", "'4 GiB x'" NO_SIZE, 0 },
		{ SIZE, "4 4", "'4 4'" NO_SIZE, 0 },
		{ SIZE, "12 parsecs", "'12 parsecs'" NO_SIZE, 0 },
		{ SIZE, "99999999999999999999 parsecs", "'99999999999999999999 parsecs'" NO_SIZE,
		  0 },
		{ BOUNDED_SIZE, "16 KiB", NULL, 16384 },
		{ BOUNDED_SIZE, "10 MiB", NULL, 10 * MI },
		{ BOUNDED_SIZE, "16383", "'16383' is out of range: size from 16 KiB to 10 MiB", 0 },
		{ BOUNDED_SIZE, "11 MiB", "'11 MiB' is out of range: size from 16 KiB to 10 MiB",
		  0 },
		{ BOUNDED_SIZE, "99 EiB", "'99 EiB' is out of range: size from 16 KiB to 10 MiB",
		  0 },
		{ SECRET_SIZE, "hunter2", "the value (secret)" NO_SIZE, 0 },
	};

	(void)state;
	check_rows(rows, ARRAY_COUNT(rows));
}

#define NO_DURATION " is not a duration: a number with ns, us, ms, s, min, h or d"
#define NO_UNIT	    " has no unit: a duration is a number with ns, us, ms, s, min, h or d"

static void test_option_set_text__durations__are_read_or_refused(void **state)
{
	static const struct row rows[] = {
		{ DURATION, "0", NULL, 0 },
		{ DURATION, "0 s", NULL, 0 },
		{ DURATION, "7 ns", NULL, 7 },
		{ DURATION, "7us", NULL, 7000 },
		{ DURATION, "200 ms", NULL, 200 * (int64_t)NS_PER_MS },
		{ DURATION, "30 s", NULL, 30 * (int64_t)NS_PER_S },
		{ DURATION, "5 min", NULL, 300 * (int64_t)NS_PER_S },
		{ DURATION, "1 h", NULL, 3600 * (int64_t)NS_PER_S },
		{ DURATION, "2 d", NULL, 172800 * (int64_t)NS_PER_S },
		{ DURATION, "30", "'30'" NO_UNIT, 0 },
		{ DURATION, "99999999999999999999", "'99999999999999999999'" NO_UNIT, 0 },
		{ DURATION, "5 parsecs", "'5 parsecs'" NO_DURATION, 0 },
		{ DURATION, "5 m", "'5 m'" NO_DURATION, 0 },
		{ DURATION, "", "''" NO_DURATION, 0 },
		{ DURATION, "-5 s", "'-5 s'" NO_DURATION, 0 },
		{ DURATION, "0.5 s", "'0.5 s'" NO_DURATION, 0 },
		{ DURATION, "1000000 d", "'1000000 d' is too large", 0 },
		{ BOUNDED_DURATION, "1 ms", NULL, 1000000 },
		{ BOUNDED_DURATION, "1 min", NULL, 60 * (int64_t)NS_PER_S },
		{ BOUNDED_DURATION, "0", "'0' is out of range: duration from 1 ms to 1 min", 0 },
		{ BOUNDED_DURATION, "61 s", "'61 s' is out of range: duration from 1 ms to 1 min",
		  0 },
	};

	(void)state;
	check_rows(rows, ARRAY_COUNT(rows));
}

static void test_option_set_text__integers__are_read_or_refused(void **state)
{
	static const struct row rows[] = {
		{ NUMBER, "0", NULL, 0 },
		{ NUMBER, "-12", NULL, -12 },
		{ NUMBER, "+12", NULL, 12 },
		{ NUMBER, " 12 ", NULL, 12 },
		{ NUMBER, "9223372036854775807", NULL, INT64_MAX },
		{ NUMBER, "9223372036854775808", "'9223372036854775808' is too large", 0 },
		{ NUMBER, "", "'' is not a whole number", 0 },
		{ NUMBER, "-", "'-' is not a whole number", 0 },
		{ NUMBER, "--1", "'--1' is not a whole number", 0 },
		{ NUMBER, "1x", "'1x' is not a whole number", 0 },
		{ NUMBER, "0x10", "'0x10' is not a whole number", 0 },
		{ NUMBER, "1.5", "'1.5' is not a whole number", 0 },
		{ BOUNDED, "-5", NULL, -5 },
		{ BOUNDED, "10", NULL, 10 },
		{ BOUNDED, "-6", "'-6' is out of range: whole number from -5 to 10", 0 },
		{ BOUNDED, "11", "'11' is out of range: whole number from -5 to 10", 0 },
		{ LEAST, "1000000", NULL, 1000000 },
		{ LEAST, "0", "'0' is out of range: whole number of at least 1", 0 },
	};

	(void)state;
	check_rows(rows, ARRAY_COUNT(rows));
}

static void test_option_set_text__words_and_modes__are_read_or_refused(void **state)
{
	static const struct row rows[] = {
		{ FLAG, "true", NULL, 1 },
		{ FLAG, "Yes", NULL, 1 },
		{ FLAG, "on", NULL, 1 },
		{ FLAG, "FALSE", NULL, 0 },
		{ FLAG, "no", NULL, 0 },
		{ FLAG, "off", NULL, 0 },
		{ FLAG, "1", "'1' is not true or false (also yes, no, on, off)", 0 },
		{ FLAG, "", "'' is not true or false (also yes, no, on, off)", 0 },
		{ MODE, "0644", NULL, 0644 },
		{ MODE, "755", NULL, 0755 },
		{ MODE, "7777", NULL, 07777 },
		{ MODE, "000000", NULL, 0 },
		{ MODE, "10000", "'10000' is not a file mode: at most 7777", 0 },
		{ MODE, "0000644", "'0000644' is not a file mode: octal digits such as 0644", 0 },
		{ MODE, "0689", "'0689' is not a file mode: octal digits such as 0644", 0 },
		{ MODE, "", "'' is not a file mode: octal digits such as 0644", 0 },
		{ MODE, "u+r", "'u+r' is not a file mode: octal digits such as 0644", 0 },
		{ CHOICE, "error", NULL, 0 },
		{ CHOICE, "debug", NULL, 2 },
		{ CHOICE, "debgu",
		  "'debgu' is not one of error, warning, debug; did you mean debug?", 0 },
		{ CHOICE, "loud", "'loud' is not one of error, warning, debug", 0 },
		{ CHOICE, "", "'' is not one of error, warning, debug", 0 },
		{ GROUP, "x", "a group cannot be given as text", 0 },
	};

	(void)state;
	check_rows(rows, ARRAY_COUNT(rows));
}

static void check_refused(int option, struct all *all, const char *text, const char *wanted)
{
	char problem[OPTION_PROBLEM_MAX] = "";

	assert_int_equal(option_set_text(&options[option], all, text, problem, sizeof(problem)),
			 -EINVAL);
	assert_string_equal(problem, wanted);
}

static void test_option_set_text__texts__replace_and_are_measured(void **state)
{
	char problem[OPTION_PROBLEM_MAX];
	struct all all = { 0 };

	(void)state;
	assert_int_equal(option_set_text(&options[TEXT], &all, "one", problem, 1), 0);
	assert_int_equal(option_set_text(&options[TEXT], &all, "", problem, 1), 0);
	assert_string_equal(all.text, "");
	assert_int_equal(option_set_text(&options[BOUNDED_TEXT], &all, "1234", problem, 1), 0);
	check_refused(BOUNDED_TEXT, &all, "12345",
		      "'12345' is out of range: text from 1 to 4 bytes");
	check_refused(BOUNDED_TEXT, &all, "", "'' is out of range: text from 1 to 4 bytes");
	assert_string_equal(all.bounded_text, "1234");
	check_refused(SECRET, &all, "hunter2",
		      "the value (secret) is out of range: text from 0 to 4 bytes");
	option_free(&group, &all);
	assert_null(all.text);
}

static void test_option_set_text__a_list__grows_and_is_measured_when_whole(void **state)
{
	const struct option *option = &options[BOUNDED_LIST];
	char problem[OPTION_PROBLEM_MAX];
	struct all all = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(option_set_text(option, &all, &"abc"[i], problem, 1), 0);
	assert_int_equal(all.bounded_list.count, 3);
	assert_string_equal(all.bounded_list.items[2], "c");
	assert_int_equal(option_check_length(option, 3, problem, sizeof(problem)), -EINVAL);
	assert_string_equal(problem, "3 given: list of texts from 1 to 2 of them");
	assert_int_equal(option_check_length(option, 0, problem, sizeof(problem)), -EINVAL);
	assert_int_equal(option_check_length(option, 2, problem, sizeof(problem)), 0);
	assert_int_equal(option_check_length(&options[LIST], 1000, problem, sizeof(problem)), 0);
	option_free(&group, &all);
}

static void test_option_set_text__a_long_or_odd_text__is_quoted_on_one_short_line(void **state)
{
	char problem[OPTION_PROBLEM_MAX], text[1000];
	struct all all = { 0 };

	(void)state;
	memset(text, 'x', sizeof(text));
	text[999] = 0;
	assert_int_equal(option_set_text(&options[NUMBER], &all, text, problem, sizeof(problem)),
			 -EINVAL);
	assert_non_null(strstr(problem, "xxx...' is not a whole number"));
	assert_true(strlen(problem) < 100);
	check_refused(NUMBER, &all, "a\nb\x1b[m", "'a?b?[m' is not a whole number");
	/* a buffer too small is filled, not overrun */
	memset(problem, '#', sizeof(problem));
	assert_int_equal(option_set_text(&options[NUMBER], &all, "x", problem, 5), -EINVAL);
	assert_string_equal(problem, "'x' ");
	assert_int_equal(problem[5], '#');
}

static void test_option_value_text__of_any_number__is_read_back_as_the_same(void **state)
{
	static const int numbers[] = { SIZE, DURATION, NUMBER };
	static const uint64_t factors[] = { 1, 1000, 1024, 1000000, 1 << 20, 60000000000 };
	struct random random;

	(void)state;
	random_init(&random, 4);
	for (unsigned i = 0; i < 5000; i++) {
		const struct option *option = &options[numbers[i % ARRAY_COUNT(numbers)]];
		uint64_t value = random_u64(&random) >> (1 + random_below(&random, 60));
		struct all given = { 0 }, read = { 0 };
		char text[64], problem[OPTION_PROBLEM_MAX] = "";

		value = value % (INT64_MAX / 60000000000) * factors[i % ARRAY_COUNT(factors)];
		memcpy((char *)&given + option->offset, &value, sizeof(value));
		option_value_text(option, &given, text, sizeof(text));
		assert_int_equal(option_set_text(option, &read, text, problem, sizeof(problem)), 0);
		assert_true(option_equal(option, &given, &read));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_set_text__sizes__are_read_or_refused),
		cmocka_unit_test(test_option_set_text__durations__are_read_or_refused),
		cmocka_unit_test(test_option_set_text__integers__are_read_or_refused),
		cmocka_unit_test(test_option_set_text__words_and_modes__are_read_or_refused),
		cmocka_unit_test(test_option_set_text__texts__replace_and_are_measured),
		cmocka_unit_test(test_option_set_text__a_list__grows_and_is_measured_when_whole),
		cmocka_unit_test(
			test_option_set_text__a_long_or_odd_text__is_quoted_on_one_short_line),
		cmocka_unit_test(test_option_value_text__of_any_number__is_read_back_as_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

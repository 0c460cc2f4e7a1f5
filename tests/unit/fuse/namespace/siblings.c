/*
 * Tests of siblings.h.
 */
#include "fuse/namespace/siblings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define FILES 1000

static void test_read__in_sequence__each_file_is_fetched_ahead_once(void **state)
{
	struct siblings siblings;
	unsigned fetched[FILES + SIBLINGS_AHEAD_MAX * 2] = { 0 };

	(void)state;
	siblings_reset(&siblings);
	for (uint32_t i = 0; i < FILES; i++) {
		struct siblings_range range = siblings_read(&siblings, i);

		for (uint32_t j = range.first; j < range.end; j++) {
			assert_true(j > i && j <= i + SIBLINGS_AHEAD_MAX);
			fetched[j]++;
		}
		if (i > 40) /* the window has grown */
			assert_int_equal(fetched[i + SIBLINGS_AHEAD_MAX / 2 - 1], 1);
	}
	for (uint32_t i = SIBLINGS_RUN_MIN; i < FILES; i++)
		assert_int_equal(fetched[i], 1);
}

/* The files that are there unasked are not told of: only the first two, and of each range the one
 * at its mark and the last. */
static void test_read__most_files_untold__the_sequence_goes_on_in_time(void **state)
{
	unsigned fetched[FILES + SIBLINGS_AHEAD_MAX * 2] = { 0 };
	bool told[FILES + SIBLINGS_AHEAD_MAX * 2] = { [0] = true, [1] = true };
	struct siblings siblings;
	unsigned count = 0;
	uint32_t end = 0;

	(void)state;
	siblings_reset(&siblings);
	for (uint32_t i = 0; i < FILES; i++) {
		struct siblings_range range = { 0, 0, 0 };

		assert_true(i < SIBLINGS_RUN_MIN || fetched[i] == 1);
		if (!told[i])
			continue;
		count++;
		range = siblings_read(&siblings, i);
		for (uint32_t j = range.first; j < range.end; j++)
			fetched[j]++;
		if (range.first == range.end)
			continue;
		end = range.end;
		told[end - 1] = true;
		if (range.mark >= range.first)
			told[range.mark] = true;
		if (i > 100) { /* the window has grown, and is never half empty */
			assert_int_equal(end, i + 1 + SIBLINGS_AHEAD_MAX);
			assert_true(range.first - i - 1 >= SIBLINGS_AHEAD_MAX / 2);
		}
	}
	assert_true(end >= FILES);
	assert_true(count < FILES / 20);
}

/* Nor is the one at the mark: then each range comes when the one before has been read. */
static void test_read__only_the_last_of_each_range_told__the_window_grows(void **state)
{
	struct siblings siblings;
	struct siblings_range range = { 0, 0, 0 };
	unsigned ranges = 0;

	(void)state;
	siblings_reset(&siblings);
	(void)siblings_read(&siblings, 0);
	range = siblings_read(&siblings, 1);
	while (range.end < FILES) {
		struct siblings_range next = siblings_read(&siblings, range.end - 1);

		assert_int_equal(next.first, range.end);
		assert_true(next.end - next.first == SIBLINGS_AHEAD_MAX ||
			    next.end - next.first == 2 * (range.end - range.first));
		range = next;
		ranges++;
	}
	assert_true(ranges < FILES / SIBLINGS_AHEAD_MAX + 6);
}

static void test_read__at_random__little_is_fetched(void **state)
{
	struct siblings siblings;
	struct random random;
	unsigned fetched = 0;

	(void)state;
	siblings_reset(&siblings);
	random_init(&random, 1);
	for (unsigned i = 0; i < FILES; i++) {
		uint32_t index = (uint32_t)random_below(&random, UINT64_C(1000) * FILES);
		struct siblings_range range = siblings_read(&siblings, index);

		fetched += range.end - range.first;
	}
	assert_true(fetched < FILES / 50);
}

static void test_read__two_jobs_interleaved__both_are_followed(void **state)
{
	struct siblings siblings;
	unsigned fetched[2] = { 0 };

	(void)state;
	siblings_reset(&siblings);
	for (uint32_t i = 0; i < 200; i++) {
		struct siblings_range near = siblings_read(&siblings, i);
		struct siblings_range far = siblings_read(&siblings, 100000 + i);

		fetched[0] += near.end - near.first;
		fetched[1] += far.end - far.first;
	}
	assert_true(fetched[0] >= 200 && fetched[1] >= 200);
}

static void test_read__workers_out_of_order__the_sequence_holds(void **state)
{
	static const uint32_t order[] = { 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14 };
	struct siblings siblings;
	unsigned fetched = 0;

	(void)state;
	siblings_reset(&siblings);
	for (unsigned i = 0; i < ARRAY_COUNT(order); i++) {
		struct siblings_range range = siblings_read(&siblings, order[i]);

		fetched += range.end - range.first;
	}
	assert_true(fetched >= 16);
}

static void test_refused__the_rest_is_asked_for_again(void **state)
{
	struct siblings siblings;
	struct siblings_range range = { 0, 0, 0 }, next = { 0, 0, 0 };
	uint32_t index = 0;

	(void)state;
	siblings_reset(&siblings);
	while (range.first == range.end)
		range = siblings_read(&siblings, index++);
	siblings_refused(&siblings, range.first + 1);
	next = siblings_read(&siblings, index);
	assert_int_equal(next.first, range.first + 1);
	assert_true(next.end > next.first);
}

static void test_reset__the_sequence_is_forgotten(void **state)
{
	struct siblings siblings;
	struct siblings_range range;

	(void)state;
	siblings_reset(&siblings);
	for (uint32_t i = 0; i < 10; i++)
		siblings_read(&siblings, i);
	siblings_reset(&siblings);
	range = siblings_read(&siblings, 10);
	assert_int_equal(range.first, range.end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read__in_sequence__each_file_is_fetched_ahead_once),
		cmocka_unit_test(test_read__most_files_untold__the_sequence_goes_on_in_time),
		cmocka_unit_test(test_read__only_the_last_of_each_range_told__the_window_grows),
		cmocka_unit_test(test_read__at_random__little_is_fetched),
		cmocka_unit_test(test_read__two_jobs_interleaved__both_are_followed),
		cmocka_unit_test(test_read__workers_out_of_order__the_sequence_holds),
		cmocka_unit_test(test_refused__the_rest_is_asked_for_again),
		cmocka_unit_test(test_reset__the_sequence_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of board.h.
 */
#include "fuse/keeper/board.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define AGAIN (UINT64_C(1) << 63)

static struct board *board;

static int setup(void **state)
{
	(void)state;
	board = calloc(1, sizeof(*board));
	assert_non_null(board);
	board_init(board);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(board);
	return 0;
}

static void test_valid__other_versions__are_not(void **state)
{
	(void)state;
	assert_true(board_valid(board));
	board->version = BOARD_VERSION + 1;
	assert_false(board_valid(board));
	memset(board, 0, sizeof(*board));
	assert_false(board_valid(board));
	board_init(board);
	board->zero = 1;
	assert_false(board_valid(board));
}

static void test_take__a_request__is_overdue_after_its_deadline_until_answered(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 15, 100);
	assert_false(board_overdue(board, 100, &overdue));
	assert_true(board_overdue(board, 101, &overdue));
	assert_int_equal(overdue.unique, 2);
	assert_int_equal(overdue.opcode, 15);
	assert_int_equal(overdue.deadline_ns, 100);
	board_answered(board, 2);
	assert_false(board_overdue(board, 101, &overdue));
	assert_int_equal(board->taken, 1);
}

static void test_take__no_deadline__is_counted_and_not_watched(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 2, 0);
	assert_int_equal(board->taken, 1);
	assert_int_equal(board->unwatched, 0);
	assert_false(board_overdue(board, UINT64_MAX, &overdue));
}

static void test_overdue__several__is_the_longest_overdue(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 1, 300);
	board_take(board, 4, 1, 100);
	board_take(board, 6, 1, 200);
	assert_true(board_overdue(board, 1000, &overdue));
	assert_int_equal(overdue.unique, 4);
	board_answered(board, 4);
	assert_true(board_overdue(board, 1000, &overdue));
	assert_int_equal(overdue.unique, 6);
}

static void test_answered__the_same_number_sent_again__is_another_request(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 1, 100);
	board_take(board, 2 | AGAIN, 1, 200);
	board_answered(board, 2);
	assert_true(board_overdue(board, 1000, &overdue));
	assert_true(overdue.unique == (2 | AGAIN));
	board_answered(board, 2 | AGAIN);
	assert_false(board_overdue(board, 1000, &overdue));
}

static void test_answered__not_watched__nothing(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 1, 100);
	board_answered(board, 4);
	board_answered(board, 0);
	assert_true(board_overdue(board, 1000, &overdue));
}

/* All at the same place, whatever the place of a number is. */
static void test_take__no_place_near__is_counted_as_unwatched(void **state)
{
	struct board_overdue overdue;
	uint64_t step = 2 * (uint64_t)BOARD_REQUESTS;
	unsigned count = 0;

	(void)state;
	while (board->unwatched == 0 && count <= BOARD_REQUESTS)
		board_take(board, 2 + step * count++, 1, 100);
	assert_int_equal(board->unwatched, 1);
	assert_int_equal(board->taken, count);
	for (unsigned i = 0; i < count; i++)
		board_answered(board, 2 + step * i);
	assert_false(board_overdue(board, 1000, &overdue));
}

static void test_take__as_many_as_there_are_places__all_are_watched(void **state)
{
	struct board_overdue overdue;

	(void)state;
	for (uint64_t i = 1; i <= BOARD_REQUESTS; i++)
		board_take(board, 2 * i, 1, 100);
	assert_int_equal(board->unwatched, 0);
	for (uint64_t i = 1; i <= BOARD_REQUESTS; i++)
		board_answered(board, 2 * i);
	assert_false(board_overdue(board, 1000, &overdue));
}

static void test_clear__what_a_former_worker_left__is_gone(void **state)
{
	struct board_overdue overdue;

	(void)state;
	board_take(board, 2, 1, 100);
	board_take(board, 4, 1, 100);
	board->requests[9].unique = 18; /* it died in the middle of board_take() */
	board_clear(board);
	assert_false(board_overdue(board, 1000, &overdue));
	assert_int_equal(board->requests[9].unique, 0);
}

static void test_overdue__nonsense_in_memory__is_survived(void **state)
{
	struct board_overdue overdue;

	(void)state;
	memset(board->requests, 0xff, sizeof(board->requests));
	assert_false(board_overdue(board, 1000, &overdue)); /* deadlines of the far future */
	memset(board->requests, 0x01, sizeof(board->requests));
	assert_true(board_overdue(board, UINT64_MAX, &overdue));
}

static void test_reason__set__is_read(void **state)
{
	char out[BOARD_REASON_MAX], large[2 * BOARD_REASON_MAX];

	(void)state;
	assert_true(board_reason(board, out));
	assert_string_equal(out, "");
	board_set_reason(board, "killed by signal 9");
	assert_true(board_reason(board, out));
	assert_string_equal(out, "killed by signal 9");
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	board_set_reason(board, large);
	assert_true(board_reason(board, out));
	assert_int_equal(strlen(out), BOARD_REASON_MAX - 1);
}

static void test_reason__being_written__is_not_read(void **state)
{
	char out[BOARD_REASON_MAX];

	(void)state;
	board_set_reason(board, "one");
	board->changes++; /* a keeper died while writing */
	assert_false(board_reason(board, out));
	board_set_reason(board, "two");
	assert_true(board_reason(board, out));
	assert_string_equal(out, "two");
}

#define ROUNDS 20000

static void *requests_main(void *argument)
{
	uint64_t unique = *(const uint64_t *)argument;

	for (unsigned i = 0; i < ROUNDS; i++, unique += 8) {
		board_take(board, unique, 1, 100);
		board_answered(board, unique);
	}
	return NULL;
}

static void test_take__from_many_threads__none_is_left(void **state)
{
	struct board_overdue overdue;
	uint64_t first[] = { 2, 4, 6, 8 };
	pthread_t threads[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, requests_main, &first[i]), 0);
	for (unsigned i = 0; i < 1000; i++)
		(void)board_overdue(board, 1000, &overdue);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_false(board_overdue(board, 1000, &overdue));
	assert_int_equal(board->taken, 4 * ROUNDS);
	assert_int_equal(board->unwatched, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_valid__other_versions__are_not),
		TEST(test_take__a_request__is_overdue_after_its_deadline_until_answered),
		TEST(test_take__no_deadline__is_counted_and_not_watched),
		TEST(test_overdue__several__is_the_longest_overdue),
		TEST(test_answered__the_same_number_sent_again__is_another_request),
		TEST(test_answered__not_watched__nothing),
		TEST(test_take__no_place_near__is_counted_as_unwatched),
		TEST(test_take__as_many_as_there_are_places__all_are_watched),
		TEST(test_clear__what_a_former_worker_left__is_gone),
		TEST(test_overdue__nonsense_in_memory__is_survived),
		TEST(test_reason__set__is_read),
		TEST(test_reason__being_written__is_not_read),
		TEST(test_take__from_many_threads__none_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of fuse/keeper/watch.h.
 */
#include "fuse/keeper/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

#define HANG_AFTER (10 * NS_PER_S)

struct place {
	struct board *board;
	struct watch watch;
	uint64_t now_ns;
	char reason[WATCH_REASON_MAX];
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	place->board = calloc(1, sizeof(*place->board));
	assert_non_null(place->board);
	board_init(place->board);
	place->now_ns = 1000 * NS_PER_S;
	place->watch.hang_after_ns = HANG_AFTER;
	watch_begin(&place->watch, place->now_ns);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;

	free(place->board);
	free(place);
	return 0;
}

static bool look(struct place *place, bool waiting)
{
	place->now_ns += NS_PER_S;
	return watch_look(&place->watch, place->board, waiting, place->now_ns, place->reason);
}

/* How many looks until it hangs; 0: not within 60. */
static unsigned looks(struct place *place, bool waiting)
{
	for (unsigned i = 1; i <= 60; i++)
		if (look(place, waiting))
			return i;
	return 0;
}

static void test_look__request_overdue__hangs_hang_after_later(void **state)
{
	struct place *place = *state;

	board_take(place->board, 8, 15, place->now_ns + 5 * NS_PER_S);
	/* the deadline after 5 s, and past hang_after beyond it */
	assert_int_equal(looks(place, false), 16);
	assert_non_null(strstr(place->reason, "request 8 (opcode 15) was overdue by 11 s"));
}

static void test_look__request_answered__does_not_hang(void **state)
{
	struct place *place = *state;

	board_take(place->board, 8, 15, place->now_ns + NS_PER_S);
	for (unsigned i = 0; i < 11; i++)
		assert_false(look(place, false));
	board_answered(place->board, 8);
	assert_int_equal(looks(place, false), 0);
}

static void test_look__requests_wait_and_none_is_taken__hangs(void **state)
{
	struct place *place = *state;

	assert_int_equal(looks(place, true), 10);
	assert_non_null(strstr(place->reason, "were not taken for 10 s"));
}

static void test_look__requests_wait_and_some_are_taken__does_not_hang(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < 60; i++) {
		if (i % 9 == 0)
			board_take(place->board, 0, 15, 0);
		assert_false(look(place, true));
	}
}

static void test_look__nothing_waits_in_between__begins_anew(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < 60; i++)
		assert_false(look(place, i % 9 != 0));
}

static void test_look__machine_was_away__is_not_held_against_the_worker(void **state)
{
	struct place *place = *state;

	board_take(place->board, 8, 15, place->now_ns + 5 * NS_PER_S);
	place->now_ns += 3600 * NS_PER_S;
	assert_false(look(place, true));
	/* it gets hang_after to answer what it had in hand */
	for (unsigned i = 0; i < 9; i++)
		assert_false(look(place, true));
	assert_true(look(place, true));
}

static void test_look__told_not_to__never_hangs(void **state)
{
	struct place *place = *state;

	place->watch.hang_after_ns = 0;
	board_take(place->board, 8, 15, place->now_ns);
	assert_int_equal(looks(place, true), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_look__request_overdue__hangs_hang_after_later),
		TEST(test_look__request_answered__does_not_hang),
		TEST(test_look__requests_wait_and_none_is_taken__hangs),
		TEST(test_look__requests_wait_and_some_are_taken__does_not_hang),
		TEST(test_look__nothing_waits_in_between__begins_anew),
		TEST(test_look__machine_was_away__is_not_held_against_the_worker),
		TEST(test_look__told_not_to__never_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

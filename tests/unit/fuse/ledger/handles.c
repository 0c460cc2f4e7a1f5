/*
 * Tests of the handles and their cursors in ledger/ledger.h.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/fuse/ledger/rig.h"

static struct ledger_handle found[RIG_MAX];

static uint64_t add(struct ledger *ledger, uint64_t node, bool directory)
{
	struct ledger_handle handle = {
		.node = node,
		.unique = node * 2,
		.backing_id = directory ? 0 : (int32_t)node % 100,
		.directory = directory,
		.replied = true, /* not looked at */
		.number = 1,
	};
	uint64_t number;

	assert_int_equal(ledger_handle_add(ledger, &handle, &number), 0);
	return number;
}

static void test_add__the_next_worker_finds_it(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t file = add(ledger, 50, false), directory = add(ledger, 51, true);
	uint64_t closed = add(ledger, 52, false);
	struct ledger_handle handle;

	(void)state;
	ledger_handle_replied(ledger, directory);
	ledger_handle_replied(ledger, closed);
	ledger_handle_remove(ledger, closed);
	ledger_handle_remove(ledger, closed);
	ledger_handle_replied(ledger, closed);
	ledger = rig_next(ledger);
	assert_int_equal(rig_handles(ledger, found), 2);
	assert_true(ledger_handle(ledger, file, &handle));
	assert_int_equal(handle.number, file);
	assert_int_equal(handle.node, 50);
	assert_int_equal(handle.unique, 100);
	assert_int_equal(handle.backing_id, 50);
	assert_false(handle.directory);
	assert_false(handle.replied);
	assert_true(ledger_handle(ledger, directory, &handle));
	assert_int_equal(handle.node, 51);
	assert_true(handle.directory);
	assert_true(handle.replied);
	ledger_destroy(ledger);
}

static void test_handle__number_of_none__is_not_found(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t number = add(ledger, 50, false);
	struct ledger_handle handle;

	(void)state;
	assert_false(ledger_handle(ledger, 0, &handle));
	assert_false(ledger_handle(ledger, number + LEDGER_HANDLES_MAX, &handle));
	assert_false(ledger_handle(ledger, number + 1, &handle));
	assert_false(ledger_handle(ledger, UINT64_MAX, &handle));
	ledger_destroy(ledger);
}

/* Not by the next worker either, and not when the record went with the death. */
static void test_add__numbers_are_never_used_twice__their_places_are(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t number = add(ledger, 50, i % 2);

		assert_true(number > last);
		assert_int_equal(ledger_handle_place(number), 0);
		last = number;
		ledger_handle_remove(ledger, number);
		ledger = rig_next(ledger);
	}
	ledger_destroy(ledger);
}

static void test_add__no_place_left__enfile(void **state)
{
	struct ledger *ledger = rig_create();
	struct ledger_handle handle = { .node = 5 };
	uint64_t number;

	(void)state;
	places_fini(&ledger->handles);
	assert_int_equal(places_init(&ledger->handles, 1), 0);
	number = add(ledger, 50, false);
	assert_int_equal(ledger_handle_add(ledger, &handle, &number), -ENFILE);
	ledger_handle_remove(ledger, number);
	add(ledger, 50, false);
	ledger_destroy(ledger);
}

static void test_each__may_remove__visits_all(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		add(ledger, i + 1, i % 3 == 0);
	ledger = rig_next(ledger);
	assert_int_equal(rig_handles(ledger, found), 1000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(found[i].node, i + 1);
		ledger_handle_remove(ledger, found[i].number);
	}
	assert_int_equal(rig_handles(ledger, found), 0);
	ledger_destroy(ledger);
}

/* --- cursors */

static struct ledger_cursor cursor_of(uint64_t off)
{
	struct ledger_cursor cursor = { .off = off, .directory = off % 2 };

	cursor.name_len = (uint8_t)(off % 256);
	rig_text(cursor.name, cursor.name_len, (unsigned)off);
	return cursor;
}

static void set(struct ledger *ledger, uint64_t number, uint64_t off)
{
	struct ledger_cursor cursor = cursor_of(off);

	ledger_cursor_set(ledger, number, &cursor);
}

static bool is_there(struct ledger *ledger, uint64_t number, uint64_t off)
{
	struct ledger_cursor wanted = cursor_of(off), cursor;

	if (!ledger_cursor(ledger, number, off, &cursor))
		return false;
	assert_int_equal(cursor.off, off);
	assert_int_equal(cursor.name_len, wanted.name_len);
	assert_string_equal(cursor.name, wanted.name);
	assert_int_equal(cursor.directory, wanted.directory);
	return true;
}

static void test_cursor_set__the_two_latest_are_kept(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t number = add(ledger, 5, true), other = add(ledger, 6, true);

	(void)state;
	assert_false(is_there(ledger, number, 0));
	set(ledger, number, 100);
	assert_true(is_there(ledger, number, 100));
	for (uint64_t off = 101; off < 800; off++) {
		set(ledger, number, off);
		if (off % 50 == 0)
			ledger = rig_next(ledger);
		assert_true(is_there(ledger, number, off));
		assert_true(is_there(ledger, number, off - 1));
		assert_false(is_there(ledger, number, off - 2));
		assert_false(is_there(ledger, other, off));
		/* READDIR at off - 1 comes again, and is answered likewise. */
		set(ledger, number, off);
		assert_true(is_there(ledger, number, off - 1));
	}
	ledger_destroy(ledger);
}

static void test_cursor_set__same_off_again__takes_its_place(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t number = add(ledger, 5, true);
	struct ledger_cursor cursor = { .off = 8, .name_len = 5, .name = "other" };

	(void)state;
	set(ledger, number, 7);
	set(ledger, number, 8);
	ledger_cursor_set(ledger, number, &cursor);
	assert_true(is_there(ledger, number, 7));
	assert_true(ledger_cursor(ledger, number, 8, &cursor));
	assert_string_equal(cursor.name, "other");
	set(ledger, number, 9);
	assert_false(is_there(ledger, number, 7));
	ledger_destroy(ledger);
}

static void test_cursor__without_one__is_not_known(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t file = add(ledger, 5, false), directory = add(ledger, 6, true), next;
	struct ledger_cursor cursor = { .off = 0, .name_len = 1, .name = "a" };

	(void)state;
	set(ledger, file, 7);
	assert_false(is_there(ledger, file, 7));
	ledger_cursor_set(ledger, directory, &cursor);
	assert_false(ledger_cursor(ledger, directory, 0, &cursor));
	set(ledger, directory, 7);
	ledger_handle_remove(ledger, directory);
	set(ledger, directory, 7);
	assert_false(is_there(ledger, directory, 7));
	next = add(ledger, 6, true); /* has the same places */
	assert_int_equal(ledger_handle_place(next), ledger_handle_place(directory));
	assert_false(is_there(ledger, next, 7));
	ledger_destroy(ledger);
}

static void test_cursor_near__the_latest_before_or_else_the_first_behind(void **state)
{
	static const struct {
		uint64_t off, found;
	} rows[] = { { 100, 100 }, { 200, 200 }, { 150, 100 }, { 300, 200 }, { 50, 100 } };
	struct ledger *ledger = rig_create();
	uint64_t number = add(ledger, 5, true);
	struct ledger_cursor cursor;

	(void)state;
	assert_false(ledger_cursor_near(ledger, number, 100, &cursor));
	set(ledger, number, 200);
	assert_true(ledger_cursor_near(ledger, number, 100, &cursor));
	assert_int_equal(cursor.off, 200);
	set(ledger, number, 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ledger_cursor wanted = cursor_of(rows[i].found);

		assert_true(ledger_cursor_near(ledger, number, rows[i].off, &cursor));
		assert_int_equal(cursor.off, rows[i].found);
		assert_string_equal(cursor.name, wanted.name);
	}
	assert_false(ledger_cursor_near(ledger, number, 0, &cursor));
	ledger_handle_remove(ledger, number);
	assert_false(ledger_cursor_near(ledger, number, 100, &cursor));
	ledger_destroy(ledger);
}

static void test_cursor__more_directories_than_there_is_room_for__goes_without(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t first, second;

	(void)state;
	places_fini(&ledger->cursors);
	assert_int_equal(places_init(&ledger->cursors, 1), 0);
	first = add(ledger, 5, true);
	second = add(ledger, 6, true);
	set(ledger, first, 7);
	set(ledger, second, 7);
	ledger = rig_next(ledger);
	assert_true(is_there(ledger, first, 7));
	assert_false(is_there(ledger, second, 7));
	ledger_handle_remove(ledger, first);
	ledger_handle_remove(ledger, second);
	first = add(ledger, 5, true);
	set(ledger, first, 7);
	assert_true(is_there(ledger, first, 7));
	ledger_destroy(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__the_next_worker_finds_it),
		cmocka_unit_test(test_handle__number_of_none__is_not_found),
		cmocka_unit_test(test_add__numbers_are_never_used_twice__their_places_are),
		cmocka_unit_test(test_add__no_place_left__enfile),
		cmocka_unit_test(test_each__may_remove__visits_all),
		cmocka_unit_test(test_cursor_set__the_two_latest_are_kept),
		cmocka_unit_test(test_cursor_set__same_off_again__takes_its_place),
		cmocka_unit_test(test_cursor__without_one__is_not_known),
		cmocka_unit_test(test_cursor_near__the_latest_before_or_else_the_first_behind),
		cmocka_unit_test(
			test_cursor__more_directories_than_there_is_room_for__goes_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

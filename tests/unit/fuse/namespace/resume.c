/*
 * Tests of resume.h, through the namespace's door: a directory is read for a while, the worker
 * dies, the directory changes, and the reader goes on with another worker: what it is given.
 */
#include "fuse/namespace/resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/resume_rig.h"

#define ROOT NODE_ROOT_ID

/* --- in order --------------------------------------------------------------------------------- */

enum change {
	NOTHING,
	ADD_BEFORE, /* what was read */
	ADD_BEHIND,
	ADD_PAGES,   /* so many before that it moves to another page */
	DELETE_LAST, /* the entry that was read last */
	DELETE_BEFORE,
	DELETE_BEHIND,
	DELETE_ALL_BUT_STEADY,
	CHANGES,
};

static void change(enum change change, unsigned count)
{
	unsigned last = (count - 1) * 2; /* number of the entry that was read last */

	switch (change) {
	case ADD_BEFORE:
		numbers_put(1, last, 14);
		break;
	case ADD_BEHIND:
		numbers_put(last + 1, NUMBERS, 14);
		break;
	case ADD_PAGES:
		for (unsigned i = 0; i < 2500; i++) {
			char key[32];

			snprintf(key, sizeof(key), "a%05u", i);
			fake_put(&rig.fake, key, 1, "e1");
		}
		break;
	case DELETE_LAST:
		numbers_drop(last, last + 1, 1);
		break;
	case DELETE_BEFORE:
		numbers_drop(2, last, 8);
		break;
	case DELETE_BEHIND:
		numbers_drop(last + 2 + 2, NUMBERS, 8);
		break;
	case DELETE_ALL_BUT_STEADY:
		for (unsigned i = 0; i < NUMBERS; i += 2)
			if (i % 20 != 0)
				numbers_drop(i, i + 1, 1);
		break;
	case NOTHING:
	case CHANGES:
		break;
	}
}

/* Of what was there all the time, the numbers are a multiple of that. */
static unsigned steady(enum change what)
{
	return what == DELETE_ALL_BUT_STEADY ? 20 : what == DELETE_BEHIND ? NUMBERS : 2;
}

static void check_change(enum change what, unsigned count, unsigned page_max, bool plus)
{
	unsigned last = (count - 1) * 2;
	struct rig_reader reader;
	struct ledger_cursor cursor;

	rig.fake.page_max = page_max;
	numbers_begin(&reader, count, plus);
	numbers_take_over(&reader, &cursor);
	change(what, count);
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	numbers_assert_steady(&reader, steady(what));
	if (what != ADD_BEHIND && what != DELETE_BEHIND && what != DELETE_ALL_BUT_STEADY)
		assert_int_equal(reader.count, NUMBERS / 2);
	for (unsigned i = 0; what == DELETE_BEHIND && i < NUMBERS; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "n%05u", i);
		assert_int_equal(rig_has(&reader, name) >= 0, i <= last || (i - last) % 8 != 4);
	}
	rig_close(&rig, &reader);
}

static void test_resume__directory_changed__nothing_twice_and_nothing_left_out(void **state)
{
	static const unsigned counts[] = { 1, 5, 700, 1000, 1001, 1400, 1499, 1500 };
	static const unsigned pages[] = { 0, 300 };

	(void)state;
	for (unsigned what = 0; what < CHANGES; what++)
		for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
			for (size_t j = 0; j < 2 * ARRAY_COUNT(pages); j++) {
				rig_stop(&rig);
				rig_init(&rig);
				if (j % 2)
					fake_seek(&rig.fake);
				rig_start(&rig);
				numbers_put(0, NUMBERS, 2);
				check_change((enum change)what, counts[i], pages[j / 2], i % 2);
			}
}

static void test_resume__all_is_gone__the_end(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	numbers_put(0, 50, 1);
	numbers_begin(&reader, 20, false);
	numbers_take_over(&reader, &cursor);
	numbers_drop(0, 50, 1);
	assert_int_equal(numbers_read(&reader, 100), 0);
	rig_close(&rig, &reader);
}

/* "a-" sorts between the file "a" and the directory "a/". */
static void test_resume__the_entry_is_a_directory__the_file_of_its_name_is_not_meant(void **state)
{
	static const struct {
		const char *keys[4];
		unsigned read;
		const char *next;
	} rows[] = {
		{ { "a-", "a/x", "a0" }, 1, "a" }, /* read to "a-" */
		{ { "a-", "a/x", "a0" }, 2, "a0" },
		{ { "a", "a-", "a0" }, 1, "a-" },
		{ { "a", "a-", "a0" }, 2, "a0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_reader reader;
		struct ledger_cursor cursor;

		rig_stop(&rig);
		rig_init(&rig);
		rig_start(&rig);
		for (unsigned j = 0; j < 4 && rows[i].keys[j]; j++)
			fake_put(&rig.fake, rows[i].keys[j], 1, "e1");
		rig_open(&rig, &reader, ROOT, false);
		assert_int_equal(numbers_read(&reader, 2), 2); /* the dots */
		assert_int_equal(reader.read.last.off, 0);
		assert_int_equal(numbers_read(&reader, rows[i].read), rows[i].read);
		numbers_take_over(&reader, &cursor);
		assert_true(numbers_read(&reader, 100) > 0);
		assert_string_equal(reader.names[rows[i].read], rows[i].next);
		rig_close(&rig, &reader);
	}
}

/* --- in no order ------------------------------------------------------------------------------ */

static void test_resume__no_order__behind_the_entry_itself(void **state)
{
	static const unsigned counts[] = { 1, 500, 1000, 1500, 2499, 2500 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
		struct rig_reader reader;
		struct ledger_cursor cursor;

		rig_stop(&rig);
		rig_init(&rig);
		rig.fake.scrambled = true;
		rig_start(&rig);
		for (unsigned j = 0; j < 2500; j++) {
			char key[32];

			snprintf(key, sizeof(key), "n%05u", j);
			fake_put(&rig.fake, key, 1, "e1");
		}
		numbers_begin(&reader, counts[i], false);
		numbers_take_over(&reader, &cursor);
		reader.room = 70;
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 2500);
		numbers_assert_steady(&reader, NUMBERS);
		rig_close(&rig, &reader);
	}
}

static void test_resume__no_order_and_the_entry_is_gone__by_position(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig.fake.scrambled = true;
	numbers_put(0, 2500, 1);
	numbers_begin(&reader, 1200, false);
	numbers_take_over(&reader, &cursor);
	snprintf(cursor.name, sizeof(cursor.name), "n99999"); /* that was renamed */
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 2500);
	rig_close(&rig, &reader);
}

/* --- above the mount entries ------------------------------------------------------------------ */

static void test_resume__above_the_entries__behind_the_same_name(void **state)
{
	static char a[] = "/a", b[] = "/b/1", b2[] = "/b/2", c[] = "/c", d[] = "/d";
	static const struct {
		char *paths[4];
		unsigned count;
		const char *names; /* all that is given, in order */
	} rows[] = {
		{ { a, b, b2, c }, 4, "abc" }, /* as before */
		{ { d, a, b, c }, 4, "abc" },  { { b, c, d }, 3, "abcd" },
		{ { a, c }, 2, "ab" }, /* b is gone: by position */
		{ { c, b, d }, 3, "abd" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_reader reader;
		struct ledger_cursor cursor;

		rig_stop(&rig);
		rig_init(&rig);
		for (unsigned j = 0; j < 4; j++)
			rig.entries[j].path = rows[0].paths[j];
		rig.config.entries.count = 4;
		rig_start(&rig);
		rig_open(&rig, &reader, ROOT, i % 2);
		assert_int_equal(numbers_read(&reader, 4), 4);
		assert_string_equal(reader.names[1], "b");
		for (unsigned j = 0; j < rows[i].count; j++)
			rig.entries[j].path = rows[i].paths[j];
		rig.config.entries.count = rows[i].count;
		numbers_take_over(&reader, &cursor);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, strlen(rows[i].names));
		for (unsigned j = 0; j < reader.count; j++)
			assert_int_equal(reader.names[j][0], rows[i].names[j]);
		rig_close(&rig, &reader);
	}
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resume__directory_changed__nothing_twice_and_nothing_left_out),
		TEST(test_resume__all_is_gone__the_end),
		TEST(test_resume__the_entry_is_a_directory__the_file_of_its_name_is_not_meant),
		TEST(test_resume__no_order__behind_the_entry_itself),
		TEST(test_resume__no_order_and_the_entry_is_gone__by_position),
		TEST(test_resume__above_the_entries__behind_the_same_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

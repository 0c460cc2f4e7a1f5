/*
 * Tests of resume.h, through the namespace's door: a directory is read for a while, the worker
 * dies, the directory changes, and the reader goes on with another worker.
 */
#include "fuse/namespace/resume.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID
#define KEYS 3000

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* Key @i of the directory: every tenth is a directory's. */
static void key_of(unsigned i, char key[32])
{
	snprintf(key, 32, i % 10 == 8 ? "n%05u/x" : "n%05u", i);
}

static void put(unsigned from, unsigned end, unsigned step)
{
	char key[32];

	for (unsigned i = from; i < end; i += step) {
		key_of(i, key);
		fake_put(&rig.fake, key, i, "e1");
	}
}

static void drop(unsigned from, unsigned end, unsigned step)
{
	char key[32];

	for (unsigned i = from; i < end; i += step) {
		key_of(i, key);
		fake_delete(&rig.fake, key);
	}
}

static unsigned number_of(const char *name)
{
	assert_int_equal(name[0], 'n');
	return (unsigned)strtoul(name + 1, NULL, 10);
}

/* One read. Return: entries that it gave. */
static unsigned read_some(struct rig_reader *reader, unsigned room)
{
	reader->room = room;
	rig_read_start(&rig, reader);
	while (!reader->ended)
		assert_true(fake_run(&rig.fake));
	assert_int_equal(reader->read.status, 0);
	return reader->given;
}

/* The first worker: entries up to @count at least, "." and ".." not counted. */
static void read_first(struct rig_reader *reader, unsigned count, bool plus)
{
	rig_open(&rig, reader, ROOT, plus);
	while (reader->count < count) {
		unsigned left = count - reader->count;

		assert_true(read_some(reader, left < 100 ? left : 100) > 0);
	}
}

static void take_over(struct rig_reader *reader, struct ledger_cursor *cursor)
{
	*cursor = reader->read.last;
	assert_int_equal(cursor->off, reader->offset);
	assert_string_equal(cursor->name, reader->names[reader->count - 1]);
	assert_int_equal(cursor->name_len, strlen(cursor->name));
	rig_leave(&rig, reader);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_S);
	rig_return(&rig, reader, ROOT, cursor);
}

/* Numbers that are a multiple of @step are there all the time: each was given exactly once, and of
 * the others none twice. */
static void assert_steady(const struct rig_reader *reader, unsigned step)
{
	static unsigned char times[100000];

	memset(times, 0, sizeof(times));
	for (unsigned i = 0; i < reader->count; i++)
		times[number_of(reader->names[i])]++;
	for (unsigned i = 0; i < KEYS; i++) {
		if (i % step == 0)
			assert_int_equal(times[i], 1);
		assert_true(times[i] <= 1);
	}
}

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
		put(1, last, 14);
		break;
	case ADD_BEHIND:
		put(last + 1, KEYS, 14);
		break;
	case ADD_PAGES:
		for (unsigned i = 0; i < 2500; i++) {
			char key[32];

			snprintf(key, sizeof(key), "a%05u", i);
			fake_put(&rig.fake, key, 1, "e1");
		}
		break;
	case DELETE_LAST:
		drop(last, last + 1, 1);
		break;
	case DELETE_BEFORE:
		drop(2, last, 8);
		break;
	case DELETE_BEHIND:
		drop(last + 2 + 2, KEYS, 8);
		break;
	case DELETE_ALL_BUT_STEADY:
		for (unsigned i = 0; i < KEYS; i += 2)
			if (i % 20 != 0)
				drop(i, i + 1, 1);
		break;
	case NOTHING:
	case CHANGES:
		break;
	}
}

/* Of what was there all the time, the numbers are a multiple of that. */
static unsigned steady(enum change what)
{
	return what == DELETE_ALL_BUT_STEADY ? 20 : what == DELETE_BEHIND ? KEYS : 2;
}

static void check_change(enum change what, unsigned count, unsigned page_max, bool plus)
{
	unsigned last = (count - 1) * 2;
	struct rig_reader reader;
	struct ledger_cursor cursor;

	rig.fake.page_max = page_max;
	read_first(&reader, count, plus);
	take_over(&reader, &cursor);
	change(what, count);
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_steady(&reader, steady(what));
	if (what != ADD_BEHIND && what != DELETE_BEHIND && what != DELETE_ALL_BUT_STEADY)
		assert_int_equal(reader.count, KEYS / 2);
	for (unsigned i = 0; what == DELETE_BEHIND && i < KEYS; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "n%05u", i);
		assert_int_equal(rig_has(&reader, name) >= 0, i <= last || (i - last) % 8 != 4);
	}
	rig_close(&rig, &reader);
}

/* It has shown the first @count names, each once. */
static void check_all(const struct rig_reader *reader, unsigned count)
{
	assert_int_equal(reader->count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(number_of(reader->names[i]), i);
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
				put(0, KEYS, 2);
				check_change((enum change)what, counts[i], pages[j / 2], i % 2);
			}
}

static void test_resume__all_is_gone__the_end(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	put(0, 50, 1);
	read_first(&reader, 20, false);
	take_over(&reader, &cursor);
	drop(0, 50, 1);
	assert_int_equal(read_some(&reader, 100), 0);
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
		assert_int_equal(read_some(&reader, 2), 2); /* the dots */
		assert_int_equal(reader.read.last.off, 0);
		assert_int_equal(read_some(&reader, rows[i].read), rows[i].read);
		take_over(&reader, &cursor);
		assert_true(read_some(&reader, 100) > 0);
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
		read_first(&reader, counts[i], false);
		take_over(&reader, &cursor);
		reader.room = 70;
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 2500);
		assert_steady(&reader, KEYS);
		rig_close(&rig, &reader);
	}
}

static void test_resume__no_order_and_the_entry_is_gone__by_position(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig.fake.scrambled = true;
	put(0, 2500, 1);
	read_first(&reader, 1200, false);
	take_over(&reader, &cursor);
	snprintf(cursor.name, sizeof(cursor.name), "n99999"); /* that was renamed */
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 2500);
	rig_close(&rig, &reader);
}

/* --- offsets ---------------------------------------------------------------------------------- */

/* The number of the entry behind @offset. */
static unsigned next_at(struct rig_reader *reader, uint64_t offset)
{
	reader->offset = offset;
	assert_int_equal(read_some(reader, 1), 1);
	return number_of(reader->names[--reader->count]);
}

static void test_resume__then_seekdir__to_where_telldir_was(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;
	unsigned count;

	(void)state;
	put(0, KEYS, 2);
	read_first(&reader, 700, false);
	take_over(&reader, &cursor);
	put(1, 1000, 2); /* before it: offsets do not begin at 0 any more */
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	count = reader.count;
	assert_int_equal(count, KEYS / 2);
	for (unsigned i = 700; i + 1 < count; i += 37)
		assert_int_equal(next_at(&reader, reader.offsets[i]), 2 * (i + 1));
	/* Those of the former worker: as far as nothing changed between them and the cursor. */
	for (unsigned i = 600; i < 700; i += 7)
		assert_int_equal(next_at(&reader, reader.offsets[i]), 2 * (i + 1));
	reader.count = 0;
	reader.offset = 0; /* rewinddir */
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS / 2 + 500);
	for (unsigned i = 0; i + 1 < 1000; i += 37)
		assert_int_equal(next_at(&reader, reader.offsets[i]), i + 1);
	rig_close(&rig, &reader);
}

static void test_resume__to_before_all_that_is_there__from_the_start_and_to_an_end(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	put(0, 500, 1);
	read_first(&reader, 400, false);
	take_over(&reader, &cursor);
	drop(0, 399, 1); /* by then offset 3 is far before the first */
	assert_int_equal(read_some(&reader, 10), 10);
	reader.count = 0;
	reader.offset = 3;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 101);
	for (unsigned i = 0; i < 101; i++)
		assert_int_equal(number_of(reader.names[i]), 399 + i);
	rig_close(&rig, &reader);
}

/* The worker died with its reply: the same READDIR comes again. */
static void test_resume__the_same_read_comes_again__the_same_entries(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor first, cursor;
	unsigned count;

	(void)state;
	put(0, 300, 1);
	read_first(&reader, 100, false);
	first = reader.read.last;
	count = reader.count;
	assert_int_equal(read_some(&reader, 50), 50);
	take_over(&reader, &cursor);
	reader.read.resume = &first;
	reader.offset = first.off;
	reader.count = count;
	put(400, 500, 1);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_steady(&reader, KEYS + 1);
	assert_int_equal(reader.count, 400);
	rig_close(&rig, &reader);
}

/* What the reader reads into was shorter than the last reply. */
static void test_resume__in_the_middle_of_a_reply__counted_from_an_entry_before(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor first, cursor;

	(void)state;
	put(0, 300, 1);
	read_first(&reader, 100, false);
	first = reader.read.last;
	assert_int_equal(read_some(&reader, 50), 50);
	take_over(&reader, &cursor);
	reader.read.resume = &first;
	reader.count = 120;
	reader.offset = reader.offsets[119];
	drop(0, 90, 2);
	put(300, 310, 1);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	check_all(&reader, 310);
	rig_close(&rig, &reader);
}

/* seekdir() to where no reply ended: what is known is behind it. */
static void test_resume__to_before_the_entry_known__counted_from_it(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	put(0, 300, 1);
	read_first(&reader, 200, false);
	take_over(&reader, &cursor);
	reader.count = 120;
	reader.offset = reader.offsets[119];
	drop(0, 90, 2);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	check_all(&reader, 300);
	rig_close(&rig, &reader);
}

static void test_resume__nothing_known_of_the_entry__by_position(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	put(0, KEYS, 2);
	read_first(&reader, 1100, false);
	take_over(&reader, &cursor);
	reader.read.resume = NULL;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS / 2);
	assert_steady(&reader, 2);
	rig_close(&rig, &reader);
}

static void test_resume__an_offset_that_nobody_gave__the_end(void **state)
{
	static const uint64_t offsets[] = { UINT32_MAX, UINT64_C(1) << 40, INT64_MAX };
	struct rig_reader reader;

	(void)state;
	put(0, 30, 1);
	rig_open(&rig, &reader, ROOT, false);
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		reader.offset = offsets[i];
		assert_int_equal(read_some(&reader, 100), 0);
	}
	rig_close(&rig, &reader);
}

/* --- how it goes on --------------------------------------------------------------------------- */

static void test_resume__two_reads_at_once__both_are_answered(void **state)
{
	struct rig_reader reader, other;
	struct ledger_cursor first, cursor;

	(void)state;
	put(0, 2 * KEYS, 2);
	read_first(&reader, 1200, false);
	first = reader.read.last;
	read_some(&reader, 50);
	take_over(&reader, &cursor);
	other = reader;
	other.names = calloc(RIG_NAMES_MAX, sizeof(other.names[0]));
	assert_non_null(other.names);
	other.read.directory = &reader.directory;
	other.read.resume = &first;
	other.offset = first.off;
	other.count = reader.count = 0;
	put(1, 2000, 2);
	rig_read_start(&rig, &reader);
	rig_read_start(&rig, &other);
	assert_false(reader.ended || other.ended);
	fake_run_all(&rig.fake);
	assert_true(reader.ended && other.ended);
	assert_int_equal(number_of(other.names[0]), 2400);
	assert_int_equal(number_of(reader.names[0]), 2500);
	assert_int_equal(next_at(&reader, other.offsets[0]), 2402);
	assert_int_equal(next_at(&reader, reader.offsets[0]), 2502);
	free(other.names);
	rig_close(&rig, &reader);
}

static void test_resume__little_memory_for_listings__goes_on_all_the_same(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig_stop(&rig);
	rig_init(&rig);
	rig.config.listing_memory = 64 << 10;
	rig.fake.page_max = 500;
	rig_start(&rig);
	put(0, 3 * KEYS, 3);
	read_first(&reader, 2200, false);
	take_over(&reader, &cursor);
	drop(6597, 6598, 1);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS);
	for (unsigned i = 0; i < KEYS; i++)
		assert_int_equal(number_of(reader.names[i]), 3 * i);
	rig_close(&rig, &reader);
}

static void test_resume__pages_come_slowly__fails_in_time_and_goes_on_when_tried_again(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig.fake.page_max = 100;
	put(0, KEYS, 2);
	read_first(&reader, 1000, false);
	take_over(&reader, &cursor);
	rig_read_start(&rig, &reader);
	for (unsigned pages = 0; !reader.ended; pages++) {
		assert_true(pages < 8);
		clock_manual_advance(&rig.clock, 5 * NS_PER_S);
		assert_true(fake_run(&rig.fake));
	}
	assert_int_equal(reader.read.status, -ETIMEDOUT);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS / 2);
	assert_steady(&reader, 2);
	rig_close(&rig, &reader);
}

static void test_resume__the_backing_store_fails__and_then_not(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	put(0, KEYS, 2);
	read_first(&reader, 1200, false);
	take_over(&reader, &cursor);
	rig.fake.list_status = -EIO;
	assert_int_equal(rig_read_all(&rig, &reader), -EIO);
	rig.fake.list_status = 0;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS / 2);
	assert_steady(&reader, 2);
	rig_close(&rig, &reader);
}

/* --- a listing of its own --------------------------------------------------------------------- */

static void test_resume__far_into_a_large_directory__the_pages_before_are_not_fetched(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;
	unsigned lists;

	(void)state;
	fake_seek(&rig.fake);
	rig.fake.page_max = 100;
	put(0, KEYS, 1);
	read_first(&reader, 2509, false); /* the last one a directory */
	take_over(&reader, &cursor);
	assert_true(cursor.directory);
	lists = rig.fake.lists;
	assert_true(read_some(&reader, 10) > 0);
	assert_true(rig.fake.lists <= lists + 2); /* the next one is under way */
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_true(rig.fake.lists <= lists + 7);
	assert_int_equal(reader.count, KEYS);
	assert_steady(&reader, 1);
	rig_close(&rig, &reader);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_resume__then_back__gets_a_listing_of_all(void **state)
{
	static const uint64_t offsets[] = { 0, 1, 2 };
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	fake_seek(&rig.fake);
	put(0, KEYS, 1);
	read_first(&reader, 2000, false);
	take_over(&reader, &cursor);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS);
	/* seekdir: of what is known of the handle, the cursor is near */
	assert_int_equal(next_at(&reader, reader.offsets[1899]), 1900);
	assert_int_equal(next_at(&reader, reader.offsets[1900]), 1901);
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		reader.count = 0;
		reader.offset = offsets[i];
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, KEYS);
		assert_steady(&reader, 1);
	}
	rig_close(&rig, &reader);
}

/* A listing that is there and whole costs nothing. */
static void test_resume__another_reader_has_listed_it__nobody_is_asked(void **state)
{
	struct rig_reader reader, other;
	struct ledger_cursor cursor;
	unsigned lists;

	(void)state;
	fake_seek(&rig.fake);
	put(0, KEYS, 1);
	read_first(&reader, 2000, false);
	take_over(&reader, &cursor);
	rig_open(&rig, &other, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &other), 0);
	lists = rig.fake.lists;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(rig.fake.lists, lists);
	assert_int_equal(reader.count, KEYS);
	assert_steady(&reader, 1);
	rig_close(&rig, &reader);
	rig_close(&rig, &other);
}

static void test_resume__a_listing_of_its_own_in_little_memory__goes_on(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig_stop(&rig);
	rig_init(&rig);
	fake_seek(&rig.fake);
	rig.config.listing_memory = 64 << 10;
	rig.fake.page_max = 300;
	rig_start(&rig);
	put(0, KEYS, 1);
	read_first(&reader, 1100, false);
	take_over(&reader, &cursor);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(next_at(&reader, reader.offsets[1100]), 1101); /* was dropped since */
	reader.count = 1100;
	reader.offset = cursor.off;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, KEYS);
	assert_steady(&reader, 1);
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
		assert_int_equal(read_some(&reader, 4), 4);
		assert_string_equal(reader.names[1], "b");
		for (unsigned j = 0; j < rows[i].count; j++)
			rig.entries[j].path = rows[i].paths[j];
		rig.config.entries.count = rows[i].count;
		take_over(&reader, &cursor);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, strlen(rows[i].names));
		for (unsigned j = 0; j < reader.count; j++)
			assert_int_equal(reader.names[j][0], rows[i].names[j]);
		rig_close(&rig, &reader);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resume__directory_changed__nothing_twice_and_nothing_left_out),
		TEST(test_resume__all_is_gone__the_end),
		TEST(test_resume__the_entry_is_a_directory__the_file_of_its_name_is_not_meant),
		TEST(test_resume__no_order__behind_the_entry_itself),
		TEST(test_resume__no_order_and_the_entry_is_gone__by_position),
		TEST(test_resume__then_seekdir__to_where_telldir_was),
		TEST(test_resume__to_before_all_that_is_there__from_the_start_and_to_an_end),
		TEST(test_resume__the_same_read_comes_again__the_same_entries),
		TEST(test_resume__in_the_middle_of_a_reply__counted_from_an_entry_before),
		TEST(test_resume__to_before_the_entry_known__counted_from_it),
		TEST(test_resume__nothing_known_of_the_entry__by_position),
		TEST(test_resume__an_offset_that_nobody_gave__the_end),
		TEST(test_resume__two_reads_at_once__both_are_answered),
		TEST(test_resume__little_memory_for_listings__goes_on_all_the_same),
		TEST(test_resume__pages_come_slowly__fails_in_time_and_goes_on_when_tried_again),
		TEST(test_resume__the_backing_store_fails__and_then_not),
		TEST(test_resume__far_into_a_large_directory__the_pages_before_are_not_fetched),
		TEST(test_resume__then_back__gets_a_listing_of_all),
		TEST(test_resume__another_reader_has_listed_it__nobody_is_asked),
		TEST(test_resume__a_listing_of_its_own_in_little_memory__goes_on),
		TEST(test_resume__above_the_entries__behind_the_same_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

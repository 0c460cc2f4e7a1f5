/*
 * Tests of resume.h, through the namespace's door: the pages from which a reader goes on with
 * another worker, of the directory's listing or one of its own.
 */
#include "fuse/namespace/resume.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/resume_rig.h"

#define ROOT NODE_ROOT_ID

/* --- how it goes on --------------------------------------------------------------------------- */

static void test_resume__two_reads_at_once__both_are_answered(void **state)
{
	struct rig_reader reader, other;
	struct ledger_cursor first, cursor;

	(void)state;
	numbers_put(0, 2 * NUMBERS, 2);
	numbers_begin(&reader, 1200, false);
	first = reader.read.last;
	numbers_read(&reader, 50);
	numbers_take_over(&reader, &cursor);
	other = reader;
	other.names = calloc(RIG_NAMES_MAX, sizeof(other.names[0]));
	assert_non_null(other.names);
	other.read.directory = &reader.directory;
	other.read.resume = &first;
	other.offset = first.off;
	other.count = reader.count = 0;
	numbers_put(1, 2000, 2);
	rig_read_start(&rig, &reader);
	rig_read_start(&rig, &other);
	assert_false(reader.ended || other.ended);
	fake_run_all(&rig.fake);
	assert_true(reader.ended && other.ended);
	assert_int_equal(number_of(other.names[0]), 2400);
	assert_int_equal(number_of(reader.names[0]), 2500);
	assert_int_equal(numbers_next(&reader, other.offsets[0]), 2402);
	assert_int_equal(numbers_next(&reader, reader.offsets[0]), 2502);
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
	numbers_put(0, 3 * NUMBERS, 3);
	numbers_begin(&reader, 2200, false);
	numbers_take_over(&reader, &cursor);
	numbers_drop(6597, 6598, 1);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS);
	for (unsigned i = 0; i < NUMBERS; i++)
		assert_int_equal(number_of(reader.names[i]), 3 * i);
	rig_close(&rig, &reader);
}

static void test_resume__pages_come_slowly__fails_in_time_and_goes_on_when_tried_again(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	rig.fake.page_max = 100;
	numbers_put(0, NUMBERS, 2);
	numbers_begin(&reader, 1000, false);
	numbers_take_over(&reader, &cursor);
	rig_read_start(&rig, &reader);
	for (unsigned pages = 0; !reader.ended; pages++) {
		assert_true(pages < 8);
		clock_manual_advance(&rig.clock, 5 * NS_PER_S);
		assert_true(fake_run(&rig.fake));
	}
	assert_int_equal(reader.read.status, -ETIMEDOUT);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS / 2);
	numbers_assert_steady(&reader, 2);
	rig_close(&rig, &reader);
}

static void test_resume__the_backing_store_fails__and_then_not(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	numbers_put(0, NUMBERS, 2);
	numbers_begin(&reader, 1200, false);
	numbers_take_over(&reader, &cursor);
	rig.fake.list_status = -EIO;
	assert_int_equal(rig_read_all(&rig, &reader), -EIO);
	rig.fake.list_status = 0;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS / 2);
	numbers_assert_steady(&reader, 2);
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
	numbers_put(0, NUMBERS, 1);
	numbers_begin(&reader, 2509, false); /* the last one a directory */
	numbers_take_over(&reader, &cursor);
	assert_true(cursor.directory);
	lists = rig.fake.lists;
	assert_true(numbers_read(&reader, 10) > 0);
	assert_true(rig.fake.lists <= lists + 2); /* the next one is under way */
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_true(rig.fake.lists <= lists + 7);
	assert_int_equal(reader.count, NUMBERS);
	numbers_assert_steady(&reader, 1);
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
	numbers_put(0, NUMBERS, 1);
	numbers_begin(&reader, 2000, false);
	numbers_take_over(&reader, &cursor);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS);
	/* seekdir: of what is known of the handle, the cursor is near */
	assert_int_equal(numbers_next(&reader, reader.offsets[1899]), 1900);
	assert_int_equal(numbers_next(&reader, reader.offsets[1900]), 1901);
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		reader.count = 0;
		reader.offset = offsets[i];
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, NUMBERS);
		numbers_assert_steady(&reader, 1);
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
	numbers_put(0, NUMBERS, 1);
	numbers_begin(&reader, 2000, false);
	numbers_take_over(&reader, &cursor);
	rig_open(&rig, &other, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &other), 0);
	lists = rig.fake.lists;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(rig.fake.lists, lists);
	assert_int_equal(reader.count, NUMBERS);
	numbers_assert_steady(&reader, 1);
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
	numbers_put(0, NUMBERS, 1);
	numbers_begin(&reader, 1100, false);
	numbers_take_over(&reader, &cursor);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(numbers_next(&reader, reader.offsets[1100]), 1101); /* was dropped since */
	reader.count = 1100;
	reader.offset = cursor.off;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS);
	numbers_assert_steady(&reader, 1);
	rig_close(&rig, &reader);
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resume__two_reads_at_once__both_are_answered),
		TEST(test_resume__little_memory_for_listings__goes_on_all_the_same),
		TEST(test_resume__pages_come_slowly__fails_in_time_and_goes_on_when_tried_again),
		TEST(test_resume__the_backing_store_fails__and_then_not),
		TEST(test_resume__far_into_a_large_directory__the_pages_before_are_not_fetched),
		TEST(test_resume__then_back__gets_a_listing_of_all),
		TEST(test_resume__another_reader_has_listed_it__nobody_is_asked),
		TEST(test_resume__a_listing_of_its_own_in_little_memory__goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

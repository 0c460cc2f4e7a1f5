/*
 * Tests of resume.h, through the namespace's door: the reader goes on with another worker from
 * where it was, or from an offset that the worker before gave it.
 */
#include "fuse/namespace/resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/resume_rig.h"

#define ROOT NODE_ROOT_ID

/* It has shown the first @count names, each once. */
static void check_all(const struct rig_reader *reader, unsigned count)
{
	assert_int_equal(reader->count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(number_of(reader->names[i]), i);
}

static void test_resume__then_seekdir__to_where_telldir_was(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;
	unsigned count;

	(void)state;
	numbers_put(0, NUMBERS, 2);
	numbers_begin(&reader, 700, false);
	numbers_take_over(&reader, &cursor);
	numbers_put(1, 1000, 2); /* before it: offsets do not begin at 0 any more */
	reader.room = 70;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	count = reader.count;
	assert_int_equal(count, NUMBERS / 2);
	for (unsigned i = 700; i + 1 < count; i += 37)
		assert_int_equal(numbers_next(&reader, reader.offsets[i]), 2 * (i + 1));
	/* Those of the former worker: as far as nothing changed between them and the cursor. */
	for (unsigned i = 600; i < 700; i += 7)
		assert_int_equal(numbers_next(&reader, reader.offsets[i]), 2 * (i + 1));
	reader.count = 0;
	reader.offset = 0; /* rewinddir */
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS / 2 + 500);
	for (unsigned i = 0; i + 1 < 1000; i += 37)
		assert_int_equal(numbers_next(&reader, reader.offsets[i]), i + 1);
	rig_close(&rig, &reader);
}

static void test_resume__to_before_all_that_is_there__from_the_start_and_to_an_end(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	numbers_put(0, 500, 1);
	numbers_begin(&reader, 400, false);
	numbers_take_over(&reader, &cursor);
	numbers_drop(0, 399, 1); /* by then offset 3 is far before the first */
	assert_int_equal(numbers_read(&reader, 10), 10);
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
	numbers_put(0, 300, 1);
	numbers_begin(&reader, 100, false);
	first = reader.read.last;
	count = reader.count;
	assert_int_equal(numbers_read(&reader, 50), 50);
	numbers_take_over(&reader, &cursor);
	reader.read.resume = &first;
	reader.offset = first.off;
	reader.count = count;
	numbers_put(400, 500, 1);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	numbers_assert_steady(&reader, NUMBERS + 1);
	assert_int_equal(reader.count, 400);
	rig_close(&rig, &reader);
}

/* What the reader reads into was shorter than the last reply. */
static void test_resume__in_the_middle_of_a_reply__counted_from_an_entry_before(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor first, cursor;

	(void)state;
	numbers_put(0, 300, 1);
	numbers_begin(&reader, 100, false);
	first = reader.read.last;
	assert_int_equal(numbers_read(&reader, 50), 50);
	numbers_take_over(&reader, &cursor);
	reader.read.resume = &first;
	reader.count = 120;
	reader.offset = reader.offsets[119];
	numbers_drop(0, 90, 2);
	numbers_put(300, 310, 1);
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
	numbers_put(0, 300, 1);
	numbers_begin(&reader, 200, false);
	numbers_take_over(&reader, &cursor);
	reader.count = 120;
	reader.offset = reader.offsets[119];
	numbers_drop(0, 90, 2);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	check_all(&reader, 300);
	rig_close(&rig, &reader);
}

static void test_resume__nothing_known_of_the_entry__by_position(void **state)
{
	struct rig_reader reader;
	struct ledger_cursor cursor;

	(void)state;
	numbers_put(0, NUMBERS, 2);
	numbers_begin(&reader, 1100, false);
	numbers_take_over(&reader, &cursor);
	reader.read.resume = NULL;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, NUMBERS / 2);
	numbers_assert_steady(&reader, 2);
	rig_close(&rig, &reader);
}

static void test_resume__an_offset_that_nobody_gave__the_end(void **state)
{
	static const uint64_t offsets[] = { UINT32_MAX, UINT64_C(1) << 40, INT64_MAX };
	struct rig_reader reader;

	(void)state;
	numbers_put(0, 30, 1);
	rig_open(&rig, &reader, ROOT, false);
	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		reader.offset = offsets[i];
		assert_int_equal(numbers_read(&reader, 100), 0);
	}
	rig_close(&rig, &reader);
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resume__then_seekdir__to_where_telldir_was),
		TEST(test_resume__to_before_all_that_is_there__from_the_start_and_to_an_end),
		TEST(test_resume__the_same_read_comes_again__the_same_entries),
		TEST(test_resume__in_the_middle_of_a_reply__counted_from_an_entry_before),
		TEST(test_resume__to_before_the_entry_known__counted_from_it),
		TEST(test_resume__nothing_known_of_the_entry__by_position),
		TEST(test_resume__an_offset_that_nobody_gave__the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

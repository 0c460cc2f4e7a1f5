/*
 * Tests of listing.h, through the namespace's door.
 */
#include "fuse/namespace/listing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID

static struct rig rig;

static void put_many(unsigned count, const char *format)
{
	char key[64];

	for (unsigned i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%s%06u", format, i);
		fake_put(&rig.fake, key, i, "0123456789abcdef0123456789abcdef");
	}
}

static void assert_all(const struct rig_reader *reader, unsigned count, const char *format)
{
	char name[64];

	assert_int_equal(reader->count, count);
	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%06u", format, i);
		assert_string_equal(reader->names[i], name);
	}
}

static void test_read__several_pages__all_names_once_in_order(void **state)
{
	static const struct {
		unsigned page, room;
		bool plus;
	} rows[] = { { 100, 7, false }, { 100, 7, true },     { 0, 50, false },
		     { 1, 3, false },	{ 1000, 4096, true }, { 3, 1, true } };

	(void)state;
	put_many(500, "n");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_reader reader;

		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		rig.fake.page_max = rows[i].page;
		rig_open(&rig, &reader, ROOT, rows[i].plus);
		reader.room = rows[i].room;
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_all(&reader, 500, "n");
		for (unsigned j = 0; rows[i].plus && j < reader.count; j++)
			namespace_forget(rig.ns, reader.ids[j], 1);
		rig_close(&rig, &reader);
		assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	}
}

static void test_read__dots_and_kinds(void **state)
{
	struct rig_reader reader;
	int index;

	(void)state;
	fake_put(&rig.fake, "d/x", 1, "e");
	fake_put(&rig.fake, "f", 1, "e");
	rig_open(&rig, &reader, ROOT, false);
	reader.dots = true;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 4);
	assert_string_equal(reader.names[0], ".");
	assert_string_equal(reader.names[1], "..");
	index = rig_has(&reader, "d");
	assert_true(index >= 0 && S_ISDIR(reader.modes[index]));
	index = rig_has(&reader, "f");
	assert_true(index >= 0 && S_ISREG(reader.modes[index]));
	rig_close(&rig, &reader);
}

static void test_read__d_ino__is_st_ino(void **state)
{
	static const char *const names[] = { "d", "f" };
	struct rig_reader reader;

	(void)state;
	fake_put(&rig.fake, "d/x", 1, "e");
	fake_put(&rig.fake, "f", 1, "e");
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct namespace_attributes attributes;
		uint64_t id;

		assert_int_equal(rig_lookup(&rig, ROOT, names[i], &id), 0);
		assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
		assert_int_equal(attributes.ino, reader.inos[rig_has(&reader, names[i])]);
	}
	rig_close(&rig, &reader);
}

static void test_read__first_page__is_given_before_the_second_is_there(void **state)
{
	struct rig_reader reader;

	(void)state;
	put_many(300, "n");
	rig.fake.page_max = 100;
	rig_open(&rig, &reader, ROOT, false);
	reader.room = 4096;
	rig_read_start(&rig, &reader);
	assert_false(reader.ended);
	assert_true(fake_run(&rig.fake)); /* one page */
	assert_true(reader.ended);
	assert_true(reader.count >= 98);
	rig_read_start(&rig, &reader);
	assert_false(reader.ended);
	while (!reader.ended)
		assert_true(fake_run(&rig.fake));
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_all(&reader, 300, "n");
	rig_close(&rig, &reader);
}

static void test_read__many_readers__one_listing(void **state)
{
	struct rig_reader readers[10];

	(void)state;
	put_many(300, "n");
	rig.fake.page_max = 100;
	for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
		rig_open(&rig, &readers[i], ROOT, false);
		rig_read_start(&rig, &readers[i]);
	}
	fake_run_all(&rig.fake);
	for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
		assert_true(readers[i].ended);
		assert_int_equal(rig_read_all(&rig, &readers[i]), 0);
		assert_all(&readers[i], 300, "n");
		rig_close(&rig, &readers[i]);
	}
	assert_int_equal(rig.fake.lists, 3);
}

static void test_read__nobody_reads_on__only_a_few_pages_are_fetched(void **state)
{
	struct rig_reader reader;

	(void)state;
	put_many(1000, "n");
	rig.fake.page_max = 10;
	rig_open(&rig, &reader, ROOT, false);
	reader.room = 5;
	rig_read_start(&rig, &reader);
	fake_run_all(&rig.fake);
	assert_true(reader.ended);
	assert_true(rig.fake.lists >= 2 && rig.fake.lists <= 1 + LISTING_PAGES_AHEAD + 1);
	rig_close(&rig, &reader);
}

static void test_read__files_before_prefixes__are_sorted_and_searched(void **state)
{
	struct rig_reader reader;
	char key[32];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), i % 2 ? "n%02u/x" : "n%02u", i);
		fake_put(&rig.fake, key, 1, "e");
	}
	rig.fake.files_first = true;
	rig.fake.page_max = 7;
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 50);
	rig.fake.lists = 0;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "n%02u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, key, NULL), 0);
		snprintf(key, sizeof(key), "m%02u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, key, NULL), -ENOENT);
	}
	assert_int_equal(rig.fake.lists, 0);
	rig_close(&rig, &reader);
}

static void test_read__key_and_prefix_of_one_name__the_directory_wins(void **state)
{
	static const unsigned pages[] = { 0, 1, 2, 3, 5 };

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	fake_put(&rig.fake, "a!", 1, "e");
	fake_put(&rig.fake, "a-1", 1, "e");
	fake_put(&rig.fake, "a-1/y", 1, "e");
	fake_put(&rig.fake, "a-2", 1, "e");
	fake_put(&rig.fake, "a.x", 1, "e");
	fake_put(&rig.fake, "a/b", 1, "e");
	fake_put(&rig.fake, "aa", 1, "e");
	fake_put(&rig.fake, "b", 1, "e");
	for (unsigned i = 0; i < 2 * ARRAY_COUNT(pages); i++) {
		uint64_t hidden = rig_counter(&rig, MOUNT_KEYS_HIDDEN);
		struct rig_reader reader;

		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		rig.fake.page_max = pages[i / 2];
		rig.fake.files_first = i % 2;
		rig_open(&rig, &reader, ROOT, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 7);
		assert_true(S_ISDIR(reader.modes[rig_has(&reader, "a")]));
		assert_true(S_ISDIR(reader.modes[rig_has(&reader, "a-1")]));
		assert_true(S_ISREG(reader.modes[rig_has(&reader, "a-2")]));
		assert_int_equal(rig_counter(&rig, MOUNT_KEYS_HIDDEN) - hidden, 2);
		rig_close(&rig, &reader);
	}
}

static void test_read__keys_that_are_no_names__are_left_out_and_counted(void **state)
{
	struct rig_reader reader;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "/", 1, "e");
	fake_put(&rig.fake, "/x", 1, "e");
	fake_put(&rig.fake, ".", 1, "e");
	fake_put(&rig.fake, "../y", 1, "e");
	fake_put(&rig.fake, "d/", 0, "e");
	fake_put(&rig.fake, "d//z", 1, "e");
	fake_put(&rig.fake, "d/ok", 1, "e");
	fake_put(&rig.fake, "m/", 10, "e");
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 2);
	assert_true(rig_has(&reader, "d") >= 0 && rig_has(&reader, "m") >= 0);
	assert_int_equal(rig_counter(&rig, MOUNT_KEYS_HIDDEN), 3); /* "/" as a prefix, ".", "../" */
	rig_close(&rig, &reader);
	assert_int_equal(rig_lookup(&rig, ROOT, "d", &id), 0);
	rig_open(&rig, &reader, id, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 1);
	assert_int_equal(rig_counter(&rig, MOUNT_KEYS_HIDDEN), 4);
	rig_close(&rig, &reader);
	assert_int_equal(rig_lookup(&rig, ROOT, "m", &id), 0);
	rig_open(&rig, &reader, id, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 0);
	assert_int_equal(rig_counter(&rig, MOUNT_KEYS_HIDDEN), 5); /* the marker's bytes */
	rig_close(&rig, &reader);
}

static void test_read__an_error__is_given_and_the_next_read_goes_on(void **state)
{
	static const unsigned fail_at[] = { 0, 1, 2 };

	(void)state;
	put_many(300, "n");
	rig.fake.page_max = 100;
	for (size_t i = 0; i < ARRAY_COUNT(fail_at); i++) {
		struct rig_reader reader;
		int status;

		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		rig_open(&rig, &reader, ROOT, false);
		rig_read_start(&rig, &reader);
		for (unsigned page = 0; page < fail_at[i]; page++)
			fake_run(&rig.fake);
		rig.fake.list_status = -EIO;
		fake_run_all(&rig.fake);
		rig.fake.list_status = 0;
		do {
			if (reader.ended)
				rig_read_start(&rig, &reader);
			fake_run_all(&rig.fake);
			status = reader.read.status;
		} while (reader.given > 0 || status != 0);
		assert_all(&reader, 300, "n");
		rig_close(&rig, &reader);
	}
}

static void test_read__an_error_with_readers_waiting__all_get_it(void **state)
{
	struct rig_reader readers[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
		rig_open(&rig, &readers[i], ROOT, false);
		rig_read_start(&rig, &readers[i]);
	}
	rig.fake.list_status = -EACCES;
	fake_run_all(&rig.fake);
	for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
		assert_true(readers[i].ended);
		assert_int_equal(readers[i].read.status, -EACCES);
		rig_close(&rig, &readers[i]);
	}
	assert_int_equal(rig.fake.lists, 1);
}

static void test_read__cancelled__ends_at_once(void **state)
{
	struct rig_reader reader, other;

	(void)state;
	put_many(10, "n");
	rig_open(&rig, &reader, ROOT, false);
	rig_open(&rig, &other, ROOT, false);
	rig_read_start(&rig, &reader);
	rig_read_start(&rig, &other);
	namespace_read_cancel(rig.ns, &reader.read);
	assert_true(reader.ended);
	assert_int_equal(reader.read.status, -ECANCELED);
	fake_run_all(&rig.fake);
	assert_true(other.ended);
	assert_int_equal(other.read.status, 0);
	namespace_read_cancel(rig.ns, &other.read);
	rig_close(&rig, &reader);
	rig_close(&rig, &other);
}

static void test_read__closed_while_the_page_is_under_way__nothing_is_left(void **state)
{
	struct rig_reader reader;

	(void)state;
	put_many(10, "n");
	rig_open(&rig, &reader, ROOT, false);
	rig_read_start(&rig, &reader);
	namespace_read_cancel(rig.ns, &reader.read);
	rig_close(&rig, &reader);
	fake_run_all(&rig.fake);
	assert_int_equal(rig_lookup(&rig, ROOT, "n000001", NULL), 0); /* it was not for nothing */
	assert_int_equal(rig.fake.heads, 0);
}

static void test_read__again_within_listing_timeout__asks_nothing(void **state)
{
	struct rig_reader reader;

	(void)state;
	put_many(10, "n");
	for (unsigned i = 0; i < 3; i++) {
		rig_open(&rig, &reader, ROOT, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 10);
		rig_close(&rig, &reader);
	}
	assert_int_equal(rig.fake.lists, 1);
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	rig_close(&rig, &reader);
	assert_int_equal(rig.fake.lists, 2);
}

static void test_read__rewound__shows_what_is_there_now(void **state)
{
	struct rig_reader reader;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 1);
	fake_put(&rig.fake, "b", 1, "e");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_read_all(&rig, &reader), 0); /* from the end: nothing more */
	assert_int_equal(reader.count, 1);
	reader.offset = 0;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 3);
	rig_close(&rig, &reader);
}

static void test_read__beyond_listing_memory__all_names_and_the_limit_holds(void **state)
{
	struct rig_reader reader;
	uint64_t most = 0;

	(void)state;
	rig.config.listing_memory = 64 << 10;
	put_many(4000, "n");
	rig.fake.page_max = 100;
	rig_open(&rig, &reader, ROOT, false);
	reader.room = 10;
	do {
		rig_read_start(&rig, &reader);
		while (!reader.ended)
			assert_true(fake_run(&rig.fake));
		assert_int_equal(reader.read.status, 0);
		if (rig_counter(&rig, MOUNT_LISTING_BYTES) > most)
			most = rig_counter(&rig, MOUNT_LISTING_BYTES);
	} while (reader.given > 0);
	assert_all(&reader, 4000, "n");
	assert_true(most <= (64 << 10) + (16 << 10)); /* and the page under way */
	/* Back to the middle: its page is fetched again by its token. */
	reader.offset = 2 + 1024 * 5 + 50;
	reader.count = 0;
	rig.fake.lists = 0;
	rig_read_start(&rig, &reader);
	fake_run_all(&rig.fake);
	assert_true(reader.ended);
	assert_string_equal(reader.names[0], "n000550");
	assert_int_equal(rig.fake.lists, 1);
	rig_close(&rig, &reader);
}

static void test_read__in_no_order__all_names_once_and_found(void **state)
{
	static const unsigned pages[] = { 0, 100, 7 };

	(void)state;
	put_many(3000, "n");
	fake_put(&rig.fake, "n000017/", 0, "e"); /* beside n000017 */
	rig.fake.scrambled = true;
	for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
		struct rig_reader reader;
		char name[64];

		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		rig.fake.page_max = pages[i];
		rig.fake.heads = 0;
		rig_open(&rig, &reader, ROOT, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_true(reader.count == 3000 || reader.count == 3001);
		for (unsigned j = 0; j < 3000; j += 17) {
			struct rig_lookup lookup;

			snprintf(name, sizeof(name), "n%06u", j);
			assert_true(rig_has(&reader, name) >= 0);
			rig_lookup_start(&rig, &lookup, ROOT, name);
			assert_true(lookup.ended);
			assert_int_equal(lookup.lookup.status, 0);
			assert_int_equal(S_ISDIR(lookup.lookup.attributes.mode), j == 17);
		}
		assert_int_equal(rig_lookup(&rig, ROOT, "m", NULL), -ENOENT);
		assert_int_equal(rig.fake.heads, 0);
		rig_close(&rig, &reader);
	}
}

static void test_read__in_no_order_beyond_memory__names_are_asked_for(void **state)
{
	struct rig_reader reader;

	(void)state;
	rig.config.listing_memory = 64 << 10;
	put_many(4000, "n");
	rig.fake.scrambled = true;
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 4000);
	assert_true(rig_counter(&rig, MOUNT_LISTING_BYTES) <= 256 << 10);
	assert_int_equal(rig_lookup(&rig, ROOT, "n000001", NULL), 0);
	assert_int_equal(rig.fake.heads, 1);
	rig_close(&rig, &reader);
}

static void test_read__many_directories__old_listings_give_way(void **state)
{
	char key[64];

	(void)state;
	rig.config.listing_memory = 64 << 10;
	for (unsigned i = 0; i < 400; i++) {
		snprintf(key, sizeof(key), "d%03u/x", i);
		fake_put(&rig.fake, key, 1, "e");
	}
	for (unsigned i = 0; i < 400; i++) {
		struct rig_reader reader;
		uint64_t id;

		snprintf(key, sizeof(key), "d%03u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, key, &id), 0);
		rig_open(&rig, &reader, id, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 1);
		rig_close(&rig, &reader);
		namespace_forget(rig.ns, id, 1);
	}
	assert_true(rig_counter(&rig, MOUNT_LISTING_BYTES) <= 64 << 10);
	assert_true(rig_counter(&rig, MOUNT_NODES) < 300);
}

static void test_read__empty_directories__are_reclaimed_too(void **state)
{
	char key[64];

	(void)state;
	rig.config.listing_memory = 64 << 10;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "d%03u/", i);
		fake_put(&rig.fake, key, 0, "e");
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct rig_reader reader;
		uint64_t id;

		snprintf(key, sizeof(key), "d%03u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, key, &id), 0);
		rig_open(&rig, &reader, id, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 0);
		rig_close(&rig, &reader);
		namespace_forget(rig.ns, id, 1);
	}
	assert_true(rig_counter(&rig, MOUNT_NODES) < 500);
}

static void test_read__not_a_directory__is_refused(void **state)
{
	struct namespace_directory directory;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(namespace_directory_open(rig.ns, id, &directory), -ENOTDIR);
	assert_int_equal(namespace_directory_open(rig.ns, 12345, &directory), -ESTALE);
}

static void test_read__100000_keys__streamed(void **state)
{
	struct rig_reader reader;
	unsigned count = 0;

	(void)state;
	put_many(100000, "n");
	rig.fake.page_max = 1000;
	rig_open(&rig, &reader, ROOT, false);
	do {
		reader.count = 0;
		rig_read_start(&rig, &reader);
		while (!reader.ended)
			assert_true(fake_run(&rig.fake));
		/* Never far more pages than were read. */
		assert_true(rig.fake.lists <= count / 1000 + LISTING_PAGES_AHEAD + 3);
		count += reader.count;
	} while (reader.given > 0);
	assert_int_equal(count, 100000);
	assert_true(rig_counter(&rig, MOUNT_LISTING_BYTES) < 10 << 20);
	rig_close(&rig, &reader);
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read__several_pages__all_names_once_in_order),
		TEST(test_read__dots_and_kinds),
		TEST(test_read__d_ino__is_st_ino),
		TEST(test_read__first_page__is_given_before_the_second_is_there),
		TEST(test_read__many_readers__one_listing),
		TEST(test_read__nobody_reads_on__only_a_few_pages_are_fetched),
		TEST(test_read__files_before_prefixes__are_sorted_and_searched),
		TEST(test_read__key_and_prefix_of_one_name__the_directory_wins),
		TEST(test_read__keys_that_are_no_names__are_left_out_and_counted),
		TEST(test_read__an_error__is_given_and_the_next_read_goes_on),
		TEST(test_read__an_error_with_readers_waiting__all_get_it),
		TEST(test_read__cancelled__ends_at_once),
		TEST(test_read__closed_while_the_page_is_under_way__nothing_is_left),
		TEST(test_read__again_within_listing_timeout__asks_nothing),
		TEST(test_read__rewound__shows_what_is_there_now),
		TEST(test_read__beyond_listing_memory__all_names_and_the_limit_holds),
		TEST(test_read__in_no_order__all_names_once_and_found),
		TEST(test_read__in_no_order_beyond_memory__names_are_asked_for),
		TEST(test_read__many_directories__old_listings_give_way),
		TEST(test_read__empty_directories__are_reclaimed_too),
		TEST(test_read__not_a_directory__is_refused),
		TEST(test_read__100000_keys__streamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

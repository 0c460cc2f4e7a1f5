/*
 * Tests of lookup.h, through the namespace's door.
 */
#include "fuse/namespace/lookup.h"

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

static void test_lookup__a_file__has_the_versions_attributes(void **state)
{
	struct namespace_attributes attributes;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a.bin", 12345, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a.bin", &id), 0);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	assert_int_equal(attributes.size, 12345);
	assert_int_equal(attributes.mtime_s, 1000);
	assert_int_equal(attributes.mode, S_IFREG | 0440);
	assert_int_equal(attributes.uid, 7);
	assert_int_equal(attributes.gid, 8);
	assert_int_equal(attributes.entry_timeout, 60 * NS_PER_S);
}

static void test_lookup__a_prefix__is_a_directory(void **state)
{
	struct namespace_attributes attributes;
	uint64_t id, below;

	(void)state;
	fake_put(&rig.fake, "d/e/f", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "d", &id), 0);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	assert_int_equal(attributes.mode, S_IFDIR | 0550);
	assert_int_equal(rig_lookup(&rig, id, "e", &id), 0);
	assert_int_equal(rig_lookup(&rig, id, "f", &below), 0);
	assert_int_equal(rig_lookup(&rig, below, "g", NULL), -ENOTDIR);
	assert_int_equal(rig_lookup(&rig, id, "g", NULL), -ENOENT);
	assert_int_equal(rig_lookup(&rig, 999, "g", NULL), -ESTALE);
}

static void test_lookup__key_and_prefix_of_one_name__the_directory_wins(void **state)
{
	struct namespace_attributes attributes;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "a/b", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	assert_true(S_ISDIR(attributes.mode));
}

static void test_lookup__a_marker__is_an_empty_directory(void **state)
{
	struct namespace_attributes attributes;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "d/", 0, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "d", &id), 0);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	assert_true(S_ISDIR(attributes.mode));
}

static void test_lookup__names_without_a_key__are_not_asked_for(void **state)
{
	static const char *const names[] = { ".", "..", "" };
	char longest[257];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		assert_int_equal(rig_lookup(&rig, ROOT, names[i], NULL), -ENOENT);
	memset(longest, 'x', 256);
	longest[256] = '\0';
	assert_int_equal(rig_lookup(&rig, ROOT, longest, NULL), -ENAMETOOLONG);
	assert_int_equal(rig.fake.heads + rig.fake.lists, 0);
}

static void test_lookup__statuses__the_table(void **state)
{
	static const struct {
		bool exists, below;
		int head, list, status;
	} rows[] = {
		{ true, false, 0, 0, 0 },
		{ false, false, 0, 0, -ENOENT },
		{ false, true, 0, 0, 0 },
		{ false, true, -EIO, 0, 0 },
		{ false, true, -EACCES, 0, 0 },
		{ true, false, 0, -EACCES, 0 },
		{ true, false, 0, -ENOENT, 0 },
		{ true, false, 0, -EIO, -EIO },
		{ true, false, 0, -ETIMEDOUT, -ETIMEDOUT },
		{ false, false, -EACCES, 0, -EACCES },
		{ false, false, 0, -EACCES, -EACCES },
		{ false, false, 0, -ENOENT, -ENOENT },
		{ false, false, -EACCES, -EACCES, -EACCES },
		{ false, false, -EIO, 0, -EIO },
		{ false, false, -ETIMEDOUT, -EACCES, -ETIMEDOUT },
		{ false, false, 0, -EIO, -EIO },
		{ false, false, -EACCES, -ETIMEDOUT, -ETIMEDOUT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char name[16], below[32];

		snprintf(name, sizeof(name), "n%zu", i);
		snprintf(below, sizeof(below), "%s/x", name);
		if (rows[i].exists)
			fake_put(&rig.fake, name, 1, "e");
		if (rows[i].below)
			fake_put(&rig.fake, below, 1, "e");
		rig.fake.head_status = rows[i].head;
		rig.fake.list_status = rows[i].list;
		assert_int_equal(rig_lookup(&rig, ROOT, name, NULL), rows[i].status);
		clock_manual_advance(&rig.clock, 600 * NS_PER_S); /* no listing in between */
	}
}

static void test_lookup__many_of_one_name__one_flight(void **state)
{
	struct rig_lookup lookups[50];

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	for (size_t i = 0; i < ARRAY_COUNT(lookups); i++)
		rig_lookup_start(&rig, &lookups[i], ROOT, "a");
	assert_int_equal(rig.fake.heads, 1);
	fake_run_all(&rig.fake);
	for (size_t i = 0; i < ARRAY_COUNT(lookups); i++) {
		assert_true(lookups[i].ended);
		assert_int_equal(lookups[i].lookup.attributes.id, lookups[0].lookup.attributes.id);
	}
	namespace_forget(rig.ns, lookups[0].lookup.attributes.id, ARRAY_COUNT(lookups));
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_lookup__cancelled__ends_at_once_and_others_go_on(void **state)
{
	struct rig_lookup first, second;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	rig_lookup_start(&rig, &first, ROOT, "a");
	rig_lookup_start(&rig, &second, ROOT, "a");
	namespace_lookup_cancel(rig.ns, &first.lookup);
	assert_true(first.ended);
	assert_int_equal(first.lookup.status, -ECANCELED);
	assert_false(second.ended);
	fake_run_all(&rig.fake);
	assert_true(second.ended);
	assert_int_equal(second.lookup.status, 0);
	namespace_lookup_cancel(rig.ns, &second.lookup); /* too late: no effect */
	assert_int_equal(second.lookup.status, 0);
}

static void test_lookup__all_cancelled__leaves_no_node(void **state)
{
	struct rig_lookup lookup;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	rig_lookup_start(&rig, &lookup, ROOT, "a");
	namespace_lookup_cancel(rig.ns, &lookup.lookup);
	fake_run_all(&rig.fake);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_lookup__an_error__is_not_remembered(void **state)
{
	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	rig.fake.head_status = -EIO;
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), -EIO);
	rig.fake.head_status = 0;
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), 0);
}

static void test_lookup__again__is_remembered_for_entry_timeout(void **state)
{
	uint64_t first, second;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &first), 0);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &second), 0);
	assert_int_equal(first, second);
	assert_int_equal(rig.fake.heads, 1);
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &second), 0);
	assert_int_equal(first, second);
	assert_int_equal(rig.fake.heads, 2);
}

static void test_lookup__more_than_may_be_under_way__take_turns(void **state)
{
	static struct rig_lookup lookups[LOOKUP_FLIGHTS_MAX + 100];
	static char names[LOOKUP_FLIGHTS_MAX + 100][16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lookups); i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		rig_lookup_start(&rig, &lookups[i], ROOT, names[i]);
	}
	assert_int_equal(rig.fake.heads, LOOKUP_FLIGHTS_MAX);
	fake_run_all(&rig.fake);
	for (size_t i = 0; i < ARRAY_COUNT(lookups); i++) {
		assert_true(lookups[i].ended);
		assert_int_equal(lookups[i].lookup.status, -ENOENT);
	}
}

static void test_lookup__waits_its_turn_beyond_its_time__times_out(void **state)
{
	static struct rig_lookup lookups[LOOKUP_FLIGHTS_MAX + 1];
	static char names[LOOKUP_FLIGHTS_MAX + 1][16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lookups); i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		rig_lookup_start(&rig, &lookups[i], ROOT, names[i]);
	}
	clock_manual_advance(&rig.clock, 31 * NS_PER_S);
	fake_run_all(&rig.fake);
	assert_true(lookups[LOOKUP_FLIGHTS_MAX].ended);
	assert_int_equal(lookups[LOOKUP_FLIGHTS_MAX].lookup.status, -ETIMEDOUT);
}

static void test_lookup__many_names_of_a_directory__make_it_be_listed(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		fake_put(&rig.fake, name, 1, "e");
	}
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, name, NULL), 0);
	}
	assert_int_equal(rig.fake.heads, LOOKUP_SINGLES_MAX);
	assert_int_equal(rig_counter(&rig, MOUNT_LOOKUPS_LISTED), 100 - LOOKUP_SINGLES_MAX);
}

static void test_lookup__after_a_listing__nothing_is_asked(void **state)
{
	struct rig_reader reader;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 5, "e");
	fake_put(&rig.fake, "d/x", 5, "e");
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	rig_close(&rig, &reader);
	assert_int_equal(rig.fake.lists, 1);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), 0);
	assert_int_equal(rig_lookup(&rig, ROOT, "d", &id), 0);
	assert_int_equal(rig_lookup(&rig, ROOT, "nothing", NULL), -ENOENT);
	assert_int_equal(rig.fake.heads, 0);
	assert_int_equal(rig.fake.lists, 1);
	clock_manual_advance(&rig.clock, 6 * NS_PER_S); /* negative_timeout */
	assert_int_equal(rig_lookup(&rig, ROOT, "nothing", NULL), -ENOENT);
	assert_int_equal(rig.fake.heads, 1);
	fake_put(&rig.fake, "a", 6, "e");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S); /* listing_timeout */
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), 0);
	assert_int_equal(rig.fake.heads, 2);
}

static void test_lookup__the_longest_key__is_found(void **state)
{
	char key[BACKING_KEY_MAX + 1], name[256];
	uint64_t id = ROOT;

	(void)state;
	memset(name, 'x', 255);
	name[255] = '\0';
	memset(key, 'y', BACKING_KEY_MAX - 1); /* three directories and a file of 255 bytes each */
	key[BACKING_KEY_MAX - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		memcpy(key + 256 * i, name, 255);
		key[256 * i + 255] = '/';
	}
	fake_put(&rig.fake, key, 1, "e");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_lookup(&rig, id, name, &id), 0);
	memset(name, 'y', 255);
	assert_int_equal(rig_lookup(&rig, id, name, NULL), 0);
}

/* Anew, with these entries, the first of which is of @kind, and one object in each: "x". */
static void start_with(char *const *paths, unsigned count, enum mount_kind kind)
{
	rig_stop(&rig);
	rig_init(&rig);
	for (unsigned i = 0; i < count; i++)
		rig.entries[i].path = paths[i];
	rig.entries[0].kind = kind;
	rig.config.entries.count = count;
	rig_start(&rig);
	fake_put(&rig.fake, "x", 1, "e");
}

static void test_lookup__in_a_small_files_entry__is_not_connected(void **state)
{
	static char ab[] = "/a/b", ac[] = "/a/c";
	char *const paths[] = { ab, ac };
	struct rig_reader reader;
	uint64_t a, b;

	(void)state;
	start_with(paths, 2, MOUNT_SMALL_FILES);
	a = rig_look_up(&rig, ROOT, "a");
	b = rig_look_up(&rig, a, "b");
	assert_int_equal(rig_lookup(&rig, a, "d", NULL), -ENOENT);
	assert_int_equal(rig_lookup(&rig, rig_look_up(&rig, a, "c"), "x", NULL), 0);
	assert_int_equal(rig_lookup(&rig, b, "x", NULL), -ENOTCONN);
	rig_open(&rig, &reader, b, false);
	assert_int_equal(rig_read_all(&rig, &reader), -ENOTCONN);
	rig_close(&rig, &reader);
	rig_open(&rig, &reader, a, true);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_true(rig_has(&reader, "b") >= 0 && rig_has(&reader, "c") >= 0);
	rig_close(&rig, &reader);
}

static void test_lookup__above_the_entries__the_configuration_answers(void **state)
{
	static char ab[] = "/a/b", ac[] = "/a/c", d[] = "/d";
	char *const paths[] = { ab, ac, d };
	struct namespace_attributes attributes;
	struct rig_reader reader;
	uint64_t a, b;

	(void)state;
	start_with(paths, 3, MOUNT_ORDINARY);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &a), 0);
	assert_int_equal(rig_lookup(&rig, ROOT, "ab", NULL), -ENOENT);
	assert_int_equal(rig_lookup(&rig, ROOT, "d", NULL), 0);
	assert_int_equal(rig_lookup(&rig, a, "b", &b), 0);
	assert_int_equal(rig_lookup(&rig, a, "d", NULL), -ENOENT);
	assert_int_equal(rig.fake.heads + rig.fake.lists, 0);
	assert_int_equal(namespace_attributes(rig.ns, a, &attributes), 0);
	assert_int_equal(attributes.mode, S_IFDIR | 0555);
	assert_int_equal(namespace_attributes(rig.ns, b, &attributes), 0);
	assert_int_equal(attributes.mode, S_IFDIR | 0550);
	assert_int_equal(rig_lookup(&rig, b, "x", NULL), 0);
	for (unsigned plus = 0; plus < 2; plus++) {
		rig_open(&rig, &reader, ROOT, plus);
		reader.room = 1 + plus * 99;
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 2);
		assert_true(rig_has(&reader, "a") >= 0 && rig_has(&reader, "d") >= 0);
		rig_close(&rig, &reader);
		rig_open(&rig, &reader, a, plus);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		assert_int_equal(reader.count, 2);
		assert_true(rig_has(&reader, "b") >= 0 && rig_has(&reader, "c") >= 0);
		rig_close(&rig, &reader);
	}
}

static void test_lookup__prefix__is_part_of_keys_and_not_of_paths(void **state)
{
	static char prefix[] = "train/v1/";
	char text[128];
	uint64_t id;

	(void)state;
	rig_stop(&rig);
	rig_init(&rig);
	rig.entries[0].prefix = prefix;
	rig_start(&rig);
	fake_put(&rig.fake, "train/v1/a/b", 1, "e");
	fake_put(&rig.fake, "train/x", 1, "e");
	assert_int_equal(rig_lookup(&rig, ROOT, "x", NULL), -ENOENT);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(namespace_describe(rig.ns, id, text, sizeof(text)), 0);
	assert_string_equal(text, "b/k/train/v1/a/");
	assert_int_equal(rig_lookup(&rig, id, "b", &id), 0);
	assert_int_equal(namespace_describe(rig.ns, id, text, sizeof(text)), 0);
	assert_string_equal(text, "b/k/train/v1/a/b");
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookup__a_file__has_the_versions_attributes),
		TEST(test_lookup__a_prefix__is_a_directory),
		TEST(test_lookup__key_and_prefix_of_one_name__the_directory_wins),
		TEST(test_lookup__a_marker__is_an_empty_directory),
		TEST(test_lookup__names_without_a_key__are_not_asked_for),
		TEST(test_lookup__statuses__the_table),
		TEST(test_lookup__many_of_one_name__one_flight),
		TEST(test_lookup__cancelled__ends_at_once_and_others_go_on),
		TEST(test_lookup__all_cancelled__leaves_no_node),
		TEST(test_lookup__an_error__is_not_remembered),
		TEST(test_lookup__again__is_remembered_for_entry_timeout),
		TEST(test_lookup__more_than_may_be_under_way__take_turns),
		TEST(test_lookup__waits_its_turn_beyond_its_time__times_out),
		TEST(test_lookup__many_names_of_a_directory__make_it_be_listed),
		TEST(test_lookup__after_a_listing__nothing_is_asked),
		TEST(test_lookup__the_longest_key__is_found),
		TEST(test_lookup__above_the_entries__the_configuration_answers),
		TEST(test_lookup__in_a_small_files_entry__is_not_connected),
		TEST(test_lookup__prefix__is_part_of_keys_and_not_of_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

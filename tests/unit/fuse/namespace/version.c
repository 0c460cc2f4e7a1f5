/*
 * Tests of version.h and of files, through the namespace's door: which node a name has as its
 * object changes.
 */
#include "fuse/namespace/version.h"

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

static uint64_t ino_of(uint64_t id)
{
	return rig_attributes(&rig, id).ino;
}

static void test_overwritten__a_new_node__the_old_one_is_stale_and_goes_on(void **state)
{
	static const struct {
		uint64_t size;
		const char *etag;
	} rows[] = { { 1, "e2" }, { 2, "e1" }, { 7, "e7" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t before, after;
		struct namespace_file *file;

		fake_put(&rig.fake, "a", 1, "e1");
		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
		assert_int_equal(rig_open_status(&rig, before), 0);
		fake_put(&rig.fake, "a", rows[i].size, rows[i].etag);
		rig.obsolete = 0;
		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
		assert_true(after != before);
		assert_true(ino_of(after) != ino_of(before));
		assert_int_equal(rig.obsolete, 1);
		assert_string_equal(rig.obsolete_etag, "e1");
		assert_int_equal(rig_open_status(&rig, before), -ESTALE);
		assert_int_equal(rig_open_status(&rig, after), 0);
		assert_int_equal(namespace_file(rig.ns, before, false, &file), 0);
		assert_string_equal(file->version.etag, "e1");
		assert_int_equal(file->version.size, 1);
		namespace_file_free(file);
		namespace_forget(rig.ns, before, 1);
		namespace_forget(rig.ns, after, 1);
	}
}

static bool is_fresh(uint64_t id)
{
	struct namespace_file *file;
	bool fresh;

	assert_int_equal(namespace_file(rig.ns, id, true, &file), 0);
	fresh = file->fresh;
	namespace_file_free(file);
	return fresh;
}

static void test_superseded__another_node_of_the_same_version__nobody_is_asked(void **state)
{
	uint64_t before, after, again;
	unsigned heads;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	assert_false(is_fresh(before));
	heads = rig.fake.heads;
	namespace_supersede(rig.ns, before);
	assert_int_equal(rig_open_status(&rig, before), -ESTALE);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_true(after != before);
	assert_true(ino_of(after) == ino_of(before));
	/* As the kernel does when it finds another node than it had: and then it asks again. */
	namespace_forget(rig.ns, after, 1);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &again), 0);
	assert_true(again == after);
	assert_int_equal(rig.fake.heads, heads);
	assert_int_equal(rig.obsolete, 0);
	assert_true(is_fresh(after));
	clock_manual_advance(&rig.clock, 11 * NS_PER_S);
	assert_false(is_fresh(after));
}

static void test_rewritten_with_the_same_bytes__the_same_node_a_new_time(void **state)
{
	struct namespace_attributes attributes;
	uint64_t before, after;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	rig.fake.keys[0].meta.mtime_s = 5000;
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_int_equal(before, after);
	assert_int_equal(rig.obsolete, 0);
	assert_int_equal(namespace_attributes(rig.ns, after, &attributes), 0);
	assert_int_equal(attributes.mtime_s, 5000);
}

static void test_forgotten_and_found_again__another_id_the_same_ino(void **state)
{
	uint64_t before, after, ino;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	ino = ino_of(before);
	namespace_forget(rig.ns, before, 1);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_true(after != before);
	assert_int_equal(ino_of(after), ino);
}

static void test_refused__stale_at_once_and_the_next_lookup_asks(void **state)
{
	struct rig_reader reader;
	uint64_t before, after;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig_open(&rig, &reader, ROOT, false); /* a fresh listing names the old version */
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	rig_close(&rig, &reader);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	assert_int_equal(rig.fake.heads, 0);
	fake_put(&rig.fake, "a", 2, "e2");
	namespace_refused(rig.ns, before);
	assert_int_equal(rig.obsolete, 1);
	assert_int_equal(rig_open_status(&rig, before), -ESTALE);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_int_equal(rig.fake.heads, 1);
	assert_true(after != before);
	assert_int_equal(rig_open_status(&rig, after), 0);
	namespace_refused(rig.ns, before); /* no effect on the new one */
	assert_int_equal(rig_open_status(&rig, after), 0);
}

static void test_refused_but_found_again__a_confirmed_node(void **state)
{
	struct namespace_file *file;
	uint64_t before, after;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	namespace_refused(rig.ns, before);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_true(after != before);
	assert_int_equal(ino_of(after), ino_of(before));
	assert_int_equal(namespace_file(rig.ns, after, true, &file), 0);
	assert_true(file->confirmed);
	namespace_file_free(file);
}

static void test_deleted__the_node_is_stale_and_goes_on(void **state)
{
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	fake_delete(&rig.fake, "a");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), -ENOENT);
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	assert_int_equal(rig.obsolete, 1);
	assert_int_equal(ino_of(id), ino_of(id));
}

static void test_file_becomes_directory_and_back(void **state)
{
	struct namespace_attributes attributes;
	uint64_t file, directory, again;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &file), 0);
	fake_delete(&rig.fake, "a");
	fake_put(&rig.fake, "a/b", 1, "e1");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &directory), 0);
	assert_true(directory != file);
	assert_int_equal(namespace_attributes(rig.ns, directory, &attributes), 0);
	assert_true(S_ISDIR(attributes.mode));
	fake_delete(&rig.fake, "a/b");
	fake_put(&rig.fake, "a", 1, "e1");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &again), 0);
	assert_true(again != file && again != directory);
	assert_int_equal(ino_of(again), ino_of(file));
}

static void test_overwritten__seen_by_readdirplus(void **state)
{
	struct rig_reader reader;
	uint64_t before;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &before), 0);
	fake_put(&rig.fake, "a", 2, "e2");
	rig_open(&rig, &reader, ROOT, true);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 1);
	assert_true(reader.ids[0] != before);
	assert_int_equal(rig_open_status(&rig, before), -ESTALE);
	rig_close(&rig, &reader);
}

static void test_old_listing__read_on_after_a_newer_lookup__the_newer_version_stays(void **state)
{
	struct rig_reader reader;
	uint64_t after, again;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig_open(&rig, &reader, ROOT, true);
	reader.room = 2; /* "." and ".." */
	rig_read_start(&rig, &reader);
	fake_run_all(&rig.fake);
	assert_int_equal(reader.count, 0);
	fake_put(&rig.fake, "a", 2, "e2");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S); /* the listing goes on for who reads it */
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 1);
	assert_int_equal(reader.ids[0], after);
	assert_int_equal(rig.obsolete, 0);
	/* Refused: the old listing's version is no news. */
	namespace_refused(rig.ns, after);
	reader.offset = 2;
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 2);
	assert_int_equal(reader.ids[1], 0);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &again), 0);
	assert_true(again != after);
	rig_close(&rig, &reader);
}

static void test_listed__the_name_is_believed_for_what_is_left_of_its_time(void **state)
{
	struct rig_lookup lookup;
	struct rig_reader reader;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig_open(&rig, &reader, ROOT, false);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	rig_close(&rig, &reader);
	clock_manual_advance(&rig.clock, 3 * NS_PER_S);
	rig_lookup_start(&rig, &lookup, ROOT, "a");
	assert_int_equal(lookup.lookup.attributes.entry_timeout, 57 * NS_PER_S);
	rig_lookup_start(&rig, &lookup, ROOT, "nothing");
	assert_int_equal(lookup.lookup.status, -ENOENT);
	assert_int_equal(lookup.lookup.negative_timeout, 2 * NS_PER_S);
}

static void test_file__says_what_the_cache_needs(void **state)
{
	struct namespace_file *file;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "train/cats/1", 99, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "train", &id), 0);
	assert_int_equal(namespace_file(rig.ns, id, true, &file), -EISDIR);
	assert_int_equal(rig_lookup(&rig, id, "cats", &id), 0);
	assert_int_equal(rig_lookup(&rig, id, "1", &id), 0);
	assert_int_equal(namespace_file(rig.ns, id, true, &file), 0);
	assert_string_equal(file->version.backing, "b");
	assert_string_equal(file->version.bucket, "k");
	assert_string_equal(file->version.key, "train/cats/1");
	assert_string_equal(file->version.etag, "e1");
	assert_int_equal(file->version.size, 99);
	assert_string_equal(file->dataset, "/train");
	assert_ptr_equal(file->backing, &rig.fake.backing);
	namespace_file_free(file);
	assert_int_equal(namespace_file(rig.ns, 12345, true, &file), -ESTALE);
}

/* Opens files [0, count) of a listed directory in order. Return: files fetched ahead. */
static unsigned open_in_order(unsigned count, uint64_t bytes_max, uint64_t *out_bytes)
{
	unsigned ahead = 0;
	char name[16];

	for (unsigned i = 0; i < count; i++) {
		struct namespace_file *files[128];
		unsigned found;
		uint64_t id;

		snprintf(name, sizeof(name), "n%04u", i);
		assert_int_equal(rig_lookup(&rig, ROOT, name, &id), 0);
		found = namespace_siblings(rig.ns, id, bytes_max, files, ARRAY_COUNT(files));
		*out_bytes = 0;
		for (unsigned j = 0; j < found; j++) {
			*out_bytes += files[j]->version.size;
			assert_true(strcmp(files[j]->version.key, name) > 0);
			namespace_file_free(files[j]);
		}
		assert_true(*out_bytes <= bytes_max);
		ahead += found;
	}
	return ahead;
}

static void test_siblings__read_in_order__come_ahead_within_their_bytes(void **state)
{
	static const struct {
		uint64_t bytes_max;
		unsigned min, max;
	} rows[] = { { 1 << 20, 150, 190 }, { 3000, 100, 190 }, { 500, 0, 0 } };
	char key[16];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "n%04u", i);
		fake_put(&rig.fake, key, 1000, "e");
	}
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_reader reader;
		uint64_t bytes;
		unsigned ahead;

		clock_manual_advance(&rig.clock, 61 * NS_PER_S);
		rig_open(&rig, &reader, ROOT, false);
		assert_int_equal(rig_read_all(&rig, &reader), 0);
		rig_close(&rig, &reader);
		ahead = open_in_order(120, rows[i].bytes_max, &bytes);
		assert_true(ahead >= rows[i].min && ahead <= rows[i].max);
	}
}

static void test_siblings__without_a_listing__none(void **state)
{
	struct namespace_file *files[4];
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(namespace_siblings(rig.ns, id, 1 << 20, files, 4), 0);
	assert_int_equal(namespace_siblings(rig.ns, ROOT, 1 << 20, files, 4), 0);
	assert_int_equal(namespace_siblings(rig.ns, 12345, 1 << 20, files, 4), 0);
	namespace_siblings_refused(rig.ns, ROOT, 0);
	namespace_siblings_refused(rig.ns, id, 0);
}

static void test_create__an_unknown_backing_store__is_named(void **state)
{
	static char unknown[] = "nowhere";
	struct backing *const backings[] = { &rig.fake.backing };
	struct namespace_settings settings = {
		.config = &rig.config,
		.backings = backings,
		.backing_count = 1,
		.clock = &rig.clock.clock,
		.ledger = rig.ledger,
		.counters = &rig.counters,
	};
	struct namespace *ns = NULL;
	char problem[256] = "";

	(void)state;
	rig.entries[0].backing = unknown;
	assert_int_equal(namespace_create(&settings, &ns, problem, sizeof(problem)), -EINVAL);
	assert_non_null(strstr(problem, "nowhere"));
	assert_null(ns);
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_overwritten__a_new_node__the_old_one_is_stale_and_goes_on),
		TEST(test_superseded__another_node_of_the_same_version__nobody_is_asked),
		TEST(test_rewritten_with_the_same_bytes__the_same_node_a_new_time),
		TEST(test_forgotten_and_found_again__another_id_the_same_ino),
		TEST(test_refused__stale_at_once_and_the_next_lookup_asks),
		TEST(test_refused_but_found_again__a_confirmed_node),
		TEST(test_deleted__the_node_is_stale_and_goes_on),
		TEST(test_file_becomes_directory_and_back),
		TEST(test_overwritten__seen_by_readdirplus),
		TEST(test_old_listing__read_on_after_a_newer_lookup__the_newer_version_stays),
		TEST(test_listed__the_name_is_believed_for_what_is_left_of_its_time),
		TEST(test_file__says_what_the_cache_needs),
		TEST(test_siblings__read_in_order__come_ahead_within_their_bytes),
		TEST(test_siblings__without_a_listing__none),
		TEST(test_create__an_unknown_backing_store__is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of store_list(): everything committed, once, in portions, whatever else goes on.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "cache/store/contents.h"
#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/rig.h"

#define MIB	 (UINT64_C(1) << 20)
#define CAPACITY (256 * MIB)
#define OBJECTS	 300
#define NEW	 10000 /* objects from this number on come meanwhile */

static const uint64_t sizes[] = { 700, 30000, 40000, 2 * RIG_BLOCK_LEN + 9 };

static void make_object(struct rig_object *object, unsigned number)
{
	rig_object(object, number, sizes[number % ARRAY_COUNT(sizes)], number % 2 ? "/a" : "/b");
}

static void write_objects(struct rig *rig, unsigned first, unsigned count)
{
	struct rig_object object;

	for (unsigned i = first; i < first + count; i++) {
		make_object(&object, i);
		assert_int_equal(rig_write_all(rig, &object), 0);
	}
}

/* The entry says all there is to say of object @number. */
static void check_listed(const struct store_listed *listed, unsigned number)
{
	uint64_t blocks;
	struct rig_object object;

	make_object(&object, number);
	blocks = (object.store.version.size + RIG_BLOCK_LEN - 1) / RIG_BLOCK_LEN;
	assert_memory_equal(&listed->object.id, &object.store.id, sizeof(object.store.id));
	assert_string_equal(listed->object.version.backing, "s3");
	assert_string_equal(listed->object.version.bucket, "images");
	assert_string_equal(listed->object.version.key, object.key);
	assert_string_equal(listed->object.version.etag, "\"e\"");
	assert_int_equal(listed->object.version.size, object.store.version.size);
	assert_int_equal(listed->object.mtime_s, object.store.mtime_s);
	assert_string_equal(listed->object.dataset, object.store.dataset);
	assert_int_equal(listed->resident, object.store.version.size);
	assert_int_equal(listed->block_count, blocks);
	for (unsigned i = 0; i < listed->block_count; i++)
		assert_int_equal(listed->blocks[i], i);
}

/* Goes through all and counts in @seen how often each of the first OBJECTS came.
 * Return: how many entries there were. */
static unsigned list_all(struct rig *rig, unsigned seen[OBJECTS])
{
	struct store_cursor cursor = { 0 };
	struct store_page *page = calloc(1, sizeof(*page));
	unsigned entries = 0;
	int count;

	assert_non_null(page);
	memset(seen, 0, OBJECTS * sizeof(seen[0]));
	while ((count = store_list(rig->store, &cursor, page)) != 0) {
		assert_in_range(count, 1, STORE_PAGE_OBJECTS);
		assert_int_equal(count, page->count);
		for (int i = 0; i < count; i++) {
			const char *key = page->objects[i].object.version.key;
			unsigned long number;

			assert_int_equal(strncmp(key, "train/", 6), 0);
			number = strtoul(key + 6, NULL, 10);
			if (number < NEW) {
				check_listed(&page->objects[i], (unsigned)number);
				seen[number]++;
			}
			entries++;
		}
	}
	free(page);
	return entries;
}

static void test_list__empty__nothing(void **state)
{
	unsigned seen[OBJECTS];
	struct rig rig;

	(void)state;
	rig_make(&rig, 0, CAPACITY);
	rig_open(&rig);
	assert_int_equal(list_all(&rig, seen), 0);
	rig_close(&rig);
	rig_remove(&rig);
	rig_make(&rig, 2, CAPACITY);
	rig_open(&rig);
	assert_int_equal(list_all(&rig, seen), 0);
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_list__many_objects__each_once_with_its_blocks(void **state)
{
	unsigned seen[OBJECTS];

	(void)state;
	for (unsigned directories = 1; directories <= 3; directories++) {
		struct rig rig;

		rig_make(&rig, directories, CAPACITY);
		rig_open(&rig);
		write_objects(&rig, 0, OBJECTS);
		rig_flush(&rig);
		assert_int_equal(list_all(&rig, seen), OBJECTS);
		for (unsigned i = 0; i < OBJECTS; i++)
			assert_int_equal(seen[i], 1);
		rig_close(&rig);
		rig_remove(&rig);
	}
}

static void test_list__blocks_missing__only_those_here(void **state)
{
	static const uint64_t here[] = { 1, 2, 5 };
	struct store_cursor cursor = { 0 };
	struct store_page *page = calloc(1, sizeof(*page));
	struct rig_object object;
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, CAPACITY);
	rig_open(&rig);
	rig_object(&object, 1, 6 * RIG_BLOCK_LEN - 100, "/a");
	for (unsigned i = 0; i < ARRAY_COUNT(here); i++)
		assert_int_equal(rig_write(&rig, &object, here[i]), 0);
	rig_flush(&rig);
	store_obsolete(rig.store, &object.store.id);
	rig_object(&object, 2, 50000, "/a"); /* a group that takes the note along */
	assert_int_equal(rig_write(&rig, &object, 0), 0);
	rig_flush(&rig);
	assert_int_equal(store_list(rig.store, &cursor, page), 2);
	for (unsigned i = 0; i < 2; i++) {
		bool large = page->objects[i].block_count > 1;

		assert_int_equal(page->objects[i].obsolete, large);
		if (!large)
			continue;
		assert_int_equal(page->objects[i].block_count, ARRAY_COUNT(here));
		assert_memory_equal(page->objects[i].blocks, here, sizeof(here));
		assert_int_equal(page->objects[i].resident, 3 * RIG_BLOCK_LEN - 100);
	}
	assert_int_equal(store_list(rig.store, &cursor, page), 0);
	assert_int_equal(store_list(rig.store, &cursor, page), 0);
	free(page);
	rig_close(&rig);
	rig_remove(&rig);
}

#define HUGE_BLOCKS (2 * STORE_PAGE_BLOCKS + 100)

static int put_huge(struct index_txn *txn, void *argument)
{
	const struct contents_object *object = argument;
	static struct contents contents;
	struct record_block record = { .len = (uint32_t)RIG_BLOCK_LEN, .check_count = 8 };
	int error = 0;

	contents_begin(&contents, txn, 1);
	/* Every other one: numbers are no positions. */
	for (uint64_t i = 0; i < HUGE_BLOCKS && !error; i++)
		error = contents_put_block(&contents, object, 2 * i, &record);
	return error ? error : contents_finish(&contents);
}

/* An object with more blocks than a page takes: made in the index, since bytes do not matter here.
 */
static void put_in_index(const struct rig *rig)
{
	char path[512];
	struct index_options options = { .path = path };
	struct contents_object object = { 0 };
	struct index *index;

	object.version = (struct object_version){ .backing = "s3",
						  .bucket = "images",
						  .key = "huge",
						  .etag = "e",
						  .size = 4UL * HUGE_BLOCKS * RIG_BLOCK_LEN };
	object_id_of(&object.version, &object.id);
	snprintf(path, sizeof(path), "%s/index", rig->directory_paths[0]);
	assert_int_equal(index_open(&options, &index), 0);
	assert_int_equal(index_update(index, put_huge, &object), 0);
	index_close(index);
}

static void test_list__more_blocks_than_a_page__in_parts(void **state)
{
	struct store_cursor cursor = { 0 };
	struct store_page *page = calloc(1, sizeof(*page));
	unsigned parts = 0;
	uint64_t next = 0;
	struct rig rig;
	int count;

	(void)state;
	rig_make(&rig, 1, CAPACITY);
	rig_open(&rig);
	write_objects(&rig, 0, 40);
	rig_close(&rig);
	put_in_index(&rig);
	rig_open(&rig);
	while ((count = store_list(rig.store, &cursor, page)) != 0) {
		assert_true(count > 0);
		for (int i = 0; i < count; i++) {
			const struct store_listed *listed = &page->objects[i];

			if (listed->object.version.size < 4 * MIB)
				continue;
			for (unsigned j = 0; j < listed->block_count; j++)
				assert_int_equal(listed->blocks[j], 2 * next++);
			parts++;
		}
	}
	assert_int_equal(next, HUGE_BLOCKS);
	assert_int_equal(parts, 3);
	free(page);
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_list__long_strings__a_page_takes_what_fits(void **state)
{
	enum { MANY = 12, LEN = RECORD_STRING_MAX };
	static char text[LEN + 1];
	struct store_cursor cursor = { 0 };
	struct store_page *page = calloc(1, sizeof(*page));
	struct rig_object object;
	unsigned seen = 0;
	struct rig rig;
	int count;

	(void)state;
	memset(text, 'y', LEN);
	rig_make(&rig, 1, CAPACITY);
	rig_open(&rig);
	for (unsigned i = 0; i < MANY; i++) {
		rig_object(&object, i, 1000 + i, text);
		object.store.version.backing = text;
		object.store.version.bucket = text;
		object.store.version.etag = text;
		object_id_of(&object.store.version, &object.store.id);
		assert_int_equal(rig_write_all(&rig, &object), 0);
	}
	rig_flush(&rig);
	while ((count = store_list(rig.store, &cursor, page)) != 0) {
		assert_in_range(count, 1, STORE_PAGE_TEXT / (4 * LEN));
		for (int i = 0; i < count; i++) {
			assert_string_equal(page->objects[i].object.version.etag, text);
			assert_string_equal(page->objects[i].object.dataset, text);
		}
		seen += (unsigned)count;
	}
	assert_int_equal(seen, MANY);
	free(page);
	rig_close(&rig);
	rig_remove(&rig);
}

struct churn {
	struct rig *rig;
	_Atomic bool stop;
	unsigned written;
};

static void *churn_main(void *argument)
{
	struct churn *churn = argument;

	while (!churn->stop) {
		struct rig_object object;

		/* Only a few different ones, so that they never fill the store. */
		make_object(&object, NEW + churn->written % 200);
		CHECK(rig_write_all(churn->rig, &object) >= 0);
		churn->written++;
	}
	return NULL;
}

static void test_list__while_writing__what_was_there_comes_once(void **state)
{
	unsigned seen[OBJECTS];
	struct churn churn = { 0 };
	pthread_t thread;
	struct rig rig;

	(void)state;
	rig_make(&rig, 2, CAPACITY);
	rig_open(&rig);
	write_objects(&rig, 0, OBJECTS);
	rig_flush(&rig);
	churn.rig = &rig;
	assert_int_equal(pthread_create(&thread, NULL, churn_main, &churn), 0);
	for (unsigned pass = 0; pass < 30; pass++) {
		assert_true(list_all(&rig, seen) >= OBJECTS);
		for (unsigned i = 0; i < OBJECTS; i++)
			assert_int_equal(seen[i], 1);
	}
	churn.stop = true;
	pthread_join(thread, NULL);
	assert_true(churn.written > 0);
	rig_close(&rig);
	rig_remove(&rig);
}

static bool is_out(struct rig *rig, unsigned index)
{
	struct cache_directory_status status;

	store_directory_status(rig->store, index, &status);
	return status.state == CACHE_DIRECTORY_FAILED;
}

static void test_list__directory_out__the_others(void **state)
{
	unsigned seen[OBJECTS];
	struct rig_object object;
	struct faults faults;
	unsigned i = 0;
	struct rig rig;

	(void)state;
	faults_init(&faults);
	rig_make(&rig, 2, CAPACITY);
	rig.files = &faults.files;
	rig_open(&rig);
	write_objects(&rig, 0, OBJECTS);
	rig_flush(&rig);
	while (!is_out(&rig, 0) && !is_out(&rig, 1)) {
		make_object(&object, NEW + i++);
		faults_set(&faults, FAULT_ANY, -EIO, 0, 1);
		rig_write_all(&rig, &object);
		rig_flush(&rig);
		assert_true(i < 100);
	}
	assert_in_range(list_all(&rig, seen), OBJECTS / 4, OBJECTS * 3 / 4);
	rig_close(&rig);
	rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list__empty__nothing),
		cmocka_unit_test(test_list__many_objects__each_once_with_its_blocks),
		cmocka_unit_test(test_list__blocks_missing__only_those_here),
		cmocka_unit_test(test_list__more_blocks_than_a_page__in_parts),
		cmocka_unit_test(test_list__long_strings__a_page_takes_what_fits),
		cmocka_unit_test(test_list__while_writing__what_was_there_comes_once),
		cmocka_unit_test(test_list__directory_out__the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of cache/store/contents.h: after any change the tables say the same thing.
 */
#include "cache/store/contents.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define BLOCK_LEN 1000000u
#define OBJECTS	  40
#define SEGMENTS  4
#define DATASETS  3

struct fixture {
	char path[256];
	struct index *index;
	struct contents contents;
	struct random random;
	uint32_t segment_len[SEGMENTS + 1];
};

static void make(struct fixture *fixture)
{
	struct index_options options = { .path = fixture->path };
	char here[200];

	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(fixture->path, sizeof(fixture->path), "%s/contents-XXXXXX", here);
	assert_non_null(mkdtemp(fixture->path));
	assert_int_equal(index_open(&options, &fixture->index), 0);
	random_init(&fixture->random, 7);
	memset(fixture->segment_len, 0, sizeof(fixture->segment_len));
}

static void unmake(struct fixture *fixture)
{
	index_close(fixture->index);
	assert_int_equal(index_remove(fixture->path), 0);
	assert_int_equal(rmdir(fixture->path), 0);
}

static bool is_packed(unsigned number)
{
	return number % 2;
}

static uint64_t size_of(unsigned number)
{
	return is_packed(number) ? 1000 + number : 3 * BLOCK_LEN + 1 + number;
}

static struct contents_object object_of(unsigned number)
{
	static const char *const names[DATASETS] = { "/0", "/1", "/2" };

	return (struct contents_object){
		.id = { { (uint8_t)(number * 91), (uint8_t)number } },
		.version = { .backing = "s3",
			     .bucket = "b",
			     .key = "key",
			     .etag = "e",
			     .size = size_of(number) },
		.dataset = number % DATASETS,
		.dataset_name = names[number % DATASETS],
		.dataset_tick = number,
	};
}

static int put(struct fixture *fixture, unsigned number, uint64_t block)
{
	struct contents_object object = object_of(number);
	struct record_block record = { .len = object_block_len(size_of(number), block, BLOCK_LEN) };
	/* A segment belongs to one dataset. */
	uint32_t segment = 1 + number % DATASETS;
	uint32_t off = fixture->segment_len[segment];

	if (is_packed(number)) {
		fixture->segment_len[segment] += (uint32_t)size_of(number);
		return contents_put_packed(&fixture->contents, &object, segment, off, number);
	}
	record.check_count = object_granule_count(record.len);
	return contents_put_block(&fixture->contents, &object, block, &record);
}

/* A random change, as groups and evictions make them. */
static int change(struct fixture *fixture)
{
	unsigned number = (unsigned)random_below(&fixture->random, OBJECTS);
	uint64_t block = random_below(&fixture->random, is_packed(number) ? 1 : 4);
	uint32_t segment = 1 + (uint32_t)random_below(&fixture->random, DATASETS);
	struct contents_object object = object_of(number);
	bool flag;
	int error;

	switch (random_below(&fixture->random, 12)) {
	case 0:
		return contents_drop_block(&fixture->contents, &object.id, block, &flag);
	case 1:
		do
			error = contents_drop_object(&fixture->contents, &object.id, 2, &flag);
		while (!error && !flag);
		return error;
	case 2:
		return contents_touch(&fixture->contents, &object.id, fixture->contents.tick, 5);
	case 3:
		return contents_obsolete(&fixture->contents, &object.id);
	case 4:
		if (random_below(&fixture->random, 5) > 0)
			return 0;
		do
			error = contents_drop_segment(&fixture->contents, segment, 3, &flag);
		while (!error && !flag);
		fixture->segment_len[segment] = 0;
		return error;
	default:
		return put(fixture, number, block);
	}
}

static int change_some(struct index_txn *txn, void *argument)
{
	struct fixture *fixture = argument;
	int error = 0;

	contents_begin(&fixture->contents, txn, fixture->contents.tick + 3);
	for (unsigned i = 0; i < 20 && !error; i++)
		error = change(fixture);
	return error ? error : contents_finish(&fixture->contents);
}

/* What the single records add up to. */
struct sums {
	struct index_txn *txn;
	uint64_t files[DATASETS];
	uint64_t live[SEGMENTS + 1];
	unsigned in_files[DATASETS], in_segments[SEGMENTS + 1], obsolete;
};

static void add_object(struct sums *sums, unsigned number)
{
	struct contents_object object = object_of(number);
	struct record_object record;
	struct record_block block;
	uint64_t bytes = 0;
	int error = index_object_get(sums->txn, &object.id, &record);

	for (uint64_t i = 0; i < 4; i++) {
		if (index_block_get(sums->txn, &object.id, i, &block) == 0)
			bytes += block.len;
	}
	if (error) {
		assert_int_equal(error, -ENOENT);
		assert_int_equal(bytes, 0);
		return;
	}
	assert_true(record.resident > 0);
	assert_int_equal(record.dataset, object.dataset);
	if (record.segment) {
		assert_int_equal(bytes, 0);
		sums->live[record.segment] += record.resident;
		sums->in_segments[record.segment]++;
		return;
	}
	assert_int_equal(bytes, record.resident);
	sums->files[record.dataset] += contents_charge(bytes);
	sums->in_files[record.dataset]++;
	sums->obsolete += record.obsolete;
}

static void check_segment(struct sums *sums, uint32_t segment)
{
	struct object_id ids[OBJECTS + 1];
	struct record_segment record;
	int error = index_segment_get(sums->txn, segment, &record);

	assert_int_equal(
		index_member_list(sums->txn, INDEX_MEMBER_PACKED, segment, NULL, ids, OBJECTS + 1),
		sums->in_segments[segment]);
	if (error) {
		assert_int_equal(sums->live[segment], 0);
		return;
	}
	assert_int_equal(record.live, sums->live[segment]);
	assert_int_equal(index_member_list(sums->txn, INDEX_MEMBER_SEGMENT, record.dataset, NULL,
					   ids, OBJECTS + 1),
			 1);
	assert_int_equal(index_segment_of_id(&ids[0]), segment);
}

static int check(struct index_txn *txn, void *argument)
{
	struct object_id ids[OBJECTS + 1];
	struct sums sums = { .txn = txn };

	(void)argument;
	for (unsigned i = 0; i < OBJECTS; i++)
		add_object(&sums, i);
	for (uint32_t i = 0; i < DATASETS; i++) {
		struct record_dataset record;

		if (index_dataset_get(txn, i, &record) == 0)
			assert_int_equal(record.bytes, sums.files[i]);
		assert_int_equal(
			index_member_list(txn, INDEX_MEMBER_FILE, i, NULL, ids, OBJECTS + 1),
			sums.in_files[i]);
		check_segment(&sums, i + 1);
	}
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_OBSOLETE, 0, NULL, ids, OBJECTS + 1),
			 sums.obsolete);
	return 0;
}

static void test_changes__at_random__the_tables_agree(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(index_update(fixture.index, change_some, &fixture), 0);
		assert_int_equal(index_read(fixture.index, check, NULL), 0);
	}
	unmake(&fixture);
}

static int put_once_and_again(struct index_txn *txn, void *argument)
{
	struct fixture *fixture = argument;

	contents_begin(&fixture->contents, txn, 1);
	assert_int_equal(put(fixture, 0, 0), 0);
	assert_int_equal(put(fixture, 0, 0), 0);
	assert_int_equal(put(fixture, 1, 0), 0);
	assert_int_equal(put(fixture, 1, 0), 0);
	return contents_finish(&fixture->contents);
}

static void test_put__twice__counted_once(void **state)
{
	static struct fixture fixture;
	struct contents *contents = &fixture.contents;

	(void)state;
	make(&fixture);
	assert_int_equal(index_update(fixture.index, put_once_and_again, &fixture), 0);
	assert_int_equal(index_read(fixture.index, check, NULL), 0);
	assert_int_equal(contents->change_count, 2);
	assert_int_equal(contents->changes[0].files, contents_charge(BLOCK_LEN));
	/* A packed object's first copy is lost space in its segment. */
	assert_int_equal(contents->changes[1].segments, contents_charge(2 * size_of(1)));
	unmake(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes__at_random__the_tables_agree),
		cmocka_unit_test(test_put__twice__counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of cache/store/index/index.h: growth, readers, and files that are not what they should be.
 */
#include "cache/store/index/index.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

#define MAP_LEN (UINT64_C(256) << 10)

/* A folder of the test's own, and the index in it while it is open. */
static char folder[256];
static struct index *opened;

static int setup(void **state)
{
	char here[200];

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(folder, sizeof(folder), "%s/index-XXXXXX", here);
	assert_non_null(mkdtemp(folder));
	return 0;
}

static int open_index(void)
{
	struct index_options options = { .path = folder, .map_len = MAP_LEN };

	return index_open(&options, &opened);
}

static void close_index(void)
{
	index_close(opened);
	opened = NULL;
}

static void remove_index(void)
{
	close_index();
	assert_int_equal(index_remove(folder), 0);
}

static int teardown(void **state)
{
	(void)state;
	remove_index();
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static void data_path(char *out, size_t out_size)
{
	snprintf(out, out_size, "%s/data.mdb", folder);
}

static struct object_id id_of(unsigned number)
{
	struct object_id id = { { (uint8_t)(number * 37), (uint8_t)(number >> 8),
				  (uint8_t)number } };

	return id;
}

struct range {
	unsigned first, count;
};

static int put_range(struct index_txn *txn, void *argument)
{
	const struct range *range = argument;
	int error = 0;

	for (unsigned i = range->first; i < range->first + range->count && !error; i++) {
		struct object_id id = id_of(i);
		struct record_object object = { .size = i + 1, .resident = i + 1 };
		struct record_block block = { .len = BLOCK_LEN_MAX,
					      .check_count = BLOCK_GRANULES_MAX };

		error = index_object_put(txn, &id, &object);
		if (!error)
			error = index_block_put(txn, &id, 0, &block);
	}
	return error;
}

static int check_range(struct index_txn *txn, void *argument)
{
	const struct range *range = argument;

	for (unsigned i = range->first; i < range->first + range->count; i++) {
		struct object_id id = id_of(i);
		struct record_object object;
		struct record_block block;
		int error = index_object_get(txn, &id, &object);

		if (!error)
			error = index_block_get(txn, &id, 0, &block);
		if (error)
			return error;
		if (object.size != i + 1 || block.len != BLOCK_LEN_MAX)
			return -EILSEQ;
	}
	return 0;
}

struct readers {
	_Atomic bool stop;
	_Atomic unsigned bad;
	_Atomic unsigned reads;
};

static void *read_on(void *argument)
{
	struct readers *readers = argument;
	struct range range = { 0, 10 };

	do {
		if (index_read(opened, check_range, &range) != 0)
			readers->bad++;
		readers->reads++;
	} while (!readers->stop);
	return NULL;
}

/* More readers than there are places for, and a map that has to double again and again. */
static void test_update__map_full__grows_under_readers(void **state)
{
	pthread_t threads[INDEX_READERS_MAX + 8];
	struct readers readers = { 0 };
	struct range range = { 0, 100 };

	(void)state;
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_update(opened, put_range, &range), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
	for (unsigned i = 0; i < 20; i++) {
		range.first += range.count;
		assert_int_equal(index_update(opened, put_range, &range), 0);
	}
	readers.stop = true;
	for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(readers.bad, 0);
	assert_true(index_bytes(opened) > 4 * MAP_LEN);
	range = (struct range){ 0, 2100 };
	assert_int_equal(index_read(opened, check_range, &range), 0);
	close_index();
	/* A map that is smaller than the file at the next start is no problem either. */
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_read(opened, check_range, &range), 0);
}

static void test_update__at_its_limit__no_space_and_goes_on(void **state)
{
	struct range range = { 0, 100 };
	struct index_options options = { .path = folder,
					 .map_len = MAP_LEN,
					 .map_len_max = MAP_LEN };
	int error = 0;

	(void)state;
	assert_int_equal(index_open(&options, &opened), 0);
	for (unsigned i = 0; i < 10 && !error; i++) {
		error = index_update(opened, put_range, &range);
		range.first += range.count;
	}
	assert_int_equal(error, -ENOSPC);
	range = (struct range){ 0, 100 };
	assert_int_equal(index_read(opened, check_range, &range), 0);
	range = (struct range){ 0, 1 };
	assert_int_equal(index_update(opened, put_range, &range), 0);
}

static int put_and_fail(struct index_txn *txn, void *argument)
{
	struct range range = { 5000, 10 };
	int error = put_range(txn, &range);

	return error ? error : *(int *)argument;
}

static void test_update__body_fails__nothing_changed(void **state)
{
	struct range range = { 5000, 10 };
	int error = -EDOM;

	(void)state;
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_update(opened, put_and_fail, &error), -EDOM);
	assert_int_equal(index_read(opened, check_range, &range), -ENOENT);
}

/* The file loses its pages while it is mapped: SIGBUS, in place of a process that ends. */
static void test_read__file_cut_under_the_map__an_error(void **state)
{
	struct range range = { 0, 1000 };
	char path[300];
	int error;

	(void)state;
	data_path(path, sizeof(path));
	for (int writing = 0; writing < 2; writing++) {
		assert_int_equal(open_index(), 0);
		assert_int_equal(index_update(opened, put_range, &range), 0);
		assert_int_equal(truncate(path, 8192), 0);
		if (writing)
			error = index_update(opened, put_range, &range);
		else
			error = index_read(opened, check_range, &range);
		assert_int_equal(error, -EIO);
		/* It stays broken, whatever is asked of it. */
		assert_int_equal(index_read(opened, check_range, &range), -EIO);
		assert_int_equal(index_update(opened, put_range, &range), -EIO);
		remove_index();
		assert_int_equal(open_index(), 0);
		assert_int_equal(index_update(opened, put_range, &range), 0);
		assert_int_equal(index_read(opened, check_range, &range), 0);
		remove_index();
	}
}

static void overwrite(const char *path, off_t off, int byte, size_t len)
{
	char *data = malloc(len);
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	memset(data, byte, len);
	assert_int_equal(pwrite(fd, data, len, off), len);
	close(fd);
	free(data);
}

/* At every page in turn: the index opens, or says that it is damaged; what it gives is right. */
static void test_open__any_page_spoilt__damaged_or_right(void **state)
{
	static const int bytes[] = { 0x00, 0xff };
	struct range range = { 0, 200 };
	struct stat st;
	char path[300];

	(void)state;
	data_path(path, sizeof(path));
	for (unsigned i = 0; i < ARRAY_COUNT(bytes); i++) {
		off_t len = 4096;

		for (off_t page = 0; page < len; page += 4096) {
			int error = open_index();

			assert_int_equal(error, 0);
			assert_int_equal(index_update(opened, put_range, &range), 0);
			close_index();
			assert_int_equal(stat(path, &st), 0);
			len = st.st_size;
			overwrite(path, page, bytes[i], 4096);
			error = open_index();
			if (!error) {
				error = index_read(opened, check_range, &range);
				assert_true(error == 0 || error == -EUCLEAN || error == -EIO ||
					    error == -EBADMSG || error == -ENOENT);
			} else {
				assert_true(error == -EUCLEAN || error == -EIO);
			}
			remove_index();
		}
	}
}

static void test_open__cut_short__damaged_unless_only_free_pages_are_missing(void **state)
{
	struct range range = { 0, 1000 };
	struct stat st;
	char path[300];

	(void)state;
	data_path(path, sizeof(path));
	for (int share = 0; share < 8; share++) {
		int error;

		assert_int_equal(open_index(), 0);
		assert_int_equal(index_update(opened, put_range, &range), 0);
		close_index();
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size * share / 8), 0);
		error = open_index();
		/* Of length 0 it is new. */
		assert_int_equal(error, share == 0 ? 0 : -EUCLEAN);
		remove_index();
	}
}

static int list_members(struct index_txn *txn, void *argument)
{
	struct object_id ids[8];
	struct object_id one = id_of(1), two = id_of(2);
	int error;

	(void)argument;
	error = index_member_put(txn, INDEX_MEMBER_FILE, 7, &one);
	error |= index_member_put(txn, INDEX_MEMBER_FILE, 7, &two);
	error |= index_member_put(txn, INDEX_MEMBER_FILE, 8, &one);
	error |= index_member_put(txn, INDEX_MEMBER_OBSOLETE, 7, &one);
	assert_int_equal(error, 0);
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_FILE, 7, NULL, ids, 8), 2);
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_FILE, 7, NULL, ids, 1), 1);
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_FILE, 9, NULL, ids, 8), 0);
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_PACKED, 7, NULL, ids, 8), 0);
	assert_int_equal(index_member_delete(txn, INDEX_MEMBER_FILE, 7, &one), 0);
	assert_int_equal(index_member_delete(txn, INDEX_MEMBER_FILE, 7, &one), 0);
	assert_int_equal(index_member_list(txn, INDEX_MEMBER_FILE, 7, NULL, ids, 8), 1);
	assert_memory_equal(&ids[0], &two, sizeof(two));
	return 0;
}

static void test_member_list__several_kinds_and_numbers__only_those_asked_for(void **state)
{
	(void)state;
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_update(opened, list_members, NULL), 0);
}

static int delete_blocks(struct index_txn *txn, void *argument)
{
	struct object_id id = id_of(3), other = id_of(4);
	struct record_block block = { .len = 1, .check_count = 1 };

	(void)argument;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(index_block_put(txn, &id, (uint64_t)i * i, &block), 0);
	assert_int_equal(index_block_put(txn, &other, 0, &block), 0);
	assert_int_equal(index_block_delete_some(txn, &id, 60), 60);
	assert_int_equal(index_block_delete_some(txn, &id, 60), 40);
	assert_int_equal(index_block_delete_some(txn, &id, 60), 0);
	assert_int_equal(index_block_get(txn, &other, 0, &block), 0);
	return 0;
}

static void test_block_delete_some__in_two_steps__only_that_object(void **state)
{
	(void)state;
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_update(opened, delete_blocks, NULL), 0);
}

static int list_blocks(struct index_txn *txn, void *argument)
{
	struct record_block block = { .len = 1, .check_count = 1 };
	struct object_id id = id_of(1), other = id_of(2), none = id_of(3);
	uint64_t blocks[100];

	(void)argument;
	assert_int_equal(index_block_list(txn, &id, 0, blocks, 100), 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(index_block_put(txn, &id, (uint64_t)i * i * i << 20, &block), 0);
	assert_int_equal(index_block_put(txn, &other, 0, &block), 0);
	assert_int_equal(index_block_list(txn, &id, 0, blocks, 100), 50);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(blocks[i], (uint64_t)i * i * i << 20);
	assert_int_equal(index_block_list(txn, &id, 0, blocks, 10), 10);
	assert_int_equal(index_block_list(txn, &id, blocks[9] + 1, blocks, 100), 40);
	assert_int_equal(blocks[0], UINT64_C(1000) << 20);
	assert_int_equal(index_block_list(txn, &id, UINT64_MAX, blocks, 100), 0);
	assert_int_equal(index_block_list(txn, &none, 0, blocks, 100), 0);
	return 0;
}

static void test_block_list__from_anywhere__only_that_object_in_order(void **state)
{
	(void)state;
	assert_int_equal(open_index(), 0);
	assert_int_equal(index_update(opened, list_blocks, NULL), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_update__map_full__grows_under_readers),
		TEST(test_update__at_its_limit__no_space_and_goes_on),
		TEST(test_update__body_fails__nothing_changed),
		TEST(test_read__file_cut_under_the_map__an_error),
		TEST(test_open__any_page_spoilt__damaged_or_right),
		TEST(test_open__cut_short__damaged_unless_only_free_pages_are_missing),
		TEST(test_member_list__several_kinds_and_numbers__only_those_asked_for),
		TEST(test_block_delete_some__in_two_steps__only_that_object),
		TEST(test_block_list__from_anywhere__only_that_object_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of store.h: writing, finding, reading; restart; damage.
 */
#include "cache/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/store/rig.h"

#define MIB   (UINT64_C(1) << 20)
#define ROOMY (512 * MIB)

/* Sizes around every border there is: packed or not, 4 KiB, granules, blocks. */
static const uint64_t sizes[] = {
	1,
	4095,
	4096,
	5000,
	32767,
	32768,
	32769,
	36864,
	40000,
	65536,
	65537,
	112640,
	RIG_BLOCK_LEN - 1,
	RIG_BLOCK_LEN,
	RIG_BLOCK_LEN + 1,
	2 * RIG_BLOCK_LEN,
	3 * RIG_BLOCK_LEN + 70001,
};

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_make(&rig, 1, ROOMY);
	rig_open(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	rig_remove(&rig);
	return 0;
}

static void write_sizes(void)
{
	struct rig_object object;

	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		rig_object(&object, i, sizes[i], "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
	}
}

static void check_sizes(void)
{
	struct rig_object object;

	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		rig_object(&object, i, sizes[i], "/images");
		assert_true(rig_has_all(&rig, &object));
		assert_int_equal(rig_read_all(&rig, &object), 0);
		assert_int_equal(store_resident(rig.store, &object.store.id, sizes[i]), sizes[i]);
	}
}

static void test_read__not_yet_committed__all_sizes_are_found(void **state)
{
	struct clock_manual clock;

	(void)state;
	clock_manual_init(&clock, NS_PER_S, 0);
	rig_make(&rig, 1, ROOMY);
	rig.clock = &clock.clock; /* it stands: no group becomes due */
	rig_open(&rig);
	write_sizes();
	assert_int_equal(rig_count(&rig, STORE_COMMITS), 0);
	check_sizes();
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_read__committed__all_sizes_are_found(void **state)
{
	(void)state;
	write_sizes();
	rig_flush(&rig);
	assert_true(rig_count(&rig, STORE_COMMITS) > 0);
	check_sizes();
}

static void test_create__after_stop__everything_is_there(void **state)
{
	(void)state;
	write_sizes();
	rig_close(&rig);
	rig_open(&rig);
	check_sizes();
	assert_int_equal(rig_count(&rig, STORE_ORPHANS), 0);
}

static void test_write__object_file__has_the_exact_size(void **state)
{
	struct rig_object object;
	struct stat st;
	char path[512];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		rig_object(&object, i, sizes[i], "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_object_file(&rig, 0, &object, path, sizeof(path));
		if (sizes[i] <= STORE_PACKED_MAX) {
			assert_int_equal(stat(path, &st), -1);
			continue;
		}
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
	}
}

static void test_read__some_granules__just_those(void **state)
{
	static const struct {
		uint64_t size, block;
		unsigned first, count;
	} rows[] = {
		{ 3 * RIG_BLOCK_LEN + 70001, 0, 0, 1 },
		{ 3 * RIG_BLOCK_LEN + 70001, 1, 7, 1 },
		{ 3 * RIG_BLOCK_LEN + 70001, 2, 3, 4 },
		{ 3 * RIG_BLOCK_LEN + 70001, 3, 1, 1 },
		{ 3 * RIG_BLOCK_LEN + 70001, 3, 0, 2 },
		{ 70000, 0, 1, 1 },
		{ 20000, 0, 0, 1 },
	};
	struct rig_object object;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rig_object(&object, i, rows[i].size, "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		assert_int_equal(
			rig_read(&rig, &object, rows[i].block, rows[i].first, rows[i].count), 0);
	}
}

static void test_has__partly_written__only_those_blocks(void **state)
{
	struct rig_object object;

	(void)state;
	rig_object(&object, 1, 4 * RIG_BLOCK_LEN, "/images");
	assert_int_equal(store_resident(rig.store, &object.store.id, 4 * RIG_BLOCK_LEN), 0);
	assert_int_equal(rig_write(&rig, &object, 2), 0);
	assert_int_equal(store_resident(rig.store, &object.store.id, 4 * RIG_BLOCK_LEN),
			 RIG_BLOCK_LEN);
	rig_flush(&rig);
	assert_int_equal(rig_write(&rig, &object, 0), 0);
	for (int pass = 0; pass < 2; pass++) {
		assert_true(store_has(rig.store, &object.store.id, 0));
		assert_false(store_has(rig.store, &object.store.id, 1));
		assert_true(store_has(rig.store, &object.store.id, 2));
		assert_false(store_has(rig.store, &object.store.id, 3));
		assert_int_equal(store_resident(rig.store, &object.store.id, 4 * RIG_BLOCK_LEN),
				 2 * RIG_BLOCK_LEN);
		rig_close(&rig);
		rig_open(&rig);
	}
	assert_int_equal(rig_read(&rig, &object, 1, 0, 8), -ENOENT);
	assert_int_equal(rig_write(&rig, &object, 1), 0);
	assert_int_equal(rig_write(&rig, &object, 3), 0);
	assert_int_equal(rig_read_all(&rig, &object), 0);
}

static void test_admit__already_here__false(void **state)
{
	static const uint64_t rows[] = { 1000, 100000 };
	struct rig_object object;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rig_object(&object, i, rows[i], "/images");
		assert_int_equal(rig_write(&rig, &object, 0), 0);
		assert_int_equal(rig_write(&rig, &object, 0), RIG_REFUSED);
		rig_flush(&rig);
		assert_int_equal(rig_write(&rig, &object, 0), RIG_REFUSED);
	}
}

static void test_would_admit__full_or_not__reserves_nothing(void **state)
{
	struct cache_directory_status status;
	struct rig_object object;

	(void)state;
	rig_object(&object, 1, 100000, "/images");
	store_directory_status(rig.store, 0, &status);
	for (unsigned i = 0; i < 10; i++)
		assert_true(store_would_admit(rig.store, &object.store,
					      (uint32_t)(status.capacity / 4)));
	assert_false(store_would_admit(rig.store, &object.store, (uint32_t)status.capacity));
	assert_int_equal(counter_get(store_counters(rig.store), STORE_REFUSED), 1);
	assert_int_equal(rig_write(&rig, &object, 0), 0);
}

static void test_commit__200_ms__without_being_asked(void **state)
{
	struct clock_manual clock;
	struct rig_object object;

	(void)state;
	clock_manual_init(&clock, NS_PER_S, 0);
	rig_make(&rig, 1, ROOMY);
	rig.clock = &clock.clock;
	rig_open(&rig);
	rig_object(&object, 1, 1000, "/images");
	assert_int_equal(rig_write(&rig, &object, 0), 0);
	clock_manual_advance(&clock, 199 * NS_PER_MS);
	assert_int_equal(rig_count(&rig, STORE_COMMITS), 0);
	clock_manual_advance(&clock, NS_PER_MS);
	while (rig_count(&rig, STORE_COMMITS) == 0)
		usleep(1000);
	rig_close(&rig);
	rig_remove(&rig);
}

static bool has_committed(void *context)
{
	return rig_count(context, STORE_COMMITS) > 0;
}

static void test_commit__256_blocks__without_being_asked(void **state)
{
	struct clock_manual clock;
	struct rig_object object;

	(void)state;
	clock_manual_init(&clock, NS_PER_S, 0);
	rig_make(&rig, 1, ROOMY);
	rig.clock = &clock.clock;
	rig_open(&rig);
	for (unsigned i = 0; i < 255; i++) {
		rig_object(&object, i, 1000, "/images");
		assert_int_equal(rig_write(&rig, &object, 0), 0);
	}
	assert_int_equal(rig_count(&rig, STORE_COMMITS), 0);
	rig_object(&object, 255, 1000, "/images");
	assert_int_equal(rig_write(&rig, &object, 0), 0);
	rig_wait(has_committed, &rig);
	rig_close(&rig);
	rig_remove(&rig);
}

/* --- kill -9 --- */

#define KILLED_OBJECTS 64

/* In a process of its own: commits one half, writes the other, tells, and is killed. */
static void write_until_killed(int tell)
{
	static struct clock_manual clock;
	struct rig_object object;

	clock_manual_init(&clock, NS_PER_S, 0);
	rig.clock = &clock.clock;
	rig_open(&rig);
	for (unsigned i = 0; i < KILLED_OBJECTS; i++) {
		rig_object(&object, i, i % 2 ? 9000 : 150000, "/images");
		if (rig_write_all(&rig, &object) != 0)
			_exit(1);
		if (i == KILLED_OBJECTS / 2 - 1)
			rig_flush(&rig);
	}
	if (write(tell, "x", 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

static bool has_swept(void *context)
{
	return rig_count(context, STORE_ORPHANS) >= KILLED_OBJECTS / 4;
}

static void test_create__after_kill__the_committed_is_there_and_the_rest_is_swept(void **state)
{
	struct rig_object object;
	int fds[2], status;
	pid_t child;
	char told;

	(void)state;
	rig_make(&rig, 1, ROOMY);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		write_until_killed(fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &told, 1), 1);
	close(fds[0]);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	rig_open(&rig);
	for (unsigned i = 0; i < KILLED_OBJECTS; i++) {
		rig_object(&object, i, i % 2 ? 9000 : 150000, "/images");
		assert_int_equal(rig_has_all(&rig, &object), i < KILLED_OBJECTS / 2);
		assert_int_equal(rig_read_all(&rig, &object), i < KILLED_OBJECTS / 2 ? 0 : -ENOENT);
	}
	/* One file for each uncommitted large object. The segment holds committed ones, too. */
	rig_wait(has_swept, &rig);
	for (unsigned i = KILLED_OBJECTS / 2; i < KILLED_OBJECTS; i++) {
		rig_object(&object, i, i % 2 ? 9000 : 150000, "/images");
		/* Nothing is admitted before the sweep has come to its end. */
		while ((status = rig_write_all(&rig, &object)) == RIG_REFUSED)
			usleep(1000);
		assert_int_equal(status, 0);
		assert_int_equal(rig_read_all(&rig, &object), 0);
	}
	rig_close(&rig);
	rig_remove(&rig);
}

/* --- damage --- */

static void flip_byte(const char *path, off_t off)
{
	int fd = open(path, O_RDWR);
	char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static void test_read__flipped_bit__bad_message_then_rewritten(void **state)
{
	struct rig_object object;
	char path[512];

	(void)state;
	rig_object(&object, 1, 3 * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_flush(&rig);
	rig_object_file(&rig, 0, &object, path, sizeof(path));
	flip_byte(path, RIG_BLOCK_LEN + UINT64_C(2) * GRANULE_LEN + 77);
	/* Granules beside it are right. */
	assert_int_equal(rig_read(&rig, &object, 1, 0, 2), 0);
	assert_int_equal(rig_read(&rig, &object, 1, 2, 1), -EBADMSG);
	assert_int_equal(rig_count(&rig, STORE_BAD_CHECKS), 1);
	assert_false(store_has(rig.store, &object.store.id, 1));
	assert_int_equal(rig_read(&rig, &object, 1, 0, 1), -ENOENT);
	assert_true(store_has(rig.store, &object.store.id, 0));
	assert_int_equal(rig_write(&rig, &object, 1), 0);
	assert_int_equal(rig_read_all(&rig, &object), 0);
	rig_flush(&rig);
	rig_close(&rig);
	rig_open(&rig);
	assert_int_equal(rig_read_all(&rig, &object), 0);
	assert_int_equal(store_resident(rig.store, &object.store.id, 3 * RIG_BLOCK_LEN),
			 3 * RIG_BLOCK_LEN);
}

/* Committed or not; and it may be written again. */
static void test_drop__a_block__is_not_found_from_now_on(void **state)
{
	struct rig_object object;

	(void)state;
	rig_make(&rig, 2, ROOMY);
	rig_open(&rig);
	rig_object(&object, 1, 3 * RIG_BLOCK_LEN, "/images");
	store_drop(rig.store, &object.store.id, 1); /* not there at all */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rig_write_all(&rig, &object), 0);
		if (i)
			rig_flush(&rig);
		store_drop(rig.store, &object.store.id, 1);
		assert_false(store_has(rig.store, &object.store.id, 1));
		assert_int_equal(rig_read(&rig, &object, 1, 0, 1), -ENOENT);
		assert_true(store_has(rig.store, &object.store.id, 0));
		assert_true(store_has(rig.store, &object.store.id, 2));
		rig_flush(&rig);
		rig_close(&rig);
		rig_open(&rig);
		assert_false(store_has(rig.store, &object.store.id, 1));
		assert_int_equal(rig_write(&rig, &object, 1), 0);
		assert_int_equal(rig_read_all(&rig, &object), 0);
		for (unsigned block = 0; block < 3; block++) {
			store_drop(rig.store, &object.store.id, block);
			assert_false(store_has(rig.store, &object.store.id, block));
		}
	}
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_read__flipped_bit_in_a_single_block__file_and_record_go(void **state)
{
	static const uint64_t rows[] = { 20000, 100000 };
	struct rig_object object;
	struct stat st;
	char path[512];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rig_make(&rig, 1, ROOMY);
		rig_open(&rig);
		rig_object(&object, 1, rows[i], "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_flush(&rig);
		if (rows[i] <= STORE_PACKED_MAX)
			snprintf(path, sizeof(path), "%s/segments/1", rig.directory_paths[0]);
		else
			rig_object_file(&rig, 0, &object, path, sizeof(path));
		flip_byte(path, 11111);
		assert_int_equal(rig_read_all(&rig, &object), -EBADMSG);
		assert_false(store_has(rig.store, &object.store.id, 0));
		rig_close(&rig); /* commits the removal */
		if (rows[i] > STORE_PACKED_MAX)
			assert_int_equal(stat(path, &st), -1);
		rig_open(&rig);
		assert_false(store_has(rig.store, &object.store.id, 0));
		assert_int_equal(store_resident(rig.store, &object.store.id, rows[i]), 0);
		assert_int_equal(rig_write_all(&rig, &object), 0);
		assert_int_equal(rig_read_all(&rig, &object), 0);
		rig_close(&rig);
		rig_remove(&rig);
	}
}

static void test_read__file_cut_or_gone__a_miss(void **state)
{
	struct rig_object object;
	char path[512];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		rig_object(&object, i, 2 * RIG_BLOCK_LEN, "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_flush(&rig);
		rig_object_file(&rig, 0, &object, path, sizeof(path));
		if (i == 0)
			assert_int_equal(unlink(path), 0);
		else
			assert_int_equal(truncate(path, RIG_BLOCK_LEN + (i == 1 ? 0 : 4100)), 0);
		assert_int_equal(rig_read(&rig, &object, 1, 0, 8), i == 0 ? -ENOENT : -EBADMSG);
		assert_false(store_has(rig.store, &object.store.id, 1));
		assert_int_equal(rig_write(&rig, &object, 1), 0);
		assert_int_equal(rig_read(&rig, &object, 1, 0, 8), 0);
	}
}

static uint64_t index_len(char *out_path, size_t path_size)
{
	struct stat st;

	snprintf(out_path, path_size, "%s/index/data.mdb", rig.directory_paths[0]);
	assert_int_equal(stat(out_path, &st), 0);
	return (uint64_t)st.st_size;
}

static void spoil_index(unsigned how)
{
	char path[512];
	uint64_t len = index_len(path, sizeof(path));
	char zeros[8192] = { 0 };
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	switch (how) {
	case 0: /* cut off in the middle */
		assert_int_equal(ftruncate(fd, (off_t)(len / 2)), 0);
		break;
	case 1:
		assert_int_equal(ftruncate(fd, 0), 0);
		break;
	case 2: /* less than LMDB's two first pages */
		assert_int_equal(ftruncate(fd, 5000), 0);
		break;
	case 3: /* both first pages are zeros */
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
		break;
	case 4: /* all the others are */
		for (uint64_t off = 8192; off < len; off += 4096)
			assert_int_equal(pwrite(fd, zeros, 4096, (off_t)off), 4096);
		break;
	default: /* it is not there */
		assert_int_equal(unlink(path), 0);
	}
	close(fd);
}

/* Whatever is still found must be right; what is not can be written again. */
static void test_create__index_spoilt__starts_empty_and_works(void **state)
{
	struct rig_object object;

	(void)state;
	for (unsigned how = 0; how < 6; how++) {
		rig_make(&rig, 1, ROOMY);
		rig_open(&rig);
		write_sizes();
		rig_close(&rig);
		spoil_index(how);
		rig_open(&rig);
		for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
			rig_object(&object, i, sizes[i], "/images");
			if (rig_has_all(&rig, &object))
				assert_int_equal(rig_read_all(&rig, &object), 0);
		}
		rig_close(&rig);
		/* An index that turned out bad only now is dropped by the next opening at last. */
		rig_open(&rig);
		rig_object(&object, 100, 300000, "/images");
		while (rig_write_all(&rig, &object) == RIG_REFUSED)
			usleep(1000); /* until what is left over was swept */
		assert_int_equal(rig_read_all(&rig, &object), 0);
		rig_close(&rig);
		rig_remove(&rig);
	}
}

static void test_create__other_block_length__dropped(void **state)
{
	struct rig_object object;

	(void)state;
	rig_object(&object, 1, 100000, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_close(&rig);
	rig.config.block_len = 2 * RIG_BLOCK_LEN;
	rig_open(&rig);
	assert_false(store_has(rig.store, &object.store.id, 0));
	while (rig_write_all(&rig, &object) == RIG_REFUSED)
		usleep(1000);
	assert_int_equal(rig_read_all(&rig, &object), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read__not_yet_committed__all_sizes_are_found),
		TEST(test_read__committed__all_sizes_are_found),
		TEST(test_create__after_stop__everything_is_there),
		TEST(test_write__object_file__has_the_exact_size),
		TEST(test_read__some_granules__just_those),
		TEST(test_has__partly_written__only_those_blocks),
		TEST(test_admit__already_here__false),
		TEST(test_would_admit__full_or_not__reserves_nothing),
		cmocka_unit_test(test_commit__200_ms__without_being_asked),
		cmocka_unit_test(test_commit__256_blocks__without_being_asked),
		cmocka_unit_test(
			test_create__after_kill__the_committed_is_there_and_the_rest_is_swept),
		TEST(test_read__flipped_bit__bad_message_then_rewritten),
		cmocka_unit_test(test_drop__a_block__is_not_found_from_now_on),
		cmocka_unit_test(test_read__flipped_bit_in_a_single_block__file_and_record_go),
		TEST(test_read__file_cut_or_gone__a_miss),
		cmocka_unit_test(test_create__index_spoilt__starts_empty_and_works),
		TEST(test_create__other_block_length__dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

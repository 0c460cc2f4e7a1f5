/*
 * Tests of a directory's states: what the disk says, and what becomes of it. Readers only ever see
 * misses.
 */
#include "cache/store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/rig.h"

#define MIB (UINT64_C(1) << 20)

struct fixture {
	struct rig rig;
	struct faults faults;
	struct clock_manual clock;
	enum cache_directory_state wanted;
};

static void fixture_make(struct fixture *fixture)
{
	clock_manual_init(&fixture->clock, NS_PER_S, 0);
	faults_init(&fixture->faults);
	rig_make(&fixture->rig, 1, 512 * MIB);
	fixture->rig.clock = &fixture->clock.clock;
	fixture->rig.files = &fixture->faults.files;
	rig_open(&fixture->rig);
}

static void fixture_remove(struct fixture *fixture)
{
	rig_close(&fixture->rig);
	rig_remove(&fixture->rig);
}

static bool is_wanted(void *context)
{
	struct fixture *fixture = context;
	struct cache_directory_status status;

	store_directory_status(fixture->rig.store, 0, &status);
	assert_int_equal(status.state == CACHE_DIRECTORY_OK, status.problem[0] == 0);
	return status.state == fixture->wanted;
}

static void wait_state(struct fixture *fixture, enum cache_directory_state state)
{
	fixture->wanted = state;
	rig_wait(is_wanted, fixture);
}

static void assert_written(struct fixture *fixture, unsigned number, uint64_t size, int status)
{
	struct rig_object object;

	rig_object(&object, number, size, "/images");
	assert_int_equal(rig_write_all(&fixture->rig, &object), status);
}

/* After a failure nothing is admitted until it is known what was left over. */
static void assert_written_when_swept(struct fixture *fixture, unsigned number, uint64_t size)
{
	struct rig_object object;
	int status;

	rig_object(&object, number, size, "/images");
	while ((status = rig_write_all(&fixture->rig, &object)) == RIG_REFUSED)
		usleep(1000);
	assert_int_equal(status, 0);
}

static void assert_read(struct fixture *fixture, unsigned number, uint64_t size, int status)
{
	struct rig_object object;

	rig_object(&object, number, size, "/images");
	assert_int_equal(rig_read_all(&fixture->rig, &object), status);
	assert_int_equal(rig_has_all(&fixture->rig, &object), status == 0);
}

static const uint64_t sizes[] = { 9000, 70000, 3 * RIG_BLOCK_LEN + 11 };

static void test_write__no_space__paused_and_goes_on_later(void **state)
{
	static const enum fault_call rows[] = { FAULT_WRITE, FAULT_OPEN, FAULT_IO_WRITE,
						FAULT_WRITE };
	struct fixture fixture;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t size = sizes[i % ARRAY_COUNT(sizes)];

		fixture_make(&fixture);
		assert_written(&fixture, 1, size, 0);
		rig_flush(&fixture.rig);
		if (rows[i] == FAULT_OPEN)
			size = 70000; /* the segment is open already */
		if (rows[i] == FAULT_IO_WRITE)
			size = 2 * RIG_BLOCK_LEN;
		faults_set(&fixture.faults, rows[i], -ENOSPC, 0, 1);
		assert_written(&fixture, 2, size, -ENOSPC);
		assert_int_equal(rig_count(&fixture.rig, STORE_NO_SPACE), 1);
		wait_state(&fixture, CACHE_DIRECTORY_FULL);
		assert_written(&fixture, 2, size, RIG_REFUSED);
		assert_read(&fixture, 1, sizes[i % ARRAY_COUNT(sizes)], 0);
		clock_manual_advance(&fixture.clock, DIRECTORY_FULL_NS);
		wait_state(&fixture, CACHE_DIRECTORY_OK);
		assert_written(&fixture, 2, size, 0);
		assert_read(&fixture, 2, size, 0);
		fixture_remove(&fixture);
	}
}

static void test_sync__no_space__the_group_is_lost_and_nothing_else(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_make(&fixture);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++)
		assert_written(&fixture, i, sizes[i], 0);
	rig_flush(&fixture.rig);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++)
		assert_written(&fixture, 10 + i, sizes[i], 0);
	faults_set(&fixture.faults, FAULT_SYNC, -ENOSPC, 0, 1);
	rig_flush(&fixture.rig);
	wait_state(&fixture, CACHE_DIRECTORY_FULL);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		assert_read(&fixture, i, sizes[i], 0);
		assert_read(&fixture, 10 + i, sizes[i], -ENOENT);
	}
	clock_manual_advance(&fixture.clock, DIRECTORY_FULL_NS);
	wait_state(&fixture, CACHE_DIRECTORY_OK);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		assert_written(&fixture, 10 + i, sizes[i], 0);
		rig_flush(&fixture.rig);
		assert_read(&fixture, 10 + i, sizes[i], 0);
	}
	fixture_remove(&fixture);
}

/* Taken out: everything is a miss. Tried again a minute later: what was committed is there. */
static void test_errors__of_the_disk__taken_out_and_back(void **state)
{
	static const struct {
		enum fault_call call;
		int error;
		uint64_t size;
	} rows[] = {
		{ FAULT_WRITE, -EIO, 9000 },
		{ FAULT_OPEN, -EROFS, 70000 },
		{ FAULT_IO_WRITE, -EIO, 70000 },
		{ FAULT_SYNC, -EIO, 70000 },
		{ FAULT_TRUNCATE, -EIO, 2000000 },
		{ FAULT_OPEN, -ESTALE, 70000 },
		{ FAULT_MAKE_DIRECTORY, -ENOTDIR, 70000 },
	};
	struct rig_object object;
	struct fixture fixture;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		fixture_make(&fixture);
		for (unsigned j = 0; j < ARRAY_COUNT(sizes); j++)
			assert_written(&fixture, j, sizes[j], 0);
		rig_flush(&fixture.rig);
		faults_set(&fixture.faults, rows[i].call, rows[i].error, 0, INT_MAX);
		rig_object(&object, 100 + i, rows[i].size, "/images");
		rig_write_all(&fixture.rig, &object);
		rig_flush(&fixture.rig);
		wait_state(&fixture, CACHE_DIRECTORY_FAILED);
		for (unsigned j = 0; j < ARRAY_COUNT(sizes); j++)
			assert_read(&fixture, j, sizes[j], -ENOENT);
		assert_written(&fixture, 50, 70000, RIG_REFUSED);
		assert_int_equal(rig_count(&fixture.rig, STORE_CAPACITY), 0);
		/* Still bad after a minute, for what opening needs. */
		clock_manual_advance(&fixture.clock, DIRECTORY_RETRY_NS);
		if (rows[i].call != FAULT_OPEN)
			faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
		if (rows[i].call == FAULT_OPEN) {
			assert_read(&fixture, 0, sizes[0], -ENOENT);
			faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
			clock_manual_advance(&fixture.clock, 2 * DIRECTORY_RETRY_NS);
		}
		wait_state(&fixture, CACHE_DIRECTORY_OK);
		for (unsigned j = 0; j < ARRAY_COUNT(sizes); j++)
			assert_read(&fixture, j, sizes[j], 0);
		assert_written_when_swept(&fixture, 50, 70000);
		fixture_remove(&fixture);
	}
}

static void test_read__bad_sector__costs_its_block_alone(void **state)
{
	struct rig_object object;
	struct fixture fixture;

	(void)state;
	fixture_make(&fixture);
	rig_object(&object, 1, 3 * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write_all(&fixture.rig, &object), 0);
	rig_flush(&fixture.rig);
	faults_set(&fixture.faults, FAULT_IO_READ, -EIO, 0, 1);
	assert_int_equal(rig_read(&fixture.rig, &object, 1, 0, 8), -EIO);
	assert_int_equal(rig_count(&fixture.rig, STORE_READ_ERRORS), 1);
	assert_false(store_has(fixture.rig.store, &object.store.id, 1));
	assert_true(store_has(fixture.rig.store, &object.store.id, 0));
	assert_int_equal(rig_write(&fixture.rig, &object, 1), 0);
	assert_int_equal(rig_read_all(&fixture.rig, &object), 0);
	wait_state(&fixture, CACHE_DIRECTORY_OK);
	fixture_remove(&fixture);
}

static void test_read__many_bad_sectors__taken_out(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_make(&fixture);
	for (unsigned i = 0; i < DIRECTORY_READ_FAULTS_MAX; i++)
		assert_written(&fixture, i, 70000, 0);
	rig_flush(&fixture.rig);
	faults_set(&fixture.faults, FAULT_IO_READ, -EIO, 0, INT_MAX);
	for (unsigned i = 0; i < DIRECTORY_READ_FAULTS_MAX; i++)
		assert_read(&fixture, i, 70000, -EIO);
	wait_state(&fixture, CACHE_DIRECTORY_FAILED);
	fixture_remove(&fixture);
}

/* The file of the index loses its pages under the running store. */
static void test_index__cut_under_the_store__taken_out_and_starts_anew(void **state)
{
	struct fixture fixture;
	char path[512];

	(void)state;
	fixture_make(&fixture);
	for (unsigned i = 0; i < 300; i++)
		assert_written(&fixture, i, 5000, 0);
	rig_flush(&fixture.rig);
	snprintf(path, sizeof(path), "%s/index/data.mdb", fixture.rig.directory_paths[0]);
	assert_int_equal(truncate(path, 8192), 0);
	for (unsigned i = 0; i < 300; i++)
		assert_read(&fixture, i, 5000, -ENOENT);
	wait_state(&fixture, CACHE_DIRECTORY_FAILED);
	clock_manual_advance(&fixture.clock, DIRECTORY_RETRY_NS);
	wait_state(&fixture, CACHE_DIRECTORY_OK);
	for (unsigned i = 0; i < 10; i++) {
		assert_written_when_swept(&fixture, i, 5000);
		assert_read(&fixture, i, 5000, 0);
	}
	fixture_remove(&fixture);
}

/* Each step of opening fails once: the store is there all the same, and fails nobody. */
static void test_create__any_call_fails__taken_out_and_back(void **state)
{
	struct fixture fixture;
	int after = 0;

	(void)state;
	do {
		clock_manual_init(&fixture.clock, NS_PER_S, 0);
		faults_init(&fixture.faults);
		rig_make(&fixture.rig, 1, 512 * MIB);
		fixture.rig.clock = &fixture.clock.clock;
		fixture.rig.files = &fixture.faults.files;
		faults_set(&fixture.faults, FAULT_ANY, -EIO, after, 1);
		rig_open(&fixture.rig);
		if (fixture.faults.failed) {
			wait_state(&fixture, CACHE_DIRECTORY_FAILED);
			clock_manual_advance(&fixture.clock, DIRECTORY_RETRY_NS);
		}
		wait_state(&fixture, CACHE_DIRECTORY_OK);
		after = fixture.faults.failed ? after + 1 : -1;
		faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
		assert_written_when_swept(&fixture, 1, 70000);
		assert_read(&fixture, 1, 70000, 0);
		fixture_remove(&fixture);
	} while (after > 0);
}

static void test_create__no_memory__says_so_or_goes_on_without(void **state)
{
	struct rig rig;
	bool failed;

	(void)state;
	rig_make(&rig, 2, 512 * MIB);
	for (unsigned nth = 1;; nth++) {
		struct store *store = NULL;
		int error;

		allocation_fault_arm(nth);
		error = store_create_with(&rig.config, rig.clock, rig.files, &store);
		failed = allocation_fault_disarm();
		assert_true(error == 0 || error == -ENOMEM || error == -EAGAIN);
		if (!error) {
			store_stop(store);
			store_destroy(store);
		}
		if (!failed)
			break;
	}
	rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write__no_space__paused_and_goes_on_later),
		cmocka_unit_test(test_sync__no_space__the_group_is_lost_and_nothing_else),
		cmocka_unit_test(test_errors__of_the_disk__taken_out_and_back),
		cmocka_unit_test(test_read__bad_sector__costs_its_block_alone),
		cmocka_unit_test(test_read__many_bad_sectors__taken_out),
		cmocka_unit_test(test_index__cut_under_the_store__taken_out_and_starts_anew),
		cmocka_unit_test(test_create__any_call_fails__taken_out_and_back),
		cmocka_unit_test(test_create__no_memory__says_so_or_goes_on_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

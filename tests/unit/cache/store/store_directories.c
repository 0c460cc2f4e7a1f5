/*
 * Tests of store.h: a store on several directories, of which some are of no use or vanish.
 */
#include "cache/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/cache/store/rig.h"

#define MIB   (UINT64_C(1) << 20)
#define ROOMY (512 * MIB)

static struct rig rig;

static void state_of(unsigned index, struct cache_directory_status *out)
{
	store_directory_status(rig.store, index, out);
}

static void test_create__unusable_directories__said_and_the_others_serve(void **state)
{
	struct cache_directory_status status;
	struct rig_object object;
	struct rig other;
	char path[512];

	(void)state;
	rig_make(&rig, 4, ROOMY);
	rig_make(&other, 1, ROOMY);
	/* 0: someone else's; 1: a file; 2: used by another store; 3: fine */
	assert_int_equal(mkdir(rig.directory_paths[0], 0700), 0);
	snprintf(path, sizeof(path), "%s/objects", rig.directory_paths[0]);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(close(open(rig.directory_paths[1], O_CREAT | O_WRONLY, 0600)), 0);
	other.directories[0].path = rig.directory_paths[2];
	rig_open(&other);
	rig_open(&rig);
	for (unsigned i = 0; i < 4; i++) {
		state_of(i, &status);
		assert_int_equal(status.state,
				 i == 3 ? CACHE_DIRECTORY_OK : CACHE_DIRECTORY_FAILED);
		assert_int_equal(status.problem[0] == 0, i == 3);
	}
	rig_object(&object, 1, 100000, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	assert_int_equal(rig_read_all(&rig, &object), 0);
	rig_close(&rig);
	rig_close(&other);
	rig_remove(&other);
	rig_remove(&rig);
}

static void test_create__no_directory__everything_is_a_miss(void **state)
{
	struct rig_object object;

	(void)state;
	rig_make(&rig, 0, 0);
	rig_open(&rig);
	rig_object(&object, 1, 100000, "/images");
	assert_int_equal(rig_write_all(&rig, &object), RIG_REFUSED);
	assert_false(store_has(rig.store, &object.store.id, 0));
	assert_int_equal(rig_read_all(&rig, &object), -ENOENT);
	rig_flush(&rig);
	rig_close(&rig);
	rig_remove(&rig);
}

struct directory_wait {
	unsigned index;
	enum cache_directory_state state;
};

static bool directory_is(void *context)
{
	const struct directory_wait *wait = context;
	struct cache_directory_status status;

	state_of(wait->index, &status);
	return status.state == wait->state;
}

#define SPREAD_OBJECTS 60

static unsigned count_here(void)
{
	struct rig_object object;
	unsigned count = 0;

	for (unsigned i = 0; i < SPREAD_OBJECTS; i++) {
		rig_object(&object, i, i % 2 ? 9000 : 70000, "/images");
		count += rig_has_all(&rig, &object);
	}
	return count;
}

static void test_directories__one_vanishes_and_returns__only_its_own_are_missed(void **state)
{
	struct directory_wait failed = { .index = 1, .state = CACHE_DIRECTORY_FAILED };
	struct directory_wait back = { .index = 1, .state = CACHE_DIRECTORY_OK };
	struct cache_directory_status status;
	uint64_t per_directory[3];
	struct clock_manual clock;
	struct rig_object object;
	char aside[512];
	unsigned here;

	(void)state;
	clock_manual_init(&clock, NS_PER_S, 0);
	rig_make(&rig, 3, ROOMY);
	rig.clock = &clock.clock;
	rig_open(&rig);
	for (unsigned i = 0; i < SPREAD_OBJECTS; i++) {
		rig_object(&object, i, i % 2 ? 9000 : 70000, "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
	}
	rig_flush(&rig);
	for (unsigned i = 0; i < 3; i++) {
		state_of(i, &status);
		per_directory[i] = status.objects;
		assert_in_range(status.objects, SPREAD_OBJECTS / 10, SPREAD_OBJECTS * 6 / 10);
	}
	assert_int_equal(per_directory[0] + per_directory[1] + per_directory[2], SPREAD_OBJECTS);
	snprintf(aside, sizeof(aside), "%s/aside", rig.path);
	assert_int_equal(rename(rig.directory_paths[1], aside), 0);
	clock_manual_advance(&clock, 5 * NS_PER_S); /* the keeper looks */
	rig_wait(directory_is, &failed);
	here = count_here();
	assert_int_equal(here, SPREAD_OBJECTS - per_directory[1]);
	/* What is missing goes to the others meanwhile, and stays found when it is back. */
	rig_object(&object, 1000, 70000, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_flush(&rig);
	assert_int_equal(rename(aside, rig.directory_paths[1]), 0);
	clock_manual_advance(&clock, 59 * NS_PER_S);
	assert_true(directory_is(&failed));
	clock_manual_advance(&clock, 60 * NS_PER_S);
	rig_wait(directory_is, &back);
	assert_int_equal(count_here(), SPREAD_OBJECTS);
	assert_int_equal(rig_read_all(&rig, &object), 0);
	rig_close(&rig);
	rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create__unusable_directories__said_and_the_others_serve),
		cmocka_unit_test(test_create__no_directory__everything_is_a_miss),
		cmocka_unit_test(
			test_directories__one_vanishes_and_returns__only_its_own_are_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

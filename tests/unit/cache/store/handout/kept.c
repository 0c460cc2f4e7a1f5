/*
 * kept.c - tests of files that were handed out and are kept by whoever has them: when the object is
 * evicted, when they are given back and wanted again, and when a worker has died.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/store/handout/handout_rig.h"

static void test_evict__a_handed_out_file__its_bytes_live_on(void **state)
{
	struct rig_object object;
	struct cache_handout handout;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_given(&fixture, &object, &handout);
	store_obsolete(rig->store, &object.store.id);
	handout_evict_one(rig);
	assert_false(store_handout_current(rig->store, &handout));
	assert_true(store_handout_sound(rig->store, &handout));
	assert_int_equal(handout_stat(rig, &object).st_ino, 0);
	handout_check_bytes(handout.fd, &object, NONE);
	store_handback(rig->store, &handout);
	close(handout.fd);
	handout_end(&fixture);
}

/* --- what was given back, and its file kept --- */

static void test_again__given_back__as_handed_out_until_it_is_lost(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t bytes, lost;

	(void)state;
	handout_given(&fixture, &object, &handout);
	bytes = rig_count(rig, STORE_VERIFY_BYTES);
	lost = store_handout_lost(rig->store);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(store_handback(rig->store, &handout));
		assert_true(store_handout_current(rig->store, &handout));
		assert_true(store_handout_again(rig->store, &handout));
	}
	assert_int_equal(store_handout_lost(rig->store), lost);
	/* Not wanted, and wanted again: nothing is verified anew. */
	store_handout_allow(rig->store, 0, false);
	assert_true(store_handout_lost(rig->store) > lost);
	assert_false(store_handback(rig->store, &handout));
	assert_false(store_handout_again(rig->store, &handout));
	store_handout_allow(rig->store, 0, true);
	assert_true(store_handout_again(rig->store, &handout));
	assert_true(store_handback(rig->store, &handout));
	assert_int_equal(rig_count(rig, STORE_VERIFY_BYTES), bytes);
	lost = store_handout_lost(rig->store);
	store_obsolete(rig->store, &object.store.id);
	handout_evict_one(rig);
	assert_true(store_handout_lost(rig->store) > lost);
	assert_false(store_handout_again(rig->store, &handout));
	close(handout.fd);
	handout_end(&fixture);
}

static void test_again__another_was_found_bad_meanwhile__sound_as_of_now(void **state)
{
	struct rig_object object, other;
	struct cache_handout handout;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	handout_write_whole(rig, &object, 1, LARGE);
	handout_write_whole(rig, &other, 2, LARGE);
	assert_int_equal(handout_take(rig, &object, &handout), 0);
	handout_wait_ready(rig, &other);
	assert_true(store_handback(rig->store, &handout));
	store_drop(rig->store, &other.store.id, 0);
	rig_flush(rig);
	assert_false(store_handout_sound(rig->store, &handout));
	assert_true(store_handout_again(rig->store, &handout));
	assert_true(store_handout_sound(rig->store, &handout));
	/* Itself: not again, and what follows it is another hand-out. */
	store_drop(rig->store, &object.store.id, 0);
	rig_flush(rig);
	assert_false(store_handback(rig->store, &handout));
	assert_false(store_handout_again(rig->store, &handout));
	close(handout.fd);
	handout_end(&fixture);
}

/* --- what a worker that died had handed out --- */

static uint64_t verified_count(struct rig *rig)
{
	uint64_t queued;

	return store_handout_count(rig->store, &queued);
}

static void test_adopt__handed_out_by_a_worker_that_died__verified_without_reading(void **state)
{
	struct cache_handout before, first, second;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t bytes;

	(void)state;
	handout_given(&fixture, &object, &before);
	rig_close(rig);
	roles_open(rig, RIG_OWN_ALL);
	bytes = rig_count(rig, STORE_VERIFY_BYTES);
	/* By two nodes. */
	store_handout_adopt(rig->store, 0, &object.store.id, &first);
	store_handout_adopt(rig->store, 0, &object.store.id, &second);
	assert_int_equal(first.fd, -1);
	store_handout_allow(rig->store, 0, true);
	assert_true(store_handout_ready(rig->store, &object.store.id, false));
	assert_true(store_handout_current(rig->store, &first));
	assert_true(store_handout_sound(rig->store, &first));
	assert_int_equal(verified_count(rig), 1);
	assert_int_equal(rig_count(rig, STORE_VERIFY_BYTES), bytes);
	/* As any other: given to others, given back, forgotten. */
	close(before.fd);
	assert_int_equal(store_handout(rig->store, &object.store.id, &before), 0);
	handout_check_bytes(before.fd, &object, NONE);
	close(before.fd);
	store_handback(rig->store, &before);
	store_handback(rig->store, &first);
	store_handback(rig->store, &second);
	assert_true(store_handout_current(rig->store, &second));
	store_drop(rig->store, &object.store.id, 0);
	rig_flush(rig);
	assert_false(store_handout_current(rig->store, &second));
	assert_false(store_handout_sound(rig->store, &second));
	handout_end(&fixture);
}

static void test_adopt__evicted_under_it__unlinked_and_its_bytes_live_on(void **state)
{
	struct cache_handout before, adopted;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_given(&fixture, &object, &before);
	rig_close(rig);
	roles_open(rig, RIG_OWN_ALL);
	store_handout_adopt(rig->store, 0, &object.store.id, &adopted);
	store_handout_allow(rig->store, 0, true);
	store_obsolete(rig->store, &object.store.id);
	handout_evict_one(rig);
	assert_false(store_handout_current(rig->store, &adopted));
	assert_true(store_handout_sound(rig->store, &adopted));
	handout_check_bytes(before.fd, &object, NONE);
	store_handback(rig->store, &adopted);
	close(before.fd);
	handout_end(&fixture);
}

enum change {
	CHANGE_NEVER_HANDED_OUT,
	CHANGE_NOT_SEALED,
	CHANGE_LONGER,
	CHANGE_GONE,
	CHANGE_BLOCK_DROPPED,
	CHANGE_NO_SUCH_DIRECTORY,
	CHANGE_COUNT,
};

static void change(struct rig *rig, const struct rig_object *object, enum change what)
{
	char path[512];

	rig_object_file(rig, 0, object, path, sizeof(path));
	if (what == CHANGE_NOT_SEALED)
		assert_int_equal(chmod(path, 0600), 0);
	if (what == CHANGE_LONGER)
		assert_int_equal(truncate(path, LARGE + 4096), 0);
	if (what == CHANGE_GONE)
		assert_int_equal(unlink(path), 0);
}

static void check_not_adopted(enum change what)
{
	struct cache_handout before, adopted;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	handout_make(&fixture, RIG_OWN_ALL);
	handout_write_whole(rig, &object, 1, LARGE);
	if (what != CHANGE_NEVER_HANDED_OUT) {
		assert_int_equal(handout_take(rig, &object, &before), 0);
		close(before.fd);
	}
	if (what == CHANGE_BLOCK_DROPPED) {
		/* Its new file is not made before the worker dies. */
		handout_flip(rig, &object, 100);
		faults_set(&fixture.faults, FAULT_RENAME, -EIO, 0, 1000000);
		assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
		rig_flush(rig);
		handout_wait_count(rig, STORE_BAD_CHECKS, 1);
	}
	rig_close(rig);
	change(rig, &object, what);
	roles_open(rig, RIG_OWN_ALL); /* with the fault still there */
	store_handout_adopt(rig->store, what == CHANGE_NO_SUCH_DIRECTORY ? 7 : 0, &object.store.id,
			    &adopted);
	store_handout_allow(rig->store, 0, true);
	assert_false(store_handout_current(rig->store, &adopted));
	assert_true(store_handout_sound(rig->store, &adopted));
	assert_false(store_handout_ready(rig->store, &object.store.id, false));
	assert_int_equal(verified_count(rig), 0);
	store_handback(rig->store, &adopted);
	handout_end(&fixture);
}

static void test_adopt__not_as_it_was_handed_out__not_current(void **state)
{
	(void)state;
	for (enum change what = 0; what < CHANGE_COUNT; what++)
		check_not_adopted(what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evict__a_handed_out_file__its_bytes_live_on),
		cmocka_unit_test(test_again__given_back__as_handed_out_until_it_is_lost),
		cmocka_unit_test(test_again__another_was_found_bad_meanwhile__sound_as_of_now),
		cmocka_unit_test(
			test_adopt__handed_out_by_a_worker_that_died__verified_without_reading),
		cmocka_unit_test(test_adopt__evicted_under_it__unlinked_and_its_bytes_live_on),
		cmocka_unit_test(test_adopt__not_as_it_was_handed_out__not_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

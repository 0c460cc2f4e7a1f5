/*
 * Tests of files that are handed out: what is, when, and that it never changes afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/store/handout/handout_rig.h"

static void test_handout__complete__its_exact_file_and_it_is_read_only(void **state)
{
	static const uint64_t sizes[] = { 32769, 36864, 40000, RIG_BLOCK_LEN, RIG_BLOCK_LEN + 1,
					  LARGE };
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct cache_handout handout;
		struct rig_object object;

		handout_write_whole(rig, &object, i, sizes[i]);
		assert_int_equal(handout_take(rig, &object, &handout), 0);
		handout_check_bytes(handout.fd, &object, NONE);
		assert_int_equal(fcntl(handout.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(handout_stat(rig, &object).st_mode & 0777, 0400);
		assert_true(store_handout_current(rig->store, &handout));
		close(handout.fd);
		store_handback(rig->store, &handout);
	}
	assert_int_equal(rig_count(rig, STORE_VERIFIED), ARRAY_COUNT(sizes));
	assert_int_equal(rig_count(rig, STORE_READS), 0);
	handout_end(&fixture);
}

static void test_handout__not_whole_or_packed__never(void **state)
{
	struct rig_object part, packed;
	struct cache_handout handout;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	rig_object(&part, 1, LARGE, "/images");
	for (uint64_t block = 0; block < BLOCKS - 1; block++)
		assert_int_equal(rig_write(rig, &part, block), 0);
	handout_write_whole(rig, &packed, 2, 3000);
	assert_false(store_handout_ready(rig->store, &part.store.id, true));
	assert_false(store_handout_ready(rig->store, &packed.store.id, true));
	handout_wait_queue(rig, 3);
	assert_int_equal(store_handout(rig->store, &part.store.id, &handout), -EAGAIN);
	assert_int_equal(store_handout(rig->store, &packed.store.id, &handout), -EAGAIN);
	assert_int_equal(rig_write(rig, &part, BLOCKS - 1), 0);
	rig_flush(rig);
	assert_int_equal(handout_take(rig, &part, &handout), 0);
	handout_check_bytes(handout.fd, &part, NONE);
	close(handout.fd);
	handout_end(&fixture);
}

static void test_handout__not_allowed__nothing_is_verified(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t queued;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	handout_write_whole(rig, &object, 1, LARGE);
	handout_wait_ready(rig, &object);
	store_handout_allow(rig->store, 0, false);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	assert_int_equal(store_handout(rig->store, &object.store.id, &handout), -EAGAIN);
	handout_write_whole(rig, &object, 2, LARGE);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	store_handout_count(rig->store, &queued);
	assert_int_equal(queued, 0);
	handout_end(&fixture);
}

static void test_verify__a_flipped_bit__found_dropped_and_whole_again(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	store_handout_allow(rig->store, 0, false);
	handout_write_whole(rig, &object, 1, LARGE);
	handout_flip(rig, &object, LARGE - 2);
	before = handout_stat(rig, &object);
	store_handout_allow(rig->store, 0, true);
	assert_false(store_handout_ready(rig->store, &object.store.id, true));
	handout_wait_count(rig, STORE_BAD_CHECKS, 1);
	assert_int_equal(store_handout(rig->store, &object.store.id, &handout), -EAGAIN);
	rig_flush(rig);
	assert_int_equal(rig_write(rig, &object, BLOCKS - 1), 0);
	rig_flush(rig);
	assert_int_equal(handout_take(rig, &object, &handout), 0);
	handout_check_bytes(handout.fd, &object, NONE);
	/* Nobody had the file: it was repaired in place. */
	assert_int_equal(before.st_ino, handout_stat(rig, &object).st_ino);
	assert_int_equal(rig_count(rig, STORE_REPLACED), 0);
	close(handout.fd);
	handout_end(&fixture);
}

static void test_handout__cannot_be_sealed__is_not_handed_out(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	handout_write_whole(rig, &object, 1, LARGE);
	faults_set(&fixture.faults, FAULT_SEAL, -EPERM, 0, 1);
	assert_int_equal(handout_take(rig, &object, &handout), -EAGAIN);
	assert_int_equal(handout_take(rig, &object, &handout), 0);
	close(handout.fd);
	handout_end(&fixture);
}

static void test_handout__longer_than_the_object__not_before_it_has_a_new_file(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	char path[512];

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	handout_write_whole(rig, &object, 1, LARGE);
	rig_object_file(rig, 0, &object, path, sizeof(path));
	assert_int_equal(truncate(path, LARGE + 5), 0);
	assert_int_equal(handout_take(rig, &object, &handout), -EAGAIN);
	handout_wait_count(rig, STORE_REPLACED, 1);
	assert_int_equal(handout_take(rig, &object, &handout), 0);
	handout_check_bytes(handout.fd, &object, NONE);
	close(handout.fd);
	handout_end(&fixture);
}

/* --- what was handed out stays as it is --- */

static void check_even_blocks(struct rig *rig, const struct rig_object *object)
{
	for (uint64_t block = 0; block < BLOCKS; block++) {
		uint32_t len = object_block_len(LARGE, block, RIG_BLOCK_LEN);
		int status = rig_read(rig, object, block, 0, object_granule_count(len));

		assert_int_equal(status, block % 2 ? -ENOENT : 0);
	}
}

static void test_replicas__of_a_handed_out_file__a_new_file_without_them(void **state)
{
	struct rig_object object, other;
	struct cache_handout handout;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before, after;
	unsigned others = 0;

	(void)state;
	handout_make(&fixture, RIG_OWN_EVEN);
	handout_write_whole(rig, &object, 1, LARGE);
	assert_int_equal(handout_take(rig, &object, &handout), 0);
	before = handout_stat(rig, &object);
	while (rig_count(rig, STORE_REPLICAS_EVICTED) < BLOCKS / 2) {
		rig_object(&other, ROLES_OWNED + others++, 200000, "/images");
		roles_write(rig, &other);
	}
	handout_wait_count(rig, STORE_REPLACED, 1);
	handout_check_bytes(handout.fd, &object, NONE);
	assert_false(store_handout_current(rig->store, &handout));
	check_even_blocks(rig, &object);
	after = handout_stat(rig, &object);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_size, LARGE);
	assert_in_range(after.st_blocks * 512, 1, BLOCKS / 2 * RIG_BLOCK_LEN + 16384);
	assert_int_equal(rig_count(rig, STORE_BAD_CHECKS), 0);
	assert_int_equal(rig_count(rig, STORE_EVICTED_OBJECTS), 0);
	close(handout.fd);
	store_handback(rig->store, &handout);
	handout_end(&fixture);
}

/* A block was found bad and is written again: not into the file that somebody may have mapped. */
static void check_rot(struct handout_fixture *fixture, bool restart)
{
	struct rig *rig = &fixture->rig;
	struct cache_handout old, new;
	struct rig_object object;

	handout_write_whole(rig, &object, 1, LARGE);
	assert_int_equal(handout_take(rig, &object, &old), 0);
	if (restart) {
		rig_close(rig);
		roles_open(rig, RIG_OWN_ALL);
		store_handout_allow(rig->store, 0, true);
	}
	handout_flip(rig, &object, RIG_BLOCK_LEN + 100);
	assert_int_equal(rig_read(rig, &object, 1, 0, 1), -EBADMSG);
	rig_flush(rig);
	handout_wait_count(rig, STORE_REPLACED, 1);
	for (uint64_t block = 0; block < BLOCKS; block++)
		assert_int_equal(store_has(rig->store, &object.store.id, block), block != 1);
	assert_int_equal(rig_write(rig, &object, 1), 0);
	rig_flush(rig);
	assert_int_equal(handout_take(rig, &object, &new), 0);
	handout_check_bytes(new.fd, &object, NONE);
	handout_check_bytes(old.fd, &object, RIG_BLOCK_LEN + 100);
	assert_int_equal(handout_stat(rig, &object).st_size, LARGE);
	close(old.fd);
	close(new.fd);
}

static void test_rot__of_a_handed_out_file__a_new_file_in_its_place(void **state)
{
	struct handout_fixture fixture;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	check_rot(&fixture, false);
	handout_end(&fixture);
}

static void test_rot__handed_out_by_an_earlier_run__a_new_file_in_its_place(void **state)
{
	struct handout_fixture fixture;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	check_rot(&fixture, true);
	handout_end(&fixture);
}

/* What a crash between the index's commit and the new file leaves is found by the sweep. */
static void test_open__handed_out_and_more_than_the_index_names__a_new_file(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	struct stat before;

	(void)state;
	handout_given(&fixture, &object, &handout);
	before = handout_stat(rig, &object);
	handout_flip(rig, &object, 100);
	faults_set(&fixture.faults, FAULT_RENAME, -EIO, 0, 1000000);
	assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
	rig_flush(rig);
	handout_wait_count(rig, STORE_BAD_CHECKS, 1);
	rig_close(rig);
	faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
	assert_int_equal(handout_stat(rig, &object).st_ino, before.st_ino);
	roles_open(rig, RIG_OWN_ALL);
	handout_wait_count(rig, STORE_REPLACED, 1);
	assert_int_not_equal(handout_stat(rig, &object).st_ino, before.st_ino);
	for (uint64_t block = 1; block < BLOCKS; block++)
		assert_int_equal(rig_read(rig, &object, block, 0, 1), 0);
	handout_check_bytes(handout.fd, &object, 100);
	close(handout.fd);
	handout_end(&fixture);
}

static void test_replace__no_space_for_a_copy__the_object_goes_as_a_whole(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_given(&fixture, &object, &handout);
	handout_flip(rig, &object, 100);
	faults_set(&fixture.faults, FAULT_WRITE, -ENOSPC, 0, 1000000);
	assert_int_equal(rig_read(rig, &object, 0, 0, 1), -EBADMSG);
	rig_flush(rig);
	handout_wait_count(rig, STORE_EVICTED_OBJECTS, 1);
	faults_set(&fixture.faults, FAULT_NONE, 0, 0, 0);
	assert_int_equal(handout_stat(rig, &object).st_ino, 0);
	assert_int_equal(rig_read(rig, &object, 1, 0, 1), -ENOENT);
	handout_check_bytes(handout.fd, &object, 100);
	close(handout.fd);
	handout_end(&fixture);
}

/* A file that is left over from a run that handed it out is not written into. */
static void test_write__over_a_left_over_sealed_file__a_new_one(void **state)
{
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;
	char path[512], folder[512];
	struct stat before;
	int fd;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	handout_wait_queue(rig, 9);
	rig_object(&object, 1, LARGE, "/images");
	rig_object_file(rig, 0, &object, path, sizeof(path));
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	(void)mkdir(folder, 0700);
	fd = open(path, O_WRONLY | O_CREAT, 0400);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old", 3), 3);
	before = handout_stat(rig, &object);
	assert_int_equal(rig_write(rig, &object, 0), -ECANCELED);
	for (unsigned tries = 0; handout_stat(rig, &object).st_ino != 0; tries++) {
		assert_true(tries < ROLES_TRIES);
		usleep(1000);
	}
	assert_int_equal(rig_write_all(rig, &object), 0);
	rig_flush(rig);
	assert_int_equal(rig_read_all(rig, &object), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(before.st_size, 3);
	close(fd);
	handout_end(&fixture);
}

/* --- the scrub, and what is told --- */

static void test_scrub__rot__is_found_counted_and_no_longer_current(void **state)
{
	struct cache_handout handout;
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_given(&fixture, &object, &handout);
	rig->config.scrub = UINT64_C(1) << 30;
	store_reload(rig->store, &rig->config);
	handout_wait_count(rig, STORE_SCRUB_BYTES, 2 * LARGE); /* all is well */
	assert_int_equal(rig_count(rig, STORE_ROTTEN), 0);
	assert_true(store_handout_current(rig->store, &handout));
	handout_flip(rig, &object, LARGE / 2);
	handout_wait_count(rig, STORE_ROTTEN, 1);
	handout_wait_count(rig, STORE_REPLACED, 1);
	assert_false(store_handout_current(rig->store, &handout));
	assert_false(store_handout_sound(rig->store, &handout));
	rig->config.scrub = 0;
	store_reload(rig->store, &rig->config);
	assert_int_equal(rig_count(rig, STORE_BAD_CHECKS), 1);
	close(handout.fd);
	handout_end(&fixture);
}

struct told {
	struct object_id id;
	_Atomic uint64_t block; /* + 1 */
};

static void tell(void *context, const struct object_id *id, uint64_t block)
{
	struct told *told = context;

	told->id = *id;
	atomic_store(&told->block, block + 1);
}

static bool is_told(void *context)
{
	return atomic_load(&((struct told *)context)->block) != 0;
}

static void test_lost__a_block_of_a_whole_object__is_told(void **state)
{
	struct told told = { .block = 0 };
	struct rig_object object;
	struct handout_fixture fixture;
	struct rig *rig = &fixture.rig;

	(void)state;
	handout_make(&fixture, RIG_OWN_ALL);
	store_set_lost(rig->store, tell, &told);
	handout_write_whole(rig, &object, 1, LARGE);
	handout_wait_ready(rig, &object);
	handout_flip(rig, &object, 3 * RIG_BLOCK_LEN);
	assert_int_equal(rig_read(rig, &object, 3, 0, 1), -EBADMSG);
	rig_flush(rig);
	rig_wait(is_told, &told);
	assert_int_equal(told.block, 3 + 1);
	assert_true(object_id_equal(&told.id, &object.store.id));
	handout_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handout__complete__its_exact_file_and_it_is_read_only),
		cmocka_unit_test(test_handout__not_whole_or_packed__never),
		cmocka_unit_test(test_handout__not_allowed__nothing_is_verified),
		cmocka_unit_test(test_verify__a_flipped_bit__found_dropped_and_whole_again),
		cmocka_unit_test(test_handout__cannot_be_sealed__is_not_handed_out),
		cmocka_unit_test(
			test_handout__longer_than_the_object__not_before_it_has_a_new_file),
		cmocka_unit_test(test_replicas__of_a_handed_out_file__a_new_file_without_them),
		cmocka_unit_test(test_rot__of_a_handed_out_file__a_new_file_in_its_place),
		cmocka_unit_test(test_rot__handed_out_by_an_earlier_run__a_new_file_in_its_place),
		cmocka_unit_test(test_open__handed_out_and_more_than_the_index_names__a_new_file),
		cmocka_unit_test(test_replace__no_space_for_a_copy__the_object_goes_as_a_whole),
		cmocka_unit_test(test_write__over_a_left_over_sealed_file__a_new_one),
		cmocka_unit_test(test_scrub__rot__is_found_counted_and_no_longer_current),
		cmocka_unit_test(test_lost__a_block_of_a_whole_object__is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of replicas: written only into free space, and the first to go; who owns what is what the
 * test says at the moment.
 */
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
#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/roles.h"

#define MIB	 ROLES_MIB
#define CAPACITY ROLES_CAPACITY
#define OWNED	 ROLES_OWNED
#define TRIES	 ROLES_TRIES
#define LOW	 (CAPACITY / 100 * 90)
#define BLOCKS	 8

static const uint64_t kinds[] = { 20000, 200000 }; /* packed, files */

/* --- admission --- */

static void test_admit__replicas_only__until_the_low_watermark(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		struct rig_object object;
		struct rig rig;
		unsigned count;

		roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_NONE);
		count = roles_fill(&rig, 0, kinds[kind]);
		assert_in_range(roles_used(&rig), LOW - 2 * MIB, LOW);
		assert_int_equal(roles_count(&rig, 0, count, kinds[kind]), count);
		/* Whoever comes later does not make them give way. */
		assert_int_equal(roles_fill(&rig, 50000, kinds[kind]), 0);
		assert_int_equal(roles_count(&rig, 0, count, kinds[kind]), count);
		assert_int_equal(rig_count(&rig, STORE_REPLICAS_EVICTED), 0);
		/* This node's own ones may go up to the high watermark at once. */
		roles.own = RIG_OWN_ALL;
		rig_object(&object, OWNED, kinds[kind], "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		roles_end(&rig);
	}
}

static void test_would_admit_block__by_role__as_it_would_be_admitted(void **state)
{
	struct rig_object object;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_EVEN);
	rig_object(&object, 1, 4 * RIG_BLOCK_LEN, "/images");
	assert_true(store_would_admit_block(rig.store, &object.store, 0, 1000));
	assert_true(store_would_admit_block(rig.store, &object.store, 1, 1000));
	/* Between the watermarks: only what is owned. */
	assert_true(store_would_admit_block(rig.store, &object.store, 0,
					    (uint32_t)(CAPACITY / 100 * 91)));
	assert_false(store_would_admit_block(rig.store, &object.store, 1,
					     (uint32_t)(CAPACITY / 100 * 91)));
	assert_true(store_would_admit(rig.store, &object.store, (uint32_t)(CAPACITY / 100 * 91)));
	roles_end(&rig);
}

static void test_admit__replicas_refused__nobody_gives_way(void **state)
{
	struct rig_object object;
	struct rig rig;
	unsigned count;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_ALL);
	count = roles_fill(&rig, 0, 200000);
	/* For this much of an owned dataset the oldest one would give way. */
	roles.own = RIG_OWN_NONE;
	for (unsigned i = 0; i < 4 * count; i++) {
		rig_object(&object, 50000 + i, 200000, "/other");
		assert_int_equal(rig_write_all(&rig, &object), RIG_REFUSED);
	}
	roles.own = RIG_OWN_ALL;
	rig_object(&object, 99999, 200000, "/other");
	rig_write_all(&rig, &object);
	rig_flush(&rig);
	assert_int_equal(roles_count(&rig, 0, count, 200000), count);
	assert_int_equal(rig_count(&rig, STORE_EVICTED_BYTES), 0);
	roles_end(&rig);
}

static void test_admit__replicas_under_lru__old_ones_give_way_to_new(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		uint64_t size = kinds[kind];
		unsigned total = (unsigned)(3 * CAPACITY / size);
		struct rig_object object;
		struct rig rig;

		roles_make(&rig, CACHE_POLICY_LRU, RIG_OWN_NONE);
		for (unsigned i = 0; i < total; i++) {
			rig_object(&object, i, size, "/images");
			roles_write(&rig, &object);
			assert_true(roles_used(&rig) <= CAPACITY / 100 * 95);
		}
		assert_true(roles_count(&rig, 0, total / 3, size) < total / 30);
		assert_true(roles_count(&rig, total - total / 10, total / 10, size) > total / 11);
		assert_true(rig_count(&rig, STORE_REPLICAS_EVICTED) > total / 3);
		roles_end(&rig);
	}
}

/* --- giving way --- */

/* What one more of that size takes: a share of a segment, or a file. */
static uint64_t charge_of(uint64_t size)
{
	return size <= STORE_PACKED_MAX ? size : ((size + 4095) & ~UINT64_C(4095)) + 4096;
}

static void check_owned_first(enum cache_policy policy, uint64_t size)
{
	unsigned replicas, owned = (unsigned)(CAPACITY * 7 / 10 / charge_of(size));
	uint64_t before;
	struct rig_object object;
	struct rig rig;

	roles_make(&rig, policy, RIG_OWN_NONE);
	if (policy == CACHE_POLICY_LRU) {
		replicas = (unsigned)(CAPACITY * 8 / 10 / charge_of(size));
		for (unsigned i = 0; i < replicas; i++) {
			rig_object(&object, i, size, "/images");
			assert_int_equal(rig_write_all(&rig, &object), 0);
			if (i % 10 == 0)
				rig_flush(&rig); /* promises take more */
		}
		rig_flush(&rig);
	} else {
		replicas = roles_fill(&rig, 0, size);
	}
	before = store_replica_bytes(rig.store);
	assert_int_equal(before, replicas * size);
	roles.own = RIG_OWN_OTHERS;
	for (unsigned i = 0; i < replicas; i++) {
		rig_object(&object, i, size, "/images");
		rig_disown(&roles, &object);
	}
	for (unsigned i = 0; i < owned; i++) {
		rig_object(&object, OWNED + i, size, "/images");
		roles_write(&rig, &object);
	}
	rig_flush(&rig);
	assert_int_equal(roles_count(&rig, OWNED, owned, size), owned);
	assert_true(roles_count(&rig, 0, replicas, size) < replicas / 2);
	assert_true(rig_count(&rig, STORE_REPLICAS_EVICTED) > replicas / 2);
	assert_true(rig_count(&rig, STORE_REPLICA_EVICTED_BYTES) > before / 2);
	assert_int_equal(rig_count(&rig, STORE_EVICTED_BYTES),
			 rig_count(&rig, STORE_REPLICA_EVICTED_BYTES));
	roles_check_books(&rig);
	assert_int_equal(store_replica_bytes(rig.store),
			 roles_count(&rig, 0, replicas, size) * size);
	roles_end(&rig);
}

static void test_evict__owned_need_room__replicas_go_and_no_owned_one(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		check_owned_first(CACHE_POLICY_EPOCH, kinds[kind]);
		check_owned_first(CACHE_POLICY_LRU, kinds[kind]);
	}
}

/* Small ones of both, by turns: they do not share segments. */
static void test_evict__small_ones_written_by_turns__no_owned_one_goes(void **state)
{
	uint64_t size = 20000;
	unsigned each = (unsigned)(CAPACITY * 4 / 10 / size), more = each / 2;
	struct rig_object object;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_OTHERS);
	for (unsigned i = 0; i < each; i++) {
		rig_object(&object, i, size, "/images");
		rig_disown(&roles, &object);
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_object(&object, OWNED + i, size, "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
		if (i % 10 == 0)
			rig_flush(&rig); /* promises take more */
	}
	rig_flush(&rig);
	for (unsigned i = each; i < each + more; i++) {
		rig_object(&object, OWNED + i, size, "/images");
		roles_write(&rig, &object);
	}
	rig_flush(&rig);
	assert_int_equal(roles_count(&rig, OWNED, each + more, size), each + more);
	assert_true(rig_count(&rig, STORE_REPLICAS_EVICTED) > 0);
	roles_check_books(&rig);
	roles_end(&rig);
}

/* Ticks follow from what was written: each object in a group of its own has its own. */
static void test_evict__some_replicas_used__the_others_first(void **state)
{
	enum { EACH = 16, SIZE = 300000 };
	struct rig_object object;
	unsigned others = 0;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_OTHERS);
	for (unsigned i = 0; i < 3 * EACH; i++) {
		rig_object(&object, i, SIZE, "/images");
		rig_disown(&roles, &object);
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_flush(&rig);
	}
	/* The first are used again, in memory and on the SSD; so the second ones are the oldest. */
	for (unsigned i = 0; i < EACH; i++) {
		rig_object(&object, i, SIZE, "/images");
		if (i % 2)
			assert_true(rig_has_all(&rig, &object));
		else
			store_touch(rig.store, &object.store.id, "/images");
	}
	while (rig_count(&rig, STORE_REPLICAS_EVICTED) == 0) {
		rig_object(&object, OWNED + others++, SIZE, "/images");
		roles_write(&rig, &object);
	}
	rig_flush(&rig);
	assert_in_range(rig_count(&rig, STORE_REPLICAS_EVICTED), 1, EACH);
	assert_int_equal(roles_count(&rig, 0, EACH, SIZE), EACH);
	assert_true(roles_count(&rig, EACH, EACH, SIZE) < EACH);
	assert_int_equal(roles_count(&rig, 2 * EACH, EACH, SIZE), EACH);
	assert_int_equal(roles_count(&rig, OWNED, others, SIZE), others);
	roles_end(&rig);
}

static void test_evict__more_blocks_than_one_transaction_takes__all_go(void **state)
{
	uint64_t size = 48 * RIG_BLOCK_LEN;
	struct rig_object large, object;
	unsigned count = 0;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_OTHERS);
	rig_object(&large, 1, size, "/images");
	rig_disown(&roles, &large);
	assert_int_equal(rig_write_all(&rig, &large), 0);
	rig_flush(&rig);
	while (store_resident(rig.store, &large.store.id, size) > 0) {
		rig_object(&object, OWNED + count++, 200000, "/images");
		roles_write(&rig, &object);
	}
	roles_wait_evicted(&rig, 48);
	assert_int_equal(roles_file_bytes(&rig, &large), 0);
	assert_int_equal(rig_count(&rig, STORE_REPLICAS_EVICTED), 48);
	assert_int_equal(roles_count(&rig, OWNED, count, 200000), count);
	roles_end(&rig);
}

static void test_reload__lower_watermarks__replicas_make_the_room(void **state)
{
	enum { EACH = 40, SIZE = 300000 };
	struct rig_object object;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_OTHERS);
	for (unsigned i = 0; i < EACH; i++) {
		rig_object(&object, i, SIZE, "/images");
		rig_disown(&roles, &object);
		assert_int_equal(rig_write_all(&rig, &object), 0);
		rig_object(&object, OWNED + i, SIZE, "/images");
		assert_int_equal(rig_write_all(&rig, &object), 0);
	}
	rig_flush(&rig);
	rig.config.high_watermark = 60;
	rig.config.low_watermark = 50;
	store_reload(rig.store, &rig.config);
	for (unsigned tries = 0; roles_used(&rig) > CAPACITY / 100 * 60; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
	assert_int_equal(roles_count(&rig, OWNED, EACH, SIZE), EACH);
	assert_in_range(roles_count(&rig, 0, EACH, SIZE), 1, EACH - 1);
	roles_end(&rig);
}

/* --- ownership moves --- */

static void test_owner__what_was_owned_is_not__gives_way(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		for (unsigned hint = 0; hint < 2; hint++) {
			uint64_t size = kinds[kind];
			struct clock_manual clock;
			struct rig_object object;
			struct rig rig;
			unsigned count, more;

			clock_manual_init(&clock, NS_PER_S, 0);
			rig_make(&rig, 1, CAPACITY);
			rig.clock = &clock.clock;
			rig.files = rig_files_unsynced();
			roles_open(&rig, RIG_OWN_ALL);
			count = roles_fill(&rig, 0, size);
			more = count / 2;
			rig_object(&object, OWNED, size, "/images");
			assert_int_equal(rig_write_all(&rig, &object), RIG_REFUSED);
			for (unsigned i = 0; i < count; i++) {
				rig_object(&object, i, size, "/images");
				rig_disown(&roles, &object);
			}
			roles.own = RIG_OWN_OTHERS;
			if (hint)
				store_owner_changed(rig.store);
			else
				clock_manual_advance(&clock, 10 * NS_PER_S);
			for (unsigned i = 0; i < more; i++) {
				rig_object(&object, OWNED + i, size, "/images");
				roles_write(&rig, &object);
			}
			rig_flush(&rig);
			assert_int_equal(roles_count(&rig, OWNED, more, size), more);
			assert_true(roles_count(&rig, 0, count, size) < count);
			roles_end(&rig);
		}
	}
}

static void test_owner__what_was_a_replica_is_owned__stays(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		uint64_t size = kinds[kind];
		unsigned count, more;
		struct rig rig;

		roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_NONE);
		count = roles_fill(&rig, 0, size);
		roles.own = RIG_OWN_ALL;
		more = roles_fill(&rig, OWNED, size);
		assert_int_equal(roles_count(&rig, 0, count, size), count);
		assert_int_equal(roles_count(&rig, OWNED, more, size), more);
		assert_int_equal(rig_count(&rig, STORE_REPLICAS_EVICTED), 0);
		assert_int_equal(store_replica_bytes(rig.store), 0);
		roles_end(&rig);
	}
}

/* Small objects of one dataset were all owned and share segments: those of which little is left go
 * with all that is in them, the others stay as they are. */
static void check_mixed_segments(unsigned owned_percent, bool expect_room)
{
	uint64_t size = 20000;
	struct rig_object object;
	unsigned count, kept = 0;
	struct rig rig;

	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_ALL);
	count = roles_fill(&rig, 0, size);
	for (unsigned i = 0; i < count; i++) {
		rig_object(&object, i, size, "/images");
		if (i % 100 >= owned_percent)
			rig_disown(&roles, &object);
		else
			kept++;
	}
	roles.own = RIG_OWN_OTHERS;
	store_owner_changed(rig.store);
	rig_object(&object, OWNED, size, "/other"); /* in a segment of its own */
	if (expect_room) {
		roles_write(&rig, &object);
		/* With segments of which less than half is left the owned ones in them go, too. */
		for (unsigned tries = 0; roles_used(&rig) > LOW; tries++) {
			assert_true(tries < TRIES);
			usleep(1000);
		}
		assert_true(rig_count(&rig, STORE_REPLICAS_EVICTED) > 0);
		assert_true(store_has(rig.store, &object.store.id, 0));
		assert_true(roles_count(&rig, 0, count, size) > count / 2);
	} else {
		/* Some find room above the low watermark, until it is known that nothing gives way.
		 */
		assert_in_range(roles_fill(&rig, OWNED, size), 0, (CAPACITY - LOW) / size);
		assert_int_equal(roles_count(&rig, 0, count, size), count);
		assert_int_equal(store_replica_bytes(rig.store), (count - kept) * size);
	}
	roles_end(&rig);
}

static void test_owner__segments_of_both__go_only_when_mostly_replicas(void **state)
{
	(void)state;
	check_mixed_segments(10, true);
	check_mixed_segments(80, false);
}

static void test_replica_bytes__ownership_moves__follow_it(void **state)
{
	struct rig_object large, small;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_ALL);
	rig_object(&large, 1, BLOCKS * RIG_BLOCK_LEN - 5000, "/images");
	rig_object(&small, 2, 3000, "/images");
	assert_int_equal(rig_write_all(&rig, &large), 0);
	assert_int_equal(rig_write_all(&rig, &small), 0);
	rig_flush(&rig);
	assert_int_equal(store_replica_bytes(rig.store), 0);
	roles.own = RIG_OWN_EVEN;
	assert_int_equal(store_replica_bytes(rig.store), BLOCKS / 2 * RIG_BLOCK_LEN - 5000);
	roles.own = RIG_OWN_ODD;
	assert_int_equal(store_replica_bytes(rig.store), BLOCKS / 2 * RIG_BLOCK_LEN + 3000);
	roles.own = RIG_OWN_NONE;
	assert_int_equal(store_replica_bytes(rig.store), BLOCKS * RIG_BLOCK_LEN - 5000 + 3000);
	roles_end(&rig);
}

/* --- trouble --- */

static void test_admit__disk_full__no_replica_either(void **state)
{
	struct rig_object object;
	struct faults faults;
	struct rig rig;

	(void)state;
	faults_init(&faults);
	rig_make(&rig, 1, CAPACITY);
	rig.files = &faults.files;
	roles_open(&rig, RIG_OWN_NONE);
	faults_set(&faults, FAULT_IO_WRITE, -ENOSPC, 0, 1);
	rig_object(&object, 1, 2 * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write(&rig, &object, 0), -ENOSPC);
	assert_int_equal(rig_write(&rig, &object, 1), RIG_REFUSED);
	assert_false(store_would_admit_block(rig.store, &object.store, 1, 1000));
	assert_int_equal(rig_count(&rig, STORE_NO_SPACE), 1);
	roles_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admit__replicas_only__until_the_low_watermark),
		cmocka_unit_test(test_would_admit_block__by_role__as_it_would_be_admitted),
		cmocka_unit_test(test_admit__replicas_refused__nobody_gives_way),
		cmocka_unit_test(test_admit__replicas_under_lru__old_ones_give_way_to_new),
		cmocka_unit_test(test_evict__owned_need_room__replicas_go_and_no_owned_one),
		cmocka_unit_test(test_evict__small_ones_written_by_turns__no_owned_one_goes),
		cmocka_unit_test(test_evict__some_replicas_used__the_others_first),
		cmocka_unit_test(test_evict__more_blocks_than_one_transaction_takes__all_go),
		cmocka_unit_test(test_reload__lower_watermarks__replicas_make_the_room),
		cmocka_unit_test(test_owner__what_was_owned_is_not__gives_way),
		cmocka_unit_test(test_owner__what_was_a_replica_is_owned__stays),
		cmocka_unit_test(test_owner__segments_of_both__go_only_when_mostly_replicas),
		cmocka_unit_test(test_replica_bytes__ownership_moves__follow_it),
		cmocka_unit_test(test_admit__disk_full__no_replica_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

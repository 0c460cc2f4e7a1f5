/*
 * Tests of cache/placement/placement.h: what it takes and refuses, and what readers see meanwhile.
 */
#include "cache/placement/placement.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/placement/rig.h"

static struct placement_member pool[PLACEMENT_MEMBERS_MAX + 1];

static uint64_t generation_of(struct placement *placement)
{
	const struct placement_table *table = placement_acquire(placement);
	uint64_t generation = placement_generation(table);

	placement_release(placement, table);
	return generation;
}

static void test_owners__few_members__as_many_as_there_are(void **state)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX], *ranked[PLACEMENT_RANK_MAX];
	static const unsigned counts[] = { 1, 3, 4, 7, 8, 9 };
	struct placement *placement = rig_place(NULL, 0);
	const struct placement_table *empty = placement_acquire(placement);

	(void)state;
	assert_int_equal(placement_owners(empty, 0, owners), 0);
	assert_int_equal(placement_rank(empty, 0, 8, ranked), 0);
	placement_release(placement, empty);
	rig_members(pool, 9, 1);
	for (unsigned row = 0; row < ARRAY_COUNT(counts); row++) {
		const struct placement_table *table;
		unsigned count = counts[row];

		rig_update(placement, pool, count);
		table = placement_acquire(placement);
		for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot += 1009) {
			unsigned owner_count = placement_owners(table, slot, owners);
			unsigned rank_count = placement_rank(table, slot, 8, ranked);

			assert_int_equal(owner_count, count < 4 ? count : 4);
			assert_int_equal(rank_count, count < 8 ? count : 8);
			for (unsigned i = 0; i < owner_count; i++)
				assert_ptr_equal(owners[i], ranked[i]);
			for (unsigned i = 0; i < rank_count; i++)
				for (unsigned j = 0; j < i; j++)
					assert_ptr_not_equal(ranked[i], ranked[j]);
		}
		placement_release(placement, table);
	}
	placement_destroy(placement);
}

static void test_rank_among__members_of_a_table__ranks_as_the_table_does(void **state)
{
	const struct placement_member *ranked[PLACEMENT_RANK_MAX], *among[PLACEMENT_RANK_MAX];
	struct placement *placement = rig_place(NULL, 0);
	const struct placement_table *table;

	(void)state;
	rig_members(pool, 9, 1);
	for (unsigned i = 0; i < 9; i++)
		pool[i].weight *= 1 + i % 3;
	rig_update(placement, pool, 9);
	table = placement_acquire(placement);
	for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot += 10007) {
		unsigned count = placement_rank(table, slot, 4, ranked);

		assert_int_equal(placement_rank_among(pool, 9, slot, 4, among), count);
		for (unsigned i = 0; i < count; i++)
			assert_true(member_id_equal(&among[i]->id, &ranked[i]->id));
		assert_int_equal(placement_rank_among(pool, 2, slot, 4, among), 2);
		assert_int_equal(placement_rank_among(pool, 0, slot, 4, among), 0);
	}
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_owners__a_member__what_the_caller_said_of_it(void **state)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX], *members;
	const struct placement_table *table;
	struct placement *placement;
	unsigned count;

	(void)state;
	rig_members(pool, 1, 2);
	pool[0].storing_since_ns = 12345;
	placement = rig_place(pool, 1);
	table = placement_acquire(placement);
	assert_int_equal(placement_owners(table, 7, owners), 1);
	assert_memory_equal(&owners[0]->id, &pool[0].id, sizeof(pool[0].id));
	assert_int_equal(owners[0]->weight, TIB);
	assert_int_equal(owners[0]->storing_since_ns, 12345);
	members = placement_members(table, &count);
	assert_int_equal(count, 1);
	assert_ptr_equal(members, owners[0]);
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_update__what_cannot_be_ranked__refused_and_unchanged(void **state)
{
	static const struct {
		unsigned count, spoilt;
		uint64_t weight;
		int error;
		bool none, twice;
	} rows[] = {
		{ .count = PLACEMENT_MEMBERS_MAX + 1, .weight = 1, .error = -E2BIG },
		{ .count = 9, .spoilt = 3, .weight = 1, .none = true, .error = -EINVAL },
		{ .count = 9, .spoilt = 8, .weight = 1, .twice = true, .error = -EINVAL },
		{ .count = 9, .spoilt = 5, .weight = 0, .error = -EINVAL },
	};
	struct placement *placement;

	(void)state;
	rig_members(pool, PLACEMENT_MEMBERS_MAX + 1, 3);
	placement = rig_place(pool, 5);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct placement_member *spoilt = &pool[rows[i].spoilt], kept = *spoilt;

		spoilt->weight = rows[i].weight;
		if (rows[i].none)
			memset(&spoilt->id, 0, sizeof(spoilt->id));
		if (rows[i].twice)
			spoilt->id = pool[1].id;
		assert_int_equal(placement_update(placement, pool, rows[i].count, NULL),
				 rows[i].error);
		assert_int_equal(generation_of(placement), 1);
		*spoilt = kept;
	}
	rig_assert_fresh(placement, pool, 5);
	placement_destroy(placement);
}

static void test_update__as_many_as_allowed__all_own(void **state)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX], *members;
	static unsigned owned[PLACEMENT_MEMBERS_MAX];
	const struct placement_table *table;
	struct placement *placement;

	(void)state;
	rig_members(pool, PLACEMENT_MEMBERS_MAX, 4);
	placement = rig_place(pool, PLACEMENT_MEMBERS_MAX - 1);
	rig_update(placement, pool, PLACEMENT_MEMBERS_MAX);
	table = placement_acquire(placement);
	members = placement_members(table, &(unsigned){ 0 });
	for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot++) {
		assert_int_equal(placement_owners(table, slot, owners), PLACEMENT_OWNERS_MAX);
		owned[owners[0] - members]++;
	}
	for (unsigned i = 0; i < PLACEMENT_MEMBERS_MAX; i++)
		assert_in_range(owned[i], 128, 512); /* of 256 */
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_update__same_members__same_generation(void **state)
{
	struct placement_member first;
	struct placement *placement;

	(void)state;
	rig_members(pool, 5, 5);
	placement = rig_place(pool, 5);
	first = pool[0];
	pool[0] = pool[4];
	pool[4] = first;
	rig_update(placement, pool, 5);
	assert_int_equal(generation_of(placement), 1);
	pool[2].storing_since_ns++;
	rig_update(placement, pool, 5);
	assert_int_equal(generation_of(placement), 2);
	rig_assert_fresh(placement, pool, 5);
	placement_destroy(placement);
}

static void test_update__cancelled__unchanged(void **state)
{
	static const unsigned counts[] = { 9, 100 }; /* looking at all; a census */
	atomic_bool cancel = true;
	struct placement *placement;

	(void)state;
	rig_members(pool, 100, 6);
	placement = rig_place(pool, 5);
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
		assert_int_equal(placement_update(placement, pool, counts[i], &cancel), -ECANCELED);
		assert_int_equal(generation_of(placement), 1);
	}
	rig_assert_fresh(placement, pool, 5);
	cancel = false;
	assert_int_equal(placement_update(placement, pool, 9, &cancel), 0);
	assert_int_equal(generation_of(placement), 2);
	placement_destroy(placement);
}

struct canceller {
	struct placement *placement;
	atomic_bool cancel;
	int error;
};

static void *update_many(void *argument)
{
	struct canceller *canceller = argument;

	canceller->error = placement_update(canceller->placement, pool, PLACEMENT_MEMBERS_MAX,
					    &canceller->cancel);
	return NULL;
}

static void test_update__cancelled_on_the_way__whole_or_unchanged(void **state)
{
	struct canceller canceller = { .error = 0 };
	pthread_t thread;

	(void)state;
	rig_members(pool, PLACEMENT_MEMBERS_MAX, 7);
	canceller.placement = rig_place(pool, 3);
	assert_int_equal(thread_start(&thread, "updater", update_many, &canceller), 0);
	canceller.cancel = true;
	pthread_join(thread, NULL);
	/* cancelled, unless this thread slept through it all */
	assert_true(canceller.error == 0 || canceller.error == -ECANCELED);
	rig_assert_fresh(canceller.placement, pool, canceller.error ? 3 : PLACEMENT_MEMBERS_MAX);
	placement_destroy(canceller.placement);
}

static void test_acquire__held_over_updates__unchanged_until_too_many(void **state)
{
	const struct placement_table *held[PLACEMENT_TABLES_MAX];
	const struct placement_member *members;
	struct placement *placement;
	unsigned count;

	(void)state;
	rig_members(pool, 9, 8);
	placement = rig_place(NULL, 0);
	for (unsigned i = 0; i < PLACEMENT_TABLES_MAX; i++) {
		held[i] = placement_acquire(placement);
		assert_int_equal(placement_update(placement, pool, i + 1, NULL),
				 i + 1 < PLACEMENT_TABLES_MAX ? 0 : -EBUSY);
	}
	for (unsigned i = 0; i < PLACEMENT_TABLES_MAX; i++) {
		members = placement_members(held[i], &count);
		assert_int_equal(count, i);
		assert_non_null(members);
		assert_int_equal(placement_generation(held[i]), i);
	}
	placement_release(placement, held[0]);
	rig_update(placement, pool, 9);
	for (unsigned i = 1; i < PLACEMENT_TABLES_MAX; i++)
		placement_release(placement, held[i]);
	rig_assert_fresh(placement, pool, 9);
	placement_destroy(placement);
}

static void test_update__each_allocation_fails__unchanged_and_no_leak(void **state)
{
	unsigned n;

	(void)state;
	rig_members(pool, 70, 9);
	for (n = 1;; n++) {
		struct placement *placement = NULL;
		int error;

		allocation_fault_arm(n);
		error = placement_create(&placement);
		if (!error)
			error = placement_update(placement, pool, 70, NULL);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			placement_destroy(placement);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		if (placement)
			assert_int_equal(generation_of(placement), 0);
		placement_destroy(placement);
	}
	assert_in_range(n, 9, 20);
}

#define SETS	3
#define READERS 2
#define UPDATES 8

/* Which of the sets a table was made of is told by when its members began to store. */
struct crowd {
	struct placement *placement;
	struct placement *expected[SETS];
	const struct placement_table *tables[SETS];
	atomic_bool stop;
	atomic_uint wrong;
};

static bool is_as_expected(const struct crowd *crowd, const struct placement_table *table,
			   uint32_t slot)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	const struct placement_member *expected[PLACEMENT_OWNERS_MAX];
	unsigned count = placement_owners(table, slot, owners);
	uint64_t set = owners[0]->storing_since_ns;

	if (set >= SETS || placement_owners(crowd->tables[set], slot, expected) != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!member_id_equal(&owners[i]->id, &expected[i]->id) ||
		    owners[i]->storing_since_ns != set)
			return false;
	return true;
}

static void *read_slots(void *argument)
{
	const struct placement_table *former = NULL;
	struct crowd *crowd = argument;
	uint64_t generation = 0;
	struct random random;

	random_init(&random, (uint64_t)(uintptr_t)&random);
	while (!crowd->stop) {
		const struct placement_table *table = placement_acquire(crowd->placement);

		if (placement_generation(table) < generation)
			crowd->wrong++;
		generation = placement_generation(table);
		for (unsigned i = 0; i < 16; i++) {
			uint32_t slot = (uint32_t)random_below(&random, PLACEMENT_SLOT_COUNT);

			if (!is_as_expected(crowd, table, slot) ||
			    (former && !is_as_expected(crowd, former, slot)))
				crowd->wrong++;
		}
		if (former)
			placement_release(crowd->placement, former);
		former = table;
		sched_yield(); /* the machine may have fewer cores than this test has threads */
	}
	if (former)
		placement_release(crowd->placement, former);
	return NULL;
}

/* Sets of 2, 3 and 4 that share members: quick to rank. */
static const struct placement_member *set_of(unsigned set, unsigned *out_count)
{
	for (unsigned i = 0; i < 6; i++)
		pool[i].storing_since_ns = set;
	*out_count = 2 + set;
	return pool + set;
}

static void test_acquire__while_updates_run__always_a_whole_table(void **state)
{
	const struct placement_member *members;
	static struct crowd crowd;
	pthread_t threads[READERS];
	unsigned count;

	(void)state;
	rig_members(pool, 6, 10);
	for (unsigned i = 0; i < SETS; i++) {
		members = set_of(i, &count);
		crowd.expected[i] = rig_place(members, count);
		crowd.tables[i] = placement_acquire(crowd.expected[i]);
	}
	members = set_of(0, &count);
	crowd.placement = rig_place(members, count);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(thread_start(&threads[i], "reader", read_slots, &crowd), 0);
	for (unsigned i = 1; i <= UPDATES; i++) {
		int error;

		members = set_of(i % SETS, &count);
		while ((error = placement_update(crowd.placement, members, count, NULL)) == -EBUSY)
			sched_yield(); /* readers go on, and let go */
		assert_int_equal(error, 0);
	}
	crowd.stop = true;
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.wrong, 0);
	assert_int_equal(generation_of(crowd.placement), UPDATES + 1);
	for (unsigned i = 0; i < SETS; i++) {
		placement_release(crowd.expected[i], crowd.tables[i]);
		placement_destroy(crowd.expected[i]);
	}
	placement_destroy(crowd.placement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners__few_members__as_many_as_there_are),
		cmocka_unit_test(test_owners__a_member__what_the_caller_said_of_it),
		cmocka_unit_test(test_rank_among__members_of_a_table__ranks_as_the_table_does),
		cmocka_unit_test(test_update__what_cannot_be_ranked__refused_and_unchanged),
		cmocka_unit_test(test_update__as_many_as_allowed__all_own),
		cmocka_unit_test(test_update__same_members__same_generation),
		cmocka_unit_test(test_update__cancelled__unchanged),
		cmocka_unit_test(test_update__cancelled_on_the_way__whole_or_unchanged),
		cmocka_unit_test(test_acquire__held_over_updates__unchanged_until_too_many),
		cmocka_unit_test(test_update__each_allocation_fails__unchanged_and_no_leak),
		cmocka_unit_test(test_acquire__while_updates_run__always_a_whole_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

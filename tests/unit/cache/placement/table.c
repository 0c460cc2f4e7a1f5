/*
 * Tests of cache/placement/table.h and census.h: the table does not depend on how it came about,
 * and a change moves no more than it must.
 */
#include "cache/placement/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/placement/census.h"
#include "tests/unit/cache/placement/rig.h"

#define POOL 300

static struct placement_member pool[POOL];

/* Swaps two, so that those in front are another choice in another order. */
static void shuffle(struct random *random, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned other = (unsigned)random_below(random, count);
		struct placement_member kept = pool[i];

		pool[i] = pool[other];
		pool[other] = kept;
	}
}

static void test_update__any_history__same_table_as_from_nothing(void **state)
{
	static const unsigned counts[] = { 5, 3, 7, 4, 0, 6 };
	struct placement *placement = rig_place(NULL, 0);
	struct random random;

	(void)state;
	random_init(&random, 11);
	rig_members(pool, 10, 1);
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
		shuffle(&random, 10);
		if (i % 2)
			rig_weigh(pool, 5, i);
		rig_update(placement, pool, counts[i]);
		rig_assert_fresh(placement, pool, counts[i]);
	}
	placement_destroy(placement);
}

static void test_update__one_by_one__same_table_as_at_once(void **state)
{
	struct placement *placement = rig_place(NULL, 0);

	(void)state;
	rig_members(pool, 6, 2);
	rig_weigh(pool, 6, 2);
	for (unsigned count = 1; count <= 6; count++)
		rig_update(placement, pool, count);
	rig_assert_fresh(placement, pool, 6);
	for (unsigned count = 5; count >= 4; count--)
		rig_update(placement, pool, count);
	rig_assert_fresh(placement, pool, 4);
	placement_destroy(placement);
}

/* Many members, where a census makes the fresh table and the changes are too few for one. */
static void test_update__some_of_many__same_table_as_from_nothing(void **state)
{
	struct placement *placement;

	(void)state;
	rig_members(pool, 80, 3);
	rig_weigh(pool, 80, 3);
	placement = rig_place(pool, 77);
	rig_update(placement, pool, 80); /* join */
	rig_assert_fresh(placement, pool, 80);
	rig_weigh(pool, 4, 4);		     /* some gain, some lose */
	rig_update(placement, pool + 2, 77); /* others leave */
	rig_assert_fresh(placement, pool + 2, 77);
	placement_destroy(placement);
}

static void assert_by_rank(const struct placement_member *members, unsigned count)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX], *ranked[PLACEMENT_OWNERS_MAX];
	struct placement *placement = rig_place(members, count);
	const struct placement_table *table = placement_acquire(placement);

	/* prime to the number of slots: all kinds of them */
	for (uint32_t i = 0; i < PLACEMENT_SLOT_COUNT / 32; i++) {
		uint32_t slot = i * 1021 % PLACEMENT_SLOT_COUNT;

		assert_int_equal(placement_owners(table, slot, owners), PLACEMENT_OWNERS_MAX);
		assert_int_equal(placement_rank(table, slot, PLACEMENT_OWNERS_MAX, ranked),
				 PLACEMENT_OWNERS_MAX);
		assert_memory_equal(owners, ranked, sizeof(owners));
	}
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_census__members_alike_or_not__what_looking_at_all_finds(void **state)
{
	(void)state;
	rig_members(pool, POOL, 5);
	assert_by_rank(pool, CENSUS_MEMBERS_MIN);
	rig_weigh(pool, POOL, 5);
	assert_by_rank(pool, POOL);
	/* three that are good for every slot, and one that is good for hardly any */
	for (unsigned i = 0; i < 3; i++)
		pool[i].weight = 1000 * TIB;
	pool[3].weight = 1;
	assert_by_rank(pool, 100);
	/* the widest range there is */
	for (unsigned i = 0; i < 100; i++)
		pool[i].weight = i % 2 ? UINT64_MAX : 1;
	assert_by_rank(pool, 100);
}

struct diff {
	unsigned moved;	 /* slots with another owner */
	unsigned others; /* ... although neither the old nor the new one is @subject */
	unsigned order;	 /* slots where the others do not stand in the order they had */
};

/* The owners of a slot without @subject, as ids. */
static unsigned without(const struct placement_table *table, uint32_t slot,
			const struct member_id *subject, struct member_id *out)
{
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	unsigned count = placement_owners(table, slot, owners), kept = 0;

	for (unsigned i = 0; i < count; i++)
		if (!member_id_equal(&owners[i]->id, subject))
			out[kept++] = owners[i]->id;
	return kept;
}

static struct diff compare(const struct placement_table *before,
			   const struct placement_table *after, const struct member_id *subject)
{
	struct member_id left[PLACEMENT_OWNERS_MAX], right[PLACEMENT_OWNERS_MAX];
	const struct placement_member *a[PLACEMENT_OWNERS_MAX], *b[PLACEMENT_OWNERS_MAX];
	struct diff diff = { 0 };

	for (uint32_t slot = 0; slot < PLACEMENT_SLOT_COUNT; slot++) {
		unsigned left_count = without(before, slot, subject, left);
		unsigned right_count = without(after, slot, subject, right);

		placement_owners(before, slot, a);
		placement_owners(after, slot, b);
		if (memcmp(left, right,
			   (left_count < right_count ? left_count : right_count) * sizeof(*left)) !=
		    0)
			diff.order++;
		if (member_id_equal(&a[0]->id, &b[0]->id))
			continue;
		diff.moved++;
		if (!member_id_equal(&a[0]->id, subject) && !member_id_equal(&b[0]->id, subject))
			diff.others++;
	}
	return diff;
}

/* That from @before to @after, a part of the slots has changed hands, all to or from @subject. */
static void assert_moved(const struct placement_member *before, unsigned before_count,
			 const struct placement_member *after, unsigned after_count,
			 const struct placement_member *subject, double part)
{
	struct placement *placement = rig_place(before, before_count);
	const struct placement_table *former = placement_acquire(placement), *table;
	struct diff diff;

	rig_update(placement, after, after_count);
	table = placement_acquire(placement);
	diff = compare(former, table, &subject->id);
	assert_int_equal(diff.others, 0);
	assert_int_equal(diff.order, 0);
	assert_true(fabs(diff.moved / (part * PLACEMENT_SLOT_COUNT) - 1) <=
		    3.5 / sqrt(part * PLACEMENT_SLOT_COUNT));
	placement_release(placement, former);
	placement_release(placement, table);
	placement_destroy(placement);
}

static void test_update__join__moves_one_part_to_the_joiner(void **state)
{
	static const unsigned counts[] = { 4, 70 };

	(void)state;
	rig_members(pool, POOL, 6);
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++)
		assert_moved(pool, counts[i], pool, counts[i] + 1, &pool[counts[i]],
			     1.0 / (counts[i] + 1));
}

static void test_update__leave__moves_its_slots_to_their_second(void **state)
{
	static const unsigned counts[] = { 5, 70 };

	(void)state;
	rig_members(pool, POOL, 7);
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++)
		assert_moved(pool, counts[i], pool + 1, counts[i] - 1, &pool[0], 1.0 / counts[i]);
}

static void test_update__weight_changes__moves_the_difference(void **state)
{
	struct placement_member changed[20];

	(void)state;
	rig_members(pool, 20, 8);
	memcpy(changed, pool, sizeof(changed));
	changed[7].weight = 3 * TIB;
	assert_moved(pool, 20, changed, 20, &pool[7], 3 / 22.0 - 1 / 20.0);
	assert_moved(changed, 20, pool, 20, &pool[7], 3 / 22.0 - 1 / 20.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_update__any_history__same_table_as_from_nothing),
		cmocka_unit_test(test_update__one_by_one__same_table_as_at_once),
		cmocka_unit_test(test_update__some_of_many__same_table_as_from_nothing),
		cmocka_unit_test(test_census__members_alike_or_not__what_looking_at_all_finds),
		cmocka_unit_test(test_update__join__moves_one_part_to_the_joiner),
		cmocka_unit_test(test_update__leave__moves_its_slots_to_their_second),
		cmocka_unit_test(test_update__weight_changes__moves_the_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

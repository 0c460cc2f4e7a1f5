/*
 * rig.c - members and tables to test with.
 */
#include "tests/unit/cache/placement/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

void rig_members(struct placement_member *members, unsigned count, uint64_t seed)
{
	struct random random;

	random_init(&random, seed);
	for (unsigned i = 0; i < count; i++) {
		members[i] = (struct placement_member){ .weight = TIB, .storing_since_ns = i };
		bytes_put_u64(members[i].id.bytes, random_u64(&random));
		bytes_put_u64(members[i].id.bytes + 8, random_u64(&random));
	}
}

void rig_weigh(struct placement_member *members, unsigned count, uint64_t seed)
{
	struct random random;

	random_init(&random, seed);
	for (unsigned i = 0; i < count; i++)
		members[i].weight = (1 + random_below(&random, 64)) * (TIB / 8);
}

void rig_update(struct placement *placement, const struct placement_member *members, unsigned count)
{
	assert_int_equal(placement_update(placement, members, count, NULL), 0);
}

struct placement *rig_place(const struct placement_member *members, unsigned count)
{
	struct placement *placement;

	assert_int_equal(placement_create(&placement), 0);
	rig_update(placement, members, count);
	return placement;
}

void rig_assert_fresh(struct placement *placement, const struct placement_member *members,
		      unsigned count)
{
	struct placement *fresh = rig_place(members, count);
	const struct placement_table *expected = placement_acquire(fresh);
	const struct placement_table *table = placement_acquire(placement);

	assert_int_equal(table->member_count, count);
	for (unsigned i = 0; i < count; i++)
		assert_true(member_id_equal(&table->members[i].id, &expected->members[i].id));
	assert_int_equal(
		memcmp(table->slots, expected->slots, PLACEMENT_SLOT_COUNT * sizeof(*table->slots)),
		0);
	placement_release(placement, table);
	placement_release(fresh, expected);
	placement_destroy(fresh);
}

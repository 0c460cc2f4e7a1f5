/*
 * placement.c - the tables: one in use, one being made, former ones that readers still hold.
 *
 * The life of a table: VACANT (no memory; holders are at most passers-by) -> being made by
 * placement_update(), known to nobody -> IN USE (`current`) -> FORMER, until nobody holds it and an
 * update makes it vacant.
 *
 * Readers and the updater meet without a lock in three operations of one total order (all are
 * sequentially consistent):
 *
 *	reader                            updater
 *	r1  read `current`                u1  write `current`
 *	r2  add to its holders            u2  read the former one's holders: 0, take its memory
 *	r3  read `current` again
 *
 * A reader uses the table only if r3 finds it in use. When u2 found 0, r2 comes after u2, hence r3
 * after u1, and r3 finds another table: the reader takes its hold back, having read nothing but the
 * count, which lives as long as the placement. Should the same table be in use again by then, it
 * was made whole before it was, and the hold was there first.
 */
#include "cache/placement/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/placement/ranking.h"
#include "cache/placement/table.h"

struct placement {
	_Alignas(64) struct placement_table *_Atomic current;
	atomic_bool updating;
	struct placement_table tables[PLACEMENT_TABLES_MAX];
};

static int make_first(struct placement_table *table)
{
	int error = table_init(table, NULL, 0);

	if (!error)
		memset(table->slots, 0xff, PLACEMENT_SLOT_COUNT * sizeof(*table->slots));
	return error;
}

int placement_create(struct placement **out_placement)
{
	struct placement *placement = aligned_alloc(64, sizeof(*placement));

	if (!placement)
		return -ENOMEM;
	memset(placement, 0, sizeof(*placement));
	score_init();
	if (make_first(&placement->tables[0])) {
		free(placement);
		return -ENOMEM;
	}
	atomic_store(&placement->current, &placement->tables[0]);
	*out_placement = placement;
	return 0;
}

void placement_destroy(struct placement *placement)
{
	if (!placement)
		return;
	CHECK(!atomic_load(&placement->updating));
	for (unsigned i = 0; i < PLACEMENT_TABLES_MAX; i++) {
		CHECK(atomic_load(&placement->tables[i].holders) == 0);
		table_fini(&placement->tables[i]);
	}
	free(placement);
}

const struct placement_table *placement_acquire(struct placement *placement)
{
	struct placement_table *table = atomic_load(&placement->current), *current;

	for (;;) {
		atomic_fetch_add(&table->holders, 1);
		current = atomic_load(&placement->current);
		if (current == table)
			return table;
		atomic_fetch_sub(&table->holders, 1);
		table = current;
	}
}

void placement_release(struct placement *placement, const struct placement_table *table)
{
	uint32_t before =
		atomic_fetch_sub(&placement->tables[table - placement->tables].holders, 1);

	CHECK(before > 0);
}

/* Gives up what nobody holds any more. Return: a vacant table; NULL: readers hold all. */
static struct placement_table *vacate(struct placement *placement)
{
	struct placement_table *vacant = NULL;

	for (unsigned i = 0; i < PLACEMENT_TABLES_MAX; i++) {
		struct placement_table *table = &placement->tables[i];

		if (table == atomic_load(&placement->current) || atomic_load(&table->holders) > 0)
			continue;
		table_fini(table);
		vacant = table;
	}
	return vacant;
}

static int compare_ids(const void *a, const void *b)
{
	const struct placement_member *left = a, *right = b;

	return memcmp(&left->id, &right->id, sizeof(left->id));
}

/* A copy of @members in the order of their ids, or an error if they cannot be ranked. */
static int sort_members(const struct placement_member *members, unsigned count,
			struct placement_member **out_sorted)
{
	struct placement_member *sorted;

	if (count > PLACEMENT_MEMBERS_MAX)
		return -E2BIG;
	sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		sorted[i] = members[i];
	qsort(sorted, count, sizeof(*sorted), compare_ids);
	for (unsigned i = 0; i < count; i++) {
		if (member_id_is_none(&sorted[i].id) || sorted[i].weight == 0 ||
		    (i > 0 && member_id_equal(&sorted[i].id, &sorted[i - 1].id))) {
			free(sorted);
			return -EINVAL;
		}
	}
	*out_sorted = sorted;
	return 0;
}

static bool is_made_of(const struct placement_table *table, const struct placement_member *sorted,
		       unsigned count)
{
	if (table->member_count != count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		const struct placement_member *a = &table->members[i], *b = &sorted[i];

		if (!member_id_equal(&a->id, &b->id) || a->weight != b->weight ||
		    a->storing_since_ns != b->storing_since_ns)
			return false;
	}
	return true;
}

static int make_next(struct placement *placement, const struct placement_member *sorted,
		     unsigned count, const atomic_bool *cancel)
{
	struct placement_table *from = atomic_load(&placement->current), *to;
	int error;

	if (is_made_of(from, sorted, count))
		return 0;
	to = vacate(placement);
	if (!to)
		return -EBUSY;
	error = table_init(to, sorted, count);
	if (error)
		return error;
	error = table_rebuild(from, to, cancel);
	if (error) {
		table_fini(to);
		return error;
	}
	to->generation = from->generation + 1;
	atomic_store(&placement->current, to);
	vacate(placement);
	return 0;
}

int placement_update(struct placement *placement, const struct placement_member *members,
		     unsigned count, const atomic_bool *cancel)
{
	struct placement_member *sorted;
	int error;

	CHECK(!atomic_exchange(&placement->updating, true));
	error = sort_members(members, count, &sorted);
	if (!error) {
		error = make_next(placement, sorted, count, cancel);
		free(sorted);
	}
	atomic_store(&placement->updating, false);
	return error;
}

unsigned placement_owners(const struct placement_table *table, uint32_t slot,
			  const struct placement_member *out_owners[PLACEMENT_OWNERS_MAX])
{
	struct table_slot found;
	unsigned count = 0;

	CHECK(slot < PLACEMENT_SLOT_COUNT);
	found = table->slots[slot];
	while (count < PLACEMENT_OWNERS_MAX && found.owners[count] != TABLE_NOBODY) {
		out_owners[count] = &table->members[found.owners[count]];
		count++;
	}
	return count;
}

unsigned placement_rank(const struct placement_table *table, uint32_t slot, unsigned limit,
			const struct placement_member *out_ranked[])
{
	struct ranking ranking;

	CHECK(slot < PLACEMENT_SLOT_COUNT);
	ranking_init(&ranking, slot, limit);
	ranking_offer_all(&ranking, table->keys, table->member_count);
	for (unsigned i = 0; i < ranking.count; i++)
		out_ranked[i] = &table->members[ranking.places[i].member];
	return ranking.count;
}

unsigned placement_rank_among(const struct placement_member *members, unsigned count, uint32_t slot,
			      unsigned limit, const struct placement_member *out_ranked[])
{
	struct score_key keys[PLACEMENT_AMONG_MAX];
	struct ranking ranking;

	CHECK(slot < PLACEMENT_SLOT_COUNT && count <= PLACEMENT_AMONG_MAX);
	for (unsigned i = 0; i < count; i++)
		score_key_init(&keys[i], &members[i].id, members[i].weight);
	ranking_init(&ranking, slot, limit);
	ranking_offer_all(&ranking, keys, count);
	for (unsigned i = 0; i < ranking.count; i++)
		out_ranked[i] = &members[ranking.places[i].member];
	return ranking.count;
}

const struct placement_member *placement_members(const struct placement_table *table,
						 unsigned *out_count)
{
	*out_count = table->member_count;
	return table->members;
}

uint64_t placement_generation(const struct placement_table *table)
{
	return table->generation;
}

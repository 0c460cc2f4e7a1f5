/*
 * census.c - not "who is good for this slot" but "for which slots is this member good": a member's
 * strata are a permutation, so the slots where its draw is low can be listed, lowest first.
 *
 * All members list the slots where their score may be within a reach, the same for all, chosen so
 * that a slot is listed by twelve on the average. Who did not list a slot has a score beyond the
 * reach there. So the four best of those who did are the four best of all, if the fourth is within
 * the reach; if not (three slots in a thousand), or when more listed it than there is room for, all
 * members are looked at.
 */
#include "cache/placement/census.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/placement/ranking.h"

#define LISTINGS    12 /* of a slot, on the average */
#define QUARTERS    4  /* of the slots, one at a time, for the sake of memory */
#define BATCH	    32
#define SLOTS_AHEAD (PLACEMENT_SLOT_COUNT / QUARTERS)

/* Who listed a slot: a cache line. */
struct listing {
	uint16_t count;
	uint16_t members[31];
};

struct census {
	struct placement_table *table;
	const atomic_bool *cancel;
	struct listing *listings; /* of a quarter of the slots */
	uint32_t first;		  /* slot of the quarter */
	__uint128_t reach;
};

/* The strata of a member that have a floor within @reach. */
static uint32_t strata_within(const struct score_key *key, __uint128_t reach)
{
	__uint128_t strata = reach / score_floor(key, 1) + 1;

	return strata < PLACEMENT_SLOT_COUNT ? (uint32_t)strata : PLACEMENT_SLOT_COUNT;
}

static uint64_t listings_within(const struct placement_table *table, __uint128_t reach)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < table->member_count; i++)
		total += strata_within(&table->keys[i], reach);
	return total;
}

/* Any reach gives the right table; this one gives it soon. Found by halving the steps, as members
 * that are good for every slot do not list more when it grows. */
static __uint128_t choose_reach(const struct placement_table *table)
{
	__uint128_t reach = 0;

	for (unsigned bit = 126; bit > 0; bit--) {
		__uint128_t farther = reach | (__uint128_t)1 << bit;

		if (listings_within(table, farther) <= (uint64_t)LISTINGS * PLACEMENT_SLOT_COUNT)
			reach = farther;
	}
	return reach;
}

/* Notes that @member listed @slots. Asked for first: each is a cache line from far away. */
static void list_batch(struct census *census, const uint32_t *slots, unsigned count,
		       unsigned member)
{
	for (unsigned i = 0; i < count; i++)
		__builtin_prefetch(&census->listings[slots[i]], 1);
	for (unsigned i = 0; i < count; i++) {
		struct listing *listing = &census->listings[slots[i]];

		if (listing->count < ARRAY_COUNT(listing->members))
			listing->members[listing->count] = (uint16_t)member;
		listing->count++;
	}
}

static void list_slots(struct census *census, unsigned member)
{
	const struct score_key *key = &census->table->keys[member];
	uint32_t strata = strata_within(key, census->reach), slots[BATCH];
	struct score_reverse reverse;
	unsigned count = 0;

	score_reverse_init(&reverse, key);
	for (uint32_t stratum = 0; stratum < strata; stratum++) {
		slots[count] = score_slot_at(&reverse, stratum) - census->first;
		count += slots[count] < SLOTS_AHEAD; /* by chance; a branch would not be foreseen */
		if (count == BATCH) {
			list_batch(census, slots, BATCH, member);
			count = 0;
		}
	}
	list_batch(census, slots, count, member);
}

static void fill_slot(struct census *census, uint32_t slot)
{
	const struct listing *listing = &census->listings[slot - census->first];
	struct ranking ranking;

	ranking_init(&ranking, slot, PLACEMENT_OWNERS_MAX);
	if (listing->count <= ARRAY_COUNT(listing->members))
		for (unsigned i = 0; i < listing->count; i++)
			ranking_offer(&ranking, &census->table->keys[listing->members[i]],
				      listing->members[i]);
	if (ranking.worst <= census->reach)
		census->table->slots[slot] = ranking_slot(&ranking);
	else
		table_rank(census->table, slot);
}

static int fill_quarter(struct census *census)
{
	memset(census->listings, 0, SLOTS_AHEAD * sizeof(*census->listings));
	for (unsigned member = 0; member < census->table->member_count; member++) {
		if (table_is_cancelled(census->cancel))
			return -ECANCELED;
		list_slots(census, member);
	}
	for (uint32_t i = 0; i < SLOTS_AHEAD; i++) {
		if (i % TABLE_CANCEL_SLOTS == 0 && table_is_cancelled(census->cancel))
			return -ECANCELED;
		fill_slot(census, census->first + i);
	}
	return 0;
}

int census_fill(struct placement_table *table, const atomic_bool *cancel)
{
	struct census census = { .table = table, .cancel = cancel };
	int error = 0;

	CHECK(table->member_count >= CENSUS_MEMBERS_MIN);
	census.listings = malloc(SLOTS_AHEAD * sizeof(*census.listings));
	if (!census.listings)
		return -ENOMEM;
	census.reach = choose_reach(table);
	for (unsigned quarter = 0; quarter < QUARTERS && !error; quarter++) {
		census.first = quarter * SLOTS_AHEAD;
		error = fill_quarter(&census);
	}
	free(census.listings);
	return error;
}

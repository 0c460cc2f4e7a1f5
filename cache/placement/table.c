/*
 * table.c - the next generation from the last. What a change of the members can do to a slot:
 *
 *	one of its four left or lost weight      who follows them was not kept: all are ranked anew
 *	a member joined or gained weight         may displace the fourth, in any slot
 *	one of its four gained weight            they are put in order again
 *	none of these                            the same members, under their new numbers
 */
#include "cache/placement/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/placement/census.h"
#include "cache/placement/ranking.h"

/* A joiner costs one look at each slot. Who leaves costs four: a slot in N/4 names it, and there
 * all N are looked at. From so many looks at each slot on, a census is quicker. */
#define CENSUS_CHANGES_MIN 128

enum change {
	CHANGE_NONE,
	CHANGE_ROSE, /* gained weight */
	CHANGE_FELL, /* lost weight or left */
};

/* A member of the former table. */
struct fate {
	uint16_t number; /* in the new table; TABLE_NOBODY when it left */
	uint8_t change;	 /* enum change */
};

struct rebuild {
	const struct placement_table *from;
	struct placement_table *to;
	struct fate *fates; /* one a member of `from` */
	unsigned fell_count;
	unsigned risen_count;	 /* who joined or gained weight: */
	struct score_key *risen; /* side by side, as every slot looks at them */
	uint16_t *risen_members; /* their numbers in `to` */
};

int table_init(struct placement_table *table, const struct placement_member *members,
	       unsigned count)
{
	table->slots = malloc(PLACEMENT_SLOT_COUNT * sizeof(*table->slots));
	table->members = calloc(count + 1, sizeof(*table->members));
	table->keys = calloc(count + 1, sizeof(*table->keys));
	table->member_count = count;
	if (!table->slots || !table->members || !table->keys) {
		table_fini(table);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++) {
		table->members[i] = members[i];
		score_key_init(&table->keys[i], &members[i].id, members[i].weight);
	}
	return 0;
}

void table_fini(struct placement_table *table)
{
	free(table->slots);
	free(table->members);
	free(table->keys);
	table->slots = NULL;
	table->members = NULL;
	table->keys = NULL;
	table->member_count = 0;
}

static void note_risen(struct rebuild *rebuild, unsigned number)
{
	rebuild->risen[rebuild->risen_count] = rebuild->to->keys[number];
	rebuild->risen_members[rebuild->risen_count++] = (uint16_t)number;
}

static void note_left(struct rebuild *rebuild, unsigned before)
{
	rebuild->fates[before] = (struct fate){ TABLE_NOBODY, CHANGE_FELL };
	rebuild->fell_count++;
}

static void note_stayed(struct rebuild *rebuild, unsigned before, unsigned number)
{
	uint64_t inverse_before = rebuild->from->keys[before].inverse;
	uint64_t inverse = rebuild->to->keys[number].inverse;
	enum change change = CHANGE_NONE;

	if (inverse > inverse_before) {
		change = CHANGE_FELL;
		rebuild->fell_count++;
	}
	if (inverse < inverse_before) {
		change = CHANGE_ROSE;
		note_risen(rebuild, number);
	}
	rebuild->fates[before] = (struct fate){ (uint16_t)number, (uint8_t)change };
}

/* Where member @before of the former table stands to member @number of the new one, by their ids;
 * behind the end of a table all ids are higher. */
static int compare(const struct rebuild *rebuild, unsigned before, unsigned number)
{
	if (before == rebuild->from->member_count)
		return 1;
	if (number == rebuild->to->member_count)
		return -1;
	return memcmp(&rebuild->from->members[before].id, &rebuild->to->members[number].id,
		      sizeof(struct member_id));
}

/* Both are ordered by id: one walk over the two. */
static void compare_members(struct rebuild *rebuild)
{
	unsigned before = 0, number = 0;

	while (before < rebuild->from->member_count || number < rebuild->to->member_count) {
		int order = compare(rebuild, before, number);

		if (order < 0)
			note_left(rebuild, before++);
		else if (order > 0)
			note_risen(rebuild, number++);
		else
			note_stayed(rebuild, before++, number++);
	}
}

static int rebuild_init(struct rebuild *rebuild, const struct placement_table *from,
			struct placement_table *to)
{
	*rebuild = (struct rebuild){
		.from = from,
		.to = to,
		.fates = calloc(from->member_count + 1, sizeof(*rebuild->fates)),
		.risen = calloc(to->member_count + 1, sizeof(*rebuild->risen)),
		.risen_members = calloc(to->member_count + 1, sizeof(*rebuild->risen_members)),
	};
	return rebuild->fates && rebuild->risen && rebuild->risen_members ? 0 : -ENOMEM;
}

static void rebuild_fini(struct rebuild *rebuild)
{
	free(rebuild->fates);
	free(rebuild->risen);
	free(rebuild->risen_members);
}

void table_rank(struct placement_table *table, uint32_t slot)
{
	struct ranking ranking;

	ranking_init(&ranking, slot, PLACEMENT_OWNERS_MAX);
	ranking_offer_all(&ranking, table->keys, table->member_count);
	table->slots[slot] = ranking_slot(&ranking);
}

static bool names(const struct table_slot *slot, uint16_t member)
{
	for (unsigned i = 0; i < PLACEMENT_OWNERS_MAX; i++)
		if (slot->owners[i] == member)
			return true;
	return false;
}

/* The four of @slot and who has risen, in their order. */
static struct table_slot contest(const struct rebuild *rebuild, uint32_t index,
				 const struct table_slot *slot)
{
	struct ranking ranking;

	ranking_init(&ranking, index, PLACEMENT_OWNERS_MAX);
	for (unsigned i = 0; i < PLACEMENT_OWNERS_MAX; i++)
		ranking_offer(&ranking, &rebuild->to->keys[slot->owners[i]], slot->owners[i]);
	for (unsigned i = 0; i < rebuild->risen_count; i++)
		if (!names(slot, rebuild->risen_members[i]))
			ranking_offer(&ranking, &rebuild->risen[i], rebuild->risen_members[i]);
	return ranking_slot(&ranking);
}

/* Whether somebody who has risen may come before the fourth of @slot. */
static bool is_contested(const struct rebuild *rebuild, uint32_t index,
			 const struct table_slot *slot)
{
	__uint128_t fourth;

	if (rebuild->risen_count == 0)
		return false;
	fourth = score_of(&rebuild->to->keys[slot->owners[PLACEMENT_OWNERS_MAX - 1]], index);
	for (unsigned i = 0; i < rebuild->risen_count; i++)
		if (score_floor(&rebuild->risen[i], score_stratum(&rebuild->risen[i], index)) <=
		    fourth)
			return true;
	return false;
}

static void rebuild_slot(const struct rebuild *rebuild, uint32_t index)
{
	const struct table_slot *before = &rebuild->from->slots[index];
	struct table_slot slot;
	bool fell = false, rose = false;

	for (unsigned i = 0; i < PLACEMENT_OWNERS_MAX; i++) {
		const struct fate *fate = &rebuild->fates[before->owners[i]];

		slot.owners[i] = fate->number;
		fell |= fate->change == CHANGE_FELL;
		rose |= fate->change == CHANGE_ROSE;
	}
	if (fell)
		table_rank(rebuild->to, index);
	else if (rose || is_contested(rebuild, index, &slot))
		rebuild->to->slots[index] = contest(rebuild, index, &slot);
	else
		rebuild->to->slots[index] = slot;
}

static int rebuild_slots(const struct rebuild *rebuild, const atomic_bool *cancel)
{
	/* who follows the last of fewer than four is not in the table: nothing can be kept */
	bool whole = rebuild->from->member_count < PLACEMENT_OWNERS_MAX;

	for (uint32_t index = 0; index < PLACEMENT_SLOT_COUNT; index++) {
		if (index % TABLE_CANCEL_SLOTS == 0 && table_is_cancelled(cancel))
			return -ECANCELED;
		if (whole)
			table_rank(rebuild->to, index);
		else
			rebuild_slot(rebuild, index);
	}
	return 0;
}

static bool is_for_census(const struct rebuild *rebuild)
{
	return rebuild->to->member_count >= CENSUS_MEMBERS_MIN &&
	       (rebuild->from->member_count < PLACEMENT_OWNERS_MAX ||
		PLACEMENT_OWNERS_MAX * rebuild->fell_count + rebuild->risen_count >=
			CENSUS_CHANGES_MIN);
}

int table_rebuild(const struct placement_table *from, struct placement_table *to,
		  const atomic_bool *cancel)
{
	struct rebuild rebuild;
	int error = rebuild_init(&rebuild, from, to);

	if (!error) {
		compare_members(&rebuild);
		error = is_for_census(&rebuild) ? census_fill(to, cancel)
						: rebuild_slots(&rebuild, cancel);
	}
	rebuild_fini(&rebuild);
	return error;
}

/*
 * table.h - one generation: which members rank first in each slot. Written by the thread that
 * updates, while nobody else knows of it; read-only from then on.
 *
 * Members are numbered in the order of their ids, so that equal sets give equal tables, whatever
 * came before them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/placement/placement.h"
#include "cache/placement/score.h"

#define TABLE_CANCEL_SLOTS 1024 /* a power of two; filled between looks at whether to give up */
#define TABLE_NOBODY	   UINT16_MAX /* behind the last member of a slot that has fewer than four */

/* Eight bytes: one slot is one load. */
struct table_slot {
	uint16_t owners[PLACEMENT_OWNERS_MAX]; /* by rank */
};

struct placement_table {
	_Alignas(64) _Atomic uint32_t holders; /* readers, and those about to see it is replaced */
	uint64_t generation;
	struct table_slot *slots; /* PLACEMENT_SLOT_COUNT; NULL: this table is vacant */
	struct placement_member *members;
	struct score_key *keys; /* of each member */
	unsigned member_count;
};

/** table_init() - for @members, which are ordered by id; the slots are still to be filled. Leaves
 * `holders` alone. Return: 0 or -ENOMEM. */
int table_init(struct placement_table *table, const struct placement_member *members,
	       unsigned count);

/** table_fini() - makes it vacant. */
void table_fini(struct placement_table *table);

/** table_rank() - fills one slot by looking at all members. */
void table_rank(struct placement_table *table, uint32_t slot);

/** table_is_cancelled() - whether to give up. @cancel: NULL for never. */
static inline bool table_is_cancelled(const atomic_bool *cancel)
{
	return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

/**
 * table_rebuild() - fills the slots of @to, by the slots of @from where they still hold.
 * Return: 0; -ECANCELED when @cancel was set; -ENOMEM.
 */
int table_rebuild(const struct placement_table *from, struct placement_table *to,
		  const atomic_bool *cancel);

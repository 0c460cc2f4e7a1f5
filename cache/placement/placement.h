/*
 * placement.h - which members own a block: the same answer on every member that knows the same
 * members, in one load, while members come and go.
 *
 * A block falls into one of 2^20 slots. A slot ranks the members that store, by a weighted
 * rendezvous (score.h says how, to the bit), and a table keeps the first four of each slot:
 *
 *	(object id, block) --hash--> slot --table--> owner, second, third, fourth
 *	                                  --rank---> the same and further down, worked out on demand
 *
 * A change of the members makes a new table beside the one in use: a join costs one score a slot
 * and moves only what the joiner now owns; a leave ranks anew only the slots that name who left.
 * Readers hold a table by reference and never wait: what they hold never changes under them.
 *
 * Memory: 8 MiB and 64 bytes a member for a table. One is in use, a second while an update builds
 * it or a reader still holds the former one; never more than PLACEMENT_TABLES_MAX. To make one of
 * many members from nothing takes 16 MiB more while it lasts. A table is a whole copy, as pages
 * shared between generations would hardly be shared: a join among a thousand changes four slots in
 * a thousand, and with them seven of eight pages.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"
#include "fabric/identity.h"

/* What the slots and the scores are made by. Members of different versions do not agree on who
 * owns what, so it belongs into what members compare before they store together. */
#define PLACEMENT_VERSION 1

#define PLACEMENT_SLOT_BITS   20
#define PLACEMENT_SLOT_COUNT  (UINT32_C(1) << PLACEMENT_SLOT_BITS)
#define PLACEMENT_OWNERS_MAX  4 /* kept for each slot */
#define PLACEMENT_RANK_MAX    8 /* worked out on demand */
#define PLACEMENT_MEMBERS_MAX 4096
#define PLACEMENT_AMONG_MAX   64
#define PLACEMENT_TABLES_MAX  4

struct placement_member {
	struct member_id id;
	uint64_t weight; /* bytes of capacity, > 0; shares follow it in steps of 64 KiB */
	uint64_t
		storing_since_ns; /* when it began to store, on the caller's clock; not ranked by */
};

struct placement;
struct placement_table;

/**
 * placement_create() - a placement whose first table has no members.
 * Return: 0 or -ENOMEM.
 */
int placement_create(struct placement **out_placement);

/** placement_destroy() - every table is released by then, no update runs. Takes NULL. */
void placement_destroy(struct placement *placement);

/**
 * placement_update() - makes the table of the next generation and puts it to use.
 * @members: @count of them, in any order: all that are alive and storing on this site. Those that
 *	restart stay in the set until their announced time. Borrowed.
 * @cancel: set by any thread to give up early (a newer set is known); borrowed; NULL: never.
 * Does nothing when @members are those of the table in use. Takes some tens of milliseconds for one
 * change among many members, about a second for a first set, however large.
 * Return: 0, or, with the table in use unchanged,
 *   -E2BIG      more than PLACEMENT_MEMBERS_MAX;
 *   -EINVAL     an id of zeros, the same id twice, or a weight of 0;
 *   -EBUSY      readers hold all former tables; again after a placement_release();
 *   -ECANCELED  @cancel was set;
 *   -ENOMEM.
 * Threads: one at a time, not one that serves reads.
 */
int placement_update(struct placement *placement, const struct placement_member *members,
		     unsigned count, const atomic_bool *cancel);

/**
 * placement_acquire() - the table in use, held until placement_release(). Never NULL.
 * Hold it for a look-up or for one operation, not over waits without a bound: held tables are what
 * makes an update fail with -EBUSY.
 * Threads: any; never blocks, repeats its one atomic step only when an update came in between.
 */
const struct placement_table *placement_acquire(struct placement *placement);

/** placement_release() - gives back what placement_acquire() gave. Any thread. */
void placement_release(struct placement *placement, const struct placement_table *table);

/** placement_slot() - the slot of a block: the same on all members, for ever. Any thread. */
uint32_t placement_slot(const struct object_id *id, uint64_t block);

/**
 * placement_owners() - the first members of a slot's ranking, the owner first.
 * @out_owners: lent until @table is released.
 * Return: how many: 4, or all members when there are fewer.
 */
unsigned placement_owners(const struct placement_table *table, uint32_t slot,
			  const struct placement_member *out_owners[PLACEMENT_OWNERS_MAX]);

/**
 * placement_rank() - like placement_owners(), further down: where a block may still lie that its
 * new owner does not have. Costs a few nanoseconds a member.
 * @limit: 1 to PLACEMENT_RANK_MAX; @out_ranked has room for as many.
 * Return: how many: @limit, or all members when there are fewer.
 */
unsigned placement_rank(const struct placement_table *table, uint32_t slot, unsigned limit,
			const struct placement_member *out_ranked[]);

/**
 * placement_rank_among() - how a slot would rank @count members that no table needs to have: who
 * had a block when they still stored.
 * @members: up to PLACEMENT_AMONG_MAX, each once, weights not 0. @limit: 1 to PLACEMENT_RANK_MAX;
 *	@out_ranked has room for as many; lent as long as @members.
 * Return: how many: @limit, or @count when that is less. After the first placement_create().
 */
unsigned placement_rank_among(const struct placement_member *members, unsigned count, uint32_t slot,
			      unsigned limit, const struct placement_member *out_ranked[]);

/**
 * placement_members() - whom the table ranks, ordered by id.
 * Return: lent until @table is released.
 */
const struct placement_member *placement_members(const struct placement_table *table,
						 unsigned *out_count);

/** placement_generation() - how many updates made this table: 0 for the first, empty one. */
uint64_t placement_generation(const struct placement_table *table);

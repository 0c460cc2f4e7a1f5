/*
 * roster.h - everything about members but what the machine (swim.h) keeps: the machine knows a
 * member as a small index, the roster says whose it is. Index 0 is this node.
 *
 * One thread's at a time (membership's lock).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "fabric/gossip/wire.h"

#define ROSTER_SELF 0

struct roster_entry {
	struct member_id id; /* the key of the table */
	uint32_t index;
	uint32_t incarnation; /* of the details */
	uint8_t phase;	      /* enum swim_phase, as last told */
	uint64_t phase_ns;    /* since when */
	bool has_details;     /* false: it was only just named */
	bool is_dirty;	      /* in the list of those whose change is to be told */
	struct wire_details details;
	UT_hash_handle hh;
	TAILQ_ENTRY(roster_entry) dirty_link;
};

TAILQ_HEAD(roster_dirty, roster_entry);

struct roster {
	struct roster_entry **entries; /* by index; NULL: free */
	uint32_t count, room;	       /* indices handed out so far; of entries */
	uint32_t *free_indices;
	uint32_t free_count;
	uint32_t limit;
	struct roster_entry *by_id;
	struct roster_dirty dirty;
};

/** roster_init() - with this node as index 0. @limit: of members. Return: 0, -ENOMEM. */
int roster_init(struct roster *roster, const struct member_id *self, uint32_t limit);

/** roster_fini() - a zeroed one is fine. */
void roster_fini(struct roster *roster);

/** roster_find() - the index of that id, SWIM_NOBODY when there is none. */
uint32_t roster_find(const struct roster *roster, const struct member_id *id);

/** roster_at() - who is at that gossip address, SWIM_NOBODY when nobody is. Looks at all. */
uint32_t roster_at(const struct roster *roster, const struct address *address);

/** roster_add() - a new index for an id that has none; SWIM_NOBODY when there is no room. */
uint32_t roster_add(struct roster *roster, const struct member_id *id);

/** roster_remove() - the index is free again. */
void roster_remove(struct roster *roster, uint32_t index);

/** roster_entry() - NULL of a free index or SWIM_NOBODY. */
struct roster_entry *roster_entry(const struct roster *roster, uint32_t index);

/** roster_touch() - its change is to be told. */
void roster_touch(struct roster *roster, uint32_t index);

/** roster_touched() - the next one to be told, taken off the list; NULL. */
struct roster_entry *roster_touched(struct roster *roster);

/*
 * notes.h - accesses and obsolete versions, noted in memory and written with the next group. An
 * access is only worth a record when the one on disk is older than policy_tick_age(); a small table
 * of what was noted lately keeps the busy objects from being noted again and again. A full note is
 * dropped: it is a hint.
 *
 * Threads: none of its own; the caller locks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/object.h"

#define NOTES_MAX	 1024
#define NOTES_RECENT_MAX 4096 /* a power of two */

struct notes {
	unsigned touched_count, obsolete_count;
	struct object_id touched[NOTES_MAX];
	struct object_id obsolete[NOTES_MAX];
	struct {
		uint64_t key; /* first bytes of the id */
		uint64_t tick;
	} recent[NOTES_RECENT_MAX];
};

/** notes_touch() - the object was accessed at @tick. */
void notes_touch(struct notes *notes, const struct object_id *id, uint64_t tick, uint64_t age);

/** notes_obsolete() - Return: false when there is no room for it. */
bool notes_obsolete(struct notes *notes, const struct object_id *id);

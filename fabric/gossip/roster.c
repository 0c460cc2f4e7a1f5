/*
 * roster.c - a table by id, an array by index, a stack of free indices.
 */
#include "fabric/gossip/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ROOM_FIRST 64

static int room_grow(struct roster *roster)
{
	uint32_t room = roster->room ? 2 * roster->room : ROOM_FIRST;
	struct roster_entry **entries;
	uint32_t *free_indices;

	entries = reallocarray(roster->entries, room, sizeof(struct roster_entry *));
	if (!entries)
		return -ENOMEM;
	roster->entries = entries;
	free_indices = reallocarray(roster->free_indices, room, sizeof(*free_indices));
	if (!free_indices)
		return -ENOMEM;
	roster->free_indices = free_indices;
	roster->room = room;
	return 0;
}

int roster_init(struct roster *roster, const struct member_id *self, uint32_t limit)
{
	memset(roster, 0, sizeof(*roster));
	roster->limit = limit;
	TAILQ_INIT(&roster->dirty);
	if (roster_add(roster, self) == ROSTER_SELF)
		return 0;
	roster_fini(roster);
	return -ENOMEM;
}

void roster_fini(struct roster *roster)
{
	HASH_CLEAR(hh, roster->by_id);
	for (uint32_t i = 0; i < roster->count; i++)
		free(roster->entries[i]);
	free(roster->entries);
	free(roster->free_indices);
	memset(roster, 0, sizeof(*roster));
}

uint32_t roster_find(const struct roster *roster, const struct member_id *id)
{
	struct roster_entry *entry;

	HASH_FIND(hh, roster->by_id, id, sizeof(*id), entry);
	return entry ? entry->index : SWIM_NOBODY;
}

uint32_t roster_at(const struct roster *roster, const struct address *address)
{
	for (uint32_t i = ROSTER_SELF + 1; i < roster->count; i++) {
		const struct roster_entry *entry = roster->entries[i];

		if (entry && entry->has_details && address_equal(&entry->details.gossip, address))
			return i;
	}
	return SWIM_NOBODY;
}

uint32_t roster_add(struct roster *roster, const struct member_id *id)
{
	struct roster_entry *entry;

	if (roster->count - roster->free_count >= roster->limit)
		return SWIM_NOBODY;
	if (roster->free_count == 0 && roster->count == roster->room && room_grow(roster) != 0)
		return SWIM_NOBODY;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return SWIM_NOBODY;
	entry->id = *id;
	entry->index = roster->free_count > 0 ? roster->free_indices[--roster->free_count]
					      : roster->count++;
	roster->entries[entry->index] = entry;
	HASH_ADD(hh, roster->by_id, id, sizeof(entry->id), entry);
	return entry->index;
}

void roster_remove(struct roster *roster, uint32_t index)
{
	struct roster_entry *entry = roster_entry(roster, index);

	CHECK(entry && index != ROSTER_SELF);
	if (entry->is_dirty)
		TAILQ_REMOVE(&roster->dirty, entry, dirty_link);
	HASH_DEL(roster->by_id, entry);
	roster->entries[index] = NULL;
	roster->free_indices[roster->free_count++] = index;
	free(entry);
}

struct roster_entry *roster_entry(const struct roster *roster, uint32_t index)
{
	return index < roster->count ? roster->entries[index] : NULL;
}

void roster_touch(struct roster *roster, uint32_t index)
{
	struct roster_entry *entry = roster_entry(roster, index);

	if (!entry || entry->is_dirty)
		return;
	entry->is_dirty = true;
	TAILQ_INSERT_TAIL(&roster->dirty, entry, dirty_link);
}

struct roster_entry *roster_touched(struct roster *roster)
{
	struct roster_entry *entry = TAILQ_FIRST(&roster->dirty);

	if (!entry)
		return NULL;
	TAILQ_REMOVE(&roster->dirty, entry, dirty_link);
	entry->is_dirty = false;
	return entry;
}

/*
 * notes.c - hints waiting for the next group.
 */
#include "cache/store/notes.h"

#include <string.h>

void notes_touch(struct notes *notes, const struct object_id *id, uint64_t tick, uint64_t age)
{
	uint64_t key;
	unsigned slot;

	memcpy(&key, id->bytes, sizeof(key));
	slot = (unsigned)(key & (NOTES_RECENT_MAX - 1));
	if (notes->recent[slot].key == key && tick - notes->recent[slot].tick < age)
		return;
	if (notes->touched_count == NOTES_MAX)
		return;
	notes->recent[slot].key = key;
	notes->recent[slot].tick = tick;
	notes->touched[notes->touched_count++] = *id;
}

bool notes_obsolete(struct notes *notes, const struct object_id *id)
{
	if (notes->obsolete_count == NOTES_MAX)
		return false;
	notes->obsolete[notes->obsolete_count++] = *id;
	return true;
}

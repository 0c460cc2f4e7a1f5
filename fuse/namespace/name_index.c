/*
 * name_index.c - see name_index.h. Open addressing, linear probing, at most half full.
 */
#include "fuse/namespace/name_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "fuse/namespace/listing.h"

#define SIZE_MIN 1024

static struct listing_entry *entry_of_position(const struct listing *listing, uint32_t position,
					       const char **out_name)
{
	const struct listing_chunk *chunk = listing->chunks[position / LISTING_CHUNK_ENTRIES];
	struct listing_entry *entry = &chunk->entries[position % LISTING_CHUNK_ENTRIES];

	*out_name = listing_name(chunk, entry);
	return entry;
}

/* The slot of a name, or the empty one where it belongs. */
static uint32_t *slot_of(const struct name_index *index, const struct listing *listing,
			 const char *name, size_t name_len)
{
	uint32_t at = (uint32_t)digest_xxh3(name, name_len) & (index->size - 1);

	for (;; at = (at + 1) & (index->size - 1)) {
		const struct listing_entry *entry;
		const char *other;

		if (index->slots[at] == 0)
			return &index->slots[at];
		entry = entry_of_position(listing, index->slots[at] - 1, &other);
		if (entry->name_len == name_len && memcmp(other, name, name_len) == 0)
			return &index->slots[at];
	}
}

static int name_index_grow(struct name_index *index, const struct listing *listing)
{
	struct name_index grown = { .size = index->size ? index->size * 2 : SIZE_MIN,
				    .count = index->count };

	if (grown.size == 0)
		return -ENOMEM;
	grown.slots = calloc(grown.size, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < index->size; i++) {
		const struct listing_entry *entry;
		const char *name;

		if (index->slots[i] == 0)
			continue;
		entry = entry_of_position(listing, index->slots[i] - 1, &name);
		*slot_of(&grown, listing, name, entry->name_len) = index->slots[i];
	}
	free(index->slots);
	*index = grown;
	return 0;
}

static int name_index_insert(struct name_index *index, struct listing *listing, uint32_t position,
			     uint64_t *out_hidden)
{
	const char *name;
	struct listing_entry *entry = entry_of_position(listing, position, &name), *other;
	uint32_t *slot;
	int err = index->count >= index->size / 2 ? name_index_grow(index, listing) : 0;

	if (err)
		return err;
	slot = slot_of(index, listing, name, entry->name_len);
	if (*slot == 0) {
		*slot = position + 1;
		index->count++;
		return 0;
	}
	other = entry_of_position(listing, *slot - 1, &name);
	if (entry->directory)
		*slot = position + 1;
	else
		other = entry;
	*out_hidden += !other->hidden;
	other->hidden = true;
	return 0;
}

int name_index_add(struct name_index *index, struct listing *listing, unsigned chunk,
		   uint64_t *out_hidden)
{
	int err = 0;

	for (unsigned i = 0; !err && i < listing->chunks[chunk]->count; i++)
		err = name_index_insert(index, listing, chunk * LISTING_CHUNK_ENTRIES + i,
					out_hidden);
	return err;
}

bool name_index_find(const struct name_index *index, const struct listing *listing,
		     const char *name, size_t name_len, uint32_t *out_position)
{
	const uint32_t *slot;

	if (index->size == 0)
		return false;
	slot = slot_of(index, listing, name, name_len);
	if (*slot == 0)
		return false;
	*out_position = *slot - 1;
	return true;
}

size_t name_index_bytes(const struct name_index *index)
{
	return index->size * sizeof(*index->slots);
}

void name_index_clear(struct name_index *index)
{
	free(index->slots);
	*index = (struct name_index){ 0 };
}

/*
 * chunk.c - see chunk.h.
 */
#include "fuse/namespace/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/namespace/page.h"

static void account(struct namespace *ns, size_t before, size_t after)
{
	ns->listing_bytes += after - before;
	counter_add(ns->settings.counters, MOUNT_LISTING_BYTES, after - before);
}

/* Names are not searched in it any more. */
static void listing_unsearchable(struct namespace *ns, struct listing *listing)
{
	listing->searchable = false;
	account(ns, name_index_bytes(&listing->index), 0);
	name_index_clear(&listing->index);
}

void chunk_drop(struct namespace *ns, struct listing_chunk *chunk)
{
	free(chunk->entries);
	chunk->entries = NULL;
	chunk->listing->dropped++;
	listing_unsearchable(ns, chunk->listing);
	TAILQ_REMOVE(&ns->chunks, chunk, link);
	account(ns, chunk->bytes, 0);
}

static void chunk_keep(struct namespace *ns, struct listing_chunk *chunk,
		       struct listing_entry *entries, char *text)
{
	chunk->entries = entries;
	chunk->text = text;
	TAILQ_INSERT_TAIL(&ns->chunks, chunk, link);
	account(ns, 0, chunk->bytes);
}

static struct listing_entry *entry_at(struct listing *listing, uint32_t position)
{
	struct listing_chunk *chunk = listing->chunks[position / LISTING_CHUNK_ENTRIES];

	return chunk->entries ? &chunk->entries[position % LISTING_CHUNK_ENTRIES] : NULL;
}

/* Takes the next key into account. Return: the position of a file that it hides, or -1. */
static int64_t order_step(struct listing_order *order, const char *name, size_t len, bool directory,
			  uint32_t position)
{
	int64_t hidden = -1;

	while (order->depth > 0) {
		size_t open_len = order->open[order->depth - 1].name_len;

		if (len >= open_len && memcmp(name, order->last, open_len) == 0 &&
		    (len == open_len || (unsigned char)name[open_len] < '/')) {
			if (len > open_len)
				break; /* "a" stays open over "a-1" */
			if (directory)
				hidden = order->open[order->depth - 1].position;
		}
		order->depth--;
	}
	memcpy(order->last, name, len);
	order->last_len = (uint8_t)len;
	order->last_directory = directory;
	if (!directory && order->depth < LISTING_OPEN_MAX) {
		order->open[order->depth].position = position;
		order->open[order->depth].name_len = (uint8_t)len;
		order->depth++;
	}
	return hidden;
}

static void chunk_order(struct namespace *ns, struct listing *listing, struct listing_order *order,
			unsigned index)
{
	const struct listing_chunk *chunk = listing->chunks[index];
	bool first = index == 0;

	for (unsigned i = 0; i < chunk->count; i++) {
		const struct listing_entry *entry = &chunk->entries[i];
		const char *name = listing_name(chunk, entry);
		uint32_t position = index * LISTING_CHUNK_ENTRIES + i;
		struct listing_entry *loser;
		int64_t hidden;

		if (!(first && i == 0) &&
		    page_key_compare(order->last, order->last_len, order->last_directory, name,
				     entry->name_len, entry->directory) >= 0)
			listing->sorted = false;
		hidden = order_step(order, name, entry->name_len, entry->directory, position);
		loser = hidden < 0 ? NULL : entry_at(listing, (uint32_t)hidden);
		if (loser) {
			loser->hidden = true;
			counter_add(ns->settings.counters, MOUNT_KEYS_HIDDEN, 1);
		}
	}
}

static struct listing_chunk *chunk_append(struct listing *listing, const char *token, unsigned part)
{
	struct listing_chunk *chunk;

	if (listing->chunk_count == listing->chunk_room) {
		unsigned room = listing->chunk_room ? listing->chunk_room * 2 : 4;
		struct listing_chunk **chunks =
			reallocarray(listing->chunks, room, sizeof(struct listing_chunk *));

		if (!chunks)
			return NULL;
		listing->chunks = chunks;
		listing->chunk_room = room;
	}
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	if (*token) {
		chunk->token = strdup(token);
		if (!chunk->token) {
			free(chunk);
			return NULL;
		}
	}
	chunk->listing = listing;
	chunk->part = part;
	chunk->first = listing->entry_count;
	listing->chunks[listing->chunk_count++] = chunk;
	return chunk;
}

static void chunk_fill(struct namespace *ns, struct listing_chunk *chunk,
		       const struct chunk_content *content)
{
	chunk->count = content->count;
	chunk->fetched_ns = content->fetched_ns;
	chunk->bytes = content->bytes + sizeof(*chunk) + sizeof(struct listing_chunk *);
	chunk->bytes += chunk->token ? strlen(chunk->token) + 1 : 0;
	if (chunk == chunk->listing->chunks[0])
		chunk->bytes += sizeof(struct listing) + sizeof(struct directory);
	chunk_keep(ns, chunk, content->entries, content->text);
}

/* The chunks that are not in the index yet, the last one at least. */
static void chunks_index(struct namespace *ns, struct listing *listing)
{
	size_t before = name_index_bytes(&listing->index);
	unsigned chunk = before ? listing->chunk_count - 1 : 0;
	uint64_t hidden = 0;
	int err = 0;

	for (; !err && chunk < listing->chunk_count; chunk++)
		err = name_index_add(&listing->index, listing, chunk, &hidden);
	account(ns, before, name_index_bytes(&listing->index));
	if (err)
		listing_unsearchable(ns, listing);
	counter_add(ns->settings.counters, MOUNT_KEYS_HIDDEN, hidden);
}

int chunk_add(struct namespace *ns, struct listing *listing, const struct chunk_content *content)
{
	struct listing_chunk *chunk = chunk_append(listing, content->token, content->part);
	const struct listing_order *order = listing->order;

	if (!chunk)
		return -ENOMEM;
	chunk_fill(ns, chunk, content);
	listing->entry_count += content->count;
	chunk_order(ns, listing, listing->order, listing->chunk_count - 1);
	if (listing->searchable && !listing->sorted)
		chunks_index(ns, listing);
	listing->settled = order->depth > 0 ? order->open[0].position
					    : listing->chunk_count * LISTING_CHUNK_ENTRIES;
	return 0;
}

int chunk_restore(struct namespace *ns, struct listing *listing, unsigned index,
		  const struct chunk_content *content)
{
	struct listing_order *order = calloc(1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	chunk_fill(ns, listing->chunks[index], content);
	listing->dropped--;
	chunk_order(ns, listing, order, index);
	free(order);
	return 0;
}

static void chunk_free(struct namespace *ns, struct listing_chunk *chunk)
{
	if (chunk->entries)
		chunk_drop(ns, chunk);
	free(chunk->token);
	free(chunk);
}

void chunks_free(struct namespace *ns, struct listing *listing)
{
	for (unsigned i = 0; i < listing->chunk_count; i++)
		chunk_free(ns, listing->chunks[i]);
	listing_unsearchable(ns, listing);
	free(listing->chunks);
}

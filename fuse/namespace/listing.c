/*
 * listing.c - see listing.h. The life of a listing:
 *
 *	begun		by a reader or by many single look-ups; referred to by its directory
 *	fetching	one page at a time, as far as someone reads or wants it whole
 *	complete	answers look-ups too, until expires_ns
 *	left		replaced, expired, refused or dropped for memory: open directories finish
 *			reading it, then it is freed
 */
#include "fuse/namespace/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/namespace/chunk.h"
#include "fuse/namespace/page.h"

/* --- memory ------------------------------------------------------------------------------- */

/* Makes room by dropping what was not read for longest, but for @spared. */
void listings_squeeze(struct namespace *ns, const struct listing_chunk *spared)
{
	while (ns->listing_bytes > ns->settings.config->listing_memory) {
		struct listing_chunk *chunk = TAILQ_FIRST(&ns->chunks);
		struct listing *listing;

		if (!chunk || chunk == spared)
			return;
		listing = chunk->listing;
		listing->whole = false; /* what nobody reads is not worth the room */
		if (listing->readers == 0 && listing->node->directory->listing == listing &&
		    (!spared || listing != spared->listing))
			listing_forget(ns, listing->node); /* frees it unless it is fetching */
		else
			chunk_drop(ns, chunk);
	}
}

static struct listing *listing_create(struct namespace *ns, struct node *node)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (!listing)
		return NULL;
	listing->order = calloc(1, sizeof(*listing->order));
	if (!listing->order) {
		free(listing);
		return NULL;
	}
	listing->node = node;
	node_pin(node);
	listing->refs = 1;
	listing->sorted = listing->searchable = true;
	listing->started_ns = clock_now_ns(ns->settings.clock);
	listing->expires_ns =
		clock_after_ns(listing->started_ns, entry_of(ns, node)->config->listing_timeout);
	TAILQ_INIT(&listing->waiting);
	return listing;
}

void listing_aged(struct namespace *ns, struct listing *listing, uint64_t age_ns,
		  uint64_t fetched_ns)
{
	uint64_t expires_ns =
		clock_after_ns(fetched_ns, entry_of(ns, listing->node)->config->listing_timeout);

	if (age_ns > listing->age_ns)
		listing->age_ns = age_ns;
	if (fetched_ns < listing->started_ns)
		listing->started_ns = fetched_ns;
	if (expires_ns < listing->expires_ns)
		listing->expires_ns = expires_ns;
}

struct listing *listing_get(struct listing *listing)
{
	listing->refs++;
	return listing;
}

void listing_put(struct namespace *ns, struct listing *listing)
{
	if (--listing->refs > 0)
		return;
	CHECK(TAILQ_EMPTY(&listing->waiting));
	chunks_free(ns, listing);
	free(listing->next_token);
	free(listing->order);
	free(listing->after);
	node_unpin(&ns->nodes, listing->node);
	free(listing);
}

void listing_forget(struct namespace *ns, struct node *node)
{
	struct listing *listing = node->directory ? node->directory->listing : NULL;

	if (!listing)
		return;
	node->directory->listing = NULL;
	siblings_reset(&node->directory->siblings);
	listing_put(ns, listing);
}

struct listing *listing_current(struct namespace *ns, struct node *node)
{
	struct listing *listing = node->directory ? node->directory->listing : NULL;

	if (!listing || clock_now_ns(ns->settings.clock) >= listing->expires_ns)
		return NULL;
	return listing;
}

struct listing *listing_begin(struct namespace *ns, struct node *node)
{
	struct listing *listing = listing_current(ns, node);
	struct directory *directory = directory_of(node);

	if (listing || !directory)
		return listing;
	node_pin(node); /* the old listing may be all that holds it */
	listing_forget(ns, node);
	directory->listing = listing_create(ns, node);
	node_unpin(&ns->nodes, node);
	return directory->listing;
}

struct listing *listing_behind(struct namespace *ns, struct node *node,
			       const struct ledger_cursor *after)
{
	struct ledger_cursor *copy = malloc(sizeof(*copy));
	struct listing *listing = copy && directory_of(node) ? listing_create(ns, node) : NULL;

	if (!listing) {
		free(copy);
		return NULL;
	}
	*copy = *after;
	listing->after = copy;
	return listing;
}

/* --- reading -------------------------------------------------------------------------------- */

int listing_at(struct namespace *ns, struct listing *listing, uint32_t *position,
	       const struct listing_chunk **out_chunk, const struct listing_entry **out_entry)
{
	for (;;) {
		unsigned index = *position / LISTING_CHUNK_ENTRIES;
		unsigned within = *position % LISTING_CHUNK_ENTRIES;
		struct listing_chunk *chunk;

		if (index > listing->furthest)
			listing->furthest = index;
		if (index >= listing->chunk_count)
			return listing->complete ? 0 : -EAGAIN;
		if (*position >= listing->settled)
			return -EAGAIN;
		chunk = listing->chunks[index];
		if (within >= chunk->count) {
			*position = (index + 1) * LISTING_CHUNK_ENTRIES;
			continue;
		}
		if (!chunk->entries)
			return -EAGAIN;
		TAILQ_REMOVE(&ns->chunks, chunk, link);
		TAILQ_INSERT_TAIL(&ns->chunks, chunk, link);
		*out_chunk = chunk;
		*out_entry = &chunk->entries[within];
		return 1;
	}
}

static int chunk_compare_last(const struct listing_chunk *chunk, const char *name, size_t name_len,
			      bool directory)
{
	const struct listing_entry *last = &chunk->entries[chunk->count - 1];

	return page_key_compare(listing_name(chunk, last), last->name_len, last->directory, name,
				name_len, directory);
}

/* The position of the first key that is not below the one asked for, or of the end. */
static uint32_t listing_search(const struct listing *listing, const char *name, size_t name_len,
			       bool directory)
{
	unsigned low = 0, high = listing->chunk_count, first = 0, end;
	const struct listing_chunk *chunk;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (chunk_compare_last(listing->chunks[middle], name, name_len, directory) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == listing->chunk_count)
		return low * LISTING_CHUNK_ENTRIES;
	chunk = listing->chunks[low];
	end = chunk->count;
	while (first < end) {
		unsigned middle = first + (end - first) / 2;
		const struct listing_entry *entry = &chunk->entries[middle];

		if (page_key_compare(listing_name(chunk, entry), entry->name_len, entry->directory,
				     name, name_len, directory) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return low * LISTING_CHUNK_ENTRIES + first;
}

static bool listing_has(const struct listing *listing, const char *name, size_t name_len,
			bool directory, uint32_t *out_position)
{
	uint32_t position = listing_search(listing, name, name_len, directory);
	const struct listing_chunk *chunk;
	const struct listing_entry *entry;

	if (position / LISTING_CHUNK_ENTRIES >= listing->chunk_count)
		return false;
	chunk = listing->chunks[position / LISTING_CHUNK_ENTRIES];
	entry = &chunk->entries[position % LISTING_CHUNK_ENTRIES];
	if (entry->directory != directory || entry->name_len != name_len ||
	    memcmp(listing_name(chunk, entry), name, name_len) != 0)
		return false;
	*out_position = position;
	return true;
}

enum listing_answer listing_find(struct namespace *ns, struct listing *listing, const char *name,
				 size_t name_len, const struct listing_chunk **out_chunk,
				 const struct listing_entry **out_entry)
{
	uint32_t position;
	bool found;

	if (!listing->searchable)
		return LISTING_UNKNOWN;
	if (listing->entry_count == 0)
		found = false;
	else if (!listing->sorted)
		found = name_index_find(&listing->index, listing, name, name_len, &position);
	else
		found = listing_has(listing, name, name_len, true, &position) ||
			listing_has(listing, name, name_len, false, &position);
	if (!found)
		return listing->complete ? LISTING_ABSENT : LISTING_UNKNOWN;
	/* An unsettled file may turn out to be a directory. */
	if (listing_at(ns, listing, &position, out_chunk, out_entry) != 1)
		return LISTING_UNKNOWN;
	return LISTING_FOUND;
}

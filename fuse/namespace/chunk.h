/*
 * chunk.h - the chunks that a listing is made of: added, dropped for memory, had again; and what
 * the order of their keys says (listing.h). With the namespace's lock held.
 */
#pragma once

#include "fuse/namespace/listing.h"

/* What a chunk is made from. entries and text, one allocation, are taken on success. */
struct chunk_content {
	const char *token; /* of the page */
	unsigned part;	   /* which of its chunks */
	uint64_t fetched_ns;
	unsigned count;
	struct listing_entry *entries;
	char *text;
	size_t bytes; /* of entries and text */
};

/** chunk_add() - one more, behind the last. Return: 0 or -ENOMEM. */
int chunk_add(struct namespace *ns, struct listing *listing, const struct chunk_content *content);

/** chunk_restore() - chunk @index, whose entries were dropped, has some again: perhaps others, keys
 *  may have come and gone. Return: 0 or -ENOMEM. */
int chunk_restore(struct namespace *ns, struct listing *listing, unsigned index,
		  const struct chunk_content *content);

/** chunk_drop() - frees its entries; names are not searched in the listing any more. */
void chunk_drop(struct namespace *ns, struct listing_chunk *chunk);

/** chunks_free() - all of a listing, and its index. */
void chunks_free(struct namespace *ns, struct listing *listing);

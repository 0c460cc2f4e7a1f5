/*
 * name_index.h - the names of a listing whose store gives them in no order: name -> position, 8 to
 * 16 bytes a name. Listings in order, which S3's are, are searched as they are and have none.
 *
 * With the namespace's lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listing;

struct name_index {
	uint32_t *slots; /* position + 1; 0: empty */
	uint32_t size;	 /* a power of two, or 0 */
	uint32_t count;
};

/**
 * name_index_add() - chunk @chunk of the listing, all of whose chunks are in memory. Of a file and
 * a directory of one name, the file becomes hidden.
 * @out_hidden: incremented for each. Return: 0 or -ENOMEM.
 */
int name_index_add(struct name_index *index, struct listing *listing, unsigned chunk,
		   uint64_t *out_hidden);

/** name_index_find() - a name's position; false: it is not there. */
bool name_index_find(const struct name_index *index, const struct listing *listing,
		     const char *name, size_t name_len, uint32_t *out_position);

/** name_index_bytes() - memory in use. */
size_t name_index_bytes(const struct name_index *index);

/** name_index_clear() - empties it. */
void name_index_clear(struct name_index *index);

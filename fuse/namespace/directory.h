/*
 * directory.h - what is remembered of a directory that someone reads below: its listing, which of
 * its files are read one after the other, and how many names were looked up one by one.
 */
#pragma once

#include <stdint.h>

#include "fuse/namespace/siblings.h"

struct listing;
struct listings;
struct node;

struct directory {
	struct listing *listing; /* the newest, perhaps expired; holds a reference, or NULL */
	struct siblings siblings;
	uint64_t singles_since_ns;
	uint32_t singles;  /* names asked of the backing store one by one since then */
	uint64_t fresh_ns; /* pages from before it will not do: they name what was refused since */
};

/** directory_of() - a directory node's memory, made when missing; NULL: no memory. */
struct directory *directory_of(struct node *node);

/** directory_free() - NULL is fine; there must be no listing left. */
void directory_free(struct directory *directory);

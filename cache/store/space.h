/*
 * space.h - the room in one cache directory: what is used, what is promised to writes under way,
 * and what the file system really has. Plain arithmetic; the caller locks.
 *
 * Promises come first: admission reserves before a byte is written, so that used + promised never
 * passes the capacity. What a crash or a lost index may have left behind counts as taken until the
 * sweep has been through.
 */
#pragma once

#include <stdint.h>

#include "cache/store/policy/policy.h"

/* What a block's records may add to the index, LMDB's copied pages included. */
#define SPACE_INDEX_PER_BLOCK 8192

/* What is there before anything is stored: folders of objects, small files. */
#define SPACE_FIXED (UINT64_C(272) * 4096)

struct space {
	uint64_t configured; /* 0: the whole file system */
	uint64_t capacity;   /* of both: what is configured, what the file system allows */
	uint64_t used;	     /* files that the index names */
	uint64_t promised;   /* admitted, not yet committed */
	uint64_t index;	     /* the index's own file */
	uint64_t orphans;    /* upper bound of what nobody names, until swept */
	unsigned high_percent, low_percent;
};

/** space_measure() - takes over what statvfs said: @total and @free bytes of the file system. */
void space_measure(struct space *space, uint64_t total, uint64_t free);

/** space_view() - as the policy sees it. */
struct policy_space space_view(const struct space *space, bool spare);

/** space_fits() - whether @len more bytes stay within the capacity, unswept files included. */
bool space_fits(const struct space *space, uint64_t len);

/** space_change() - files that the index names grew or shrank. */
void space_change(struct space *space, int64_t bytes);

/** space_taken() - everything that is known to lie in the directory. */
static inline uint64_t space_taken(const struct space *space)
{
	return SPACE_FIXED + space->used + space->promised + space->index;
}

/*
 * locate_owners.h - who owns the blocks of one object: how many each, and which. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "fabric/identity.h"

#define LOCATE_OWNERS_MAX 512
#define LOCATE_RUNS_MAX	  8192 /* what an answer has room for */
#define LOCATE_BLOCKS_MAX (UINT64_C(1) << 24)
#define LOCATE_NOBODY	  (-1)

struct locate_owner {
	struct member_id id;
	uint64_t blocks, bytes;
};

/* Blocks [first, first + count) belong to one owner. */
struct locate_run {
	uint64_t first, count;
	int owner; /* index; LOCATE_NOBODY */
};

struct locate_owners {
	unsigned count;
	struct locate_owner owners[LOCATE_OWNERS_MAX]; /* as they come in the object */
	uint64_t others; /* blocks of those that have no place here, or of nobody */
	unsigned run_count;
	struct locate_run *runs;	       /* NULL: not wanted */
	uint64_t runs_left;		       /* blocks behind the last run */
	uint16_t index[2 * LOCATE_OWNERS_MAX]; /* private: by id, 1 is the first owner */
};

struct locate_object {
	struct object_id id;
	uint64_t size;
	uint32_t block_len;
	void *context;
	/* Return: false: nobody's. */
	bool (*owner_of)(void *context, const struct object_id *id, uint64_t block,
			 struct member_id *out_owner);
	/* Asked every few thousand blocks; true: give up. */
	bool (*cancelled)(void *context);
};

/**
 * locate_owners_find() - some 50 ns a block.
 * @runs: with the runs, too.
 * Return: 0 with @out_owners for locate_owners_free(); -E2BIG more than LOCATE_BLOCKS_MAX blocks;
 *         -ENOMEM, -ECANCELED.
 */
int locate_owners_find(const struct locate_object *object, bool runs,
		       struct locate_owners **out_owners);

/** locate_owners_free() - NULL is fine. */
void locate_owners_free(struct locate_owners *owners);

/** locate_owners_index() - Return: LOCATE_NOBODY: it owns none. */
int locate_owners_index(const struct locate_owners *owners, const struct member_id *id);

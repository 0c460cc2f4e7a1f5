/*
 * contents.h - changes to the index that keep its tables consistent with each other: a block
 * belongs to an object, an object to a dataset or a segment, and bytes add up. Built on single
 * records (index.h), used inside index_update().
 *
 * What a directory holds is charged as the file system allocates it: blocks of 4 KiB, and one more
 * for each file (directory entry, extents).
 */
#pragma once

#include "cache/store/index/index.h"

#define CONTENTS_FILE_CHARGE  4096
#define CONTENTS_DATASETS_MAX 1024 /* that one transaction may change */

/* An object as the writer knows it; strings borrowed for the call. */
struct contents_object {
	struct object_id id;
	struct object_version version;
	int64_t mtime_s;
	uint32_t dataset;
	const char *dataset_name; /* lives until contents_finish() */
	uint64_t dataset_tick;	  /* its last access */
	bool replica;		  /* packed into a segment of replicas */
};

/* What a transaction changed, by dataset. */
struct contents_change {
	uint32_t dataset;
	int64_t files;	  /* charge of its object files */
	int64_t segments; /* charge of its segments */
	uint32_t segment; /* appended to; 0: none */
	uint64_t tick;	  /* accessed; 0: no */
	const char *name; /* NULL: not told */
};

struct contents {
	struct index_txn *txn;
	uint64_t tick; /* the time of this transaction */
	unsigned change_count;
	struct contents_change changes[CONTENTS_DATASETS_MAX];
};

/** contents_charge() - what @len bytes in one file take. 0 bytes: no file. */
static inline uint64_t contents_charge(uint64_t len)
{
	return len ? ((len + 4095) & ~UINT64_C(4095)) + CONTENTS_FILE_CHARGE : 0;
}

/** contents_begin() - first thing in each run of an index_update() body. */
void contents_begin(struct contents *contents, struct index_txn *txn, uint64_t tick);

/** contents_finish() - writes the datasets' sums; then @contents tells what changed. */
int contents_finish(struct contents *contents);

/* The calls below return 0 or an error that the body must return. */

/** contents_put_block() - block @block of an object in a file of its own is there. */
int contents_put_block(struct contents *contents, const struct contents_object *object,
		       uint64_t block, const struct record_block *record);

/** contents_put_packed() - a packed object is at @off of @segment. */
int contents_put_packed(struct contents *contents, const struct contents_object *object,
			uint32_t segment, uint32_t off, uint64_t check);

/** contents_drop_block() - the block is not there (any more). @out_empty: nor is anything else of
 *  the object, whose records are gone. */
int contents_drop_block(struct contents *contents, const struct object_id *id, uint64_t block,
			bool *out_empty);

/** contents_drop_object() - the object is not there. Removes at most @max records; @out_done: all.
 */
int contents_drop_object(struct contents *contents, const struct object_id *id, unsigned max,
			 bool *out_done);

/** contents_drop_segment() - neither is a segment with all its objects. */
int contents_drop_segment(struct contents *contents, uint32_t segment, unsigned max,
			  bool *out_done);

/** contents_touch() - the object was accessed at @tick; recorded if it is @age newer than what is.
 */
int contents_touch(struct contents *contents, const struct object_id *id, uint64_t tick,
		   uint64_t age);

/** contents_obsolete() - a file of its own is marked to go first; a packed object goes at once. */
int contents_obsolete(struct contents *contents, const struct object_id *id);

/** contents_dataset_tick() - the dataset was accessed at @tick. */
void contents_dataset_tick(struct contents *contents, uint32_t dataset, uint64_t tick);

/*
 * index.h - what is valid in one cache directory: an LMDB environment in <dir>/index.
 *
 *	objects   id                    -> record_object
 *	blocks    id, block             -> record_block (objects in files of their own)
 *	segments  number                -> record_segment
 *	datasets  number                -> record_dataset
 *	members   kind, number, id      -> nothing: the objects of a dataset, of a segment, ...
 *	meta      "meta"                -> record_meta
 *
 * Keys are big-endian, so that LMDB's order is theirs. Everything happens inside a transaction:
 * index_read() runs a function over a snapshot, index_update() one that changes things and commits
 * synchronously. Both survive a map that cannot be read (-EIO) and damage that LMDB or a check
 * finds (-EUCLEAN): the index is then broken, every later call gives the same error, and the
 * directory has to be opened again.
 *
 * Threads: any. Readers run in parallel (at most INDEX_READERS_MAX, others wait their turn),
 * updates one after the other. Closing and growing wait for the readers, which are short: a
 * function given to index_read() looks up a few records and does no I/O of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"
#include "cache/store/index/record.h"

#define INDEX_READERS_MAX 64

/* Kinds of members; the number they go with. */
enum index_member {
	INDEX_MEMBER_FILE = 'F',     /* object files of a dataset */
	INDEX_MEMBER_PACKED = 'P',   /* packed objects of a segment */
	INDEX_MEMBER_OBSOLETE = 'O', /* obsolete object files; number 0 */
	INDEX_MEMBER_SEGMENT =
		'S', /* segments of a dataset: their number stands in place of an id */
};

struct index;
struct index_txn;

struct index_options {
	const char *path;     /* of the index folder, which exists; borrowed for the call */
	uint64_t map_len;     /* to begin with; it doubles when full. 0: 256 MiB */
	uint64_t map_len_max; /* 0: 16 TiB */
	void (*committed)(void *context); /* NULL, or called after each commit, in its order */
	void *context;
};

/**
 * index_open() - opens or makes an index.
 * Return: 0; -EUCLEAN what is there is damaged or of another layout: remove it and open again;
 *         -ENOSPC, -EACCES, -EIO ... from the file system; -ENOMEM.
 */
int index_open(const struct index_options *options, struct index **out_index);

/** index_close() - no call may be under way. NULL is fine. */
void index_close(struct index *index);

/** index_remove() - removes the files of a closed index in folder @path. Return: 0 or -errno. */
int index_remove(const char *path);

/** index_bytes() - what its file takes. */
uint64_t index_bytes(struct index *index);

/**
 * index_read() - runs @body over a snapshot.
 * Return: @body's; -EIO, -EUCLEAN as above; -ENOMEM.
 */
int index_read(struct index *index, int (*body)(struct index_txn *txn, void *argument),
	       void *argument);

/**
 * index_update() - runs @body and commits what it changed, unless it returns non-zero.
 * @body: may run several times (the map was full and has been doubled): its effects outside of the
 *        transaction must start from scratch each time.
 * Return: @body's; 0 when durable; -ENOSPC; -EIO, -EUCLEAN as above.
 */
int index_update(struct index *index, int (*body)(struct index_txn *txn, void *argument),
		 void *argument);

/* Single records. get: 0, -ENOENT, -EBADMSG (there, but damaged), or an error that @body must
 * return as it is, as must put and delete (of what is not there: 0). Strings that get gives out
 * live until the next change in the same transaction. */
int index_object_get(struct index_txn *txn, const struct object_id *id,
		     struct record_object *out_object);
int index_object_put(struct index_txn *txn, const struct object_id *id,
		     const struct record_object *object);
int index_object_delete(struct index_txn *txn, const struct object_id *id);
int index_block_get(struct index_txn *txn, const struct object_id *id, uint64_t block,
		    struct record_block *out_block);
int index_block_put(struct index_txn *txn, const struct object_id *id, uint64_t block,
		    const struct record_block *record);
int index_block_delete(struct index_txn *txn, const struct object_id *id, uint64_t block);
int index_segment_get(struct index_txn *txn, uint32_t segment, struct record_segment *out_segment);
int index_segment_put(struct index_txn *txn, uint32_t segment, const struct record_segment *record);
int index_segment_delete(struct index_txn *txn, uint32_t segment);
int index_dataset_get(struct index_txn *txn, uint32_t dataset, struct record_dataset *out_dataset);
int index_dataset_put(struct index_txn *txn, uint32_t dataset, const struct record_dataset *record);
int index_meta_get(struct index_txn *txn, struct record_meta *out_meta);
int index_meta_put(struct index_txn *txn, const struct record_meta *meta);
int index_member_put(struct index_txn *txn, enum index_member kind, uint32_t number,
		     const struct object_id *id);
int index_member_delete(struct index_txn *txn, enum index_member kind, uint32_t number,
			const struct object_id *id);

/** index_segment_id() - a segment's number where a member has an id. */
void index_segment_id(uint32_t segment, struct object_id *out_id);
uint32_t index_segment_of_id(const struct object_id *id);

/**
 * index_object_next() - the first object whose id is not below @from.
 * Return: 0 (@out_object is zeroed when its record is damaged), -ENOENT behind the last one.
 */
int index_object_next(struct index_txn *txn, const struct object_id *from, struct object_id *out_id,
		      struct record_object *out_object);

/** index_block_list() - up to @max numbers of blocks of @id that are here, from @from on, in order.
 *  Return: how many; fewer than @max: those were the last. Or an error. */
int index_block_list(struct index_txn *txn, const struct object_id *id, uint64_t from,
		     uint64_t *out_blocks, unsigned max);

/** index_block_delete_some() - deletes the block records of @id, at most @max.
 *  Return: how many; fewer than @max: none is left. Or an error. */
int index_block_delete_some(struct index_txn *txn, const struct object_id *id, unsigned max);

/** index_member_list() - up to @max members, from @from on (NULL: the first).
 *  Return: how many, or an error. */
int index_member_list(struct index_txn *txn, enum index_member kind, uint32_t number,
		      const struct object_id *from, struct object_id *out_ids, unsigned max);

/** index_segment_each() / index_dataset_each() - calls @visit for every record until it returns
 *  non-zero, which is returned. A damaged record is given as NULL. */
int index_segment_each(struct index_txn *txn,
		       int (*visit)(void *context, uint32_t segment,
				    const struct record_segment *record),
		       void *context);
int index_dataset_each(struct index_txn *txn,
		       int (*visit)(void *context, uint32_t dataset,
				    const struct record_dataset *record),
		       void *context);

/** index_object_count() - how many objects there are. */
uint64_t index_object_count(struct index_txn *txn);

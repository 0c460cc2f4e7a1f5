/*
 * pending.h - what lies between admission and commit: blocks being written, blocks written that the
 * index does not name yet, and index records that must go because their bytes were bad. Together
 * with the index this is the truth: pending_where() is asked first.
 *
 * Life of a block here:
 *
 *	pending_admit() -> ADMITTED -> pending_write() -> WRITING -> pending_written() ->
 *	    change PUT, queued for the next group -> pending_take() -> committing PUT ->
 *	    pending_committed() -> gone: the index names it
 *	pending_drop() -> change DROP, queued ... in the same way
 *
 * The steps of writing, of the queued change and of the one being committed are independent: a
 * block found bad may be written anew while its removal is still being committed.
 *
 * Objects are here as long as blocks of them are, or while eviction holds them; so one that is
 * being removed is never written, and one that is being written is never removed. The same for a
 * single block whose bytes are being punched out of its file, while others of it are written.
 *
 * Threads: none of its own; the directory's lock covers all of it, except that a writer uses an
 * object's fields and the checks of a block that it writes, and a committer those of its group.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/store/contents.h"
#include "cache/store/store.h"

#define PENDING_BLOCKS_MAX 8192	 /* more are not admitted */
#define PENDING_DROPS_MAX  16384 /* more: the SSD is beyond hope */
#define PENDING_GROUP_MAX  512

struct pending_object;
struct pending_block;

enum pending_step {
	PENDING_IDLE,	  /* not being written */
	PENDING_ADMITTED, /* waits for store_write_start() */
	PENDING_WRITING,
	PENDING_HELD, /* nobody may write it */
};

enum pending_change {
	PENDING_NONE,
	PENDING_PUT,
	PENDING_DROP,
};

enum pending_place {
	PENDING_HERE,	  /* written, perhaps not committed */
	PENDING_NOT_HERE, /* whatever the index says */
	PENDING_ASK_INDEX,
};

TAILQ_HEAD(pending_list, pending_block);

struct pending {
	struct pending_object *objects; /* by id */
	struct pending_block *blocks;	/* by id and block */
	struct pending_list started;	/* in the order writing began, until committed */
	struct pending_list queued;	/* with a change for the next group */
	unsigned block_count;
	unsigned queued_count;
	unsigned put_count; /* blocks that are written and not committed */
	uint64_t put_bytes;
	unsigned committing_count;
	uint64_t queued_since_ns; /* when the first of the queued ones came */
	uint64_t sequence;
	const struct pending_group *taken; /* the group being committed */
	uint64_t generation;		   /* of groups: changes when one is taken */
};

/* An object as the writer needs it. @info's strings are copies. */
struct pending_object_info {
	struct contents_object contents;
	bool created; /* its file was made since the last commit: the folder needs a sync, too */
	int fd;	      /* for writing; -1 */
};

/* What is known of a block beside its state. */
struct pending_block_info {
	struct object_id id;
	uint64_t block;
	uint32_t segment, segment_off; /* of a packed object */
	bool replica;		       /* packed: it was put into a segment of replicas */
	struct record_block record;
};

struct pending_group {
	unsigned count;
	struct pending_block *blocks[PENDING_GROUP_MAX];
};

/** pending_init() / pending_fini() - empty when it ends. */
void pending_init(struct pending *pending);
void pending_fini(struct pending *pending);

enum pending_place pending_where(const struct pending *pending, const struct object_id *id,
				 uint64_t block, struct pending_block **out_block);

/** pending_admit() - @promised: bytes of room to be given back in the end.
 *  Return: the block; NULL when it is here or under way, its object is held, or memory is short. */
struct pending_block *pending_admit(struct pending *pending, const struct store_object *object,
				    uint64_t block, uint32_t len, uint32_t dataset,
				    uint64_t promised);

/** pending_find_admitted() - NULL when there is none. */
struct pending_block *pending_find_admitted(const struct pending *pending,
					    const struct object_id *id, uint64_t block);

/** pending_write() - writing begins; the checks are copied. */
void pending_write(struct pending *pending, struct pending_block *block, const uint64_t *checks);

/** pending_written() - it ended. @now_ns: for the age of the group.
 *  Return: a descriptor to close once the lock is free, or -1. */
int pending_written(struct pending *pending, struct pending_block *block, bool ok, uint64_t now_ns,
		    uint64_t *out_promised);

/** pending_drop() - the block's bytes are bad or gone. @out_segment: a segment in which an
 *  uncommitted object is no longer waited for, or 0. Return: 0, -ENOMEM, -ENOBUFS. */
int pending_drop(struct pending *pending, const struct object_id *id, uint64_t block,
		 uint64_t now_ns, uint32_t *out_segment);

/** pending_take() - moves queued changes into a group. */
void pending_take(struct pending *pending, struct pending_group *group);

/** pending_committed() - the group is in the index, or (not @ok) will never be.
 *  @out_fds: PENDING_GROUP_MAX descriptors to close. Return: how many. */
unsigned pending_committed(struct pending *pending, const struct pending_group *group,
			   uint64_t *out_promised, int *out_fds);

/** pending_doom() - what is admitted but not yet started shall fail when it starts: the directory
 *  is being closed. */
void pending_doom(struct pending *pending);
bool pending_doomed(const struct pending_block *block);

/** pending_busy() - whether anything is being written, queued or committed. */
bool pending_busy(const struct pending *pending);

/** pending_oldest() - sequence of the oldest started, uncommitted write; UINT64_MAX: none. */
uint64_t pending_oldest(const struct pending *pending);

/* Blocks of one object that a commit under way may have named already, or not yet. */
struct pending_unsure {
	unsigned count;
	struct {
		uint64_t block;
		uint32_t len;
	} blocks[PENDING_GROUP_MAX];
};

/** pending_bytes() - bytes of @id that are written and certainly not committed, and which blocks
 *  that cannot be said of. */
uint64_t pending_bytes(const struct pending *pending, const struct object_id *id,
		       struct pending_unsure *out_unsure);

/** pending_hold() - keeps writers off @id while its file is removed. Return: false when it is in
 *  use, or memory is short. */
bool pending_hold(struct pending *pending, const struct object_id *id);
void pending_release(struct pending *pending, const struct object_id *id);

/** pending_hold_block() - keeps writers off one block. Return: false when anything is happening to
 *  it, or memory is short. */
bool pending_hold_block(struct pending *pending, const struct object_id *id, uint64_t block);
void pending_release_block(struct pending *pending, const struct object_id *id, uint64_t block);

/** pending_object_of() / pending_block_of() - of a block that is being written or committed. */
struct pending_object_info *pending_object_of(struct pending_block *block);
struct pending_block_info *pending_block_of(struct pending_block *block);

/** pending_change_of() - what the commit under way shall do with a block of its group. */
enum pending_change pending_change_of(const struct pending_block *block);

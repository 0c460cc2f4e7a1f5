/*
 * store.h - blocks on the local SSDs. Used by the cache only.
 *
 *   <dir>/objects/ab/<object id>   one sparse file per object version > 32 KiB, blocks at their
 *                                  natural offset, exact size when complete
 *   <dir>/segments/<number>        packed small objects, appended
 *   <dir>/index/                   LMDB: what is valid, with checks and full identity
 *   <dir>/replacement              a new object file, until it has its name
 *   <dir>/lock, <dir>/format       one daemon per directory; layout version, block length, id
 *
 * An object (all its blocks) lives in one directory, chosen by its id among the working ones. What
 * the index names is the truth; the rest is swept in the background.
 *
 * Writing is in groups: data written, synced, then one LMDB transaction (256 blocks or 200 ms). A
 * block that is written but not committed is found all the same. Reads and writes are io_uring with
 * O_DIRECT between files and the caller's memory (4 KiB-aligned, capacity rounded up to 4 KiB);
 * packed objects, and what an object has behind its last whole 4 KiB, are written through the page
 * cache, and packed objects are read through it.
 *
 * A directory that fails (EIO, gone, read-only) is taken out, its blocks are misses, and it is
 * tried again every minute; ENOSPC only pauses writing. No call blocks on I/O but those that say
 * so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "cache/cache.h"
#include "cache/object.h"
#include "cache/store/ring.h"

#define STORE_PACKED_MAX 32768 /* objects up to this size are packed */
#define STORE_PATH_LEN	 48    /* "objects/ab/" and an id */

struct directory;
struct pending_block;

enum store_counter {
	STORE_READS,
	STORE_READ_BYTES,
	STORE_WRITES,
	STORE_WRITE_BYTES,
	STORE_COMMITS,
	STORE_BAD_CHECKS, /* granules whose bytes did not match: dropped, fetched again */
	STORE_READ_ERRORS,
	STORE_WRITE_ERRORS,
	STORE_NO_SPACE,
	STORE_EVICTED_OBJECTS,
	STORE_EVICTED_BYTES,
	STORE_ORPHANS,		/* files swept because the index does not name them */
	STORE_USED_BYTES,	/* gauge over all directories */
	STORE_CAPACITY,		/* gauge */
	STORE_REFUSED,		/* writes the policy did not admit */
	STORE_REPLICAS_EVICTED, /* blocks that this node does not own */
	STORE_REPLICA_EVICTED_BYTES,
	STORE_VERIFIED,	    /* objects that were verified whole */
	STORE_VERIFY_BYTES, /* ... read for that */
	STORE_HANDOUTS,	    /* files handed out */
	STORE_REPLACED,	    /* files that were handed out and had to change: new ones */
	STORE_SCRUB_BYTES,  /* read by the scrub */
	STORE_ROTTEN,	    /* objects in which it found granules that do not match */
	STORE_COUNTER_COUNT,
};

/* What is stored about an object beside its blocks; strings borrowed for the call. */
struct store_object {
	struct object_id id;
	struct object_version version;
	int64_t mtime_s;
	const char *dataset;
};

struct store_read {
	/* set by the caller */
	struct object_id id;
	uint64_t object_size;
	uint64_t block;
	unsigned first_granule, granule_count; /* of the block */
	bool background;		       /* not a reader's: not counted as one */
	void *dst; /* room for granule_count * GRANULE_LEN, rounded up to 4 KiB at the end; lent */
	void (*done)(struct store_read *read); /* on a store thread; must not block */
	/* set before done */
	int status; /* 0; -ENOENT not here (any more); -EBADMSG bytes did not match (block dropped);
		       -EIO */
	uint64_t checks[BLOCK_GRANULES_MAX]; /* [0, granule_count): the granules' checks */
	/* private */
	struct {
		struct directory *directory;
		struct ring_op op;
		int fd;
		uint32_t want, got; /* bytes */
		uint64_t off;	    /* in the file */
		uint64_t cuts;	    /* the directory's, before the look into the index */
		bool direct;
		unsigned looks; /* into the index */
		char path[STORE_PATH_LEN];
	} p;
};

struct store_write {
	/* set by the caller; lent until done */
	const struct store_object *object; /* its strings too */
	uint64_t block;
	void *data; /* the block's bytes, padded with zeros to 4 KiB */
	uint32_t len;
	const uint64_t *checks; /* one per granule */
	void (*done)(
		struct store_write *write); /* the bytes are no longer needed; not yet durable */
	/* set before done */
	int status; /* 0; -ENOSPC; -EIO; -ECANCELED stopping, or its file is being replaced */
	/* private */
	struct {
		struct directory *directory;
		struct pending_block *block;
		struct ring_op op;
		uint32_t want, got; /* bytes of direct I/O */
		STAILQ_ENTRY(store_write) link;
	} p;
};

struct store;

/** store_create() - opens the directories of @config, recovers, starts the threads.
 *  Return: 0; -ENOMEM, -EAGAIN. Unusable directories are logged and shown in the status. */
int store_create(const struct cache_config *config, const struct clock *clock,
		 struct store **out_store);

/** store_stop() - finishes or ends what is under way, commits. Blocks, at most ~10 s. */
void store_stop(struct store *store);

/** store_destroy() - after store_stop(). NULL is fine. */
void store_destroy(struct store *store);

void store_reload(struct store *store, const struct cache_config *config);

/**
 * store_set_owner() - tells which blocks this node owns; all others are replicas: written only into
 * free space, and the first to go. Unset: all are owned. Roles are never stored: @owns is asked
 * whenever one matters, since ownership moves as members come and go.
 * @owns: cheap (some ns), any thread, called with no lock of the store held; until
 *        store_destroy().
 * Threads: once, before the first admission.
 */
void store_set_owner(struct store *store,
		     bool (*owns)(void *context, const struct object_id *id, uint64_t block),
		     void *context);

/** store_owner_changed() - a hint that ownership has moved: what was owned may be a replica now.
 *  Without it that is noticed within 10 s. Any thread. */
void store_owner_changed(struct store *store);

/** store_has() - whether block @block of @id is here (written; perhaps not committed). A few
 *  microseconds, no I/O wait beyond a page of the index. Also notes the access for eviction. */
bool store_has(struct store *store, const struct object_id *id, uint64_t block);

/** store_read_start() - reads granules; verified against their checks before done(), which runs on
 * a thread of the store (inside the call when there is no directory, or after store_stop()). */
void store_read_start(struct store *store, struct store_read *read);

/**
 * store_admit() - asks the policy whether a block of @len bytes of @object should be written now.
 * Starts eviction when needed; never waits. An object's blocks are admitted only while its
 * directory is open, and after a crash only once it is known what was left over.
 *
 * A replica is admitted only while its directory stays below the low watermark with it: it makes
 * nothing give way. Under lru a refused one starts the eviction of the least recently used
 * replicas, so that a later one finds room.
 * Return: true with the space reserved: store_write_start() must follow, which uses it up. False.
 */
bool store_admit(struct store *store, const struct store_object *object, uint64_t block,
		 uint32_t len);

/**
 * store_would_admit_block() - whether the policy would have @len more bytes of @object written now,
 * in the role that @block has. Like store_admit() it is an access, and a refusal counts as one;
 * nothing is reserved.
 * Return: true also when no directory is open: then there is no policy to refuse it.
 */
bool store_would_admit_block(struct store *store, const struct store_object *object, uint64_t block,
			     uint32_t len);

/** store_would_admit() - the same for a block that this node owns. */
bool store_would_admit(struct store *store, const struct store_object *object, uint32_t len);

/** store_write_start() - writes an admitted block. done() runs on a thread of the store, perhaps
 *  before this returns; after store_stop() inside the call. */
void store_write_start(struct store *store, struct store_write *write);

/** store_touch() - a read of @id was served from memory: eviction shall know. Cheap. */
void store_touch(struct store *store, const struct object_id *id, const char *dataset);

/** store_resident() - bytes of @id's blocks here. */
uint64_t store_resident(struct store *store, const struct object_id *id, uint64_t object_size);

/** store_obsolete() - the version was replaced: evicted before all others. */
void store_obsolete(struct store *store, const struct object_id *id);

/** store_drop() - a block's bytes are not what they should be: not found from now on, and to be
 *  written anew. Not while it is being written. Cheap; no lock of the caller's is needed. */
void store_drop(struct store *store, const struct object_id *id, uint64_t block);

/** store_replica_bytes() - bytes here that this node does not own. Counted by going through the
 *  index (some ms; with more than 16384 objects in a directory, estimated from as many). */
uint64_t store_replica_bytes(struct store *store);

/* --- handing files out --- */

/**
 * store_set_lost() - whom to tell that a block is missing of an object that was, or nearly is,
 * complete: it may have the bytes, and write them again. A hint.
 * @lost: any thread of the store, with no lock held; must not block; until store_stop().
 */
void store_set_lost(struct store *store,
		    void (*lost)(void *context, const struct object_id *id, uint64_t block),
		    void *context);

/** store_handout_allow() - whether files of directory @index are wanted: they are verified in the
 *  background then, as they become complete or are asked for. At first they are not. */
void store_handout_allow(struct store *store, unsigned index, bool allowed);

/** store_handout_probe() - any file of directory @index, to find out what can be done with such.
 *  Return: an open descriptor; -ENODEV it is not open; or its error. */
int store_handout_probe(struct store *store, unsigned index);

/** store_handout_ready() - whether store_handout() would give @id's file. If not, and if @want, it
 *  is verified when it is complete. Cheap: for the hot path, and under locks of the caller. */
bool store_handout_ready(struct store *store, const struct object_id *id, bool want);

/**
 * store_handout() - the file of an object, for the kernel and for programs to read as they please:
 * complete, of exact size, and verified whole since the daemon began (by direct I/O). From now on
 * it is only ever unlinked, never cut, punched or written, even after a restart. Return: 0; -EAGAIN
 * it is not to be had now. May wait for a little I/O of the file system.
 */
int store_handout(struct store *store, const struct object_id *id, struct cache_handout *out);

/**
 * store_handout_adopt() - a worker that has died had handed @id's file of directory @index out, and
 * the kernel has it open still: from now on it is handed out again, for store_handback(). It counts
 * as verified (handout.c says why), unless it is not here any more as it was: then *out is not
 * current. No descriptor comes with it. Before store_handout_allow(). Some microseconds.
 */
void store_handout_adopt(struct store *store, unsigned index, const struct object_id *id,
			 struct cache_handout *out);

/** store_handout_current() - whether what was handed out is what would be now: nothing of it was
 *  found bad, evicted or replaced since. Cheap. */
bool store_handout_current(struct store *store, const struct cache_handout *handout);

/** store_handout_sound() - whether nothing was found bad in its directory since it was handed out.
 */
bool store_handout_sound(struct store *store, const struct cache_handout *handout);

/** store_handback() - nobody reads it any more by that hand-out. Eviction spares what is out.
 *  Return: whether it was current. */
bool store_handback(struct store *store, const struct cache_handout *handout);

/** store_handout_again() - what was given back is in use again, by whoever has its file open still.
 *  Return: false when it is not current: it is not. Cheap. */
bool store_handout_again(struct store *store, struct cache_handout *handout);

/** store_handout_lost() - a number that grows whenever something that was handed out may not be
 *  current any more. Cheap. */
uint64_t store_handout_lost(struct store *store);

/** store_handout_count() - objects that are verified now. @out_queued: those that wait to be. */
uint64_t store_handout_count(struct store *store, uint64_t *out_queued);

/* --- what is stored, in portions --- */

#define STORE_PAGE_OBJECTS 64
#define STORE_PAGE_BLOCKS  4096
#define STORE_PAGE_TEXT	   65536

/* Where a listing goes on; zeroed: at the start. */
struct store_cursor {
	unsigned directory;
	struct object_id id;
	uint64_t block;
};

/* An object, or a part of one with many blocks here: the next entry then has the rest. */
struct store_listed {
	struct store_object object; /* strings in the page */
	uint64_t resident;	    /* bytes of all its blocks that are here */
	const uint64_t *blocks;	    /* in the page: which are, in order */
	unsigned block_count;	    /* at least 1 */
	bool obsolete;		    /* replaced by another version */
};

/* Points into itself: not to be copied. ~120 KB: from the heap. */
struct store_page {
	unsigned count;
	struct store_listed objects[STORE_PAGE_OBJECTS];
	unsigned block_count;
	uint64_t blocks[STORE_PAGE_BLOCKS];
	unsigned text_len;
	char text[STORE_PAGE_TEXT];
};

/**
 * store_list() - the next portion of what is committed, from @cursor on, which it moves. Each
 * portion is a snapshot, taken in about a millisecond without holding up writers; what stays from
 * the first portion to the last is listed once, what comes or goes meanwhile may be or not. An
 * object may be in two directories (one of them was out for a while): then it is listed for each.
 * Return: entries in @out_page; 0 at the end; -EIO a directory failed, -ENOMEM: the next call goes
 * on behind it, or tries again. Any thread.
 */
int store_list(struct store *store, struct store_cursor *cursor, struct store_page *out_page);

/** store_flush() - blocks until all started writes are committed, at most until @deadline_ns of the
 *  system's monotonic clock. Return: 0 or -ETIMEDOUT. */
int store_flush(struct store *store, uint64_t deadline_ns);

const struct counters *store_counters(const struct store *store);
unsigned store_directory_count(const struct store *store);
void store_directory_status(struct store *store, unsigned index,
			    struct cache_directory_status *out_status);

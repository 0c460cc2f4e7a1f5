/*
 * cache.h - the door of the cache: open an object version, read a range of it, hint what comes
 * next. Behind it: the arena (all payload memory, a hard bound), the window (blocks in memory), the
 * store (blocks on SSD) and single flight over the backing store.
 *
 * Reads are asynchronous: structs of the caller, lent until done() has run. Nothing here blocks, so
 * a few threads serve thousands of readers and a dead endpoint holds up only its own readers.
 * done() runs on a thread of the cache or of a backing store, must not block, and may start further
 * reads. Any thread may call anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "base/option.h"
#include "cache/backing.h"
#include "cache/object.h"

enum cache_policy {
	CACHE_POLICY_EPOCH, /* fill up, then keep; the least recently used dataset gives way */
	CACHE_POLICY_LRU,
};

/* Where blocks go that other nodes own. */
enum cache_replicate {
	CACHE_REPLICATE_OFF,
	CACHE_REPLICATE_FREE, /* into free space, the first to give way */
};

struct cache_directory_config {
	char *path;
	uint64_t capacity; /* bytes; 0: what the file system has, less a reserve */
};

struct cache_config {
	uint64_t memory; /* the arena: every payload byte the cache holds */
	uint64_t block_len;
	int policy;			   /* enum cache_policy */
	struct option_structs directories; /* of struct cache_directory_config */
	int64_t high_watermark; /* percent of the capacity at which eviction starts; live */
	int64_t low_watermark;	/* ... and to which it goes down; live */
	uint64_t read_timeout;	/* ns: a read that takes longer fails with -ETIMEDOUT; live */
	uint64_t prefetch_max;	/* bytes that prefetches may have under way, all readers together */
	uint64_t fetch_max;	/* bytes that one request to a backing store fetches ahead */
	bool huge_pages;
	int replicate;	/* enum cache_replicate */
	uint64_t scrub; /* bytes a second that are verified again on each SSD; 0: none; live */
};

extern const struct option_group cache_options; /* of struct cache_config */

enum cache_counter {
	CACHE_READS,
	CACHE_READ_BYTES,
	CACHE_BYTES_MEMORY,  /* of CACHE_READ_BYTES: found in the window */
	CACHE_BYTES_SSD,     /* ... waited for the SSD */
	CACHE_BYTES_PEER,    /* ... waited for another node */
	CACHE_BYTES_BACKING, /* ... waited for the backing store */
	CACHE_FETCHES,	     /* blocks fetched from backing stores */
	CACHE_FETCH_BYTES,
	CACHE_FETCH_ERRORS,
	CACHE_PEER_FETCHES, /* blocks and granules that other nodes had */
	CACHE_PEER_BYTES,
	CACHE_JOINED, /* reads that found their block under way: single flight at work */
	CACHE_PREFETCHES,
	CACHE_PREFETCH_DROPPED, /* hints refused: limit, memory, already there */
	CACHE_READ_ERRORS,
	CACHE_READ_TIMEOUTS,
	CACHE_READ_CANCELLED,
	CACHE_STALE,		/* fetches refused because the object changed (412) */
	CACHE_MEMORY_USED,	/* gauge, bytes in frames */
	CACHE_MEMORY_POPULATED, /* gauge, bytes of the arena whose pages are there; grows after a
				   start */
	CACHE_MEMORY_PINNED,	/* gauge, bytes that cannot be evicted now */
	CACHE_MEMORY_WAITS,	/* fills that had to wait for a frame */
	CACHE_BLOCKS,		/* gauge, blocks in the window */
	CACHE_EVICTIONS,	/* blocks evicted from the window */
	CACHE_STORE_SKIPPED,	/* fetched blocks the policy or a lack of room kept off the SSD */
	CACHE_STORE_LOST,	/* of them, those that were evicted before the SSD had them */
	CACHE_REPAIRED,		/* blocks whose SSD copy failed its check and was fetched again */
	CACHE_OBJECTS,		/* gauge, open object versions */
	CACHE_KEPT_BLOCKS,	/* blocks found in the arena of the process before */
	CACHE_KEPT_BYTES,
	CACHE_KEPT_VERIFIED, /* of KEPT_BLOCKS: their bytes match their checks */
	CACHE_KEPT_REFUSED,  /* they do not; or what was said of them was not to be believed */
	CACHE_KEPT_WAITING,  /* gauge, bytes in frames that are still to be verified */
	CACHE_AUDITS,	     /* units from other nodes compared with the backing store */
	CACHE_AUDIT_BYTES,
	CACHE_AUDIT_DIFFERENCES, /* ... that were not the same: an alarm */
	CACHE_AUDIT_GONE,	 /* not comparable: the backing store does not have the version */
	CACHE_AUDIT_SKIPPED,	 /* for want of memory, time or requests */
	CACHE_COUNTER_COUNT,
};

/* What one directory has to say for itself. */
enum cache_directory_state {
	CACHE_DIRECTORY_OK,
	CACHE_DIRECTORY_FULL,	/* the file system said ENOSPC; tried again later */
	CACHE_DIRECTORY_FAILED, /* I/O errors or gone: taken out, tried again every minute */
};

/* What cache_directory_check() thinks of something. */
enum cache_finding {
	CACHE_FINDING_OK,
	CACHE_FINDING_SLOW, /* works, but not as well as it could */
	CACHE_FINDING_BAD,  /* the directory cannot be used like this */
};

struct cache_directory_status {
	const char *path; /* borrowed from the cache */
	enum cache_directory_state state;
	uint64_t capacity, used; /* bytes */
	uint64_t objects;
	char problem[128]; /* "" when OK */
};

struct cache;
struct cache_object;

#define CACHE_READ_LEN_MAX (1u << 20)
#define CACHE_READ_PARTS   4 /* blocks a read may touch: block_len >= 512 KiB */

struct cache_read {
	/* set by the caller */
	struct cache_object *object; /* the caller holds a reference until done */
	uint64_t off;
	size_t len;  /* > 0, <= CACHE_READ_LEN_MAX, inside the object */
	bool random; /* a small read with no sequence to it: read granules, not blocks, from SSD */
	void (*done)(struct cache_read *read);
	void *context;
	/* set before done: status and, when 0, the bytes, valid until cache_read_finish() */
	int status;
	struct iovec iov[CACHE_READ_PARTS];
	int iov_count;
	/* private; set up by cache_read_start() */
	struct {
		struct cache *cache;
		int state;
		int class;  /* enum window_class */
		int origin; /* enum cache_origin, of its first unit */
		bool granules;
		unsigned part_count, pending;
		uint64_t started_ns, deadline_ns;
		TAILQ_ENTRY(cache_read) by_deadline;
		TAILQ_ENTRY(cache_read) link; /* waiting for frames, or about to be ended */
		struct cache_read_part {
			struct cache_read *read;
			struct window_entry *entry; /* referenced */
			uint32_t first, end;	    /* bytes of the entry that must be there */
			bool waiting, waited;
			TAILQ_ENTRY(cache_read_part) link;
		} parts[CACHE_READ_PARTS];
	} p;
};

/**
 * cache_create() - opens the directories (a warm restart finds what the last run left), starts the
 * threads.
 * @config: borrowed until cache_destroy(). @clock: borrowed for life.
 * Return: 0; -EINVAL, -ENOMEM or an I/O error with @problem. A directory that cannot be used is not
 *         an error: the cache starts without it and says so (log, status).
 */
int cache_create(const struct cache_config *config, const struct clock *clock,
		 struct cache **out_cache, char *problem, size_t problem_size);

/**
 * cache_create_over() - the same, over the arena of a process that was killed or has ended: what
 * lies complete in its memory is found there, once it was compared with its checks, by who reads it
 * or in the background; what had not reached the SSD goes there as soon as its object is open.
 * @arena_fd: of cache_arena_fd(), taken on success; -1: none. One that does not suit (memory,
 *   block_len, huge_pages or the version was another; its process runs) is said in the log, and a
 *   new arena is made. Some ms for a GiB.
 */
int cache_create_over(const struct cache_config *config, const struct clock *clock, int arena_fd,
		      struct cache **out_cache, char *problem, size_t problem_size);

/** cache_arena_fd() - the memory of the cache, for whoever keeps it beyond this process: the
 *  cache's own, to be duplicated. */
int cache_arena_fd(const struct cache *cache);

/**
 * cache_set_backings() - the backing stores that objects opened on behalf of other nodes may come
 * from, found by their ids. Before the first read. @backings: borrowed until cache_stop().
 */
void cache_set_backings(struct cache *cache, struct backing **backings, unsigned count);

/** cache_stop() - commits what is written, ends every read with -ECANCELED. Backing stores must
 *  still be there. */
void cache_stop(struct cache *cache);

/** cache_destroy() - after cache_stop() and after the backing stores were destroyed (a fetch lands
 *  in the arena until its done() has run). All objects must have been put. NULL is fine. */
void cache_destroy(struct cache *cache);

/** cache_reload() - takes over the live settings. */
void cache_reload(struct cache *cache, const struct cache_config *config);

/** cache_read_timeout() - the setting, in ns. */
uint64_t cache_read_timeout(const struct cache *cache);

/**
 * cache_object_open() - a reference to an object version; equal versions share one.
 * @version: copied. @source: where its bytes come from, borrowed while referenced.
 * @dataset: what it belongs to for eviction ("/images/train"); copied.
 * Return: 0 or -ENOMEM.
 */
int cache_object_open(struct cache *cache, const struct object_version *version, int64_t mtime_s,
		      struct backing *source, const char *dataset,
		      struct cache_object **out_object);

struct cache_object *cache_object_get(struct cache_object *object);
void cache_object_put(struct cache_object *object); /* NULL is fine */

const struct object_id *cache_object_id(const struct cache_object *object);
uint64_t cache_object_size(const struct cache_object *object);

/** cache_object_resident() - bytes of the version that need no backing store now: on this node's
 *  SSD, or in memory on their way there. */
uint64_t cache_object_resident(struct cache *cache, const struct object_version *version);

/* Bytes of an object version that are complete on this node. */
struct cache_holdings {
	uint64_t memory;   /* in the window, those on their way to the SSD too */
	uint64_t ssd;	   /* written; perhaps not committed */
	uint64_t owned;	   /* in either, of the blocks that this node owns: each byte once */
	uint64_t replicas; /* of ssd: blocks that others own. It and owned: what is committed */
};

/**
 * cache_holdings() - how much of @version is here, at about this moment. Some microseconds a block
 * at most; holds up readers for no longer than one block's.
 * Return: 0; -ECANCELED the cache stops; -E2BIG more blocks than an object can have; -ENOMEM.
 *         Any thread, before cache_destroy().
 */
int cache_holdings(struct cache *cache, const struct object_version *version,
		   struct cache_holdings *out);

/** cache_object_stale() - whether the backing store has refused this version (412): what is not
 *  resident can no longer be had. */
bool cache_object_stale(const struct cache_object *object);

/* --- files for the kernel --- */

/* An object's file on this node's SSD, handed out for others to read without asking us. */
struct cache_handout {
	struct object_id id;
	int fd;		    /* O_RDONLY; the caller's to close */
	unsigned directory; /* index of */
	uint64_t ticket, spoilt;
};

/** cache_handout_allow() - whether files of directory @index are wanted; at first they are not.
 * They are verified in the background then, as they become complete or are asked for. */
void cache_handout_allow(struct cache *cache, unsigned index, bool allowed);

/** cache_handout_probe() - any file of directory @index, to find out what can be done with such.
 *  Return: an open descriptor; -ENODEV the directory is not in use now; or its error. */
int cache_handout_probe(struct cache *cache, unsigned index);

/** cache_handout_ready() - whether cache_handout() would give the file of @id. If not, and if
 * @want, it is verified when it is complete. Cheap; may be called with the caller's locks held. */
bool cache_handout_ready(struct cache *cache, const struct object_id *id, bool want);

/**
 * cache_handout() - the file: all of the object's bytes and nothing else, verified since this cache
 * was created; it stays as it is, whatever becomes of the object here. Counts as an access.
 * Return: 0: for cache_handback(); -EAGAIN not to be had now. May wait for a little I/O.
 */
int cache_handout(struct cache_object *object, struct cache_handout *out);

/**
 * cache_handout_adopt() - a former process of ours had handed @id's file of directory @index out,
 * and the kernel has it open still: for cache_handback(), without a descriptor. It counts as
 * verified; what is not here any more as it was handed out is not current. Before
 * cache_handout_allow(). Some microseconds.
 */
void cache_handout_adopt(struct cache *cache, unsigned index, const struct object_id *id,
			 struct cache_handout *out);

/** cache_handout_current() - whether the object is still here as it was handed out: not evicted,
 * not found rotten. Cheap. */
bool cache_handout_current(struct cache *cache, const struct cache_handout *handout);

/** cache_handout_sound() - whether its bytes may still be opened when it is not current: nothing
 * was found bad meanwhile. */
bool cache_handout_sound(struct cache *cache, const struct cache_handout *handout);

/** cache_handback() - nobody opens it by this hand-out any more. Return: whether it was current. */
bool cache_handback(struct cache *cache, const struct cache_handout *handout);

/** cache_handout_again() - what was given back is opened again, as it was handed out. Counts as an
 *  access. Return: false when it is not current: nothing is to be given back then. Cheap. */
bool cache_handout_again(struct cache_object *object, struct cache_handout *handout);

/** cache_handout_lost() - a number that grows whenever something that was handed out may not be
 *  current any more: for who keeps what it has given back. Cheap. */
uint64_t cache_handout_lost(struct cache *cache);

/** cache_handout_count() - objects verified now, and those that wait to be. */
uint64_t cache_handout_count(struct cache *cache, uint64_t *out_queued);

/** cache_object_obsolete() - the version was seen to be replaced: its blocks go first. */
void cache_object_obsolete(struct cache *cache, const struct object_version *version);

/**
 * cache_read_start() - reads a range.
 * Return: 1 when the bytes are there at once (iov is set, done() does not run), or
 *         0 when under way: done() runs exactly once, on any thread, perhaps before this returns.
 * Status: 0; -ESTALE the version is gone; -ETIMEDOUT; -ECANCELED (cancelled, or the cache stops);
 *         -EACCES, -ENOENT, -EIO, -EPROTO from the backing store. Errors are not cached.
 */
int cache_read_start(struct cache *cache, struct cache_read *read);

/** cache_read_finish() - gives the bytes back; once for each read that ended with status 0. */
void cache_read_finish(struct cache_read *read);

/** cache_read_cancel() - ends a read that waits with -ECANCELED, in its done(); one that is already
 *  ending ends as it would have. Not before cache_read_start() has returned 0. May run concurrently
 *  with done(): the caller keeps the struct alive until both have returned. The fetch itself goes
 * on for the cache's sake. */
void cache_read_cancel(struct cache_read *read);

/**
 * cache_prefetch() - hints that [off, off+len) will be read soon. Never waits, may be refused:
 * prefetch_max, no free memory, already there.
 * Return: bytes now under way or resident from @off on (whole blocks).
 */
uint64_t cache_prefetch(struct cache *cache, struct cache_object *object, uint64_t off,
			uint64_t len);

/** cache_flush() - waits until what was fetched is on the SSD and committed, at most @timeout_ns.
 *  Return: 0 or -ETIMEDOUT. */
int cache_flush(struct cache *cache, uint64_t timeout_ns);

/** cache_counters() / cache_store_counters() - live as long as the cache. */
const struct counters *cache_counters(const struct cache *cache);
const struct counters *cache_store_counters(const struct cache *cache);

/** cache_read_latency() - time of reads that had to wait, ns. */
const struct histogram *cache_read_latency(const struct cache *cache);

/** cache_memory_len() - bytes of the arena. */
uint64_t cache_memory_len(const struct cache *cache);

/** cache_directory_count() / cache_directory_status() - for status. */
unsigned cache_directory_count(const struct cache *cache);
void cache_directory_status(struct cache *cache, unsigned index,
			    struct cache_directory_status *out_status);

/** cache_directory_check() - what `cenote check` asks of one directory before a start: exists or
 * can be made, writable, O_DIRECT works, free space and inodes, not overlayfs, not mounted discard.
 *  @report is called once per finding, with text saying what to do. */
void cache_directory_check(const struct cache_directory_config *config,
			   void (*report)(void *context, enum cache_finding finding,
					  const char *text),
			   void *context);

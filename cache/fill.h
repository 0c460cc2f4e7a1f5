/*
 * fill.h - how an entry of the window gets its bytes: what the files of the fill share. fill.c
 * tells its life, fill_peers.c asks other nodes, fill_backing.c the backing store.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/core.h"

#define CACHE_RUN_FILLS 64 /* blocks that one request of a prefetch brings at most */

enum cache_fill_phase {
	CACHE_FILL_IDLE,    /* not started */
	CACHE_FILL_READING, /* from the SSD */
	CACHE_FILL_ASKING,  /* other nodes */
	CACHE_FILL_ISSUING, /* the request is being handed to the backing store */
	CACHE_FILL_FETCHING,
	CACHE_FILL_PAUSED, /* waits for its retry */
};

/* Lives while the entry is FILLING. */
struct cache_fill {
	struct cache *cache;
	struct window_entry *entry;
	/* guarded by cache->lock */
	unsigned refs;	  /* the entry's, and one for each thread inside backing_get() */
	unsigned attempt; /* at the backing store */
	enum cache_fill_phase phase;
	bool prefetch;	 /* counted in prefetch_bytes */
	bool background; /* the fetch under way was asked for as such */
	bool serving;	 /* other nodes were asked for no more than they have themselves */
	bool missed;	 /* they have not got it */
	uint64_t retry_at_ns;
	TAILQ_ENTRY(cache_fill) link; /* on cache->retries */
	/* owned by the thread that drives the fill: there is one at a time */
	bool fetch_only;  /* the SSD does not have it, or not any more */
	bool repair;	  /* the SSD's copy is bad */
	bool placed;	  /* belongs on this node's SSD */
	uint32_t base;	  /* bytes that were there when this fetch began */
	uint32_t checked; /* granules whose check is known */
	union {
		struct backing_get get;
		struct store_read read;
		struct peer_fetch ask;
	} op;
};

/* Fills that one request serves. */
struct cache_run {
	unsigned count;
	uint64_t len;
	struct cache_fill *fills[CACHE_RUN_FILLS];
	unsigned attempts[CACHE_RUN_FILLS];
};

/* fill.c: for the sources; without the lock, but for *_locked */

void cache_fill_unref_locked(struct cache_fill *fill);

/** cache_fill_end() - the bytes are there (@status 0) and came from @origin, or will not come. The
 *  fill is gone then. */
void cache_fill_end(struct cache_fill *fill, int status, enum cache_origin origin);

/** cache_fill_fail_locked() - ends it with an error for all. Return: its object, to be put without
 *  the lock. */
struct cache_object *cache_fill_fail_locked(struct cache_fill *fill, int status,
					    struct cache_work *work);

/** cache_fill_put_off() - Return: whether those who wait still have time and @status is one that
 *  passes: then the fill is tried again a little later. */
bool cache_fill_put_off(struct cache_fill *fill, int status);

/** cache_fill_pause_locked() - until @at_ns. */
void cache_fill_pause_locked(struct cache_fill *fill, uint64_t at_ns);

/** cache_fill_deadline_locked() - the latest of those who wait. */
uint64_t cache_fill_deadline_locked(const struct cache_fill *fill);

/** cache_fill_pad() - the SSD is written in pages: behind the block's end it gets zeros. */
void cache_fill_pad(struct cache_fill *fill);

/** cache_fill_report() - logs and counts why a fetch of it failed. @from: "peers", "backing". */
void cache_fill_report(const struct cache_fill *fill, const char *from, int status,
		       const char *problem);

/* kept.c */

/**
 * cache_fill_verify() - what another process left where the fill is to bring bytes: compares it
 * with its checks.
 * Return: whether the fill was seen to; then it may have ended already. If not the SSD is next.
 */
bool cache_fill_verify(struct cache_fill *fill);

/* fill_peers.c */

/**
 * cache_fill_ask() - the SSD does not have it: asks other nodes, if there are any and they were not
 * asked before; and ends the readers that wait for this node's SSD alone.
 * Return: whether the fill was seen to. If not the backing store is next.
 */
bool cache_fill_ask(struct cache_fill *fill);

/* fill_backing.c */

/** cache_run_takes() - whether @fill may join the @run. */
bool cache_run_takes(const struct cache *cache, const struct cache_run *run,
		     const struct cache_fill *fill);
void cache_run_add(struct cache_run *run, struct cache_fill *fill);

/** cache_run_fetch() - fetches what is in the run, and empties it. */
void cache_run_fetch(struct cache *cache, struct cache_run *run);

/** cache_fill_fetch() - a run of one. */
void cache_fill_fetch(struct cache_fill *fill);

/** cache_fill_promote_locked() - someone waits for it now. */
void cache_fill_promote_locked(struct cache_fill *fill);

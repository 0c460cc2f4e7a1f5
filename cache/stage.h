/*
 * stage.h - what the cache does for its peers: a unit brought into the window for one, and held
 * there while it is read; and how cache/peer/ is attached.
 *
 * What the cache does for a reader of its own it does for a peer too: window, SSD, other nodes,
 * backing store, single flight with all others who want the unit. But nodes that wait for each
 * other must not stand still in a circle. So there are three classes, and each waits only for those
 * behind it:
 *
 *	demand   own readers: wait for serve (another node's) and for all that serve waits for
 *	serve    for a peer: waits for forward (another node's) and for the backing store
 *	forward  for a peer who serves another one (`local`): waits for this node's SSD, and for a
 *	         backing store that is being asked anyway
 *
 * Frames. Each class leaves a part of the arena unpinned for those behind it (window/window.c), and
 * waits for frames in a queue of its own. What forward pins ends by itself: SSD, a lease. So serve
 * gets its frames in the end, everywhere, and so does demand. What is yet to be written to the SSD
 * is pinned by nobody, and holds any class up for a bounded time (cache/write.c).
 *
 * Fills. A unit has one fill, and who comes later joins it. Suppose A takes B for the owner of a
 * unit and B takes A for it, since their placements differ for a moment, and readers on both want
 * it: A's fill asks B, whose stage would join B's fill, which asks A. Both would say "working" to
 * each other until their readers give up. Therefore:
 *   - a fill begun for a peer, or that one waits for, or of a block owned here, asks other nodes
 *     only for what they have themselves (forward); then it goes to the backing store;
 *   - a stage does not join a fill that asks as a reader does (demand). It ends with -EAGAIN, the
 *     fill's asking side is told that a peer waits (peer_fetch.serving) and asks nobody to work for
 *     it any more; the peer comes again a little later and finds a fill that it may join. Of the
 *     nodes of a circle all are told so, and each goes to the backing store on its own: a circle
 *     costs a fetch more, never a time-out;
 *   - a local stage joins no fill that asks other nodes, nor stays with one that turns to them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/cache.h"
#include "cache/object.h"
#include "cache/window/key.h"
#include "fabric/identity.h"

struct peer_source;
struct store_cursor;
struct store_object;
struct store_page;
struct window_directory;

/** cache_arena() - what peers may read: page-aligned, of a length that never changes. */
void *cache_arena(const struct cache *cache, uint64_t *out_len);

uint32_t cache_block_len(const struct cache *cache);

/**
 * cache_attach_peers() - from now on what is complete in the window is published in @directory (may
 * be NULL), what neither window nor SSD has is asked of @source before the backing store, and
 * blocks that this node does not own go to its SSD as config.replicate says. Before the first read.
 * @source: copied; what stands behind it is borrowed until cache_destroy(). @directory: likewise.
 */
void cache_attach_peers(struct cache *cache, const struct peer_source *source,
			struct window_directory *directory);

/* Of what other nodes bring, one unit in @every is fetched from the backing store a second time and
 * compared: audit.h. */
struct cache_audit_config {
	uint64_t every; /* 0: none */
	uint64_t seed;	/* which */
	/* NULL, or: what people call @member; "" not known. Any thread, until cache_stop(). */
	void (*name)(void *context, const struct member_id *member, char *out, size_t out_size);
	void *context;
};

/** cache_set_audit() - from now on; until the first call there are none. @config: copied. Any
 *  thread. */
void cache_set_audit(struct cache *cache, const struct cache_audit_config *config);

/** cache_owner_changed() - which blocks this node owns has changed: those it does not own any more
 *  are the first to go from its SSD. Before cache_stop(). Any thread. */
void cache_owner_changed(struct cache *cache);

enum cache_origin {
	CACHE_ORIGIN_WINDOW,
	CACHE_ORIGIN_SSD,
	CACHE_ORIGIN_PEER,
	CACHE_ORIGIN_BACKING,
};

/* The caller's struct, lent until done() has run and, when its status was 0, until
 * cache_stage_finish(). */
struct cache_stage {
	/* set by the caller; strings borrowed for the call of cache_stage_start() */
	struct object_version version;
	int64_t mtime_s;
	const char *dataset;
	uint64_t index; /* of the unit's key: window/key.h */
	/* From the window or this node's SSD, or -ENOENT. A fill that is under way is waited for
	 * only while it waits for nobody but the SSD or the backing store. */
	bool local;
	uint64_t deadline_ns;
	void (*done)(struct cache_stage *stage); /* any thread; perhaps inside the call */
	void *context;
	/* set before done */
	/* 0; -ENOENT (local: not here; else: the object is gone); -EAGAIN this node asks others for
	 * it right now: again a little later; -ENODEV no backing store of that id; -EINVAL no such
	 * unit; -ENOMEM; or as cache_read_start() */
	int status;
	uint64_t off; /* in the arena; held until cache_stage_finish() */
	uint32_t len;
	enum cache_origin origin;
	uint64_t checks[BLOCK_GRANULES_MAX]; /* one a granule */
	/* the caller's, from done() to cache_stage_finish(): done() hands it to another thread */
	STAILQ_ENTRY(cache_stage) link;
	/* private */
	struct cache_read read;
	struct cache_object *object;
	bool kept; /* cache_stage_keep() has had it written, or tried to */
};

/** cache_stage_start() - done() runs exactly once. Any thread; never blocks. */
void cache_stage_start(struct cache *cache, struct cache_stage *stage);

/** cache_stage_cancel() - as cache_read_cancel(), with its rules; harmless once done() has run. */
void cache_stage_cancel(struct cache_stage *stage);

/** cache_stage_finish() - gives the frame back; once for each that ended with status 0. */
void cache_stage_finish(struct cache_stage *stage);

/**
 * cache_stage_keep() - sees to it that a staged block gets to this node's SSD. While it is held it
 * cannot be dropped on its way there.
 * Return: 0 it is there (a node without directories has it in memory, which is all it can do);
 *   -EAGAIN    on its way: again a little later;
 *   -ENOSPC    it was tried, and the SSD does not take it: policy, room, failure;
 *   -EINVAL    a granule, or what is never kept;
 *   -ECANCELED the cache stops.
 * Threads: one at a time for a stage, between its done() and cache_stage_finish().
 */
int cache_stage_keep(struct cache_stage *stage);

/** cache_has_block() - whether it is on this node's SSD (written; perhaps not committed). Any
 *  thread. */
bool cache_has_block(struct cache *cache, const struct object_id *id, uint64_t block);

/** cache_would_keep() - whether the SSD would take a block of @len bytes now, in the role that it
 *  has; counts as an access, and a refusal as one. True where there are no directories. */
bool cache_would_keep(struct cache *cache, const struct store_object *object, uint64_t block,
		      uint32_t len);

/** cache_list() - what is on the SSD, in portions: store_list() says how. Return: as that does;
 *  -ECANCELED the cache stops. */
int cache_list(struct cache *cache, struct store_cursor *cursor, struct store_page *out_page);

/** cache_replica_bytes() - on the SSD, of blocks that other nodes own. Some ms; before
 * cache_stop(). Any thread. */
uint64_t cache_replica_bytes(struct cache *cache);

/** cache_touch() - peers have read these units: they age like those read here. Any thread. */
void cache_touch(struct cache *cache, const struct window_key *keys, unsigned count);

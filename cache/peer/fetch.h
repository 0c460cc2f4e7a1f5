/*
 * fetch.h - a unit wanted from other nodes: what the cache hands to its peers between its own SSD
 * and the backing store.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/object.h"
#include "cache/window/key.h"
#include "fabric/identity.h"

struct store_object;

enum peer_outcome {
	PEER_FETCHED, /* the bytes are there and match their checks */
	PEER_MISSED,  /* nobody has them, or nobody answers: the backing store may be asked */
	PEER_FAILED,  /* there is no use in asking the backing store: see status */
};

/* The caller's struct, lent until done() has run. */
struct peer_fetch {
	/* set by the caller */
	struct window_key key;
	const struct store_object *object; /* borrowed until done */
	uint64_t block;			   /* that it is, or is a granule of */
	void *dst;			   /* in the arena; room for @len */
	uint64_t deadline_ns;
	/* On the peers' thread, exactly once, and only when nothing can write @dst any more; never
	 * inside the call that started it, but for one after peers_stop(). */
	void (*done)(struct peer_fetch *fetch);
	uint32_t len;
	/* This node owns the block, or a peer waits for the unit: only LOCAL asks of former owners,
	 * never a STAGE that may go further, or nodes could wait for each other in a circle. The
	 * cache may set it while the fetch is under way: look again before each further STAGE. */
	_Atomic bool serving;
	/* set before done */
	bool placed; /* FETCHED, MISSED: this node owns the block, it should keep it */
	enum peer_outcome outcome;
	struct member_id source; /* FETCHED: who served it */
	int status; /* FAILED: -ESTALE, -ENOENT, -EACCES: the backing store's word, final;
		       -EIO, -ETIMEDOUT, -EAGAIN: passes; -ECANCELED */
	uint64_t checks[BLOCK_GRANULES_MAX]; /* FETCHED: one a granule */
	/* private */
	struct {
		STAILQ_ENTRY(peer_fetch) link;
		void *state;
	} p;
};

STAILQ_HEAD(peer_fetches, peer_fetch);

/* What the cache asks of its peers: peers_fetch() and peers_owns(), or a test's. */
struct peer_source {
	void *context;
	/* Any thread; never blocks. */
	void (*fetch)(void *context, struct peer_fetch *fetch);
	/* Whether this node is the first in the ranking of a block. Any thread; never blocks. */
	bool (*owns)(void *context, const struct object_id *id, uint64_t block);
};

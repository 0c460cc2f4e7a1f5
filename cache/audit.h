/*
 * audit.h - a sample of what other nodes brought is fetched from the backing store a second time
 * and compared. Checks show that bytes are those that their member had; that a member has the right
 * ones is its word, and this is what puts it to the test.
 *
 *	IDLE --> CHOSEN --> FETCHING --> IDLE
 *	            `--------------------^ no room, or the cache stops
 *
 * One at a time, into a frame that nobody waits for; what is chosen meanwhile is skipped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "cache/backing.h"
#include "cache/peer/fetch.h"
#include "cache/stage.h"

#define CACHE_DISTRUSTED_MAX 64

struct cache;
struct window_entry;

enum cache_audit_state {
	CACHE_AUDIT_IDLE,
	CACHE_AUDIT_CHOSEN,   /* until its readers have been let go */
	CACHE_AUDIT_FETCHING, /* the backing store's answer */
};

/* A block whose bytes are not taken from other nodes any more. */
struct cache_distrusted {
	struct object_id id;
	uint64_t block;
};

struct cache_audit {
	_Atomic uint64_t every; /* one unit in so many; 0: none */
	/* guarded by cache->lock, as long as it is IDLE also those below */
	struct cache_audit_config config;
	struct random random;
	enum cache_audit_state state;
	struct cache_distrusted distrusted[CACHE_DISTRUSTED_MAX];
	unsigned distrusted_count; /* ever: the oldest one gives way */
	/* the one under way; its owner is the thread that drives it */
	struct cache_object *object; /* a reference */
	struct window_key key;
	uint32_t len;
	struct member_id source;	     /* who served it */
	uint64_t checks[BLOCK_GRANULES_MAX]; /* that came with it */
	struct window_entry *frame;
	struct backing_get get;
};

/** cache_audit_choose() - what @ask brought for @object may be the one to be looked at. Before its
 *  readers are let go. Return: true: then cache_audit_start() once they are. */
bool cache_audit_choose(struct cache *cache, struct cache_object *object,
			const struct peer_fetch *ask);

/** cache_audit_start() - fetches what was chosen, if there is room. Never waits. */
void cache_audit_start(struct cache *cache);

/** cache_distrusts_locked() - whether the block that @key is, or is a granule of, was found to be
 *  another one with other nodes than in the backing store. */
bool cache_distrusts_locked(const struct cache *cache, const struct window_key *key);

/*
 * catalog.h - names asked once for all: lists and heads go by way of one member, which asks the
 * backing store, keeps the answer for a while and gives it to whoever asks next. Which one: the
 * first in the ranking of the slot of what is asked for (backing store, bucket, prefix, token ...
 * or key), so that every directory page and every key has an owner as every block has.
 *
 *	mount --> a wrapper around the backing store
 *	  |- this node is alone, or the store is not `remote` -------------> the store itself
 *	  |- this node owns it: one flight for all who ask, then it is kept
 *	  |- another one: ASK --> WORKING ... --> ANSWER: what a head found, or a small page, or
 *	  |	the name of a page, which is then read like any object, through the cache
 *	  `- it is silent, refuses, or takes half the time there is: the next in the ranking, once;
 *	     then the store itself, so that no name is harder to have than without other nodes
 *
 * A page that is read like an object is one of the backing store ".catalog": (its bucket: the id of
 * the member that keeps it, its key: what it answers, its etag: which of that member's pages). It
 * is `transient`, and the one member that has it is all that can be asked for it.
 *
 * An answer is as good as the asker says (max_age_ns ... of backing.h), and says how old it is.
 * What the store answered to a question is an answer to all who asked before it was put, whoever
 * they are; errors are told to those who wait, and not kept, but for a head's -ENOENT.
 *
 * Threads: wrappers are called from any. The rest is the transport's owner's, but for what says
 * otherwise. done()s of heads and lists that were not passed on to the store run on the porter's.
 */
#pragma once

#include "base/clock.h"
#include "base/counter.h"
#include "cache/backing.h"
#include "cache/cache.h"
#include "cache/peer/catalog_porter.h"
#include "cache/peer/neighbours.h"
#include "cache/peer/outbox.h"
#include "cache/peer/peers.h"
#include "cache/peer/wire.h"
#include "cache/placement/placement.h"
#include "fabric/identity.h"

#define CATALOG_BACKING	    ".catalog"
#define CATALOG_ASKS_MAX    4096 /* heads and lists of this node under way; more go to the store */
#define CATALOG_GUESTS_MAX  8192 /* questions of other nodes under way; more are refused */
#define CATALOG_FLIGHTS_MAX 1024
#define CATALOG_READING_MAX (64u << 20) /* bytes of pages being read; more: the store is asked */

struct catalog;

/* What it needs of the cache: cache_object_open() ... or a test's. */
struct catalog_cache {
	void *context;
	int (*open)(void *context, const struct object_version *version, struct backing *source,
		    struct cache_object **out_object);
	void (*put)(void *context, struct cache_object *object);
	int (*start)(void *context, struct cache_read *read);
	void (*cancel)(void *context, struct cache_read *read);
	void (*finish)(void *context, struct cache_read *read);
};

struct catalog_setup {
	const struct peers_config *config; /* borrowed for life; live ones may change */
	const struct clock *clock;
	struct counters *counters; /* of PEERS_COUNTER_COUNT */
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct placement *placement;
	struct member_id self;
	uint64_t boot; /* random at each start: pages of the last run are none of this one's */
	uint64_t memory_max;		 /* bytes of what is kept */
	struct catalog_cache cache;	 /* copied */
	struct catalog_porter porter;	 /* copied; until catalog_destroy() */
	struct backing *const *backings; /* borrowed until catalog_destroy(), as what it points to
					    until that is destroyed */
	unsigned backing_count;
	void (*wake)(void *context); /* any thread: catalog_tick() is wanted */
	void *context;
};

/** catalog_of_cache() - what it needs of a real one. */
struct catalog_cache catalog_of_cache(struct cache *cache);

/** catalog_create() - Return: 0 or -ENOMEM. @setup: copied. */
int catalog_create(const struct catalog_setup *setup, struct catalog **out_catalog);

/**
 * catalog_backings() - the wrappers, in the order of setup.backings, and behind them the backing
 * store of pages: for the mount the first ones, all of them for cache_set_backings(). They are the
 * catalog's, never to be destroyed. Lent until catalog_destroy(). Any thread.
 */
struct backing **catalog_backings(struct catalog *catalog);

/** catalog_stop() - this node's questions end with -ECANCELED, others' are refused; from now on
 *  wrappers pass on everything. Needs outbox and neighbours until it is idle. */
void catalog_stop(struct catalog *catalog);

/** catalog_is_idle() - after catalog_stop(): nothing is being read, catalog_tick() need not be
 *  called any more. */
bool catalog_is_idle(const struct catalog *catalog);

/** catalog_destroy() - once it is idle, the backing stores are destroyed (what they were asked for
 *  lands in here) and the porter is gone. NULL is fine. Any thread. */
void catalog_destroy(struct catalog *catalog);

/** catalog_message() - an ASK or ANSWER of @from. */
void catalog_message(struct catalog *catalog, struct transport_peer *from,
		     const struct peer_message *message);

/** catalog_down() - @peer's connection is no more, whoever had opened it. */
void catalog_down(struct catalog *catalog, struct transport_peer *peer);

/** catalog_tick() - does what is due. Return: when it wants to be called again; CLOCK_NEVER. */
uint64_t catalog_tick(struct catalog *catalog);

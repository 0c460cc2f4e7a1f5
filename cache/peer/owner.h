/*
 * owner.h - the serving side: peers ask for units, which it brings into the window and holds while
 * they read them.
 *
 *	STAGE --> QUEUED (no room for one more lease) --> STAGING --> LEASED --> free
 *	  |          | full: REFUSED busy, with a time     | WORKING       | RELEASE, expiry,
 *	  `----------+-------------------------------------+--> REFUSED    | connection down
 *
 * A lease is a frame that is not recycled. They take at most half the arena, with a share for each
 * peer, and end by themselves: a peer that dies, stops or forgets costs its leases' time.
 *
 * What is asked for LOCAL has room of its own (a quarter of what is staged at once, of what waits
 * and of the bytes), so that it waits for nothing that waits for another node. Peers take turns;
 * each may take a quarter of the bytes, or two blocks, and a quarter of the places to wait.
 *
 * Threads: the transport's owner, every call. The machine reads no clock but the one it was given
 * and waits for nothing.
 */
#pragma once

#include "base/clock.h"
#include "base/counter.h"
#include "cache/peer/outbox.h"
#include "cache/peer/peers.h"
#include "cache/peer/wire.h"
#include "cache/stage.h"

struct owner;

/* What it needs of the cache; the real one, or a test's. */
struct owner_cache {
	void *context;
	/* cache_stage_start(), with done and context of its own: once it is done, on whatever
	 * thread, owner_stage_done() is called on ours, never inside this call. */
	void (*start)(void *context, struct cache_stage *stage);
	/* perhaps after done() has run, as long as owner_stage_done() was not called */
	void (*cancel)(void *context, struct cache_stage *stage);
	void (*finish)(void *context, struct cache_stage *stage);
	void (*touch)(void *context, const struct window_key *keys, unsigned count);
};

struct owner_setup {
	const struct peers_config *config; /* borrowed for life; live ones may change */
	const struct clock *clock;
	struct counters *counters; /* of PEERS_COUNTER_COUNT */
	struct outbox *outbox;
	struct owner_cache cache; /* copied */
	const unsigned char *arena;
	uint64_t arena_len;
	uint64_t epoch; /* of the arena */
	uint32_t block_len;
};

/** owner_create() - Return: 0 or -ENOMEM. @setup: copied. */
int owner_create(const struct owner_setup *setup, struct owner **out_owner);

/** owner_stop() - refuses what comes, cancels what is being staged, ends the leases. What was
 *  started is still to be told by owner_stage_done(). */
void owner_stop(struct owner *owner);

/** owner_is_idle() - nothing is waiting, being staged or leased. */
bool owner_is_idle(const struct owner *owner);

/** owner_destroy() - when idle, and after the transport was closed: pieces of pushed units are lent
 *  to it. NULL is fine. */
void owner_destroy(struct owner *owner);

/** owner_message() - a STAGE, CANCEL, RELEASE or HITS of @from, whose connection is there. */
void owner_message(struct owner *owner, struct transport_peer *from,
		   const struct peer_message *message);

/** owner_down() - @peer's connection is no more: its requests and leases end. One that has asked
 * for nothing is fine. */
void owner_down(struct owner *owner, struct transport_peer *peer);

/** owner_stage_done() - what owner_cache.start() began is done. */
void owner_stage_done(struct owner *owner, struct cache_stage *stage);

/** owner_tick() - does what is due. Return: when it wants to be called again; CLOCK_NEVER. */
uint64_t owner_tick(struct owner *owner);

/*
 * neighbours.h - the other members as the data plane knows them: their address, the connection to
 * them, the shape of their directory, and a breaker that spares one which does not answer:
 *
 *	CLOSED -- `breaker_failures` silent in a row --> OPEN -- every breaker_probe --> PROBING
 *	   ^                                               ^                                |
 *	   +----------------------- it answered -----------|------------ silent ------------+
 *
 * While a member restarts, and has said until when, its silence counts for nothing.
 *
 * An address is one member's: who is told to be there last has it, the other one is at none.
 *
 * Threads: the transport's owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "cache/peer/peers.h"
#include "cache/placement/placement.h"
#include "cache/window/directory.h"
#include "fabric/identity.h"
#include "fabric/transport/transport.h"

struct neighbours;

struct neighbour {
	struct member_id id;
	struct address address;	     /* of its fabric; none: it cannot be read */
	struct transport_peer *peer; /* NULL until first wanted; its context is this neighbour */
	bool shape_known;	     /* forgotten when the connection goes down */
	struct directory_shape shape;
	uint64_t epoch;		/* of its arena, as last heard; 0: not yet */
	bool open;		/* the breaker; PROBING too */
	unsigned failures;	/* silent, in a row */
	uint64_t probe_ns;	/* open: when one may try again */
	uint64_t restarting_ns; /* it restarts, and means to be back by then; 0: it does not */
	bool connected;		/* as reader.h last heard */
	uint64_t closed_ns;	/* when a connection that was up closed, not by us; 0: never */
	uint64_t leaving;	/* its weight, while it hands over what it has; 0: it does not */
	void *ledger;		/* reader.h's: what it is to be told */
};

struct neighbours_setup {
	const struct peers_config *config; /* borrowed for life */
	struct transport *transport;
	struct counters *counters;
	/* tells the gossip that @id failed us, and is not known to restart; may be NULL */
	void (*evidence)(void *context, const struct member_id *id, const char *why);
	void *context;
};

/* Who has neighbours in hand, and is told before what they hold is no more. */
struct neighbours_watcher {
	void *context;
	/* Its connection is given up, for good when it is removed: nothing that was sent is
	 * answered any more, what is being read ends with -ECANCELED. The neighbour itself lives
	 * until this returns. */
	void (*given_up)(void *context, struct neighbour *neighbour);
	/* It may be there again, or elsewhere: who waits for it should try. */
	void (*hopeful)(void *context, struct neighbour *neighbour);
};

/** neighbours_create() - Return: 0 or -ENOMEM. @setup: copied. */
int neighbours_create(const struct neighbours_setup *setup, struct neighbours **out_neighbours);

/** neighbours_watch() - @watcher: copied; NULL: nobody is told any more. One at a time. */
void neighbours_watch(struct neighbours *neighbours, const struct neighbours_watcher *watcher);

/** neighbours_stop() - gives up the connections; nobody is usable any more. */
void neighbours_stop(struct neighbours *neighbours);

/** neighbours_destroy() - neighbours_stop(), and frees. Before transport_close(). NULL is fine. */
void neighbours_destroy(struct neighbours *neighbours);

/**
 * neighbours_update() - @id is at @address now. An address that changed gives up the connection.
 * Return: 0 or -ENOMEM.
 */
int neighbours_update(struct neighbours *neighbours, const struct member_id *id,
		      const struct address *address);

/** neighbours_remove() - it is dead, or has left: its connection is given up, what is in flight
 *  ends. */
void neighbours_remove(struct neighbours *neighbours, const struct member_id *id);

/** neighbours_restarting() - @id restarts and means to be back by @until_ns; 0: it does not
 *  restart (any more). Nothing happens when it is not known. */
void neighbours_restarting(struct neighbours *neighbours, const struct member_id *id,
			   uint64_t until_ns);

/** neighbours_leaving() - @id hands over what it has, with the @weight by which blocks were placed
 * on it; 0: it does not (any more). Nothing happens when it is not known. */
void neighbours_leaving(struct neighbours *neighbours, const struct member_id *id, uint64_t weight);

/* That are looked at; of more that leave at a time the rest is not asked. */
#define NEIGHBOURS_LEAVING_MAX PLACEMENT_AMONG_MAX

/** neighbours_leaving_list() - those that leave, as placement_rank_among() takes them. Return: how
 *  many; in a settled cluster that is known without a look at anybody. */
unsigned neighbours_leaving_list(const struct neighbours *neighbours,
				 struct placement_member out[NEIGHBOURS_LEAVING_MAX]);

/** neighbours_any() - whether one is known. */
bool neighbours_any(const struct neighbours *neighbours);

/** neighbours_find() - NULL: not known. Stays valid until neighbours_remove(). */
struct neighbour *neighbours_find(struct neighbours *neighbours, const struct member_id *id);

/** neighbour_usable() - whether it is worth asking now: an address, and the breaker lets one by.
 *  Then neighbour->peer is there. */
bool neighbour_usable(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t now_ns);

/** neighbour_answered() / neighbour_failed() - for the breaker; the latter is evidence too. */
void neighbour_answered(struct neighbours *neighbours, struct neighbour *neighbour);
void neighbour_failed(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t now_ns,
		      const char *why);

static inline bool neighbour_is_restarting(const struct neighbour *neighbour, uint64_t now_ns)
{
	return neighbour->restarting_ns > now_ns;
}

/*
 * inquiry.h - what operators ask of members through the running daemons: how one is, what it holds
 * of an object, how fast it reads from another, that it takes over blocks. Few and small, and never
 * in the way of reads.
 *
 *	asker	INQUIRE ------------------------------------> answerer
 *		   <-- REPORT working, every PEER_WORKING_NS
 *		   <-- REPORT done, or failed and why
 *
 * An answerer that says nothing for `peers.silence` (two seconds at least for its first word, as
 * there may be no connection yet) is given up, as is one whose connection goes down. At most
 * INQUIRIES_MAX are under way on each side; what is beyond is refused, busy.
 *
 * Threads: the transport's owner; what takes longer than a look at counters has threads of its own
 * (at most INQUIRY_CLERKS_MAX, started when first needed).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "cache/peer/neighbours.h"
#include "cache/peer/outbox.h"
#include "cache/peer/peers.h"
#include "cache/peer/wire.h"

#define INQUIRIES_MAX	   256
#define INQUIRY_CLERKS_MAX 4

struct inquiry;

/* What is asked of this node. */
struct inquiry_answers {
	void *context;
	/* Each on a clerk's thread. Texts of @out: lent for life. Return: 0, -EIO ... */
	int (*summary)(void *context, struct peer_summary *out);
	/* Return: 0, -EIO ... */
	int (*holdings)(void *context, const struct object_version *version,
			struct peer_holdings *out);
	/* Blocks until all are here, or @deadline_ns. What is there by then is
	 * told. @stopping: set by another thread: give up. Return: 0, or why nothing was done. */
	int (*take)(void *context, const struct peer_inquire *asked, const struct member_id *from,
		    uint64_t deadline_ns, const atomic_bool *stopping, struct peer_taken *out);
};

struct inquiry_setup {
	const struct peers_config *config; /* borrowed for life; live ones may change */
	const struct clock *clock;
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct measure *measure; /* answers MEASURE: measure.h */
	struct member_id self;
	struct inquiry_answers answers; /* copied */
	void (*wake)(void *context);	/* any thread: inquiry_tick() has something to do */
	void *context;
};

/** inquiry_create() - Return: 0 or -ENOMEM. @setup: copied. */
int inquiry_create(const struct inquiry_setup *setup, struct inquiry **out_inquiry);

/** inquiry_stop() - ends what this node has asked (-ECANCELED), refuses what it is asked, and tells
 *  clerks to give up. */
void inquiry_stop(struct inquiry *inquiry);

/** inquiry_is_idle() - nothing is under way, for us or for others. */
bool inquiry_is_idle(const struct inquiry *inquiry);

/** inquiry_destroy() - when idle. NULL is fine. */
void inquiry_destroy(struct inquiry *inquiry);

/** inquiry_start() - see peers_inquire(). Of this node itself it is answered like that of any
 * other. */
void inquiry_start(struct inquiry *inquiry, struct peers_inquiry *asked);

/** inquiry_message() - an INQUIRE or a REPORT of @from, whose connection is there. */
void inquiry_message(struct inquiry *inquiry, struct transport_peer *from,
		     const struct peer_message *message);

/** inquiry_down() - @peer's connection is no more. One that has asked for nothing is fine. */
void inquiry_down(struct inquiry *inquiry, struct transport_peer *peer);

/** inquiry_tick() - does what is due. Return: when it wants to be called again; CLOCK_NEVER. */
uint64_t inquiry_tick(struct inquiry *inquiry);

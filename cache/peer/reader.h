/*
 * reader.h - the asking side: brings a unit from whoever holds it.
 *
 * Not this node's block: its owner is asked, then the second in the ranking; after two silent ones
 * the backing store may be asked directly, within a budget.
 *
 *	locator known --------------------------------> READ --> checks hold --> FETCHED
 *	   | no                                          ^  |
 *	   v                                             |  v mismatch: forget the locator
 *	directory: bucket, checks (verbs only) --found---+  |
 *	   | not there                                   |  |
 *	   v                                             |  |
 *	STAGE --> WORKING ... --> STAGED ----------------+  |
 *	   ^  |      REFUSED busy: again a little later     |
 *	   |  |      REFUSED referred: STAGE (local) to one of the holders, then back
 *	   |  `----> silent: the next in the ranking        |
 *	   +------------------------------------------------+ two mismatches: STAGE with PUSH
 *
 * This node's block: whoever held it before is asked, LOCAL, all at once: the members down the
 * ranking through the first that has been storing for longer than `settle`, at most
 * PLACEMENT_RANK_MAX; none if that is this node. MISSED when none has it. The same way goes a unit
 * that peers wait for here (fetch.h: serving): asking further could go round in a circle.
 *
 * An owner that restarts is waited for: it said when it means to be back, and until half of the
 * fetch's time is gone it is tried again ten times a second. So is one whose connection closed, for
 * `silence` from then on, as the news that it restarts may be on their way. Where no connection can
 * be made to an owner that was not there a moment ago, none is waited for: the next one at once.
 *
 * Over UCX a READ costs the owner's CPU what a message does, so there the directory is not read:
 * STAGE and one READ are two round trips, not three.
 *
 * What was read is released, and what was read without asking is told as hits, in batches.
 *
 * Threads: the transport's owner, every call.
 */
#pragma once

#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "cache/peer/fetch.h"
#include "cache/peer/locators.h"
#include "cache/peer/neighbours.h"
#include "cache/peer/outbox.h"
#include "cache/peer/peers.h"
#include "cache/peer/wire.h"
#include "cache/placement/placement.h"

struct reader;

struct reader_setup {
	const struct peers_config *config; /* borrowed for life */
	const struct clock *clock;
	uint64_t seed;
	struct counters *counters; /* of PEERS_COUNTER_COUNT */
	struct histogram *latency; /* ns, of fetches that brought their bytes; NULL: not wanted */
	struct outbox *outbox;
	struct neighbours *neighbours; /* which it watches: neighbours_watch() */
	struct placement *placement;
	struct member_id self;
	uint32_t block_len;
	uint64_t read_timeout; /* ns: for so long who is read from may bring nothing */
	bool directory;	       /* directories are read first: worth it on verbs */
};

/** reader_create() - Return: 0 or -ENOMEM. @setup: copied. */
int reader_create(const struct reader_setup *setup, struct reader **out_reader);

/**
 * reader_scratch() - where directories are read to: page-aligned, of a length that never changes,
 * the reader's. To be registered for landing before the first reader_start().
 */
void *reader_scratch(struct reader *reader, size_t *out_len);

/** reader_stop() - what is under way ends with -ECANCELED, as soon as nothing can write its
 *  destination any more; so does what is started later. Stops the neighbours, so that this is soon;
 *  from now on the reader uses neither them nor the transport. */
void reader_stop(struct reader *reader);

/** reader_is_idle() - nothing is under way, every done() has run. */
bool reader_is_idle(const struct reader *reader);

/** reader_destroy() - when idle; without reader_stop() before the neighbours are destroyed. NULL is
 *  fine. */
void reader_destroy(struct reader *reader);

/** reader_start() - a fetch. Its done() runs in reader_tick(), which is due then. */
void reader_start(struct reader *reader, struct peer_fetch *fetch);

/** reader_message() - a STAGED, WORKING, REFUSED or PUSH of @from; anything else, and what nobody
 *  asked @from for, is counted as malformed. */
void reader_message(struct reader *reader, struct transport_peer *from,
		    const struct peer_message *message);

/** reader_up() / reader_down() - a connection that we opened. */
void reader_up(struct reader *reader, struct transport_peer *peer);
void reader_down(struct reader *reader, struct transport_peer *peer, int status, const char *why);

/** reader_tick() - does what is due, and runs done()s. To be called after every transport_poll(),
 *  and when it wants to. Return: when that is; CLOCK_NEVER. */
uint64_t reader_tick(struct reader *reader);

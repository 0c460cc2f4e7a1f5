/*
 * pump.h - keeps a number of reads of one peer in flight, checks what arrives, counts.
 *
 *	IDLE -- pump_start() --> WARMING -- pump_count() --> COUNTING
 *	  ^                         |                           |  its reads are used up, or
 *	  |                         v                           v  pump_stop(), or a read failed
 *	  +--- the last read in flight has ended ------- DRAINING
 *
 * A pump belongs to its transport's owner thread; pump_progress() may be read by any. Its memory is
 * lent to the transport while reads are in flight: wait until pump_is_idle() before it is freed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fabric/transport/transport.h"
#include "tools/bw/samples.h"

#define PUMP_STATUSES_MAX 4
#define PUMP_UNLIMITED	  UINT64_MAX

enum pump_state {
	PUMP_IDLE,
	PUMP_WARMING,
	PUMP_COUNTING,
	PUMP_DRAINING,
};

/* What is read, and where to. */
struct pump_source {
	struct transport_peer *peer;
	uint32_t region;
	uint64_t region_len;
	uint64_t seed;
	uint8_t *memory; /* inside one of our regions */
	size_t memory_len;
	bool verify;
};

struct pump_run {
	uint64_t len;
	unsigned depth;
	uint64_t footprint;	 /* of each side, from plan_footprint() */
	struct samples *samples; /* NULL: times are not taken; lent until idle */
};

/* Of the counted reads, but for the failed and the last two. */
struct pump_result {
	uint64_t reads, bytes;
	uint64_t corrupt;     /* reads that brought wrong bytes, in WARMING too */
	uint64_t corrupt_off; /* in the peer's region, of the first wrong byte */
	struct {
		int status;
		uint64_t count;
	} failed[PUMP_STATUSES_MAX];
	uint64_t all_reads, all_bytes; /* with those before and after counting */
};

struct pump_slot {
	struct transport_read read;
	struct pump *pump;
	uint64_t started_ns;
	uint64_t check; /* of the destination, when its read failed */
	bool watched;
	struct pump_slot *next; /* of those that wait for -EAGAIN to pass */
};

struct pump {
	enum pump_state state;
	struct pump_source source;
	struct pump_run run;
	struct pump_result result;
	struct pump_slot *slots;
	unsigned slot_count, inflight;
	struct pump_slot *waiting;
	uint64_t stride, span, cursor; /* in the peer's region */
	uint64_t budget;	       /* reads that may still be started */
	const struct clock *clock;
	_Atomic uint64_t progress; /* reads that ended well since pump_start() */
};

/** pump_init() - @depth_max of all runs to come. Return: 0, -ENOMEM. */
int pump_init(struct pump *pump, const struct clock *clock, unsigned depth_max);

/** pump_fini() - of an idle one; may be called twice. */
void pump_fini(struct pump *pump);

/**
 * pump_start() - starts reading, not counted yet; the result is of this run from now on.
 * @source, @run: copied; run.depth <= depth_max, and the footprint fits into source.memory_len.
 * @reads: how many at most, until pump_count() gives another number.
 */
void pump_start(struct pump *pump, const struct pump_source *source, const struct pump_run *run,
		uint64_t reads);

/** pump_count() - what ends from now on counts. @reads: as many more are started, at most. Those in
 *  flight count too: call it on an idle one to count exactly @reads. */
void pump_count(struct pump *pump, uint64_t reads);

/** pump_freeze() - what ends from now on does not count. */
void pump_freeze(struct pump *pump);

/** pump_stop() - starts no more. */
void pump_stop(struct pump *pump);

/** pump_turn() - starts what could not be started before; to be called after each poll. */
void pump_turn(struct pump *pump);

/** pump_is_idle() - nothing is in flight, and nothing will be. */
bool pump_is_idle(const struct pump *pump);

/** pump_failed() - how many reads failed. */
uint64_t pump_failed(const struct pump *pump);

/** pump_watched() - how many failed reads' destinations are being watched (verify only).
 *  @out_changed: of how many a byte has changed since the read was said to have ended. */
unsigned pump_watched(const struct pump *pump, unsigned *out_changed);

/** pump_result_add() - adds what another pump found. */
void pump_result_add(struct pump_result *into, const struct pump_result *from);

static inline uint64_t pump_progress(const struct pump *pump)
{
	return atomic_load_explicit(&pump->progress, memory_order_relaxed);
}

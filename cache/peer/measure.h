/*
 * measure.h - how fast this node reads from another: READs of what happens to lie in its arena,
 * which land in memory of their own and are thrown away. Bounded in bytes, time and number under
 * way; one measurement runs, MEASURES_MAX wait their turn.
 *
 *	WAITING --> CONNECTING --> READING --> done
 *	   |             |            `-- nothing is under way any more: the transport's late bytes
 *	   |             |                have a place until then
 *	   `-------------`--------------------> done: deadline, stop, no way to the target
 *
 * The connection is the one that the node's readers use, if they have one; else one is made within
 * the deadline, not counted in the time, and closed afterwards. The breaker of a neighbour is not
 * looked at: an operator wants to know.
 *
 * Threads: the transport's owner, every call; done() too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "cache/peer/neighbours.h"
#include "cache/peer/wire.h"
#include "fabric/transport/transport.h"

#define MEASURES_MAX 32
/* Where all that is under way lands: fewer READs are under way than asked.depth when so many of
 * asked.read_len do not fit. */
#define MEASURE_LANDING_LEN ((size_t)8 << 20)

struct measure;

/* The caller's struct, lent until done() has run: exactly once, never inside measure_start(). */
struct measurement {
	/* set by the caller; the limits of struct peer_measure are the caller's to keep */
	struct peer_measure asked;
	/* No READ is begun in the last quarter of the time that is left when the first one is, so
	 * that a slow link ends a measurement, and not a connection that others read by. */
	uint64_t deadline_ns;
	void (*done)(struct measurement *measurement);
	void *context;
	/* set before done: 0; -EHOSTUNREACH not known, or no connection; -EINVAL it is this node;
	 * -ENOMEM and others of transport_region_add(); -EAGAIN MEASURES_MAX wait; -ETIMEDOUT;
	 * -ECANCELED; or as transport_read(). What was read by then is told either way. */
	int status;
	struct peer_measured measured;
	/* private */
	TAILQ_ENTRY(measurement) link;
};

/**
 * measure_create() - the landing memory is taken and registered with the first measurement and
 * kept.
 * @transport, @neighbours, @clock: borrowed for life. @self: this node. @seed: of the offsets.
 * Return: 0 or -ENOMEM.
 */
int measure_create(struct transport *transport, struct neighbours *neighbours,
		   const struct clock *clock, const struct member_id *self, uint64_t seed,
		   struct measure **out_measure);

/** measure_stop() - all end -ECANCELED; the running one starts no further READ. Before
 *  neighbours_stop(), which ends those that are under way. */
void measure_stop(struct measure *measure);

/** measure_is_idle() - none runs or waits, and every done() has run. */
bool measure_is_idle(const struct measure *measure);

/** measure_destroy() - when idle, and after the transport was closed. NULL is fine. */
void measure_destroy(struct measure *measure);

void measure_start(struct measure *measure, struct measurement *measurement);

/** measure_tick() - does what is due; after every poll: all done()s run in it. Return: when it
 * wants to be called again; CLOCK_NEVER. */
uint64_t measure_tick(struct measure *measure);

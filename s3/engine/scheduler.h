/*
 * scheduler.h - which request runs next, on which engine, and when. Pure: the time is passed in,
 * and whoever calls holds the client's lock.
 *
 *	submit -> QUEUED --next--> RUNNING --release--> (ended)
 *	            ^  \                |
 *	            |   expired         | pause
 *	            +---- PAUSED <------+
 *
 * A waiting request (QUEUED, PAUSED) has a timer: its deadline or the end of its pause. Foreground
 * requests go first, and background ones leave one connection in eight free, so that a demand read
 * need not wait for a prefetch to end.
 *
 * The first engine that is not busy gets the next request: one thread with many connections moves
 * the same bytes with less CPU than two (fewer wake-ups, warmer caches), until it has no time left.
 */
#pragma once

#include <stdbool.h>

#include "s3/engine/budget.h"
#include "s3/engine/timers.h"
#include "s3/s3.h"

TAILQ_HEAD(request_queue, s3_request);

enum request_state {
	REQUEST_IDLE,	 /* the caller's */
	REQUEST_QUEUED,	 /* waits for a connection, the budget or credentials */
	REQUEST_PAUSED,	 /* waits for its next try */
	REQUEST_RUNNING, /* belongs to an engine */
};

struct scheduler_engine {
	unsigned load; /* requests RUNNING there */
	bool busy;     /* its thread has hardly any time left */
};

struct scheduler {
	struct request_queue foreground, background; /* QUEUED */
	struct timers timers;			     /* of all that wait */
	unsigned waiting, queue_max;
	unsigned concurrent_max;
	unsigned engine_count, connections;
	struct scheduler_engine *engines;
	unsigned running;
	bool held; /* no credentials yet: nothing is handed out */
	struct budget budget;
	uint64_t budget_since_ns; /* the budget has been holding up the queue since; 0: it is not */
	uint64_t budget_wait_ns;  /* sum of these times */
};

/** scheduler_init() - @connections is per engine. Return: 0 or -ENOMEM. */
int scheduler_init(struct scheduler *scheduler, unsigned engine_count, unsigned connections,
		   unsigned queue_max);

/** scheduler_note_busy() - whether @engine's thread is short of time. */
void scheduler_note_busy(struct scheduler *scheduler, unsigned engine, bool busy);

/** scheduler_fini() - nothing may be waiting. */
void scheduler_fini(struct scheduler *scheduler);

/** scheduler_submit() - queues a new request. Return: false when queue_max wait already. */
bool scheduler_submit(struct scheduler *scheduler, struct s3_request *request);

/**
 * scheduler_next() - hands out the next request that may run now.
 * @out_engine: where. @out_wake_ns, when NULL is returned: ask again at that time (CLOCK_NEVER:
 * after the next release).
 */
struct s3_request *scheduler_next(struct scheduler *scheduler, uint64_t now_ns,
				  unsigned *out_engine, uint64_t *out_wake_ns);

/** scheduler_release() - a RUNNING request has ended or will be queued or paused next.
 *  @received: bytes that came, to settle with the budget. */
void scheduler_release(struct scheduler *scheduler, struct s3_request *request, uint64_t received);

/** scheduler_pause() - a released request is to run again at @at_ns, ahead of its queue. */
void scheduler_pause(struct scheduler *scheduler, struct s3_request *request, uint64_t at_ns);

/** scheduler_promote() - a background request joins the foreground: at once when it is QUEUED, else
 *  when it is queued again. */
void scheduler_promote(struct scheduler *scheduler, struct s3_request *request);

/** scheduler_expire() - queues what has paused long enough.
 *  Return: a request whose deadline has passed, taken out; NULL: no more. */
struct s3_request *scheduler_expire(struct scheduler *scheduler, uint64_t now_ns);

/** scheduler_drain() - takes out any waiting request; NULL: none. */
struct s3_request *scheduler_drain(struct scheduler *scheduler);

/*
 * supervise.h - when the next worker is started, and when the keeper ends: a machine without a
 * clock and without processes of its own.
 *
 *	STARTING  a worker was started; waits for it to say SERVING
 *	SERVING   waits for its end
 *	STOPPING  it said that it stops; waits for its end, which is the keeper's
 *	LEAVING   it makes way for another program; waits for its end
 *	PAUSED    none runs; waits for the next one's time
 *
 * A worker that ends before the first one ever served ends the keeper: the configuration is wrong,
 * and people wait for the answer. After that a death is answered with another worker. One that was
 * killed, by kill -9 or the OOM killer, is replaced at once, or nearly so; those that die by their
 * own doing, after growing pauses. They may die of what is kept for them (a
 * request that kills who takes it comes again): after SUPERVISE_BROKEN_MAX in a row it is let go,
 * readers get their errors, and all begins anew.
 *
 * One that is killed when it was told to stop leaves a dead mount behind: once, another one is
 * started, to take it off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SUPERVISE_BROKEN_MAX 7
#define SUPERVISE_START_NS   (UINT64_C(300) * 1000000000) /* to get to serve, after the first */
#define SUPERVISE_SOON_NS    (UINT64_C(1) * 1000000000)	  /* of serving: less is too quick */
#define SUPERVISE_WELL_NS    (UINT64_C(60) * 1000000000)  /* of serving: the pauses start over */

enum supervise_state {
	SUPERVISE_STARTING,
	SUPERVISE_SERVING,
	SUPERVISE_STOPPING,
	SUPERVISE_LEAVING,
	SUPERVISE_PAUSED,
};

struct supervise {
	enum supervise_state state;
	bool served; /* some worker has */
	bool told;   /* to stop */
	bool last;   /* one was started to end what who was killed could not */
	unsigned pauses;
	unsigned broken;
	uint64_t since_ns; /* STARTING, SERVING: since when; PAUSED: until when */
};

/* How a worker ended. */
struct supervise_end {
	int signal; /* 0: it exited */
	int status; /* exit status; -1: not known */
};

enum supervise_next {
	SUPERVISE_AGAIN,       /* PAUSED: start one when it is time */
	SUPERVISE_AGAIN_FRESH, /* the same, and let go of what is kept */
	SUPERVISE_QUIT,	       /* the keeper ends, with @out_status */
};

void supervise_started(struct supervise *supervise, uint64_t now_ns);
void supervise_serving(struct supervise *supervise, uint64_t now_ns);
void supervise_stopping(struct supervise *supervise);
void supervise_leaving(struct supervise *supervise);

/** supervise_stuck() - one that was to take over, while readers wait, does not get to serve. */
bool supervise_stuck(const struct supervise *supervise, uint64_t now_ns);

/** supervise_told() - a signal to stop came. Return: whether a worker must be started for it, which
 *  takes the mount off: none runs. */
bool supervise_told(struct supervise *supervise);

/** supervise_ended() - the worker is gone. @out_status: written when it is to quit. */
enum supervise_next supervise_ended(struct supervise *supervise, const struct supervise_end *end,
				    uint64_t now_ns, int *out_status);

/** supervise_failed() - one could not even be started. */
void supervise_failed(struct supervise *supervise, uint64_t now_ns);

/** supervise_due_ns() - when one is to be started; UINT64_MAX: not now. */
uint64_t supervise_due_ns(const struct supervise *supervise);

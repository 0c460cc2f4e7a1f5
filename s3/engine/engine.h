/*
 * engine.h - one thread of a client: a curl multi handle, its connections, and the attempts that
 * run over them.
 *
 * The thread's round: take over what the scheduler has assigned, start it, let curl work, judge
 * what has ended, look after what is late, sleep until a socket, a timer or another thread wakes
 * it. Engine 0 also serves the client's timers and delivers what ended without ever running.
 */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "base/random.h"
#include "s3/engine/attempt.h"
#include "s3/engine/reactor.h"
#include "s3/engine/scheduler.h"
#include "s3/engine/timers.h"
#include "s3/wire/sigv4.h"

struct s3_client;

TAILQ_HEAD(attempt_list, attempt);

/* How much of its time an engine's thread computes. */
struct busy_time {
	uint64_t since_ns; /* start of the window */
	uint64_t cpu_ns;   /* CPU time of the thread at that moment */
	bool busy;
};

struct engine {
	struct s3_client *client;
	unsigned index;
	pthread_t thread;
	struct reactor reactor;
	struct attempt *attempts; /* config->connections of them */
	struct attempt_list idle, busy;
	struct timers timers; /* of busy attempts */
	struct random random;
	struct busy_time busy_time;
	struct sigv4_scope scope;  /* the day's key, derived from */
	uint64_t scope_generation; /* these credentials */
	/* guarded by the client's lock */
	struct request_queue inbox; /* RUNNING requests to be started */
	bool sleeping;		    /* must be woken to see its inbox */
};

/** engine_init() - makes the handles; no thread yet. Return: 0, -ENOMEM, or another errno. */
int engine_init(struct engine *engine, struct s3_client *client, unsigned index);

/** engine_fini() - after its thread has ended, or when it never started. */
void engine_fini(struct engine *engine);

/** engine_start() - Return: 0 or -EAGAIN. */
int engine_start(struct engine *engine);

/** engine_wake() - makes it run a round. Any thread. */
void engine_wake(struct engine *engine);

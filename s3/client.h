/*
 * client.h - private to s3/: what a client is made of, and what its engines call.
 */
#pragma once

#include <pthread.h>

#include "s3/engine/engine.h"
#include "s3/engine/scheduler.h"
#include "s3/s3.h"
#include "s3/wire/uri.h"

#define CLIENT_NAME_MAX 32

struct credentials_provider;

/*
 * The life of a client: RUNNING until s3_client_destroy(); then STOPPING, in which every request
 * ends with -ECANCELED, also those that done() callbacks still start; an engine that has nothing
 * left is ENDED, engine 0 last because it delivers what never ran.
 */
enum client_phase {
	CLIENT_RUNNING,
	CLIENT_STOPPING,
	CLIENT_ENDED, /* for this engine */
};

struct s3_client {
	char name[CLIENT_NAME_MAX];
	const struct s3_config *config;
	const struct clock *clock;
	struct endpoint endpoint;
	struct credentials_provider *credentials;
	struct counters counters;
	struct histogram latency;
	_Atomic int64_t skew_s; /* added to our wall clock for signatures */
	unsigned engine_count;
	struct engine *engines;

	pthread_mutex_t lock;
	/* guarded by lock */
	struct scheduler scheduler;
	uint64_t scheduler_ns;	    /* when the scheduler must be looked at again, by engine 0 */
	uint64_t sleep_ns;	    /* until when engine 0 sleeps */
	struct request_queue never; /* ended without running: engine 0 tells their callers */
	bool stopping;
	unsigned engines_alive;
};

/** client_submit() - starts a request; @request's public fields are set. Any thread. */
void client_submit(struct s3_client *client, struct s3_request *request,
		   const struct s3_operation *operation);

/** client_collect() - moves what is assigned to @engine to @out; on engine 0 also serves timers. */
enum client_phase client_collect(struct s3_client *client, struct engine *engine,
				 struct request_queue *out);

/** client_sleep() - marks @engine asleep. Return: until when it may sleep, at most @until_ns. */
uint64_t client_sleep(struct s3_client *client, struct engine *engine, uint64_t until_ns);

/** client_pause() - a RUNNING request is to run again at @at_ns. */
void client_pause(struct s3_client *client, struct s3_request *request, uint64_t received,
		  uint64_t at_ns);

/** client_end() - a RUNNING request has ended; calls its done(). */
void client_end(struct s3_client *client, struct s3_request *request, uint64_t received,
		int status);

/** client_wall_s() - the time that the service believes it is. */
int64_t client_wall_s(const struct s3_client *client);

/** client_correct_clock() - the service's clock showed @date_s just now. */
void client_correct_clock(struct s3_client *client, int64_t date_s);

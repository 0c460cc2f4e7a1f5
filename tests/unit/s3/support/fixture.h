/*
 * fixture.h - a client against a scripted server, and waiting for what it reports.
 */
#pragma once

#include <pthread.h>

#include "tests/unit/s3/support/http_server.h"
#include "s3/s3.h"

#define FIXTURE_WAIT_S 60 /* bound of every wait: only a hang comes near it */

struct fixture {
	struct s3_config config;
	struct http_server *server;
	struct s3_client *client;
	char endpoint[64];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	unsigned done; /* requests that have ended */
};

/** fixture_init() - a config with small pauses against a server with @handler. No client yet: the
 *  test may change the config first. */
void fixture_init(struct fixture *fixture, http_handler handler, void *context);

/** fixture_start() - creates the client. */
void fixture_start(struct fixture *fixture);

/** fixture_fini() - ends what there is. */
void fixture_fini(struct fixture *fixture);

/** fixture_deadline() - @ms from now. */
uint64_t fixture_deadline(unsigned ms);

/** fixture_count_done() - for done callbacks: one more request has ended. */
void fixture_count_done(struct fixture *fixture);

/** fixture_wait_done() - until @count requests in all have ended. */
void fixture_wait_done(struct fixture *fixture, unsigned count);

/** fixture_counter() - the client's counter. */
uint64_t fixture_counter(const struct fixture *fixture, enum s3_counter counter);

/** fixture_wait_counter() - until the client's counter is at least @value. */
void fixture_wait_counter(const struct fixture *fixture, enum s3_counter counter, uint64_t value);

/** fixture_wait_requests() - until the server has seen @count requests. */
void fixture_wait_requests(struct fixture *fixture, unsigned count);

/** open_descriptors() - how many this process has. */
unsigned open_descriptors(void);

/* One request at a time, to its end. Each returns the status; the problem is in the struct. */
int fixture_get(struct fixture *fixture, struct s3_get *get);
int fixture_head(struct fixture *fixture, struct s3_head *head);
int fixture_list(struct fixture *fixture, struct s3_list *list);

/*
 * host.h - a thread of the server: a transport that offers the memory all threads share, and
 * answers the questions of those who are connected.
 *
 *	host_start() --> the thread opens and listens --> state LISTENING, or FAILED with a problem
 *	host_stop()  --> connections are fenced, the thread ends
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "tools/bw/buffer.h"
#include "tools/bw/note.h"
#include "tools/bw/options.h"
#include "tools/bw/setup.h"
#include "tools/bw/trouble.h"

enum host_state {
	HOST_STARTING,
	HOST_LISTENING,
	HOST_FAILED,
};

/* What all threads share; outlives them. */
struct host_common {
	struct setup *setup;
	const struct server_options *options;
	struct buffer region; /* what clients read */
	uint64_t seed;
	int event_fd; /* eventfd: a host's state or the number of clients has changed */
	_Atomic uint16_t ports[NOTE_PORTS_MAX];
	_Atomic unsigned port_count;
	_Atomic unsigned clients, clients_ever; /* connections */
	_Atomic uint64_t memory;		/* that our own reads land in */
	_Atomic bool stopping;
	/* Says that a client came (@why NULL) or went; any thread. */
	void (*told)(const struct host_common *common, const struct address *peer,
		     uint64_t stayed_ns, const char *why);
};

struct session;
struct reverse;
TAILQ_HEAD(session_list, session);
TAILQ_HEAD(reverse_list, reverse);

struct host {
	struct host_common *common;
	unsigned index;
	pthread_t thread;
	bool started;
	struct transport *transport;  /* the thread's */
	struct reverse_list reverses; /* the thread's */
	struct session_list sessions; /* the thread's */
	uint32_t region;
	struct address address; /* where it listens, once LISTENING */
	_Atomic int state;	/* enum host_state */
	char transport_text[128];
	char problem[TROUBLE_MAX];
	pthread_mutex_t lock;
	bool is_open; /* guarded by lock: transport may be woken */
};

/** host_start() - @host: all zero. @address: port 0: any. Return: 0; -EAGAIN with host->problem;
 * host_stop() it either way. */
int host_start(struct host *host, struct host_common *common, unsigned index,
	       const struct address *address);

/** host_stop() - common->stopping is set; waits for its end, and frees. */
void host_stop(struct host *host);

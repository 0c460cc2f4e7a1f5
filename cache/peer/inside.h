/*
 * inside.h - struct peers, shared by the files that make up the door: peers.c (up, down, what any
 * thread may call) and peers_thread.c (the thread that owns the transport).
 *
 *	OPENING --> READY --> RUNNING -- peers_stop() --> STOPPED (mail is answered) --> destroyed
 *	   `--> FAILED
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "cache/cache.h"
#include "cache/peer/catalog.h"
#include "cache/peer/inquiry.h"
#include "cache/peer/mailbox.h"
#include "cache/peer/measure.h"
#include "cache/peer/members.h"
#include "cache/peer/neighbours.h"
#include "cache/peer/outbox.h"
#include "cache/peer/owner.h"
#include "cache/peer/peers.h"
#include "cache/peer/reader.h"
#include "cache/placement/placement.h"
#include "cache/stage.h"
#include "cache/window/directory.h"
#include "fabric/transport/transport.h"

enum peers_state {
	PEERS_OPENING, /* waits for the thread to have opened the transport and to listen */
	PEERS_FAILED,  /* it could not: @status, @problem */
	PEERS_READY,   /* it listens, and takes nothing yet: waits until the cache is attached, or a
			  member could have it bring a block before there are any peers */
	PEERS_RUNNING,
	PEERS_STOPPED, /* the transport is closed, nothing is under way; fetches end -ECANCELED */
};

struct peers {
	const struct clock *clock;
	struct membership *membership;
	struct member_id self;
	uint64_t started_ns;
	/* What it says of itself when it is asked; guarded by lock until it is there. */
	char name[PEER_REPORT_NAME_MAX], version[PEER_REPORT_VERSION_MAX];
	struct cache *cache;
	struct placement *placement;
	struct members *members;
	struct window_directory *directory;
	struct backing *const *backings; /* the configured ones */
	unsigned backing_count;
	struct porter *porter;
	struct catalog *catalog; /* made by the thread, which alone may call it but for its backing
				    stores; outlives it */
	struct counters counters, transport_counters;
	struct histogram latency;
	struct peers_mailbox mailbox;
	pthread_t thread;
	bool thread_started;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum peers_state state; /* guarded by lock */

	/* What the thread leaves before it is RUNNING or FAILED; constant after that. */
	const struct transport_config *transport_config; /* borrowed until then */
	bool registers_late;
	int status;
	char problem[TRANSPORT_PROBLEM_MAX];
	struct address address;
	char transport_text[128];

	/* the thread's own */
	struct peers_config config; /* what owner, reader and neighbours look at */
	struct transport *transport;
	uint32_t registered; /* regions */
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct reader *reader;
	struct owner *owner;
	struct measure *measure;
	struct inquiry *inquiry;
};

/** peers_counters_init() - the table of enum peers_counter. Return: 0 or -ENOMEM. */
int peers_counters_init(struct counters *counters);

/* Of the peers' thread: */

/** peers_inquiry_make() - measure and inquiry. Return: 0 or -ENOMEM. */
int peers_inquiry_make(struct peers *peers);
void peers_inquiries_start(struct peers *peers, struct peers_inquiries *inquiries);

/** peers_inquiries_refuse() - -ECANCELED. */
void peers_inquiries_refuse(struct peers_inquiries *inquiries);

/** peers_thread_main() - @argument: struct peers, in which all above the thread's own is there. */
void *peers_thread_main(void *argument);

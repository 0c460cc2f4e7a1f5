/*
 * inquiry_inside.h - struct inquiry, shared by the files that make it up: inquiry.c (up, down, what
 * is due), inquiry_ask.c (what this node asks), inquiry_serve.c (what it is asked) and
 * inquiry_clerks.c (the threads for what takes longer).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/peer/inquiry.h"
#include "cache/peer/measure.h"

#define INQUIRY_SEND_NS	  (2 * NS_PER_S)   /* a message may wait for the wire */
#define INQUIRY_RESEND_NS (20 * NS_PER_MS) /* until a report that found no room is sent again */
#define INQUIRY_FIRST_NS                                                                           \
	(2 * NS_PER_S) /* at least, for the first word: there may be no                            \
			  connection yet */

TAILQ_HEAD(inquiry_list, peers_inquiry);
TAILQ_HEAD(service_list, service);
STAILQ_HEAD(service_queue, service);

/* What this node is asked, by itself too.
 *
 *	WORKING (a clerk or measure.h has it) --> SENDING (no room on the wire) --> freed
 *	    `-- the asker's connection is gone: nobody is told -----------------------^
 */
struct service {
	TAILQ_ENTRY(service) link;
	struct inquiry *inquiry;
	struct transport_peer *from; /* NULL: this node itself, or gone */
	bool gone;
	bool sending;
	uint64_t deadline_ns, next_ns; /* next_ns: the next word, or the next try to send */
	struct member_id member;       /* who asks */
	struct peer_inquire asked;     /* its texts are in @texts */
	struct peer_report report;     /* once it is known */
	char problem[PEER_REPORT_PROBLEM_MAX];
	struct measurement measurement;
	/* the clerks' */
	STAILQ_ENTRY(service) queued;
	atomic_bool stopping; /* it is to give up; any thread */
	int status;	      /* a clerk's */
	char texts[];
};

struct clerks {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct service_queue queue, done;
	bool ending;
	unsigned queued;
	unsigned idle, takes; /* clerks that wait; TAKEs under way */
	/* the owner's */
	pthread_t threads[INQUIRY_CLERKS_MAX];
	unsigned count;
};

struct inquiry {
	struct inquiry_setup setup;
	bool stopped;
	uint64_t due_ns; /* when to look through the lists; CLOCK_NEVER */
	uint64_t last_request;
	struct inquiry_list asked; /* by this node */
	unsigned asked_count;
	struct service_list services;
	unsigned service_count;
	atomic_bool has_done; /* clerks->done is not empty */
	struct clerks clerks;
};

static inline uint64_t inquiry_now(const struct inquiry *inquiry)
{
	return clock_now_ns(inquiry->setup.clock);
}

static inline void inquiry_due(struct inquiry *inquiry, uint64_t at_ns)
{
	if (at_ns < inquiry->due_ns)
		inquiry->due_ns = at_ns;
}

/* --- inquiry_ask.c */

/** asking_report() - of @from; NULL: of this node itself. */
void asking_report(struct inquiry *inquiry, struct transport_peer *from,
		   const struct peer_report *report);
void asking_down(struct inquiry *inquiry, const struct transport_peer *peer);
void asking_stop(struct inquiry *inquiry);

/** asking_look() - ends those whose time is over; says when to look again. */
void asking_look(struct inquiry *inquiry, uint64_t now_ns);

/* --- inquiry_serve.c */

/** service_begin() - @from: NULL: this node itself. */
void service_begin(struct inquiry *inquiry, struct transport_peer *from,
		   const struct peer_inquire *asked);
void service_down(struct inquiry *inquiry, const struct transport_peer *peer);
void service_stop(struct inquiry *inquiry);
void service_look(struct inquiry *inquiry, uint64_t now_ns);

/** service_clerk_done() - a clerk has left @service's status and report. */
void service_clerk_done(struct service *service);

/* --- inquiry_clerks.c */

void clerks_init(struct clerks *clerks);

/** clerks_fini() - nothing is queued or under way. Joins the threads. */
void clerks_fini(struct clerks *clerks);

/** clerks_post() - gives @service to a clerk. Return: 0; -EAGAIN: there is no thread to be had. */
int clerks_post(struct clerks *clerks, struct service *service);

/** clerks_drop() - takes it back. Return: false: a clerk has it already. */
bool clerks_drop(struct clerks *clerks, struct service *service);

/** clerks_collect() - those that are done, in order. */
void clerks_collect(struct clerks *clerks, struct service_queue *out);

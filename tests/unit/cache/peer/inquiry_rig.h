/*
 * inquiry_rig.h - nodes that ask each other on a loop network, each with an arena of one page and
 * answers made to order. The network's clock only moves in rig_run(); the clerks are real threads,
 * so whatever a clerk has to do is waited for by rig_until().
 */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/counter.h"
#include "cache/peer/inquiry_inside.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"

#define RIG_NODES 3
/* More than passes while a clerk does not get a processor. */
#define RIG_TIMEOUT_NS (3000 * NS_PER_S)

struct rig;

struct rig_node {
	struct rig *rig;
	unsigned number;
	bool alive, deaf; /* deaf: is not polled: a stopped process */
	bool scripted;	  /* has no inquiry: the test answers for it */
	struct identity identity;
	struct transport *transport;
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct counters counters;
	struct measure *measure;
	struct inquiry *inquiry;
	void *arena;
	/* what it was asked, when scripted: the last one, and by whom */
	struct transport_peer *asker;
	struct peer_inquire asked;
	unsigned asked_count;
	/* its answers */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool held;	 /* clerks wait until it is not, or they are to give up */
	unsigned clerks; /* in an answer now */
	bool only_takes; /* hold no others */
	unsigned takes;	 /* of them */
	unsigned most_takes;
	unsigned given_up; /* TAKEs that were told to */
	int status;
	struct object_version version; /* as it was asked for; texts in the next one */
	char texts[4][64];
	struct member_id from; /* who asked to TAKE */
};

struct rig {
	struct clock_manual clock;
	struct loop_network *network;
	struct keyring *ring;
	struct peers_config config;
	struct rig_node nodes[RIG_NODES];
};

struct rig_question {
	struct peers_inquiry inquiry;
	unsigned done;
};

struct rig *rig_create(void);

/** rig_destroy() - stops what is alive, and finds nothing left. */
void rig_destroy(struct rig *rig);

/** rig_node_stop() - as peers_stop() does. */
void rig_node_stop(struct rig_node *node);

/** rig_script() - the test answers for @node from now on. */
void rig_script(struct rig_node *node);

/** rig_report() - a scripted node's answer to what it was asked last. */
void rig_report(struct rig_node *node, struct peer_report report);

/** rig_hold() - its clerks wait in their answers, or no more. */
void rig_hold(struct rig_node *node, bool held);

/** rig_clerks() - in an answer now. */
unsigned rig_clerks(struct rig_node *node);

/** rig_run() - for so long by the clock. */
void rig_run(struct rig *rig, uint64_t ns);

/** rig_until() - @check holds; the clock moves a millisecond at a time. Fails when it does not. */
void rig_until(struct rig *rig, bool (*check)(void *context), void *context);

/** rig_ask() - @asker asks member @asked. */
void rig_ask(struct rig_node *asker, unsigned asked, enum peer_topic topic,
	     struct rig_question *question);
void rig_ask_for(struct rig_node *asker, unsigned asked, enum peer_topic topic, uint64_t timeout_ns,
		 struct rig_question *question);

/** rig_await() - rig_until() it is done, once. */
void rig_await(struct rig *rig, struct rig_question *question);

/*
 * mailbox.h - what other threads have for the peers' thread: lists under one lock, and a wake only
 * for the first thing in it. Nothing in it is allocated here; everything is bounded by those who
 * post (each has as many as it has structs of its own).
 *
 * Threads: posting from any; taking and waiting is the peers' thread's.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/address.h"
#include "cache/peer/fetch.h"
#include "cache/peer/peers.h"
#include "cache/stage.h"
#include "fabric/identity.h"
#include "fabric/transport/transport.h"

/* What the placement thread tells of a neighbour. Heap memory, taken by whoever takes the mail. */
struct peers_notice {
	STAILQ_ENTRY(peers_notice) link;
	struct member_id id;
	struct address address; /* none: it is no neighbour any more */
	uint64_t restarting_ns;
	uint64_t leaving; /* its weight, while it hands over what it has; else 0 */
};

STAILQ_HEAD(peers_notices, peers_notice);
STAILQ_HEAD(peers_stages, cache_stage);
TAILQ_HEAD(peers_inquiries, peers_inquiry);

enum peers_wish {
	PEERS_RUN,
	PEERS_STOP, /* end what is under way, close the transport; go on to answer the mail */
	PEERS_END,  /* end the thread */
};

struct peers_mail {
	struct peer_fetches fetches; /* to be started */
	struct peers_stages stages;  /* that are done */
	struct peers_notices notices;
	struct peers_inquiries inquiries; /* to be started */
	bool reload;
	struct peers_config config; /* when @reload */
	enum peers_wish wish;	    /* stays until it is changed */
};

struct peers_mailbox {
	pthread_mutex_t lock;
	pthread_cond_t posted;
	/* guarded by lock */
	struct peers_mail mail;
	bool has_mail;
	struct transport *transport; /* to be woken; NULL: mailbox_wait() is what is waited in */
};

void mailbox_init(struct peers_mailbox *mailbox);

/** mailbox_fini() - it is empty but for notices, which are freed. */
void mailbox_fini(struct peers_mailbox *mailbox);

void mailbox_post_fetch(struct peers_mailbox *mailbox, struct peer_fetch *fetch);
void mailbox_post_stage(struct peers_mailbox *mailbox, struct cache_stage *stage);
void mailbox_post_notice(struct peers_mailbox *mailbox, struct peers_notice *notice); /* taken */
void mailbox_post_inquiry(struct peers_mailbox *mailbox, struct peers_inquiry *inquiry);
void mailbox_post_config(struct peers_mailbox *mailbox, const struct peers_config *config);
void mailbox_post_wish(struct peers_mailbox *mailbox, enum peers_wish wish);

/** mailbox_poke() - nothing but the wake: there is mail elsewhere. */
void mailbox_poke(struct peers_mailbox *mailbox);

/** mailbox_use() - from now on posting wakes @transport, until this is called with NULL. */
void mailbox_use(struct peers_mailbox *mailbox, struct transport *transport);

/** mailbox_take() - all that was posted. */
void mailbox_take(struct peers_mailbox *mailbox, struct peers_mail *out_mail);

/** mailbox_wish() - as it is now; nothing is taken. */
enum peers_wish mailbox_wish(struct peers_mailbox *mailbox);

/** mailbox_wait() - until something is posted, or the wish is PEERS_END. */
void mailbox_wait(struct peers_mailbox *mailbox);

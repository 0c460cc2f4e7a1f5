/*
 * peers.h - the other nodes' caches as one with ours: the door of the room. It owns the transport
 * and the thread that drives it; on that thread run the side that serves (owner.h) and the side
 * that asks (reader.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "base/option.h"
#include "cache/cache.h"
#include "cache/peer/fetch.h"
#include "cache/peer/wire.h"
#include "fabric/gossip/membership.h"
#include "fabric/transport/transport.h"

/* The regions that peers know, in the order in which they are registered. */
#define PEER_REGION_ARENA     0
#define PEER_REGION_DIRECTORY 1

struct peers_config {
	uint64_t silence;   /* ns without a word after which an asked member is silent; live */
	uint64_t lease;	    /* ns that a staged unit is held for its reader; live */
	uint64_t settle;    /* ns: how long a member stores until nobody looks for its blocks
			       with those who had them before; live */
	int64_t stages_max; /* being staged for peers, all together; more wait */
	int64_t queue_max;  /* that may wait */
	uint64_t locators_memory; /* bytes */
	uint64_t locators_age;	  /* ns */
	uint64_t catalog_memory;  /* bytes */
	int64_t breaker_failures; /* live */
	uint64_t breaker_probe;	  /* ns; live */
	int64_t hot_readers;	  /* readers of one unit at once from which on others are referred
				     to holders; 0: never; live */
	uint64_t failover_rate;	  /* bytes/s that the whole site may fetch from backing stores in
				     place of silent owners; live */
	int64_t audit; /* one block in so many from peers is compared with the backing store; 0:
			  none; live */
};

extern const struct option_group peers_options; /* "peers", of struct peers_config */

enum peers_counter {
	/* the side that asks */
	PEERS_FETCHES,
	PEERS_FETCHED_BYTES,  /* that came from other nodes, and match */
	PEERS_FROM_LOCATOR,   /* fetches that took one READ */
	PEERS_FROM_DIRECTORY, /* ... found in the owner's directory */
	PEERS_FROM_STAGE,     /* ... asked for */
	PEERS_FROM_FORMER,    /* ... of this node's blocks, from who had them before */
	PEERS_FROM_HOLDER,    /* ... from a member that the owner referred to */
	PEERS_PUSHED,	      /* ... whose bytes came by message */
	PEERS_MISSED,	      /* fetches that nobody could serve */
	PEERS_FETCH_ERRORS,
	PEERS_MISMATCHES,    /* units read that did not match their checks */
	PEERS_SILENT,	     /* members asked that did not answer in time */
	PEERS_FAILOVERS,     /* fetches that went on to the next in the ranking */
	PEERS_BUSY,	     /* times that an owner said: later */
	PEERS_BREAKERS_OPEN, /* gauge */
	PEERS_LOCATOR_BYTES, /* gauge */
	PEERS_INFLIGHT,	     /* gauge, fetches */
	PEERS_LOOKUP_NS,     /* time spent in directories, all fetches together */
	PEERS_STAGE_NS,	     /* ... waiting for STAGED */
	PEERS_READ_NS,	     /* ... in READs of bytes */
	PEERS_VERIFY_NS,
	/* the side that serves */
	PEERS_STAGES, /* asked for by peers */
	PEERS_STAGED_BYTES,
	PEERS_STAGED_WINDOW, /* stages, by where the bytes came from */
	PEERS_STAGED_SSD,
	PEERS_STAGED_PEER,
	PEERS_STAGED_BACKING,
	PEERS_STAGE_ABSENT,  /* LOCAL, and not here */
	PEERS_STAGE_REFUSED, /* for other reasons */
	PEERS_REFERRED,
	PEERS_LEASES,	    /* gauge */
	PEERS_LEASED_BYTES, /* gauge */
	PEERS_LEASES_EXPIRED,
	PEERS_HITS, /* units that peers read without asking, as far as they told */
	/* names: catalog.h */
	PEERS_CATALOG_ASKS,	 /* asked of other members */
	PEERS_CATALOG_FALLBACKS, /* asked of the backing store, as nobody else answered */
	PEERS_CATALOG_SERVED,	 /* asked by other members */
	PEERS_CATALOG_FLIGHTS,	 /* asked of the backing store for all */
	PEERS_CATALOG_KEPT,	 /* answered from what is kept */
	PEERS_CATALOG_BYTES,	 /* gauge */
	/* both */
	PEERS_MALFORMED,  /* messages that no member of our version sends */
	PEERS_DROPPED,	  /* messages of ours that never got to the wire */
	PEERS_MEMBERS,	  /* gauge: that blocks are placed on, this one too */
	PEERS_GENERATION, /* gauge: of the placement */
	PEERS_COUNTER_COUNT,
};

struct peers;

struct peers_setup {
	const struct peers_config *config;	  /* borrowed for life */
	const struct transport_config *transport; /* borrowed for the call */
	const struct clock *clock;		  /* borrowed for life */
	struct membership *membership;		  /* borrowed for life; not started yet */
	struct cache *cache;			  /* borrowed for life */
	/* The configured ones: destroyed before peers_destroy(). The cache is told of them. */
	struct backing *const *backings;
	unsigned backing_count;
	/* Readers wait for who takes a mount over, and registering takes as long as the memory is
	 * large: what this node has itself must not wait for it. What it asks of others does. */
	bool registers_late;
};

/**
 * peers_create() - opens the transport, registers the cache's memory, listens. From now on the
 * cache asks peers for what it does not have. With setup.registers_late the memory is registered
 * when this has returned; what goes wrong is logged, and tried again as long as it does.
 * @out_address: where this node's memory can be read: what membership is to tell.
 * Return: 0, or an error with @problem.
 */
int peers_create(const struct peers_setup *setup, struct peers **out_peers,
		 struct address *out_address, char *problem, size_t problem_size);

/**
 * peers_stop() - ends what is under way, for us (-ECANCELED) and for others. Before cache_stop();
 * membership has stopped calling. Blocks as long as transport_close() does. NULL is fine.
 */
void peers_stop(struct peers *peers);

/** peers_destroy() - after cache_stop() and after the backing stores were destroyed (what lands in
 *  the arena is looked up here until then), before cache_destroy(). NULL is fine. */
void peers_destroy(struct peers *peers);

/** peers_backings() - setup.backings for the mount: what they are asked by name goes by way of the
 *  members (catalog.h). In that order; lent until peers_destroy(), never to be destroyed. */
struct backing **peers_backings(struct peers *peers);

/** peers_fetch() - asks other nodes for a unit; see fetch.h. Any thread; never blocks. */
void peers_fetch(struct peers *peers, struct peer_fetch *fetch);

/* A question of an operator to a member: inquiry.h. The caller's struct, lent until done() has
 * run. */
struct peers_inquiry {
	/* set by the caller */
	struct member_id member;   /* this node too */
	struct peer_inquire asked; /* but for its request and timeout_ms; strings lent until done */
	uint64_t deadline_ns;
	/* On the peers' thread, exactly once; must not block. */
	void (*done)(struct peers_inquiry *inquiry);
	void *context;
	/* set before done */
	int status; /* 0; -EHOSTUNREACH not known, silent, or no connection; -ETIMEDOUT; -EAGAIN it
		       is busy; -ECANCELED this node stops; or what the member said */
	struct peer_report report; /* 0; its texts point to the next two */
	char name[PEER_REPORT_NAME_MAX], version[PEER_REPORT_VERSION_MAX];
	char problem[PEER_REPORT_PROBLEM_MAX]; /* not 0: one line for people */
	/* private */
	struct {
		TAILQ_ENTRY(peers_inquiry) link;
		uint64_t request, heard_ns;
		bool heard;
		struct transport_peer *peer; /* that it was asked by; NULL: this node itself */
	} p;
};

/** peers_inquire() - asks a member. Any thread; never blocks; after peers_stop(): -ECANCELED,
 * inside the call. */
void peers_inquire(struct peers *peers, struct peers_inquiry *inquiry);

/* How far a handover is, or came. */
struct peers_handover {
	uint64_t total_bytes; /* on the SSD, obsolete versions left out; 0: not counted yet */
	/* with their owners, by their own word */
	uint64_t blocks, bytes;
	uint64_t brought_bytes; /* of these, that had to go over the wire */
	/* not with their owners: no room there, or (unanswered) no word from them */
	uint64_t refused_blocks, refused_bytes;
	uint64_t unanswered_blocks, unanswered_bytes;
	unsigned pass; /* from 1 on */
};

/**
 * peers_handover() - makes this node LEAVING, which owns nothing from then on and still serves, and
 * hands over what is on its SSD to the members that own it now (handover.h). It blocks until that
 * is done; membership_leave() can follow. On errors but -ENOTCONN the node is ALIVE again, unless
 * it has left meanwhile.
 * @tell: called ten times a second or more often. Return: false: give up.
 * Return: 0; -ENOTCONN it is not in the cluster; -EAGAIN blocks are not placed yet; -ECANCELED
 * @tell, or the node left or joined by another command; else as handover_run().
 * Threads: any but the peers' own; one at a time.
 */
int peers_handover(struct peers *peers,
		   bool (*tell)(void *context, const struct peers_handover *handover),
		   void *context, struct peers_handover *out);

/** peers_owner_of() - the first in the ranking for a block. Return: false: blocks are placed on
 *  nobody. Any thread. */
bool peers_owner_of(struct peers *peers, const struct object_id *id, uint64_t block,
		    struct member_id *out_owner);

/** peers_owns() - whether this node is the first in the ranking for a block. Any thread. */
bool peers_owns(struct peers *peers, const struct object_id *id, uint64_t block);

void peers_reload(struct peers *peers, const struct peers_config *config);

const struct counters *peers_counters(const struct peers *peers);
const struct counters *peers_transport_counters(const struct peers *peers);

/** peers_latency() - of fetches that brought their bytes, ns. */
const struct histogram *peers_latency(const struct peers *peers);

/** peers_agreement() - a number that members must have in common to share blocks: it stands for how
 *  blocks are placed and asked for. */
uint64_t peers_agreement(void);

/**
 * peers_member_address() - where a member's memory can be read. One that listens at an any-address
 * says so (0.0.0.0:7471), and is found at the host of its gossip, with that port.
 * Return: false when nowhere.
 */
bool peers_member_address(const struct membership_member *member, struct address *out_address);

/** peers_transport_text() - "verbs (rxe0)"; borrowed. */
const char *peers_transport_text(const struct peers *peers);

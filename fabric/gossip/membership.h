/*
 * membership.h - who is in the cluster: no master, no registry, each node's own view, kept by
 * gossip (SWIM with Lifeguard, swim.h) over UDP and TCP.
 *
 * Who owns what: membership has a thread of its own (swim_tick, sockets), so that data can never
 * starve it, and two more for what blocks: names, and files of the state directory. Every call here
 * is from any thread and takes one lock, for microseconds; none of them blocks but
 * membership_stop(), as long as it was told to.
 *
 * A member is known by its id, which its state directory keeps: one that comes back with another
 * address is the same member. Its boot id tells its lives apart, and two nodes that use one id
 * (a copied state directory) from one: both find out, the one that has run for longer stays, the
 * other stops taking part (MEMBERSHIP_DISPLACED) and both say so in log and status.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/option.h"
#include "fabric/gossip/swim.h"
#include "fabric/identity.h"

#define MEMBERSHIP_PORT		   7472
#define MEMBERSHIP_NAME_MAX	   64 /* these three with their NUL */
#define MEMBERSHIP_SITE_MAX	   32
#define MEMBERSHIP_VERSION_MAX	   24
#define MEMBERSHIP_PROBLEM_MAX	   256
#define MEMBERSHIP_ADDRESSES_MAX   16  /* in one join */
#define MEMBERSHIP_ADDRESS_MAX	   264 /* a name and a port */
#define MEMBERSHIP_SEEDS_MAX	   64  /* addresses that names stand for, together */
#define MEMBERSHIP_TASKS_MAX	   8   /* the last ones, whose outcome can be asked for */
#define MEMBERSHIP_LINES_MAX	   64  /* of a task's report; what is beyond is counted */
#define MEMBERSHIP_SUBSCRIBERS_MAX 4

struct membership;

struct membership_config {
	char *listen;		    /* "ADDRESS[:PORT]" of UDP and TCP */
	char *advertise;	    /* what others are told; NULL: listen, or found out */
	struct option_strings join; /* addresses and names of members */
	uint64_t restart_timeout;   /* ns; how long a stop keeps the place; 0: leave */
	uint64_t leave_timeout;	    /* ns; what telling the others may take */
	struct swim_config swim;
};

extern const struct option_group membership_options; /* "gossip", of struct membership_config */

/* What a member says of itself. */
struct membership_details {
	char name[MEMBERSHIP_NAME_MAX];
	char site[MEMBERSHIP_SITE_MAX];
	char version[MEMBERSHIP_VERSION_MAX];
	struct address fabric; /* where its memory can be read; none while it cannot */
	uint64_t capacity;     /* bytes it lends to the cache */
	uint64_t config;       /* digest of those settings that all members should share */
};

enum membership_state {
	MEMBERSHIP_JOINING, /* knows others, or has just started, and is not serving yet */
	MEMBERSHIP_ALIVE,
	MEMBERSHIP_RESTARTING, /* gone for an announced time, keeps its place until then */
	MEMBERSHIP_LEAVING,    /* hands over what it has */
	MEMBERSHIP_SUSPECT,    /* does not answer: waits for its word, or for its time to end */
	MEMBERSHIP_DEAD,
	MEMBERSHIP_LEFT,
	MEMBERSHIP_STATE_COUNT,
};

extern const char *const membership_state_names[]; /* in order, NULL-ended */

struct membership_member {
	struct member_id id;
	uint64_t boot;
	uint32_t incarnation;
	enum membership_state state;
	bool is_self;
	struct address gossip;
	struct membership_details details;
	uint64_t since_ns;	/* of the state, monotonic */
	uint64_t until_ns;	/* RESTARTING: until it may be missed; SUSPECT: its end; else 0 */
	uint64_t round_trip_ns; /* 0: not measured */
	/* SUSPECT: why, and by whom; "" otherwise */
	char why[MEMBERSHIP_PROBLEM_MAX];
};

/* What this node itself is up to. */
enum membership_standing {
	MEMBERSHIP_MEMBER,    /* takes part */
	MEMBERSHIP_GONE,      /* has left; membership_join() brings it back */
	MEMBERSHIP_DISPLACED, /* another node uses our member id and stays: until a restart */
};

struct membership_summary {
	enum membership_standing standing;
	char problem[MEMBERSHIP_PROBLEM_MAX]; /* what an operator should know; "" */
	struct address gossip;		      /* as advertised; none while it is not known */
	unsigned counts[MEMBERSHIP_STATE_COUNT];
	unsigned awareness; /* 0: well; up to swim.awareness_max: this node itself is slow */
};

enum membership_counter {
	MEMBERSHIP_PACKETS_SENT,
	MEMBERSHIP_PACKETS_RECEIVED,
	MEMBERSHIP_BYTES_SENT, /* UDP and TCP, without their headers */
	MEMBERSHIP_BYTES_RECEIVED,
	MEMBERSHIP_SEND_ERRORS,
	MEMBERSHIP_MALFORMED, /* not gossip, another version, or authentic and senseless */
	MEMBERSHIP_FOREIGN,   /* made with a key that we do not have */
	MEMBERSHIP_FORGED,    /* stamp or tag wrong */
	MEMBERSHIP_REPLAYED,
	MEMBERSHIP_STREAMS_OPENED,
	MEMBERSHIP_STREAMS_ACCEPTED,
	MEMBERSHIP_STREAMS_REFUSED, /* of others, by us */
	MEMBERSHIP_STREAM_ERRORS,
	MEMBERSHIP_PROBES,
	MEMBERSHIP_PROBES_FAILED,
	MEMBERSHIP_SUSPICIONS,
	MEMBERSHIP_REFUTATIONS,
	MEMBERSHIP_DEATHS,
	MEMBERSHIP_RUMORS_SENT,
	MEMBERSHIP_PUSH_PULLS,
	MEMBERSHIP_EVIDENCE,
	MEMBERSHIP_LATE_NS, /* time that the thread was not scheduled */
	MEMBERSHIP_COUNTER_COUNT,
};

/* Changes are told to subscribers, on the gossip thread and inside its lock. */
struct membership_subscriber {
	void *context;
	/*
	 * @member came, changed its state or its details, or (@gone) was forgotten. Borrowed for
	 * the call. Must neither block nor call anything of this header.
	 */
	void (*changed)(void *context, const struct membership_member *member, bool gone);
};

struct membership_setup {
	const struct membership_config *config;	  /* borrowed for the call */
	const struct clock *clock;		  /* borrowed for life */
	const char *cluster;			  /* its name */
	struct keyring *ring;			  /* borrowed for life; thread safe */
	const char *secret_file;		  /* where changes of the ring are kept; copied */
	const char *state_dir;			  /* copied; made when missing */
	const struct membership_details *details; /* copied */
};

/**
 * membership_create() - takes the state directory, binds the sockets; says nothing to anybody.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EBUSY (another daemon uses the state
 *         directory), -EINVAL ... with @problem; -ENOMEM.
 */
int membership_create(const struct membership_setup *setup, struct membership **out_membership,
		      char *problem, size_t problem_size);

/** membership_start() - starts the threads; joins what config.join names. Return: 0, -EAGAIN. */
int membership_start(struct membership *membership);

/**
 * membership_stop() - says that this node restarts (or, with restart_timeout 0, leaves) and waits
 * until that was told, at most leave_timeout. Nobody is called back after it.
 */
void membership_stop(struct membership *membership);

/** membership_destroy() - after membership_stop(), or what was never started; NULL is fine. */
void membership_destroy(struct membership *membership);

/** membership_identity() - who we are; for life. */
const struct identity *membership_identity(const struct membership *membership);

/** membership_counters() - as room "gossip"; those that the machine keeps are brought up to date
 *  by this call. */
const struct counters *membership_counters(struct membership *membership);

/** membership_subscribe() - before membership_start(). Return: 0, -ENOSPC. */
int membership_subscribe(struct membership *membership,
			 const struct membership_subscriber *subscriber);

/**
 * membership_members() - a copy of up to @room members, beginning with the @first (0: this node),
 * in an order that stays as long as nobody is forgotten.
 * Return: how many were copied.
 */
unsigned membership_members(struct membership *membership, unsigned first, unsigned room,
			    struct membership_member *out_members);

/** membership_summary() - counts, and what is wrong with this node. */
void membership_summary(struct membership *membership, struct membership_summary *out_summary);

/** membership_set_details() - what this node says of itself from now on; all are told. */
void membership_set_details(struct membership *membership,
			    const struct membership_details *details);

/**
 * membership_evidence() - the data plane: "this member failed me". Never more than a reason to
 * look: one that answers the probe which follows is not suspected.
 * @why: for the log.
 * Return: as swim_evidence(): 0, -EAGAIN (said lately), -ENOENT (nothing to suspect).
 */
int membership_evidence(struct membership *membership, const struct member_id *member,
			const char *why);

/*
 * Tasks take longer than a call: each call gives a number, membership_task() tells how it goes.
 */

/** membership_join() - asks every one of @count addresses or names ("gpu-7", "gpu-7:7472",
 *  "10.0.0.7") for its view. Return: a task, -EINVAL with @problem, -ENOSPC, -EBUSY when
 *  displaced. */
int64_t membership_join(struct membership *membership, const char *const *addresses, unsigned count,
			char *problem, size_t problem_size);

/** membership_leave() - tells all that this node goes for good; the thread lives on. Return: a
 *  task. */
int64_t membership_leave(struct membership *membership);

/**
 * membership_drain() - tells all that this node is about to leave and hands over what it has until
 * then: LEAVING. It takes part as before, dies as any other, and whoever restarts is ALIVE again.
 * membership_leave() completes it; so may membership_join(), which takes it back.
 * Return: 0, also when it is so already; -ENOTCONN: it has left, is leaving, or is displaced.
 */
int membership_drain(struct membership *membership);

/** membership_stay() - takes membership_drain() back: ALIVE. Return: 0; -ENOENT: it is not, or not
 *  any more, as membership_drain() left it. */
int membership_stay(struct membership *membership);

enum membership_keys_action {
	MEMBERSHIP_KEYS_LIST,
	MEMBERSHIP_KEYS_ADD,
	MEMBERSHIP_KEYS_USE,
	MEMBERSHIP_KEYS_REMOVE,
};

/**
 * membership_keys() - a step of exchanging keys, on this node and, unless @local, on every member
 * that is not dead or gone. USE asks first whether all have the key, REMOVE whether none uses it;
 * without @force it changes nothing where one says no or nothing.
 * @key: ADD; NULL: a new random one. @id: USE, REMOVE.
 * Return: a task; -EINVAL, -ENOENT, -EBUSY ... with @problem.
 */
int64_t membership_keys(struct membership *membership, enum membership_keys_action action,
			const uint8_t *key, const uint8_t *id, bool local, bool force,
			char *problem, size_t problem_size);

/* One line of a task's report: an address joined, a member asked. */
struct membership_line {
	char who[MEMBERSHIP_ADDRESS_MAX];
	bool failed;
	char text[MEMBERSHIP_PROBLEM_MAX];
};

struct membership_task {
	int64_t number;
	bool done;
	int status;			   /* once done: 0, or a negative errno */
	char text[MEMBERSHIP_PROBLEM_MAX]; /* once done: what came of it */
	unsigned asked, answered, failed;
	unsigned line_count;
	struct membership_line lines[MEMBERSHIP_LINES_MAX]; /* the failed ones first to be kept */
};

/** membership_task() - Return: 0, -ENOENT: unknown, or too long ago. */
int membership_task(struct membership *membership, int64_t number,
		    struct membership_task *out_task);

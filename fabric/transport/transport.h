/*
 * transport.h - one-sided reads of a peer's registered memory, and small control messages, between
 * members of one cluster: one vocabulary over verbs (RDMA), ucx (where there is no RDMA NIC) and
 * loop (in process, with faults made to order).
 *
 * Threads. A transport has one owner thread: every call but transport_wake() is the owner's, and
 * every callback and done() runs on it, inside transport_poll() or transport_wait() and never
 * inside the call that asked for it. Nothing blocks but transport_wait(). Several threads have a
 * transport each. Callbacks and done()s may call everything but poll, wait and close.
 *
 * Directions. A connection is opened by the member that wants to read: who opens may READ the other
 * side's regions, both sides may send messages on it. The accepting side's peer (transport_peer of
 * kind PASSIVE) exists while its connection does; it cannot be read from.
 *
 * The life of an ACTIVE peer's connection (peer.c has the whole drawing):
 *
 *	IDLE -- first read or message --> GREETING (TCP, mutual challenge) --> CONNECTING --> UP
 *	  ^                                   |                                  |          |
 *	  |                                   v refused, timeout                 v          v
 *	  +-- LRU beyond peers_connected_max, ------- BACKOFF <--------------- FENCING (until no
 *	      idle_timeout, put                      (with jitter, doubling)    byte can be written)
 *
 * Errors and whom they hurt:
 *	this read	-ERANGE outside the region; -EIO; -ECANCELED
 *	this connection	-ECONNRESET, and -ETIMEDOUT of a read: its connection is fenced, the other
 *			reads on it are repeated once on the next one, as far as their time reaches
 *	this peer	-EHOSTUNREACH no connection now (back-off: peer_retry_ns() says until when);
 *			-EACCES refused: wrong secret, another cluster; -EPROTONOSUPPORT another
 *			version; -EREMCHG another member answers at that address
 *	this node	-ENODEV no device is left; -ENOMEM
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/option.h"
#include "base/random.h"
#include "fabric/identity.h"

#define TRANSPORT_PORT		7471
#define TRANSPORT_MESSAGE_MAX	4096
#define TRANSPORT_READ_LEN_MAX	(64u << 20)
#define TRANSPORT_REGIONS_MAX	64
#define TRANSPORT_RAILS_MAX	8
#define TRANSPORT_PROBLEM_MAX	512
#define TRANSPORT_REFUSAL_MAX	128
#define TRANSPORT_SLICE_LEN_MAX (1u << 20)

enum transport_kind {
	TRANSPORT_AUTO, /* verbs when a usable device exists, else ucx */
	TRANSPORT_VERBS,
	TRANSPORT_UCX,
	TRANSPORT_LOOP, /* not for the config: see loop.h */
};

extern const char *const transport_kind_names[]; /* in order, NULL-ended, without loop */

struct transport_config {
	int kind;		       /* enum transport_kind */
	char *listen;		       /* "ADDRESS[:PORT]" of the TCP handshake and of the data */
	struct option_strings devices; /* rails, in order: "mlx5_0", "mlx5_1:1", for ucx "eth0";
					  empty: all that are usable */
	int64_t gid_index;	       /* RoCE; -1: the v2 one of the address we use */
	int64_t traffic_class;	       /* 0..255 */
	int64_t pkey_index;	       /* InfiniBand */
	uint64_t connect_timeout;      /* ns, greeting and connecting together */
	uint64_t read_timeout;	       /* ns, of a read without a deadline of its own */
	uint64_t retry_min, retry_max; /* ns, back-off after a failed connection */
	int64_t reads_max;	       /* in flight, all peers together */
	int64_t peers_connected_max;   /* connections opened; as many again are accepted */
	uint64_t idle_timeout;	       /* ns, until an opened one without use is closed; 0: never */
	int64_t queue_depth;	       /* slices in flight on one connection's rail */
	uint64_t slice_len;	       /* a longer read goes as several; <= 1 MiB */
	uint64_t busy_poll;	       /* ns without an event until transport_wait() sleeps */
	bool numa;		       /* the owner thread moves next to its (first) NIC */
};

extern const struct option_group transport_options; /* of struct transport_config */

enum transport_counter {
	TRANSPORT_READS,
	TRANSPORT_READ_BYTES,
	TRANSPORT_READ_ERRORS,
	TRANSPORT_READ_TIMEOUTS,
	TRANSPORT_READS_REPEATED, /* fenced along with another's timeout, tried again */
	TRANSPORT_READS_INFLIGHT, /* gauge */
	TRANSPORT_MESSAGES_SENT,
	TRANSPORT_MESSAGES_RECEIVED,
	TRANSPORT_SERVED_BYTES, /* ucx: what our CPU sent for peers; verbs cannot know */
	TRANSPORT_CONNECTS,
	TRANSPORT_CONNECT_FAILURES,
	TRANSPORT_ACCEPTS,
	TRANSPORT_REFUSALS, /* handshakes we refused */
	TRANSPORT_FOREIGN,  /* connections that did not speak our protocol */
	TRANSPORT_FORGED,   /* requests outside a region or without a session */
	TRANSPORT_FENCES,
	TRANSPORT_RAILS_LOST,
	TRANSPORT_PEERS_ACTIVE,	 /* gauge, connections up that we opened */
	TRANSPORT_PEERS_PASSIVE, /* gauge, accepted */
	TRANSPORT_REGISTERED,	 /* gauge, bytes */
	TRANSPORT_COUNTER_COUNT,
};

struct transport;
struct transport_peer;
struct transport_link;

enum transport_peer_kind {
	TRANSPORT_PEER_ACTIVE,
	TRANSPORT_PEER_PASSIVE,
};

/* What the owner is told. All but @context may be NULL. */
struct transport_events {
	void *context;
	/* A message of @from, which may be answered by transport_send(); @data is borrowed. */
	void (*message)(void *context, struct transport_peer *from, const void *data, size_t len);
	/* A connection is there. No event is told of an ACTIVE peer after its last put. */
	void (*up)(void *context, struct transport_peer *peer);
	/* It is no more, or could not be made; after all its reads and messages were done. A
	   PASSIVE peer is freed after this returns. @why: one line for people. */
	void (*down)(void *context, struct transport_peer *peer, int status, const char *why);
};

struct transport_environment {
	const struct clock *clock;	 /* borrowed for life */
	uint64_t seed;			 /* of jitter */
	const struct identity *identity; /* borrowed for life */
	struct transport_events events;	 /* copied */
	struct counters *counters;	 /* of TRANSPORT_COUNTER_COUNT; several transports may share
					    one; NULL: none */
};

/** transport_counters_init() - the table of enum transport_counter, as room "fabric". */
int transport_counters_init(struct counters *counters);

/**
 * transport_open() - opens the devices; nothing is reachable yet.
 * @config: borrowed for the call. @environment: copied.
 * Return: 0; -ENODEV (no usable device: @problem says per device why and what to do), -EINVAL,
 *         -EADDRNOTAVAIL, -ENOMEM ... with @problem. With TRANSPORT_AUTO the log says what was
 *         chosen and why.
 */
int transport_open(const struct transport_config *config,
		   const struct transport_environment *environment,
		   struct transport **out_transport, char *problem, size_t problem_size);

/**
 * transport_close() - fences every connection, runs every done (-ECANCELED) and frees all; peers
 * too. Blocks as long as fencing takes: milliseconds, at most a second a device. NULL is fine.
 */
void transport_close(struct transport *transport);

/** transport_kind() - verbs, ucx or loop; and as text with its devices, "verbs (rxe0, rxe1)". */
enum transport_kind transport_kind(const struct transport *transport);
const char *transport_text(const struct transport *transport);

/* What may be done to a region. Landing is always allowed. */
enum transport_access {
	TRANSPORT_LANDING,  /* local only: reads' destinations */
	TRANSPORT_READABLE, /* by authenticated peers too */
};

/**
 * transport_region_add() - registers @len bytes at @base, in chunks of at most 1 GiB. Connections
 * made afterwards know it. Slow (0.06 ns a byte): at start, never per read.
 * @base: page-aligned, lent until transport_region_remove() or transport_close().
 * @out_region: its number, counted from 0: what peers call it.
 * Return: 0; -ENOMEM with @problem (RLIMIT_MEMLOCK: how much is needed), -ENOSPC beyond
 *         TRANSPORT_REGIONS_MAX, -EINVAL.
 */
int transport_region_add(struct transport *transport, void *base, size_t len,
			 enum transport_access access, uint32_t *out_region, char *problem,
			 size_t problem_size);

/**
 * transport_region_remove() - unregisters it. No read may land in it any more; a peer that still
 * reads it loses its connection or gets -ERANGE. Its number is not given out again.
 */
void transport_region_remove(struct transport *transport, uint32_t region);

/**
 * transport_listen() - accepts handshakes and connections at config.listen from now on.
 * @out_address: where, with the port when it was 0; an any-address stays one.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL ... with @problem.
 */
int transport_listen(struct transport *transport, struct address *out_address, char *problem,
		     size_t problem_size);

/**
 * transport_peer_get() - the ACTIVE peer at @address, one object however often it is got. Connects
 * lazily, at the first read or message.
 * @member: who must answer there; NULL or none: anybody of the cluster.
 * Return: 0; -ENOMEM.
 */
int transport_peer_get(struct transport *transport, const struct address *address,
		       const struct member_id *member, struct transport_peer **out_peer);

/** transport_peer_put() - the last put fences the connection; reads in flight end -ECANCELED, and
 *  no event is told of it any more. */
void transport_peer_put(struct transport_peer *peer);

/** transport_peer_connect() - connects now. Return: 0 (under way, or up); -EHOSTUNREACH. */
int transport_peer_connect(struct transport_peer *peer);

/** transport_peer_disconnect() - fences the connection; reads in flight end -ECONNRESET, without
 *  being repeated. Of a PASSIVE peer too. */
void transport_peer_disconnect(struct transport_peer *peer);

/* What is known of a peer. */
enum transport_peer_kind transport_peer_kind(const struct transport_peer *peer);
bool transport_peer_is_up(const struct transport_peer *peer);
const struct member_id *transport_peer_member(const struct transport_peer *peer); /* none before */
const struct address *transport_peer_address(const struct transport_peer *peer);  /* ACTIVE ones */
uint64_t transport_peer_retry_ns(const struct transport_peer *peer);		  /* 0: now */
/** Return: the length of the peer's region @region, 0 when it has none. */
uint64_t transport_peer_region_len(const struct transport_peer *peer, uint32_t region);
void *transport_peer_context(const struct transport_peer *peer);
void transport_peer_set_context(struct transport_peer *peer, void *context);

/* A one-sided read: the caller's struct, lent until done() has run. */
struct transport_read {
	/* set by the caller; who reads with it again sets deadline_ns anew: 0 has become a time */
	uint32_t region;      /* the peer's */
	uint64_t off;	      /* in it */
	size_t len;	      /* 1 .. TRANSPORT_READ_LEN_MAX */
	void *dst;	      /* @len bytes inside one of our regions */
	uint64_t deadline_ns; /* 0: now + read_timeout */
	uint64_t silence_ns;  /* it ends sooner if no read of this peer moves for so long; 0: not */
	void (*done)(struct transport_read *read);
	void *context;
	/* set before done */
	int status; /* 0, -ERANGE, -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, -EACCES ... */
	/* private */
	struct transport_peer *peer;
	uint64_t begun_ns, expires_ns;
	TAILQ_ENTRY(transport_read) by_expiry, by_link;
	struct transport_link *link; /* NULL: waits for a connection or for room on it */
	uint64_t backend[4];	     /* the backend's: slices under way, ids */
	bool repeated, expired;
};

/**
 * transport_read() - starts a read.
 * Return: 0 when accepted: done runs exactly once, and only when nothing can write @dst any more;
 *   -EAGAIN	reads_max are in flight; wait for a done;
 *   -EHOSTUNREACH the peer is in back-off; transport_peer_retry_ns() says until when;
 *   -EACCES, -EPROTONOSUPPORT, -EREMCHG the same, and the handshake was refused for that;
 *   -ERANGE	outside the peer's region, when it is known already.
 */
int transport_read(struct transport_peer *peer, struct transport_read *read);

/* A control message: the caller's struct, lent until done() has run. */
struct transport_message {
	/* set by the caller, deadline_ns anew each time */
	const void *data;
	size_t len;					 /* 1 .. TRANSPORT_MESSAGE_MAX */
	uint64_t deadline_ns;				 /* 0: now + read_timeout */
	void (*done)(struct transport_message *message); /* may be NULL */
	void *context;
	/* set before done: 0: handed to the wire (not: received); -ETIMEDOUT: no credit until the
	   deadline, never sent, the connection lives on; -ECONNRESET: perhaps sent */
	int status;
	/* private */
	struct transport_peer *peer;
	TAILQ_ENTRY(transport_message) by_deadline, by_peer;
	bool with_backend, expired;
	uint64_t backend[2];
};

#define TRANSPORT_MESSAGES_MAX 256 /* waiting at one peer */

/**
 * transport_send() - sends a message: in order, not lost while the connection lives.
 * Return: 0 when accepted; -EAGAIN TRANSPORT_MESSAGES_MAX wait at this peer: wait for a done; or as
 *         transport_read().
 */
int transport_send(struct transport_peer *peer, struct transport_message *message);

/** transport_poll() - takes what has happened, runs callbacks. Returns how many things did. */
int transport_poll(struct transport *transport);

/**
 * transport_wait() - polls until something happened, transport_wake() was called or @until_ns:
 * busily for config.busy_poll, then asleep. Returns as transport_poll(): 0 at the time or a wake.
 */
int transport_wait(struct transport *transport, uint64_t until_ns);

/** transport_wake() - ends the owner's transport_wait(), or its next one. Any thread. */
void transport_wake(struct transport *transport);

/* One device as `cenote-bw devices` shows it. */
struct transport_device {
	enum transport_kind kind;
	char name[64];	/* "mlx5_0:1", "eth0" */
	char text[256]; /* "RoCE v2, 100 Gb/s, MTU 4096, GID 3 10.0.0.7, NUMA node 0" */
	bool usable;
	char problem[256]; /* "" or why it is not usable and what to do, or what is not ideal */
};

/**
 * transport_devices() - what this machine has, usable or not, and a first entry a kind that has
 * nothing at all, saying why.
 * Return: how many were written, at most @count_max; -ENOMEM.
 */
int transport_devices(struct transport_device *out, unsigned count_max);

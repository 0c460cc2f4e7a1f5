/*
 * front.h - the transport's own structs, and what its files ask of each other: the half of a
 * transport that is the same for every backend.
 *
 *	transport.c	open, poll, wait, close
 *	peer.c		the life of a peer's connection
 *	peers.c		all the peers
 *	links.c		what backends tell of connections; those who connect to us
 *	reads.c		deadlines, fencing and repetition of reads
 *	messages.c	the queue of control messages
 *	regions.c	memory
 *
 * All of it is the owner thread's, but for what transport_wake() touches.
 *
 * Callbacks. Calls of the owner never run a callback: what they end (reads of a peer that is put,
 * say) goes to the `ended` lists and is called back by the next transport_poll(). Inside
 * transport_poll() every callback may put, disconnect or start anything, so peers are freed at its
 * end alone (peers_reap()), and lists are worked off from their heads.
 */
#pragma once

#include <stdatomic.h>

#include "fabric/auth/greeting.h"
#include "fabric/transport/backend.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

TAILQ_HEAD(read_list, transport_read);
TAILQ_HEAD(message_list, transport_message);
TAILQ_HEAD(peer_list, transport_peer);

/* peer.c has the drawing. */
enum peer_state {
	PEER_IDLE,	 /* nothing to do: waits for a read or a message */
	PEER_QUEUED,	 /* waits for transport_poll(), and to be one of peers_connected_max */
	PEER_GREETING,	 /* waits for the TCP handshake, until timer_ns */
	PEER_CONNECTING, /* waits for transport_link_up(), until timer_ns */
	PEER_UP,	 /* reads and messages go to the backend */
	PEER_FENCING,	 /* waits for transport_link_down() */
	PEER_BACKOFF,	 /* waits for retry_at_ns */
};

/* Why a connection comes down. A later cause replaces an earlier one only by being larger. */
enum fence_cause {
	FENCE_LOST,    /* by itself, or by the peer */
	FENCE_EVICT,   /* another peer needs its place */
	FENCE_TIMEOUT, /* a read or a message got no answer in time, or connecting took too long */
	FENCE_DISCONNECT, /* transport_peer_disconnect() */
	FENCE_PUT,	  /* the last transport_peer_put() */
	FENCE_CLOSE,	  /* transport_close() */
};

struct transport_peer {
	struct transport *transport;
	enum transport_peer_kind kind;
	enum peer_state state;
	enum fence_cause cause; /* while FENCING */
	bool was_up;		/* this connection */
	bool gone;		/* put by all, or passive and down: only peers_reap() may see it */
	bool counted;		/* as one of peers_connected_max */
	bool evicted;		/* as one of `evicting` */
	bool asked;		/* transport_peer_connect(): connect though nothing waits */
	struct transport_link *link;
	struct read_list inflight, waiting;   /* with the backend; for a connection or room */
	uint64_t moved_ns;		      /* when bytes of a read last came */
	struct message_list outgoing, unsent; /* the same of messages */
	unsigned messages;		      /* in both */
	uint64_t used;			      /* the transport's `uses` of then, for the LRU */
	uint64_t used_before;		      /* `used` when the timer of idle_timeout was set */
	uint64_t timer_ns;		      /* of the state; CLOCK_NEVER: none */
	uint64_t connect_by_ns;		      /* greeting and connecting together */
	uint64_t up_since_ns;
	uint64_t retry_at_ns, retry_delay_ns; /* 0: the last connection was a good one */
	int refusal;			      /* what calls return during BACKOFF */
	const char *fence_why;		      /* for the down event, of a static text */
	unsigned references;
	struct greeting *greeting;
	struct member_id expected, member;
	uint64_t boot;
	struct address address;
	char address_text[ADDRESS_TEXT_MAX]; /* the key */
	void *context;
	UT_hash_handle by_address;
	TAILQ_ENTRY(transport_peer) by_transport, by_queue;
};

struct transport {
	const struct transport_ops *ops;
	void *backend;
	void *open_argument; /* loop's: which network and which number */
	struct transport_config config;
	struct transport_environment environment;
	struct random random;
	char text[256];
	struct transport_region *regions[TRANSPORT_REGIONS_MAX];
	unsigned region_count; /* numbers given out; a removed one stays NULL */

	struct transport_peer *by_address; /* uthash of ACTIVE peers that are not gone */
	struct peer_list active, passive;
	struct peer_list queued;     /* PEER_QUEUED, in order */
	unsigned active_connections; /* of `counted` ones, GREETING to FENCING */
	unsigned passive_connections;
	unsigned queued_count, evicting;
	bool evictable;		 /* false: no peer is without work, known from a vain search */
	uint64_t peers_timer_ns; /* no peer's timer_ns is earlier */
	uint64_t uses;
	bool reap;

	unsigned reads; /* accepted and not done */
	struct read_list read_expiries, ended_reads;
	struct message_list message_deadlines, ended_messages;

	struct proofs proofs;
	struct greeter *greeter; /* NULL when the backend does not greet */
	uint64_t greeter_at_ns;

	/* the loop of transport_poll() and transport_wait() */
	bool polling, closing;
	bool now_known; /* now_ns is this poll's */
	uint64_t now_ns;
	uint64_t idle_since_ns;
	unsigned busy_polls; /* in a row without a look at the clock */
	int epoll_fd, wake_fd;
	atomic_bool woken, asleep; /* any thread */

	uint32_t tallied;			/* a bit for each counter that is in tally */
	int64_t tally[TRANSPORT_COUNTER_COUNT]; /* for environment.counters, at the end of a poll */
};

/* transport.c */

/** transport_open_with() - transport_open() with a backend of the caller's choice (NULL: as the
 *  config says); @argument is open_argument. */
int transport_open_with(const struct transport_ops *ops, void *argument,
			const struct transport_config *config,
			const struct transport_environment *environment,
			struct transport **out_transport, char *problem, size_t problem_size);

/** transport_now() - the clock, read at most once a poll. */
uint64_t transport_now(struct transport *transport);

/** transport_refused() - counts a handshake that we or who came refused, or that was none. */
void transport_refused(struct transport *transport, bool foreign);

/* counters.c */

/** transport_publish_counts() - adds what was counted since the last time to the counters that
 *  others see: they are atomics that several transports share. */
void transport_publish_counts(struct transport *transport);

/* choose.c */

/** choose_open() - opens the backend that the config asks for. As transport_ops.open(). */
int choose_open(struct transport *transport, char *problem, size_t problem_size);

/* options.c */

/** config_copy() - @out is to be released by option_free(&transport_options). */
int config_copy(const struct transport_config *config, struct transport_config *out);

/* regions.c */
void regions_free(struct transport *transport);

/* peer.c */

/** peer_want() - connects when it is IDLE. */
void peer_want(struct transport_peer *peer);

/** peer_usable() - whether a read or a message may be accepted: UP, or on the way to it.
 *  Return: 0, or what the caller is told. */
int peer_usable(struct transport_peer *peer);

/** peer_fence() - begins to take the connection down; fine when that is under way. */
void peer_fence(struct transport_peer *peer, enum fence_cause cause, const char *why);

/** peer_greeted() - it is known who answered. */
void peer_greeted(struct transport_peer *peer, const struct member_id *member, uint64_t boot);

/** peer_is_up(), peer_is_down() - the link of an ACTIVE peer. */
void peer_is_up(struct transport_peer *peer);
void peer_is_down(struct transport_peer *peer, int status, const char *why);

/** peers_progress() - starts who is queued, lets timers run out. */
void peers_progress(struct transport *transport);

/** peer_take_down() - inside a call: ends what waits with @status, and the connection or the
 * attempt at one, as far as that can be done here. */
void peer_take_down(struct transport_peer *peer, enum fence_cause cause, int status,
		    const char *why);

/** peer_leave_queue() - a QUEUED one is IDLE again. */
void peer_leave_queue(struct transport_peer *peer);

/* peers.c */

/** peer_new() - Return: NULL without memory. */
struct transport_peer *peer_new(struct transport *transport, enum transport_peer_kind kind);

/** peers_reap() - frees those that are gone; outside of every callback. */
void peers_reap(struct transport *transport);

/** peers_cancel() - for transport_close(): those without a link end; then peers_free(). */
void peers_cancel(struct transport *transport);
void peers_free(struct transport *transport);

/* reads.c */

/** reads_flush() - hands what waits to an UP peer's backend, while it has room. */
void reads_flush(struct transport_peer *peer);

/** reads_end_waiting() - inside poll: those not with the backend are done. */
void reads_end_waiting(struct transport_peer *peer, int status);

/** reads_defer_waiting() - inside a call: the same, at the next poll. */
void reads_defer_waiting(struct transport_peer *peer, int status);

/** reads_expire() - ends or fences what is past its deadline, or too long silent. Returns how
 *  many. */
int reads_expire(struct transport *transport, uint64_t now_ns);

/** reads_call_ended() - calls the deferred ones back. Returns how many. */
int reads_call_ended(struct transport *transport);

/* messages.c, as reads.c */
void messages_flush(struct transport_peer *peer);
void messages_end_waiting(struct transport_peer *peer, int status);
void messages_defer_waiting(struct transport_peer *peer, int status);
int messages_expire(struct transport *transport, uint64_t now_ns);
int messages_call_ended(struct transport *transport);

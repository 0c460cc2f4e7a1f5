/*
 * verbs.h - the backend's own structs, and what its files ask of each other.
 *
 *	verbs.c		the ops: open, poll, sleep, close
 *	port.c		what a device's port is good for;  devices.c lists them
 *	rail.c		an open device: completion queue, shared receives, buffers, its death
 *	region.c	registered memory and its keys
 *	events.c	what rdma_cm and the devices tell
 *	queue.c		one queue pair with its rdma_cm id: made, broken, flushed, destroyed
 *	opener.c	connecting;  acceptor.c  being connected to
 *	link.c		the life of a connection of several queues
 *	control.c	messages, credits, keys;  reads.c  slices
 *	wire.c		the bytes
 *
 * All is the owner thread's. A connection (struct verbs_link) has a control queue, SEND and RECV
 * only, and a data queue on each rail, READ only: a SEND that finds no receive would kill the queue
 * pair and every READ on it.
 *
 * Nothing is freed and nobody called back while a completion or an event is being worked on: what
 * breaks is marked, and verbs_links_progress() at the end of a poll does the rest.
 */
#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"
#include "base/clock.h"
#include "fabric/transport/backend.h"
#include "fabric/transport/verbs/port.h"
#include "fabric/transport/verbs/wire.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/*
 * Receives of one side of a connection, so that no SEND ever finds none: ordinary messages cost the
 * sender a credit; of CREDIT messages two can be under way (each gives back half of all credits); a
 * PING is sent by the acceptor only and answered by a PONG, one for one.
 */
#define VERBS_CREDITS	   10
#define VERBS_PINGS_MAX	   4
#define VERBS_RECEIVES	   (VERBS_CREDITS + 2 + VERBS_PINGS_MAX)
#define VERBS_SENDS	   VERBS_RECEIVES
#define VERBS_PING_NS	   (5 * NS_PER_S) /* of silence; doubled with each one unanswered */
#define VERBS_MESSAGE_LEN  (WIRE_HEADER_LEN + TRANSPORT_MESSAGE_MAX)
#define VERBS_COMPLETIONS  65536u /* of a rail's completion queue, if the device has as many */
#define VERBS_RD_ATOMIC	   64	  /* READs under way on a queue pair, if the device can */
#define VERBS_POLL_BATCH   32
#define VERBS_POST_BATCH   16
#define VERBS_SIGNAL_EVERY 8
#define VERBS_FLUSH_NS	   (500 * NS_PER_MS) /* until a broken queue pair is destroyed unflushed */
#define VERBS_DOWN_NS	   (2 * NS_PER_S)    /* a port may blink that long */
#define VERBS_AVOID_NS	   (30 * NS_PER_S)   /* a rail that could not connect */
#define VERBS_RAILS_NS	   NS_PER_S	     /* later than the first, a rail is not waited for */
#define VERBS_REJOIN_NS	   (3 * NS_PER_S)    /* then, or when it was lost, it is tried again */
#define VERBS_STILL_MAX	   2 /* ticks without a completion: the rail is given up for others */
/* 4.096 us * 2^14 = 67 ms, or up to four times that; with 6 repetitions a dead peer is known after
   0.5 to 2 s. Not 7: to some devices that means for ever. */
#define VERBS_ACK_TIMEOUT 14
#define VERBS_RETRIES	  6

struct verbs;
struct verbs_link;
struct verbs_rail;

/* A message's place in registered memory. */
struct verbs_buffer {
	uint8_t *data;
	uint32_t lkey;
	uint32_t index; /* in the rail's table */
	struct verbs_buffer *next;
};

enum verbs_queue_state {
	VERBS_QUEUE_NONE,
	VERBS_QUEUE_ADDRESS,  /* opener: waits for the address */
	VERBS_QUEUE_ROUTE,    /* opener: waits for the route */
	VERBS_QUEUE_ANSWER,   /* opener: waits for WELCOME */
	VERBS_QUEUE_UP,	      /* of an acceptor also before the opener has said so */
	VERBS_QUEUE_BREAKING, /* in error, waits for its work requests to come back */
};

/* A work request under way: sequence number @seq of a queue is in slots[seq % depth]. */
struct verbs_slot {
	union {
		struct transport_read *read;	   /* of a data queue */
		struct transport_message *message; /* of a control queue; may be NULL */
	};
	struct verbs_buffer *buffer; /* of a control queue */
	uint32_t off, len;	     /* the slice */
};

struct verbs_queue {
	struct verbs_link *link;
	struct verbs_rail *rail;
	enum verbs_queue_state state;
	bool control;
	bool greeted; /* rdma_cm connected it, so the peer is to be told of its end */
	struct rdma_cm_id *id;
	struct ibv_qp *qp;
	uint16_t handle; /* names it in work requests, with the generation */
	uint16_t generation;
	/* posted and not known to be done: [tail, head), counted for ever */
	uint32_t head, tail, depth;
	struct verbs_slot *slots;
	uint64_t flush_ns;   /* BREAKING: destroyed at that time at the latest */
	char why[96];	     /* BREAKING */
	struct wire_rail to; /* opener: where it goes */
	uint8_t peer_mtu;    /* acceptor: from HELLO */
	uint32_t attempt;    /* of a data queue: the last one's number */
	bool moved;	     /* something completed since the last tick */
	uint8_t still;	     /* ticks since then */
	TAILQ_ENTRY(verbs_queue) by_rail;
	UT_hash_handle by_qp; /* in the rail's table, by the queue pair's number */
};

enum verbs_rail_state {
	VERBS_RAIL_ABSENT, /* configured, but not usable at the start: the numbers of others stay */
	VERBS_RAIL_LIVE,
	VERBS_RAIL_DOWN, /* its port is down: no new connections; after VERBS_DOWN_NS it breaks */
	VERBS_RAIL_DEAD, /* the device is gone: released when the last queue is */
};

struct verbs_rail {
	struct verbs *verbs;
	unsigned index;
	enum verbs_rail_state state;
	struct verbs_port port;
	struct ibv_context *context; /* librdmacm's, shared by all transports of the process */
	struct ibv_context *watch;   /* our own, for the asynchronous events of the device: on the
					other, transports would take each other's */
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_srq *srq;
	/* bound to our address: who listens, and what hears that the device goes */
	struct rdma_cm_id *listener;
	uint64_t down_ns;  /* DOWN: since when */
	uint64_t avoid_ns; /* until then, others carry new control queues */
	uint8_t rd_atomic_out, rd_atomic_in;

	/* Every work request under way may complete, flushed, so: receives + sends <= cq. Data
	   leaves control_reserve of sends alone. */
	unsigned sends, sends_max, control_reserve;
	unsigned receives, receives_max; /* posted; a multiple of VERBS_RECEIVES */
	unsigned links;			 /* that use receives */
	unsigned unacked;		 /* events of the completion channel */

	struct verbs_buffer **buffers; /* all, by index */
	unsigned buffer_count;
	struct verbs_buffer *buffers_free;
	struct verbs_slab {
		void *memory;
		struct ibv_mr *mr;
		struct verbs_buffer *buffers;
		struct verbs_slab *next;
	} * slabs;

	struct ibv_wc early[VERBS_POLL_BATCH]; /* found while going to sleep */
	int early_count;
	TAILQ_HEAD(verbs_queues, verbs_queue) queues;
	struct verbs_queue *by_qp; /* control queues */
};

/* What an opener knows of a peer's region. */
struct verbs_remote {
	uint64_t len, base;
	uint32_t *keys[TRANSPORT_RAILS_MAX]; /* by chunk */
	uint32_t known[TRANSPORT_RAILS_MAX]; /* how many have come */
};

enum verbs_link_state {
	VERBS_LINK_OPENING, /* opener: waits for the control queue */
	VERBS_LINK_RAILS,   /* opener: waits for the data queues */
	VERBS_LINK_KEYS,    /* opener: READY is said, waits for KEYS_END */
	VERBS_LINK_WAITS,   /* acceptor: waits for data queues, and READY */
	VERBS_LINK_GIVES,   /* acceptor: gives the first keys, as credits come */
	VERBS_LINK_UP,
	VERBS_LINK_FENCING, /* waits for every queue to be gone */
};

/* A part of a read that goes over one rail. */
struct verbs_slice {
	struct transport_read *read;
	uint32_t off, len;
};

struct verbs_link {
	struct transport_link base; /* first */
	struct verbs *verbs;
	enum verbs_link_state state;
	uint64_t session;
	uint8_t proof[WIRE_SECRET_LEN];
	struct verbs_queue control, data[TRANSPORT_RAILS_MAX];
	/* bits of rails. Opener: those that reads may use; those of the last READY, until KEYS_END;
	   those that are connected and need keys. Acceptor: those that get keys now. */
	uint8_t rails, asked, unkeyed, giving;
	uint64_t timer_ns;
	uint64_t rejoin_ns; /* opener: when a missing rail is tried again */
	bool dirty;	    /* on verbs->dirty: has something to post */
	int status;	    /* FENCING */
	char why[128];

	/* control.c */
	unsigned credits, owed; /* messages we may send; messages the peer may send again */
	unsigned pings;		/* unanswered; of an opener: PONGs to be sent */
	bool starved;		/* send() said -EAGAIN */
	bool heard;		/* something since the last PING was due */
	bool gives;		/* acceptor: KEYS, or KEYS_END, are to be sent */
	uint32_t key_region, key_rail, key_chunk; /* the next one */

	/* reads.c; of an opener */
	struct verbs_remote *remotes;			 /* TRANSPORT_REGIONS_MAX */
	uint32_t chunks;				 /* known of all, for the limit */
	struct transport_read *reads_first, *reads_last; /* not wholly posted, by their next */
	unsigned reads, reads_max;			 /* accepted */
	struct verbs_slice *again;			 /* slices of lost rails */
	unsigned again_count, again_max;

	TAILQ_ENTRY(verbs_link) by_verbs, by_dirty;
};

TAILQ_HEAD(verbs_links, verbs_link);

/* A region's registrations: mrs[rail * chunk_count + chunk]. */
struct verbs_region {
	struct transport_region *region;
	unsigned chunk_count;
	struct ibv_mr **mrs;
	TAILQ_ENTRY(verbs_region) by_verbs;
};

struct verbs {
	struct transport *transport;
	const struct clock *clock;
	struct rdma_event_channel *channel;
	int epoll_fd;
	struct verbs_rail *rails[TRANSPORT_RAILS_MAX];
	unsigned rail_count;
	bool listening;
	int traffic_class, pkey_index, gid_index;
	unsigned queue_depth;
	uint32_t slice_len;
	uint64_t connect_ns;
	uint64_t tick_ns; /* of connections with several rails: a fraction of the read time-out */
	struct verbs_links links, dirty;
	bool broken;	   /* some queue is BREAKING, or some link FENCING */
	uint64_t flush_ns; /* then: when to look at the latest, 0: at once */
	bool polling;	   /* inside poll(): who starts something need not post it at once */
	unsigned idle;	   /* polls since the descriptors were looked at */
	uint64_t timer_ns; /* no link's is earlier */
	TAILQ_HEAD(verbs_regions, verbs_region) regions;
	/* a queue's handle is its place here */
	struct verbs_queue **handles;
	unsigned handle_count;
	uint16_t generation;
};

/* ---- rail.c */

/** verbs_rail_open() - Return: 0, -ENOMEM, -EIO ... with @problem. */
int verbs_rail_open(struct verbs_rail *rail, char *problem, size_t problem_size);
void verbs_rail_close(struct verbs_rail *rail);
/** verbs_rail_take() - receives for one more link. Return: 0; -ENOSPC, -ENOMEM. */
int verbs_rail_take(struct verbs_rail *rail);
void verbs_rail_give(struct verbs_rail *rail);
/** verbs_rail_post_receive() - gives a receive buffer back to the device. */
void verbs_rail_post_receive(struct verbs_rail *rail, struct verbs_buffer *buffer);
/** verbs_rail_buffer() - for a send; NULL: none now. */
struct verbs_buffer *verbs_rail_buffer(struct verbs_rail *rail);
void verbs_rail_buffer_free(struct verbs_rail *rail, struct verbs_buffer *buffer);
/** verbs_rail_poll() - takes completions. Returns how many. */
int verbs_rail_poll(struct verbs_rail *rail);
/** verbs_rail_arm() - Return: 0, or -EAGAIN: there is something. */
int verbs_rail_arm(struct verbs_rail *rail);
/** verbs_rail_quiet() - takes the completion channel's events. */
void verbs_rail_quiet(struct verbs_rail *rail);
/** verbs_rail_die() - the device is gone, or must be given up. */
void verbs_rail_die(struct verbs_rail *rail, const char *why);
/** verbs_rail_name() - for people. */
static inline const char *verbs_rail_name(const struct verbs_rail *rail)
{
	return rail->port.name;
}

/* ---- region.c */
int verbs_region_add(void *backend, struct transport_region *region, char *problem,
		     size_t problem_size);
void verbs_region_remove(void *backend, struct transport_region *region);
/** verbs_regions_release() - what is registered on that rail. */
void verbs_regions_release(struct verbs *verbs, unsigned rail);
/** verbs_region_mr() - of the chunk that @address is in; *@out_left: bytes until its end. */
struct ibv_mr *verbs_region_mr(const struct transport_region *region, unsigned rail,
			       const void *address, size_t *out_left);

/* ---- events.c */
/** verbs_events() - whatever is waiting at the descriptors. Returns how many. */
int verbs_events(struct verbs *verbs);

/* ---- queue.c */

/** verbs_queue_open() - begins to connect to queue->to. Return: 0 or an error. */
int verbs_queue_open(struct verbs_queue *queue);
/** verbs_queue_resolved() - its address is found, or its route. */
int verbs_queue_resolved(struct verbs_queue *queue, enum rdma_cm_event_type event);
/** verbs_queue_welcomed() - the acceptor has answered: to work. */
int verbs_queue_welcomed(struct verbs_queue *queue, uint8_t peer_mtu,
			 const struct rdma_conn_param *answer);
/** verbs_queue_accept() - @id is taken on success. */
int verbs_queue_accept(struct verbs_queue *queue, struct rdma_cm_id *id,
		       const struct rdma_conn_param *asked);
/** verbs_queue_break() - to error; does nothing when that is so. */
void verbs_queue_break(struct verbs_queue *queue, const char *why);
/** verbs_queue_flushed() - a BREAKING one of which nothing is under way any more, by @now_ns. */
bool verbs_queue_flushed(const struct verbs_queue *queue, uint64_t now_ns);
/** verbs_queue_destroy() - nothing of it can be written any more; its slots are kept until
 *  verbs_queue_reset(). */
void verbs_queue_destroy(struct verbs_queue *queue);
void verbs_queue_reset(struct verbs_queue *queue);
/** verbs_queue_room() - how many work requests it takes now. */
unsigned verbs_queue_room(const struct verbs_queue *queue);
/** verbs_queue_id() - a work request's. */
static inline uint64_t verbs_queue_id(const struct verbs_queue *queue, uint32_t seq)
{
	return (uint64_t)queue->handle << 48 | (uint64_t)queue->generation << 32 | seq;
}
/** verbs_queue_of() - whose it is; NULL: of one that is gone. */
struct verbs_queue *verbs_queue_of(struct verbs *verbs, uint64_t id);
/** verbs_queue_completed() - a send completion of it. */
void verbs_queue_completed(struct verbs_queue *queue, const struct ibv_wc *completion);

/* ---- link.c */
struct verbs_link *verbs_link_new(struct verbs *verbs);
/** verbs_link_free() - one without queues. */
void verbs_link_free(struct verbs_link *link);
/** verbs_link_fence() - see the head of link.c; the first cause stays. */
void verbs_link_fence(struct verbs_link *link, int status, const char *why);
void verbs_link_disconnect(struct transport_link *base);
/** verbs_link_has_other() - reads have another rail than that of @queue. */
bool verbs_link_has_other(const struct verbs_queue *queue);
/** verbs_link_queue_lost() - a queue breaks: what that means for its link. */
void verbs_link_queue_lost(struct verbs_queue *queue);
/** verbs_link_dirty() - has something to post at the end of this poll, or of the next. */
void verbs_link_dirty(struct verbs_link *link);
void verbs_link_timer(struct verbs_link *link, uint64_t at_ns);
/** verbs_links_progress() - timers, flushes, ends. Returns how many things happened. */
int verbs_links_progress(struct verbs *verbs);

/* ---- opener.c */
int verbs_connect(void *backend, const struct address *greeted, const uint8_t *offer,
		  size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		  struct transport_link **out_link, char *problem, size_t problem_size);
/** verbs_opener_event() - of one of its queues. */
void verbs_opener_event(struct verbs_queue *queue, const struct rdma_cm_event *event);
/** verbs_opener_settle() - in RAILS: says READY once every data queue is up, lost or late. */
void verbs_opener_settle(struct verbs_link *link, bool late);
/** verbs_opener_ask() - READY for rails that need keys, unless one is under way. */
void verbs_opener_ask(struct verbs_link *link);
/** verbs_opener_tick() - UP: looks after the rails. */
void verbs_opener_tick(struct verbs_link *link);

/* ---- acceptor.c */
int verbs_listen(void *backend, const struct address *address, uint8_t offer[TRANSPORT_OFFER_MAX],
		 char *problem, size_t problem_size);
/** verbs_acceptor_request() - takes @id. @data: HELLO, borrowed. */
void verbs_acceptor_request(struct verbs_rail *rail, struct rdma_cm_id *id,
			    const struct rdma_conn_param *asked, const void *data, size_t len);

/* ---- control.c */
int verbs_control_send(struct transport_link *base, struct transport_message *message);
/** verbs_control_say() - READY, KEYS_END ...; -EAGAIN. */
int verbs_control_say(struct verbs_link *link, enum wire_type type, const void *data, size_t len);
/** verbs_control_received() - a receive completed. */
void verbs_control_received(struct verbs_queue *queue, const uint8_t *data, size_t len);
/** verbs_control_sent() - the slot's SEND is done, or flushed. */
void verbs_control_sent(struct verbs_queue *queue, struct verbs_slot *slot, int status);
/** verbs_control_pump() - posts what is due: keys, credits, PONGs. */
void verbs_control_pump(struct verbs_link *link);
/** verbs_control_ping() - of an acceptor's link, when its timer is up. */
void verbs_control_ping(struct verbs_link *link);

/* ---- keys.c */
/** verbs_keys_give() - Return: 0 when all are given, or -EAGAIN. */
int verbs_keys_give(struct verbs_link *link);
/** verbs_keys_take() - a KEYS message, or KEYS_END. Return: 0, -EBADMSG, -ENOMEM. */
int verbs_keys_take(struct verbs_link *link, const uint8_t *data, size_t len);
/** verbs_keys_end() - KEYS_END: what was asked for may be used. Return: 0; -EBADMSG: no rail. */
int verbs_keys_end(struct verbs_link *link);
/** verbs_keys_forget() - those of a rail that was lost. */
void verbs_keys_forget(struct verbs_link *link, unsigned rail);
void verbs_keys_free(struct verbs_link *link);
uint64_t verbs_keys_len(const struct transport_link *base, uint32_t region);

/* ---- reads.c */
int verbs_read(struct transport_link *base, struct transport_read *read);
/** verbs_reads_pump() - posts slices while there is room. */
void verbs_reads_pump(struct verbs_link *link);
/** verbs_reads_landed() - the slot's slice is there. */
void verbs_reads_landed(struct verbs_queue *queue, const struct verbs_slot *slot);
/** verbs_reads_failed() - the slice's work request ended with that error. */
void verbs_reads_failed(struct verbs_queue *queue, const struct verbs_slot *slot,
			const struct ibv_wc *completion);
/** verbs_reads_salvage() - a data queue is destroyed: what was on it goes to the others. */
void verbs_reads_salvage(struct verbs_queue *queue);
/** verbs_reads_end() - every queue is gone: the rest is done with that status. */
void verbs_reads_end(struct verbs_link *link, int status);

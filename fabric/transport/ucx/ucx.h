/*
 * ucx.h - the backend's own structs, and what its files ask of each other.
 *
 *	ucx.c		the ops: open, poll, sleep, close
 *	context.c	UCX itself: its settings, its log, its signal handlers
 *	devices.c	network interfaces
 *	link.c		the life of a connection: made, failed, closed
 *	meeting.c	connecting, being connected to; HELLO, WELCOME, REFUSAL
 *	frames.c	what is sent: control messages, batches of requests
 *	asking.c	our reads of others;  answering.c  theirs of us
 *	guard.c		what is no UCX stays outside
 *	wire.c		the bytes
 *
 * Whom we trust. UCX's own parser faces the network: it believes what the wire says of endpoints,
 * and its tcp transport writes what any client that speaks its protocol sends to whatever address
 * the client names. Nothing here can change that, so this backend is for trusted networks only.
 * What we do: active messages only, as UCP's emulated RMA reads and writes any address for who
 * holds one key; the first message of a connection is a HELLO with a proof of the handshake, or the
 * connection ends; every message carries its session's token; the owner checks the bounds of every
 * request; the reader lands only what it asked for, where it asked for it, once.
 *
 * Who may write a read's destination: we alone. Slices are never longer than what comes in one
 * piece with its active message, and we copy it in that one's callback. What UCX was lent (`lent`
 * counts it) is frames, and the memory that answers are sent from; a link is down when all of it
 * has come back.
 *
 * Callbacks. UCX calls us inside ucp_worker_progress() only, that is inside poll(). No callback of
 * UCX sends, or closes an endpoint: they queue frames and doom links, and poll() does it
 * afterwards. After its error callback an endpoint is given to ucp_ep_close_nbx() and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <ucp/api/ucp.h>

#include "base/address.h"
#include "fabric/transport/backend.h"
#include "fabric/transport/ucx/wire.h"

/*
 * Sizes, by measurement over loopback. A frame is what UCX's tcp sends and receives in one piece;
 * both ends must agree on it, or the receiver aborts, so HELLO and WELCOME say it and the smaller
 * one counts.
 */
#define UCX_TCP_FRAME_LEN   (256u << 10)
#define UCX_EAGER_MAX	    (UCX_TCP_FRAME_LEN - 512) /* less the heads of UCX and ours */
#define UCX_GATHERED_MAX    (24u << 10) /* small pieces gathered in one answer, together */
#define UCX_LONG_PIECES_MAX 4		/* in an answer that is longer than that */

#define UCX_UNPROVEN_MAX     64 /* connections that have not said HELLO, or were refused */
#define UCX_UNPROVEN_NS	     (5 * NS_PER_S)
#define UCX_REFUSING_NS	     (1 * NS_PER_S)
#define UCX_CLOSE_NS	     (1 * NS_PER_S)  /* what close() gives UCX before it uses force */
#define UCX_CLOSING_NS	     (1 * NS_PER_MS) /* between looks at what is closing */
#define UCX_RESTLESS_POLLS   32
#define UCX_MESSAGES_MAX     16 /* handed to UCX on one link */
#define UCX_FRAME_LEN	     (UCX_MESSAGE_HEAD_LEN + TRANSPORT_MESSAGE_MAX)
#define UCX_FRAMES_KEPT	     64
#define UCX_BATCHES_KEPT     256
#define UCX_LINKS_SPARE	     64 /* beside those up: on their way in or out */
#define UCX_TOKEN_INDEX_BITS 20

/* Where a connection is, and what it waits for. */
enum ucx_state {
	UCX_ASKS,     /* ours: for WELCOME or REFUSAL; the front limits how long */
	UCX_WAITS,    /* theirs: for HELLO, until deadline_ns */
	UCX_UP,	      /* for reads and messages */
	UCX_REFUSING, /* theirs: has its REFUSAL; for them to close, until deadline_ns */
	UCX_CLOSING,  /* the endpoint is closed: for UCX to give back what it was lent */
};

/* One request of ours on its way: the place in link->asks is in its id. */
struct ucx_ask {
	struct ucx_link *link;
	struct transport_read *read; /* NULL: free */
	uint8_t *dst;
	uint32_t len;
	uint16_t generation; /* in the id, too: an answer of a former use is found out */
	uint16_t next_free;
};

/* One request of theirs that is to be answered. */
struct ucx_want {
	uint32_t id, len;
	int32_t status;
	uint8_t *from;
};

/* A control message, or a batch of requests, until UCX has sent it. */
struct ucx_frame {
	TAILQ_ENTRY(ucx_frame) entry;
	struct ucx_link *link;
	struct transport_message *message; /* NULL: none of the front's */
	enum ucx_kind kind;
	size_t len;
	uint8_t bytes[UCX_FRAME_LEN];
};

/* Answers under way in one active message, lent to UCX until sent. */
struct ucx_batch {
	SLIST_ENTRY(ucx_batch) entry;
	struct ucx_link *link;
	unsigned count;
	size_t head_len, bytes;
	ucp_dt_iov_t iov[UCX_PIECES_MAX];
	uint8_t head[UCX_ANSWER_HEAD_LEN + UCX_PIECES_MAX * UCX_PIECE_LEN];
};

TAILQ_HEAD(ucx_frames, ucx_frame);
TAILQ_HEAD(ucx_links, ucx_link);
SLIST_HEAD(ucx_batches, ucx_batch);

struct ucx_link {
	struct transport_link link; /* first: it is what the front holds */
	struct ucx_backend *backend;
	enum ucx_state state;
	ucp_ep_h ep;	/* NULL once closed */
	unsigned lent;	/* requests that UCX has not completed */
	uint64_t token; /* ours: what they address us with */
	uint64_t peer_token;
	uint64_t deadline_ns; /* of WAITS and REFUSING */
	uint32_t eager_max;   /* what they take in one piece */
	bool broken;	      /* the error callback has run */
	bool doomed, dirty;   /* on those lists */
	int status;	      /* doomed: why */
	char why[96];
	char peer_text[ADDRESS_TEXT_MAX];
	struct ucx_frames outbox;
	struct ucx_frame *requests; /* the READ that is being filled */
	/* messages */
	unsigned messages;	 /* handed to us, not sent */
	bool messages_full;	 /* one was turned away */
	uint32_t sent, received; /* their numbers */
	/* ours of them (ACTIVE) */
	struct ucx_ask *asks;
	uint16_t ask_count, free_ask;	/* ask_count: none free */
	struct transport_read *partial; /* its slices do not fit yet */
	uint32_t slice_len;
	struct ucx_welcome *welcome; /* their regions */
	/* theirs of us (PASSIVE) */
	struct ucx_want *wants; /* a ring of wants_max */
	unsigned wants_max, wants_first, wants_count;
	unsigned answering;			   /* requests in wants and in batches */
	TAILQ_ENTRY(ucx_link) entry;		   /* of links */
	TAILQ_ENTRY(ucx_link) by_dirty, by_doomed; /* by_doomed: of closing, too */
	TAILQ_ENTRY(ucx_link) by_unproven;
};

struct ucx_backend {
	struct transport *transport;
	ucp_context_h context;
	ucp_worker_h worker;
	ucp_listener_h listener;
	int event_fd;
	int events;	   /* of this poll */
	unsigned restless; /* polls until we may sleep */
	bool silent;	   /* nobody may be called up: what would, dooms its link */
	/* tokens name a place here */
	struct ucx_link **places;
	uint32_t *free_places;
	uint32_t place_count, free_place_count;
	struct ucx_links links, unproven, dirty, doomed, closing;
	unsigned unproven_count;
	struct ucx_frames frames; /* kept for use */
	struct ucx_batches batches;
	unsigned frame_count, batch_count;
};

/* context.c */

/** ucx_context_open() - a context of the interfaces that @config names.
 *  Return: 0; -ENODEV, -ENOMEM ... with @problem. */
int ucx_context_open(const struct transport_config *config, ucp_context_h *out_context,
		     char *problem, size_t problem_size);

/** ucx_error() - the errno of UCX's status. */
int ucx_error(ucs_status_t status);

/* devices.c */

/** ucx_devices_check() - whether all of @names exist. Return: 0, -ENODEV with @problem. */
int ucx_devices_check(const struct option_strings *names, char *problem, size_t problem_size);

/** ucx_devices_rdma() - whether there is a device that UCX could do RDMA with. */
bool ucx_devices_rdma(void);

/** ucx_devices_have() - whether an interface has this address (of any port), as UCX wants it: the
 *  rest of 127.0.0.0/8 can be listened at, but UCX says that it is unreachable. */
bool ucx_devices_have(const struct address *address);

/** ucx_devices_node() - the NUMA node of an interface, -1: not known. */
int ucx_devices_node(const char *name);

/* guard.c */

/** ucx_guard() - protects UCX's listening socket at @address from what is no UCX.
 *  Return: 0; -ENOENT: there is no TCP socket there (RDMA alone), or another error. */
int ucx_guard(const struct address *address);

/* link.c */

/** ucx_link_new() - a link in @state, with a place but without an endpoint.
 *  Return: NULL without memory, or when all places are taken. */
struct ucx_link *ucx_link_new(struct ucx_backend *backend, enum ucx_state state);

/** ucx_link_discard() - of ucx_link_new(), when no endpoint could be made. */
void ucx_link_discard(struct ucx_link *link);

/** ucx_link_of() - the link with that token of ours, doomed or not. NULL: none. */
struct ucx_link *ucx_link_of(struct ucx_backend *backend, uint64_t token);

/** ucx_link_doom() - it is closed at the end of this poll; the first reason counts. */
void ucx_link_doom(struct ucx_link *link, int status, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/** ucx_link_close() - closes a doomed one now; outside of UCX's callbacks. It is ended later. */
void ucx_link_close(struct ucx_link *link);

/** ucx_link_proven() - leaves the unproven ones, when it is one of them. */
void ucx_link_proven(struct ucx_link *link);

/** ucx_link_touch() - it has something to send. */
void ucx_link_touch(struct ucx_link *link);

/** ucx_links_end() - closes the doomed, ends those that UCX has given back. */
void ucx_links_end(struct ucx_backend *backend);

/** ucx_links_expire() - dooms what waited for too long. */
void ucx_links_expire(struct ucx_backend *backend);

/** ucx_link_failed() - UCX's error callback; argument: the link. */
void ucx_link_failed(void *argument, ucp_ep_h ep, ucs_status_t status);

/* meeting.c */
int ucx_meet(struct ucx_backend *backend, const struct address *address,
	     const uint8_t proof[TRANSPORT_PROOF_LEN], struct transport_link **out_link,
	     char *problem, size_t problem_size);
int ucx_listen(struct ucx_backend *backend, const struct address *address,
	       struct address *out_address, char *problem, size_t problem_size);

/** ucx_handlers_set() - of every active message that UCX can take. Return: 0 or -ENOMEM ... */
int ucx_handlers_set(struct ucx_backend *backend);

/** ucx_forged() - counts and logs what no session of ours may do. */
void ucx_forged(struct ucx_backend *backend, const struct ucx_link *link, const char *what);

/* frames.c */

/** ucx_frame_new() - Return: NULL without memory, and then the link is doomed. */
struct ucx_frame *ucx_frame_new(struct ucx_link *link, enum ucx_kind kind);

/** ucx_frame_push() - sent, after those before it, at the end of this poll. */
void ucx_frame_push(struct ucx_frame *frame);

/** ucx_frame_free() - of one that was not pushed. */
void ucx_frame_free(struct ucx_frame *frame);

/** ucx_frames_flush() - gives all that wait to UCX. */
void ucx_frames_flush(struct ucx_link *link);

/** ucx_frames_end() - the link is closed: those that wait end, their messages -ECONNRESET. */
void ucx_frames_end(struct ucx_link *link);

int ucx_message_send(struct ucx_link *link, struct transport_message *message);
void ucx_message_arrived(struct ucx_link *link, const void *data, size_t len);

/** ucx_backend_trim() - frees the frames and batches kept for use. */
void ucx_backend_trim(struct ucx_backend *backend);

/* asking.c */

/** ucx_asks_begin() - the link is welcome: makes room for its requests. 0 or -ENOMEM. */
int ucx_asks_begin(struct ucx_link *link);
int ucx_ask(struct ucx_link *link, struct transport_read *read);
uint64_t ucx_region_len(const struct transport_link *link, uint32_t region);

/** ucx_asks_flush() - pushes the READ that is being filled. */
void ucx_asks_flush(struct ucx_link *link);

/** ucx_answered() - an ANSWER. */
void ucx_answered(struct ucx_link *link, const void *head, size_t head_len, const void *data,
		  size_t len);

/** ucx_asks_end() - the link is down: every read on it ends. */
void ucx_asks_end(struct ucx_link *link);

/* answering.c */

/** ucx_wants_begin() - the link is accepted: makes room for their requests. 0 or -ENOMEM. */
int ucx_wants_begin(struct ucx_link *link);
void ucx_wanted(struct ucx_link *link, const void *data, size_t len);

/** ucx_wants_flush() - answers what was asked for. */
void ucx_wants_flush(struct ucx_link *link);

/*
 * loop_node.h - the loop's own structs: nodes (transports on a network), halves (each side's part
 * of a connection) and events (what is to happen, in a node's poll).
 *
 * Halves find each other by number, never by pointer: either may be gone at any time.
 */
#pragma once

#include "fabric/transport/front.h"
#include "fabric/transport/loop.h"

#define LOOP_CREDITS 16

enum loop_event_kind {
	LOOP_CONNECT,	  /* at the listener: half `from` of node `number` asks */
	LOOP_REFUSED,	  /* at who asked */
	LOOP_ACCEPTED,	  /* at who asked */
	LOOP_ESTABLISHED, /* at the listener: who asked is ready; message number 0 */
	LOOP_SLICE,	  /* at the reader: a part of a read */
	LOOP_SENT,	  /* at the sender: a message is on its way */
	LOOP_MESSAGE,	  /* at the receiver */
	LOOP_CREDIT,	  /* at the sender: a message was received */
	LOOP_BROKEN,	  /* the other half is no more */
	LOOP_FENCED,	  /* a disconnect took effect */
};

struct loop_event {
	TAILQ_ENTRY(loop_event) by_time;
	uint64_t at_ns; /* CLOCK_NEVER: stalled */
	enum loop_event_kind kind;
	uint64_t half;		/* at the node; 0 of CONNECT */
	uint64_t from;		/* CONNECT, ACCEPTED: the other side's half */
	unsigned number;	/* CONNECT: the other side's node */
	uint64_t blocked_since; /* 0: nothing was in its way yet */
	int status;
	struct transport_read *read;
	size_t slice_off, slice_len;
	struct transport_message *message;
	uint64_t sequence;
	size_t len;
	uint8_t bytes[]; /* MESSAGE: data; REFUSED, BROKEN: text */
};

TAILQ_HEAD(loop_event_list, loop_event);

enum loop_half_state {
	LOOP_MAKING,
	LOOP_UP,
	LOOP_FENCING,
};

struct loop_half {
	struct transport_link link; /* first */
	struct loop_node *node;
	uint64_t id, other; /* other: 0 as long as it is not known */
	unsigned other_number;
	enum loop_half_state state;
	struct loop_event *fenced; /* kept ready: a fence must not fail; NULL once it is posted */
	uint64_t fenced_at_ns;
	int status; /* of link_down */
	char why[TRANSPORT_PROBLEM_MAX];
	unsigned slices, credits;
	uint64_t send_sequence, receive_sequence; /* of the next one */
	uint64_t send_at_ns;			  /* the last one arrives then */
	uint64_t region_lens[TRANSPORT_REGIONS_MAX];
	UT_hash_handle by_id;
	LIST_ENTRY(loop_half) by_node;
};

struct loop_node {
	struct loop_network *network;
	struct transport *transport;
	unsigned number;
	bool listening, dead;
	struct loop_event_list events; /* by time */
	LIST_HEAD(loop_half_list, loop_half) halves;
};

struct loop_network {
	const struct clock *clock;
	struct random random;
	struct loop_faults faults;
	struct loop_node *nodes[LOOP_NODES_MAX];  /* alive; NULL: nobody */
	unsigned node_count;			  /* dead ones that are not closed too */
	bool cut[LOOP_NODES_MAX][LOOP_NODES_MAX]; /* [from][to] */
	struct loop_half *halves;		  /* uthash by id */
	uint64_t last_half;
};

/* loop.c */
bool loop_chance(struct loop_network *network, unsigned per_mille);
uint64_t loop_delay(struct loop_network *network); /* of one way, losses included */

/** loop_event_new() - with @len bytes. Return: NULL without memory. */
struct loop_event *loop_event_new(enum loop_event_kind kind, uint64_t half, size_t len);

/** loop_event_post() - @event (taken) happens at @node at @at_ns. */
void loop_event_post(struct loop_node *node, struct loop_event *event, uint64_t at_ns);

/** loop_text_post() - an event with a text, if there is memory for it. */
void loop_text_post(struct loop_node *node, enum loop_event_kind kind, uint64_t half, int status,
		    const char *text, uint64_t at_ns);

/** loop_event_missed() - @event, a CONNECT or ACCEPTED, will not be answered: who sent it is told.
 */
void loop_event_missed(struct loop_node *node, const struct loop_event *event);

/** loop_half_find() - Return: NULL: it is no more, or its node is dead. */
struct loop_half *loop_half_find(const struct loop_network *network, uint64_t id);
struct loop_half *loop_half_new(struct loop_node *node);
void loop_half_free(struct loop_half *half);

/** loop_reachable() - whether something can go from @from to @to now. */
bool loop_reachable(const struct loop_network *network, unsigned from, unsigned to);

/* loop_connect.c */
int loop_connect(void *backend, const struct address *greeted, const uint8_t *offer,
		 size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		 struct transport_link **out_link, char *problem, size_t problem_size);
void loop_connect_arrived(struct loop_node *node, const struct loop_event *event);
void loop_refused_arrived(struct loop_half *half, const struct loop_event *event);
void loop_accepted_arrived(struct loop_half *half, const struct loop_event *event);

/* loop_link.c */
int loop_read(struct transport_link *link, struct transport_read *read);
int loop_send(struct transport_link *link, struct transport_message *message);
void loop_disconnect(struct transport_link *link);
uint64_t loop_region_len(const struct transport_link *link, uint32_t region);

/** loop_event_run() - @event (taken) of @half, whose moment has come. */
void loop_event_run(struct loop_half *half, struct loop_event *event);

/** loop_break() - @half fails; the other side learns of it. */
void loop_break(struct loop_half *half, int status, const char *why);

/** loop_finish() - the end of a half: everything on it is done, then it is down and freed. */
void loop_finish(struct loop_half *half);

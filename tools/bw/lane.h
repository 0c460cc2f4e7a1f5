/*
 * lane.h - a client's connection: a transport of its own, memory that reads land in, a pump, and
 * the questions asked of the server. Its worker thread's alone.
 *
 *	lane_open() --> lane_connect() --> is_up, or is_down with why --> lane_close()
 *	                lane_ask(HELLO) -> answered: server says what there is to read
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/bw/buffer.h"
#include "tools/bw/note.h"
#include "tools/bw/plan.h"
#include "tools/bw/pump.h"
#include "tools/bw/trouble.h"
#include "tools/bw/setup.h"

struct lane {
	unsigned index; /* of all connections */
	struct address server;
	struct transport *transport;
	struct transport_peer *peer;
	struct buffer memory;
	uint32_t region;     /* our number of it */
	size_t offered_len;  /* its begin, which the server reads; our reads land behind it */
	uint64_t seed;	     /* of what stands there */
	struct address ours; /* where it listens, when it does */
	struct pump pump;
	bool is_up, is_down;
	int status;
	char why[256];
	/* the question under way */
	bool sending, answered;
	uint32_t number;
	struct transport_message question;
	uint8_t question_bytes[NOTE_LEN];
	struct note answer;
	struct note info; /* the answer to HELLO */
};

/**
 * lane_open() - a transport with its memory; of a bidirectional plan, listening.
 * @shape: of the transport.
 * Return: 0; otherwise @problem, and there is nothing to close.
 */
int lane_open(struct lane *lane, struct setup *setup, const struct setup_shape *shape,
	      const struct plan *plan, char problem[TROUBLE_MAX]);

/** lane_connect() - begins. Return: 0; an error with @problem. */
int lane_connect(struct lane *lane, const struct address *server, char problem[TROUBLE_MAX]);

/** lane_close() - fences what is in flight; may be called twice. */
void lane_close(struct lane *lane);

/** lane_ask() - sends @question; lane->answered says when lane->answer is there. The pending
 *  question, if any, is given up. Return: 0; -EBUSY: not even sent yet; as transport_send(). */
int lane_ask(struct lane *lane, const struct note *question, uint64_t deadline_ns);

/** lane_source() - what its pump reads. */
void lane_source(const struct lane *lane, bool verify, struct pump_source *out);

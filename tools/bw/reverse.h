/*
 * reverse.h - the server's own reads of a client, for --bidirectional.
 *
 *	reverse_start() --> connecting --> reading -- reverse_stop() or the client leaves -->
 *	draining, until nothing is in flight --> freed by reverse_turn()
 *
 * Answers go to the session that asked, as long as it is there. The host's thread.
 */
#pragma once

#include "tools/bw/host.h"
#include "tools/bw/note.h"
#include "tools/bw/pump.h"

enum reverse_state {
	REVERSE_CONNECTING, /* waits for up or down */
	REVERSE_READING,    /* waits for REVERSE_STOP */
	REVERSE_DRAINING,   /* waits for the last read's end */
};

struct reverse {
	TAILQ_ENTRY(reverse) by_host;
	struct host *host;
	struct session *session; /* NULL: the client has left */
	enum reverse_state state;
	uint32_t number; /* of the question to be answered next; 0: none is */
	struct note asked;
	struct transport_peer *peer;
	struct buffer memory;
	uint32_t region;
	struct pump pump;
	uint64_t started_ns, elapsed_ns;
	char why[NOTE_TEXT_MAX]; /* of a connection that ended */
};

/**
 * reverse_start() - begins to read from @member; the answer to @question is sent when it reads, or
 * cannot. Return: 0; -EINVAL, -ENOMEM ... with @problem for the client, and nothing was begun.
 */
int reverse_start(struct host *host, const struct member_id *member, struct session *session,
		  const struct note *question, struct reverse **out_reverse,
		  char problem[NOTE_TEXT_MAX]);

/** reverse_stop() - @number: of the question that is answered with the result. */
void reverse_stop(struct reverse *reverse, uint32_t number);

/** reverse_leave() - its client has left. */
void reverse_leave(struct reverse *reverse);

/** reverse_up(), reverse_down() - the host's transport says so of @peer, an ACTIVE one. */
void reverse_up(struct host *host, struct transport_peer *peer);
void reverse_down(struct host *host, struct transport_peer *peer, int status, const char *why);

/** reverse_turn() - after each poll: starts reads that had to wait, ends what has drained. */
void reverse_turn(struct host *host);

/** reverse_free_all() - after the transport was closed. */
void reverse_free_all(struct host *host);

/** session_answer() - of host.c: sends @answer as the one to question @number. */
void session_answer(struct session *session, uint32_t number, const struct note *answer);

/** session_reverse_ended() - of host.c: @session's reads are over and freed. */
void session_reverse_ended(struct session *session);

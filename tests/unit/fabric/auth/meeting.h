/*
 * meeting.h - two greeters over loopback in one thread, with clocks that are moved by hand, and
 * plain sockets that talk to them.
 */
#pragma once

#include "base/address.h"
#include "base/clock.h"
#include "fabric/auth/greeting.h"
#include "tests/unit/fabric/auth/pair.h"

struct meeting {
	struct pair pair; /* the identities of both */
	struct clock_manual clock;
	struct proofs proofs; /* the server's */
	struct greeter *client, *server;
	struct address address; /* where the server listens */
	/* what the server told last, and how often */
	int refused_status, refused_foreign;
	char refused_problem[512];
	unsigned refused_count;
	int fds; /* that this process had before */
};

/* How one greeting ended. */
struct outcome {
	unsigned count;
	int status;
	char problem[512];
	struct handshake handshake; /* of status 0 */
};

/** meeting_init() - both greet; the server listens at @host, any port, with an offer. */
void meeting_init(struct meeting *meeting, const char *host);

/** meeting_fini() - and checks that no descriptor is left. */
void meeting_fini(struct meeting *meeting);

/** meeting_start() - the client greets the server; @outcome receives the end. */
struct greeting *meeting_start(struct meeting *meeting, struct outcome *outcome);

/** meeting_done() - a greeting's done, with a struct outcome as its context. */
void meeting_done(void *context, int status, const struct handshake *handshake,
		  const char *problem);

/** meeting_turn() - waits (10 s at most) until a greeter has something to do, and lets it. */
void meeting_turn(struct meeting *meeting);

/** meeting_until() - turns until *@count is @wanted. */
void meeting_until(struct meeting *meeting, const unsigned *count, unsigned wanted);

/** meeting_idle() - turns until no handshake is under way any more. */
void meeting_idle(struct meeting *meeting);

/** meeting_settle() - lets both do what is there to be done; the network may hold more. */
void meeting_settle(struct meeting *meeting);

/** meeting_connect() - a plain socket that is connected to the server, from 127.0.0.@from (0: as
 *  the kernel likes). */
int meeting_connect(struct meeting *meeting, unsigned from);

/** meeting_listen() - a plain listener with that many places; @out_address: where. */
int meeting_listen(int backlog, struct address *out_address);

/** meeting_count_fds() - of this process. */
int meeting_count_fds(void);

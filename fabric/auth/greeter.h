/*
 * greeter.h - what the two sides of a greeter share: greeting.c polls, served.c answers those who
 * connect, started.c greets others.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "fabric/auth/carrier.h"
#include "fabric/auth/greeting.h"

/* What an epoll event points to: the first field of its owner. */
enum source {
	SOURCE_LISTENER,
	SOURCE_SERVED,
	SOURCE_STARTED,
};

enum served_state {
	SERVED_FREE,
	SERVED_TALKING,	  /* waits for the client's next message */
	SERVED_FLUSHING,  /* waits for room for the last message, then closes or lingers */
	SERVED_LINGERING, /* refused, waits for the client's end: closing while its bytes come in
			     would take the refusal from it */
};

struct served {
	enum source source;
	enum served_state state;
	struct carrier carrier;
	struct address from;
	uint64_t since_ns, deadline_ns;
	size_t drained; /* bytes thrown away while lingering */
};

struct greeting {
	enum source source;
	struct greeter *greeter;
	struct carrier carrier;
	struct address address;
	uint64_t deadline_ns;
	int failed; /* at its start already: told by the next poll */
	bool over;  /* done was called, or never will be */
	void (*done)(void *context, int status, const struct handshake *handshake,
		     const char *problem);
	void *context;
	TAILQ_ENTRY(greeting) link;
};

TAILQ_HEAD(greetings, greeting);

struct greeter {
	const struct identity *identity;
	const struct clock *clock;
	struct proofs *proofs;
	struct greeter_events events;
	int epoll_fd;
	bool polling;
	/* served.c's */
	int listener; /* -1: none */
	enum source listener_source;
	uint64_t resume_ns; /* when accepting goes on; CLOCK_NEVER: it does */
	int kind;
	uint8_t offer[HANDSHAKE_OFFER_MAX];
	size_t offer_len;
	struct served *served; /* GREETINGS_SERVED_MAX, once listening */
	unsigned served_count;
	/* started.c's */
	struct greetings started;
	struct greetings over; /* freed when the poll they ended in does: its events name them */
	unsigned started_count;
};

/** served_accept() - takes those who wait at the listener, a few at a time. */
void served_accept(struct greeter *greeter);

/** served_move() - something happened on its connection. */
void served_move(struct greeter *greeter, struct served *served);

/** served_expire() - ends those whose time is over, and resumes accepting. Returns how many. */
int served_expire(struct greeter *greeter, uint64_t now_ns);

/** served_next_ns() - when served_expire() has something to do. */
uint64_t served_next_ns(const struct greeter *greeter);

/** served_close_all() - without a word; the listener too. */
void served_close_all(struct greeter *greeter);

/* The same of those that we began. */
void started_move(struct greeting *greeting);
int started_expire(struct greeter *greeter, uint64_t now_ns);
uint64_t started_next_ns(const struct greeter *greeter);
void started_close_all(struct greeter *greeter);

/** started_free_over() - frees what ended. */
void started_free_over(struct greeter *greeter);

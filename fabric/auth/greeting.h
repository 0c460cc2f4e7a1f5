/*
 * greeting.h - carries handshakes over TCP, without blocking: a listener that answers them and
 * gives out proofs, and clients that hold one. One thread's, as the transport that owns it.
 *
 * Whoever connects has GREETING_PATIENCE_NS for all of it; at most GREETINGS_SERVED_MAX are served
 * at once, at most a quarter of them for one source address (the others are refused with -EBUSY),
 * and what is not a handshake costs a counter and a rate-limited line in the log.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"
#include "fabric/auth/handshake.h"
#include "fabric/auth/proofs.h"

#define GREETING_PATIENCE_NS  (5 * NS_PER_S)
#define GREETINGS_SERVED_MAX  128
#define GREETINGS_STARTED_MAX 256

struct greeter;
struct greeting; /* one that we began */

struct greeter_events {
	void *context;
	/* A handshake we served ended in a refusal (by either side), was not finished, or was no
	   handshake at all (@foreign). It is in the log already. May be NULL. */
	void (*refused)(void *context, const struct address *from, int status, const char *problem,
			int foreign);
};

/**
 * greeter_create() - @identity, @clock and @proofs (what was agreed is added there) are borrowed.
 * Return: 0, -ENOMEM, -EMFILE.
 */
int greeter_create(const struct identity *identity, const struct clock *clock,
		   struct proofs *proofs, const struct greeter_events *events,
		   struct greeter **out_greeter);

/** greeter_destroy() - ends all without calling anybody; NULL is fine. Not from a callback. */
void greeter_destroy(struct greeter *greeter);

/**
 * greeter_listen() - from now on @offer (copied) of transport @kind is given to who proves himself.
 * Once a greeter. @address: port 0: any; [::] is IPv4's addresses too. @out_address: where.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES ... with @problem.
 */
int greeter_listen(struct greeter *greeter, const struct address *address, int kind,
		   const uint8_t *offer, size_t offer_len, struct address *out_address,
		   char *problem, size_t problem_size);

/**
 * greeter_start() - greets @address.
 * @expected: as handshake_init_client(). @deadline_ns: of all of it.
 * @done: exactly once, from greeter_poll(), unless greeting_cancel() comes first.
 *        @status 0: @handshake is DONE, borrowed for the call; else it is NULL, and @problem is one
 *        line for people, with the address: -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ECONNRESET
 *        ...; -ENOENT: our ring has no key; or as handshake_input(). The greeting is gone.
 * Return: 0; -EAGAIN when GREETINGS_STARTED_MAX are under way: wait for a done; -EMFILE, -ENFILE,
 *         -ENOMEM, -ENOBUFS, -ENOSPC: this node's.
 */
int greeter_start(struct greeter *greeter, const struct address *address,
		  const struct member_id *expected, uint64_t deadline_ns,
		  void (*done)(void *context, int status, const struct handshake *handshake,
			       const char *problem),
		  void *context, struct greeting **out_greeting);

/** greeting_cancel() - done will not run, and must not have. Also from a callback. */
void greeting_cancel(struct greeting *greeting);

/** greeter_fd() - readable when greeter_poll() has something to do (an epoll of its own). */
int greeter_fd(const struct greeter *greeter);

/** greeter_poll() - makes progress, calls back. One system call when there is nothing to do.
 *  Returns how many handshakes moved. */
int greeter_poll(struct greeter *greeter);

/** greeter_next_ns() - when greeter_poll() must be called at the latest, whatever greeter_fd() says
 *  (0: at once); CLOCK_NEVER. */
uint64_t greeter_next_ns(const struct greeter *greeter);

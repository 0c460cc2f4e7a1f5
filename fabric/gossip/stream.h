/*
 * stream.h - questions and answers between two members over TCP, sealed (stream_seal.h), without
 * blocking. One thread's.
 *
 *	opener: CONNECTING -> GREETING -> WAITING -> IDLE -> (another question: WAITING ...)
 *	acceptor: GREETING -> WAITING -> THINKING -> (answered: WAITING ...)
 *
 * Every stream has a deadline for all of it, a message at most STREAM_MESSAGE_MAX bytes, and there
 * are at most STREAMS_OPENED_MAX and STREAMS_ACCEPTED_MAX, of one source address
 * STREAMS_ADDRESS_MAX of the latter; one who does not prove himself within STREAM_PROOF_NS is sent
 * away. Beyond that: a refusal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "fabric/gossip/seal.h"

#define STREAM_MESSAGE_MAX   (16u << 20)
#define STREAMS_OPENED_MAX   32
#define STREAMS_ACCEPTED_MAX 64
#define STREAMS_ADDRESS_MAX  16
#define STREAM_ROUNDS_MAX    4 /* questions on one stream */
#define STREAM_PROOF_NS	     (3 * NS_PER_S)
#define STREAM_PATIENCE_NS   (10 * NS_PER_S) /* of an accepted one */

struct stream;
struct streams;

struct stream_events {
	void *context;
	/*
	 * A question of @from, at @address. To be answered by stream_answer() with this @number,
	 * now or later; or never: the other side gives up by itself. @question is borrowed.
	 */
	void (*asked)(void *context, uint64_t number, const struct seal_sender *from,
		      const struct address *address, const uint8_t *question, size_t len);
	/* Somebody could not be served: foreign (-ENOKEY), malformed, forged ... or -EBUSY. */
	void (*refused)(void *context, const struct address *address, int status);
	/* A connection is there: this node's address on it. */
	void (*connected)(void *context, const struct address *local);
};

/*
 * What came of a question. @status 0: the @answer of @from, borrowed; stream_ask() may follow.
 * Else it is over: -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ECONNRESET ...: nobody, or he hung
 * up; -ENOKEY, -EPROTONOSUPPORT, -EBUSY: he refused; -ELOOP: it was ourselves; -EACCES, -EBADMSG:
 * he is none of us; -ECANCELED: streams_destroy().
 */
typedef void (*stream_done)(void *context, struct stream *stream, int status,
			    const struct seal_sender *from, const uint8_t *answer, size_t len);

/**
 * streams_create() - @identity, @clock, @counters (enum membership_counter) are borrowed for life.
 * Return: 0, -ENOMEM, -EMFILE.
 */
int streams_create(const struct identity *identity, const struct clock *clock,
		   const struct stream_events *events, struct counters *counters,
		   struct streams **out_streams);

/** streams_destroy() - ends all: who has asked is told -ECANCELED, and must call nothing of this
 *  header then. NULL is fine. */
void streams_destroy(struct streams *streams);

/** streams_listen() - @listener: a bound and listening socket that does not block; taken. */
void streams_listen(struct streams *streams, int listener);

/**
 * streams_open() - connects to @address and asks @question (copied).
 * @done: exactly once a question, from streams_poll(), with the given @context.
 * Return: 0; -EAGAIN: STREAMS_OPENED_MAX are open; -ENOMEM, -ENOENT (no key), -EMFILE ...
 */
int streams_open(struct streams *streams, const struct address *address, uint64_t timeout_ns,
		 const uint8_t *question, size_t len, stream_done done, void *context);

/** stream_ask() - inside done() with status 0: one more question. Return: 0, -ENOMEM, -E2BIG
 *  (STREAM_ROUNDS_MAX): done() does not run again then. */
int stream_ask(struct stream *stream, const uint8_t *question, size_t len);

/** stream_answer() - @answer is copied. Return: 0; -ENOENT: the stream is gone; -ENOMEM. */
int stream_answer(struct streams *streams, uint64_t number, const uint8_t *answer, size_t len);

/** streams_fd() - readable when streams_poll() has something to do. */
int streams_fd(const struct streams *streams);

/** streams_poll() - makes progress, calls back. */
void streams_poll(struct streams *streams);

/** streams_next_ns() - when streams_poll() must be called at the latest; CLOCK_NEVER. */
uint64_t streams_next_ns(const struct streams *streams);

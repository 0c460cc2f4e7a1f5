/*
 * stream_inside.h - one stream's state, shared by stream.c (what goes over it) and streams.c (which
 * there are).
 *
 * A stream that has ended stays in its list until the poll that ended it is over, so that nothing
 * on the way back up touches freed memory.
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "fabric/gossip/membership.h"
#include "fabric/gossip/stream.h"
#include "fabric/gossip/stream_seal.h"

#define STREAM_FRAME_MAX (STREAM_SEAL_RECORD_MAX + STREAM_SEAL_OVERHEAD)

enum stream_state {
	STREAM_CONNECTING, /* waits for the connection */
	STREAM_GREETING,   /* waits for the other side's HELLO */
	STREAM_WAITING,	   /* waits for (the rest of) a message */
	STREAM_THINKING,   /* acceptor: waits for stream_answer() */
	STREAM_IDLE,	   /* opener: its done() runs */
	STREAM_ENDED,
};

struct stream {
	LIST_ENTRY(stream) link;
	struct streams *streams;
	enum stream_state state;
	bool is_opener;
	bool proven; /* a record of the other side has opened */
	int fd;
	uint32_t interest; /* as epoll was told */
	uint64_t number;
	uint64_t deadline_ns;
	struct address address;
	struct stream_seal seal;
	unsigned rounds;
	stream_done done; /* opener */
	void *context;
	uint8_t *question; /* opener: until HELLO has come */
	size_t question_len;
	uint8_t *out;
	size_t out_len, out_sent;
	uint8_t *message; /* what came of it: message_len of message_want bytes */
	size_t message_len, message_want, message_room;
	size_t in_len;
	uint8_t in[STREAM_FRAME_MAX];
};

LIST_HEAD(stream_list, stream);

struct streams {
	const struct identity *identity;
	const struct clock *clock;
	struct stream_events events;
	struct counters *counters;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *crypto;
	int epoll, listener;
	uint64_t resume_ns; /* when to accept again; CLOCK_NEVER: it is not paused */
	struct stream_list list;
	unsigned opened, accepted;
	uint64_t last_number;
};

/** stream_make() - one more in the list, whose socket is @fd (taken on success). Return: 0,
 * -ENOMEM.
 */
int stream_make(struct streams *streams, int fd, const struct address *address, bool is_opener,
		struct stream **out_stream);

/** stream_free() - closes it; calls nobody. */
void stream_free(struct stream *stream);

/** stream_watch() - tells epoll what it waits for now. */
void stream_watch(struct stream *stream);

/** stream_hello() - a HELLO is to be sent; stream_message() - a whole message is. Return: 0,
 *  -ENOMEM. */
int stream_hello(struct stream *stream, const uint8_t *hello);
int stream_message(struct stream *stream, const uint8_t *message, size_t len);

/** stream_send(), stream_receive() - as much as the socket takes, or has. */
void stream_send(struct stream *stream);
void stream_receive(struct stream *stream);

/** stream_end() - it is over: calls done() or refused(). */
void stream_end(struct stream *stream, int status);

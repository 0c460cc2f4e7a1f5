/*
 * note.h - what cenote-bw's two sides say to each other beside the reads, in control messages of
 * the transport. Whoever connects asks, the server answers; the answer carries the question's
 * number.
 *
 *	HELLO: our address                 --> INFO: the region to read, the other threads' ports
 *	USAGE: what was read so far        --> USAGE: the server's processor time so far
 *	REVERSE: where and what to read    --> REVERSE_UP: reading; the server is a client now, too
 *	REVERSE_STOP                       --> REVERSE_END: how much it read
 *	                                       FAILED, in place of any answer: why, for people
 *
 * All kinds have one layout of fixed length: fields that a kind does not use are 0. Pure; any
 * thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define NOTE_VERSION   1
#define NOTE_PORTS_MAX 64
#define NOTE_TEXT_MAX  200
#define NOTE_LEN                                                                                   \
	(8 + 4 + 4 + 4 + 10 * 8 + ADDRESS_WIRE_LEN + 1 + 2 * NOTE_PORTS_MAX + NOTE_TEXT_MAX)

enum note_kind {
	NOTE_HELLO = 1,
	NOTE_INFO,
	NOTE_USAGE,
	NOTE_REVERSE,
	NOTE_REVERSE_UP,
	NOTE_REVERSE_STOP,
	NOTE_REVERSE_END,
	NOTE_FAILED,
	NOTE_KIND_END,
};

struct note {
	enum note_kind kind;
	uint32_t number;
	uint32_t region;     /* INFO, REVERSE: the sender's, which the other side may read */
	uint32_t clients;    /* USAGE: connections that the server has */
	uint64_t region_len; /* of that region */
	uint64_t seed;	     /* of the pattern in it, see pattern.h */
	uint64_t read_len, depth, footprint; /* REVERSE */
	uint64_t verify;		     /* REVERSE: 0 or 1 */
	uint64_t reads, corrupt;	     /* USAGE, REVERSE_END */
	uint64_t elapsed_ns;		     /* REVERSE_END */
	uint64_t cpu_ns;		     /* USAGE */
	struct address address;		     /* HELLO; REVERSE: where to connect to */
	uint16_t ports[NOTE_PORTS_MAX];	     /* INFO: of the server's threads */
	unsigned port_count;
	char text[NOTE_TEXT_MAX]; /* FAILED */
};

/** note_encode() - writes NOTE_LEN bytes. */
void note_encode(const struct note *message, uint8_t out[NOTE_LEN]);

/**
 * note_decode() - a peer's bytes, anything at all.
 * Return: 0; -EPROTONOSUPPORT: another version of cenote-bw; -EBADMSG.
 */
int note_decode(const void *data, size_t len, struct note *out);

/*
 * wire.h - the bytes that two verbs backends exchange: private data of rdma_cm's messages, the
 * offer that travels in the handshake, and the control messages. Pure; every decoder takes bytes of
 * others and accepts exactly what its encoder writes.
 *
 *	opener                                                          acceptor
 *	HELLO (control, proof)        in the connect request -->
 *	                              <-- in the reply   WELCOME (session)
 *	HELLO (data, rail, session, tag)  one a rail -->
 *	                              <-- WELCOME
 *	READY (the rails)             over the control queue -->
 *	                              <-- KEYS ... KEYS_END
 *
 * The proof is used up by the first request. The requests of the data queues carry the session's
 * number, which the acceptor has drawn for this connection, and a tag that only who knows the proof
 * can make. A rail that was late, or lost, is connected later in the same way, with READY and keys
 * of its own; the attempt's number, which the tag covers, must rise, so no request can be replayed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "fabric/transport/backend.h"

#define WIRE_VERSION	 1u
#define WIRE_HELLO_LEN	 56 /* all that a connect request takes */
#define WIRE_WELCOME_LEN 16
#define WIRE_REFUSAL_MAX (6 + TRANSPORT_REFUSAL_MAX) /* at most 148 */
#define WIRE_SECRET_LEN	 32
#define WIRE_HEADER_LEN	 8
#define WIRE_CHUNK_LEN	 (UINT64_C(1) << 30) /* a region is registered in pieces of this */
#define WIRE_CHUNKS_MAX	 65536u		     /* of one peer's regions together: 64 TiB */

enum wire_role {
	WIRE_CONTROL = 1,
	WIRE_DATA,
};

struct wire_hello {
	uint8_t role, rail;
	uint8_t mtu;	  /* enum ibv_mtu of the opener's port: the smaller one of both is used */
	uint64_t session; /* data */
	uint32_t attempt; /* data: 1, 2 ... on this rail of this session */
	uint8_t secret[WIRE_SECRET_LEN]; /* the proof, or a tag */
};

struct wire_welcome {
	uint8_t mtu;
	uint64_t session;
};

/* A rail of an offer. */
struct wire_rail {
	uint8_t index;
	struct address address;
};

enum wire_type {
	WIRE_READY = 1,
	WIRE_KEYS,
	WIRE_KEYS_END,
	WIRE_MESSAGE,
	WIRE_CREDIT,
	WIRE_PING,
	WIRE_PONG,
};

struct wire_header {
	uint8_t type;
	uint16_t credits; /* messages of the receiver that the sender has consumed since */
	uint32_t len;	  /* of what follows */
};

#define WIRE_KEYS_HEADER_LEN 28
#define WIRE_KEYS_MAX	     ((TRANSPORT_MESSAGE_MAX - WIRE_KEYS_HEADER_LEN) / 4)

/* Keys of one region's chunks on one rail, in order. */
struct wire_keys {
	uint32_t region;
	uint32_t rail;
	uint64_t len, base; /* of the region */
	uint32_t first, count;
	const uint8_t *keys; /* @count times 4 bytes, borrowed */
};

/** wire_hello_encode(), _decode() - Return: 0; -EBADMSG not ours; -EPROTONOSUPPORT another
 *  version, which *@out_version is. */
void wire_hello_encode(const struct wire_hello *hello, uint8_t out[WIRE_HELLO_LEN]);
int wire_hello_decode(const void *data, size_t len, struct wire_hello *out, unsigned *out_version);

/** wire_welcome_encode(), _decode() - the network may have padded it. Return: 0, -EBADMSG. */
void wire_welcome_encode(const struct wire_welcome *welcome, uint8_t out[WIRE_WELCOME_LEN]);
int wire_welcome_decode(const void *data, size_t len, struct wire_welcome *out);

/** wire_refusal_encode() - why a request is rejected. @status: -EACCES, -EBUSY, -EPROTONOSUPPORT;
 *  any other: -ECONNREFUSED. Returns its length. */
size_t wire_refusal_encode(int status, const char *text, uint8_t out[WIRE_REFUSAL_MAX]);

/** wire_refusal_decode() - Return: the status, with @out_text; 0: it is not one of ours. */
int wire_refusal_decode(const void *data, size_t len, char out_text[TRANSPORT_REFUSAL_MAX]);

/** wire_tag() - what the request of a data queue shows: its secret. */
void wire_tag(const uint8_t proof[WIRE_SECRET_LEN], const struct wire_hello *hello,
	      uint8_t out[WIRE_SECRET_LEN]);

/** wire_secret_equal() - in constant time. */
bool wire_secret_equal(const uint8_t a[WIRE_SECRET_LEN], const uint8_t b[WIRE_SECRET_LEN]);

/** wire_offer_encode() - Returns its length. */
size_t wire_offer_encode(const struct wire_rail *rails, unsigned count,
			 uint8_t out[TRANSPORT_OFFER_MAX]);

/** wire_offer_decode() - Return: how many rails; -EBADMSG, -EPROTONOSUPPORT. */
int wire_offer_decode(const uint8_t *data, size_t len, struct wire_rail out[TRANSPORT_RAILS_MAX]);

/** wire_header_encode(), _decode() - of a control message of @len bytes in all. Return: 0,
 *  -EBADMSG. */
void wire_header_encode(const struct wire_header *header, uint8_t out[WIRE_HEADER_LEN]);
int wire_header_decode(const uint8_t *data, size_t len, struct wire_header *out);

/** wire_keys_encode() - all but the keys themselves. */
void wire_keys_encode(const struct wire_keys *keys, uint8_t out[WIRE_KEYS_HEADER_LEN]);
int wire_keys_decode(const uint8_t *data, size_t len, struct wire_keys *out);

/** wire_chunks() - how many pieces a region of @len has. */
static inline uint64_t wire_chunks(uint64_t len)
{
	return len / WIRE_CHUNK_LEN + (len % WIRE_CHUNK_LEN != 0);
}

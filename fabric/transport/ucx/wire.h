/*
 * wire.h - what two members say to each other over UCX: active messages of six kinds, little
 * endian, encoded byte by byte. Pure: no socket, no state.
 *
 *	HELLO	 reader -> owner  magic, version, the reader's token, what it takes at once, proof
 *	WELCOME	 owner -> reader  to, version, the owner's token, depth, what it takes, regions
 *	REFUSAL	 owner -> reader  to, status, text
 *	READ	 reader -> owner  to, a batch of requests
 *	ANSWER	 owner -> reader  to, a batch of pieces (as UCX's header); their bytes (its payload)
 *	MESSAGE	 both ways	  to, number in its direction, bytes
 *
 * `to` is the *token* its receiver chose for this session: random, given to the other side alone,
 * so that what belongs to another session, or to none, is found out whatever UCX believes about
 * where it came from.
 *
 * Every decoder takes any bytes: 0, or -EBADMSG for what no encoder writes (-EPROTONOSUPPORT for
 * another version of ours).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fabric/transport/backend.h"

#define UCX_WIRE_VERSION 1

/* The kind is UCX's id of the active message. */
enum ucx_kind {
	UCX_HELLO,
	UCX_WELCOME,
	UCX_REFUSAL,
	UCX_READ,
	UCX_ANSWER,
	UCX_MESSAGE,
	UCX_KINDS,
};

#define UCX_HELLO_LEN	     (4 + 2 + 8 + 4 + TRANSPORT_PROOF_LEN)
#define UCX_WELCOME_LEN_MAX  (8 + 2 + 8 + 4 + 4 + 2 + TRANSPORT_REGIONS_MAX * UCX_REGION_LEN)
#define UCX_REGION_LEN	     12
#define UCX_REFUSAL_LEN_MAX  (8 + 4 + TRANSPORT_REFUSAL_MAX)
#define UCX_READ_HEAD_LEN    10
#define UCX_REQUEST_LEN	     20
#define UCX_REQUESTS_MAX     64 /* in one READ */
#define UCX_ANSWER_HEAD_LEN  10
#define UCX_PIECE_LEN	     12
#define UCX_PIECES_MAX	     16 /* in one ANSWER */
#define UCX_MESSAGE_HEAD_LEN 12

struct ucx_hello {
	uint64_t token;	    /* how the owner is to address the reader */
	uint32_t eager_max; /* bytes of an active message that the reader takes in one piece */
	uint8_t proof[TRANSPORT_PROOF_LEN];
};

struct ucx_welcome {
	uint64_t to;
	uint64_t token;
	uint32_t eager_max;
	uint32_t depth; /* requests that may be unanswered */
	unsigned region_count;
	struct {
		uint32_t index;
		uint64_t len;
	} regions[TRANSPORT_REGIONS_MAX];
};

struct ucx_refusal {
	uint64_t to;
	int status; /* a negative errno */
	char text[TRANSPORT_REFUSAL_MAX];
};

struct ucx_request {
	uint32_t id; /* the reader's; comes back in the answer */
	uint32_t region;
	uint64_t off;
	uint32_t len;
};

struct ucx_piece {
	uint32_t id;
	uint32_t len;	/* of its bytes in the payload; 0 with a status */
	int32_t status; /* 0 or a negative errno */
};

/* Encoders return the length. */
size_t ucx_hello_encode(const struct ucx_hello *hello, uint8_t out[UCX_HELLO_LEN]);
int ucx_hello_decode(const void *data, size_t len, struct ucx_hello *out);

size_t ucx_welcome_encode(const struct ucx_welcome *welcome, uint8_t out[UCX_WELCOME_LEN_MAX]);
int ucx_welcome_decode(const void *data, size_t len, struct ucx_welcome *out);

size_t ucx_refusal_encode(const struct ucx_refusal *refusal, uint8_t out[UCX_REFUSAL_LEN_MAX]);
int ucx_refusal_decode(const void *data, size_t len, struct ucx_refusal *out);

/** ucx_to() - whom a WELCOME, REFUSAL, READ, ANSWER or MESSAGE is for; 0 when it is too short. */
uint64_t ucx_to(const void *data, size_t len);

/** ucx_read_begin(), ucx_read_add() - a READ is built request by request. */
size_t ucx_read_begin(uint64_t to, uint8_t out[UCX_READ_HEAD_LEN]);
size_t ucx_read_add(uint8_t *read, const struct ucx_request *request);

/** ucx_read_decode() - @out gets up to UCX_REQUESTS_MAX. Return: how many, 1 or more. */
int ucx_read_decode(const void *data, size_t len, struct ucx_request out[UCX_REQUESTS_MAX]);

/** ucx_answer_begin(), ucx_answer_add(), ucx_answer_decode() - the same of an ANSWER's header. */
size_t ucx_answer_begin(uint64_t to, uint8_t out[UCX_ANSWER_HEAD_LEN]);
size_t ucx_answer_add(uint8_t *answer, const struct ucx_piece *piece);
int ucx_answer_decode(const void *data, size_t len, struct ucx_piece out[UCX_PIECES_MAX]);

size_t ucx_message_begin(uint64_t to, uint32_t number, uint8_t out[UCX_MESSAGE_HEAD_LEN]);

/** ucx_message_decode() - Return: the length of the bytes behind the head, 1 or more. */
int ucx_message_decode(const void *data, size_t len, uint32_t *out_number,
		       const uint8_t **out_bytes);

/*
 * What a listener offers: version, count, addresses. Travels in the handshake, authenticated.
 */
#define UCX_OFFER_ADDRESSES_MAX 8

size_t ucx_offer_encode(const struct address *addresses, unsigned count,
			uint8_t out[TRANSPORT_OFFER_MAX]);

/** ucx_offer_decode() - Return: how many addresses, 1 or more, all with a port. */
int ucx_offer_decode(const uint8_t *data, size_t len, struct address out[UCX_OFFER_ADDRESSES_MAX]);

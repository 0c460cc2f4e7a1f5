/*
 * wire.h - gossip as bytes: what is inside a sealed packet and a sealed stream. Little-endian, by
 * hand, no padding. The version is in the seals' headers.
 *
 *	message	kind 1, sequence 4 (not GOSSIP), target 16 (PING, PING_REQ), rumors 1, rumor...
 *	rumor	kind 1 (bit 7: has an accuser, bit 6: details follow), member 16, incarnation 4,
 *		accuser 16 (if any), phase 1 and remaining_ms 4 (of restarting) and details (if any)
 *	details	length 1, boot 8, capacity 8, config 8, gossip address, fabric address, name, site,
 *		version: an address is its family (0, 4, 6), 4 or 16 bytes, port 2; a text is its
 *		length 1 and its bytes. What a newer version adds at the end is passed over.
 *
 * A stream carries questions and answers in turn, each with its kind first:
 *
 *	DIGEST u64		-> SAME | DIFFERENT
 *	VIEW rumor...		-> VIEW rumor...
 *	PING			-> PONG
 *	TWIN age_ms u64		-> TWIN who stays u8 (0 the asked, 1 the asker)
 *	KEYS action 1, key 32 (ADD) or id 8 (USE, REMOVE)
 *				-> KEYS status i32, count 1, ids, the used one first
 *
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/gossip/membership.h"
#include "fabric/gossip/seal.h"
#include "fabric/gossip/stream_seal.h"
#include "fabric/gossip/swim.h"
#include "fabric/keyring.h"

#define WIRE_PACKET_OVERHEAD (SEAL_HEADER_LEN + SEAL_TAG_LEN)
#define WIRE_UDP_OVERHEAD    28 /* IPv4 and UDP, for who counts */
#define WIRE_STREAM_SETUP    (2 * STREAM_SEAL_HELLO_LEN)
#define WIRE_RUMOR_LEN	     21 /* without accuser and details */
#define WIRE_ACCUSER_LEN     16
#define WIRE_DETAILS_MAX     256 /* with its length */

/* A member's details with what only gossip needs. */
struct wire_details {
	uint64_t boot;
	struct address gossip;
	struct membership_details said;
};

struct wire_rumor {
	uint8_t kind;  /* enum swim_kind */
	uint8_t phase; /* enum swim_phase; when detailed */
	bool detailed;
	struct member_id member;
	struct member_id accuser; /* none: not known */
	uint32_t incarnation;
	uint32_t remaining_ms; /* of SWIM_RESTARTING, detailed */
	struct wire_details details;
};

struct wire_message {
	enum swim_message_kind kind;
	uint32_t sequence;
	struct member_id target;
	unsigned rumor_count;
	struct wire_rumor rumors[SWIM_RUMORS_MAX];
};

/** wire_message_header_len() - bytes of a message without rumors, inside the seal. */
size_t wire_message_header_len(enum swim_message_kind kind);

/** wire_rumor_len() - bytes of one rumor. */
size_t wire_rumor_len(const struct wire_rumor *rumor);

/** wire_message_encode() - Return: its length, at most @size, which must do. */
size_t wire_message_encode(const struct wire_message *message, uint8_t *out, size_t size);

/** wire_message_decode() - Return: 0; -EBADMSG: anything but what encode writes. */
int wire_message_decode(const uint8_t *data, size_t len, struct wire_message *out);

/* Bytes being taken apart. */
struct wire_reader {
	const uint8_t *at, *end;
};

/** wire_rumor_encode() - one rumor of a view. Return: its length; @out has room for
 *  WIRE_RUMOR_LEN + WIRE_ACCUSER_LEN + 5 + WIRE_DETAILS_MAX. */
size_t wire_rumor_encode(const struct wire_rumor *rumor, uint8_t *out);

#define WIRE_RUMOR_MAX (WIRE_RUMOR_LEN + WIRE_ACCUSER_LEN + 5 + WIRE_DETAILS_MAX)

/** wire_rumor_decode() - the next one. Return: 0, -EBADMSG. */
int wire_rumor_decode(struct wire_reader *reader, struct wire_rumor *out);

enum wire_ask_kind {
	WIRE_DIGEST = 1,
	WIRE_SAME,
	WIRE_DIFFERENT,
	WIRE_VIEW,
	WIRE_PING,
	WIRE_PONG,
	WIRE_TWIN,
	WIRE_KEYS,
	WIRE_KEYS_ANSWER,
	WIRE_TWIN_ANSWER,
};

/* A question or an answer on a stream. A view's rumors are behind it, see @rest. */
struct wire_ask {
	enum wire_ask_kind kind;
	uint64_t number;		    /* DIGEST, TWIN: age_ms; TWIN_ANSWER: who stays */
	enum membership_keys_action action; /* KEYS */
	uint8_t key[KEYRING_KEY_LEN];	    /* KEYS ADD */
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN]; /* KEYS USE, REMOVE: the first */
	unsigned id_count;			       /* KEYS_ANSWER */
	int status;				       /* KEYS_ANSWER */
	struct wire_reader rest; /* VIEW: its rumors, borrowed; decoding only */
};

#define WIRE_ASK_MAX 128 /* but for a view's rumors */

/** wire_ask_encode() - Return: its length; a view's rumors are appended by the caller. */
size_t wire_ask_encode(const struct wire_ask *ask, uint8_t out[WIRE_ASK_MAX]);

/** wire_ask_decode() - Return: 0, -EBADMSG. Wipe @out after a key. */
int wire_ask_decode(const uint8_t *data, size_t len, struct wire_ask *out);

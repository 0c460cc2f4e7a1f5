/*
 * message.h - the messages of a handshake as bytes. handshake.h says when each is sent.
 *
 *	every message	magic (4), version (1), type (1), length of what follows (2)
 *	HELLO		cluster (64), member (16), boot (8), expected (16), key id (8), nonce (32)
 *	CHALLENGE	cluster (64), member (16), boot (8), nonce (32), MAC (32)
 *	PROOF		MAC (32)
 *	WELCOME		kind (1), offer (0..1024), MAC (32)
 *	REFUSAL		code (2), text
 *
 * Integers are little-endian; a cluster's name is filled up with NULs, one at least. The header and
 * REFUSAL stay as they are in all versions to come, so that nodes of two versions can tell each
 * other that they are.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/auth/handshake.h"
#include "fabric/keyring.h"

#define MESSAGE_MAGIC_LEN  4
#define MESSAGE_HEADER_LEN 8
#define MESSAGE_MAC_LEN	   32

#define MESSAGE_HELLO_LEN                                                                          \
	(CLUSTER_NAME_MAX + 2 * MEMBER_ID_LEN + 8 + KEYRING_ID_LEN + HANDSHAKE_NONCE_LEN)
#define MESSAGE_CHALLENGE_LEN                                                                      \
	(CLUSTER_NAME_MAX + MEMBER_ID_LEN + 8 + HANDSHAKE_NONCE_LEN + MESSAGE_MAC_LEN)
#define MESSAGE_WELCOME_LEN_MIN (1 + MESSAGE_MAC_LEN)
#define MESSAGE_WELCOME_LEN_MAX (MESSAGE_WELCOME_LEN_MIN + HANDSHAKE_OFFER_MAX)
#define MESSAGE_REFUSAL_LEN_MIN 2
#define MESSAGE_TEXT_MAX	200
#define MESSAGE_REFUSAL_LEN_MAX (MESSAGE_REFUSAL_LEN_MIN + MESSAGE_TEXT_MAX)

static_assert(MESSAGE_HELLO_LEN == 144 && MESSAGE_CHALLENGE_LEN == 152, "the wire's layout");
static_assert(MESSAGE_HEADER_LEN + MESSAGE_WELCOME_LEN_MAX <= HANDSHAKE_MESSAGE_MAX,
	      "the longest message has room");

enum message_type {
	MESSAGE_HELLO = 1,
	MESSAGE_CHALLENGE = 2,
	MESSAGE_PROOF = 3,
	MESSAGE_WELCOME = 4,
	MESSAGE_REFUSAL = 15,
};

/* Why a side refuses. Numbers are never given another meaning; unknown ones are refusals too. */
enum message_code {
	MESSAGE_CODE_SECRET = 1,
	MESSAGE_CODE_CLUSTER = 2,
	MESSAGE_CODE_VERSION = 3,
	MESSAGE_CODE_MEMBER = 4, /* another than expected */
	MESSAGE_CODE_SELF = 5,	 /* both sides have one member id */
	MESSAGE_CODE_BUSY = 6,
	MESSAGE_CODE_PROTOCOL = 7, /* bytes that are no handshake */
	MESSAGE_CODE_OTHER = 8,
};

struct message_header {
	uint8_t version;
	uint8_t type;
	uint16_t len;
};

/* HELLO, and CHALLENGE but for its MAC; the latter has no expected and no key id. */
struct message_greeting {
	char cluster[CLUSTER_NAME_MAX];
	struct member_id member;
	uint64_t boot;
	struct member_id expected;
	uint8_t key_id[KEYRING_ID_LEN];
	uint8_t nonce[HANDSHAKE_NONCE_LEN];
};

extern const uint8_t message_magic[MESSAGE_MAGIC_LEN];

void message_encode_header(enum message_type type, size_t len, uint8_t out[MESSAGE_HEADER_LEN]);
struct message_header message_decode_header(const uint8_t in[MESSAGE_HEADER_LEN]);

void message_encode_hello(const struct message_greeting *greeting, uint8_t out[MESSAGE_HELLO_LEN]);
void message_encode_challenge(const struct message_greeting *greeting,
			      uint8_t out[MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN]);

/** message_decode_hello(), ..._challenge() - Return: 0, -EBADMSG: no cluster name. */
int message_decode_hello(const uint8_t in[MESSAGE_HELLO_LEN], struct message_greeting *out);
int message_decode_challenge(const uint8_t in[MESSAGE_CHALLENGE_LEN], struct message_greeting *out);

/** message_encode_refusal() - of @text, what fits and is printable. Returns the length. */
size_t message_encode_refusal(enum message_code code, const char *text,
			      uint8_t out[MESSAGE_REFUSAL_LEN_MAX]);

/** message_decode_refusal() - @len at least MESSAGE_REFUSAL_LEN_MIN, at most ..._MAX. */
void message_decode_refusal(const uint8_t *in, size_t len, uint16_t *out_code,
			    char out_text[MESSAGE_TEXT_MAX + 1]);

/** message_code_status(), message_status_code() - a code as an errno, and back. */
int message_code_status(uint16_t code);
enum message_code message_status_code(int status);

/** message_printable() - @len bytes, and a NUL, in which what is not printable ASCII, or a
 * quotation mark, is '?': texts of others go to logs and terminals. */
void message_printable(const void *text, size_t len, char *out);

/*
 * handshake.h - who may read: a mutual challenge keyed by the cluster secret, as a pure machine.
 * Bytes come in, bytes go out; greeting.c carries them over TCP.
 *
 *	client                                                      server
 *	HELLO      version, cluster, member, boot, expected, key id, nonce -->
 *	           <-- CHALLENGE   version, cluster, member, boot, nonce, HMAC("server", transcript)
 *	PROOF      HMAC("client", transcript) -->
 *	           <-- WELCOME     kind, offer, HMAC("welcome", transcript, offer)
 *
 * or, from either side in place of its next message, REFUSAL (a code and a text) after which both
 * close. The transcript is every byte of HELLO and of CHALLENGE up to its HMAC, so versions, names,
 * ids and nonces are bound in. Both sides then know the *proof*, HMAC("proof", transcript), which
 * has not travelled: the connect request carries it, once.
 *
 * A refusal says what is wrong in the words of both sides ("the client", "the server"), so that
 * either's log tells the operator which of the two to correct. It is not authenticated: who
 * receives one prints it as the other side's claim.
 *
 * Before a side has proved itself it learns of the other: its cluster's name, member and boot id,
 * and the id of its key. Nothing of the key: the nonces are fresh on both sides, so what was
 * recorded proves nothing again, and each HMAC names its role, so nothing can be sent back.
 *
 * This protects the set-up. It does not protect what goes over the wire afterwards: who can alter
 * or inject packets between two members can do so there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/identity.h"

#define HANDSHAKE_VERSION	 1
#define HANDSHAKE_NONCE_LEN	 32
#define HANDSHAKE_PROOF_LEN	 32
#define HANDSHAKE_OFFER_MAX	 1024
#define HANDSHAKE_MESSAGE_MAX	 1536
#define HANDSHAKE_PROBLEM_MAX	 256
#define HANDSHAKE_TRANSCRIPT_MAX 320

enum handshake_role {
	HANDSHAKE_CLIENT,
	HANDSHAKE_SERVER,
};

enum handshake_state {
	HANDSHAKE_WAITS_HELLO,
	HANDSHAKE_WAITS_CHALLENGE,
	HANDSHAKE_WAITS_PROOF,
	HANDSHAKE_WAITS_WELCOME,
	HANDSHAKE_DONE,
	HANDSHAKE_REFUSED, /* by us or by the other side: problem says which and why */
};

struct handshake {
	enum handshake_role role;
	enum handshake_state state;
	const struct identity *identity; /* borrowed */
	struct member_id expected;	 /* client: who must answer; none: anybody */
	struct member_id peer;		 /* valid once DONE */
	uint64_t peer_boot;
	uint8_t nonce[HANDSHAKE_NONCE_LEN];
	uint8_t proof[HANDSHAKE_PROOF_LEN]; /* valid once DONE */
	uint8_t offer[HANDSHAKE_OFFER_MAX]; /* server: ours; client: theirs, once DONE */
	size_t offer_len;
	int kind;      /* enum transport_kind of the offer */
	int status;    /* REFUSED: as handshake_input() */
	bool foreign;  /* REFUSED: what came was no handshake */
	bool by_other; /* REFUSED: by the other side */
	char problem[HANDSHAKE_PROBLEM_MAX];
	/* What is to be sent (see handshake_sent()), and what has come of the next message. */
	uint8_t out[HANDSHAKE_MESSAGE_MAX], in[HANDSHAKE_MESSAGE_MAX];
	size_t out_len, in_len;
	/* private */
	uint8_t transcript[HANDSHAKE_TRANSCRIPT_MAX];
	size_t transcript_len;
	uint8_t key[32]; /* wiped at the end */
};

/**
 * handshake_init_client() - HELLO is in out.
 * @identity: borrowed until handshake_fini(). @expected: who must answer; NULL or none: anybody.
 * @nonce: unpredictable, used once.
 * Return: 0; -ENOENT: the ring has no key.
 */
int handshake_init_client(struct handshake *handshake, const struct identity *identity,
			  const struct member_id *expected,
			  const uint8_t nonce[HANDSHAKE_NONCE_LEN]);

/** handshake_init_server() - waits for HELLO. @offer (copied) is for who proves himself. */
void handshake_init_server(struct handshake *handshake, const struct identity *identity,
			   const uint8_t nonce[HANDSHAKE_NONCE_LEN], int kind, const uint8_t *offer,
			   size_t offer_len);

/**
 * handshake_input() - @len bytes of the other side, in pieces of any size; what is to be answered
 * is appended to out. Bytes behind the end of the handshake are -EPROTO.
 * Return: 0: go on; 1: DONE (out may still hold something); or REFUSED, out may hold a REFUSAL to
 * be sent before closing:
 *   -EACCES	      a wrong secret, another cluster;
 *   -EPROTONOSUPPORT another version;
 *   -EREMCHG	      another member than expected, or one that has our own id;
 *   -EBUSY	      the server has no room;
 *   -EPROTO	      not a handshake.
 */
int handshake_input(struct handshake *handshake, const uint8_t *data, size_t len);

/** handshake_sent() - the first @len bytes of out have gone. */
void handshake_sent(struct handshake *handshake, size_t len);

/** handshake_refuse() - the server has no room: REFUSAL in out, in place of a WELCOME of which
 *  nothing was sent. Not when REFUSED. */
void handshake_refuse(struct handshake *handshake, int status, const char *why);

/** handshake_fini() - wipes it. */
void handshake_fini(struct handshake *handshake);

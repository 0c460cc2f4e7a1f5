/*
 * pair.h - two nodes of one cluster and their handshake without a network.
 */
#pragma once

#include "fabric/auth/handshake.h"
#include "fabric/keyring.h"

struct pair {
	struct keyring *rings[2]; /* of the client and of the server, each with the key 1 */
	struct identity client, server;
	struct handshake from_client, from_server;
};

/** pair_init() - both sides are ready to be changed before pair_begin(). */
void pair_init(struct pair *pair);
void pair_fini(struct pair *pair);

/** pair_add_key() - the key of bytes @number. */
void pair_add_key(struct keyring *ring, uint8_t number);

/** pair_begin() - HELLO is in the client's out, the server waits for it. */
void pair_begin(struct pair *pair);

/** pair_step() - takes what @from has to say to @to, in pieces of @piece bytes (0: at once).
 *  Returns what the last handshake_input() did, or 0. */
int pair_step(struct handshake *from, struct handshake *to, size_t piece);

/** pair_run() - until neither has anything to say. */
void pair_run(struct pair *pair, size_t piece);

/** pair_assert_agreed() - both are done and know the same. */
void pair_assert_agreed(const struct pair *pair);

/** pair_assert_refused() - both were, with @status; the text that the detecting side has, the other
 *  has as its claim. */
void pair_assert_refused(const struct pair *pair, int status, const char *text);

/** pair_assert_no_secret() - nothing of the cluster's key is left in it. */
void pair_assert_no_secret(const struct handshake *handshake);

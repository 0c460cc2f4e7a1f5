/*
 * rig.h - identities for the gossip tests: members 1, 2 ... of one cluster, each with a ring of its
 * own.
 */
#pragma once

#include "fabric/identity.h"
#include "fabric/keyring.h"

#define RIG_CLUSTER "test"

/** rig_key() - the cluster key of that number. */
void rig_key(uint8_t number, uint8_t out[KEYRING_KEY_LEN]);

/** rig_key_id() - its id. */
void rig_key_id(uint8_t number, uint8_t out[KEYRING_ID_LEN]);

/** rig_identity() - member @number in its first life, with a ring of key 1. */
struct identity rig_identity(uint8_t number);

/** rig_identity_fini() - frees the ring. */
void rig_identity_fini(struct identity *identity);

/** rig_add_key() - one more key into the ring. */
void rig_add_key(struct identity *identity, uint8_t number);

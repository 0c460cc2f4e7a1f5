/*
 * rig.c - identities for the gossip tests.
 */
#include "tests/unit/fabric/gossip/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

void rig_key(uint8_t number, uint8_t out[KEYRING_KEY_LEN])
{
	memset(out, number, KEYRING_KEY_LEN);
}

void rig_key_id(uint8_t number, uint8_t out[KEYRING_ID_LEN])
{
	uint8_t key[KEYRING_KEY_LEN];

	rig_key(number, key);
	keyring_id(key, out);
}

void rig_add_key(struct identity *identity, uint8_t number)
{
	uint8_t key[KEYRING_KEY_LEN];

	rig_key(number, key);
	assert_int_equal(keyring_add(identity->ring, key), 0);
}

struct identity rig_identity(uint8_t number)
{
	struct identity identity = { .cluster = RIG_CLUSTER, .boot = 1000 + number };

	memset(identity.member.bytes, number, sizeof(identity.member.bytes));
	assert_int_equal(keyring_create(&identity.ring), 0);
	rig_add_key(&identity, 1);
	return identity;
}

void rig_identity_fini(struct identity *identity)
{
	keyring_destroy(identity->ring);
}

/*
 * identity.h - who this node is to the others: said in every handshake and every gossip packet.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define MEMBER_ID_LEN	 16
#define MEMBER_ID_TEXT	 (2 * MEMBER_ID_LEN + 1)
#define CLUSTER_NAME_MAX 64 /* with its NUL */

/* Random bytes, made once and kept in the state directory. All zero: nobody in particular. */
struct member_id {
	uint8_t bytes[MEMBER_ID_LEN];
};

struct keyring;

struct identity {
	char cluster[CLUSTER_NAME_MAX];
	struct member_id member;
	uint64_t boot; /* random at each start: tells a restarted member from its former self */
	struct keyring *ring; /* borrowed */
};

static inline int member_id_is_none(const struct member_id *id)
{
	static const struct member_id none;

	return !memcmp(id, &none, sizeof(none));
}

static inline int member_id_equal(const struct member_id *a, const struct member_id *b)
{
	return !memcmp(a, b, sizeof(*a));
}

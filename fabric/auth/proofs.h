/*
 * proofs.h - the one-time proofs that were agreed in handshakes and have not been used yet. One
 * thread's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fabric/auth/handshake.h"

#define PROOFS_MAX     256
#define PROOFS_LIFE_NS UINT64_C(30000000000)

struct proof {
	uint8_t bytes[HANDSHAKE_PROOF_LEN];
	struct member_id member;
	uint64_t boot;
	uint64_t until_ns; /* 0: free */
};

/* Zeroed: none. */
struct proofs {
	struct proof items[PROOFS_MAX];
};

/** proofs_add() - of a handshake that is DONE. Return: 0; -EBUSY when PROOFS_MAX wait. */
int proofs_add(struct proofs *proofs, const struct handshake *handshake, uint64_t now_ns);

/**
 * proofs_take() - uses up the proof, compared in constant time.
 * Return: 0 with whose it is; -EACCES: unknown, used or too old.
 */
int proofs_take(struct proofs *proofs, const uint8_t *bytes, size_t len, uint64_t now_ns,
		struct member_id *out_member, uint64_t *out_boot);

/** proofs_fini() - wipes what was not used. */
void proofs_fini(struct proofs *proofs);

/*
 * proofs.c - a table of PROOFS_MAX places. Every place is compared at every asking, so that the
 * time it takes says nothing about which proof, or how much of one, was right.
 */
#include "fabric/auth/proofs.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static void forget(struct proof *proof)
{
	OPENSSL_cleanse(proof, sizeof(*proof));
}

int proofs_add(struct proofs *proofs, const struct handshake *handshake, uint64_t now_ns)
{
	struct proof *room = NULL;

	CHECK(handshake->state == HANDSHAKE_DONE);
	for (unsigned i = 0; i < PROOFS_MAX; i++) {
		struct proof *proof = &proofs->items[i];

		if (proof->until_ns && proof->until_ns <= now_ns)
			forget(proof);
		if (!proof->until_ns)
			room = proof;
	}
	if (!room)
		return -EBUSY;
	memcpy(room->bytes, handshake->proof, HANDSHAKE_PROOF_LEN);
	room->member = handshake->peer;
	room->boot = handshake->peer_boot;
	room->until_ns = clock_after_ns(now_ns, PROOFS_LIFE_NS);
	return 0;
}

int proofs_take(struct proofs *proofs, const uint8_t *bytes, size_t len, uint64_t now_ns,
		struct member_id *out_member, uint64_t *out_boot)
{
	struct proof *found = NULL;

	if (len != HANDSHAKE_PROOF_LEN)
		return -EACCES;
	for (unsigned i = 0; i < PROOFS_MAX; i++) {
		struct proof *proof = &proofs->items[i];
		int differs = CRYPTO_memcmp(proof->bytes, bytes, HANDSHAKE_PROOF_LEN);

		/* A free place holds zeros, which are no proof. */
		if (!differs && proof->until_ns > now_ns)
			found = proof;
	}
	if (!found)
		return -EACCES;
	*out_member = found->member;
	*out_boot = found->boot;
	forget(found);
	return 0;
}

void proofs_fini(struct proofs *proofs)
{
	OPENSSL_cleanse(proofs, sizeof(*proofs));
}

/*
 * handover.h - a member that leaves hands over what is on its SSD: goes through all of it, and has
 * the member that owns each block by now take it (TAKE, take.h).
 *
 *	list a portion --> sort it by owner --> TAKE, HANDOVER_OWNER_MAX under way with each
 *	  ^                                       | answered: which of the blocks it has now
 *	  `---- another pass: some are not with their owner, or owners have changed meanwhile
 *
 * Everything is offered but obsolete versions, replicas too: who owns a block and has it says so,
 * which costs a message for up to 64 blocks, and who owns it and lacks it - since it joined, or
 * since an owner before it died - would otherwise lose the only copy. Nobody is told to take what
 * it has no room for.
 *
 * Passes end when one changed nothing for the better: owners have all, or what they lack they
 * refused twice. One that does not answer is left alone for the rest of a pass, and its blocks go
 * to whoever owns them by the next placement.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/peer/peers.h"
#include "cache/placement/placement.h"
#include "cache/store/store.h"
#include "fabric/identity.h"

#define HANDOVER_ASKS_MAX    16			  /* under way */
#define HANDOVER_OWNER_MAX   2			  /* ... with one owner */
#define HANDOVER_RUN_BYTES   (UINT64_C(64) << 20) /* asked for at once */
#define HANDOVER_TIMEOUT_NS  (60 * NS_PER_S)	  /* for one answer; the next pass asks again */
#define HANDOVER_PATIENCE_NS (120 * NS_PER_S)	  /* without a block handed over, while some lack */

struct handover_setup {
	const struct clock *clock;
	struct placement *placement; /* in which this node stores nothing */
	uint32_t block_len;
	void *context;
	/* What is here, in portions: cache_list(). */
	int (*list)(void *context, struct store_cursor *cursor, struct store_page *page);
	/* peers_inquire(). */
	void (*ask)(void *context, struct peers_inquiry *inquiry);
	/* How far it is; called ten times a second or more often. Return: false: give up. */
	bool (*tell)(void *context, const struct peers_handover *handover);
};

/**
 * handover_run() - hands over all that is here, as far as others take it; blocks until then.
 * @out: also tells on errors how far it came.
 * Return: 0, with out->refused_* of what nobody took; or
 *   -ECANCELED    tell() said so;
 *   -EHOSTUNREACH nobody else stores blocks (any more);
 *   -ETIMEDOUT    owners did not answer for HANDOVER_PATIENCE_NS;
 *   -EIO          a cache directory could not be read: what it has is not handed over;
 *   -ENOMEM.
 */
int handover_run(const struct handover_setup *setup, struct peers_handover *out);

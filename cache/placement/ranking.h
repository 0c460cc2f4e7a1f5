/*
 * ranking.h - the few best members for one slot, found by offering members one by one.
 */
#pragma once

#include <stdint.h>

#include "cache/placement/score.h"
#include "cache/placement/table.h"

struct ranking_place {
	__uint128_t score;
	uint16_t member;
};

struct ranking {
	__uint128_t worst; /* of the last place; SCORE_NONE while there is a free one */
	uint32_t slot;
	unsigned limit; /* at most PLACEMENT_RANK_MAX */
	unsigned count;
	struct ranking_place places[PLACEMENT_RANK_MAX]; /* by score, then by member */
};

/** ranking_init() - of the @limit best for @slot, nobody yet. */
void ranking_init(struct ranking *ranking, uint32_t slot, unsigned limit);

/** ranking_place() - offers a member whose floor is not above the worst; not twice the same. */
void ranking_place(struct ranking *ranking, const struct score_key *key, uint16_t member);

/* Offers a member. */
static inline void ranking_offer(struct ranking *ranking, const struct score_key *key,
				 uint16_t member)
{
	if (score_floor(key, score_stratum(key, ranking->slot)) <= ranking->worst)
		ranking_place(ranking, key, member);
}

/** ranking_offer_all() - offers members 0 to @count - 1. */
void ranking_offer_all(struct ranking *ranking, const struct score_key *keys, unsigned count);

/** ranking_slot() - the result as a table keeps it, when the limit is PLACEMENT_OWNERS_MAX. */
struct table_slot ranking_slot(const struct ranking *ranking);

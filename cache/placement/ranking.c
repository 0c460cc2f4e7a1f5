/*
 * ranking.c - insertion into the few best.
 */
#include "cache/placement/ranking.h"

#include <stdbool.h>

#include "base/check.h"

void ranking_init(struct ranking *ranking, uint32_t slot, unsigned limit)
{
	CHECK(limit > 0 && limit <= PLACEMENT_RANK_MAX);
	ranking->worst = SCORE_NONE;
	ranking->slot = slot;
	ranking->limit = limit;
	ranking->count = 0;
}

static bool is_before(const struct ranking_place *a, const struct ranking_place *b)
{
	return a->score != b->score ? a->score < b->score : a->member < b->member;
}

void ranking_place(struct ranking *ranking, const struct score_key *key, uint16_t member)
{
	struct ranking_place *places = ranking->places;
	struct ranking_place offered = { score_of(key, ranking->slot), member };
	unsigned at;

	if (ranking->count < ranking->limit)
		at = ranking->count++;
	else if (is_before(&offered, &places[ranking->limit - 1]))
		at = ranking->limit - 1;
	else
		return;
	for (; at > 0 && is_before(&offered, &places[at - 1]); at--)
		places[at] = places[at - 1];
	places[at] = offered;
	if (ranking->count == ranking->limit)
		ranking->worst = places[ranking->limit - 1].score;
}

void ranking_offer_all(struct ranking *ranking, const struct score_key *keys, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ranking_offer(ranking, &keys[i], (uint16_t)i);
}

struct table_slot ranking_slot(const struct ranking *ranking)
{
	struct table_slot slot;

	for (unsigned i = 0; i < PLACEMENT_OWNERS_MAX; i++)
		slot.owners[i] = i < ranking->count ? ranking->places[i].member : TABLE_NOBODY;
	return slot;
}

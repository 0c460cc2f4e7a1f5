/*
 * reader_former.c - who had a block before it became this node's, or has it while a peer waits for
 * it here: all are asked at once, LOCAL, and the first that has it is read. They answer from their
 * memory and their SSDs and wait for nobody, so that this is quick and cannot go in circles.
 *
 * Members that are leaving are asked as well, which the placement does not name any more: until
 * they have handed over a block they may be the only ones to have it.
 */
#include "cache/peer/reader_inside.h"

static bool is_settled(const struct placement_member *member, uint64_t now_ns, uint64_t settle_ns)
{
	return now_ns > member->storing_since_ns && now_ns - member->storing_since_ns > settle_ns;
}

/* Those down the ranking through the first that has been there for so long that it has all of what
   is its own. */
static unsigned rank_former(struct pursuit *pursuit, struct member_id out[PLACEMENT_RANK_MAX])
{
	const struct reader_setup *setup = &pursuit->reader->setup;
	const struct peer_fetch *fetch = pursuit->fetch;
	const struct placement_member *ranked[PLACEMENT_RANK_MAX];
	const struct placement_table *table = placement_acquire(setup->placement);
	uint32_t slot = placement_slot(&fetch->key.id, fetch->block);
	unsigned all = placement_rank(table, slot, PLACEMENT_RANK_MAX, ranked), count = 0;
	uint64_t now_ns = reader_now(pursuit->reader);

	for (unsigned i = 0; i < all; i++) {
		if (!member_id_equal(&ranked[i]->id, &setup->self))
			out[count++] = ranked[i]->id;
		if (is_settled(ranked[i], now_ns, setup->config->settle))
			break;
	}
	placement_release(setup->placement, table);
	return count;
}

/* Those who would have owned it, first of all. */
static unsigned rank_leaving(struct pursuit *pursuit, struct member_id out[LEAVING_ASKED])
{
	const struct peer_fetch *fetch = pursuit->fetch;
	struct placement_member leaving[NEIGHBOURS_LEAVING_MAX];
	const struct placement_member *ranked[LEAVING_ASKED];
	unsigned all = neighbours_leaving_list(pursuit->reader->setup.neighbours, leaving), count;

	if (!all)
		return 0;
	count = placement_rank_among(leaving, all, placement_slot(&fetch->key.id, fetch->block),
				     LEAVING_ASKED, ranked);
	for (unsigned i = 0; i < count; i++)
		out[i] = ranked[i]->id;
	return count;
}

static bool is_among(const struct member_id *id, const struct member_id *others, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (member_id_equal(id, &others[i]))
			return true;
	}
	return false;
}

/* All of them. A table that is a moment old still names who is leaving by now. */
static unsigned find_former(struct pursuit *pursuit, struct member_id out[QUESTIONS_MAX])
{
	struct member_id leaving[LEAVING_ASKED];
	unsigned count = rank_former(pursuit, out);
	unsigned all = rank_leaving(pursuit, leaving);

	for (unsigned i = 0; i < all; i++) {
		if (!is_among(&leaving[i], out, count))
			out[count++] = leaving[i];
	}
	return count;
}

static void prepare(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	struct neighbours *neighbours = reader->setup.neighbours;
	struct member_id former[QUESTIONS_MAX];
	unsigned count = find_former(pursuit, former);
	uint64_t now_ns = reader_now(reader);

	for (unsigned i = 0; i < count; i++) {
		struct neighbour *neighbour = neighbours_find(neighbours, &former[i]);

		if (!neighbour || neighbour_is_restarting(neighbour, now_ns) ||
		    !neighbour_usable(neighbours, neighbour, now_ns))
			continue;
		question_init(pursuit, &pursuit->questions[pursuit->question_count++], neighbour,
			      PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	}
}

void former_begin(struct pursuit *pursuit)
{
	pursuit->local = true;
	pursuit->away = false;
	pursuit->mismatches = 0;
	pursuit->question_count = 0;
	pursuit->source = SOURCE_FORMER;
	pursuit->state = PURSUIT_ASKING;
	if (!pursuit->pinned)
		prepare(pursuit);
	if (!pursuit->question_count) {
		pursuit_end(pursuit, PEER_MISSED, 0);
		return;
	}
	/* one that fails at once is not the last as long as others are to be sent */
	for (unsigned i = 0; i < pursuit->question_count && pursuit->state == PURSUIT_ASKING; i++)
		question_send(&pursuit->questions[i]);
}

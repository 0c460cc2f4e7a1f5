/*
 * reader_ask.c - whom a pursuit asks, and what it does when that comes to nothing.
 *
 *	pursuit_begin() --> locator --> READ
 *	    |                  | none, or it was wrong
 *	    |                  v
 *	    |             owners[0] --> owners[1] --> budget --> MISSED
 *	    |               |   ^ waited for while it restarts
 *	    |               v   |
 *	    |             a holder that it refers to
 *	    v placed here, or a peer waits for it here
 *	former_begin()
 *
 * What is pinned to one member (catalog.h) is asked of nobody else, nor is that one waited for:
 * who owns nothing of it can do without.
 */
#include <errno.h>
#include <string.h>

#include "base/digest.h"
#include "cache/peer/catalog.h"
#include "cache/peer/reader_inside.h"
#include "cache/store/store.h"

/* Return: false: @text is no member's id. */
static bool member_of_text(const char *text, struct member_id *out)
{
	return strlen(text) == (size_t)2 * MEMBER_ID_LEN &&
	       digest_unhex(text, MEMBER_ID_LEN, out->bytes);
}

/* What lies in the memory of one member only, which its name says. */
static bool find_pinned(struct pursuit *pursuit)
{
	const struct object_version *version = &pursuit->fetch->object->version;
	const struct member_id *self = &pursuit->reader->setup.self;

	pursuit->pinned = strcmp(version->backing, CATALOG_BACKING) == 0;
	if (!pursuit->pinned)
		return false;
	pursuit->owner_count = member_of_text(version->bucket, &pursuit->owners[0]) &&
			       !member_id_equal(&pursuit->owners[0], self);
	return true;
}

/* Whether this node, which has just started, has yet to work out who owns what: nothing is placed
 * at all, or it has found others, and not placed blocks on them. Until then it would take itself
 * for the owner of everything, and fetch what others have. Neighbours may also never store, so the
 * wait is over once and for all. */
static bool is_unplaced(struct pursuit *pursuit, const struct placement_table *table)
{
	struct reader *reader = pursuit->reader;
	uint64_t waited_ns_max = (pursuit->fetch->deadline_ns - pursuit->started_ns) / 2;
	uint64_t now_ns = reader_now(reader);
	unsigned count;

	placement_members(table, &count);
	if (count > 1 || now_ns >= reader->placed_by_ns)
		reader->placed = true;
	if (reader->placed)
		return false;
	if (placement_generation(table) && !neighbours_any(reader->setup.neighbours))
		return false;
	if (now_ns - pursuit->started_ns >= waited_ns_max)
		return false;
	reader->generation = placement_generation(table);
	return true;
}

/* The news are not waited for by the clock, or a node that is alone would be later than need be. */
void reader_placed_look(struct reader *reader)
{
	const struct placement_table *table;

	if (!reader->unplaced)
		return;
	table = placement_acquire(reader->setup.placement);
	if (placement_generation(table) != reader->generation)
		reader_due(reader, reader_now(reader));
	placement_release(reader->setup.placement, table);
}

/* Return: whether they are known. */
static bool find_owners(struct pursuit *pursuit)
{
	const struct reader_setup *setup = &pursuit->reader->setup;
	const struct peer_fetch *fetch = pursuit->fetch;
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	const struct placement_table *table = placement_acquire(setup->placement);
	uint32_t slot = placement_slot(&fetch->key.id, fetch->block);
	unsigned count = placement_owners(table, slot, owners);
	bool unplaced = is_unplaced(pursuit, table);

	pursuit->owner_count = count < OWNERS_ASKED ? count : OWNERS_ASKED;
	for (unsigned i = 0; i < pursuit->owner_count; i++)
		pursuit->owners[i] = owners[i]->id;
	placement_release(setup->placement, table);
	/* where nobody stores, nobody else will keep it */
	pursuit->placed = !count || member_id_equal(&pursuit->owners[0], &setup->self);
	pursuit->fetch->placed = pursuit->placed;
	return !unplaced;
}

void pursuit_begin(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	if (!find_pinned(pursuit) && !find_owners(pursuit)) {
		pursuit->state = PURSUIT_UNPLACED;
		reader->unplaced = true;
		pursuit->due_ns = clock_after_ns(reader_now(reader), TRY_NS);
		reader_due(reader, pursuit->due_ns);
		return;
	}
	if (pursuit->placed || pursuit_is_served(pursuit))
		former_begin(pursuit);
	else if (!pursuit_read_locator(pursuit))
		pursuit_ask(pursuit);
}

void reader_epoch(struct reader *reader, struct neighbour *neighbour, uint64_t epoch)
{
	if (neighbour->shape_known && neighbour->shape.epoch != epoch)
		neighbour->shape_known = false;
	if (neighbour->epoch && neighbour->epoch != epoch)
		locators_drop_holder(reader->locators, &neighbour->id, epoch);
	neighbour->epoch = epoch;
}

/* --- waiting for a member that restarts */

static uint64_t min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until when it is waited for. */
static uint64_t patience_ns(const struct pursuit *pursuit, const struct neighbour *neighbour,
			    uint64_t now_ns)
{
	uint64_t left_ns = pursuit->fetch->deadline_ns - pursuit->waiting_ns;
	uint64_t half_ns = pursuit->waiting_ns + left_ns / 2;

	if (neighbour_is_restarting(neighbour, now_ns))
		return min_ns(half_ns, neighbour->restarting_ns);
	return min_ns(half_ns, pursuit->grace_ns);
}

/* Return: whether it waits, or goes on waiting, for @neighbour, whose turn it is. */
static bool wait_for(struct pursuit *pursuit, const struct neighbour *neighbour,
		     enum failure failure)
{
	struct reader *reader = pursuit->reader;
	uint64_t now_ns = reader_now(reader), until_ns;
	bool restarts = neighbour_is_restarting(neighbour, now_ns);

	if (pursuit->pinned || pursuit->rank || failure == FAILURE_WRONG ||
	    now_ns >= pursuit->fetch->deadline_ns)
		return false;
	if (!pursuit->waiting_ns) {
		if (!restarts && failure != FAILURE_CLOSED && failure != FAILURE_STOPPING)
			return false;
		pursuit->waiting_ns = now_ns;
		pursuit->grace_ns =
			clock_after_ns(failure == FAILURE_CLOSED ? neighbour->closed_ns : now_ns,
				       reader->setup.config->silence);
	}
	until_ns = patience_ns(pursuit, neighbour, now_ns);
	if (now_ns >= until_ns)
		return false;
	pursuit->state = PURSUIT_PAUSED;
	pursuit->due_ns = min_ns(until_ns, now_ns + TRY_NS);
	reader_due(reader, pursuit->due_ns);
	return true;
}

enum failure pursuit_unreachable(const struct pursuit *pursuit, const struct neighbour *neighbour)
{
	const struct reader *reader = pursuit->reader;
	bool lately = neighbour->closed_ns &&
		      reader_now(reader) - neighbour->closed_ns < reader->setup.config->silence;

	return lately ? FAILURE_CLOSED : FAILURE_REFUSED;
}

void pursuit_hopeful(struct pursuit *pursuit, const struct neighbour *neighbour)
{
	struct reader *reader = pursuit->reader;
	uint64_t now_ns = reader_now(reader);

	if (!pursuit->waiting_ns || pursuit->rank ||
	    !member_id_equal(&pursuit->owners[0], &neighbour->id))
		return;
	pursuit->grace_ns = clock_after_ns(now_ns, reader->setup.config->silence);
	if (pursuit->state != PURSUIT_PAUSED)
		return;
	pursuit->due_ns = now_ns;
	reader_due(reader, now_ns);
}

/* --- asking */

static void next_rank(struct pursuit *pursuit)
{
	pursuit->rank++;
	pursuit->mismatches = 0;
	pursuit->waiting_ns = 0;
	pursuit->looked = pursuit->here = false;
	reader_count(pursuit->reader, PEERS_FAILOVERS, 1);
}

static void visit(struct pursuit *pursuit, struct neighbour *neighbour)
{
	pursuit->neighbour = neighbour;
	pursuit->holder = neighbour->id;
	if (pursuit->looked || !pursuit->reader->setup.directory || !directory_look(pursuit))
		pursuit_stage(pursuit);
}

/* The one whose turn it is. Return: NULL: it cannot be asked now. */
static struct neighbour *whose_turn(struct pursuit *pursuit, bool *out_wait)
{
	struct reader *reader = pursuit->reader;
	struct neighbours *neighbours = reader->setup.neighbours;
	struct neighbour *neighbour = neighbours_find(neighbours, &pursuit->owners[pursuit->rank]);
	uint64_t now_ns = reader_now(reader);

	*out_wait = false;
	if (!neighbour || (pursuit->rank && neighbour_is_restarting(neighbour, now_ns)))
		return NULL;
	if (neighbour_usable(neighbours, neighbour, now_ns))
		return neighbour;
	*out_wait = wait_for(pursuit, neighbour, FAILURE_UNUSABLE);
	return NULL;
}

static bool is_exhausted(const struct pursuit *pursuit)
{
	return pursuit->rank >= pursuit->owner_count ||
	       member_id_equal(&pursuit->owners[pursuit->rank], &pursuit->reader->setup.self);
}

/* Return: true: and that was its end. */
static bool is_late(struct pursuit *pursuit)
{
	if (reader_now(pursuit->reader) < pursuit->fetch->deadline_ns)
		return false;
	pursuit_end(pursuit, PEER_FAILED, -ETIMEDOUT);
	return true;
}

void pursuit_ask(struct pursuit *pursuit)
{
	struct neighbour *neighbour = NULL;
	bool wait = false;

	pursuit->away = false;
	if (is_late(pursuit))
		return;
	if (pursuit_is_served(pursuit)) {
		former_begin(pursuit);
		return;
	}
	while (!is_exhausted(pursuit)) {
		neighbour = whose_turn(pursuit, &wait);
		if (neighbour || wait)
			break;
		next_rank(pursuit);
	}
	if (neighbour)
		visit(pursuit, neighbour);
	else if (!wait)
		budget_wait(pursuit);
}

void pursuit_stage(struct pursuit *pursuit)
{
	unsigned flags = pursuit->here ? PEER_STAGE_HERE : 0;

	if (!pursuit->neighbour) {
		pursuit_again(pursuit);
		return;
	}
	if (is_late(pursuit))
		return;
	if (!pursuit->local && !pursuit->away && pursuit_is_served(pursuit)) {
		former_begin(pursuit);
		return;
	}
	pursuit->source = pursuit->local  ? SOURCE_FORMER
			  : pursuit->away ? SOURCE_HOLDER
					  : SOURCE_STAGE;
	if (pursuit->local || pursuit->away)
		flags = PEER_STAGE_LOCAL | PEER_STAGE_HERE;
	if (pursuit->mismatches >= MISMATCHES_PUSH)
		flags |= PEER_STAGE_PUSH;
	pursuit->state = PURSUIT_ASKING;
	pursuit->question_count = 1;
	question_init(pursuit, &pursuit->questions[0], pursuit->neighbour, flags);
	question_send(&pursuit->questions[0]);
}

void pursuit_again(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	pursuit_leave_reads(pursuit);
	directory_look_end(pursuit);
	lease_end(pursuit);
	if (pursuit->local) {
		pursuit_end(pursuit, PEER_MISSED, 0);
		return;
	}
	pursuit->away = false;
	pursuit->state = PURSUIT_PAUSED;
	pursuit->due_ns = reader_now(reader);
	reader_due(reader, pursuit->due_ns);
}

void pursuit_count_silent(struct pursuit *pursuit, const struct neighbour *neighbour)
{
	struct reader *reader = pursuit->reader;

	if (!neighbour || !neighbour_is_restarting(neighbour, reader_now(reader)))
		reader_count(reader, PEERS_SILENT, 1);
}

void pursuit_failed(struct pursuit *pursuit, enum failure failure)
{
	struct reader *reader = pursuit->reader;
	const struct neighbour *neighbour;

	lease_end(pursuit);
	if (pursuit->local) {
		pursuit_end(pursuit, PEER_MISSED, 0);
		return;
	}
	if (pursuit->away) {
		pursuit->mismatches = 0;
		pursuit_ask(pursuit);
		return;
	}
	neighbour = neighbours_find(reader->setup.neighbours, &pursuit->owners[pursuit->rank]);
	if (neighbour && wait_for(pursuit, neighbour, failure))
		return;
	next_rank(pursuit);
	pursuit_ask(pursuit);
}

void pursuit_mismatch(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	reader_count(reader, PEERS_MISMATCHES, 1);
	locators_drop(reader->locators, &pursuit->fetch->key);
	lease_end(pursuit);
	pursuit->mismatches++;
	if (pursuit->away || pursuit->mismatches > MISMATCHES_PUSH)
		pursuit_failed(pursuit, FAILURE_WRONG);
	else
		pursuit_stage(pursuit);
}

void pursuit_refer(struct pursuit *pursuit, const struct member_id *holders, unsigned count)
{
	struct reader *reader = pursuit->reader;
	struct neighbours *neighbours = reader->setup.neighbours;
	uint64_t now_ns = reader_now(reader);
	unsigned first = count ? (unsigned)random_below(&reader->random, count) : 0;

	pursuit->here = true;
	for (unsigned i = 0; i < count; i++) {
		const struct member_id *id = &holders[(first + i) % count];
		struct neighbour *neighbour = neighbours_find(neighbours, id);

		if (!neighbour || neighbour == pursuit->neighbour ||
		    neighbour_is_restarting(neighbour, now_ns) ||
		    !neighbour_usable(neighbours, neighbour, now_ns))
			continue;
		pursuit->away = true;
		pursuit->mismatches = 0;
		pursuit->neighbour = neighbour;
		pursuit->holder = neighbour->id;
		break;
	}
	pursuit_stage(pursuit);
}

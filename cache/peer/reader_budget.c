/*
 * reader_budget.c - the backing store in place of owners that are silent: all members of the site
 * together may fetch `failover_rate` bytes a second like this, or an outage of some nodes would
 * become an outage of the backing store. Each has its share of that, in tokens of a byte, saved up
 * for a second at most, or some blocks if that is more.
 */
#include "cache/peer/reader_inside.h"

static uint64_t share_of(const struct reader *reader)
{
	const struct reader_setup *setup = &reader->setup;
	const struct placement_table *table = placement_acquire(setup->placement);
	unsigned count;

	placement_members(table, &count);
	placement_release(setup->placement, table);
	return setup->config->failover_rate / (count ? count : 1);
}

static void refill(struct reader *reader, uint64_t share, uint64_t now_ns)
{
	uint64_t least = (uint64_t)BUDGET_BLOCKS_MIN * reader->setup.block_len;
	uint64_t most = share > least ? share : least;
	__uint128_t more = (__uint128_t)share * (now_ns - reader->budget.at_ns) / NS_PER_S;
	__uint128_t tokens = more + reader->budget.tokens;

	if (more) /* else it adds up */
		reader->budget.at_ns = now_ns;
	reader->budget.tokens = tokens < most ? (uint64_t)tokens : most;
}

void budget_wait(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	if (pursuit->pinned) {
		pursuit_end(pursuit, PEER_MISSED, 0);
		return;
	}
	pursuit->state = PURSUIT_BUDGET;
	TAILQ_INSERT_TAIL(&reader->budget.waiting, pursuit, by_queue);
	reader_due(reader, reader_now(reader)); /* for the tick, which runs the budget */
}

void budget_leave(struct pursuit *pursuit)
{
	TAILQ_REMOVE(&pursuit->reader->budget.waiting, pursuit, by_queue);
}

uint64_t budget_run(struct reader *reader, uint64_t now_ns)
{
	struct pursuit *pursuit = TAILQ_FIRST(&reader->budget.waiting);
	uint64_t share, lacking;

	if (!pursuit)
		return CLOCK_NEVER;
	share = share_of(reader);
	if (!share)
		return CLOCK_NEVER;
	refill(reader, share, now_ns);
	while ((pursuit = TAILQ_FIRST(&reader->budget.waiting))) {
		if (pursuit->fetch->len > reader->budget.tokens)
			break;
		reader->budget.tokens -= pursuit->fetch->len;
		pursuit_end(pursuit, PEER_MISSED, 0);
	}
	if (!pursuit)
		return CLOCK_NEVER;
	lacking = pursuit->fetch->len - reader->budget.tokens;
	return clock_after_ns(now_ns, lacking * NS_PER_S / share + 1);
}

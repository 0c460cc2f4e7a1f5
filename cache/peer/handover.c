/*
 * handover.c - passes over what is on the SSD, and whose each block is by now. Runs on one thread,
 * which waits; nothing here is in the way of reads.
 */
#include "cache/peer/handover.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/peer/handover_inside.h"

#define TELL_NS	      (50 * NS_PER_MS)
#define PASS_PAUSE_NS NS_PER_S /* before the next pass, when owners did not do what was asked */
#define MISREADS_MAX  16       /* portions of one pass */

uint64_t handover_len(const struct handover *handover, uint64_t size, uint64_t first, uint64_t bits)
{
	uint64_t len = 0;

	for (; bits; bits &= bits - 1)
		len += object_block_len(size, first + (unsigned)__builtin_ctzll(bits),
					handover->setup.block_len);
	return len;
}

bool handover_tell(struct handover *handover)
{
	uint64_t now_ns = handover_now(handover);
	struct peers_handover shown = handover->now;

	if (handover->error)
		return false;
	if (now_ns - handover->heard_ns > HANDOVER_PATIENCE_NS)
		handover->error = -ETIMEDOUT;
	if (handover->error || (handover->told_ns && now_ns - handover->told_ns < TELL_NS))
		return !handover->error;
	handover->told_ns = now_ns;
	/* a pass that asks again does not take anything back */
	if (shown.bytes < handover->best_bytes)
		shown.bytes = handover->best_bytes;
	if (!handover->setup.tell(handover->setup.context, &shown))
		handover->error = -ECANCELED;
	return !handover->error;
}

/* --- an object */

/* Blocks of one run that one owner has now. */
struct share {
	struct member_id owner;
	uint64_t bits;
};

struct run {
	const struct store_object *object;
	uint64_t first;
	unsigned share_count;
	struct share shares[PEER_TAKE_BLOCKS];
};

static void run_add(struct run *run, const struct member_id *owner, uint64_t block)
{
	struct share *share = run->shares;

	while (share < &run->shares[run->share_count] && !member_id_equal(&share->owner, owner))
		share++;
	if (share == &run->shares[run->share_count]) {
		*share = (struct share){ .owner = *owner };
		run->share_count++;
	}
	share->bits |= UINT64_C(1) << (block - run->first);
}

/* Blocks that one run may be long. */
static uint64_t run_span(const struct handover *handover)
{
	uint64_t span = HANDOVER_RUN_BYTES / handover->setup.block_len;

	if (span > PEER_TAKE_BLOCKS)
		return PEER_TAKE_BLOCKS;
	return span ? span : 1;
}

/* Sorts blocks by who owns them. Return: how many from the first on. */
static unsigned run_make(struct handover *handover, const struct store_listed *listed,
			 unsigned from, struct run *run)
{
	const struct placement_table *table = placement_acquire(handover->setup.placement);
	uint64_t span = run_span(handover);
	unsigned i = from;

	run->object = &listed->object;
	run->first = listed->blocks[from];
	run->share_count = 0;
	for (; i < listed->block_count && listed->blocks[i] - run->first < span; i++) {
		const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
		uint32_t slot = placement_slot(&listed->object.id, listed->blocks[i]);

		if (!placement_owners(table, slot, owners)) {
			handover->error = -EHOSTUNREACH;
			break;
		}
		run_add(run, &owners[0]->id, listed->blocks[i]);
	}
	placement_release(handover->setup.placement, table);
	return i - from;
}

static void object_hand_over(struct handover *handover, const struct store_listed *listed)
{
	unsigned at = 0;

	while (at < listed->block_count && handover_tell(handover)) {
		struct run run;

		at += run_make(handover, listed, at, &run);
		for (unsigned i = 0; i < run.share_count && !handover->error; i++)
			handover_ask(handover, &run.shares[i].owner, run.object, run.first,
				     run.shares[i].bits);
	}
}

static void object_count(struct handover *handover, const struct store_listed *listed)
{
	for (unsigned i = 0; i < listed->block_count; i++)
		handover->now.total_bytes += object_block_len(
			listed->object.version.size, listed->blocks[i], handover->setup.block_len);
}

/* --- a pass */

static void pass_run(struct handover *handover,
		     void (*visit)(struct handover *handover, const struct store_listed *listed))
{
	const struct handover_setup *setup = &handover->setup;
	struct store_cursor cursor = { 0 };
	unsigned misreads = 0;
	int count;

	while (handover_tell(handover)) {
		count = setup->list(setup->context, &cursor, handover->page);
		if (count == 0)
			break;
		if (count < 0 && (count != -EIO || ++misreads == MISREADS_MAX)) {
			handover->error = count;
			break;
		}
		handover->damaged |= count < 0;
		handover->heard_ns = handover_now(handover);
		for (int i = 0; i < count; i++) {
			if (!handover->page->objects[i].obsolete)
				visit(handover, &handover->page->objects[i]);
		}
	}
	handover_asks_end(handover);
}

static uint64_t generation_of(struct placement *placement)
{
	const struct placement_table *table = placement_acquire(placement);
	uint64_t generation = placement_generation(table);

	placement_release(placement, table);
	return generation;
}

static void pass_begin(struct handover *handover)
{
	const struct peers_handover last = handover->now;

	handover->now = (struct peers_handover){
		.total_bytes = last.total_bytes,
		.brought_bytes = last.brought_bytes,
		.pass = last.pass + 1,
	};
	handover->silent_count = 0;
	handover->heard_ns = handover_now(handover);
}

static void pass_note(struct handover *handover)
{
	const struct peers_handover *now = &handover->now;

	log_info("peers.handover", "pass=%u bytes=%llu refused_blocks=%llu unanswered_blocks=%llu",
		 now->pass, (unsigned long long)now->bytes, (unsigned long long)now->refused_blocks,
		 (unsigned long long)now->unanswered_blocks);
	if (now->bytes > handover->best_bytes) {
		handover->best_bytes = now->bytes;
		handover->best_ns = handover_now(handover);
	}
}

static void pause_between(struct handover *handover)
{
	uint64_t until_ns = clock_after_ns(handover_now(handover), PASS_PAUSE_NS);

	while (handover_now(handover) < until_ns && handover_tell(handover)) {
		uint64_t wait_ns = clock_after_ns(clock_now_ns(clock_system()), TELL_NS);

		pthread_mutex_lock(&handover->lock);
		thread_cond_wait_until(&handover->changed, &handover->lock, wait_ns);
		pthread_mutex_unlock(&handover->lock);
	}
}

/* Whether another pass could do better than the one that is over; @last is the one before it. */
static bool is_over(struct handover *handover, const struct peers_handover *last,
		    bool owners_changed)
{
	const struct peers_handover *now = &handover->now;
	bool stuck = handover_now(handover) - handover->best_ns > HANDOVER_PATIENCE_NS;

	if (now->unanswered_blocks) {
		if (stuck)
			handover->error = -ETIMEDOUT;
		return stuck;
	}
	if (owners_changed && !stuck)
		return false;
	return !now->refused_blocks || stuck ||
	       (last->pass && !last->unanswered_blocks && now->bytes <= last->bytes);
}

static void passes_run(struct handover *handover)
{
	bool over = false;

	pass_run(handover, object_count);
	handover->best_ns = handover_now(handover);
	while (!over && !handover->error) {
		uint64_t generation = generation_of(handover->setup.placement);
		const struct peers_handover last = handover->now;
		bool changed;

		pass_begin(handover);
		pass_run(handover, object_hand_over);
		pass_note(handover);
		if (handover->error)
			break;
		changed = generation_of(handover->setup.placement) != generation;
		over = is_over(handover, &last, changed);
		if (!over && !changed)
			pause_between(handover);
	}
}

int handover_run(const struct handover_setup *setup, struct peers_handover *out)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	int error = -ENOMEM;

	*out = (struct peers_handover){ 0 };
	if (!handover)
		return error;
	handover->page = malloc(sizeof(*handover->page));
	if (!handover->page)
		goto free_handover;
	handover->setup = *setup;
	handover->heard_ns = handover_now(handover);
	pthread_mutex_init(&handover->lock, NULL);
	thread_cond_init(&handover->changed);
	passes_run(handover);
	*out = handover->now;
	error = handover->error;
	if (!error && handover->damaged)
		error = -EIO;
	pthread_cond_destroy(&handover->changed);
	pthread_mutex_destroy(&handover->lock);
	free(handover->page);
free_handover:
	free(handover);
	return error;
}

/*
 * reader_former.c - this node's own blocks: who had them before is asked, all at once.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/cache/peer/reader_rig.h"

static struct rig rig;

/* A newcomer among four old members: the second in the ranking had all that is this node's now. */
static struct rig_fixture newcomer = { &rig, { .owners = 4, .newcomer = true } };
/* All are new: nobody knows who has what. */
static struct rig_fixture young = { &rig, { .owners = 4, .newcomer = true, .newcomers = 4 } };
static struct rig_fixture old = { &rig, { .owners = 4 } };
static struct rig_fixture alone = { &rig, { .owners = 1, .alone = true, .newcomer = true } };
static struct rig_fixture unplaced = { &rig, { .owners = 1, .unplaced = true } };
static struct rig_fixture many = { &rig, { .owners = 6 } };

static uint64_t own_block(uint64_t from)
{
	return rig_block(&rig, from, 0, 1);
}

static void start(struct rig_fetch *fetch, uint64_t block)
{
	rig_fetch(&rig, fetch, block, 10 * NS_PER_S);
}

static void get(struct rig_fetch *fetch, uint64_t block)
{
	start(fetch, block);
	rig_wait(&rig, fetch);
}

static unsigned asked(void)
{
	unsigned count = 0;

	for (unsigned i = 1; i <= rig.owner_count; i++)
		count += rig.owners[i].stage_count;
	return count;
}

static void expect_missed(const struct rig_fetch *fetch)
{
	assert_int_equal(fetch->fetch.outcome, PEER_MISSED);
	assert_true(fetch->fetch.placed);
}

static void test_reader__own_block_of_an_old_member__misses_at_once(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	start(&fetch, own_block(0));
	assert_int_equal(fetch.calls, 0);
	assert_true(reader_tick(rig.reader) > 0);
	assert_int_equal(fetch.calls, 1);
	expect_missed(&fetch);
	assert_int_equal(asked(), 0);
}

/* It knows others, and does not know yet that they store. */
static void test_reader__nothing_placed_yet__waits_for_it_and_asks(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;
	uint64_t block;

	(void)state;
	rig_place(&rig, &(struct rig_plan){ .newcomer = true });
	block = own_block(0);
	rig_place(&rig, &(struct rig_plan){ .alone = true, .newcomer = true });
	rig_hold(owner, block);
	start(&fetch, block);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(fetch.calls, 0);
	rig_place(&rig, &(struct rig_plan){ .newcomer = true });
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_true(fetch.right);
}

static void test_reader__others_never_store__waits_for_that_only_once(void **state)
{
	struct rig_fetch fetch;
	uint64_t begun_ns;

	(void)state;
	rig_fetch(&rig, &fetch, 7, 60 * NS_PER_S);
	rig_wait(&rig, &fetch);
	expect_missed(&fetch);
	begun_ns = clock_now_ns(&rig.clock.clock);
	get(&fetch, 8);
	expect_missed(&fetch);
	assert_true(fetch.done_ns - begun_ns < 100 * NS_PER_MS);
	assert_int_equal(asked(), 0);
}

/* It does not know anybody either, and by and by works out that it is alone. */
static void test_reader__first_placement_names_this_node_only__goes_on_at_once(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 1)->id);
	rig_fetch(&rig, &fetch, 7, 60 * NS_PER_S);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(fetch.calls, 0);
	rig_place(&rig, &(struct rig_plan){ .alone = true });
	reader_tick(rig.reader);
	assert_int_equal(fetch.calls, 1);
	expect_missed(&fetch);
}

static void test_reader__first_placement_names_others__asks_them(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	rig_fetch(&rig, &fetch, 7, 60 * NS_PER_S);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(fetch.calls, 0);
	rig_place(&rig, &(struct rig_plan){ .guest = true });
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 1)->stage_count, 1);
}

/* Ten seconds from the start, or half of the time that there is. */
static void test_reader__nothing_ever_placed__waits_for_that_only_so_long(void **state)
{
	uint64_t begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	rig_fetch(&rig, &fetch, 7, 4 * NS_PER_S);
	rig_wait(&rig, &fetch);
	expect_missed(&fetch);
	assert_in_range(fetch.done_ns - begun_ns, 2 * NS_PER_S, 2200 * NS_PER_MS);
	rig_run(&rig, 3 * NS_PER_S);
	rig_fetch(&rig, &fetch, 8, 60 * NS_PER_S);
	rig_wait(&rig, &fetch);
	expect_missed(&fetch);
	assert_in_range(fetch.done_ns - begun_ns, 10 * NS_PER_S, 10200 * NS_PER_MS);
	begun_ns = rig_now(&rig);
	rig_fetch(&rig, &fetch, 9, 60 * NS_PER_S);
	rig_wait(&rig, &fetch);
	expect_missed(&fetch);
	assert_true(fetch.done_ns - begun_ns < 100 * NS_PER_MS);
}

static void test_reader__nobody_stores__misses_placed_here(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	rig.placement_changed = true;
	assert_int_equal(placement_update(rig.placement, NULL, 0, NULL), 0);
	get(&fetch, 7);
	expect_missed(&fetch);
}

static void test_reader__newcomers_block__comes_from_who_had_it(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_true(fetch.fetch.placed);
	assert_int_equal(asked(), 1);
	assert_int_equal(owner->log[0].flags, PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	assert_int_equal(rig_count(&rig, PEERS_FROM_FORMER), 1);
	rig_wait_count(&rig, &owner->release_count, 1);
}

/* --- members that leave */

static void leave(unsigned number)
{
	neighbours_leaving(rig.neighbours, &rig_owner(&rig, number)->id, UINT64_C(1) << 30);
}

static void test_reader__member_leaves__is_asked_for_what_is_ours_now(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 3);
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	leave(3);
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_true(fetch.fetch.placed);
	assert_int_equal(asked(), 1);
	assert_int_equal(owner->log[0].flags, PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	/* it has changed its mind, or is gone */
	neighbours_leaving(rig.neighbours, &owner->id, 0);
	get(&fetch, own_block(block + 1));
	expect_missed(&fetch);
	leave(3);
	neighbours_remove(rig.neighbours, &owner->id);
	get(&fetch, own_block(block + 2));
	expect_missed(&fetch);
	assert_int_equal(asked(), 1);
}

static void test_reader__served_block__leaving_member_is_asked_too(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 2);
	struct rig_fetch fetch;
	uint64_t block;

	(void)state;
	/* somebody else's, for whom a peer takes us: only what is LOCAL may be asked */
	block = rig_block(&rig, 0, 4, 0);
	rig_hold(owner, block);
	leave(2);
	rig_fetch_served(&rig, &fetch, block, 10 * NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(owner->stage_count, 1);
	assert_int_equal(owner->log[0].flags, PEER_STAGE_LOCAL | PEER_STAGE_HERE);
}

static void test_reader__leaving_member_in_the_ranking__is_asked_once(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	leave(1);
	get(&fetch, own_block(0));
	expect_missed(&fetch);
	assert_int_equal(rig_owner(&rig, 1)->stage_count, 1);
	assert_int_equal(asked(), 1);
}

static void test_reader__many_leave__as_many_as_four_are_asked(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	for (unsigned i = 1; i <= 6; i++)
		leave(i);
	get(&fetch, own_block(0));
	expect_missed(&fetch);
	assert_int_equal(asked(), 4);
}

static void test_reader__leaving_member_busy__is_waited_for(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	leave(1);
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 20 };
	owner->refusals = 40;
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(owner->stage_count, 41);
}

static void test_reader__nobody_has_it__misses(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	get(&fetch, own_block(0));
	expect_missed(&fetch);
	assert_int_equal(asked(), 1); /* an old member ends the row */
}

static void test_reader__all_young__all_are_asked_at_once(void **state)
{
	uint64_t begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	get(&fetch, own_block(0));
	expect_missed(&fetch);
	assert_int_equal(asked(), 4);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 2 * NS_PER_MS);
}

static void test_reader__several_have_it__first_wins_others_are_cancelled(void **state)
{
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		rig_hold(rig_owner(&rig, i), block);
		rig_owner(&rig, i)->work_ns = 150 * NS_PER_MS * i;
	}
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(rig_owner(&rig, 1)->release_count, 1);
	assert_int_equal(rig_owner(&rig, 1)->cancel_count, 0);
	for (unsigned i = 2; i <= 3; i++)
		assert_int_equal(rig_owner(&rig, i)->cancel_count, 1);
	assert_int_equal(rig_reads(&rig), 1);
}

/* The answer crosses the CANCEL: it is given back. */
static void test_reader__two_at_the_same_time__one_is_released(void **state)
{
	uint64_t block = own_block(0);
	struct rig_fetch fetch;
	unsigned released = 0;

	(void)state;
	for (unsigned i = 1; i <= 4; i++)
		rig_hold(rig_owner(&rig, i), block);
	get(&fetch, block);
	rig_run(&rig, NS_PER_S);
	for (unsigned i = 1; i <= 4; i++)
		released += rig_owner(&rig, i)->release_count;
	assert_int_equal(released, 4);
	assert_int_equal(rig_reads(&rig), 1);
	assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 0);
}

static void test_reader__one_silent_others_absent__misses_after_silence(void **state)
{
	uint64_t begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	rig_owner(&rig, 3)->silent = true;
	get(&fetch, own_block(0));
	expect_missed(&fetch);
	assert_in_range(rig_now(&rig) - begun_ns, RIG_SILENCE_NS, RIG_SILENCE_NS + 5 * NS_PER_MS);
	assert_int_equal(rig.evidence[3], 1);
	rig_wait_count(&rig, &rig_owner(&rig, 3)->cancel_count, 1);
}

static void test_reader__one_silent_another_has_it__does_not_wait(void **state)
{
	uint64_t block = own_block(0), begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	rig_owner(&rig, 1)->silent = true;
	rig_hold(rig_owner(&rig, 4), block);
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 5 * NS_PER_MS);
}

static void test_reader__former_slow_at_its_ssd__is_waited_for(void **state)
{
	uint64_t block = own_block(0), begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(rig_owner(&rig, 2), block);
	rig_owner(&rig, 2)->work_ns = 3 * NS_PER_S;
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_true(rig_now(&rig) - begun_ns >= 3 * NS_PER_S);
}

static void test_reader__former_busy__again_but_not_for_ever(void **state)
{
	uint64_t block = own_block(0);
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 20 };
	owner->refusals = 3;
	get(&fetch, block);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	owner->refusals = 1000;
	get(&fetch, own_block(block + 1));
	expect_missed(&fetch);
	assert_int_equal(owner->stage_count, 4 + 5);
}

/* What only who asks the backing store can know, or says nothing about the block. */
static void test_reader__former_refuses_oddly__misses(void **state)
{
	static const enum peer_refusal rows[] = { PEER_STALE,	PEER_GONE,    PEER_DENIED,
						  PEER_IO,	PEER_LATE,    PEER_REFERRED,
						  PEER_UNKNOWN, PEER_STOPPING };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_owner *owner = rig_owner(&rig, 1);
		struct rig_fetch fetch;

		owner->refusals = 1;
		owner->refusal = (struct peer_refused){ .why = rows[i] };
		owner->refusal.holder_count = rows[i] == PEER_REFERRED;
		owner->refusal.holders[0] = rig_owner(&rig, 2)->id;
		get(&fetch, own_block(UINT64_C(100) * i));
		expect_missed(&fetch);
		assert_int_equal(asked(), i + 1);
	}
}

static bool twist_checks(struct rig_owner *owner, struct peer_message *message)
{
	(void)owner;
	if (message->kind == PEER_STAGED)
		message->staged.checks[1] ^= 1;
	return true;
}

static void test_reader__former_wrong__again_then_pushed_then_missed(void **state)
{
	static const unsigned rows[] = { 1, 2, 1000000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_owner *owner = rig_owner(&rig, 1);
		uint64_t block = own_block(UINT64_C(100) * i);
		struct rig_fetch fetch;

		rig_hold(owner, block);
		owner->twist = twist_checks;
		owner->twists = rows[i];
		get(&fetch, block);
		assert_true(fetch.fetch.placed);
		assert_int_equal(fetch.fetch.outcome, i == 2 ? PEER_MISSED : PEER_FETCHED);
		assert_int_equal(rig_count(&rig, PEERS_PUSHED), i > 0);
		for (unsigned j = 0; j < owner->stage_count; j++)
			assert_true(owner->log[j].flags & PEER_STAGE_LOCAL);
	}
}

static void test_reader__former_memory_rotten__misses(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	owner->rotten_stages = 1;
	get(&fetch, block);
	expect_missed(&fetch);
	assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), 3);
}

static void test_reader__former_removed__misses_or_goes_on(void **state)
{
	uint64_t block = own_block(0);
	struct rig_fetch fetch;

	(void)state;
	for (unsigned i = 1; i <= 4; i++)
		rig_owner(&rig, i)->work_ns = 300 * NS_PER_MS;
	rig_hold(rig_owner(&rig, 4), block);
	start(&fetch, block);
	rig_run(&rig, 100 * NS_PER_MS);
	for (unsigned i = 1; i <= 3; i++)
		neighbours_remove(rig.neighbours, &rig_owner(&rig, i)->id);
	rig_run(&rig, 100 * NS_PER_MS);
	assert_int_equal(fetch.calls, 0);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	start(&fetch, own_block(block + 1));
	rig_run(&rig, 100 * NS_PER_MS);
	assert_int_equal(fetch.calls, 0);
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 4)->id);
	rig_run(&rig, NS_PER_MS);
	assert_int_equal(fetch.calls, 1);
	expect_missed(&fetch);
}

static void test_reader__winner_gone_while_it_is_read__misses(void **state)
{
	uint64_t block = own_block(0);
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, block);
	rig.faults.stall_per_mille = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	start(&fetch, block);
	rig_run(&rig, 50 * NS_PER_MS);
	assert_int_equal(rig_reads(&rig), 1);
	neighbours_remove(rig.neighbours, &owner->id);
	rig_run(&rig, 5 * NS_PER_MS);
	assert_int_equal(fetch.calls, 1);
	expect_missed(&fetch);
}

static void test_reader__all_unusable__misses_at_once(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	neighbours_restarting(rig.neighbours, &rig_owner(&rig, 1)->id,
			      rig_now(&rig) + 60 * NS_PER_S);
	for (unsigned i = 2; i <= 4; i++)
		neighbours_remove(rig.neighbours, &rig_owner(&rig, i)->id);
	start(&fetch, own_block(0));
	rig_step(&rig);
	assert_int_equal(fetch.calls, 1);
	expect_missed(&fetch);
	assert_int_equal(asked(), 0);
}

#define FORMER_TEST(test)   RIG_TEST(&newcomer, test)
#define YOUNG_TEST(test)    RIG_TEST(&young, test)
#define OLD_TEST(test)	    RIG_TEST(&old, test)
#define ALONE_TEST(test)    RIG_TEST(&alone, test)
#define UNPLACED_TEST(test) RIG_TEST(&unplaced, test)
#define MANY_TEST(test)	    RIG_TEST(&many, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD_TEST(test_reader__own_block_of_an_old_member__misses_at_once),
		ALONE_TEST(test_reader__nothing_placed_yet__waits_for_it_and_asks),
		ALONE_TEST(test_reader__others_never_store__waits_for_that_only_once),
		UNPLACED_TEST(test_reader__first_placement_names_this_node_only__goes_on_at_once),
		UNPLACED_TEST(test_reader__first_placement_names_others__asks_them),
		UNPLACED_TEST(test_reader__nothing_ever_placed__waits_for_that_only_so_long),
		ALONE_TEST(test_reader__nobody_stores__misses_placed_here),
		FORMER_TEST(test_reader__newcomers_block__comes_from_who_had_it),
		OLD_TEST(test_reader__member_leaves__is_asked_for_what_is_ours_now),
		MANY_TEST(test_reader__served_block__leaving_member_is_asked_too),
		FORMER_TEST(test_reader__leaving_member_in_the_ranking__is_asked_once),
		MANY_TEST(test_reader__many_leave__as_many_as_four_are_asked),
		OLD_TEST(test_reader__leaving_member_busy__is_waited_for),
		FORMER_TEST(test_reader__nobody_has_it__misses),
		YOUNG_TEST(test_reader__all_young__all_are_asked_at_once),
		YOUNG_TEST(test_reader__several_have_it__first_wins_others_are_cancelled),
		YOUNG_TEST(test_reader__two_at_the_same_time__one_is_released),
		YOUNG_TEST(test_reader__one_silent_others_absent__misses_after_silence),
		YOUNG_TEST(test_reader__one_silent_another_has_it__does_not_wait),
		YOUNG_TEST(test_reader__former_slow_at_its_ssd__is_waited_for),
		FORMER_TEST(test_reader__former_busy__again_but_not_for_ever),
		FORMER_TEST(test_reader__former_refuses_oddly__misses),
		FORMER_TEST(test_reader__former_wrong__again_then_pushed_then_missed),
		FORMER_TEST(test_reader__former_memory_rotten__misses),
		YOUNG_TEST(test_reader__former_removed__misses_or_goes_on),
		FORMER_TEST(test_reader__winner_gone_while_it_is_read__misses),
		YOUNG_TEST(test_reader__all_unusable__misses_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * owner_queue.c - whose turn it is: stages, bytes and places to wait are bounded, shared fairly
 * among peers, and LOCAL requests have theirs.
 *
 * With the rig's config: 6 stages at once and 48 places to wait, 12 of them one reader's; 24 blocks
 * may be leased, 6 of them to one reader. LOCAL: 2, 16, 4; 8 and 2.
 */
#include "cache/peer/owner.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/cache/peer/owner_rig.h"

static int setup(void **state)
{
	struct peers_config config = rig_config();

	*state = rig_create(&config, 4096, 6);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static void test_owner_message__more_than_stages_max__wait_their_turn(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < 12; i++)
		rig_ask(reader, GRANULE(i), 0);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 6);
	for (unsigned i = 0; i < 12; i++) {
		rig_stage_unit(rig, GRANULE(i)); /* in the order of asking */
		assert_int_equal(rig_expect(reader, PEER_STAGED)->staged.request, i + 1);
		rig_release(reader, i + 1);
		rig_settle(rig);
		assert_int_equal(rig_staging(rig), i < 6 ? 6 : 11 - i);
	}
	assert_true(owner_is_idle(rig->owner));
	assert_int_equal(rig->staging_max_seen, 6);
}

static void test_owner_message__queue_full__busy_with_a_time(void **state)
{
	struct rig *rig = *state;

	for (unsigned r = 1; r <= 5; r++) {
		for (unsigned i = 0; i < 14; i++)
			rig_ask(&rig->readers[r], GRANULE(r * 13 + i), 0);
		rig_settle(rig);
		/* the first has 6 staging; then everyone's share of the queue, or what is left */
		for (unsigned refused = r == 1 ? 0 : r < 5 ? 2 : 10; refused > 0; refused--) {
			const struct peer_refused *busy =
				&rig_expect(&rig->readers[r], PEER_REFUSED)->refused;

			assert_int_equal(busy->why, PEER_BUSY);
			assert_in_range(busy->retry_ms, 30, 200);
		}
	}
	assert_int_equal(rig_count(rig, PEERS_STAGE_REFUSED), 16);
}

static void test_owner_message__queue_of_none__busy_at_once(void **state)
{
	struct peers_config config = rig_config();
	struct rig *rig;

	teardown(state);
	config.queue_max = 0;
	config.stages_max = 1; /* and one LOCAL one */
	*state = rig = rig_create(&config, 64, 1);
	rig->config.stages_max = 4; /* what the rig checks; the owner has taken the other */
	rig_ask(&rig->readers[1], BLOCK(1), 0);
	rig_ask(&rig->readers[1], BLOCK(2), 0);
	rig_ask(&rig->readers[1], BLOCK(3), PEER_STAGE_LOCAL);
	rig_ask(&rig->readers[1], BLOCK(4), PEER_STAGE_LOCAL);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 2);
	rig_expect_refused(&rig->readers[1], 2, PEER_BUSY);
	rig_expect_refused(&rig->readers[1], 4, PEER_BUSY);
}

static void test_owner_tick__queued__working_and_late_at_its_deadline(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < 6; i++)
		rig_ask(&rig->readers[2], GRANULE(i), 0);
	rig_settle(rig);
	rig_ask_for(reader, 7, GRANULE(10), 0, 450);
	rig_run(rig, 4 * PEER_WORKING_NS + PEER_WORKING_NS / 2);
	assert_int_equal(reader->working, 4);
	rig_expect_nothing(reader);
	rig_run(rig, PEER_WORKING_NS);
	rig_expect_refused(reader, 7, PEER_LATE);
	assert_int_equal(reader->working, 4);
	assert_null(rig_stage_of(rig, GRANULE(10)));
}

/* One has filled its queue when another comes with a little. */
static void test_owner_message__greedy_peer__others_take_turns(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *greedy = &rig->readers[1], *modest = &rig->readers[2];
	unsigned ended = 0;

	for (unsigned i = 0; i < 18; i++)
		rig_ask(greedy, GRANULE(i), 0);
	rig_settle(rig);
	for (unsigned i = 0; i < 3; i++)
		rig_ask(modest, GRANULE(40 + i), 0);
	rig_settle(rig);
	/* of each two that end, one makes room for him */
	for (unsigned i = 0; i < 6; i++, ended++) {
		rig_stage_unit(rig, GRANULE(i));
		rig_release(greedy, i + 1);
		rig_settle(rig);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(rig_stage_of(rig, GRANULE(40 + i)));
		assert_non_null(rig_stage_of(rig, GRANULE(6 + i)));
	}
	assert_null(rig_stage_of(rig, GRANULE(9)));
	assert_int_equal(ended, 6);
}

static void test_owner_message__share_of_bytes_taken__others_go_by(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *greedy = &rig->readers[1], *modest = &rig->readers[2];
	uint64_t waits;

	for (unsigned i = 0; i < 6; i++)
		rig_staged(greedy, BLOCK(i), 0);
	waits = rig_ask(greedy, BLOCK(6), 0);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	rig_release(modest, rig_staged(modest, BLOCK(7), 0)); /* is not held up, nor of any use */
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	rig_release(greedy, 3);
	rig_settle(rig);
	rig_stage_unit(rig, BLOCK(6));
	assert_int_equal(rig_expect(greedy, PEER_STAGED)->staged.request, waits);
}

static void test_owner_message__half_the_arena_leased__waits_for_a_release(void **state)
{
	struct rig *rig = *state;
	uint64_t waits, of_leased;

	for (unsigned r = 1; r <= 4; r++)
		for (unsigned i = 0; i < 6; i++)
			rig_staged(&rig->readers[r], BLOCK(6 * (r - 1) + i), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), 24 * RIG_BLOCK_LEN);
	/* one that is held anyway costs nothing */
	of_leased = rig_ask(&rig->readers[5], BLOCK(3), 0);
	rig_settle(rig);
	rig_stage_unit(rig, BLOCK(3));
	assert_int_equal(rig_expect(&rig->readers[5], PEER_STAGED)->staged.request, of_leased);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), 24 * RIG_BLOCK_LEN);
	waits = rig_ask(&rig->readers[5], BLOCK(30), 0);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	/* a small one behind it does not go by */
	rig_ask(&rig->readers[6], GRANULE(79), 0);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	rig_release(&rig->readers[1], 1);
	rig_settle(rig);
	rig_stage_unit(rig, BLOCK(30));
	assert_int_equal(rig_expect(&rig->readers[5], PEER_STAGED)->staged.request, waits);
	assert_null(rig_stage_of(rig, GRANULE(79)));
	rig_release(&rig->readers[2], 1);
	rig_settle(rig);
	rig_stage_unit(rig, GRANULE(79));
	/* all of them end with their time */
	rig_run(rig, rig->config.lease);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), 0);
}

/* All of what non-LOCAL requests can take is taken: stages, bytes, places to wait. */
static void test_owner_message__local__waits_for_no_other(void **state)
{
	struct rig *rig = *state;

	for (unsigned r = 1; r <= 4; r++)
		for (unsigned i = 0; i < 6; i++)
			rig_staged(&rig->readers[r], BLOCK(6 * (r - 1) + i), 0);
	for (unsigned i = 0; i < 60; i++)
		rig_ask(&rig->readers[1 + i % 4], GRANULE(60 + i / 4), 0);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_STAGE_REFUSED), 12);
	for (unsigned r = 1; r <= 4; r++) {
		for (unsigned i = 0; i < 3; i++)
			rig_expect(&rig->readers[r], PEER_REFUSED);
		rig_staged(&rig->readers[r], BLOCK(24 + 2 * r), PEER_STAGE_LOCAL);
		rig_staged(&rig->readers[r], BLOCK(25 + 2 * r), PEER_STAGE_LOCAL);
	}
	/* theirs are bounded too */
	rig_ask(&rig->readers[5], BLOCK(34), PEER_STAGE_LOCAL);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), RIG_ARENA_LEN / 2);
}

static void test_owner_message__stages_taken__local_has_its_own(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 10; i++)
		rig_ask(&rig->readers[1], GRANULE(i), 0);
	for (unsigned i = 0; i < 4; i++)
		rig_ask(&rig->readers[1], GRANULE(20 + i), PEER_STAGE_LOCAL);
	rig_settle(rig);
	assert_int_equal(rig_staging(rig), 8);
	assert_non_null(rig_stage_of(rig, GRANULE(20)));
	assert_non_null(rig_stage_of(rig, GRANULE(21)));
	rig_stage_end(rig, rig_stage_of(rig, GRANULE(20)), -ENOENT);
	assert_non_null(rig_stage_of(rig, GRANULE(22)));
	assert_null(rig_stage_of(rig, GRANULE(6)));
}

/* What was given up and is still being staged counts until the cache is done with it. */
static void test_owner_message__cancelled_while_staging__keeps_its_stage(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < 7; i++)
		rig_ask(reader, GRANULE(i), 0);
	rig_settle(rig);
	rig_cancel(reader, 1);
	rig_settle(rig);
	assert_null(rig_stage_of(rig, GRANULE(6)));
	rig_stage_end(rig, rig_stage_of(rig, GRANULE(0)), 0); /* it was faster than the cancel */
	assert_int_equal(rig_lent(rig), 0);
	assert_non_null(rig_stage_of(rig, GRANULE(6)));
}

/* ... but not as its asker's any more. */
static void test_owner_message__cancelled_while_staging__share_free_again(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < 6; i++)
		rig_ask(reader, BLOCK(i), 0);
	rig_settle(rig);
	for (unsigned i = 0; i < 6; i++)
		rig_cancel(reader, i + 1);
	rig_settle(rig);
	for (unsigned i = 0; i < 6; i++)
		rig_stage_end(rig, rig_stage_of(rig, BLOCK(i)), -ECANCELED);
	for (unsigned i = 0; i < 6; i++)
		rig_staged(reader, BLOCK(10 + i), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES), 6);
}

static void test_owner_message__request_limit__busy(void **state)
{
	struct peers_config config = rig_config();
	struct rig_reader *reader;
	struct rig *rig;

	teardown(state);
	config.queue_max = 1 << 20;
	*state = rig = rig_create(&config, 4096, 1);
	reader = &rig->readers[1];
	for (unsigned i = 0; i < 4096; i++) {
		rig_ask(reader, GRANULE(i % 80), 0);
		if (i % 64 == 63)
			rig_settle(rig);
	}
	rig_expect_nothing(reader);
	rig_ask(reader, GRANULE(1), 0);
	rig_settle(rig);
	rig_expect_refused(reader, 4097, PEER_BUSY);
	rig_ask(reader, GRANULE(1), PEER_STAGE_LOCAL);
	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, GRANULE(1)), -ENOENT); /* an older one */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_message__more_than_stages_max__wait_their_turn),
		TEST(test_owner_message__queue_full__busy_with_a_time),
		TEST(test_owner_message__queue_of_none__busy_at_once),
		TEST(test_owner_tick__queued__working_and_late_at_its_deadline),
		TEST(test_owner_message__greedy_peer__others_take_turns),
		TEST(test_owner_message__share_of_bytes_taken__others_go_by),
		TEST(test_owner_message__half_the_arena_leased__waits_for_a_release),
		TEST(test_owner_message__local__waits_for_no_other),
		TEST(test_owner_message__stages_taken__local_has_its_own),
		TEST(test_owner_message__cancelled_while_staging__keeps_its_stage),
		TEST(test_owner_message__cancelled_while_staging__share_free_again),
		TEST(test_owner_message__request_limit__busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

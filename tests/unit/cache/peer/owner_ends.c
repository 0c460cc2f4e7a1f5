/*
 * owner_ends.c - what ends a request early, in each state that it can be in: its reader gives it
 * up, the connection breaks, the owner stops.
 */
#include "cache/peer/owner.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/cache/peer/owner_rig.h"

static struct rig *rig_of(void **state)
{
	return *state;
}

static int setup(void **state)
{
	struct peers_config config = rig_config();

	*state = rig_create(&config, 1024, 3);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

/* The states that one can be in when something ends it. */
enum phase {
	QUEUED,
	STAGING,
	DONE_UNTOLD, /* the cache is done with it, and that is on its way to the owner */
	PUSHING,
	LEASED,
	PHASE_COUNT,
};

/* Fills the reader's share of bytes, so that what it asks for next waits. */
static void fill_share(struct rig_reader *reader)
{
	for (unsigned i = 0; i < 6; i++)
		rig_staged(reader, BLOCK(20 + i), 0);
}

/* A request for BLOCK(1) in that phase. */
static uint64_t bring_to(struct rig *rig, struct rig_reader *reader, enum phase phase)
{
	uint64_t request;

	if (phase == QUEUED)
		fill_share(reader);
	request = rig_ask(reader, BLOCK(1), phase == PUSHING ? PEER_STAGE_PUSH : 0);
	rig_settle(rig);
	assert_int_equal(!rig_stage_of(rig, BLOCK(1)), phase == QUEUED);
	if (phase == PUSHING)
		rig_stage_end(rig, rig_stage_of(rig, BLOCK(1)), 0); /* not a piece has left */
	if (phase == LEASED) {
		rig_stage_unit(rig, BLOCK(1));
		rig_expect(reader, PEER_STAGED);
	}
	return request;
}

/* What was staging ends as the cache does. */
static void end_staging(struct rig *rig, enum phase phase)
{
	struct rig_stage *stage = rig_stage_of(rig, BLOCK(1));

	if (phase != STAGING && phase != DONE_UNTOLD) {
		assert_null(stage);
		return;
	}
	assert_non_null(stage);
	assert_true(stage->cancelled);
	assert_false(owner_is_idle(rig->owner));
	rig_stage_end(rig, stage, phase == STAGING ? -ECANCELED : 0);
}

static void test_owner_message__cancel__ends_it_in_any_phase(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_reader *reader = &rig->readers[1];

	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		uint64_t request = bring_to(rig, reader, phase);
		unsigned lent = phase == QUEUED ? 6 : 0;

		rig_cancel(reader, request);
		rig_settle(rig);
		end_staging(rig, phase);
		rig_run(rig, NS_PER_S);
		if (reader->pushed_request != request)
			rig_expect_nothing(reader);
		else
			reader->inbox_first = reader->inbox_end; /* all had gone before it came */
		assert_int_equal(rig_lent(rig), lent);
		/* the number is free again */
		if (phase == QUEUED) {
			for (uint64_t i = 1; i < request; i++)
				rig_release(reader, i);
			rig_settle(rig);
		}
		rig_ask_for(reader, request, BLOCK(2), 0, 1000);
		rig_settle(rig);
		rig_stage_unit(rig, BLOCK(2));
		assert_int_equal(rig_expect(reader, PEER_STAGED)->staged.request, request);
		rig_release(reader, request);
		rig_settle(rig);
		assert_true(owner_is_idle(rig->owner));
	}
	assert_int_equal(rig_count(rig, PEERS_MALFORMED), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), 0);
}

static void test_owner_message__release_before_staged__gives_up(void **state)
{
	struct rig *rig = rig_of(state);
	uint64_t request = bring_to(rig, &rig->readers[1], STAGING);

	rig_release(&rig->readers[1], request);
	rig_settle(rig);
	end_staging(rig, STAGING);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_down__any_phase__ends_all_of_it(void **state)
{
	for (unsigned i = 0; i < 3 * (unsigned)PHASE_COUNT; i++) {
		enum phase phase = i % PHASE_COUNT;
		struct rig *rig = rig_of(state);
		uint64_t other = rig_staged(&rig->readers[2], BLOCK(30), 0);

		bring_to(rig, &rig->readers[1], phase);
		if (i < PHASE_COUNT) {
			rig_reader_kill(rig, 1);
		} else if (i < 2 * (unsigned)PHASE_COUNT) {
			loop_cut_node(rig->network, 1, true);
			/* who has a word for it finds out; this one has, in any phase */
			transport_peer_disconnect(rig->readers[1].owner);
		} else {
			transport_peer_disconnect(rig->passive[1]);
		}
		rig_run(rig, 50 * NS_PER_MS);
		assert_null(rig->passive[1]);
		end_staging(rig, phase);
		assert_int_equal(rig_lent(rig), 1); /* the other's */
		rig_release(&rig->readers[2], other);
		rig_settle(rig);
		assert_true(owner_is_idle(rig->owner));
		teardown(state);
		setup(state);
	}
}

static void test_owner_down__cut_while_working__noticed_and_ended(void **state)
{
	struct rig *rig = rig_of(state);

	bring_to(rig, &rig->readers[1], STAGING);
	loop_cut_node(rig->network, 1, true);
	rig_run(rig, PEER_WORKING_NS + 100 * NS_PER_MS);
	/* the reader's half breaks first; the owner's lease would end by itself if it never heard
	 */
	loop_cut_node(rig->network, 1, false);
	rig_run(rig, 10 * NS_PER_S);
	assert_null(rig->passive[1]);
	end_staging(rig, STAGING);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_down__nobody_who_asked__harmless(void **state)
{
	struct rig *rig = rig_of(state);

	owner_down(rig->owner, rig->passive[3]);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_stop__any_phase__refused_and_given_back(void **state)
{
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		struct rig *rig = rig_of(state);
		struct rig_reader *reader = &rig->readers[1];
		uint64_t request = bring_to(rig, reader, phase), late;

		owner_stop(rig->owner);
		rig_check(rig);
		end_staging(rig, phase);
		assert_int_equal(rig_lent(rig), 0);
		assert_true(owner_is_idle(rig->owner));
		rig_settle(rig);
		if (phase != LEASED)
			rig_expect_refused(reader, request, PEER_STOPPING);
		late = rig_ask(reader, BLOCK(2), 0);
		rig_release(reader, request);
		rig_settle(rig);
		rig_expect_refused(reader, late, PEER_STOPPING);
		rig_expect_nothing(reader);
		assert_int_equal(owner_tick(rig->owner), CLOCK_NEVER);
		teardown(state);
		setup(state);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_message__cancel__ends_it_in_any_phase),
		TEST(test_owner_message__release_before_staged__gives_up),
		TEST(test_owner_down__any_phase__ends_all_of_it),
		TEST(test_owner_down__cut_while_working__noticed_and_ended),
		TEST(test_owner_down__nobody_who_asked__harmless),
		TEST(test_owner_stop__any_phase__refused_and_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of view.c: limits, forgetting, digest, order.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

static void test_view__when_full__refuses_and_counts(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, RIG_MEMBERS);
	rig_say(&rig, SWIM_RUMOR_ALIVE, RIG_MEMBERS, 1, SWIM_NOBODY);
	rig_say(&rig, SWIM_RUMOR_ALIVE, SWIM_NOBODY, 1, SWIM_NOBODY);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.members_refused, 2);
	assert_int_equal(stats.alive, RIG_MEMBERS);
	assert_int_equal(swim_state(rig.swim, RIG_MEMBERS), SWIM_NONE);
	assert_int_equal(rig.adopted_count, 0);
	rig_stop(&rig);
}

static void test_dead__after_their_time__are_forgotten(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.config.dead_keep = 120 * S;
	rig_start(&rig, 20);
	rig_say(&rig, SWIM_RUMOR_DEAD, 3, 1, 2);
	rig_say(&rig, SWIM_RUMOR_LEFT, 4, 1, SWIM_NOBODY);
	rig_run(&rig, 110 * S);
	assert_int_equal(rig.forgotten_count, 0);
	rig_run(&rig, 25 * S);
	assert_int_equal(rig.forgotten_count, 2);
	assert_int_equal(swim_state(rig.swim, 3), SWIM_NONE);
	assert_int_equal(swim_state(rig.swim, 4), SWIM_NONE);
	/* the index is another member's now */
	rig_say(&rig, SWIM_RUMOR_ALIVE, 3, 9, SWIM_NOBODY);
	assert_int_equal(swim_state(rig.swim, 3), SWIM_ALIVE);
	rig_run(&rig, 40 * S);
	assert_non_null(rig_find(&rig, SWIM_PING, 3));
	rig_stop(&rig);
}

static void test_dead__when_it_is_crowded__are_forgotten_sooner(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, RIG_MEMBERS);
	for (uint32_t i = 40; i < RIG_MEMBERS; i++)
		rig_say(&rig, SWIM_RUMOR_DEAD, i, 1, 2);
	rig_run(&rig, 300 * S); /* not so soon that echoes could raise them */
	assert_int_equal(rig.forgotten_count, 0);
	rig_forget_sent(&rig);
	rig_run(&rig, 320 * S);
	assert_int_equal(rig.forgotten_count, RIG_MEMBERS / 8);
	rig_stop(&rig);
}

static void test_digest__of_equal_views__is_equal(void **state)
{
	struct rig one, two;

	(void)state;
	rig_init(&one);
	rig_start(&one, 10);
	rig_init(&two);
	two.setup.self = 3;
	assert_int_equal(swim_create(&two.config, &two.setup, two.now, &two.swim), 0);
	for (uint32_t i = 10; i-- > 0;) {
		struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, i, 1, SWIM_NOBODY);

		swim_merge(two.swim, 1, &rumor, two.now);
	}
	assert_int_equal(swim_digest(one.swim), swim_digest(two.swim));
	/* what is told of the living differs ... */
	rig_say(&one, SWIM_RUMOR_SUSPECT, 5, 1, 2);
	assert_int_not_equal(swim_digest(one.swim), swim_digest(two.swim));
	rig_say(&one, SWIM_RUMOR_ALIVE, 5, 2, SWIM_NOBODY);
	assert_int_not_equal(swim_digest(one.swim), swim_digest(two.swim));
	/* ... and here its details are missing */
	rig_say(&two, SWIM_RUMOR_SUSPECT, 5, 2, 2);
	rig_say(&one, SWIM_RUMOR_SUSPECT, 5, 2, 2);
	assert_int_not_equal(swim_digest(one.swim), swim_digest(two.swim));
	rig_say(&two, SWIM_RUMOR_ALIVE, 5, 2, SWIM_NOBODY);
	assert_int_equal(swim_digest(one.swim), swim_digest(two.swim));
	/* of the dead the two need not agree */
	rig_say(&one, SWIM_RUMOR_DEAD, 5, 2, 2);
	rig_say(&two, SWIM_RUMOR_LEFT, 5, 2, SWIM_NOBODY);
	assert_int_equal(swim_digest(one.swim), swim_digest(two.swim));
	rig_stop(&one);
	rig_stop(&two);
}

static void test_view__walked__has_each_member_once(void **state)
{
	struct swim_rumor rumor;
	uint32_t cursor = 0, seen = 0;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 10);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 40, 6, SWIM_NOBODY);
	while (swim_view_next(rig.swim, rig.now, &cursor, &rumor)) {
		seen++;
		assert_int_equal(rumor.kind, SWIM_RUMOR_ALIVE);
		assert_true(rumor.detailed);
		assert_int_equal(rumor.incarnation, rumor.member == 40 ? 6 : 1);
	}
	assert_int_equal(seen, 11);
	rig_stop(&rig);
}

/* One that joins in the middle of a round is probed in this or the next, like any other. */
static void test_order__of_a_newcomer__is_probed_within_two_rounds(void **state)
{
	struct rig rig;

	(void)state;
	for (unsigned turn = 0; turn < 20; turn++) {
		rig_init(&rig);
		random_init(&rig.random, turn);
		rig_start(&rig, 20);
		rig_run(&rig, (5 + turn) * S);
		rig_say(&rig, SWIM_RUMOR_ALIVE, 30, 1, SWIM_NOBODY);
		rig_forget_sent(&rig);
		rig_run(&rig, 41 * S);
		assert_non_null(rig_find(&rig, SWIM_PING, 30));
		rig_stop(&rig);
	}
}

/* Whoever dies and comes back stays once in the order. */
static void test_order__of_one_that_returns__has_it_once(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, 10);
	for (uint32_t incarnation = 1; incarnation < 40; incarnation++) {
		rig_say(&rig, SWIM_RUMOR_DEAD, 5, incarnation, 2);
		rig_run(&rig, UINT64_C(10) * (incarnation % 4) * S);
		rig_say(&rig, SWIM_RUMOR_ALIVE, 5, incarnation + 1, SWIM_NOBODY);
		rig.change_count = 0;
		rig_forget_sent(&rig);
	}
	assert_int_equal(rig.swim->view.order_count, 9);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view__when_full__refuses_and_counts),
		cmocka_unit_test(test_dead__after_their_time__are_forgotten),
		cmocka_unit_test(test_dead__when_it_is_crowded__are_forgotten_sooner),
		cmocka_unit_test(test_digest__of_equal_views__is_equal),
		cmocka_unit_test(test_view__walked__has_each_member_once),
		cmocka_unit_test(test_order__of_a_newcomer__is_probed_within_two_rounds),
		cmocka_unit_test(test_order__of_one_that_returns__has_it_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

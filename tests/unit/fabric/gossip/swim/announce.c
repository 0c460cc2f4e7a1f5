/*
 * Tests of announce.c: what this node says of itself.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

static void test_announce__of_a_change__is_a_new_incarnation_told_until_spread(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.incarnation = 4;
	rig_start(&rig, 20);
	assert_int_equal(rig.incarnation, 5);
	assert_int_equal(swim_announce(rig.swim, SWIM_LEAVING, 0, rig.now), 6);
	assert_int_equal(rig.incarnation, 6);
	assert_false(rig.refuted);
	assert_int_equal(swim_phase(rig.swim, 0), SWIM_LEAVING);
	assert_int_equal(rig.spread_count, 0);
	rig_run(&rig, 5 * S);
	assert_int_equal(rig.spread_count, 1);
	assert_int_equal(rig_heard(&rig, SWIM_RUMOR_ALIVE, 0), 8);
	assert_int_equal(rig_find(&rig, SWIM_GOSSIP, SWIM_NOBODY)->rumors[0].phase, SWIM_LEAVING);
	rig_stop(&rig);
}

static void test_announce__leaving_and_suspected__is_refuted_and_still_leaving(void **state)
{
	const struct swim_message *message;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	assert_int_equal(swim_announce(rig.swim, SWIM_LEAVING, 0, rig.now), 2);
	rig_run(&rig, 5 * S);
	rig_forget_sent(&rig);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, 0, 2, 3);
	rig_run(&rig, S);
	assert_int_equal(rig.incarnation, 3);
	assert_int_equal(swim_phase(rig.swim, 0), SWIM_LEAVING);
	message = rig_find(&rig, SWIM_GOSSIP, SWIM_NOBODY);
	assert_non_null(message);
	assert_int_equal(message->rumors[0].kind, SWIM_RUMOR_ALIVE);
	assert_int_equal(message->rumors[0].phase, SWIM_LEAVING);
	rig_stop(&rig);
}

static void test_announce__serving_after_leaving__is_a_newer_incarnation(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	assert_int_equal(swim_announce(rig.swim, SWIM_LEAVING, 0, rig.now), 2);
	assert_int_equal(swim_announce(rig.swim, SWIM_SERVING, 0, rig.now), 3);
	assert_int_equal(swim_phase(rig.swim, 0), SWIM_SERVING);
	assert_int_equal(swim_state(rig.swim, 0), SWIM_ALIVE);
	rig_stop(&rig);
}

static void test_announce__of_a_restart__says_how_long(void **state)
{
	const struct swim_rumor *rumor;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	swim_announce(rig.swim, SWIM_RESTARTING, 30 * S, rig.now);
	rig_run(&rig, S);
	rumor = &rig_find(&rig, SWIM_GOSSIP, SWIM_NOBODY)->rumors[0];
	assert_int_equal(rumor->phase, SWIM_RESTARTING);
	assert_in_range(rumor->remaining_ms, 29000, 30000);
	rig_stop(&rig);
}

static void test_leave__is_told_and_not_refuted(void **state)
{
	uint32_t cursor = 0;
	struct swim_rumor rumor;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	swim_leave(rig.swim, rig.now);
	rig_say(&rig, SWIM_RUMOR_DEAD, 0, 1, 3);
	rig_say(&rig, SWIM_RUMOR_LEFT, 0, 1, SWIM_NOBODY);
	rig_run(&rig, 5 * S);
	assert_int_equal(rig.incarnation, 1);
	assert_int_equal(rig.spread_count, 1);
	assert_true(rig_heard(&rig, SWIM_RUMOR_LEFT, 0) >= 8);
	assert_int_equal(rig_heard(&rig, SWIM_RUMOR_ALIVE, 0), 0);
	assert_true(swim_view_next(rig.swim, rig.now, &cursor, &rumor));
	assert_int_equal(rumor.kind, SWIM_RUMOR_LEFT);
	rig_stop(&rig);
}

static void test_announce__after_leaving__takes_it_back(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	swim_leave(rig.swim, rig.now);
	rig_run(&rig, 5 * S);
	assert_int_equal(swim_announce(rig.swim, SWIM_SERVING, 0, rig.now), 2);
	assert_int_equal(swim_state(rig.swim, 0), SWIM_ALIVE);
	rig_run(&rig, 5 * S);
	assert_int_equal(rig.spread_count, 2);
	assert_true(rig_heard(&rig, SWIM_RUMOR_ALIVE, 0) > 0);
	rig_stop(&rig);
}

static void test_incarnation__at_the_end_of_numbers__stays_there(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.incarnation = SWIM_INCARNATION_MAX;
	rig_start(&rig, 20);
	assert_int_equal(rig.incarnation, SWIM_INCARNATION_MAX);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, 0, SWIM_INCARNATION_MAX, 3);
	assert_int_equal(rig.incarnation, SWIM_INCARNATION_MAX);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_announce__of_a_change__is_a_new_incarnation_told_until_spread),
		cmocka_unit_test(
			test_announce__leaving_and_suspected__is_refuted_and_still_leaving),
		cmocka_unit_test(test_announce__serving_after_leaving__is_a_newer_incarnation),
		cmocka_unit_test(test_announce__of_a_restart__says_how_long),
		cmocka_unit_test(test_leave__is_told_and_not_refuted),
		cmocka_unit_test(test_announce__after_leaving__takes_it_back),
		cmocka_unit_test(test_incarnation__at_the_end_of_numbers__stays_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

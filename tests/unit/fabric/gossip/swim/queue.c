/*
 * Tests of queue.c: how often a rumor is told, in which order, and how many fit.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

static void test_gossip__of_a_rumor__is_told_a_bounded_number_of_times(void **state)
{
	static const struct {
		uint32_t members;
		unsigned times;
	} rows[] = { { 2, 4 }, { 9, 4 }, { 10, 8 }, { 60, 8 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct swim_stats stats;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, rows[i].members);
		rig_say(&rig, SWIM_RUMOR_ALIVE, 1, 2, SWIM_NOBODY);
		rig_run(&rig, 10 * S);
		assert_int_equal(rig_heard(&rig, SWIM_RUMOR_ALIVE, 1), rows[i].times);
		swim_stats(rig.swim, &stats);
		assert_int_equal(stats.queued, 0);
		rig_stop(&rig);
	}
}

static void test_gossip__each_interval__goes_to_some_members(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, 60);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 1, 2, SWIM_NOBODY);
	swim_tick(rig.swim, rig.now); /* the first at once */
	assert_int_equal(rig_count(&rig, SWIM_GOSSIP), 3);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(rig.sent[i].to, rig.sent[j].to);
	rig_run(&rig, 199 * MS);
	assert_int_equal(rig_count(&rig, SWIM_GOSSIP), 3);
	rig_run(&rig, 2 * MS);
	assert_int_equal(rig_count(&rig, SWIM_GOSSIP), 6);
	rig_stop(&rig);
}

static void test_gossip__of_a_newer_rumor__replaces_the_older(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 20);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, 1, 1, 2);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 1, 2, SWIM_NOBODY);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.queued, 1);
	rig_run(&rig, 10 * S);
	assert_int_equal(rig_heard(&rig, SWIM_RUMOR_SUSPECT, 1), 0);
	assert_int_equal(rig_heard(&rig, SWIM_RUMOR_ALIVE, 1), 8);
	rig_stop(&rig);
}

static void test_message__with_room_for_few__takes_the_least_told_first(void **state)
{
	const struct swim_message *ack;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.room[SWIM_ACK] = 100; /* two rumors of 40 */
	rig_start(&rig, 20);
	for (uint32_t i = 1; i <= 3; i++)
		rig_say(&rig, SWIM_RUMOR_ALIVE, i, 2, SWIM_NOBODY);
	for (unsigned round = 0; round < 3; round++) {
		static const uint32_t expected[3][2] = { { 3, 2 }, { 1, 3 }, { 1, 2 } };

		rig_forget_sent(&rig);
		rig_receive(&rig, 9, SWIM_PING, 1, 0);
		ack = rig_find(&rig, SWIM_ACK, SWIM_SENDER);
		assert_int_equal(ack->rumor_count, 2);
		assert_int_equal(ack->rumors[0].member, expected[round][0]);
		assert_int_equal(ack->rumors[1].member, expected[round][1]);
	}
	rig_stop(&rig);
}

static void test_message__with_room_for_none__goes_without(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.room[SWIM_ACK] = 39;
	rig_start(&rig, 20);
	for (uint32_t i = 1; i < 20; i++)
		rig_say(&rig, SWIM_RUMOR_ALIVE, i, 2, SWIM_NOBODY);
	rig_forget_sent(&rig);
	rig_receive(&rig, 9, SWIM_PING, 1, 0);
	assert_int_equal(rig_find(&rig, SWIM_ACK, SWIM_SENDER)->rumor_count, 0);
	rig_stop(&rig);
}

static void test_message__with_endless_room__takes_rumors_max(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.room[SWIM_ACK] = 1 << 20;
	rig.config.members_max = 200;
	rig_start(&rig, 20);
	for (uint32_t i = 1; i < 200; i++)
		rig_say(&rig, SWIM_RUMOR_ALIVE, i, 2, SWIM_NOBODY);
	rig_receive(&rig, 9, SWIM_PING, 1, 0);
	assert_int_equal(rig_find(&rig, SWIM_ACK, SWIM_SENDER)->rumor_count, SWIM_RUMORS_MAX);
	rig_stop(&rig);
}

static void test_queue__more_than_fit__drops_the_most_told(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.config.members_max = SWIM_QUEUE_MAX + 100;
	rig_start(&rig, 2);
	swim_announce(rig.swim, SWIM_SERVING, 0, rig.now);
	for (uint32_t i = 2; i < SWIM_QUEUE_MAX + 12; i++) {
		rig.change_count = 0;
		rig.adopted_count = 0;
		rig_say(&rig, SWIM_RUMOR_ALIVE, i, 1, SWIM_NOBODY);
	}
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.queued, SWIM_QUEUE_MAX);
	assert_int_equal(stats.rumors_dropped, 11);
	assert_true(swim_entry(rig.swim, 0)->queued != 0); /* never what it says of itself */
	assert_int_equal(rig.spread_count, 0);
	rig_stop(&rig);
}

static void test_gossip__with_nobody_to_tell__ends(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 1);
	swim_announce(rig.swim, SWIM_SERVING, 0, rig.now);
	rig_run(&rig, 10 * MS);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(rig.spread_count, 1);
	assert_true(swim_deadline(rig.swim) > rig.now);
	rig_stop(&rig);
}

static void test_gossip__to_the_lately_dead__tells_them_so(void **state)
{
	const struct swim_message *told;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 3);
	rig_say(&rig, SWIM_RUMOR_DEAD, 1, 1, 2);
	rig_run(&rig, S);
	told = rig_find(&rig, SWIM_GOSSIP, 1);
	assert_non_null(told);
	assert_int_equal(told->rumors[0].kind, SWIM_RUMOR_DEAD);
	assert_int_equal(told->rumors[0].member, 1);
	rig_run(&rig, 32 * S);
	rig_forget_sent(&rig);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 2, 2, SWIM_NOBODY);
	rig_run(&rig, 2 * S);
	assert_null(rig_find(&rig, SWIM_GOSSIP, 1));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gossip__of_a_rumor__is_told_a_bounded_number_of_times),
		cmocka_unit_test(test_gossip__each_interval__goes_to_some_members),
		cmocka_unit_test(test_gossip__of_a_newer_rumor__replaces_the_older),
		cmocka_unit_test(test_message__with_room_for_few__takes_the_least_told_first),
		cmocka_unit_test(test_message__with_room_for_none__goes_without),
		cmocka_unit_test(test_message__with_endless_room__takes_rumors_max),
		cmocka_unit_test(test_queue__more_than_fit__drops_the_most_told),
		cmocka_unit_test(test_gossip__with_nobody_to_tell__ends),
		cmocka_unit_test(test_gossip__to_the_lately_dead__tells_them_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of machine.c: the clock that stands still, push-pull and reconnection, what is ignored.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

#include <errno.h>

#include "tests/unit/base/allocation_fault.h"

enum { M = 5, MANY = 20 };

static void test_tick__after_a_sleep__blames_nobody(void **state)
{
	static const uint64_t sleeps[] = { 2, 60, 86400 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(sleeps); i++) {
		struct swim_stats stats;
		struct swim_info info;
		uint64_t left;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, MANY);
		rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, 2);
		rig.silent[7] = true;
		rig_ping_to(&rig, 7);
		swim_info(rig.swim, M, &info);
		left = info.deadline_ns - rig.now;
		rig.now += sleeps[i] * S; /* nobody called */
		swim_tick(rig.swim, rig.now);
		assert_int_equal(swim_state(rig.swim, 7), SWIM_ALIVE);
		swim_info(rig.swim, M, &info);
		assert_int_equal(info.state, SWIM_SUSPECT);
		assert_in_range(info.deadline_ns - rig.now, left - S, left);
		swim_stats(rig.swim, &stats);
		assert_in_range(stats.late_ns, (sleeps[i] - 1) * S, sleeps[i] * S);
		assert_int_equal(stats.awareness, 1);
		/* the answer that lay in the socket meanwhile is in time */
		rig_receive(&rig, 7, SWIM_ACK, rig_find(&rig, SWIM_PING, 7)->sequence, SWIM_NOBODY);
		rig_run(&rig, 900 * MS);
		assert_int_equal(swim_state(rig.swim, 7), SWIM_ALIVE);
		rig_stop(&rig);
	}
}

static void test_tick__a_little_late__is_as_good_as_in_time(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	for (unsigned i = 0; i < 100; i++) {
		rig.now = swim_deadline(rig.swim) + 20 * MS;
		swim_tick(rig.swim, rig.now);
		while (rig.answered < rig.sent_count)
			rig_run(&rig, MS);
	}
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.late_ns, 0);
	assert_int_equal(stats.awareness, 0);
	rig_stop(&rig);
}

static void test_tick__with_a_clock_that_goes_back__does_nothing(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_run(&rig, 5 * S);
	rig_forget_sent(&rig);
	swim_tick(rig.swim, RIG_START);
	assert_int_equal(rig.sent_count, 0);
	assert_true(swim_deadline(rig.swim) >= rig.now);
	rig_stop(&rig);
}

static void test_push_pull__of_a_cluster__comes_every_interval(void **state)
{
	static const struct {
		uint32_t members;
		unsigned in_10_minutes;
	} rows[] = { { 1, 0 }, { 2, 20 }, { 32, 20 }, { 60, 10 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, rows[i].members);
		for (unsigned minute = 0; minute < 10; minute++) {
			rig_run(&rig, 60 * S);
			rig_forget_sent(&rig);
		}
		assert_in_range(rig.push_pull_count,
				rows[i].in_10_minutes ? rows[i].in_10_minutes - 1 : 0,
				rows[i].in_10_minutes + 1);
		rig_stop(&rig);
	}
}

static void test_reconnect__with_dead_members__tries_them_again(void **state)
{
	unsigned tried = 0;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 4);
	rig_say(&rig, SWIM_RUMOR_DEAD, 3, 1, 2);
	rig_say(&rig, SWIM_RUMOR_LEFT, 2, 1, SWIM_NOBODY);
	rig_run(&rig, 600 * S);
	for (unsigned i = 0; i < rig.push_pull_count; i++) {
		assert_int_not_equal(rig.push_pulls[i], 2); /* it went by itself */
		tried += rig.push_pulls[i] == 3;
	}
	assert_in_range(tried, 3, 17); /* 20 rounds, one dead to two alive */
	rig_stop(&rig);
}

static void test_ping__meant_for_another__is_not_answered(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_receive(&rig, 3, SWIM_PING, 1, 4);
	rig_receive(&rig, 3, SWIM_PING, 1, SWIM_NOBODY);
	rig_receive(&rig, 0, SWIM_PING, 1, 0); /* its own, come back */
	assert_int_equal(rig.sent_count, 0);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.misdirected, 3);
	rig_stop(&rig);
}

static void test_ping__of_a_stranger__is_answered_to_where_it_came_from(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_receive(&rig, SWIM_NOBODY, SWIM_PING, 9, 0);
	assert_int_equal(rig_find(&rig, SWIM_ACK, SWIM_SENDER)->sequence, 9);
	rig_stop(&rig);
}

/* Stopped for long and buried meanwhile: the first answer to its first probe tells it so. */
static void test_ping__of_one_that_is_dead_here__is_told_in_the_answer(void **state)
{
	static const enum swim_kind kinds[] = { SWIM_RUMOR_SUSPECT, SWIM_RUMOR_DEAD,
						SWIM_RUMOR_LEFT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
		const struct swim_message *ack;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, MANY);
		rig_say(&rig, kinds[i], M, 1, kinds[i] == SWIM_RUMOR_LEFT ? SWIM_NOBODY : 2);
		swim_queue_clear(rig.swim);
		rig_receive(&rig, M, SWIM_PING, 9, 0);
		ack = rig_find(&rig, SWIM_ACK, SWIM_SENDER);
		assert_int_equal(ack->rumor_count, 1);
		assert_int_equal(ack->rumors[0].kind, kinds[i]);
		assert_int_equal(ack->rumors[0].member, M);
		rig_stop(&rig);
	}
}

static void test_ping__that_accuses__is_refuted_in_the_answer(void **state)
{
	struct swim_message message = { .kind = SWIM_PING, .target = 0, .rumor_count = 1 };
	const struct swim_message *ack;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	message.rumors[0] = rig_rumor(SWIM_RUMOR_SUSPECT, 0, 1, 7);
	swim_receive(rig.swim, 7, &message, rig.now);
	ack = rig_find(&rig, SWIM_ACK, SWIM_SENDER);
	assert_int_equal(ack->rumors[0].kind, SWIM_RUMOR_ALIVE);
	assert_int_equal(ack->rumors[0].member, 0);
	assert_int_equal(ack->rumors[0].incarnation, 2);
	rig_stop(&rig);
}

static void test_create__without_memory__leaves_nothing(void **state)
{
	struct rig rig;
	unsigned n;

	(void)state;
	rig_init(&rig);
	for (n = 1;; n++) {
		int error;

		allocation_fault_arm(n);
		error = swim_create(&rig.config, &rig.setup, rig.now, &rig.swim);
		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(rig.swim);
	}
	assert_true(n > 2);
	rig_stop(&rig);
}

/* What finds no room is dropped and counted, and everything else goes on. */
static void test_receive__without_memory__drops_and_counts(void **state)
{
	unsigned n;

	(void)state;
	for (n = 1;; n++) {
		struct swim_stats stats;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, 4);
		allocation_fault_arm(n);
		for (uint32_t i = 1; i < 40; i++)
			rig_say(&rig, SWIM_RUMOR_ALIVE, i, 2, SWIM_NOBODY);
		for (uint32_t i = 1; i < 40; i++)
			rig_say(&rig, SWIM_RUMOR_SUSPECT, i, 2, 50);
		swim_stats(rig.swim, &stats);
		if (!allocation_fault_disarm()) {
			rig_stop(&rig);
			break;
		}
		assert_true(stats.members_refused + stats.rumors_dropped +
				    stats.suspicions_dropped >
			    0);
		assert_int_equal(stats.suspect, stats.suspicions_open);
		rig_run(&rig, 120 * S);
		swim_stats(rig.swim, &stats);
		assert_int_equal(stats.suspect, 0);
		assert_int_equal(stats.queued, 0);
		rig_stop(&rig);
	}
	assert_true(n > 3);
}

static void test_destroy__of_nothing__is_fine(void **state)
{
	(void)state;
	swim_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tick__after_a_sleep__blames_nobody),
		cmocka_unit_test(test_tick__a_little_late__is_as_good_as_in_time),
		cmocka_unit_test(test_tick__with_a_clock_that_goes_back__does_nothing),
		cmocka_unit_test(test_push_pull__of_a_cluster__comes_every_interval),
		cmocka_unit_test(test_reconnect__with_dead_members__tries_them_again),
		cmocka_unit_test(test_ping__meant_for_another__is_not_answered),
		cmocka_unit_test(test_ping__of_a_stranger__is_answered_to_where_it_came_from),
		cmocka_unit_test(test_ping__of_one_that_is_dead_here__is_told_in_the_answer),
		cmocka_unit_test(test_ping__that_accuses__is_refuted_in_the_answer),
		cmocka_unit_test(test_create__without_memory__leaves_nothing),
		cmocka_unit_test(test_receive__without_memory__drops_and_counts),
		cmocka_unit_test(test_destroy__of_nothing__is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

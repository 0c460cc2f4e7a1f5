/*
 * Tests of probe.c: the round, whom it blames, and what it says about this node itself.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

enum { M = 5, MANY = 20 };

static unsigned awareness(const struct rig *rig)
{
	struct swim_stats stats;

	swim_stats(rig->swim, &stats);
	return stats.awareness;
}

static void test_probe__of_members_that_answer__goes_round(void **state)
{
	unsigned probed[MANY] = { 0 };
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_run(&rig, UINT64_C(10) * (MANY - 1) * S);
	for (unsigned i = 0; i < rig.sent_count; i++)
		if (rig.sent[i].message.kind == SWIM_PING)
			probed[rig.sent[i].to]++;
	for (unsigned i = 1; i < MANY; i++)
		assert_in_range(probed[i], 9, 11);
	assert_int_equal(rig_count(&rig, SWIM_PING_REQ), 0);
	assert_int_equal(rig.change_count, 0);
	rig_stop(&rig);
}

static void test_probe__not_answered__asks_others_and_again(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	rig_ping_to(&rig, M);
	rig_forget_sent(&rig);
	rig_run(&rig, 480 * MS);
	assert_int_equal(rig_count(&rig, SWIM_PING_REQ), 0);
	rig_run(&rig, 30 * MS);
	assert_int_equal(rig_count(&rig, SWIM_PING_REQ), 3);
	assert_int_equal(rig_find(&rig, SWIM_PING_REQ, SWIM_NOBODY)->target, M);
	assert_null(rig_find(&rig, SWIM_PING_REQ, M));
	assert_int_equal(rig.reliable_count, 1);
	assert_int_equal(rig.reliable[0], M);
	rig_run(&rig, 450 * MS);
	assert_int_equal(rig_count(&rig, SWIM_PING), SWIM_REPEATS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	rig_run(&rig, 60 * MS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_SUSPECT);
	assert_int_equal(rig.changes[0].why, SWIM_WHY_PROBE);
	assert_int_equal(rig.changes[0].by, 0);
	rig_stop(&rig);
}

enum answer { DIRECTLY, LATE, RELAYED, STREAM, OF_ANOTHER };

static void test_probe__answered_in_any_way__blames_nobody(void **state)
{
	static const struct {
		enum answer answer;
		enum swim_state then;
	} rows[] = {
		{ DIRECTLY, SWIM_ALIVE }, { LATE, SWIM_ALIVE },		{ RELAYED, SWIM_ALIVE },
		{ STREAM, SWIM_ALIVE },	  { OF_ANOTHER, SWIM_SUSPECT },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;
		uint32_t sequence;

		rig_init(&rig);
		rig_start(&rig, MANY);
		rig.silent[M] = true;
		sequence = rig_ping_to(&rig, M);
		if (rows[i].answer != DIRECTLY)
			rig_run(&rig, 600 * MS);
		if (rows[i].answer == STREAM)
			swim_ping_answered(rig.swim, sequence, rig.now);
		else
			rig_receive(&rig, rows[i].answer == RELAYED ? 7 : M, SWIM_ACK,
				    sequence - (rows[i].answer == OF_ANOTHER), SWIM_NOBODY);
		rig_run(&rig, 900 * MS);
		assert_int_equal(swim_state(rig.swim, M), rows[i].then);
		rig_stop(&rig);
	}
}

static void test_round_trip__of_direct_answers__is_smoothed(void **state)
{
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 2);
	rig_run(&rig, 3 * S);
	swim_info(rig.swim, 1, &info);
	assert_in_range(info.round_trip_ns, 400000, 600000); /* the rig's 0.5 ms */
	rig.silent[1] = true;
	rig_receive(&rig, 1, SWIM_ACK, rig_ping_to(&rig, 1), SWIM_NOBODY);
	swim_info(rig.swim, 1, &info);
	assert_true(info.round_trip_ns < 10 * MS);
	rig_stop(&rig);
}

static void test_awareness__of_failed_probes__rises_with_missing_nacks(void **state)
{
	static const struct {
		bool refuse_nacks;
		uint32_t members;
		unsigned then;
	} rows[] = {
		{ false, MANY, 0 }, /* three helpers are well: it is the target */
		{ true, MANY, 2 },  /* 3, and the next one's answer has taken 1 off */
		{ true, 2, 1 },	    /* nobody to ask */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t member = rows[i].members - 1;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, rows[i].members);
		rig.silent[member] = true;
		rig.refuse_nacks = rows[i].refuse_nacks;
		rig_ping_to(&rig, member);
		while (swim_state(rig.swim, member) == SWIM_ALIVE)
			rig_run(&rig, MS);
		assert_int_equal(awareness(&rig), rows[i].then);
		rig_stop(&rig);
	}
}

static void test_awareness__when_high__stretches_the_round(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_run(&rig, S);
	swim_awareness_add(rig.swim, 100);
	assert_int_equal(awareness(&rig), 7);
	rig.silent[M] = true;
	for (unsigned i = 1; i < MANY; i++)
		rig.silent[i] = true;
	rig_run(&rig, S);
	rig_forget_sent(&rig);
	rig_run(&rig, 15 * S); /* instead of 15 rounds of 1 s, two of 8 s */
	assert_in_range(rig.change_count, 1, 3);
	for (unsigned i = 1; i < MANY; i++)
		rig.silent[i] = false;
	rig_run(&rig, 120 * S);
	assert_int_equal(awareness(&rig), 0);
	rig_stop(&rig);
}

static void test_probe__of_a_suspect__tells_it_first(void **state)
{
	const struct swim_message *ping;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, 2);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 9, 2, SWIM_NOBODY);
	rig_ping_to(&rig, M);
	ping = rig_find(&rig, SWIM_PING, M);
	assert_int_equal(ping->rumors[0].kind, SWIM_RUMOR_SUSPECT);
	assert_int_equal(ping->rumors[0].member, M);
	assert_int_equal(ping->rumors[0].from, 2);
	rig_stop(&rig);
}

static void test_probe__of_one_that_left_meanwhile__blames_nobody(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	rig_ping_to(&rig, M);
	rig_say(&rig, SWIM_RUMOR_LEFT, M, 1, SWIM_NOBODY);
	rig_run(&rig, 2 * S);
	assert_int_equal(swim_state(rig.swim, M), SWIM_LEFT);
	assert_int_equal(awareness(&rig), 0);
	rig_stop(&rig);
}

/* kill -9: the host still answers for the process that is no more. */
static void test_probe__refused__is_over_sooner_and_blames_not_this_node(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	rig.refuse_nacks = true;
	rig_ping_to(&rig, M);
	swim_unreachable(rig.swim, M + 1, rig.now);
	rig_run(&rig, MS);
	assert_int_equal(rig_count(&rig, SWIM_PING_REQ), 0);
	swim_unreachable(rig.swim, M, rig.now);
	rig_run(&rig, MS);
	assert_int_equal(rig_count(&rig, SWIM_PING_REQ), 3);
	swim_ping_refused(rig.swim, rig.reliable_sequence - 1, rig.now);
	rig_run(&rig, 200 * MS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	swim_ping_refused(rig.swim, rig.reliable_sequence, rig.now);
	rig_run(&rig, 120 * MS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	rig_run(&rig, 10 * MS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_SUSPECT);
	assert_int_equal(awareness(&rig), 0);
	rig_stop(&rig);
}

static void test_probe__refused_but_answered_through_others__blames_nobody(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	rig_ping_to(&rig, M);
	swim_unreachable(rig.swim, M, rig.now);
	rig_run(&rig, MS);
	swim_ping_refused(rig.swim, rig.reliable_sequence, rig.now);
	rig_run(&rig, 100 * MS);
	rig_receive(&rig, 7, SWIM_ACK, rig.reliable_sequence, SWIM_NOBODY);
	rig_run(&rig, 900 * MS);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe__of_members_that_answer__goes_round),
		cmocka_unit_test(test_probe__not_answered__asks_others_and_again),
		cmocka_unit_test(test_probe__answered_in_any_way__blames_nobody),
		cmocka_unit_test(test_round_trip__of_direct_answers__is_smoothed),
		cmocka_unit_test(test_awareness__of_failed_probes__rises_with_missing_nacks),
		cmocka_unit_test(test_awareness__when_high__stretches_the_round),
		cmocka_unit_test(test_probe__of_a_suspect__tells_it_first),
		cmocka_unit_test(test_probe__of_one_that_left_meanwhile__blames_nobody),
		cmocka_unit_test(test_probe__refused__is_over_sooner_and_blames_not_this_node),
		cmocka_unit_test(test_probe__refused_but_answered_through_others__blames_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of relay.c: probes made for others.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

enum { ASKER = 3, M = 5, MANY = 20 };

static void test_request__for_a_member_that_answers__hands_the_ack_on(void **state)
{
	const struct swim_message *ping, *ack;
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_receive(&rig, ASKER, SWIM_PING_REQ, 77, M);
	ping = rig_find(&rig, SWIM_PING, M);
	assert_non_null(ping);
	assert_int_equal(ping->target, M);
	rig_receive(&rig, M, SWIM_ACK, ping->sequence, SWIM_NOBODY);
	ack = rig_find(&rig, SWIM_ACK, ASKER);
	assert_non_null(ack);
	assert_int_equal(ack->sequence, 77);
	rig_run(&rig, S);
	assert_int_equal(rig_count(&rig, SWIM_NACK), 0);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.relays, 0);
	rig_stop(&rig);
}

static void test_request__for_a_silent_member__says_nack_in_time(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	rig_receive(&rig, ASKER, SWIM_PING_REQ, 77, M);
	rig_run(&rig, 499 * MS);
	assert_int_equal(rig_count(&rig, SWIM_NACK), 0);
	rig_run(&rig, 2 * MS);
	assert_int_equal(rig_find(&rig, SWIM_NACK, ASKER)->sequence, 77);
	rig_stop(&rig);
}

static void test_request__of_each_odd_kind__is_answered_or_counted(void **state)
{
	static const struct {
		uint32_t asker, target;
		enum swim_message_kind answer; /* MESSAGE_KINDS: none */
	} rows[] = {
		{ ASKER, 0, SWIM_ACK },		   /* this node itself */
		{ ASKER, SWIM_NOBODY, SWIM_NACK }, /* it has not heard of it */
		{ ASKER, 40, SWIM_NACK },
		{ SWIM_NOBODY, M, SWIM_MESSAGE_KINDS }, /* where would the answer go? */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct swim_stats stats;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, MANY);
		rig_receive(&rig, rows[i].asker, SWIM_PING_REQ, 77, rows[i].target);
		swim_stats(rig.swim, &stats);
		if (rows[i].answer < SWIM_MESSAGE_KINDS)
			assert_int_equal(rig_find(&rig, rows[i].answer, ASKER)->sequence, 77);
		else
			assert_int_equal(rig.sent_count, 0);
		assert_int_equal(stats.misdirected, rows[i].answer == SWIM_MESSAGE_KINDS);
		rig_stop(&rig);
	}
}

static void test_requests__more_than_fit__are_dropped_and_counted(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig.silent[M] = true;
	for (uint32_t i = 0; i < SWIM_RELAYS_MAX + 5; i++)
		rig_receive(&rig, ASKER, SWIM_PING_REQ, i, M);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.relays, SWIM_RELAYS_MAX);
	assert_int_equal(stats.relays_dropped, 5);
	rig_run(&rig, S);
	assert_int_equal(rig_count(&rig, SWIM_NACK), SWIM_RELAYS_MAX);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.relays, 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request__for_a_member_that_answers__hands_the_ack_on),
		cmocka_unit_test(test_request__for_a_silent_member__says_nack_in_time),
		cmocka_unit_test(test_request__of_each_odd_kind__is_answered_or_counted),
		cmocka_unit_test(test_requests__more_than_fit__are_dropped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of evidence.c: what the data plane says is looked into, not believed.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

#include <errno.h>

enum { M = 5, MANY = 20 };

static void test_evidence__against_one_that_answers__is_a_probe_and_no_more(void **state)
{
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_run(&rig, S);
	rig_forget_sent(&rig);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now), 0);
	rig_run(&rig, 10 * MS);
	assert_non_null(rig_find(&rig, SWIM_PING, M)); /* out of turn, at once */
	rig_run(&rig, 10 * S);
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.state, SWIM_ALIVE);
	assert_int_equal(info.evidence_count, 1);
	assert_int_equal(rig.change_count, 0);
	rig_stop(&rig);
}

static void test_evidence__against_a_silent_one__is_a_suspicion_in_one_round(void **state)
{
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_run(&rig, S);
	rig.silent[M] = true;
	assert_int_equal(swim_evidence(rig.swim, M, rig.now), 0);
	rig_run(&rig, 1100 * MS);
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.state, SWIM_SUSPECT);
	assert_int_equal(info.suspected, SWIM_WHY_EVIDENCE);
	assert_int_equal(info.accuser_count, 1);
	rig_stop(&rig);
}

static void test_evidence__against_a_suspect__confirms_once(void **state)
{
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, 2);
	rig.silent[M] = true;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(swim_evidence(rig.swim, M, rig.now), 0);
		rig_run(&rig, S);
	}
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.accuser_count, 2);
	assert_int_equal(info.accusers[1], 0);
	assert_int_equal(info.evidence_count, 5);
	rig_stop(&rig);
}

static void test_evidence__said_often__is_limited_a_member(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now), 0);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now + 999 * MS), -EAGAIN);
	assert_int_equal(swim_evidence(rig.swim, M + 1, rig.now + 999 * MS), 0);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now + S), 0);
	rig.now += S;
	rig_stop(&rig);
}

static void test_evidence__against_many__is_limited_in_all(void **state)
{
	unsigned accepted = 0;
	struct rig rig;

	(void)state;
	rig_begin(&rig, RIG_MEMBERS);
	for (uint32_t i = 1; i < RIG_MEMBERS; i++)
		accepted += swim_evidence(rig.swim, i, rig.now) == 0;
	assert_int_equal(accepted, SWIM_URGENT_MAX);
	rig_run(&rig, S); /* all answer, one after the other: there is room again */
	assert_int_equal(swim_evidence(rig.swim, RIG_MEMBERS - 1, rig.now), 0);
	rig_stop(&rig);
}

static void test_evidence__against_nobody_to_suspect__is_refused(void **state)
{
	static const uint32_t members[] = { 0, 1, 2, 40, SWIM_NOBODY };
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_say(&rig, SWIM_RUMOR_DEAD, 1, 1, 3);
	rig_say(&rig, SWIM_RUMOR_LEFT, 2, 1, SWIM_NOBODY);
	for (unsigned i = 0; i < ARRAY_COUNT(members); i++)
		assert_int_equal(swim_evidence(rig.swim, members[i], rig.now), -ENOENT);
	rig_stop(&rig);
}

/* A waiting probe whose member goes away is not made. */
static void test_evidence__against_one_that_leaves__is_dropped(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now), 0);
	rig_say(&rig, SWIM_RUMOR_LEFT, M, 1, SWIM_NOBODY);
	rig_run(&rig, 5 * S);
	assert_null(rig_find(&rig, SWIM_PING, M));
	assert_true(swim_deadline(rig.swim) > rig.now);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evidence__against_one_that_answers__is_a_probe_and_no_more),
		cmocka_unit_test(test_evidence__against_a_silent_one__is_a_suspicion_in_one_round),
		cmocka_unit_test(test_evidence__against_a_suspect__confirms_once),
		cmocka_unit_test(test_evidence__said_often__is_limited_a_member),
		cmocka_unit_test(test_evidence__against_many__is_limited_in_all),
		cmocka_unit_test(test_evidence__against_nobody_to_suspect__is_refused),
		cmocka_unit_test(test_evidence__against_one_that_leaves__is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

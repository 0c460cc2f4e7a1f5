/*
 * Tests of suspicion.c: how long a suspect has, and who shortens it.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

enum { M = 5, MANY = 20 };

/* 4 x log10(20) s, and six times that */
#define SHORTEST_MS 5204
#define LONGEST_MS  31224

static uint64_t lasts_ms(const struct rig *rig, uint64_t began)
{
	struct swim_info info;

	swim_info(rig->swim, M, &info);
	assert_int_equal(info.state, SWIM_SUSPECT);
	return (info.deadline_ns - began) / MS;
}

static void test_suspicion__confirmed_by_others__is_shortened(void **state)
{
	static const struct {
		uint32_t accusers[6];
		unsigned count;
		uint64_t lasts_ms;
	} rows[] = {
		{ { 1 }, 1, LONGEST_MS },
		{ { 1, 1, 1 }, 3, LONGEST_MS }, /* one voice */
		{ { 1, M }, 2, LONGEST_MS },	/* its own is not heard like that */
		{ { 1, SWIM_NOBODY }, 2, LONGEST_MS },
		{ { 1, 2 }, 2, 14807 },
		{ { 1, 2, 3 }, 3, SHORTEST_MS },
		{ { 1, 2, 3, 4, 6, 7 }, 6, SHORTEST_MS },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, MANY);
		for (unsigned j = 0; j < rows[i].count; j++)
			rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, rows[i].accusers[j]);
		assert_in_range(lasts_ms(&rig, RIG_START), rows[i].lasts_ms - 1,
				rows[i].lasts_ms + 1);
		rig_stop(&rig);
	}
}

static void test_suspicion__of_few_members__lasts_the_shortest(void **state)
{
	static const struct {
		uint32_t members;
		uint64_t lasts_ms;
	} rows[] = { { 6, 24000 }, { 4, 24000 }, { 3, 4000 }, { 2, 4000 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct swim_info info;
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, rows[i].members);
		rig_say(&rig, SWIM_RUMOR_SUSPECT, 1, 1, 2);
		swim_info(rig.swim, 1, &info);
		assert_int_equal(info.deadline_ns, RIG_START + rows[i].lasts_ms * MS);
		rig_stop(&rig);
	}
}

static void test_suspicion__not_refuted__ends_in_death(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, 1);
	rig_run(&rig, LONGEST_MS * MS - S);
	assert_int_equal(swim_state(rig.swim, M), SWIM_SUSPECT);
	rig_forget_sent(&rig);
	rig_run(&rig, 2 * S);
	assert_int_equal(swim_state(rig.swim, M), SWIM_DEAD);
	assert_int_equal(rig.change_count, 2);
	assert_int_equal(rig.changes[1].why, SWIM_WHY_SILENCE);
	assert_int_equal(rig.changes[1].by, 1);
	assert_true(rig_heard(&rig, SWIM_RUMOR_DEAD, M) > 0);
	rig_stop(&rig);
}

static void test_suspicion__of_a_later_incarnation__starts_anew(void **state)
{
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, MANY);
	for (uint32_t accuser = 1; accuser < 4; accuser++)
		rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, accuser);
	rig_run(&rig, 4 * S);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 2, 9);
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.accuser_count, 1);
	assert_int_equal(info.accusers[0], 9);
	assert_in_range(lasts_ms(&rig, rig.now), LONGEST_MS - 1, LONGEST_MS + 1);
	rig_stop(&rig);
}

/* Who missed the refutation asks before it buries, and is told. */
static void test_suspicion__in_its_second_half__asks_for_the_last_word(void **state)
{
	struct rig rig;
	const struct swim_message *ping;

	(void)state;
	rig_begin(&rig, MANY);
	for (uint32_t accuser = 1; accuser < 4; accuser++)
		rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 1, accuser);
	rig_run(&rig, 2500 * MS);
	rig_forget_sent(&rig);
	rig.silent[M] = true;
	rig_run(&rig, 1200 * MS);
	ping = rig_find(&rig, SWIM_PING, M);
	assert_non_null(ping);
	assert_int_equal(ping->rumors[0].kind, SWIM_RUMOR_SUSPECT);
	assert_int_equal(ping->rumors[0].member, M);
	rig_say(&rig, SWIM_RUMOR_ALIVE, M, 2, SWIM_NOBODY);
	rig_run(&rig, S);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	rig_stop(&rig);
}

static void test_suspicions__more_than_fit__are_dropped_and_counted(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.config.members_max = SWIM_SUSPICIONS_MAX + 100;
	rig_start(&rig, 3);
	for (uint32_t i = 3; i < SWIM_SUSPICIONS_MAX + 13; i++) {
		rig.change_count = 0;
		rig.adopted_count = 0;
		rig_say(&rig, SWIM_RUMOR_ALIVE, i, 1, SWIM_NOBODY);
		rig_say(&rig, SWIM_RUMOR_SUSPECT, i, 1, 2);
	}
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.suspicions_open, SWIM_SUSPICIONS_MAX);
	assert_int_equal(stats.suspicions_dropped, 10);
	assert_int_equal(stats.suspect, SWIM_SUSPICIONS_MAX);
	/* one refutes: its place is another's */
	rig_say(&rig, SWIM_RUMOR_ALIVE, 3, 2, SWIM_NOBODY);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, SWIM_SUSPICIONS_MAX + 12, 1, 2);
	assert_int_equal(swim_state(rig.swim, SWIM_SUSPICIONS_MAX + 12), SWIM_SUSPECT);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suspicion__confirmed_by_others__is_shortened),
		cmocka_unit_test(test_suspicion__of_few_members__lasts_the_shortest),
		cmocka_unit_test(test_suspicion__not_refuted__ends_in_death),
		cmocka_unit_test(test_suspicion__of_a_later_incarnation__starts_anew),
		cmocka_unit_test(test_suspicion__in_its_second_half__asks_for_the_last_word),
		cmocka_unit_test(test_suspicions__more_than_fit__are_dropped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of rumor.c: what a rumor overturns, row by row; refutation; merging.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

#include <errno.h>

enum { M = 5 }; /* the member in question; incarnation 3 at the start of a row */

static void put_into(struct rig *rig, enum swim_state state)
{
	rig_say(rig, SWIM_RUMOR_ALIVE, M, 3, SWIM_NOBODY);
	if (state == SWIM_SUSPECT)
		rig_say(rig, SWIM_RUMOR_SUSPECT, M, 3, 2);
	else if (state == SWIM_DEAD)
		rig_say(rig, SWIM_RUMOR_DEAD, M, 3, 2);
	else if (state == SWIM_LEFT)
		rig_say(rig, SWIM_RUMOR_LEFT, M, 3, SWIM_NOBODY);
	assert_int_equal(swim_state(rig->swim, M), state);
	rig->change_count = 0;
	swim_queue_clear(rig->swim);
}

static void test_receive__of_each_kind__overturns_what_the_table_says(void **state)
{
	static const struct {
		enum swim_state known;
		enum swim_kind kind;
		uint32_t incarnation;
		enum swim_state then;
		uint32_t then_incarnation;
		bool told;
	} rows[] = {
		{ SWIM_ALIVE, SWIM_RUMOR_ALIVE, 2, SWIM_ALIVE, 3, false },
		{ SWIM_ALIVE, SWIM_RUMOR_ALIVE, 3, SWIM_ALIVE, 3, false },
		{ SWIM_ALIVE, SWIM_RUMOR_ALIVE, 4, SWIM_ALIVE, 4, true },
		{ SWIM_ALIVE, SWIM_RUMOR_SUSPECT, 2, SWIM_ALIVE, 3, false },
		{ SWIM_ALIVE, SWIM_RUMOR_SUSPECT, 3, SWIM_SUSPECT, 3, true },
		{ SWIM_ALIVE, SWIM_RUMOR_SUSPECT, 4, SWIM_SUSPECT, 4, true },
		{ SWIM_ALIVE, SWIM_RUMOR_DEAD, 2, SWIM_ALIVE, 3, false },
		{ SWIM_ALIVE, SWIM_RUMOR_DEAD, 3, SWIM_DEAD, 3, true },
		{ SWIM_ALIVE, SWIM_RUMOR_LEFT, 2, SWIM_ALIVE, 3, false },
		{ SWIM_ALIVE, SWIM_RUMOR_LEFT, 3, SWIM_LEFT, 3, true },
		{ SWIM_SUSPECT, SWIM_RUMOR_ALIVE, 3, SWIM_SUSPECT, 3, false },
		{ SWIM_SUSPECT, SWIM_RUMOR_ALIVE, 4, SWIM_ALIVE, 4, true },
		{ SWIM_SUSPECT, SWIM_RUMOR_SUSPECT, 2, SWIM_SUSPECT, 3, false },
		{ SWIM_SUSPECT, SWIM_RUMOR_SUSPECT, 3, SWIM_SUSPECT, 3, true },
		{ SWIM_SUSPECT, SWIM_RUMOR_SUSPECT, 4, SWIM_SUSPECT, 4, true },
		{ SWIM_SUSPECT, SWIM_RUMOR_DEAD, 2, SWIM_SUSPECT, 3, false },
		{ SWIM_SUSPECT, SWIM_RUMOR_DEAD, 3, SWIM_DEAD, 3, true },
		{ SWIM_SUSPECT, SWIM_RUMOR_LEFT, 3, SWIM_LEFT, 3, true },
		{ SWIM_DEAD, SWIM_RUMOR_ALIVE, 3, SWIM_DEAD, 3, false },
		{ SWIM_DEAD, SWIM_RUMOR_ALIVE, 4, SWIM_ALIVE, 4, true },
		{ SWIM_DEAD, SWIM_RUMOR_SUSPECT, 4, SWIM_DEAD, 3, false },
		{ SWIM_DEAD, SWIM_RUMOR_DEAD, 3, SWIM_DEAD, 3, false },
		{ SWIM_DEAD, SWIM_RUMOR_DEAD, 4, SWIM_DEAD, 4, true },
		{ SWIM_DEAD, SWIM_RUMOR_LEFT, 3, SWIM_LEFT, 3, true },
		{ SWIM_LEFT, SWIM_RUMOR_ALIVE, 3, SWIM_LEFT, 3, false },
		{ SWIM_LEFT, SWIM_RUMOR_ALIVE, 4, SWIM_ALIVE, 4, true },
		{ SWIM_LEFT, SWIM_RUMOR_SUSPECT, 4, SWIM_LEFT, 3, false },
		{ SWIM_LEFT, SWIM_RUMOR_DEAD, 3, SWIM_LEFT, 3, false },
		{ SWIM_LEFT, SWIM_RUMOR_LEFT, 4, SWIM_LEFT, 4, true },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;
		struct swim_info info;

		rig_init(&rig);
		rig_start(&rig, 10);
		put_into(&rig, rows[i].known);
		rig_say(&rig, rows[i].kind, M, rows[i].incarnation, 7);
		swim_info(rig.swim, M, &info);
		if (info.state != rows[i].then || info.incarnation != rows[i].then_incarnation ||
		    (swim_entry(rig.swim, M)->queued != 0) != rows[i].told)
			fail_msg("row %u: %s %u, told %d", i, swim_state_text(info.state),
				 info.incarnation, swim_entry(rig.swim, M)->queued != 0);
		assert_int_equal(rig.change_count, rows[i].known != rows[i].then);
		rig_stop(&rig);
	}
}

static void test_receive__of_an_unknown_member__takes_up_the_living_only(void **state)
{
	static const struct {
		enum swim_kind kind;
		enum swim_state then;
	} rows[] = {
		{ SWIM_RUMOR_ALIVE, SWIM_ALIVE },
		{ SWIM_RUMOR_SUSPECT, SWIM_NONE },
		{ SWIM_RUMOR_DEAD, SWIM_NONE },
		{ SWIM_RUMOR_LEFT, SWIM_NONE },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;

		rig_init(&rig);
		rig_start(&rig, 4);
		rig_say(&rig, rows[i].kind, 20, 1, 2);
		assert_int_equal(swim_state(rig.swim, 20), rows[i].then);
		assert_int_equal(rig.adopted_count, rows[i].then == SWIM_ALIVE);
		rig_stop(&rig);
	}
}

static void test_receive__of_a_senseless_rumor__costs_a_counter(void **state)
{
	struct swim_rumor rows[] = {
		rig_rumor(SWIM_RUMOR_ALIVE, 2, SWIM_INCARNATION_MAX + 1, SWIM_NOBODY),
		rig_rumor(SWIM_RUMOR_ALIVE, 2, 9, SWIM_NOBODY), /* without details, below */
		rig_rumor((enum swim_kind)0, 2, 9, 3),
		rig_rumor((enum swim_kind)5, 2, 9, 3),
		rig_rumor(SWIM_RUMOR_ALIVE, 2, 9, SWIM_NOBODY), /* of no phase, below */
	};
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rows[1].detailed = false;
	rows[4].phase = SWIM_LEAVING + 1;
	rig_begin(&rig, 4);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		rig_tell(&rig, 3, &rows[i]);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.rumors_bad, ARRAY_COUNT(rows));
	assert_int_equal(rig.change_count + rig.adopted_count, 0);
	rig_stop(&rig);
}

static void test_receive__about_this_node__is_refuted_if_it_harms(void **state)
{
	static const struct {
		enum swim_kind kind;
		uint32_t incarnation, then;
		bool refuted;
	} rows[] = {
		{ SWIM_RUMOR_SUSPECT, 10, 11, false }, { SWIM_RUMOR_SUSPECT, 11, 12, true },
		{ SWIM_RUMOR_SUSPECT, 50, 51, true },  { SWIM_RUMOR_DEAD, 11, 12, true },
		{ SWIM_RUMOR_LEFT, 11, 12, true },     { SWIM_RUMOR_ALIVE, 11, 11, false },
		{ SWIM_RUMOR_ALIVE, 40, 41, false }, /* of a life that this one has forgotten */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig rig;

		rig_init(&rig);
		rig.setup.incarnation = 10;
		rig_start(&rig, 4);
		assert_int_equal(rig.incarnation, 11);
		rig_say(&rig, rows[i].kind, 0, rows[i].incarnation, 2);
		assert_int_equal(rig.incarnation, rows[i].then);
		assert_int_equal(rig.refuted, rows[i].refuted);
		if (rows[i].then > 11) {
			rig_run(&rig, S);
			assert_true(rig_heard(&rig, SWIM_RUMOR_ALIVE, 0) > 0);
		}
		assert_int_equal(rig.change_count, 0);
		rig_stop(&rig);
	}
}

static void test_receive__of_an_old_accusation__reminds_the_sender(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.setup.incarnation = 10;
	rig_start(&rig, 4);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, 0, 5, 2);
	rig_receive(&rig, 2, SWIM_PING, 1, 0);
	assert_int_equal(rig.incarnation, 11);
	assert_int_equal(rig_find(&rig, SWIM_ACK, SWIM_SENDER)->rumors[0].incarnation, 11);
	rig_stop(&rig);
}

/* SUSPECT came with incarnation 4, the details of 4 come later: they are taken, the accusation
 * stands; meanwhile the old details are not handed out as those of 4. */
static void test_alive__of_the_accused_incarnation__brings_its_details(void **state)
{
	struct swim_rumor rumor;
	uint32_t cursor = M;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 10);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 4, 2);
	assert_true(swim_view_next(rig.swim, rig.now, &cursor, &rumor));
	assert_int_equal(rumor.member, M);
	assert_false(rumor.detailed);
	rig_say(&rig, SWIM_RUMOR_ALIVE, M, 4, SWIM_NOBODY);
	assert_int_equal(rig.adopted_count, 1);
	assert_int_equal(swim_state(rig.swim, M), SWIM_SUSPECT);
	cursor = M;
	assert_true(swim_view_next(rig.swim, rig.now, &cursor, &rumor));
	assert_true(rumor.detailed);
	rig_stop(&rig);
}

static void test_merge__of_the_dead__suspects_those_known_alive(void **state)
{
	struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_DEAD, M, 1, SWIM_NOBODY);
	struct swim_info info;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 10);
	swim_merge(rig.swim, 3, &rumor, rig.now);
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.state, SWIM_SUSPECT);
	assert_int_equal(info.accusers[0], 3);
	rig_stop(&rig);
}

static void test_merge__of_unknown_members__takes_them_as_they_are(void **state)
{
	static const struct {
		enum swim_kind kind;
		bool detailed;
		enum swim_state then;
	} rows[] = {
		{ SWIM_RUMOR_ALIVE, true, SWIM_ALIVE },
		{ SWIM_RUMOR_SUSPECT, true, SWIM_SUSPECT },
		{ SWIM_RUMOR_DEAD, true, SWIM_DEAD },
		{ SWIM_RUMOR_LEFT, true, SWIM_LEFT },
		{ SWIM_RUMOR_SUSPECT, false, SWIM_NONE },
		{ SWIM_RUMOR_DEAD, false, SWIM_NONE },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct swim_rumor rumor = rig_rumor(rows[i].kind, 20, 7, 2);
		struct swim_info info;
		struct rig rig;

		rumor.detailed = rows[i].detailed;
		rig_init(&rig);
		rig_start(&rig, 4);
		swim_merge(rig.swim, 3, &rumor, rig.now);
		swim_info(rig.swim, 20, &info);
		assert_int_equal(info.state, rows[i].then);
		assert_int_equal(info.incarnation, rows[i].then ? 7 : 0);
		/* what the dead said before does not raise them here either */
		rig_say(&rig, SWIM_RUMOR_ALIVE, 20, 6, SWIM_NOBODY);
		if (rows[i].then)
			assert_int_equal(swim_state(rig.swim, 20), rows[i].then);
		rig_stop(&rig);
	}
}

static void test_merge__of_thousands_by_a_newcomer__are_not_told_on(void **state)
{
	struct swim_stats stats;
	struct rig rig;

	(void)state;
	rig_begin(&rig, 1);
	for (uint32_t i = 1; i < RIG_MEMBERS; i++) {
		struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, i, 1, SWIM_NOBODY);

		swim_merge(rig.swim, 1, &rumor, rig.now);
	}
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.alive, RIG_MEMBERS);
	assert_in_range(stats.queued, 1, SWIM_TOLD_MIN);
	rig_run(&rig, 20 * S);
	rig_say(&rig, SWIM_RUMOR_ALIVE, 9, 2, SWIM_NOBODY);
	swim_stats(rig.swim, &stats);
	assert_int_equal(stats.queued, 1);
	rig_stop(&rig);
}

static void test_restarting__until_its_time__is_not_accused(void **state)
{
	struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, M, 2, SWIM_NOBODY);
	struct rig rig;

	(void)state;
	rumor.phase = SWIM_RESTARTING;
	rumor.remaining_ms = 20000;
	rig_begin(&rig, 10);
	rig_tell(&rig, 3, &rumor);
	rig_say(&rig, SWIM_RUMOR_SUSPECT, M, 2, 4);
	rig_say(&rig, SWIM_RUMOR_DEAD, M, 2, 4);
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	assert_int_equal(swim_evidence(rig.swim, M, rig.now), -ENOENT);
	rig.silent[M] = true;
	rig_run(&rig, 19 * S);
	assert_null(rig_find(&rig, SWIM_PING, M));
	assert_int_equal(swim_state(rig.swim, M), SWIM_ALIVE);
	rig_run(&rig, 20 * S);
	assert_non_null(rig_find(&rig, SWIM_PING, M));
	rig_say(&rig, SWIM_RUMOR_DEAD, M, 2, 4);
	assert_int_equal(swim_state(rig.swim, M), SWIM_DEAD);
	rig_stop(&rig);
}

static void test_restarting__heard_of_later__has_only_what_remains(void **state)
{
	struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, M, 2, SWIM_NOBODY);
	uint32_t cursor = M;
	struct swim_info info;
	struct rig rig;

	(void)state;
	rumor.phase = SWIM_RESTARTING;
	rumor.remaining_ms = 20000;
	rig_begin(&rig, 10);
	rig_tell(&rig, 3, &rumor);
	rig_run(&rig, 15 * S);
	assert_true(swim_view_next(rig.swim, rig.now, &cursor, &rumor));
	assert_int_equal(rumor.phase, SWIM_RESTARTING);
	assert_in_range(rumor.remaining_ms, 4800, 5000);
	swim_info(rig.swim, M, &info);
	assert_in_range((info.restarting_ns - rig.now) / MS, 4800, 5000);
	rig_run(&rig, 6 * S);
	cursor = M;
	assert_true(swim_view_next(rig.swim, rig.now, &cursor, &rumor));
	assert_int_equal(rumor.remaining_ms, 0);
	rig_stop(&rig);
}

static void test_restarting__for_ever__is_cut_to_the_longest(void **state)
{
	struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, M, 2, SWIM_NOBODY);
	struct swim_info info;
	struct rig rig;

	(void)state;
	rumor.phase = SWIM_RESTARTING;
	rumor.remaining_ms = UINT32_MAX;
	rig_begin(&rig, 10);
	rig_tell(&rig, 3, &rumor);
	swim_info(rig.swim, M, &info);
	assert_int_equal(info.restarting_ns, rig.now + rig.config.restarting_max);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receive__of_each_kind__overturns_what_the_table_says),
		cmocka_unit_test(test_receive__of_an_unknown_member__takes_up_the_living_only),
		cmocka_unit_test(test_receive__of_a_senseless_rumor__costs_a_counter),
		cmocka_unit_test(test_receive__about_this_node__is_refuted_if_it_harms),
		cmocka_unit_test(test_receive__of_an_old_accusation__reminds_the_sender),
		cmocka_unit_test(test_alive__of_the_accused_incarnation__brings_its_details),
		cmocka_unit_test(test_merge__of_the_dead__suspects_those_known_alive),
		cmocka_unit_test(test_merge__of_unknown_members__takes_them_as_they_are),
		cmocka_unit_test(test_merge__of_thousands_by_a_newcomer__are_not_told_on),
		cmocka_unit_test(test_restarting__until_its_time__is_not_accused),
		cmocka_unit_test(test_restarting__heard_of_later__has_only_what_remains),
		cmocka_unit_test(test_restarting__for_ever__is_cut_to_the_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

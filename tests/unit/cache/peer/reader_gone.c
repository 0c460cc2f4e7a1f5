/*
 * reader_gone.c - whom the reader asks when the owner is gone, moved or restarting.
 */
#include "tests/unit/cache/peer/reader_rig.h"

static struct rig rig;

static struct rig_fixture three = { &rig, { .owners = 3 } };

/* A block of owner 1, then 2. */
static uint64_t a_block(uint64_t from)
{
	return rig_block(&rig, from, 1, 2);
}

static void test_reader__neighbour_removed__goes_on_with_the_next(void **state)
{
	uint64_t block = a_block(0), begun_ns;
	struct rig_fetch asked, read;

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig_owner(&rig, 1)->work_ns = 8 * NS_PER_S;
	rig_fetch(&rig, &asked, a_block(block + 1), 10 * NS_PER_S);
	rig_run(&rig, NS_PER_S);
	rig.faults.stall_per_mille = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	rig_fetch(&rig, &read, block, 10 * NS_PER_S);
	rig_run(&rig, 10 * NS_PER_MS);
	rig.faults.stall_per_mille = 0;
	loop_network_set_faults(rig.network, &rig.faults);
	begun_ns = rig_now(&rig);
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 1)->id);
	rig_wait(&rig, &asked);
	rig_wait(&rig, &read);
	assert_int_equal(asked.fetch.outcome, PEER_FETCHED);
	assert_int_equal(read.fetch.outcome, PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 10 * NS_PER_MS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 2);
	assert_int_equal(rig.evidence[1], 0);
}

static void test_reader__neighbour_moved__is_asked_there(void **state)
{
	struct address elsewhere = loop_address(3);
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	owner->work_ns = 8 * NS_PER_S;
	rig_fetch(&rig, &fetch, a_block(0), 20 * NS_PER_S);
	rig_wait_count(&rig, &owner->stage_count, 1);
	/* where somebody else answers, whom nobody may take for it */
	assert_int_equal(neighbours_update(rig.neighbours, &owner->id, &elsewhere), 0);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 3)->stage_count, 0);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
}

static void test_reader__owner_unreachable__second_is_asked(void **state)
{
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	loop_cut_node(rig.network, 1, true);
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	rig_expect_within(&rig, begun_ns, RIG_SILENCE_NS);
}

/* @owner, to whom there is a connection, which closes at once. */
static void kill_connected(struct rig_owner *owner)
{
	rig.faults.detect_ns = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	assert_int_equal(rig_get(&rig, a_block(5000)), PEER_FETCHED);
	rig_kill(owner);
}

static void test_reader__process_gone__second_is_asked_after_a_grace(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns;

	(void)state;
	kill_connected(owner);
	begun_ns = rig_now(&rig);
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, RIG_SILENCE_NS, 2 * RIG_SILENCE_NS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
	assert_true(rig.evidence[1] > 0);
}

/* From when the connection closed on, not from when somebody asks. */
static void test_reader__process_gone_for_a_while__second_is_asked_at_once(void **state)
{
	uint64_t begun_ns;

	(void)state;
	kill_connected(rig_owner(&rig, 1));
	rig_run(&rig, 300 * NS_PER_MS);
	begun_ns = rig_now(&rig);
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 190 * NS_PER_MS, 250 * NS_PER_MS);
	begun_ns = rig_now(&rig);
	assert_int_equal(rig_get(&rig, a_block(1000)), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 20 * NS_PER_MS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 2);
}

static void test_reader__connection_refused__second_is_asked_at_once(void **state)
{
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	rig_kill(rig_owner(&rig, 1));
	for (unsigned i = 0; i < 2; i++) /* refused; then not even tried so soon */
		assert_int_equal(rig_get(&rig, a_block(UINT64_C(1000) * i)), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 20 * NS_PER_MS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 2);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 2);
	assert_int_equal(rig_count(&rig, PEERS_SILENT), 2);
	assert_true(rig.evidence[1] > 0);
}

static void test_reader__connection_lost_once__is_asked_again(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	owner->work_ns = 2 * NS_PER_S;
	rig_fetch(&rig, &fetch, a_block(0), 10 * NS_PER_S);
	rig_wait_count(&rig, &owner->stage_count, 1);
	rig.faults.detect_ns = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	rig_restart(owner);
	owner->work_ns = 0;
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(owner->stage_count, 2);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 0);
}

static void test_reader__owner_restarts__is_waited_for(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct address address = loop_address(1);
	struct rig_fetch fetch;

	(void)state;
	rig.faults.detect_ns = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	neighbours_restarting(rig.neighbours, &owner->id, rig_now(&rig) + 60 * NS_PER_S);
	rig_kill(owner);
	rig_fetch(&rig, &fetch, a_block(a_block(0) + 1), 60 * NS_PER_S);
	rig_run(&rig, 20 * NS_PER_S);
	assert_int_equal(fetch.calls, 0);
	rig_start(owner);
	neighbours_restarting(rig.neighbours, &owner->id, 0);
	assert_int_equal(neighbours_update(rig.neighbours, &owner->id, &address), 0);
	rig_run(&rig, 50 * NS_PER_MS);
	assert_int_equal(fetch.calls, 1);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 0);
	assert_int_equal(rig_count(&rig, PEERS_SILENT), 0);
	assert_int_equal(rig.evidence[1], 0);
}

static void test_reader__owner_back_without_news__is_found(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	neighbours_restarting(rig.neighbours, &owner->id, rig_now(&rig) + 60 * NS_PER_S);
	rig_kill(owner);
	rig_fetch(&rig, &fetch, a_block(0), 60 * NS_PER_S);
	rig_run(&rig, NS_PER_S);
	rig_start(owner);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(fetch.calls, 1);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
}

/* Until the time that it said, or half of what the fetch has. */
static void test_reader__owner_does_not_come_back__next(void **state)
{
	static const struct {
		uint64_t restarting_ns, timeout_ns, failover_ns;
	} rows[] = {
		{ 5 * NS_PER_S, 60 * NS_PER_S, 5 * NS_PER_S },
		{ 60 * NS_PER_S, 20 * NS_PER_S, 10 * NS_PER_S },
	};

	(void)state;
	rig_kill(rig_owner(&rig, 1));
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t begun_ns = rig_now(&rig);
		struct rig_fetch fetch;

		neighbours_restarting(rig.neighbours, &rig_owner(&rig, 1)->id,
				      begun_ns + rows[i].restarting_ns);
		rig_fetch(&rig, &fetch, a_block(UINT64_C(1000) * i), rows[i].timeout_ns);
		rig_wait(&rig, &fetch);
		assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
		assert_in_range(rig_now(&rig) - begun_ns, rows[i].failover_ns,
				rows[i].failover_ns + RIG_SILENCE_NS);
		assert_int_equal(rig_owner(&rig, 2)->stage_count, i + 1);
	}
}

static void test_reader__restarting_member_dies__next_at_once(void **state)
{
	uint64_t begun_ns;
	struct rig_fetch fetch;

	(void)state;
	neighbours_restarting(rig.neighbours, &rig_owner(&rig, 1)->id,
			      rig_now(&rig) + 60 * NS_PER_S);
	rig_kill(rig_owner(&rig, 1));
	rig_fetch(&rig, &fetch, a_block(0), 60 * NS_PER_S);
	rig_run(&rig, 5 * NS_PER_S);
	begun_ns = rig_now(&rig);
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 1)->id);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_true(rig_now(&rig) - begun_ns < 150 * NS_PER_MS);
}

static void test_reader__news_during_the_grace__is_waited_for(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	kill_connected(owner);
	rig_fetch(&rig, &fetch, a_block(0), 60 * NS_PER_S);
	rig_run(&rig, 300 * NS_PER_MS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
	neighbours_restarting(rig.neighbours, &owner->id, rig_now(&rig) + 60 * NS_PER_S);
	rig_run(&rig, 10 * NS_PER_S);
	assert_int_equal(fetch.calls, 0);
	rig_start(owner);
	neighbours_restarting(rig.neighbours, &owner->id, 0);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
}

#define GONE_TEST(test) RIG_TEST(&three, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GONE_TEST(test_reader__neighbour_removed__goes_on_with_the_next),
		GONE_TEST(test_reader__neighbour_moved__is_asked_there),
		GONE_TEST(test_reader__owner_unreachable__second_is_asked),
		GONE_TEST(test_reader__process_gone__second_is_asked_after_a_grace),
		GONE_TEST(test_reader__process_gone_for_a_while__second_is_asked_at_once),
		GONE_TEST(test_reader__connection_refused__second_is_asked_at_once),
		GONE_TEST(test_reader__connection_lost_once__is_asked_again),
		GONE_TEST(test_reader__owner_restarts__is_waited_for),
		GONE_TEST(test_reader__owner_back_without_news__is_found),
		GONE_TEST(test_reader__owner_does_not_come_back__next),
		GONE_TEST(test_reader__restarting_member_dies__next_at_once),
		GONE_TEST(test_reader__news_during_the_grace__is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

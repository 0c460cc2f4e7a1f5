/*
 * Tests of stage.c: local stages, for a peer that serves another one. They wait for this node's
 * SSD, for a backing store that is being asked anyway, and for nobody else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/rig_peers.h"

#define SIZE (4 * MIB)

static int set_up(void **state)
{
	struct peers_rig *bench = peers_rig_create();

	bench->object = rig_open(&bench->rig, "a", SIZE);
	*state = bench;
	return 0;
}

static void start_local(struct peers_rig *bench, struct stager *stager)
{
	stager_start(stager, &bench->rig, "a", SIZE, UNIT_BLOCK(0), true);
}

static void start_reader(struct peers_rig *bench, struct reader *reader)
{
	assert_int_equal(reader_start(reader, &bench->rig, bench->object, 0, 10, false), 0);
}

static void answer_peers(struct peers_rig *bench, enum peer_outcome outcome, int status)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), outcome, status,
			  false);
}

static void answer_backing(struct peers_rig *bench, int status)
{
	struct fake_backing *backing = &bench->rig.backing;

	fake_backing_finish(backing, fake_backing_await(backing, 0), status);
}

static void test_local__not_here__is_said_at_once(void **state)
{
	static const uint64_t rows[] = { UNIT_BLOCK(0), UNIT_BLOCK(1), UNIT_GRANULE(70) };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct stager stager;

		stager_start(&stager, rig, "b", 8 * MIB, rows[i], true);
		assert_true(stager_is_done(&stager));
		assert_int_equal(stager_wait(&stager), -ENOENT);
	}
	assert_int_equal(fake_peers_started(&bench->peers), 0);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 1);
}

static void test_local__being_read_from_the_ssd__joins(void **state)
{
	struct peers_rig *bench = *state;
	struct reader reader;
	struct stager stager;

	fake_store_put(bench->object, 0);
	fake_store.hold_reads = true;
	start_reader(bench, &reader);
	start_local(bench, &stager);
	assert_false(stager_is_done(&stager));
	fake_store_let_go();
	stager_check(&stager, CACHE_ORIGIN_SSD);
	reader_check(&reader);
	assert_int_equal(fake_store.reads, 1);
}

static void test_local__ssd_fails_it_alone__is_not_here_and_nobody_is_asked(void **state)
{
	static const int errors[] = { -EIO, -EBADMSG, -ENOENT };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		struct stager stager;

		fake_store_put(bench->object, 0);
		fake_store.read_status = errors[i];
		start_local(bench, &stager);
		assert_int_equal(stager_wait(&stager), -ENOENT);
		assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	}
	assert_int_equal(fake_store.reads, ARRAY_COUNT(errors));
	assert_int_equal(fake_peers_started(&bench->peers), 0);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
}

static void test_local__cancelled_while_the_ssd_fails__leaves_nothing(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct stager stager;

	fake_store_put(bench->object, 0);
	fake_store.read_status = -EIO;
	fake_store.hold_reads = true;
	start_local(bench, &stager);
	cache_stage_cancel(&stager.stage);
	assert_int_equal(stager_wait(&stager), -ECANCELED);
	fake_store_let_go();
	rig_wait_counter(rig, CACHE_MEMORY_USED, 0);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
}

/* Who began it makes no difference: the reader goes on, the local one does not. */
static void test_local__ssd_fails_a_reader_too__ends_and_the_reader_goes_on(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	fake_store.read_status = -EBADMSG;
	for (int reader_first = 0; reader_first < 2; reader_first++) {
		struct reader reader;
		struct stager stager;
		struct peer_fetch *ask;

		fake_store_put(bench->object, 0);
		fake_store.hold_reads = true;
		if (reader_first)
			start_reader(bench, &reader);
		start_local(bench, &stager);
		if (!reader_first)
			start_reader(bench, &reader);
		fake_store_let_go();
		assert_int_equal(stager_wait(&stager), -ENOENT);
		ask = fake_peers_await(&bench->peers, 0);
		assert_false(ask->serving); /* it is a reader's now */
		assert_int_equal(rig->cache->window.pins[WINDOW_DEMAND].entries, 1);
		answer_peers(bench, PEER_FAILED, -EACCES);
		assert_int_equal(reader_wait(&reader), -EACCES);
	}
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
}

static void test_local__ssd_fails_a_stage_too__ends_and_the_stage_goes_on(void **state)
{
	struct peers_rig *bench = *state;
	struct stager local, stage;
	struct peer_fetch *ask;

	fake_store_put(bench->object, 0);
	fake_store.read_status = -EBADMSG;
	fake_store.hold_reads = true;
	start_local(bench, &local);
	stager_start(&stage, &bench->rig, "a", SIZE, UNIT_BLOCK(0), false);
	fake_store_let_go();
	assert_int_equal(stager_wait(&local), -ENOENT);
	ask = fake_peers_await(&bench->peers, 0);
	assert_true(ask->serving);
	assert_int_equal(bench->rig.cache->window.pins[WINDOW_DEMAND].entries, 0);
	assert_int_equal(bench->rig.cache->window.pins[WINDOW_SERVE].entries, 1);
	answer_peers(bench, PEER_FETCHED, 0);
	stager_check(&stage, CACHE_ORIGIN_PEER);
}

static void test_local__others_are_asked_for_it__is_not_here(void **state)
{
	struct peers_rig *bench = *state;
	struct reader reader;
	struct stager stager;

	start_reader(bench, &reader);
	fake_peers_await(&bench->peers, 0);
	start_local(bench, &stager);
	assert_true(stager_is_done(&stager));
	assert_int_equal(stager_wait(&stager), -ENOENT);
	assert_false(fake_peers_await(&bench->peers, 0)->serving); /* it will not come back */
	/* they are about to be asked again */
	answer_peers(bench, PEER_FAILED, -EAGAIN);
	start_local(bench, &stager);
	assert_true(stager_is_done(&stager));
	assert_int_equal(stager_wait(&stager), -ENOENT);
	clock_manual_advance(&bench->rig.clock, NS_PER_S);
	answer_peers(bench, PEER_FETCHED, 0);
	reader_check(&reader);
	start_local(bench, &stager);
	stager_check(&stager, CACHE_ORIGIN_WINDOW);
}

static void test_local__backing_is_asked_anyway__waits_for_it(void **state)
{
	struct peers_rig *bench = *state;
	struct stager first, second, granule;
	struct reader reader;

	start_reader(bench, &reader);
	answer_peers(bench, PEER_MISSED, 0);
	start_local(bench, &first);
	assert_false(stager_is_done(&first));
	/* also while it pauses: it is the backing store that will be asked again */
	answer_backing(bench, -EAGAIN);
	start_local(bench, &second);
	stager_start(&granule, &bench->rig, "a", SIZE, UNIT_GRANULE(9), true);
	assert_false(stager_is_done(&second));
	clock_manual_advance(&bench->rig.clock, NS_PER_S);
	answer_backing(bench, 0);
	stager_check(&first, CACHE_ORIGIN_BACKING);
	stager_check(&second, CACHE_ORIGIN_BACKING);
	stager_check(&granule, CACHE_ORIGIN_BACKING);
	reader_check(&reader);
	assert_int_equal(fake_peers_started(&bench->peers), 1);
}

static void test_local__this_node_has_no_peers__reads_the_ssd_alone(void **state)
{
	struct cache_object *object;
	struct stager stager;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	cache_set_backings(rig.cache, rig.backings, ARRAY_COUNT(rig.backings));
	object = rig_open(&rig, "a", SIZE);
	stager_start(&stager, &rig, "a", SIZE, UNIT_BLOCK(0), true);
	assert_int_equal(stager_wait(&stager), -ENOENT);
	fake_store_put(object, 0);
	fake_store.read_status = -EIO;
	stager_start(&stager, &rig, "a", SIZE, UNIT_BLOCK(0), true);
	assert_int_equal(stager_wait(&stager), -ENOENT);
	assert_int_equal(fake_backing_started(&rig.backing), 0);
	fake_store.read_status = 0;
	stager_start(&stager, &rig, "a", SIZE, UNIT_BLOCK(0), true);
	stager_check(&stager, CACHE_ORIGIN_SSD);
	cache_object_put(object);
	rig_fini(&rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, peers_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_local__not_here__is_said_at_once),
		TEST(test_local__being_read_from_the_ssd__joins),
		TEST(test_local__ssd_fails_it_alone__is_not_here_and_nobody_is_asked),
		TEST(test_local__cancelled_while_the_ssd_fails__leaves_nothing),
		TEST(test_local__ssd_fails_a_reader_too__ends_and_the_reader_goes_on),
		TEST(test_local__ssd_fails_a_stage_too__ends_and_the_stage_goes_on),
		TEST(test_local__others_are_asked_for_it__is_not_here),
		TEST(test_local__backing_is_asked_anyway__waits_for_it),
		cmocka_unit_test(test_local__this_node_has_no_peers__reads_the_ssd_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

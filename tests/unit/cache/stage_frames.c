/*
 * Tests of the classes of frames: what one class pins never keeps one behind it from its share.
 * 16 frames: 11 for readers here, 4 more for peers, one more for peers that serve others.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/rig_peers.h"

#define DEMAND	11
#define SERVE	4
#define SIZE	(64 * RIG_BLOCK)
#define READERS RIG_BLOCKS

static struct reader readers[READERS];
static struct stager stagers[READERS + 1];

static int set_up(void **state)
{
	struct peers_rig *bench = peers_rig_create();

	assert_int_equal(READERS, 16);
	bench->object = rig_open(&bench->rig, "a", SIZE);
	*state = bench;
	return 0;
}

/* Readers of as many blocks as there are frames; nobody answers. */
static void start_readers(struct peers_rig *bench)
{
	for (unsigned i = 0; i < READERS; i++)
		reader_start(&readers[i], &bench->rig, bench->object, i * RIG_BLOCK, 10, false);
}

static void start_stage(struct peers_rig *bench, unsigned index, uint64_t block, bool local)
{
	stager_start(&stagers[index], &bench->rig, "a", SIZE, UNIT_BLOCK(block), local);
}

static void fetched(struct peers_rig *bench, unsigned index)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, index), PEER_FETCHED, 0,
			  false);
}

static void test_frames__readers_take_all_they_may__leave_some_to_peers(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	unsigned waits;

	start_readers(bench);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND);
	waits = (unsigned)rig_counter(rig, CACHE_MEMORY_WAITS);
	assert_int_equal(waits, READERS - DEMAND);
	/* peers get theirs, and no more */
	for (unsigned i = 0; i <= SERVE; i++)
		start_stage(bench, i, 20 + i, false);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), waits + 1);
	/* and who serves another node gets the last one */
	fake_store_put(bench->object, 40);
	fake_store_put(bench->object, 41);
	start_stage(bench, 10, 40, true);
	stager_look(&stagers[10], CACHE_ORIGIN_SSD);
	start_stage(bench, 11, 41, true);
	assert_false(stager_is_done(&stagers[11]));
	cache_stage_finish(&stagers[10].stage);
	stager_check(&stagers[11], CACHE_ORIGIN_SSD);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
}

static void test_frames__peers_take_all_they_may__leave_one_to_who_serves(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < READERS; i++)
		start_stage(bench, i, i, false);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
	reader_start(&readers[0], rig, bench->object, 30 * RIG_BLOCK, 10, false);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
	fake_store_put(bench->object, 40);
	start_stage(bench, READERS, 40, true);
	stager_check(&stagers[READERS], CACHE_ORIGIN_SSD);
	/* time ends also those who wait for a frame */
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	assert_int_equal(reader_wait(&readers[0]), -ETIMEDOUT);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(stager_wait(&stagers[i]), -ETIMEDOUT);
}

static void test_frames__one_is_given_back__goes_to_the_first_of_its_class(void **state)
{
	struct peers_rig *bench = *state;

	start_readers(bench);
	fetched(bench, 0);
	reader_check(&readers[0]);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND);
	assert_int_equal(fake_peers_await(&bench->peers, DEMAND - 1)->block, DEMAND);
	fetched(bench, 0);
	reader_check(&readers[1]);
	assert_int_equal(fake_peers_await(&bench->peers, DEMAND - 1)->block, DEMAND + 1);
}

static void test_frames__peers_wait_too__go_first(void **state)
{
	struct peers_rig *bench = *state;

	start_readers(bench);
	for (unsigned i = 0; i <= SERVE; i++)
		start_stage(bench, i, 20 + i, false);
	fetched(bench, 0);
	reader_check(&readers[0]);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
	assert_int_equal(fake_peers_await(&bench->peers, DEMAND + SERVE - 1)->block, 20 + SERVE);
	/* what a stage gives back is a reader's again */
	fetched(bench, DEMAND - 1);
	stager_check(&stagers[0], CACHE_ORIGIN_PEER);
	assert_int_equal(fake_peers_await(&bench->peers, DEMAND + SERVE - 1)->block, DEMAND);
}

/* A reader may hold a block that is there while it waits for another: hits pin as misses do. */
static void test_frames__readers_hold_what_was_there__leave_as_much(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < READERS; i++) {
		reader_start(&readers[i], rig, bench->object, i * RIG_BLOCK, 10, false);
		fetched(bench, 0);
		reader_check(&readers[i]);
	}
	for (unsigned i = 0; i < READERS; i++) {
		int ready = reader_start(&readers[i], rig, bench->object, i * RIG_BLOCK, 10, false);

		assert_int_equal(ready, i < DEMAND);
	}
	/* what is held already costs nothing more */
	rig_read(rig, bench->object, 100, 10, false);
	for (unsigned i = 0; i < SERVE; i++) {
		start_stage(bench, i, 20 + i, false);
		fetched(bench, 0);
		stager_look(&stagers[i], CACHE_ORIGIN_PEER);
	}
	for (unsigned i = 0; i < DEMAND; i++)
		reader_check(&readers[i]);
	/* of those that waited some were evicted for the stages meanwhile, and come again */
	while (fake_peers_pending(&bench->peers) > 0)
		fetched(bench, 0);
	for (unsigned i = DEMAND; i < READERS; i++)
		reader_check(&readers[i]);
	for (unsigned i = 0; i < SERVE; i++)
		cache_stage_finish(&stagers[i].stage);
}

static void test_frames__a_stage_is_held__its_frame_stays(void **state)
{
	struct peers_rig *bench = *state;
	struct stager *held = &stagers[0];

	start_stage(bench, 0, 50, false);
	fetched(bench, 0);
	stager_look(held, CACHE_ORIGIN_PEER);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < READERS; i++) {
			struct reader *reader = &readers[i];

			reader_start(reader, &bench->rig, bench->object,
				     (round * READERS + i) * RIG_BLOCK, 10, false);
			fetched(bench, 0);
			reader_check(reader);
		}
	}
	stager_check(held, CACHE_ORIGIN_PEER);
}

static void test_frames__who_waits_is_cancelled__the_next_one_is_served(void **state)
{
	struct peers_rig *bench = *state;

	for (unsigned i = 0; i < READERS; i++)
		start_stage(bench, i, i, false);
	start_stage(bench, READERS, 50, false);
	cache_stage_cancel(&stagers[15].stage);
	assert_int_equal(stager_wait(&stagers[15]), -ECANCELED);
	fetched(bench, 0);
	stager_check(&stagers[0], CACHE_ORIGIN_PEER);
	assert_int_equal(fake_peers_pending(&bench->peers), DEMAND + SERVE);
	assert_int_equal(fake_peers_await(&bench->peers, DEMAND + SERVE - 1)->block, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, peers_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_frames__readers_take_all_they_may__leave_some_to_peers),
		TEST(test_frames__peers_take_all_they_may__leave_one_to_who_serves),
		TEST(test_frames__one_is_given_back__goes_to_the_first_of_its_class),
		TEST(test_frames__peers_wait_too__go_first),
		TEST(test_frames__readers_hold_what_was_there__leave_as_much),
		TEST(test_frames__a_stage_is_held__its_frame_stays),
		TEST(test_frames__who_waits_is_cancelled__the_next_one_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

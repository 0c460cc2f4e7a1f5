/*
 * Tests of take.c: blocks of a member that leaves come to this node's SSD, from wherever they are,
 * a few at a time; what is told is what is there.
 */
#include "cache/peer/take.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "tests/unit/cache/rig_peers.h"

#define BLOCKS 20 /* more than the arena has room for */
#define SIZE   (BLOCKS * RIG_BLOCK)

struct bench {
	struct rig rig;
	struct fake_peers peers;
	struct cache_object *object;
	_Atomic bool owns;
	atomic_bool stopping;
	struct take take;
	struct peer_inquire asked;
	uint64_t deadline_ns;
	/* the call, on a thread of its own */
	pthread_t thread;
	int status;
	struct peer_taken taken;
	atomic_bool over;
};

static bool owns(void *context, const struct object_id *id, uint64_t block)
{
	struct bench *bench = context;

	(void)id;
	(void)block;
	return atomic_load(&bench->owns);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	rig_init(&bench->rig);
	fake_peers_attach(&bench->peers, &bench->rig, NULL);
	fake_store.directory_count = 1;
	bench->object = rig_open(&bench->rig, "a", SIZE);
	atomic_store(&bench->owns, true);
	bench->peers.owns = true;
	bench->take = (struct take){ bench->rig.cache, clock_system(), bench, owns };
	bench->asked = (struct peer_inquire){
		.topic = PEER_TOPIC_TAKE,
		.version = { "fake", "bucket", "a", "etag", SIZE },
		.dataset = "/data",
		.take = { .first = 0, .blocks = (UINT64_C(1) << BLOCKS) - 1 },
	};
	bench->deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	cache_object_put(bench->object);
	fake_peers_stop(&bench->peers);
	rig_fini(&bench->rig);
	free(bench);
	return 0;
}

static void *run(void *argument)
{
	const struct member_id from = { .bytes = { 7 } };
	struct bench *bench = argument;

	bench->status = take_run(&bench->take, &bench->asked, &from, bench->deadline_ns,
				 &bench->stopping, &bench->taken);
	atomic_store(&bench->over, true);
	return NULL;
}

static void start(struct bench *bench)
{
	assert_int_equal(thread_start(&bench->thread, "take", run, bench), 0);
}

static int join(struct bench *bench)
{
	pthread_join(bench->thread, NULL);
	return bench->status;
}

static void answer(struct bench *bench, enum peer_outcome outcome)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), outcome, 0, true);
}

static void test_take__of_what_others_have__all_is_on_the_ssd_a_few_at_a_time(void **state)
{
	struct bench *bench = *state;

	start(bench);
	fake_peers_await(&bench->peers, TAKE_STAGES_MAX - 1);
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_true(fake_peers_pending(&bench->peers) <= TAKE_STAGES_MAX);
		answer(bench, PEER_FETCHED);
	}
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, bench->asked.take.blocks);
	assert_int_equal(bench->taken.bytes, SIZE);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(fake_store_holds(bench->object, i));
}

static void test_take__of_what_is_here__brings_nothing(void **state)
{
	struct bench *bench = *state;
	struct reader reader;

	/* block 3 in the window only, as somebody else's; 5 on the SSD */
	bench->peers.owns = false;
	reader_start(&reader, &bench->rig, bench->object, 3 * RIG_BLOCK, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	reader_check(&reader);
	assert_false(fake_store_holds(bench->object, 3));
	fake_store_put(bench->object, 5);
	bench->peers.owns = true;
	bench->asked.take = (struct peer_take){ .first = 3, .blocks = 5 };
	start(bench);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 5);
	assert_int_equal(bench->taken.bytes, 0);
	assert_true(fake_store_holds(bench->object, 3));
	assert_int_equal(fake_peers_started(&bench->peers), 1);
}

static void test_take__nobody_has_it__comes_from_the_backing_store(void **state)
{
	struct bench *bench = *state;

	bench->asked.take.blocks = 1;
	fake_backing_automatic(&bench->rig.backing);
	start(bench);
	answer(bench, PEER_MISSED);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 1);
	assert_int_equal(bench->taken.bytes, RIG_BLOCK);
	assert_true(fake_store_holds(bench->object, 0));
}

static void test_take__no_room__says_so_and_brings_nothing(void **state)
{
	struct bench *bench = *state;

	fake_store.refuse = true;
	fake_store_put(bench->object, 1);
	start(bench);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 2);
	assert_int_equal(bench->taken.bytes, 0);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
}

static void test_take__ssd_fails_while_it_writes__is_not_told_as_there(void **state)
{
	struct bench *bench = *state;

	bench->asked.take.blocks = 1;
	fake_store.write_status = -EIO;
	start(bench);
	answer(bench, PEER_FETCHED);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 0);
}

static void test_take__of_what_is_not_ours__waits_for_the_placement(void **state)
{
	struct bench *bench = *state;

	atomic_store(&bench->owns, false);
	bench->asked.take.blocks = 1;
	start(bench);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
	atomic_store(&bench->owns, true);
	answer(bench, PEER_FETCHED);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 1);
}

struct passing {
	struct bench *bench;
	struct clock_manual *clock;
};

static bool is_over_in_time(void *context)
{
	struct passing *passing = context;

	clock_manual_advance(passing->clock, NS_PER_S);
	return atomic_load(&passing->bench->over);
}

static void test_take__never_ours__is_left_alone(void **state)
{
	struct bench *bench = *state;
	struct clock_manual clock;
	struct passing passing = { bench, &clock };

	clock_manual_init(&clock, NS_PER_S, 0);
	bench->take.clock = &clock.clock;
	bench->deadline_ns = 3600 * NS_PER_S;
	bench->asked.take.blocks = 3;
	atomic_store(&bench->owns, false);
	fake_store_put(bench->object, 1);
	start(bench);
	rig_wait(is_over_in_time, &passing);
	assert_int_equal(join(bench), 0);
	assert_int_equal(bench->taken.blocks, 2);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
}

static void test_take__told_to_stop__gives_up(void **state)
{
	struct bench *bench = *state;

	start(bench);
	fake_peers_await(&bench->peers, TAKE_STAGES_MAX - 1);
	atomic_store(&bench->stopping, true);
	assert_int_equal(join(bench), -ECANCELED);
	assert_int_equal(fake_peers_started(&bench->peers), TAKE_STAGES_MAX);
}

static void test_take__late__tells_what_is_there(void **state)
{
	static const struct {
		bool any;
		int status;
	} rows[] = { { false, -ETIMEDOUT }, { true, 0 } };
	struct bench *bench = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct peer_fetch *ask;

		if (rows[i].any)
			fake_store_put(bench->object, BLOCKS - 1);
		bench->taken = (struct peer_taken){ 0 };
		bench->deadline_ns = clock_now_ns(clock_system()) + 50 * NS_PER_MS;
		start(bench);
		assert_int_equal(join(bench), rows[i].status);
		assert_int_equal(bench->taken.blocks,
				 rows[i].any ? UINT64_C(1) << (BLOCKS - 1) : 0);
		/* the fetches go on for the cache's sake */
		while (fake_peers_pending(&bench->peers) > 0) {
			ask = fake_peers_await(&bench->peers, 0);
			fake_peers_answer(&bench->peers, ask, PEER_FAILED, -EIO, true);
		}
	}
}

static void test_take__of_nonsense__is_an_error(void **state)
{
	static const struct {
		const char *backing;
		uint64_t first;
		int status;
	} rows[] = { { "none", 0, -ENODEV },
		     { "fake", BLOCKS, -EINVAL },
		     { "fake", UINT64_MAX - 70, -EINVAL } };
	struct bench *bench = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		bench->asked.version.backing = rows[i].backing;
		bench->asked.take = (struct peer_take){ rows[i].first, 9 };
		start(bench);
		assert_int_equal(join(bench), rows[i].status);
	}
}

#define TAKE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TAKE_TEST(test_take__of_what_others_have__all_is_on_the_ssd_a_few_at_a_time),
		TAKE_TEST(test_take__of_what_is_here__brings_nothing),
		TAKE_TEST(test_take__nobody_has_it__comes_from_the_backing_store),
		TAKE_TEST(test_take__no_room__says_so_and_brings_nothing),
		TAKE_TEST(test_take__ssd_fails_while_it_writes__is_not_told_as_there),
		TAKE_TEST(test_take__of_what_is_not_ours__waits_for_the_placement),
		TAKE_TEST(test_take__never_ours__is_left_alone),
		TAKE_TEST(test_take__told_to_stop__gives_up),
		TAKE_TEST(test_take__late__tells_what_is_there),
		TAKE_TEST(test_take__of_nonsense__is_an_error),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

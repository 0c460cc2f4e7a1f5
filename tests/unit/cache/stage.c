/*
 * Tests of stage.c: units for peers, from wherever they are. What `local` changes is in
 * stage_local.c, who gets a frame in stage_frames.c, what peers see of the window in
 * stage_window.c.
 */
#include "cache/stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/rig_peers.h"

/* Brings a block into the window. */
static void read_in(struct peers_rig *bench, struct cache_object *object, uint64_t off, bool random)
{
	struct reader reader;

	reader_start(&reader, &bench->rig, object, off, 10, random);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	reader_check(&reader);
}

static void test_stage__in_the_window__is_told_at_once(void **state)
{
	/* 9 MiB and 77 bytes: blocks 0, 1 and a rest; granule 32 came by itself */
	static const uint64_t rows[] = {
		UNIT_BLOCK(0),
		UNIT_BLOCK(2),
		UNIT_GRANULE(0),
		UNIT_GRANULE(63),
		UNIT_GRANULE(2 * 64 + 1),
		UNIT_GRANULE(9 * 16),
		UNIT_GRANULE(64 + 32),
	};
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 9 * MIB + 77);

	read_in(bench, object, 0, false);
	read_in(bench, object, 8 * MIB, false);
	read_in(bench, object, 6 * MIB, true);
	for (int local = 0; local < 2; local++) {
		for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
			struct stager stager;

			stager_start(&stager, rig, "a", 9 * MIB + 77, rows[i], local);
			assert_true(stager_is_done(&stager));
			stager_check(&stager, CACHE_ORIGIN_WINDOW);
		}
	}
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_PINNED), 0);
	cache_object_put(object);
}

static void test_stage__on_the_ssd__is_read_from_there(void **state)
{
	static const struct {
		uint64_t index;
		unsigned granules; /* read from the SSD */
		bool local;
	} rows[] = {
		{ UNIT_BLOCK(0), 64, false },
		{ UNIT_BLOCK(0), 64, true },
		{ UNIT_GRANULE(64 + 5), 1, false },
		{ UNIT_GRANULE(64 + 5), 1, true },
	};
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	bench->peers.owns = true;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, 8 * MIB);
		unsigned before = fake_store.granules_read;
		struct stager stager;

		fake_store_put(object, 0);
		fake_store_put(object, 1);
		stager_start(&stager, rig, key, 8 * MIB, rows[i].index, rows[i].local);
		stager_check(&stager, CACHE_ORIGIN_SSD);
		assert_int_equal(fake_store.granules_read - before, rows[i].granules);
		cache_object_put(object);
	}
	assert_int_equal(fake_peers_started(&bench->peers), 0);
}

static void test_stage__nowhere_here__is_fetched_and_kept_if_placed_or_the_only_one(void **state)
{
	static const struct {
		enum peer_outcome outcome;
		enum cache_origin origin;
		bool owned, kept;
	} rows[] = {
		{ PEER_FETCHED, CACHE_ORIGIN_PEER, true, true },
		{ PEER_FETCHED, CACHE_ORIGIN_PEER, false, false },
		{ PEER_MISSED, CACHE_ORIGIN_BACKING, true, true },
		{ PEER_MISSED, CACHE_ORIGIN_BACKING, false, true },
	};
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, 5 * MIB);
		struct stager stager;
		struct peer_fetch *ask;

		bench->peers.owns = rows[i].owned;
		stager_start(&stager, rig, key, 5 * MIB, UNIT_BLOCK(1), false);
		ask = fake_peers_await(&bench->peers, 0);
		assert_true(ask->serving); /* nobody is asked to ask others in turn */
		assert_int_equal(ask->deadline_ns, stager.stage.deadline_ns);
		fake_peers_answer(&bench->peers, ask, rows[i].outcome, 0, rows[i].owned);
		if (rows[i].outcome == PEER_MISSED)
			fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		stager_check(&stager, rows[i].origin);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		assert_int_equal(fake_store_holds(object, 1), rows[i].kept);
		cache_object_put(object);
	}
}

static void test_stage__granule__takes_what_a_small_random_read_takes(void **state)
{
	static const struct {
		bool owns, refuse;
		uint64_t index; /* of the unit that is fetched */
	} rows[] = {
		{ true, false, UNIT_BLOCK(1) },
		{ true, true, UNIT_GRANULE(64 + 7) },
		{ false, false, UNIT_GRANULE(64 + 7) },
	};
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct stager stager;
		struct peer_fetch *ask;

		bench->peers.owns = rows[i].owns;
		fake_store.refuse = rows[i].refuse;
		stager_start(&stager, rig, key, 8 * MIB, UNIT_GRANULE(64 + 7), false);
		ask = fake_peers_await(&bench->peers, 0);
		assert_int_equal(ask->key.index, rows[i].index);
		fake_peers_answer(&bench->peers, ask, PEER_FETCHED, 0, rows[i].owns);
		stager_check(&stager, CACHE_ORIGIN_PEER);
	}
}

static void test_stage__granule_of_a_block_under_way__comes_as_soon_as_it_is_there(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;
	struct stager early, late;
	struct backing_get *get;

	reader_start(&reader, rig, object, 4 * MIB - 10, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, false);
	get = fake_backing_await(&rig->backing, 0);
	stager_start(&early, rig, "a", 4 * MIB, UNIT_GRANULE(1), false);
	stager_start(&late, rig, "a", 4 * MIB, UNIT_GRANULE(63), false);
	fake_backing_progress(get, KIB * 128 - 1);
	assert_false(stager_is_done(&early));
	fake_backing_progress(get, KIB * 128);
	stager_check(&early, CACHE_ORIGIN_BACKING);
	assert_false(stager_is_done(&late));
	fake_backing_finish(&rig->backing, get, 0);
	stager_check(&late, CACHE_ORIGIN_BACKING);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_stage__makes_no_sense__is_refused_at_once(void **state)
{
	static const struct {
		const char *backing;
		uint64_t size, index;
		int status;
	} rows[] = {
		{ "other", MIB, UNIT_BLOCK(0), -ENODEV },
		{ "", MIB, UNIT_BLOCK(0), -ENODEV },
		{ "fake", 0, UNIT_BLOCK(0), -EINVAL },
		{ "fake", 0, UNIT_GRANULE(0), -EINVAL },
		{ "fake", 4 * MIB, UNIT_BLOCK(1), -EINVAL },
		{ "fake", 4 * MIB, UNIT_GRANULE(64), -EINVAL },
		{ "fake", 4 * MIB, UINT64_MAX, -EINVAL },
		{ "fake", 4 * MIB, UINT64_MAX - 1, -EINVAL },
		{ "fake", UINT64_MAX, UINT64_MAX, -EINVAL },
		{ "fake", UINT64_MAX, UINT64_MAX - 1, -EINVAL },
	};
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct stager stager;

		stager_start(&stager, rig, "a", MIB, UNIT_BLOCK(0), true);
		assert_int_equal(stager_wait(&stager), -ENOENT);
		stager.done_count = 0;
		stager.stage.local = i % 2;
		stager.stage.version.backing = rows[i].backing;
		stager.stage.version.size = rows[i].size;
		stager.stage.index = rows[i].index;
		cache_stage_start(rig->cache, &stager.stage);
		assert_int_equal(stager_wait(&stager), rows[i].status);
		cache_stage_cancel(&stager.stage); /* as an owner may whose peer has left */
		assert_int_equal(stager.done_count, 1);
	}
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
}

static void test_stage__fails__gives_the_status_and_holds_nothing(void **state)
{
	static const int errors[] = { -ENOENT, -EACCES, -ESTALE, -EIO };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		struct stager stager;

		stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0,
				  true);
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), errors[i]);
		assert_int_equal(stager_wait(&stager), errors[i]);
		assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
		assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	}
}

static void test_stage__time_is_over__ends_with_that(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct stager later, soon;

	stager_start(&later, rig, "a", 8 * MIB, UNIT_BLOCK(0), false);
	stager_start(&soon, rig, "b", 8 * MIB, UNIT_BLOCK(1), false);
	cache_stage_cancel(&soon.stage);
	assert_int_equal(stager_wait(&soon), -ECANCELED);
	soon.done_count = 0;
	soon.stage.deadline_ns = clock_now_ns(&rig->clock.clock) + NS_PER_S;
	cache_stage_start(rig->cache, &soon.stage);
	clock_manual_advance(&rig->clock, NS_PER_S);
	assert_int_equal(stager_wait(&soon), -ETIMEDOUT);
	assert_false(stager_is_done(&later));
	clock_manual_advance(&rig->clock, rig->config.read_timeout - NS_PER_S);
	assert_int_equal(stager_wait(&later), -ETIMEDOUT);
}

static void test_stage__cancelled__ends_and_the_fill_goes_on(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct stager stager;

	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	cache_stage_cancel(&stager.stage);
	assert_int_equal(stager_wait(&stager), -ECANCELED);
	cache_stage_cancel(&stager.stage);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), true);
	stager_check(&stager, CACHE_ORIGIN_WINDOW);
}

static void test_stage__of_many_at_once__costs_one_fetch(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct stager stagers[8];
	struct reader reader;

	/* this node owns the block: its own reader asks for no more than a stage would */
	bench->peers.owns = true;
	reader_start(&reader, rig, object, 0, 10, false);
	for (unsigned i = 0; i < ARRAY_COUNT(stagers); i++)
		stager_start(&stagers[i], rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	assert_int_equal(fake_peers_pending(&bench->peers), 1);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&reader);
	for (unsigned i = 0; i < ARRAY_COUNT(stagers); i++)
		stager_check(&stagers[i], CACHE_ORIGIN_BACKING);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 1);
	assert_int_equal(rig_counter(rig, CACHE_JOINED), 8);
	cache_object_put(object);
}

/* A asks B and B asks A for the same unit, as their placements differ: neither may wait. */
static void test_stage__asked_for_here_by_a_reader__does_not_wait_for_it(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;
	struct stager stager;
	struct peer_fetch *ask;

	reader_start(&reader, rig, object, 0, 10, false);
	ask = fake_peers_await(&bench->peers, 0);
	assert_false(ask->serving);
	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	assert_int_equal(stager_wait(&stager), -EAGAIN);
	assert_true(ask->serving); /* the asking side gives up as soon as it can */
	assert_false(reader_is_done(&reader));
	fake_peers_answer(&bench->peers, ask, PEER_MISSED, 0, false);
	/* tried again, as owners tell their peers to */
	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	assert_false(stager_is_done(&stager));
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	stager_check(&stager, CACHE_ORIGIN_BACKING);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_stage__waits_when_the_ssd_fails_a_reader__others_are_asked_to_serve(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;
	struct stager stager;
	struct peer_fetch *ask;

	fake_store_put(object, 0);
	fake_store.read_status = -EBADMSG;
	fake_store.hold_reads = true;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_store_wait_reads_started(1);
	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	fake_store_let_go();
	ask = fake_peers_await(&bench->peers, 0);
	assert_true(ask->serving);
	fake_peers_answer(&bench->peers, ask, PEER_FETCHED, 0, false);
	stager_check(&stager, CACHE_ORIGIN_PEER);
	reader_check(&reader);
	cache_object_put(object);
}

static void test_stage__for_a_peer__counts_as_no_read(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct stager stager;

	stager_start(&stager, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	stager_check(&stager, CACHE_ORIGIN_PEER);
	stager_start(&stager, rig, "b", 4 * MIB, UNIT_BLOCK(0), false);
	cache_stage_cancel(&stager.stage);
	assert_int_equal(stager_wait(&stager), -ECANCELED);
	assert_int_equal(rig_counter(rig, CACHE_READS), 0);
	assert_int_equal(rig_counter(rig, CACHE_READ_BYTES), 0);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_PEER), 0);
	assert_int_equal(rig_counter(rig, CACHE_READ_CANCELLED), 0);
	assert_int_equal(rig_counter(rig, CACHE_PEER_BYTES), 4 * MIB);
}

static void test_stop__stages_wait__ends_them(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "b", 4 * MIB);
	struct cache_object *there = rig_open(rig, "a", 4 * MIB);
	struct stager asking, reading, late, hit;

	read_in(bench, there, 0, false);
	fake_store_put(object, 0);
	fake_store.hold_reads = true;
	stager_start(&asking, rig, "c", 4 * MIB, UNIT_BLOCK(0), false);
	stager_start(&reading, rig, "b", 4 * MIB, UNIT_BLOCK(0), true);
	fake_store_wait_reads_started(1);
	fake_peers_stop(&bench->peers);
	assert_int_equal(stager_wait(&asking), -ECANCELED);
	cache_stop(rig->cache);
	assert_int_equal(stager_wait(&reading), -ECANCELED);
	stager_start(&late, rig, "c", 4 * MIB, UNIT_BLOCK(0), false);
	assert_int_equal(stager_wait(&late), -ECANCELED);
	stager_start(&hit, rig, "a", 4 * MIB, UNIT_BLOCK(0), false);
	stager_check(&hit, CACHE_ORIGIN_WINDOW);
	cache_object_put(object);
	cache_object_put(there);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_rig_set_up, peers_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stage__in_the_window__is_told_at_once),
		TEST(test_stage__on_the_ssd__is_read_from_there),
		TEST(test_stage__nowhere_here__is_fetched_and_kept_if_placed_or_the_only_one),
		TEST(test_stage__granule__takes_what_a_small_random_read_takes),
		TEST(test_stage__granule_of_a_block_under_way__comes_as_soon_as_it_is_there),
		TEST(test_stage__makes_no_sense__is_refused_at_once),
		TEST(test_stage__fails__gives_the_status_and_holds_nothing),
		TEST(test_stage__time_is_over__ends_with_that),
		TEST(test_stage__cancelled__ends_and_the_fill_goes_on),
		TEST(test_stage__of_many_at_once__costs_one_fetch),
		TEST(test_stage__asked_for_here_by_a_reader__does_not_wait_for_it),
		TEST(test_stage__waits_when_the_ssd_fails_a_reader__others_are_asked_to_serve),
		TEST(test_stage__for_a_peer__counts_as_no_read),
		TEST(test_stop__stages_wait__ends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

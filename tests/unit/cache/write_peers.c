/*
 * Tests of write.c among peers: who may lose what the SSD has not got yet, who waits for it, and
 * for how long. The store holds what it is given until the test lets go; nothing else moves but
 * what the test moves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/rig_peers.h"

#define SIZE	(64 * RIG_BLOCK)
#define LENT	4 /* blocks: a quarter of the arena */
#define PATIENT (30 * NS_PER_S / 8)

static int set_up(void **state)
{
	struct peers_rig *bench = peers_rig_create();

	bench->peers.owns = true;
	bench->rig.cache->replicate = true;
	bench->object = rig_open(&bench->rig, "a", SIZE);
	fake_store.hold_writes = true;
	*state = bench;
	return 0;
}

static int start_reader(struct peers_rig *bench, struct reader *reader, uint64_t block)
{
	return reader_start(reader, &bench->rig, bench->object, block * RIG_BLOCK, 10, false);
}

/* Answers what is asked of peers: they have not got it, and the backing store brings it. */
static void fetch(struct peers_rig *bench)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
	fake_backing_finish(&bench->rig.backing, fake_backing_await(&bench->rig.backing, 0), 0);
}

/* Reads @count blocks from @first on, which this node owns and fetches from the backing store. */
static void read_own(struct peers_rig *bench, uint64_t first, uint64_t count)
{
	struct reader reader;

	for (uint64_t block = first; block < first + count; block++) {
		start_reader(bench, &reader, block);
		fetch(bench);
		reader_check(&reader);
	}
}

/* ... which their owner has. */
static void read_copies(struct peers_rig *bench, uint64_t first, uint64_t count)
{
	struct reader reader;

	for (uint64_t block = first; block < first + count; block++) {
		start_reader(bench, &reader, block);
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED,
				  0, false);
		reader_check(&reader);
	}
}

static bool has(struct peers_rig *bench, uint64_t block)
{
	const struct window_key key = window_block_key(cache_object_id(bench->object), block);
	struct cache *cache = bench->rig.cache;
	bool found;

	pthread_mutex_lock(&cache->lock);
	found = window_find(&cache->window, &key) != NULL;
	pthread_mutex_unlock(&cache->lock);
	return found;
}

/* Time passes, and who waits for frames tries again, as by the timer. */
static void pass(struct peers_rig *bench, uint64_t time_ns)
{
	struct cache *cache = bench->rig.cache;
	struct cache_work work;

	clock_manual_advance(&bench->rig.clock, time_ns);
	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
}

/* As if the store had given something back just now. */
static void store_moves(struct peers_rig *bench)
{
	struct cache *cache = bench->rig.cache;

	pthread_mutex_lock(&cache->lock);
	cache->written_ns = clock_now_ns(cache->clock);
	pthread_mutex_unlock(&cache->lock);
}

static void check_on_ssd(struct peers_rig *bench, uint64_t first, uint64_t count)
{
	assert_int_equal(cache_flush(bench->rig.cache, RIG_WAIT_NS), 0);
	for (uint64_t block = first; block < first + count; block++)
		assert_true(fake_store_holds(bench->object, block));
}

static void test_read__all_is_unwritten__waits_for_the_ssd_and_loses_nothing(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct reader reader;

	read_own(bench, 0, RIG_BLOCKS);
	assert_int_equal(fake_store.writes_started, LENT);
	assert_int_equal(start_reader(bench, &reader, RIG_BLOCKS), 0);
	pass(bench, PATIENT - 1);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	fake_store_let_go();
	fetch(bench);
	reader_check(&reader);
	check_on_ssd(bench, 0, RIG_BLOCKS + 1);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), 1);
	assert_int_equal(rig_counter(rig, CACHE_STORE_SKIPPED), 0);
	assert_int_equal(fake_backing_started(&rig->backing), RIG_BLOCKS + 1);
}

static void test_read__the_ssd_is_slow__loses_the_oldest_when_its_patience_ends(void **state)
{
	struct peers_rig *bench = *state;
	struct reader reader;

	read_own(bench, 0, RIG_BLOCKS);
	clock_manual_advance(&bench->rig.clock, NS_PER_S);
	assert_int_equal(start_reader(bench, &reader, RIG_BLOCKS), 0);
	store_moves(bench);
	pass(bench, PATIENT - 1);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	store_moves(bench);
	pass(bench, 1);
	fetch(bench);
	reader_check(&reader);
	assert_false(has(bench, LENT)); /* those before it are with the store */
	assert_true(has(bench, LENT - 1) && has(bench, LENT + 1));
	assert_int_equal(rig_counter(&bench->rig, CACHE_STORE_LOST), 1);
}

/* The first one finds out for all: who comes after it does not wait at all. */
static void test_read__the_ssd_hangs__is_waited_for_once(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct reader reader;

	read_own(bench, 0, RIG_BLOCKS);
	clock_manual_advance(&rig->clock, PATIENT - NS_PER_S);
	assert_int_equal(start_reader(bench, &reader, RIG_BLOCKS), 0);
	pass(bench, NS_PER_S);
	fetch(bench);
	reader_check(&reader);
	read_own(bench, RIG_BLOCKS + 1, RIG_BLOCKS);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), 1);
	assert_int_equal(rig_counter(rig, CACHE_STORE_LOST), RIG_BLOCKS + 1);
	store_moves(bench); /* and again, as it has come back */
	assert_int_equal(start_reader(bench, &reader, 3 * RIG_BLOCKS), 0);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	fake_store_let_go();
	fetch(bench);
	reader_check(&reader);
}

static void test_read__the_ssd_takes_nothing__nobody_waits(void **state)
{
	static const struct {
		bool refuse;
		int write_status;
	} rows[] = { { .refuse = true }, { false, -ENOSPC }, { false, -EIO } };
	struct peers_rig *bench = *state;

	fake_store_let_go();
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		fake_store.refuse = rows[i].refuse;
		fake_store.write_status = rows[i].write_status;
		for (uint64_t block = i * RIG_BLOCKS; block < (i + 1) * RIG_BLOCKS; block++) {
			read_own(bench, block, 1);
			assert_int_equal(cache_flush(bench->rig.cache, RIG_WAIT_NS), 0);
		}
	}
	assert_int_equal(rig_counter(&bench->rig, CACHE_MEMORY_WAITS), 0);
	assert_int_equal(rig_counter(&bench->rig, CACHE_STORE_LOST), 0);
}

static void test_read__some_are_copies__takes_those_at_once(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct reader reader;

	read_own(bench, 0, 10);
	read_copies(bench, 10, 6);
	for (uint64_t i = 0; i < 6; i++) {
		read_own(bench, RIG_BLOCKS + i, 1);
		assert_false(has(bench, 10 + i));
	}
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_WAITS), 0);
	assert_int_equal(rig_counter(rig, CACHE_STORE_SKIPPED), 6);
	assert_int_equal(rig_counter(rig, CACHE_STORE_LOST), 0);
	assert_int_equal(start_reader(bench, &reader, 3 * RIG_BLOCKS), 0);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	fake_store_let_go();
	fetch(bench);
	reader_check(&reader);
	check_on_ssd(bench, 0, 10);
	check_on_ssd(bench, RIG_BLOCKS, 6);
}

/* What nobody had is the only copy, whoever is to own it; what came from a former owner is this
 * node's now. */
static void test_read__fetched_for_others_or_from_former_owners__are_no_copies(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct reader reader;

	for (uint64_t block = 0; block < RIG_BLOCKS; block++) {
		bool missed = block % 2;

		start_reader(bench, &reader, block);
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0),
				  missed ? PEER_MISSED : PEER_FETCHED, 0, !missed);
		if (missed)
			fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		reader_check(&reader);
	}
	assert_int_equal(start_reader(bench, &reader, RIG_BLOCKS), 0);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	fake_store_let_go();
	fetch(bench);
	reader_check(&reader);
	check_on_ssd(bench, 0, RIG_BLOCKS + 1);
}

static void test_write__own_and_copies__own_ones_find_room_in_the_store(void **state)
{
	struct peers_rig *bench = *state;

	read_own(bench, 0, 1);
	read_copies(bench, 1, 5);
	assert_int_equal(fake_store.writes_started, LENT / 2);
	read_own(bench, 6, 3);
	assert_int_equal(fake_store.writes_started, LENT);
	fake_store_let_go();
	check_on_ssd(bench, 0, 9);
}

static void test_write__some_are_given_back__the_store_moves(void **state)
{
	struct peers_rig *bench = *state;
	struct cache *cache = bench->rig.cache;

	read_own(bench, 0, 1);
	clock_manual_advance(&bench->rig.clock, PATIENT);
	fake_store_let_go();
	check_on_ssd(bench, 0, 1);
	pthread_mutex_lock(&cache->lock);
	assert_int_equal(cache->written_ns, clock_now_ns(cache->clock));
	pthread_mutex_unlock(&cache->lock);
}

static void test_write__copies_alone__have_all_the_room(void **state)
{
	struct peers_rig *bench = *state;

	read_copies(bench, 0, 5);
	assert_int_equal(fake_store.writes_started, LENT);
	fake_store_let_go();
	check_on_ssd(bench, 0, 5);
}

static void test_keep__of_a_copy__is_written_as_an_own_one(void **state)
{
	struct peers_rig *bench = *state;
	struct stager stager;

	fake_store.directory_count = 1;
	read_own(bench, 0, 1);
	read_copies(bench, 1, LENT / 2); /* the last one waits */
	assert_int_equal(fake_store.writes_started, LENT / 2);
	stager_start(&stager, &bench->rig, "a", SIZE, UNIT_BLOCK(LENT / 2), false);
	assert_int_equal(cache_stage_keep(&stager.stage), -EAGAIN);
	assert_int_equal(fake_store.writes_started, LENT / 2 + 1);
	fake_store_let_go();
	check_on_ssd(bench, 0, LENT / 2 + 1);
	assert_int_equal(cache_stage_keep(&stager.stage), 0);
	stager_check(&stager, CACHE_ORIGIN_WINDOW);
}

static void test_stage__all_is_unwritten__waits_as_readers_do(void **state)
{
	struct peers_rig *bench = *state;
	struct stager serve, forward;

	read_own(bench, 0, RIG_BLOCKS);
	fake_store_put(bench->object, 40);
	stager_start(&serve, &bench->rig, "a", SIZE, UNIT_BLOCK(41), false);
	stager_start(&forward, &bench->rig, "a", SIZE, UNIT_BLOCK(40), true);
	pass(bench, PATIENT - 1);
	assert_int_equal(fake_peers_pending(&bench->peers), 0);
	assert_int_equal(fake_store.reads, 0);
	fake_store_let_go();
	stager_check(&forward, CACHE_ORIGIN_SSD);
	fetch(bench);
	stager_check(&serve, CACHE_ORIGIN_BACKING);
	check_on_ssd(bench, 0, RIG_BLOCKS);
	assert_int_equal(rig_counter(&bench->rig, CACHE_STORE_SKIPPED), 0);
}

static void test_stage__its_time_was_over_before_it_began__does_not_wait_for_ever(void **state)
{
	struct peers_rig *bench = *state;
	struct stager stager;

	read_own(bench, 0, RIG_BLOCKS);
	bench->rig.config.read_timeout = UINT64_C(0) - NS_PER_MS;
	stager_start(&stager, &bench->rig, "a", SIZE, UNIT_BLOCK(41), false);
	assert_int_equal(stager_wait(&stager), -ETIMEDOUT);
	assert_int_equal(rig_counter(&bench->rig, CACHE_STORE_LOST), 1);
	fetch(bench);
}

static void test_prefetch__half_of_memory_is_unwritten__is_refused(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache *cache = rig->cache;
	uint64_t off = 2 * RIG_MEMORY;

	read_copies(bench, 40, 2); /* do not count */
	read_own(bench, 0, RIG_BLOCKS / 2 - 1);
	assert_int_equal(cache_prefetch(cache, bench->object, off, 2 * RIG_BLOCK), RIG_BLOCK);
	fetch(bench);
	assert_int_equal(cache_prefetch(cache, bench->object, off + RIG_BLOCK, RIG_BLOCK), 0);
	assert_int_equal(rig_counter(rig, CACHE_PREFETCH_DROPPED), 2);
	read_own(bench, 30, 1); /* a reader gets a frame all the same */
	fake_store_let_go();
	assert_int_equal(cache_flush(cache, RIG_WAIT_NS), 0);
	assert_int_equal(cache_prefetch(cache, bench->object, off + RIG_BLOCK, RIG_BLOCK),
			 RIG_BLOCK);
}

static void test_prefetch__the_ssd_hangs__goes_on(void **state)
{
	struct peers_rig *bench = *state;
	struct cache *cache = bench->rig.cache;

	read_own(bench, 0, RIG_BLOCKS / 2);
	assert_int_equal(cache_prefetch(cache, bench->object, RIG_MEMORY, RIG_BLOCK), 0);
	clock_manual_advance(&bench->rig.clock, PATIENT);
	assert_int_equal(cache_prefetch(cache, bench->object, RIG_MEMORY, RIG_BLOCK), RIG_BLOCK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, peers_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read__all_is_unwritten__waits_for_the_ssd_and_loses_nothing),
		TEST(test_read__the_ssd_is_slow__loses_the_oldest_when_its_patience_ends),
		TEST(test_read__the_ssd_hangs__is_waited_for_once),
		TEST(test_read__the_ssd_takes_nothing__nobody_waits),
		TEST(test_read__some_are_copies__takes_those_at_once),
		TEST(test_read__fetched_for_others_or_from_former_owners__are_no_copies),
		TEST(test_write__own_and_copies__own_ones_find_room_in_the_store),
		TEST(test_write__some_are_given_back__the_store_moves),
		TEST(test_write__copies_alone__have_all_the_room),
		TEST(test_keep__of_a_copy__is_written_as_an_own_one),
		TEST(test_stage__all_is_unwritten__waits_as_readers_do),
		TEST(test_stage__its_time_was_over_before_it_began__does_not_wait_for_ever),
		TEST(test_prefetch__half_of_memory_is_unwritten__is_refused),
		TEST(test_prefetch__the_ssd_hangs__goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of fill_peers.c: other nodes between the SSD and the backing store.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/store/store.h"
#include "tests/unit/cache/rig_peers.h"

static void test_fill__peers_have_it__costs_the_backing_store_nothing(void **state)
{
	static const struct {
		bool placed;
		uint64_t size;
	} rows[] = { { false, 9 * MIB }, { true, 9 * MIB }, { true, 4 * MIB + 77 }, { true, 100 } };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, rows[i].size);
		uint64_t last = (rows[i].size - 1) / RIG_BLOCK;
		struct reader reader;
		struct peer_fetch *ask;

		reader_start(&reader, rig, object, rows[i].size - 9, 9, false);
		ask = fake_peers_await(&bench->peers, 0);
		assert_int_equal(ask->block, last);
		assert_int_equal(ask->key.index, last << 1);
		assert_int_equal(ask->len, rows[i].size - last * RIG_BLOCK);
		assert_int_equal(ask->deadline_ns,
				 clock_now_ns(&rig->clock.clock) + rig->config.read_timeout);
		assert_false(reader_is_done(&reader));
		fake_peers_answer(&bench->peers, ask, PEER_FETCHED, 0, rows[i].placed);
		reader_check(&reader);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		assert_int_equal(fake_store_holds(object, last), rows[i].placed);
		cache_object_put(object);
	}
	assert_true(fake_store.last_padding_clear);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_PEER), 9 * ARRAY_COUNT(rows));
	assert_int_equal(rig_counter(rig, CACHE_PEER_FETCHES), ARRAY_COUNT(rows));
	assert_int_equal(rig_counter(rig, CACHE_PEER_BYTES), MIB + MIB + 77 + 100);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 0);
}

static void test_fill__nobody_has_it__comes_from_the_backing_store_and_is_kept(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (int placed = 0; placed < 2; placed++) {
		struct cache_object *object = rig_open(rig, placed ? "a" : "b", 4 * MIB);
		struct reader reader;

		reader_start(&reader, rig, object, 0, 10, false);
		assert_int_equal(fake_backing_pending(&rig->backing), 0);
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0,
				  placed);
		fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
		reader_check(&reader);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		assert_true(fake_store_holds(object, 0)); /* it is the only one */
		cache_object_put(object);
	}
	assert_int_equal(rig_counter(rig, CACHE_BYTES_BACKING), 20);
	assert_int_equal(rig_counter(rig, CACHE_PEER_FETCHES), 0);
}

static void test_fill__peers_bring_an_error__is_that_of_all_who_wait(void **state)
{
	static const int errors[] = { -ENOENT, -EACCES, -EIO, -ESTALE };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		struct reader first, second;

		assert_false(cache_object_stale(object));
		reader_start(&first, rig, object, 0, 10, false);
		reader_start(&second, rig, object, 3 * MIB, 10, false);
		assert_int_equal(fake_peers_pending(&bench->peers), 1);
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FAILED,
				  errors[i], false);
		assert_int_equal(reader_wait(&first), errors[i]);
		assert_int_equal(reader_wait(&second), errors[i]);
	}
	assert_true(cache_object_stale(object));
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	assert_int_equal(rig_counter(rig, CACHE_STALE), 1);
	cache_object_put(object);
}

static void test_fill__peers_fail_for_now__are_asked_again(void **state)
{
	static const int errors[] = { -EAGAIN, -ETIMEDOUT, -EAGAIN };
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	reader_start(&reader, rig, object, 0, 10, false);
	for (unsigned i = 0; i < ARRAY_COUNT(errors); i++) {
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FAILED,
				  errors[i], false);
		assert_false(reader_is_done(&reader));
		clock_manual_advance(&rig->clock, NS_PER_S);
	}
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	reader_check(&reader);
	assert_int_equal(fake_peers_started(&bench->peers), ARRAY_COUNT(errors) + 1);
	cache_object_put(object);
}

static void test_fill__peers_fail_when_time_is_over__is_an_error(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;
	struct peer_fetch *ask;

	reader_start(&reader, rig, object, 0, 10, false);
	ask = fake_peers_await(&bench->peers, 0);
	clock_manual_advance(&rig->clock, rig->config.read_timeout);
	fake_peers_answer(&bench->peers, ask, PEER_FAILED, -ETIMEDOUT, false);
	assert_int_equal(reader_wait(&reader), -ETIMEDOUT);
	assert_int_equal(fake_peers_started(&bench->peers), 1);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	cache_object_put(object);
}

static void test_fill__backing_was_asked__peers_are_not_asked_again(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader first, second;
	struct backing_get *get;

	reader_start(&first, rig, object, 0, 10, false);
	reader_start(&second, rig, object, 3 * MIB, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
	get = fake_backing_await(&rig->backing, 0);
	fake_backing_progress(get, MIB);
	reader_check(&first);
	fake_backing_finish(&rig->backing, get, -EAGAIN);
	clock_manual_advance(&rig->clock, NS_PER_S);
	get = fake_backing_await(&rig->backing, 0);
	assert_int_equal(get->off, MIB);
	fake_backing_finish(&rig->backing, get, 0);
	reader_check(&second);
	assert_int_equal(fake_peers_started(&bench->peers), 1);
	cache_object_put(object);
}

static void test_fill__on_the_ssd__asks_nobody(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	fake_store_put(object, 0);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_SSD), 10);
	cache_object_put(object);
}

static void test_fill__ssd_fails__is_repaired_by_peers(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	fake_store.read_status = -EBADMSG;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	reader_check(&reader);
	assert_int_equal(rig_counter(rig, CACHE_REPAIRED), 1);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_true(fake_store_holds(object, 0));
	cache_object_put(object);
}

static void test_fill__for_a_reader__serves_only_what_is_owned(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (int owns = 0; owns < 2; owns++) {
		struct cache_object *object = rig_open(rig, owns ? "a" : "b", 4 * MIB);
		struct reader reader;
		struct peer_fetch *ask;

		bench->peers.owns = owns;
		reader_start(&reader, rig, object, 0, 10, false);
		ask = fake_peers_await(&bench->peers, 0);
		assert_int_equal(ask->serving, owns);
		fake_peers_answer(&bench->peers, ask, PEER_FETCHED, 0, owns);
		reader_check(&reader);
		cache_object_put(object);
	}
}

static void test_fill__small_random_read__takes_granules_of_what_is_not_owned(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;

	for (int owns = 0; owns < 2; owns++) {
		struct cache_object *object = rig_open(rig, owns ? "a" : "b", 9 * MIB);
		struct reader reader;
		struct peer_fetch *ask;

		bench->peers.owns = owns;
		reader_start(&reader, rig, object, 5 * MIB + 3, 10, true);
		ask = fake_peers_await(&bench->peers, 0);
		assert_int_equal(ask->key.index, owns ? 1 << 1 : 5 * MIB / GRANULE_LEN << 1 | 1);
		assert_int_equal(ask->block, 1);
		assert_int_equal(ask->len, owns ? RIG_BLOCK : GRANULE_LEN);
		/* a granule is not a block: it is not kept, placed or not */
		fake_peers_answer(&bench->peers, ask, PEER_FETCHED, 0, true);
		reader_check(&reader);
		assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
		assert_int_equal(fake_store_holds(object, 1), owns);
		cache_object_put(object);
	}
}

static bool nothing_is_put_off(void *context)
{
	struct cache *cache = context;
	bool nothing;

	pthread_mutex_lock(&cache->lock);
	nothing = TAILQ_EMPTY(&cache->retries);
	pthread_mutex_unlock(&cache->lock);
	return nothing;
}

static void miss_next(struct peers_rig *bench)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
}

static void test_fill__prefetched_blocks_miss__are_fetched_together(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 16 * MIB);

	assert_int_equal(cache_prefetch(rig->cache, object, 0, 16 * MIB), 16 * MIB);
	assert_int_equal(fake_peers_pending(&bench->peers), 4);
	/* the timer's thread takes the first one and gets no further: then three come in */
	pthread_mutex_lock(&rig->backing.lock);
	miss_next(bench);
	rig_wait(nothing_is_put_off, rig->cache);
	for (unsigned i = 0; i < 3; i++)
		miss_next(bench);
	pthread_mutex_unlock(&rig->backing.lock);
	for (unsigned i = 0; i < 4; i++) {
		struct backing_get *get = fake_backing_await(&rig->backing, 0);

		assert_int_equal(get->off, i * RIG_BLOCK);
		assert_int_equal(get->next != NULL, i == 1 || i == 2);
		fake_backing_finish(&rig->backing, get, 0);
	}
	rig_read(rig, object, 15 * MIB, 10, false);
	assert_int_equal(rig_counter(rig, CACHE_FETCHES), 4);
	assert_int_equal(fake_peers_started(&bench->peers), 4);
	cache_object_put(object);
}

static void test_fill__reader_has_gone__keeps_its_frame_until_the_peers_are_done(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	reader_start(&reader, rig, object, 0, 10, false);
	cache_read_cancel(&reader.read);
	assert_int_equal(reader_wait(&reader), -ECANCELED);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_PINNED), RIG_BLOCK);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_PINNED), 0);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_MEMORY), 10);
	cache_object_put(object);
}

static void test_fill__of_an_object_not_worth_the_ssd__passes_it_by(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 9 * MIB);
	struct reader block, granule;

	object->transient = true;
	fake_store_put(object, 0);
	reader_start(&block, rig, object, 0, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	reader_check(&block);
	reader_start(&granule, rig, object, 5 * MIB, 10, true);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	reader_check(&granule);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_int_equal(fake_store.reads, 0);
	assert_int_equal(fake_store.writes_started, 0);
	cache_object_put(object);
}

static void test_counters__of_all_sources__add_up_to_what_was_read(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 16 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	rig_read(rig, object, 0, 1000, false);
	reader_start(&reader, rig, object, 4 * MIB, 200, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	reader_check(&reader);
	/* a read over two blocks: one is there, one comes */
	reader_start(&reader, rig, object, 8 * MIB - 5, 12, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, false);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	reader_check(&reader);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_SSD), 1000);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_PEER), 200);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_MEMORY), 5);
	assert_int_equal(rig_counter(rig, CACHE_BYTES_BACKING), 7);
	assert_int_equal(rig_counter(rig, CACHE_READ_BYTES), 1212);
	cache_object_put(object);
}

static void test_stop__while_peers_are_asked__ends_the_reader(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 16 * MIB);
	struct reader asked, paused, late;

	reader_start(&paused, rig, object, 0, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FAILED, -EAGAIN,
			  false);
	reader_start(&asked, rig, object, 4 * MIB, 10, false);
	fake_peers_await(&bench->peers, 0);
	fake_peers_stop(&bench->peers);
	assert_int_equal(reader_wait(&asked), -ECANCELED);
	/* done() runs inside the call now */
	reader_start(&late, rig, object, 8 * MIB, 10, false);
	assert_int_equal(reader_wait(&late), -ECANCELED);
	cache_stop(rig->cache);
	assert_int_equal(reader_wait(&paused), -ECANCELED);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_PINNED), 0);
	cache_object_put(object);
}

static void test_stop__while_a_prefetch_gathers__leaves_nothing(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 8 * MIB);

	cache_prefetch(rig->cache, object, 0, 8 * MIB);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
	fake_peers_stop(&bench->peers);
	cache_object_put(object); /* the rest is seen at the end: nothing is pinned */
}

static void test_stop__ssd_still_reads__ends_what_would_ask(void **state)
{
	struct peers_rig *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	fake_store.read_status = -EIO;
	fake_store.hold_reads = true;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_peers_stop(&bench->peers);
	cache_stop(rig->cache); /* the store lets its reads go then */
	assert_int_equal(reader_wait(&reader), -ECANCELED);
	assert_int_equal(fake_peers_started(&bench->peers), 0);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_rig_set_up, peers_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fill__peers_have_it__costs_the_backing_store_nothing),
		TEST(test_fill__nobody_has_it__comes_from_the_backing_store_and_is_kept),
		TEST(test_fill__peers_bring_an_error__is_that_of_all_who_wait),
		TEST(test_fill__peers_fail_for_now__are_asked_again),
		TEST(test_fill__peers_fail_when_time_is_over__is_an_error),
		TEST(test_fill__backing_was_asked__peers_are_not_asked_again),
		TEST(test_fill__on_the_ssd__asks_nobody),
		TEST(test_fill__ssd_fails__is_repaired_by_peers),
		TEST(test_fill__for_a_reader__serves_only_what_is_owned),
		TEST(test_fill__small_random_read__takes_granules_of_what_is_not_owned),
		TEST(test_fill__prefetched_blocks_miss__are_fetched_together),
		TEST(test_fill__reader_has_gone__keeps_its_frame_until_the_peers_are_done),
		TEST(test_fill__of_an_object_not_worth_the_ssd__passes_it_by),
		TEST(test_counters__of_all_sources__add_up_to_what_was_read),
		TEST(test_stop__while_peers_are_asked__ends_the_reader),
		TEST(test_stop__while_a_prefetch_gathers__leaves_nothing),
		TEST(test_stop__ssd_still_reads__ends_what_would_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

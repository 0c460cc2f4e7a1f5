/*
 * Tests of audit.c: what peers brought is compared with the backing store. The fake peers lie when
 * they are told to; the fake backing store always has the right bytes.
 */
#include "cache/audit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "tests/unit/cache/rig_peers.h"

#define OBJECT_LEN (9 * MIB + 100) /* two blocks, and a third of a MiB and some */

struct bench {
	struct rig rig;
	struct fake_peers peers;
	struct cache_object *object;
	unsigned named; /* calls of name() */
};

static void name(void *context, const struct member_id *member, char *out, size_t out_size)
{
	struct bench *bench = context;

	assert_true(member_id_equal(member, &bench->peers.id));
	assert_true(out_size > 4);
	snprintf(out, out_size, "n77");
	bench->named++;
}

static void audit(struct bench *bench, uint64_t every, uint64_t seed)
{
	const struct cache_audit_config config = { every, seed, name, bench };

	cache_set_audit(bench->rig.cache, &config);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	log_set_level(LOG_LEVEL_ERROR);
	rig_init(&bench->rig);
	fake_peers_attach(&bench->peers, &bench->rig, NULL);
	memset(&bench->peers.id, 0x77, sizeof(bench->peers.id));
	bench->object = rig_open(&bench->rig, "a", OBJECT_LEN);
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

static uint64_t count(const struct bench *bench, enum cache_counter counter)
{
	return rig_counter(&bench->rig, counter);
}

/* The peers bring what @reader, which is started, waits for. */
static void bring(struct bench *bench, struct reader *reader, bool placed)
{
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  placed);
	assert_int_equal(reader_wait(reader), 0);
}

/* A read of @block, which peers bring. Its bytes are not looked at. */
static void read_block(struct bench *bench, uint64_t block, bool placed)
{
	struct reader reader;

	assert_int_equal(
		reader_start(&reader, &bench->rig, bench->object, block * RIG_BLOCK, 10, false), 0);
	bring(bench, &reader, placed);
	cache_read_finish(&reader.read);
}

static void finish(struct bench *bench, int status)
{
	struct fake_backing *backing = &bench->rig.backing;

	fake_backing_finish(backing, fake_backing_await(backing, 0), status);
}

/* Block 0 is fetched from the backing store, and right. */
static void expect_from_backing(struct bench *bench)
{
	unsigned asks = fake_peers_started(&bench->peers);
	struct reader reader;

	assert_int_equal(
		reader_start(&reader, &bench->rig, bench->object, RIG_BLOCK - 10, 10, false), 0);
	finish(bench, 0);
	reader_check(&reader);
	assert_int_equal(fake_peers_started(&bench->peers), asks);
}

static void test_audit__not_wanted__nothing_is_fetched_twice(void **state)
{
	struct bench *bench = *state;

	read_block(bench, 0, false);
	audit(bench, 0, 1);
	read_block(bench, 1, false);
	assert_int_equal(fake_backing_started(&bench->rig.backing), 0);
	assert_int_equal(count(bench, CACHE_AUDIT_SKIPPED), 0);
}

static void test_audit__of_each_unit__fetches_just_that_and_holds_up_nobody(void **state)
{
	static const struct {
		uint64_t off, unit_off;
		size_t len, unit_len;
		bool random;
	} rows[] = {
		{ 0, 0, 10, RIG_BLOCK, false },
		{ 2 * RIG_BLOCK, 2 * RIG_BLOCK, 10, OBJECT_LEN - 2 * RIG_BLOCK, false },
		{ RIG_BLOCK + UINT64_C(3) * GRANULE_LEN + 5, RIG_BLOCK + UINT64_C(3) * GRANULE_LEN,
		  10, GRANULE_LEN, true },
	};
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	uint64_t bytes = 0;

	audit(bench, 1, 1);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct reader reader;
		struct backing_get *get;

		reader_start(&reader, rig, bench->object, rows[i].off, rows[i].len, rows[i].random);
		bring(bench, &reader, false);
		reader_check(&reader); /* while the audit waits */
		get = fake_backing_await(&rig->backing, 0);
		assert_int_equal(get->off, rows[i].unit_off);
		assert_int_equal(get->len, rows[i].unit_len);
		assert_string_equal(get->etag, "etag");
		assert_true(get->request.background);
		assert_int_equal(get->request.deadline_ns,
				 clock_now_ns(&rig->clock.clock) + rig->config.read_timeout);
		assert_int_equal(count(bench, CACHE_AUDITS), i);
		finish(bench, 0);
		bytes += rows[i].unit_len;
		assert_int_equal(count(bench, CACHE_AUDITS), i + 1);
		assert_int_equal(count(bench, CACHE_AUDIT_BYTES), bytes);
	}
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 0);
	assert_int_equal(count(bench, CACHE_FETCHES), 0);
	assert_int_equal(count(bench, CACHE_MEMORY_PINNED), 0);
	assert_int_equal(bench->named, 0);
	/* still there, all of it */
	rig_read(rig, bench->object, 0, 10, false);
	assert_int_equal(fake_backing_started(&rig->backing), ARRAY_COUNT(rows));
}

static void test_audit__differs__is_dropped_and_comes_from_the_backing_store(void **state)
{
	struct bench *bench = *state;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	read_block(bench, 0, true);
	assert_int_equal(cache_flush(bench->rig.cache, RIG_WAIT_NS), 0);
	assert_true(fake_store_holds(bench->object, 0));
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDITS), 1);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 1);
	assert_int_equal(bench->named, 1);
	assert_false(fake_store_holds(bench->object, 0));
	expect_from_backing(bench);
	/* others are asked of peers as ever */
	bench->peers.lies = false;
	read_block(bench, 1, false);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 1);
}

static void test_audit__granule_differs__its_block_is_not_trusted(void **state)
{
	struct bench *bench = *state;
	struct reader reader;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	reader_start(&reader, &bench->rig, bench->object, RIG_BLOCK - 20, 20, true);
	bring(bench, &reader, false);
	cache_read_finish(&reader.read);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 1);
	expect_from_backing(bench);
}

/* A reader has the block in hand, and goes on having it. */
static void test_audit__differs_while_it_is_read__goes_with_the_last_reader(void **state)
{
	struct bench *bench = *state;
	struct reader reader;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	reader_start(&reader, &bench->rig, bench->object, 0, 10, false);
	bring(bench, &reader, false);
	finish(bench, 0);
	expect_from_backing(bench);
	assert_int_equal(count(bench, CACHE_BLOCKS), 2);
	reader_check(&reader); /* its end is where the lie is */
	assert_int_equal(count(bench, CACHE_BLOCKS), 1);
}

static void test_audit__differs_while_it_is_written__is_dropped_after_that(void **state)
{
	struct bench *bench = *state;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	fake_store.hold_writes = true;
	read_block(bench, 0, true);
	fake_store_wait_writes_started(1);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 1);
	fake_store_let_go();
	assert_int_equal(cache_flush(bench->rig.cache, RIG_WAIT_NS), 0);
	rig_wait_counter(&bench->rig, CACHE_BLOCKS, 0);
	expect_from_backing(bench);
}

static void test_audit__differs_while_it_comes_from_the_ssd__is_not_kept(void **state)
{
	struct bench *bench = *state;
	struct reader granule, block;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	reader_start(&granule, &bench->rig, bench->object, GRANULE_LEN, 10, true);
	bring(bench, &granule, false);
	cache_read_finish(&granule.read);
	fake_store_put(bench->object, 0);
	fake_store.hold_reads = true;
	reader_start(&block, &bench->rig, bench->object, 0, 10, false);
	fake_store_wait_reads_started(1);
	finish(bench, 0);
	assert_false(fake_store_holds(bench->object, 0));
	fake_store_put(bench->object, 0); /* the store's threads were reading it already */
	fake_store_let_go();
	reader_check(&block);
	rig_wait_counter(&bench->rig, CACHE_BLOCKS, 0);
	store_drop(bench->rig.cache->store, &bench->object->store.id, 0);
	expect_from_backing(bench);
}

/* Peers were asked for the block before it was known what they have. */
static void test_audit__differs_while_peers_are_asked__their_answer_is_not_taken(void **state)
{
	struct bench *bench = *state;
	struct reader granule, block;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	reader_start(&granule, &bench->rig, bench->object, GRANULE_LEN, 10, true);
	bring(bench, &granule, false);
	cache_read_finish(&granule.read);
	reader_start(&block, &bench->rig, bench->object, RIG_BLOCK - 10, 10, false);
	(void)fake_peers_await(&bench->peers, 0);
	finish(bench, 0);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  false);
	finish(bench, 0);
	reader_check(&block);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 1);
}

/* More than are remembered: the oldest one is asked of peers again, the others are not. */
static void test_audit__many_differ__so_many_are_remembered(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *objects[CACHE_DISTRUSTED_MAX + 1];
	char key[3] = "xa";

	audit(bench, 1, 1);
	bench->peers.lies = true;
	for (unsigned i = 0; i <= CACHE_DISTRUSTED_MAX; i++) {
		struct reader reader;

		key[1] = (char)('0' + i);
		objects[i] = rig_open(rig, key, 100);
		reader_start(&reader, rig, objects[i], 0, 10, false);
		bring(bench, &reader, false);
		cache_read_finish(&reader.read);
		finish(bench, 0);
	}
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), CACHE_DISTRUSTED_MAX + 1);
	for (unsigned i = 0; i <= CACHE_DISTRUSTED_MAX; i++) {
		unsigned asks = fake_peers_started(&bench->peers);
		struct reader reader;

		reader_start(&reader, rig, objects[i], 90, 10, false);
		if (i == 0)
			fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0),
					  PEER_MISSED, 0, false);
		finish(bench, 0);
		reader_check(&reader);
		assert_int_equal(fake_peers_started(&bench->peers), asks + (i == 0));
		cache_object_put(objects[i]);
	}
}

static void test_audit__no_bytes_to_compare__is_no_alarm(void **state)
{
	static const struct {
		int status;
		enum cache_counter counter;
	} rows[] = {
		{ -ESTALE, CACHE_AUDIT_GONE },	     { -ENOENT, CACHE_AUDIT_GONE },
		{ -EACCES, CACHE_AUDIT_GONE },	     { -EAGAIN, CACHE_AUDIT_SKIPPED },
		{ -ETIMEDOUT, CACHE_AUDIT_SKIPPED }, { -EIO, CACHE_AUDIT_SKIPPED },
	};
	struct bench *bench = *state;
	char key[2] = "b";

	audit(bench, 1, 1);
	bench->peers.lies = true;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++, key[0]++) {
		uint64_t before = count(bench, rows[i].counter);

		cache_object_put(bench->object);
		bench->object = rig_open(&bench->rig, key, 100);
		read_block(bench, 0, false);
		finish(bench, rows[i].status);
		assert_int_equal(count(bench, rows[i].counter), before + 1);
		assert_false(cache_object_stale(bench->object));
	}
	assert_int_equal(count(bench, CACHE_AUDIT_GONE) + count(bench, CACHE_AUDIT_SKIPPED),
			 ARRAY_COUNT(rows));
	assert_int_equal(count(bench, CACHE_AUDITS), 0);
	assert_int_equal(count(bench, CACHE_READ_ERRORS), 0);
}

static void test_audit__another_is_under_way__is_skipped(void **state)
{
	struct bench *bench = *state;

	audit(bench, 1, 1);
	read_block(bench, 0, false);
	(void)fake_backing_await(&bench->rig.backing, 0);
	read_block(bench, 1, false);
	assert_int_equal(count(bench, CACHE_AUDIT_SKIPPED), 1);
	assert_int_equal(fake_backing_started(&bench->rig.backing), 1);
	finish(bench, 0);
	read_block(bench, 2, false);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDITS), 2);
}

/* Readers hold half of what they may. */
static void test_audit__memory_is_short__is_skipped(void **state)
{
	struct bench *bench = *state;
	struct cache_object *large = rig_open(&bench->rig, "l", 100 * RIG_BLOCK);
	struct reader readers[RIG_BLOCKS];
	unsigned held = 0;

	while (held < RIG_BLOCKS / 2) {
		reader_start(&readers[held], &bench->rig, large, held * RIG_BLOCK, 10, false);
		bring(bench, &readers[held++], false);
	}
	audit(bench, 1, 1);
	read_block(bench, 0, false);
	assert_int_equal(count(bench, CACHE_AUDIT_SKIPPED), 1);
	assert_int_equal(fake_backing_started(&bench->rig.backing), 0);
	while (held > 0)
		reader_check(&readers[--held]);
	read_block(bench, 1, false);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDITS), 1);
	cache_object_put(large);
}

static void test_audit__object_that_is_not_kept__is_not_looked_at(void **state)
{
	struct bench *bench = *state;

	bench->object->transient = true;
	audit(bench, 1, 1);
	read_block(bench, 0, false);
	assert_int_equal(fake_backing_started(&bench->rig.backing), 0);
}

/* Return: bit i: fetch i of 64 was audited. */
static uint64_t choices(struct bench *bench, char first, uint64_t every, uint64_t seed)
{
	char key[3] = { first };
	uint64_t chosen = 0;

	audit(bench, every, seed);
	for (unsigned i = 0; i < 64; i++) {
		key[1] = (char)('0' + i);
		cache_object_put(bench->object);
		bench->object = rig_open(&bench->rig, key, 100);
		read_block(bench, 0, false);
		if (!fake_backing_pending(&bench->rig.backing))
			continue;
		chosen |= UINT64_C(1) << i;
		finish(bench, 0);
	}
	return chosen;
}

static void test_audit__one_in_four__as_the_seed_has_it(void **state)
{
	struct bench *bench = *state;
	uint64_t chosen = choices(bench, 'p', 4, 99);

	assert_in_range(__builtin_popcountll(chosen), 4, 32);
	assert_true(choices(bench, 'q', 4, 99) == chosen);
	assert_true(choices(bench, 'r', 4, 100) != chosen);
	assert_true(choices(bench, 's', 1, 99) == UINT64_MAX);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 0);
}

/* What comes when the cache has stopped is not looked at; what has not come ends with the backing
 * store, in the tear-down. */
static void test_audit__the_cache_stops__comes_to_nothing(void **state)
{
	struct bench *bench = *state;

	audit(bench, 1, 1);
	bench->peers.lies = true;
	read_block(bench, 0, false);
	(void)fake_backing_await(&bench->rig.backing, 0);
	fake_peers_stop(&bench->peers);
	cache_stop(bench->rig.cache);
	finish(bench, 0);
	assert_int_equal(count(bench, CACHE_AUDIT_SKIPPED), 1);
	assert_int_equal(count(bench, CACHE_AUDIT_DIFFERENCES), 0);
	assert_int_equal(bench->named, 0);
}

static void test_audit__the_backing_store_ends__ends_with_it(void **state)
{
	struct bench *bench = *state;

	audit(bench, 1, 1);
	read_block(bench, 0, false);
	(void)fake_backing_await(&bench->rig.backing, 0);
}

int main(void)
{
#define AUDIT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		AUDIT_TEST(test_audit__not_wanted__nothing_is_fetched_twice),
		AUDIT_TEST(test_audit__of_each_unit__fetches_just_that_and_holds_up_nobody),
		AUDIT_TEST(test_audit__differs__is_dropped_and_comes_from_the_backing_store),
		AUDIT_TEST(test_audit__granule_differs__its_block_is_not_trusted),
		AUDIT_TEST(test_audit__differs_while_it_is_read__goes_with_the_last_reader),
		AUDIT_TEST(test_audit__differs_while_it_is_written__is_dropped_after_that),
		AUDIT_TEST(test_audit__differs_while_it_comes_from_the_ssd__is_not_kept),
		AUDIT_TEST(test_audit__differs_while_peers_are_asked__their_answer_is_not_taken),
		AUDIT_TEST(test_audit__many_differ__so_many_are_remembered),
		AUDIT_TEST(test_audit__no_bytes_to_compare__is_no_alarm),
		AUDIT_TEST(test_audit__another_is_under_way__is_skipped),
		AUDIT_TEST(test_audit__memory_is_short__is_skipped),
		AUDIT_TEST(test_audit__object_that_is_not_kept__is_not_looked_at),
		AUDIT_TEST(test_audit__one_in_four__as_the_seed_has_it),
		AUDIT_TEST(test_audit__the_cache_stops__comes_to_nothing),
		AUDIT_TEST(test_audit__the_backing_store_ends__ends_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

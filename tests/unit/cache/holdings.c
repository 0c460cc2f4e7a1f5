/*
 * Tests of holdings.c: what is told of an object is what is complete, once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/cache.h"
#include "tests/unit/cache/rig.h"

static int set_up(void **state)
{
	struct rig *rig;

	rig_set_up(state);
	rig = *state;
	fake_backing_automatic(&rig->backing);
	fake_store.refuse = true; /* nothing goes to the SSD but what the test puts there */
	return 0;
}

static void holds(struct rig *rig, const struct cache_object *object, uint64_t memory, uint64_t ssd)
{
	struct cache_holdings holdings;

	assert_int_equal(cache_holdings(rig->cache, &object->store.version, &holdings), 0);
	assert_int_equal(holdings.memory, memory);
	assert_int_equal(holdings.ssd, ssd);
}

/* Brings blocks of 4 MiB. */
static void bring(struct rig *rig, struct cache_object *object, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		rig_read(rig, object, i * RIG_BLOCK, 10, false);
}

static void test_holdings__of_an_object__are_its_complete_bytes(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 9 * MIB + 77);
	struct cache_object *other = rig_open(rig, "b", 9 * MIB + 77);
	struct cache_object *none = rig_open(rig, "c", 0);

	holds(rig, object, 0, 0);
	bring(rig, object, 0, 1);
	bring(rig, other, 1, 1);
	holds(rig, object, 4 * MIB, 0);
	bring(rig, object, 2, 1); /* the rest, shorter than a block */
	holds(rig, object, 5 * MIB + 77, 0);
	fake_store_put(object, 0);
	fake_store_put(object, 1);
	holds(rig, object, 5 * MIB + 77, 8 * MIB);
	bring(rig, object, 1, 1);
	holds(rig, object, 9 * MIB + 77, 8 * MIB);
	holds(rig, other, 4 * MIB, 0);
	holds(rig, none, 0, 0);
	cache_object_put(object);
	cache_object_put(other);
	cache_object_put(none);
}

/* An object of more units than the window has entries is not looked up unit by unit. */
static void test_holdings__granules_beside_their_block__count_once(void **state)
{
	static const struct {
		const char *key;
		uint64_t size;
		unsigned fillers; /* small objects that make the window a large one */
	} rows[] = {
		{ "a", 8 * MIB + 10, 0 },
		{ "b", 8 * MIB + 10, 200 },
	};
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct cache_object *object = rig_open(rig, rows[i].key, rows[i].size);

		for (unsigned j = 0; j < rows[i].fillers; j++) {
			char key[16];
			struct cache_object *filler;

			snprintf(key, sizeof(key), "f%u", j);
			filler = rig_open(rig, key, 100);
			rig_read(rig, filler, 0, 10, false);
			cache_object_put(filler);
		}
		rig_read(rig, object, 3 * MIB, 10, true);
		rig_read(rig, object, 3 * MIB + 64 * KIB, 10, true);
		rig_read(rig, object, 8 * MIB, 10, true); /* the last one: 10 bytes */
		holds(rig, object, KIB * 128 + 10, 0);
		bring(rig, object, 0, 1); /* the first two are in it */
		holds(rig, object, 4 * MIB + 10, 0);
		cache_object_put(object);
	}
}

static void test_holdings__bytes_under_way__do_not_count(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 8 * MIB);
	struct reader reader;

	fake_store_put(object, 0);
	fake_store.hold_reads = true;
	reader_start(&reader, rig, object, 0, 10, false);
	fake_store_wait_reads_started(1);
	holds(rig, object, 0, 4 * MIB);
	fake_store_let_go();
	reader_check(&reader);
	holds(rig, object, 4 * MIB, 4 * MIB);
	cache_object_put(object);
}

static void test_holdings__on_the_way_to_the_ssd__are_in_memory(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);

	fake_store.refuse = false;
	fake_store.hold_writes = true;
	bring(rig, object, 0, 1);
	fake_store_wait_writes_started(1);
	holds(rig, object, 4 * MIB, 0);
	fake_store_let_go();
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	holds(rig, object, 4 * MIB, 4 * MIB);
	cache_object_put(object);
}

static void test_holdings__evicted__are_no_more(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct cache_object *large = rig_open(rig, "b", 2 * RIG_MEMORY);

	bring(rig, object, 0, 1);
	bring(rig, large, 0, RIG_BLOCKS);
	holds(rig, object, 0, 0);
	holds(rig, large, RIG_MEMORY, 0);
	cache_object_put(object);
	cache_object_put(large);
}

static void test_holdings__of_another_version__are_its_own(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct object_version version = object->store.version;
	struct cache_holdings holdings;

	bring(rig, object, 0, 1);
	fake_store_put(object, 0);
	version.etag = "\"another\"";
	assert_int_equal(cache_holdings(rig->cache, &version, &holdings), 0);
	assert_int_equal(holdings.memory, 0);
	assert_int_equal(holdings.ssd, 0);
	assert_int_equal(holdings.owned, 0);
	version.size = INT64_MAX;
	assert_int_equal(cache_holdings(rig->cache, &version, &holdings), -E2BIG);
	cache_object_put(object);
}

/* Every other block is owned here. */
static bool owns_even(void *context, const struct object_id *id, uint64_t block)
{
	(void)context;
	(void)id;
	return block % 2 == 0;
}

static void ask_nobody(void *context, struct peer_fetch *fetch)
{
	(void)context;
	fetch->outcome = PEER_MISSED;
	fetch->done(fetch);
}

static void test_holdings__of_blocks_that_others_own__are_told_apart(void **state)
{
	/* what is on the SSD and in memory, by block: bits */
	static const struct {
		unsigned ssd, memory;
		uint64_t owned, replicas;
	} rows[] = {
		{ 0, 0, 0, 0 },
		{ 1, 0, 4 * MIB, 0 },
		{ 2, 0, 0, 4 * MIB },
		{ 7, 0, 5 * MIB, 4 * MIB },
		{ 0, 1, 4 * MIB, 0 },
		{ 0, 2, 0, 0 }, /* of another's block in memory nothing is said */
		{ 1, 1, 4 * MIB, 0 },
		{ 4, 1, 5 * MIB, 0 },
		{ 7, 7, 5 * MIB, 4 * MIB },
	};
	const struct peer_source source = { NULL, ask_nobody, owns_even };
	struct rig *rig = *state;

	fake_store.directory_count = 2; /* both have it: it counts once */
	cache_attach_peers(rig->cache, &source, NULL);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		char key[2] = { (char)('a' + i), 0 };
		struct cache_object *object = rig_open(rig, key, 9 * MIB);
		struct cache_holdings holdings;

		for (unsigned block = 0; block < 3; block++)
			if (rows[i].memory >> block & 1)
				bring(rig, object, block, 1);
		for (unsigned block = 0; block < 3; block++)
			if (rows[i].ssd >> block & 1)
				fake_store_put(object, block);
		assert_int_equal(cache_holdings(rig->cache, &object->store.version, &holdings), 0);
		assert_int_equal(holdings.owned, rows[i].owned);
		assert_int_equal(holdings.replicas, rows[i].replicas);
		cache_object_put(object);
	}
}

static void test_holdings__cache_stops__says_so(void **state)
{
	struct rig *rig = *state;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct cache_holdings holdings;

	cache_stop(rig->cache);
	assert_int_equal(cache_holdings(rig->cache, &object->store.version, &holdings), -ECANCELED);
	cache_object_put(object);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_holdings__of_an_object__are_its_complete_bytes),
		TEST(test_holdings__granules_beside_their_block__count_once),
		TEST(test_holdings__bytes_under_way__do_not_count),
		TEST(test_holdings__on_the_way_to_the_ssd__are_in_memory),
		TEST(test_holdings__evicted__are_no_more),
		TEST(test_holdings__of_another_version__are_its_own),
		TEST(test_holdings__of_blocks_that_others_own__are_told_apart),
		TEST(test_holdings__cache_stops__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

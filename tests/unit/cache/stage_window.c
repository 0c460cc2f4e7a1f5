/*
 * Tests of what peers see of the window, and what they say of it: all that is complete is
 * published, and what they read without asking stays.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/rig_peers.h"

static const struct member_id owner = { "a member's id.." };

struct bench {
	struct rig rig;
	struct fake_peers peers;
	struct window_directory *directory;
	struct directory_shape shape;
};

static int set_up(void **state)
{
	struct bench *bench = malloc(sizeof(*bench));
	size_t len;

	rig_init(&bench->rig);
	assert_int_equal(window_directory_create(RIG_MEMORY, &owner, 1, &bench->directory), 0);
	assert_int_equal(directory_shape_read(window_directory_memory(bench->directory, &len),
					      &owner, &bench->shape),
			 0);
	fake_peers_attach(&bench->peers, &bench->rig, bench->directory);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	fake_peers_stop(&bench->peers);
	rig_fini(&bench->rig);
	window_directory_destroy(bench->directory);
	free(bench);
	return 0;
}

/* Brings a block into the window. */
static void read_in(struct bench *bench, struct cache_object *object, uint64_t off, bool placed)
{
	struct reader reader;

	reader_start(&reader, &bench->rig, object, off, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0,
			  placed);
	reader_check(&reader);
}

/* Whether a peer finds the block, and then where. */
static bool is_published(struct bench *bench, const struct cache_object *object, uint64_t block,
			 uint64_t *out_off)
{
	const struct window_key key = window_block_key(cache_object_id(object), block);
	const struct directory_shape *shape = &bench->shape;
	uint64_t checks[BLOCK_GRANULES_MAX], off;
	struct directory_place place;
	size_t len;
	const uint8_t *memory = window_directory_memory(bench->directory, &len);

	if (directory_bucket_find(shape, memory + directory_bucket_off(shape, &key), &key,
				  RIG_BLOCK, &place) != 0)
		return false;
	directory_checks_at(shape, &place, &off, &len);
	assert_int_equal(directory_checks_read(shape, memory + off, &key, &place, checks), 0);
	*out_off = place.off;
	return true;
}

static void test_publish__a_block_comes_and_goes__is_found_while_it_is_complete(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 20 * RIG_BLOCK);
	struct reader reader;
	struct stager stager;
	uint64_t off = 0;

	reader_start(&reader, rig, object, 0, 10, false);
	assert_false(is_published(bench, object, 0, &off));
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED, 0, true);
	reader_check(&reader);
	assert_true(is_published(bench, object, 0, &off));
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	assert_true(is_published(bench, object, 0, &off)); /* also once it is written */
	stager_start(&stager, rig, "a", 20 * RIG_BLOCK, UNIT_BLOCK(0), true);
	assert_int_equal(stager.stage.off, off);
	stager_check(&stager, CACHE_ORIGIN_WINDOW);
	for (uint64_t i = 1; i <= RIG_BLOCKS; i++)
		read_in(bench, object, i * RIG_BLOCK, false);
	assert_false(is_published(bench, object, 0, &off)); /* evicted */
	assert_true(is_published(bench, object, RIG_BLOCKS, &off));
	cache_object_put(object);
}

static void test_publish__while_a_block_is_written__is_found(void **state)
{
	struct bench *bench = *state;
	struct cache_object *object = rig_open(&bench->rig, "a", 4 * MIB);
	uint64_t off;

	fake_store.hold_writes = true;
	read_in(bench, object, 0, true);
	fake_store_wait_writes_started(1);
	assert_true(is_published(bench, object, 0, &off));
	fake_store_let_go();
	assert_int_equal(cache_flush(bench->rig.cache, RIG_WAIT_NS), 0);
	cache_object_put(object);
}

static void test_publish__a_fill_arrives_in_part_and_fails__is_never_found(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct reader first, last;
	struct backing_get *get;
	uint64_t off;

	reader_start(&first, rig, object, 0, 10, false);
	reader_start(&last, rig, object, 3 * MIB, 10, false);
	fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_MISSED, 0, true);
	get = fake_backing_await(&rig->backing, 0);
	fake_backing_progress(get, MIB);
	assert_false(is_published(bench, object, 0, &off));
	fake_backing_finish(&rig->backing, get, -EIO);
	assert_int_equal(reader_wait(&last), -EIO);
	assert_false(is_published(bench, object, 0, &off));
	reader_check(&first);
	assert_false(is_published(bench, object, 0, &off));
	cache_object_put(object);
}

static void test_touch__units_read_by_peers__age_like_those_read_here(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 17 * RIG_BLOCK);
	const struct object_id *id = cache_object_id(object);
	struct window_key keys[] = { window_granule_key(id, 3), window_block_key(id, 99),
				     window_block_key(id, 1) };
	struct window_key key = window_block_key(id, 2);
	unsigned touches;

	for (unsigned i = 0; i < RIG_BLOCKS; i++)
		read_in(bench, object, i * RIG_BLOCK, false);
	clock_manual_advance(&rig->clock, 10 * NS_PER_S);
	touches = fake_store.touches;
	cache_touch(rig->cache, keys, ARRAY_COUNT(keys));
	assert_int_equal(fake_store.touches - touches, 1); /* it is one object */
	cache_touch(rig->cache, keys, ARRAY_COUNT(keys));
	assert_int_equal(fake_store.touches - touches, 1); /* and it is told once a second */
	clock_manual_advance(&rig->clock, NS_PER_S);
	cache_touch(rig->cache, keys, ARRAY_COUNT(keys));
	assert_int_equal(fake_store.touches - touches, 2);
	read_in(bench, object, 16 * RIG_BLOCK, false); /* something has to go */
	pthread_mutex_lock(&rig->cache->lock);
	assert_null(window_find(&rig->cache->window, &key));
	for (uint64_t i = 0; i < 2; i++) {
		key = window_block_key(id, i);
		assert_non_null(window_find(&rig->cache->window, &key));
	}
	pthread_mutex_unlock(&rig->cache->lock);
	cache_object_put(object);
}

static void test_touch__nobody_has_the_object_open__the_store_still_hears(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = &bench->rig;
	struct cache_object *object = rig_open(rig, "a", 4 * MIB);
	struct window_key key = window_block_key(cache_object_id(object), 0);
	unsigned looks;

	read_in(bench, object, 0, false);
	cache_object_put(object);
	assert_int_equal(rig_counter(rig, CACHE_OBJECTS), 0);
	looks = fake_store.looks;
	cache_touch(rig->cache, &key, 1);
	assert_int_equal(fake_store.looks - looks, 1);
	cache_touch(rig->cache, &key, 1);
	assert_int_equal(fake_store.looks - looks, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_publish__a_block_comes_and_goes__is_found_while_it_is_complete),
		TEST(test_publish__while_a_block_is_written__is_found),
		TEST(test_publish__a_fill_arrives_in_part_and_fails__is_never_found),
		TEST(test_touch__units_read_by_peers__age_like_those_read_here),
		TEST(test_touch__nobody_has_the_object_open__the_store_still_hears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

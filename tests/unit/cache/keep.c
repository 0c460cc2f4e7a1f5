/*
 * Tests of keep.c: a staged block is written to the SSD although it came as somebody else's, once,
 * and what became of it is told.
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

#define SIZE (9 * MIB + 77) /* two blocks, and a rest with padding */

static int set_up(void **state)
{
	struct peers_rig *bench = peers_rig_create();

	fake_store.directory_count = 1;
	bench->object = rig_open(&bench->rig, "a", SIZE);
	*state = bench;
	return 0;
}

/* A unit that peers have, and that is not placed here. */
static void stage(struct peers_rig *bench, struct stager *stager, uint64_t index)
{
	stager_start(stager, &bench->rig, "a", SIZE, index, false);
	if (!stager_is_done(stager))
		fake_peers_answer(&bench->peers, fake_peers_await(&bench->peers, 0), PEER_FETCHED,
				  0, false);
	assert_int_equal(stager_wait(stager), 0);
}

struct keeping {
	struct stager *stager;
	int status;
};

static bool is_decided(void *context)
{
	struct keeping *keeping = context;

	keeping->status = cache_stage_keep(&keeping->stager->stage);
	return keeping->status != -EAGAIN;
}

static int keep(struct stager *stager)
{
	struct keeping keeping = { stager, -EAGAIN };

	rig_wait(is_decided, &keeping);
	return keeping.status;
}

static void test_keep__of_somebody_elses_block__is_written_from_the_window(void **state)
{
	struct peers_rig *bench = *state;

	for (unsigned block = 0; block < 3; block++) {
		struct stager stager;

		stage(bench, &stager, UNIT_BLOCK(block));
		assert_false(fake_store_holds(bench->object, block));
		assert_int_equal(keep(&stager), 0);
		assert_true(fake_store_holds(bench->object, block));
		assert_true(
			cache_has_block(bench->rig.cache, cache_object_id(bench->object), block));
		assert_int_equal(fake_store.writes_done, block + 1);
		cache_stage_finish(&stager.stage);
	}
	assert_int_equal(fake_store.last_write_len, MIB + 77);
	assert_true(fake_store.last_padding_clear);
}

static void test_keep__while_it_is_being_written__is_not_written_twice(void **state)
{
	struct peers_rig *bench = *state;
	struct stager first, second;

	fake_store.hold_writes = true;
	stage(bench, &first, UNIT_BLOCK(0));
	stage(bench, &second, UNIT_BLOCK(0));
	assert_int_equal(cache_stage_keep(&first.stage), -EAGAIN);
	fake_store_wait_writes_started(1);
	assert_int_equal(cache_stage_keep(&second.stage), -EAGAIN);
	assert_int_equal(cache_stage_keep(&first.stage), -EAGAIN);
	fake_store_let_go();
	assert_int_equal(keep(&first), 0);
	assert_int_equal(keep(&second), 0);
	assert_int_equal(fake_store.writes_started, 1);
	cache_stage_finish(&first.stage);
	cache_stage_finish(&second.stage);
}

static void test_keep__not_possible__says_why(void **state)
{
	static const struct {
		uint64_t index;
		bool refuse, on_ssd;
		unsigned directories;
		int write_status, result;
		unsigned writes;
	} rows[] = {
		{ UNIT_BLOCK(0), .refuse = true, .directories = 1, .result = -ENOSPC },
		{ UNIT_BLOCK(0), .directories = 1, .write_status = -EIO, .result = -ENOSPC,
		  .writes = 1 },
		{ UNIT_BLOCK(0), .refuse = true, .directories = 0, .result = 0 },
		{ UNIT_BLOCK(0), .refuse = true, .on_ssd = true, .directories = 1, .result = 0 },
		{ UNIT_GRANULE(144), .directories = 1, .result = -EINVAL },
	};
	struct peers_rig *bench = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		unsigned before = fake_store.writes_started;
		struct stager stager;

		fake_store.refuse = rows[i].refuse;
		fake_store.directory_count = rows[i].directories;
		fake_store.write_status = rows[i].write_status;
		stage(bench, &stager, rows[i].index);
		if (rows[i].on_ssd)
			fake_store_put(bench->object, 0);
		assert_int_equal(keep(&stager), rows[i].result);
		assert_int_equal(fake_store.writes_started - before, rows[i].writes);
		cache_stage_finish(&stager.stage);
	}
}

static void test_keep__refused_once__is_tried_again_by_the_next_stage(void **state)
{
	struct peers_rig *bench = *state;
	struct stager stager;

	fake_store.refuse = true;
	stage(bench, &stager, UNIT_BLOCK(1));
	assert_int_equal(keep(&stager), -ENOSPC);
	fake_store.refuse = false;
	assert_int_equal(keep(&stager), -ENOSPC);
	cache_stage_finish(&stager.stage);
	stage(bench, &stager, UNIT_BLOCK(1));
	assert_int_equal(keep(&stager), 0);
	cache_stage_finish(&stager.stage);
}

static void test_would_keep__asks_the_policy(void **state)
{
	const struct store_object object = {
		.version = { "fake", "bucket", "a", "etag", SIZE },
		.dataset = "/data",
	};
	struct peers_rig *bench = *state;

	assert_true(cache_would_keep(bench->rig.cache, &object, 0, 4 * MIB));
	fake_store.refuse = true;
	assert_false(cache_would_keep(bench->rig.cache, &object, 0, 4 * MIB));
}

static void test_list__is_the_stores(void **state)
{
	struct peers_rig *bench = *state;
	struct store_cursor cursor = { .id = *cache_object_id(bench->object) };
	struct store_page *page = malloc(sizeof(*page));

	assert_non_null(page);
	fake_store_put(bench->object, 1);
	assert_int_equal(cache_list(bench->rig.cache, &cursor, page), 1);
	assert_int_equal(page->objects[0].block_count, 1);
	assert_int_equal(page->objects[0].blocks[0], 1);
	assert_int_equal(cache_list(bench->rig.cache, &cursor, page), 0);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_keep__of_somebody_elses_block__is_written_from_the_window, set_up,
			peers_rig_tear_down),
		cmocka_unit_test_setup_teardown(
			test_keep__while_it_is_being_written__is_not_written_twice, set_up,
			peers_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_keep__not_possible__says_why, set_up,
						peers_rig_tear_down),
		cmocka_unit_test_setup_teardown(
			test_keep__refused_once__is_tried_again_by_the_next_stage, set_up,
			peers_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_would_keep__asks_the_policy, set_up,
						peers_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_list__is_the_stores, set_up,
						peers_rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

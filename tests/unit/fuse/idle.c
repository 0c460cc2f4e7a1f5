/*
 * Tests of idle.h: which backing files stay registered after their last RELEASE, and until when.
 */
#include "fuse/idle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/passthrough_rig.h"

#define FILES 3

/* Opens and releases. Return: the backing id. */
static int open_once(uint64_t node)
{
	uint64_t handle;
	int id;

	assert_int_equal(pass_open(node, &handle, &id), 0);
	pass_release(node, handle);
	return id;
}

/* Passthrough nodes of several files, that nobody has open. */
static void fill_several(uint64_t out_nodes[FILES])
{
	static const char *const names[FILES] = { "a", "b", "c" };
	struct fuse_entry_out entry;
	uint64_t handle;

	for (unsigned i = 0; i < FILES; i++) {
		fake_put(&kernel.rig.fake, names[i], SIZE, "e1");
		assert_int_equal(kernel_lookup(&kernel, 1, names[i], &entry), 0);
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, entry.nodeid, &handle), 0);
		pass_read_whole(entry.nodeid, handle);
		pass_release(entry.nodeid, handle);
		out_nodes[i] = entry.nodeid;
	}
	assert_int_equal(cache_flush(kernel.cache, 20 * NS_PER_S), 0);
	pass_await_verified(FILES);
	for (unsigned i = 0; i < FILES; i++) {
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, out_nodes[i], &handle), -ESTALE);
		assert_int_equal(kernel_lookup(&kernel, 1, names[i], &entry), 0);
		out_nodes[i] = entry.nodeid;
	}
}

static void test_open__idle__the_same_id_without_registering(void **state)
{
	uint64_t node, first, second;
	unsigned opens;
	int id, again;

	(void)state;
	node = pass_follow_alone();
	id = open_once(node);
	assert_true(id > 0);
	opens = table.opens;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pass_recorded(), 1);
		assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
		assert_int_equal(pass_open(node, &first, &again), 0);
		assert_int_equal(again, id);
		assert_int_equal(pass_open(node, &second, &again), 0);
		assert_int_equal(again, id);
		assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 1);
		pass_release(node, first);
		pass_release(node, second);
	}
	assert_int_equal(table.opens, opens);
	pass_check_nothing_left();
	assert_int_not_equal(open_once(node), id);
}

static void test_age__opened_meanwhile__counts_from_the_last_release(void **state)
{
	uint64_t node, handle;
	int id, again;

	(void)state;
	node = pass_follow_alone();
	id = open_once(node);
	clock_manual_advance(&kernel.rig.clock, IDLE_AGE - NS_PER_S);
	assert_int_equal(open_once(node), id);
	clock_manual_advance(&kernel.rig.clock, IDLE_AGE - NS_PER_S);
	assert_int_equal(pass_open(node, &handle, &again), 0);
	assert_int_equal(again, id);
	/* What is open does not age. */
	clock_manual_advance(&kernel.rig.clock, 2 * IDLE_AGE);
	assert_int_equal(pass_open(node, &(uint64_t){ 0 }, &again), 0);
	assert_int_equal(again, id);
	assert_int_equal(table.open, 1);
}

static void test_many__above_the_limit__the_longest_idle_goes(void **state)
{
	uint64_t nodes[FILES];
	int ids[FILES];

	(void)state;
	fill_several(nodes);
	kernel.mount->passthrough.idle.max = FILES - 1;
	for (unsigned i = 0; i < FILES - 1; i++)
		ids[i] = open_once(nodes[i]);
	assert_int_equal(open_once(nodes[0]), ids[0]); /* the last but one now */
	ids[FILES - 1] = open_once(nodes[FILES - 1]);
	assert_int_equal(table.open, FILES - 1);
	assert_int_equal(pass_recorded(), FILES - 1);
	assert_false(table.ids[ids[1]]);
	assert_int_equal(open_once(nodes[0]), ids[0]);
	assert_int_equal(open_once(nodes[FILES - 1]), ids[FILES - 1]);
	assert_true(open_once(nodes[1]) > ids[FILES - 1]);
	assert_int_equal(table.open, FILES - 1);
}

static void test_lost__while_idle__closed_without_an_open(void **state)
{
	uint64_t nodes[FILES], handle;
	int id, open;

	(void)state;
	fill_several(nodes);
	for (unsigned i = 1; i < FILES; i++)
		assert_true(open_once(nodes[i]) > 0);
	assert_int_equal(pass_open(nodes[0], &handle, &open), 0);
	assert_int_equal(table.open, FILES);
	cache_handout_allow(kernel.cache, 0, false);
	pass_await_open(1);
	assert_true(table.ids[open]);
	/* A round that found nothing to close is not the last one. */
	cache_handout_allow(kernel.cache, 0, true);
	id = open_once(nodes[1]);
	assert_true(id > open);
	cache_handout_allow(kernel.cache, 0, false);
	pass_await_open(1);
	pass_release(nodes[0], handle);
	assert_int_equal(table.open, 0);
}

static void test_lost__opened_first__closed_and_the_node_turns_direct(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_follow_alone();
	assert_true(open_once(node) > 0);
	cache_handout_allow(kernel.cache, 0, false);
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	pass_await_open(0); /* by the open, or just then by the thread */
	pass_read_whole(node, handle);
	pass_release(node, handle);
}

static void test_setting__off__closed(void **state)
{
	struct mount_config config = kernel.rig.config;
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_follow_alone();
	assert_true(open_once(node) > 0);
	config.passthrough = MOUNT_PASSTHROUGH_OFF;
	mount_reload(kernel.mount, &config);
	pass_await_open(0);
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	pass_release(node, handle);
}

static void test_takeover__idle__closed_by_the_next_worker(void **state)
{
	uint64_t nodes[FILES], handle;
	int id, again;

	(void)state;
	fill_several(nodes);
	for (unsigned i = 1; i < FILES; i++)
		assert_true(open_once(nodes[i]) > 0);
	assert_int_equal(pass_open(nodes[0], &handle, &id), 0);
	pass_replace();
	assert_int_equal(table.open, 1);
	assert_int_equal(pass_recorded(), 1);
	pass_release(nodes[0], handle);
	/* That of a former worker's handle is idle like others. */
	assert_int_equal(table.open, 1);
	assert_int_equal(pass_open(nodes[0], &handle, &again), 0);
	assert_int_equal(again, id);
	pass_release(nodes[0], handle);
	pass_check_nothing_left();
}

static void test_stop__idle_and_open__all_closed(void **state)
{
	uint64_t nodes[FILES], handle;
	int id;

	(void)state;
	fill_several(nodes);
	for (unsigned i = 1; i < FILES; i++)
		assert_true(open_once(nodes[i]) > 0);
	assert_int_equal(pass_open(nodes[0], &handle, &id), 0);
	passthrough_stop(kernel.mount);
	pass_release(nodes[0], handle);
	assert_false(table.ids[id]);
	/* And the others by the teardown. */
	assert_int_equal(table.open, FILES - 1);
}

static void test_open__no_memory__served_by_passthrough_or_direct(void **state)
{
	bool failed = true;
	uint64_t node, handle;
	int id, err;

	(void)state;
	node = pass_follow_alone();
	for (unsigned n = 1; failed; n++) {
		allocation_fault_arm(n);
		err = pass_open(node, &handle, &id);
		failed = allocation_fault_disarm();
		if (err == 0)
			pass_release(node, handle);
		else
			assert_int_equal(err, -ENOMEM);
		assert_int_equal(pass_recorded(), table.open);
		assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
	}
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, pass_setup, pass_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_open__idle__the_same_id_without_registering),
		ROW(test_age__opened_meanwhile__counts_from_the_last_release),
		ROW(test_many__above_the_limit__the_longest_idle_goes),
		ROW(test_lost__while_idle__closed_without_an_open),
		ROW(test_lost__opened_first__closed_and_the_node_turns_direct),
		ROW(test_setting__off__closed),
		ROW(test_takeover__idle__closed_by_the_next_worker),
		ROW(test_stop__idle_and_open__all_closed),
		ROW(test_open__no_memory__served_by_passthrough_or_direct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

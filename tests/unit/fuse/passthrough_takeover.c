/*
 * passthrough_takeover.c - what a worker does with the backing files of one that died.
 */
#include "fuse/passthrough.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/passthrough_rig.h"

static void test_takeover__open_in_passthrough__same_id_for_all_opens_until_the_last(void **state)
{
	uint64_t node, first, second, third;
	int id, again;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &first, &id), 0);
	assert_int_equal(pass_open(node, &second, &again), 0);
	assert_int_equal(pass_recorded(), 1);
	pass_replace();
	assert_int_equal(table.open, 1);
	assert_int_equal(pass_recorded(), 1);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 1);
	/* Verified by the one that died: no ESTALE, though the node is no longer young. */
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_verified(), 1);
	assert_int_equal(pass_open(node, &third, &again), 0);
	assert_int_equal(again, id);
	pass_release(node, first);
	pass_release(node, third);
	assert_int_equal(table.open, 1);
	pass_replace();
	assert_int_equal(table.open, 1);
	pass_release(node, second);
	pass_check_nothing_left();
	/* What follows is as ever. */
	assert_int_equal(pass_open(node, &first, &again), 0);
	assert_true(again > id);
	pass_release(node, first);
	pass_check_nothing_left();
}

/* Recorded by a worker that died before its reply. */
static uint64_t record(uint64_t node, uint64_t unique, int id)
{
	const struct ledger_handle handle = { .node = node, .unique = unique, .backing_id = id };
	uint64_t number;

	pthread_mutex_lock(&kernel.mount->lock);
	assert_int_equal(ledger_handle_add(kernel.mount->ledger, &handle, &number), 0);
	pthread_mutex_unlock(&kernel.mount->lock);
	return number;
}

static void test_takeover__open_comes_again__same_handle_mode_and_id(void **state)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;
	uint64_t node, handle, number;
	int32_t again;
	int id;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	number = record(node, 5000, id);
	pass_replace();
	pass_release(node, handle);
	assert_int_equal(table.open, 1);
	kernel_send_again(&kernel, 5000, FUSE_OPEN, node, &in, sizeof(in));
	assert_int_equal(kernel_receive(&kernel), 5000 | CHANNEL_AGAIN);
	memcpy(&out, kernel.reply.data, sizeof(out));
	memcpy(&again, kernel.reply.data + sizeof(out) - sizeof(again), sizeof(again));
	assert_int_equal(kernel.reply.header.error, 0);
	assert_int_equal(out.fh, number);
	assert_int_equal(again, id);
	assert_true(out.open_flags & OPEN_PASSTHROUGH);
	pass_release(node, number);
	pass_check_nothing_left();
}

/* The RELEASE was taken, and then the worker died: before it had closed the id, or before it had
 * erased it. */
static void check_nobody_has_it(bool closed)
{
	uint64_t node, handle;
	int id;

	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
	pthread_mutex_lock(&kernel.mount->lock);
	ledger_handle_remove(kernel.mount->ledger, handle);
	pthread_mutex_unlock(&kernel.mount->lock);
	kernel_die(&kernel);
	pass_cache_again();
	if (closed)
		assert_int_equal(table_close(0, id), 0);
	assert_int_equal(kernel_take_over(&kernel), 0);
	pass_check_nothing_left();
	pass_release(node, handle); /* comes again */
	pass_check_nothing_left();
}

static void test_takeover__recorded_and_nobody_has_it__closed_and_erased(void **state)
{
	(void)state;
	check_nobody_has_it(false);
}

static void test_takeover__closed_and_still_recorded__erased(void **state)
{
	(void)state;
	check_nobody_has_it(true);
}

static void test_takeover__registered_and_not_recorded__found_and_closed(void **state)
{
	uint64_t node, handle, other;
	int id, again;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	kernel_die(&kernel);
	pass_cache_again();
	for (unsigned i = 0; i < 3; i++)
		assert_true(table_open(0, -1) > id);
	assert_int_equal(table.open, 4);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(table.open, 1);
	assert_true(table.ids[id]);
	assert_int_equal(pass_open(node, &other, &again), 0);
	assert_int_equal(again, id);
	pass_release(node, other);
	pass_release(node, handle);
	pass_check_nothing_left();
	/* The ids of one that goes as it should are found by none. */
	table.missed = 0;
	pass_replace();
	assert_true(table.missed <= 8); /* probes, which are not recorded */
	pass_check_nothing_left();
}

static void test_takeover__numbers_began_anew__what_is_recorded_stays(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_follow_alone();
	table.next = IDS_MAX - 3;
	assert_int_equal(pass_open(node, &handle, &id), 0);
	table.next = 0;
	pass_replace();
	assert_int_equal(table.open, 1);
	assert_true(table.ids[id]);
	table.next = IDS_MAX - 2; /* as of table_close() */
	pass_release(node, handle);
	pass_check_nothing_left();
}

static void test_takeover__not_as_it_was_handed_out__shared_while_young_then_estale(void **state)
{
	char file[500];
	uint64_t node, handle, other, next;
	int id, again;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	kernel_die(&kernel);
	pass_cache_again();
	pass_object_path(file);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(pass_open(node, &other, &again), 0);
	assert_int_equal(again, id);
	pass_release(node, other);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_open(node, &other, &again), -ESTALE);
	next = pass_look_up().nodeid;
	assert_int_not_equal(next, node);
	assert_int_equal(pass_open(next, &other, &again), 0);
	assert_int_not_equal(again, id);
	pass_release(next, other);
	pass_release(node, handle);
	pass_check_nothing_left();
}

/* A worker that has no memory leaves all to the next. */
static void test_takeover__without_memory__nothing_is_closed(void **state)
{
	uint64_t node, handle;
	bool failed = true;
	int id;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	for (unsigned n = 1; failed; n++) {
		int err;

		kernel_die(&kernel);
		allocation_fault_arm(n);
		while ((err = kernel_take_over(&kernel)) != 0)
			assert_int_equal(err, -ENOMEM);
		failed = allocation_fault_disarm();
		assert_int_equal(table.open, 1);
		assert_true(table.ids[id]);
		assert_int_equal(pass_recorded(), 1);
		/* One that had told the kernel to send again, before it gave up. */
		while (!kernel_silent(&kernel))
			assert_true(read(kernel.fd, &kernel.reply, sizeof(kernel.reply)) > 0);
	}
	pass_release(node, handle);
	pass_check_nothing_left();
}

static void test_takeover__setting_is_off__what_is_open_stays_open(void **state)
{
	uint64_t node, handle, other;
	int id;

	(void)state;
	node = pass_follow_alone();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	kernel_die(&kernel);
	pass_cache_again();
	kernel.rig.config.passthrough = MOUNT_PASSTHROUGH_OFF;
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(table.open, 1);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_open(node, &other, &id), -ESTALE);
	assert_int_equal(pass_open(pass_look_up().nodeid, &other, &id), 0);
	assert_int_equal(id, 0);
	pass_release(node, other);
	pass_release(node, handle);
	assert_int_equal(table.open, 0);
}

static void test_takeover__of_direct_files__the_kernel_is_asked_for_no_id(void **state)
{
	uint64_t node, handle;

	(void)state;
	node = pass_fill(&handle);
	pass_replace();
	assert_int_equal(table.open, 0);
	pass_read_whole(node, handle);
	pass_release(node, handle);
	pass_check_nothing_left();
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, pass_setup, pass_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_takeover__open_in_passthrough__same_id_for_all_opens_until_the_last),
		ROW(test_takeover__open_comes_again__same_handle_mode_and_id),
		ROW(test_takeover__recorded_and_nobody_has_it__closed_and_erased),
		ROW(test_takeover__closed_and_still_recorded__erased),
		ROW(test_takeover__registered_and_not_recorded__found_and_closed),
		ROW(test_takeover__numbers_began_anew__what_is_recorded_stays),
		ROW(test_takeover__not_as_it_was_handed_out__shared_while_young_then_estale),
		ROW(test_takeover__without_memory__nothing_is_closed),
		ROW(test_takeover__setting_is_off__what_is_open_stays_open),
		ROW(test_takeover__of_direct_files__the_kernel_is_asked_for_no_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of passthrough.h, with a test as the kernel: which opens it is asked to serve by itself, by
 * which backing id, and what becomes of the nodes. Another worker: passthrough_takeover.c.
 */
#include "fuse/passthrough.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fuse/passthrough_rig.h"

static void test_open__complete_and_verified__estale_once_then_by_one_backing_id(void **state)
{
	uint64_t node, old, first, second;
	struct fuse_entry_out before, after;
	char expected[SIZE];
	int id, again;

	(void)state;
	node = pass_fill(&old);
	before = pass_look_up();
	assert_int_equal(before.nodeid, node);
	assert_int_equal(pass_open(node, &first, &id), -ESTALE);
	after = pass_look_up();
	assert_int_not_equal(after.nodeid, node);
	assert_int_equal(after.attr.ino, before.attr.ino);
	assert_int_equal(pass_open(after.nodeid, &first, &id), 0);
	assert_true(id > 0);
	assert_int_equal(pass_open(after.nodeid, &second, &again), 0);
	assert_int_equal(again, id);
	assert_int_equal(table.opens, 2); /* with the probe */
	assert_int_equal(table.len, SIZE);
	fake_bytes("e1", 0, expected, SIZE);
	assert_memory_equal(table.bytes, expected, SIZE);
	/* Who has it open in the other mode reads on. */
	pass_read_whole(node, old);
	pass_release(after.nodeid, first);
	assert_int_equal(table.open, 1);
	pass_release(after.nodeid, second);
	assert_int_equal(table.open, 1); /* idle */
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS_PASSTHROUGH), 2);
	assert_int_equal(kernel_counter(&kernel, MOUNT_PASSTHROUGH_BYTES), 2 * SIZE);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
	/* No backing store was asked for the new node. */
	assert_int_equal(kernel.rig.fake.heads, 1);
	pass_release(node, old);
}

static void test_lookup__of_a_verified_file__a_passthrough_node_at_once(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_fill(&handle);
	pass_release(node, handle);
	kernel_forget(&kernel, node, 1);
	kernel_await_gone(&kernel, node);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	node = pass_look_up().nodeid;
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
	pass_release(node, handle);
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS_STALE), 0);
}

static void test_open__the_kernel_takes_no_more__the_node_turns_direct_without_estale(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_fill_and_follow();
	table.error = -ENOMEM;
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	table.error = 0;
	/* The mode is the node's as long as it is young, then another node has it. */
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_open(node, &handle, &id), -ESTALE);
	node = pass_look_up().nodeid;
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
}

static void test_open__a_young_node__never_estale(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = pass_fill_and_follow();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
	/* Not to be handed out any more, and still there is a file that its openers share. */
	cache_handout_allow(kernel.cache, 0, false);
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_open(node, &handle, &id), -ESTALE);
	node = pass_look_up().nodeid;
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_int_equal(id, 0);
}

static void test_reload__off__for_new_opens(void **state)
{
	struct mount_config config = kernel.rig.config;
	char reason[PASSTHROUGH_REASON_MAX];
	uint64_t node, handle, other;
	int id;

	(void)state;
	assert_true(mount_passthrough(kernel.mount, reason, sizeof(reason)));
	assert_string_equal(reason, "");
	node = pass_fill_and_follow();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	assert_true(id > 0);
	config.passthrough = MOUNT_PASSTHROUGH_OFF;
	mount_reload(kernel.mount, &config);
	assert_false(mount_passthrough(kernel.mount, reason, sizeof(reason)));
	assert_string_equal(reason, "mount.passthrough is off");
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(pass_open(node, &other, &id), -ESTALE);
	assert_int_equal(pass_open(pass_look_up().nodeid, &other, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(table.open, 1);
	pass_release(node, handle);
	assert_int_equal(table.open, 0);
	mount_reload(kernel.mount, &kernel.rig.config);
	assert_true(mount_passthrough(kernel.mount, reason, sizeof(reason)));
}

static void test_overwritten__open_in_passthrough__the_new_version_is_another_node(void **state)
{
	uint64_t node, handle, new, other;
	int id;

	(void)state;
	node = pass_fill_and_follow();
	assert_int_equal(pass_open(node, &handle, &id), 0);
	fake_put(&kernel.rig.fake, "a", SIZE, "e2");
	clock_manual_advance(&kernel.rig.clock, 61 * NS_PER_S);
	new = pass_look_up().nodeid;
	assert_int_not_equal(new, node);
	assert_int_equal(pass_open(node, &other, &id), -ESTALE);
	assert_int_equal(pass_open(new, &other, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(table.open, 1);
	pass_release(node, handle);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
}

static void check_ordinary(const char *expected)
{
	char reason[PASSTHROUGH_REASON_MAX];
	uint64_t node, handle;
	int id;

	assert_false(mount_passthrough(kernel.mount, reason, sizeof(reason)));
	assert_non_null(strstr(reason, expected));
	fake_put(&kernel.rig.fake, "a", SIZE, "e1");
	for (unsigned i = 0; i < 2; i++) {
		node = pass_look_up().nodeid;
		assert_int_equal(pass_open(node, &handle, &id), 0);
		assert_int_equal(id, 0);
		pass_read_whole(node, handle);
		pass_release(node, handle);
		assert_int_equal(cache_flush(kernel.cache, 20 * NS_PER_S), 0);
		clock_manual_advance(&kernel.rig.clock, FRESH);
	}
	assert_int_equal(pass_verified(), 0);
}

static void test_refused__status_says_why_and_files_are_served(void **state)
{
	static const struct {
		uint32_t flags2;
		int error;
		const char *reason;
	} rows[] = {
		{ ~(1u << 5), 0, "6.9" },
		{ ~0u, -EPERM, "CAP_SYS_ADMIN" },
		{ ~0u, -ELOOP, "overlayfs" },
		{ ~0u, -EOPNOTSUPP, "not supported" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		pass_make(rows[i].flags2, rows[i].error);
		check_ordinary(rows[i].reason);
		assert_int_equal(pass_teardown(NULL), 0);
	}
}

static void test_init__offered_or_not__is_answered_alike(void **state)
{
	uint32_t depth;

	(void)state;
	for (unsigned offered = 0; offered < 2; offered++) {
		pass_make(offered ? ~0u : ~(1u << 5), 0);
		assert_int_equal(!!(kernel.init.flags2 & 1u << 5), offered);
		memcpy(&depth, (char *)&kernel.init + offsetof(struct fuse_init_out, flags2) + 4,
		       sizeof(depth));
		assert_int_equal(depth, offered);
		assert_int_equal(pass_teardown(NULL), 0);
	}
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, pass_setup, pass_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_open__complete_and_verified__estale_once_then_by_one_backing_id),
		ROW(test_lookup__of_a_verified_file__a_passthrough_node_at_once),
		ROW(test_open__the_kernel_takes_no_more__the_node_turns_direct_without_estale),
		ROW(test_open__a_young_node__never_estale),
		ROW(test_reload__off__for_new_opens),
		ROW(test_overwritten__open_in_passthrough__the_new_version_is_another_node),
		cmocka_unit_test(test_refused__status_says_why_and_files_are_served),
		cmocka_unit_test(test_init__offered_or_not__is_answered_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

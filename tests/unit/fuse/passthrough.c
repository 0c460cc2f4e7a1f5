/*
 * Tests of passthrough.h, with a test as the kernel: which opens it is asked to serve by itself, by
 * which backing id, and what becomes of the nodes.
 */
#include "fuse/passthrough.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/kernel.h"

#define SIZE		 100000
#define OPEN_PASSTHROUGH (1u << 7)
#define TRIES		 20000 /* of a millisecond */
#define FRESH		 (11 * NS_PER_S)
#define IDS_MAX		 10000

/* The kernel's table of backing files, as a test sees it. */
static struct {
	_Atomic int next, open, error;
	_Atomic unsigned opens, closes, missed; /* closed although not open */
	_Atomic bool ids[IDS_MAX];
	char bytes[SIZE + 1]; /* of the last file registered */
	ssize_t len;
} table;

static int table_open(int connection, int fd)
{
	(void)connection;
	if (table.error)
		return table.error;
	table.len = pread(fd, table.bytes, sizeof(table.bytes), 0);
	table.opens++;
	table.open++;
	CHECK(++table.next < IDS_MAX);
	table.ids[table.next] = true;
	return table.next;
}

static int table_close(int connection, int id)
{
	(void)connection;
	CHECK(id > 0 && id <= table.next);
	if (!table.ids[id]) {
		table.missed++;
		return -ENOENT;
	}
	table.ids[id] = false;
	table.closes++;
	table.open--;
	return 0;
}

static const struct channel_backing_ops table_ops = { .open = table_open, .close = table_close };

static struct kernel kernel;
static char path[400];
static const struct channel_backing_ops *real_ops;

static int make(uint32_t flags2, int error)
{
	char settings[1024];

	real_ops = channel_backing_ops;
	channel_backing_ops = &table_ops;
	memset(&table, 0, sizeof(table));
	table.error = error;
	assert_non_null(getcwd(path, sizeof(path) - 32));
	snprintf(path + strlen(path), 32, "/passthrough-XXXXXX");
	assert_non_null(mkdtemp(path));
	snprintf(settings, sizeof(settings),
		 "memory = \"64 MiB\"; read_timeout = \"60 s\"; scrub = 0; "
		 "directories = ( { path = \"%s/0\"; capacity = \"1 GiB\"; } );",
		 path);
	kernel_setup_with(&kernel, settings);
	kernel.rig.config.passthrough = MOUNT_PASSTHROUGH_AUTO;
	kernel.init_flags2 = flags2;
	kernel_start(&kernel);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return make(~0u, 0);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(name);
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	assert_int_equal(table.open, 0);
	channel_backing_ops = real_ops;
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct fuse_entry_out look_up(void)
{
	struct fuse_entry_out entry;

	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	assert_true(entry.nodeid != 0);
	return entry;
}

/* OPEN. Return: the error; *out_id: the backing id, or 0: direct. */
static int open_file(uint64_t node, uint64_t *out_handle, int *out_id)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;
	int err = kernel_ask(&kernel, FUSE_OPEN, node, &in, sizeof(in));
	int32_t id;

	*out_handle = 0;
	*out_id = 0;
	if (err)
		return err;
	memcpy(&out, kernel.reply.data, sizeof(out));
	memcpy(&id, kernel.reply.data + sizeof(out) - sizeof(id), sizeof(id));
	*out_handle = out.fh;
	*out_id = id;
	assert_int_equal(!!(out.open_flags & OPEN_PASSTHROUGH), id != 0);
	/* The kernel refuses any of these beside passthrough. */
	assert_int_equal(!!(out.open_flags & FOPEN_DIRECT_IO), id == 0);
	assert_int_equal(!!(out.open_flags & FOPEN_KEEP_CACHE), id == 0);
	return 0;
}

static void release(uint64_t node, uint64_t handle)
{
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static uint64_t verified(void)
{
	uint64_t queued;

	return cache_handout_count(kernel.cache, &queued);
}

static void wait_verified(void)
{
	for (unsigned tries = 0; verified() == 0; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
}

static void read_whole(uint64_t node, uint64_t handle)
{
	struct fuse_read_in in = { .fh = handle, .size = SIZE };
	char expected[SIZE];

	assert_int_equal(kernel_ask(&kernel, FUSE_READ, node, &in, sizeof(in)), 0);
	assert_int_equal(kernel.reply_len, SIZE);
	fake_bytes("e1", 0, expected, SIZE);
	assert_memory_equal(kernel.reply.data, expected, SIZE);
}

/* "a" is whole on the SSD and verified. Return: its first node, a direct one that is open. */
static uint64_t fill(uint64_t *out_handle)
{
	uint64_t node;
	int id;

	fake_put(&kernel.rig.fake, "a", SIZE, "e1");
	node = look_up().nodeid;
	assert_int_equal(open_file(node, out_handle, &id), 0);
	assert_int_equal(id, 0);
	read_whole(node, *out_handle);
	assert_int_equal(cache_flush(kernel.cache, 20 * NS_PER_S), 0);
	wait_verified();
	return node;
}

/* The same, and the node that follows it, in passthrough mode. */
static uint64_t fill_and_follow(void)
{
	uint64_t handle, node = fill(&handle);
	struct fuse_entry_out entry;
	int id;

	assert_int_equal(open_file(node, &handle, &id), -ESTALE);
	entry = look_up();
	assert_int_not_equal(entry.nodeid, node);
	return entry.nodeid;
}

static void test_open__complete_and_verified__estale_once_then_by_one_backing_id(void **state)
{
	uint64_t node, old, first, second;
	struct fuse_entry_out before, after;
	char expected[SIZE];
	int id, again;

	(void)state;
	node = fill(&old);
	before = look_up();
	assert_int_equal(before.nodeid, node);
	assert_int_equal(open_file(node, &first, &id), -ESTALE);
	after = look_up();
	assert_int_not_equal(after.nodeid, node);
	assert_int_equal(after.attr.ino, before.attr.ino);
	assert_int_equal(open_file(after.nodeid, &first, &id), 0);
	assert_true(id > 0);
	assert_int_equal(open_file(after.nodeid, &second, &again), 0);
	assert_int_equal(again, id);
	assert_int_equal(table.opens, 2); /* with the probe */
	assert_int_equal(table.len, SIZE);
	fake_bytes("e1", 0, expected, SIZE);
	assert_memory_equal(table.bytes, expected, SIZE);
	/* Who has it open in the other mode reads on. */
	read_whole(node, old);
	release(after.nodeid, first);
	assert_int_equal(table.open, 1);
	release(after.nodeid, second);
	assert_int_equal(table.open, 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS_PASSTHROUGH), 2);
	assert_int_equal(kernel_counter(&kernel, MOUNT_PASSTHROUGH_BYTES), 2 * SIZE);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
	/* No backing store was asked for the new node. */
	assert_int_equal(kernel.rig.fake.heads, 1);
	release(node, old);
}

static void test_lookup__of_a_verified_file__a_passthrough_node_at_once(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = fill(&handle);
	release(node, handle);
	kernel_forget(&kernel, node, 1);
	kernel_await_gone(&kernel, node);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	node = look_up().nodeid;
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
	release(node, handle);
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS_STALE), 0);
}

static void test_open__the_kernel_takes_no_more__the_node_turns_direct_without_estale(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = fill_and_follow();
	table.error = -ENOMEM;
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	table.error = 0;
	/* The mode is the node's as long as it is young, then another node has it. */
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_int_equal(id, 0);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(open_file(node, &handle, &id), -ESTALE);
	node = look_up().nodeid;
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
}

static void test_open__a_young_node__never_estale(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = fill_and_follow();
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
	/* Not to be handed out any more, and still there is a file that its openers share. */
	cache_handout_allow(kernel.cache, 0, false);
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(open_file(node, &handle, &id), -ESTALE);
	node = look_up().nodeid;
	assert_int_equal(open_file(node, &handle, &id), 0);
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
	node = fill_and_follow();
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
	config.passthrough = MOUNT_PASSTHROUGH_OFF;
	mount_reload(kernel.mount, &config);
	assert_false(mount_passthrough(kernel.mount, reason, sizeof(reason)));
	assert_string_equal(reason, "mount.passthrough is off");
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(open_file(node, &other, &id), -ESTALE);
	assert_int_equal(open_file(look_up().nodeid, &other, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(table.open, 1);
	release(node, handle);
	assert_int_equal(table.open, 0);
	mount_reload(kernel.mount, &kernel.rig.config);
	assert_true(mount_passthrough(kernel.mount, reason, sizeof(reason)));
}

static void test_overwritten__open_in_passthrough__the_new_version_is_another_node(void **state)
{
	uint64_t node, handle, new, other;
	int id;

	(void)state;
	node = fill_and_follow();
	assert_int_equal(open_file(node, &handle, &id), 0);
	fake_put(&kernel.rig.fake, "a", SIZE, "e2");
	clock_manual_advance(&kernel.rig.clock, 61 * NS_PER_S);
	new = look_up().nodeid;
	assert_int_not_equal(new, node);
	assert_int_equal(open_file(node, &other, &id), -ESTALE);
	assert_int_equal(open_file(new, &other, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(table.open, 1);
	release(node, handle);
	assert_int_equal(table.open, 0);
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
		node = look_up().nodeid;
		assert_int_equal(open_file(node, &handle, &id), 0);
		assert_int_equal(id, 0);
		read_whole(node, handle);
		release(node, handle);
		assert_int_equal(cache_flush(kernel.cache, 20 * NS_PER_S), 0);
		clock_manual_advance(&kernel.rig.clock, FRESH);
	}
	assert_int_equal(verified(), 0);
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
		make(rows[i].flags2, rows[i].error);
		check_ordinary(rows[i].reason);
		assert_int_equal(teardown(NULL), 0);
	}
}

static void test_init__offered_or_not__is_answered_alike(void **state)
{
	uint32_t depth;

	(void)state;
	for (unsigned offered = 0; offered < 2; offered++) {
		make(offered ? ~0u : ~(1u << 5), 0);
		assert_int_equal(!!(kernel.init.flags2 & 1u << 5), offered);
		memcpy(&depth, (char *)&kernel.init + offsetof(struct fuse_init_out, flags2) + 4,
		       sizeof(depth));
		assert_int_equal(depth, offered);
		assert_int_equal(teardown(NULL), 0);
	}
}

/* --- another worker --- */

static void cache_again(void)
{
	char problem[256];

	cache_stop(kernel.cache);
	cache_destroy(kernel.cache);
	assert_int_equal(cache_create(&kernel.cache_config, clock_system(), &kernel.cache, problem,
				      sizeof(problem)),
			 0);
}

/* The worker dies with its cache, and another takes over what is on the SSD. */
static void replace(void)
{
	kernel_die(&kernel);
	cache_again();
	assert_int_equal(kernel_take_over(&kernel), 0);
}

static int count_one(void *context, const struct ledger_backing *backing)
{
	unsigned *count = context;

	assert_true(backing->id > 0);
	(*count)++;
	return 0;
}

static unsigned recorded(void)
{
	unsigned count = 0;
	struct ledger *ledger;

	assert_int_equal(ledger_adopt(dup(ledger_fd(kernel.mount->ledger)), &ledger), 0);
	assert_int_equal(ledger_backings_each(ledger, count_one, &count), 0);
	ledger_destroy(ledger);
	return count;
}

/* As fill_and_follow(), and nobody has it open. */
static uint64_t follow_alone(void)
{
	uint64_t old, none, node = fill(&old);
	int id;

	assert_int_equal(open_file(node, &none, &id), -ESTALE);
	release(node, old);
	return look_up().nodeid;
}

static void check_nothing_left(void)
{
	assert_int_equal(table.open, 0);
	assert_int_equal(recorded(), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
}

static void test_takeover__open_in_passthrough__same_id_for_all_opens_until_the_last(void **state)
{
	uint64_t node, first, second, third;
	int id, again;

	(void)state;
	node = follow_alone();
	assert_int_equal(open_file(node, &first, &id), 0);
	assert_int_equal(open_file(node, &second, &again), 0);
	assert_int_equal(recorded(), 1);
	replace();
	assert_int_equal(table.open, 1);
	assert_int_equal(recorded(), 1);
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 1);
	/* Verified by the one that died: no ESTALE, though the node is no longer young. */
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(verified(), 1);
	assert_int_equal(open_file(node, &third, &again), 0);
	assert_int_equal(again, id);
	release(node, first);
	release(node, third);
	assert_int_equal(table.open, 1);
	replace();
	assert_int_equal(table.open, 1);
	release(node, second);
	check_nothing_left();
	/* What follows is as ever. */
	assert_int_equal(open_file(node, &first, &again), 0);
	assert_true(again > id);
	release(node, first);
	check_nothing_left();
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
	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	number = record(node, 5000, id);
	replace();
	release(node, handle);
	assert_int_equal(table.open, 1);
	kernel_send_again(&kernel, 5000, FUSE_OPEN, node, &in, sizeof(in));
	assert_int_equal(kernel_receive(&kernel), 5000 | CHANNEL_AGAIN);
	memcpy(&out, kernel.reply.data, sizeof(out));
	memcpy(&again, kernel.reply.data + sizeof(out) - sizeof(again), sizeof(again));
	assert_int_equal(kernel.reply.header.error, 0);
	assert_int_equal(out.fh, number);
	assert_int_equal(again, id);
	assert_true(out.open_flags & OPEN_PASSTHROUGH);
	release(node, number);
	check_nothing_left();
}

/* The RELEASE was taken, and then the worker died: before it had closed the id, or before it had
 * erased it. */
static void check_nobody_has_it(bool closed)
{
	uint64_t node, handle;
	int id;

	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	assert_true(id > 0);
	pthread_mutex_lock(&kernel.mount->lock);
	ledger_handle_remove(kernel.mount->ledger, handle);
	pthread_mutex_unlock(&kernel.mount->lock);
	kernel_die(&kernel);
	cache_again();
	if (closed)
		assert_int_equal(table_close(0, id), 0);
	assert_int_equal(kernel_take_over(&kernel), 0);
	check_nothing_left();
	release(node, handle); /* comes again */
	check_nothing_left();
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
	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	kernel_die(&kernel);
	cache_again();
	for (unsigned i = 0; i < 3; i++)
		assert_true(table_open(0, -1) > id);
	assert_int_equal(table.open, 4);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(table.open, 1);
	assert_true(table.ids[id]);
	assert_int_equal(open_file(node, &other, &again), 0);
	assert_int_equal(again, id);
	release(node, other);
	release(node, handle);
	check_nothing_left();
	/* The ids of one that goes as it should are found by none. */
	table.missed = 0;
	replace();
	assert_true(table.missed <= 8); /* probes, which are not recorded */
	check_nothing_left();
}

static void test_takeover__numbers_began_anew__what_is_recorded_stays(void **state)
{
	uint64_t node, handle;
	int id;

	(void)state;
	node = follow_alone();
	table.next = IDS_MAX - 3;
	assert_int_equal(open_file(node, &handle, &id), 0);
	table.next = 0;
	replace();
	assert_int_equal(table.open, 1);
	assert_true(table.ids[id]);
	table.next = IDS_MAX - 2; /* as of table_close() */
	release(node, handle);
	check_nothing_left();
}

static void object_path(char out[500])
{
	char text[OBJECT_ID_TEXT_LEN];
	struct object_version version = { .backing = kernel.rig.fake.backing.id,
					  .bucket = "k",
					  .key = "a",
					  .etag = "e1",
					  .size = SIZE };
	struct object_id id;

	object_id_of(&version, &id);
	object_id_text(&id, text);
	snprintf(out, 500, "%s/0/objects/%.2s/%s", path, text, text);
}

static void test_takeover__not_as_it_was_handed_out__shared_while_young_then_estale(void **state)
{
	char file[500];
	uint64_t node, handle, other, next;
	int id, again;

	(void)state;
	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	kernel_die(&kernel);
	cache_again();
	object_path(file);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(open_file(node, &other, &again), 0);
	assert_int_equal(again, id);
	release(node, other);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(open_file(node, &other, &again), -ESTALE);
	next = look_up().nodeid;
	assert_int_not_equal(next, node);
	assert_int_equal(open_file(next, &other, &again), 0);
	assert_int_not_equal(again, id);
	release(next, other);
	release(node, handle);
	check_nothing_left();
}

/* A worker that has no memory leaves all to the next. */
static void test_takeover__without_memory__nothing_is_closed(void **state)
{
	uint64_t node, handle;
	bool failed = true;
	int id;

	(void)state;
	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	for (unsigned n = 1; failed; n++) {
		int err;

		kernel_die(&kernel);
		allocation_fault_arm(n);
		while ((err = kernel_take_over(&kernel)) != 0)
			assert_int_equal(err, -ENOMEM);
		failed = allocation_fault_disarm();
		assert_int_equal(table.open, 1);
		assert_true(table.ids[id]);
		assert_int_equal(recorded(), 1);
		/* One that had told the kernel to send again, before it gave up. */
		while (!kernel_silent(&kernel))
			assert_true(read(kernel.fd, &kernel.reply, sizeof(kernel.reply)) > 0);
	}
	release(node, handle);
	check_nothing_left();
}

static void test_takeover__setting_is_off__what_is_open_stays_open(void **state)
{
	uint64_t node, handle, other;
	int id;

	(void)state;
	node = follow_alone();
	assert_int_equal(open_file(node, &handle, &id), 0);
	kernel_die(&kernel);
	cache_again();
	kernel.rig.config.passthrough = MOUNT_PASSTHROUGH_OFF;
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(table.open, 1);
	clock_manual_advance(&kernel.rig.clock, FRESH);
	assert_int_equal(open_file(node, &other, &id), -ESTALE);
	assert_int_equal(open_file(look_up().nodeid, &other, &id), 0);
	assert_int_equal(id, 0);
	release(node, other);
	release(node, handle);
	assert_int_equal(table.open, 0);
}

static void test_takeover__of_direct_files__the_kernel_is_asked_for_no_id(void **state)
{
	uint64_t node, handle;

	(void)state;
	node = fill(&handle);
	replace();
	assert_int_equal(table.open, 0);
	read_whole(node, handle);
	release(node, handle);
	check_nothing_left();
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init__offered_or_not__is_answered_alike),
		ROW(test_open__complete_and_verified__estale_once_then_by_one_backing_id),
		ROW(test_lookup__of_a_verified_file__a_passthrough_node_at_once),
		ROW(test_open__the_kernel_takes_no_more__the_node_turns_direct_without_estale),
		ROW(test_open__a_young_node__never_estale),
		ROW(test_reload__off__for_new_opens),
		ROW(test_overwritten__open_in_passthrough__the_new_version_is_another_node),
		cmocka_unit_test(test_refused__status_says_why_and_files_are_served),
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

/*
 * Tests of handles.h, with a test as the kernel: what another worker makes of the open files and
 * directories of one that died.
 */
#include "fuse/handles.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/kernel.h"

#define KIB	 UINT64_C(1024)
#define SIZE	 (100 * KIB)
#define LIST_LEN 4096  /* of an answer to READDIR */
#define TRIES	 20000 /* of a millisecond */

static struct kernel kernel;
static char expected[SIZE];

static int setup(void **state)
{
	(void)state;
	kernel_setup(&kernel);
	kernel_start(&kernel);
	fake_put(&kernel.rig.fake, "a", SIZE, "e1");
	fake_put(&kernel.rig.fake, "b", SIZE, "e2");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return 0;
}

static uint64_t node_of(const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(kernel_lookup(&kernel, 1, name, &entry), 0);
	assert_true(entry.nodeid != 0);
	return entry.nodeid;
}

static int read_at(uint64_t node, uint64_t handle, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = { .fh = handle, .offset = off, .size = size };

	return kernel_ask(&kernel, FUSE_READ, node, &in, sizeof(in));
}

static void check_read(uint64_t node, uint64_t handle, const char *etag)
{
	assert_int_equal(read_at(node, handle, 1000, 50000), 0);
	assert_int_equal(kernel.reply_len, 50000);
	fake_bytes(etag, 1000, expected, 50000);
	assert_memory_equal(kernel.reply.data, expected, 50000);
}

static int count_one(void *context, const struct ledger_handle *handle)
{
	unsigned *counts = context;

	counts[handle->replied]++;
	return 0;
}

/* Those in the ledger. *out_unanswered: of them, the kernel may not have. */
static unsigned recorded(unsigned *out_unanswered)
{
	unsigned counts[2] = { 0, 0 };
	struct ledger *ledger;
	int fd = dup(ledger_fd(kernel.mount->ledger));

	assert_true(fd >= 0);
	assert_int_equal(ledger_adopt(fd, &ledger), 0);
	assert_int_equal(ledger_handles_each(ledger, count_one, counts), 0);
	ledger_destroy(ledger);
	*out_unanswered = counts[0];
	return counts[0] + counts[1];
}

/* Until it is recorded that the kernel has them all, a moment after the replies. */
static void wait_answered(unsigned count)
{
	unsigned unanswered = count;

	for (unsigned tries = 0; unanswered > 0; tries++) {
		assert_true(tries < TRIES);
		assert_int_equal(recorded(&unanswered), count);
		usleep(1000);
	}
}

static void check_nothing_left(void)
{
	unsigned unanswered;

	assert_int_equal(recorded(&unanswered), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
	pthread_mutex_lock(&kernel.mount->lock);
	assert_true(LIST_EMPTY(&kernel.mount->handles.open));
	assert_null(kernel.mount->handles.again);
	pthread_mutex_unlock(&kernel.mount->lock);
}

/* What a worker leaves that dies between the record and the reply. */
static uint64_t record(uint64_t node, uint64_t unique, bool directory)
{
	const struct ledger_handle handle = { .node = node,
					      .unique = unique,
					      .directory = directory };
	uint64_t number;

	pthread_mutex_lock(&kernel.mount->lock);
	assert_int_equal(ledger_handle_add(kernel.mount->ledger, &handle, &number), 0);
	pthread_mutex_unlock(&kernel.mount->lock);
	return number;
}

static int open_again(uint32_t opcode, uint64_t node, uint64_t unique, uint64_t *out_handle)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;

	kernel_send_again(&kernel, unique, opcode, node, &in, sizeof(in));
	assert_int_equal(kernel_receive_answering(&kernel), unique | CHANNEL_AGAIN);
	if (kernel.reply.header.error)
		return kernel.reply.header.error;
	memcpy(&out, kernel.reply.data, sizeof(out));
	*out_handle = out.fh;
	return 0;
}

/* --- numbers --- */

static void test_open__recorded_before_the_reply_and_answered_after_it__until_release(void **state)
{
	uint64_t node, file, directory;

	(void)state;
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &file), 0);
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &directory), 0);
	wait_answered(2);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 1);
	kernel_release(&kernel, FUSE_RELEASE, node, file);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, directory);
	check_nothing_left();
}

static void test_open__again_and_again__never_the_same_number(void **state)
{
	uint64_t node, handles[100];

	(void)state;
	node = node_of("a");
	for (unsigned i = 0; i < ARRAY_COUNT(handles); i++) {
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handles[i]), 0);
		kernel_release(&kernel, FUSE_RELEASE, node, handles[i]);
		for (unsigned k = 0; k < i; k++)
			assert_true(handles[k] != handles[i]);
		if (i == 50)
			kernel_replace(&kernel);
	}
	check_nothing_left();
}

static void test_open__no_number_left__enfile_and_nothing_is_kept(void **state)
{
	static uint64_t numbers[LEDGER_HANDLES_MAX];
	uint64_t node, handle;

	(void)state;
	node = node_of("a");
	for (unsigned i = 0; i < ARRAY_COUNT(numbers); i++)
		numbers[i] = record(node, 2, false);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), -ENFILE);
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), -ENFILE);
	pthread_mutex_lock(&kernel.mount->lock);
	for (unsigned i = 0; i < ARRAY_COUNT(numbers); i++)
		ledger_handle_remove(kernel.mount->ledger, numbers[i]);
	pthread_mutex_unlock(&kernel.mount->lock);
	check_nothing_left();
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_number__not_known__release_succeeds_and_reads_are_of_the_node(void **state)
{
	uint64_t a, b, handle, wrong[4];

	(void)state;
	a = node_of("a");
	b = node_of("b");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, a, &handle), 0);
	wrong[0] = 0;
	wrong[1] = handle + LEDGER_HANDLES_MAX; /* the same place */
	wrong[2] = UINT64_MAX;
	wrong[3] = handle; /* another node's */
	for (unsigned i = 0; i < ARRAY_COUNT(wrong); i++) {
		check_read(b, wrong[i], "e2");
		kernel_release(&kernel, FUSE_RELEASE, b, wrong[i]);
		kernel_release(&kernel, FUSE_RELEASEDIR, 1, wrong[i]);
	}
	check_read(a, handle, "e1");
	assert_int_equal(read_at(a + 1000000, handle, 0, 10), -ESTALE);
	kernel_release(&kernel, FUSE_RELEASE, a, handle);
	check_nothing_left();
}

/* --- another worker --- */

static void test_takeover__open_files__are_read_on_until_release(void **state)
{
	uint64_t a, b, first, second, other, asked;

	(void)state;
	a = node_of("a");
	b = node_of("b");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, a, &first), 0);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, a, &second), 0);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, b, &other), 0);
	asked = kernel.rig.fake.heads;
	for (unsigned i = 0; i < 3; i++) {
		kernel_replace(&kernel);
		assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 3);
		check_read(a, first, "e1");
		check_read(b, other, "e2");
		check_read(a, second, "e1");
	}
	assert_int_equal(kernel.rig.fake.heads, asked);
	kernel_release(&kernel, FUSE_RELEASE, a, first);
	kernel_release(&kernel, FUSE_RELEASE, b, other); /* not read by anyone since */
	kernel_replace(&kernel);
	kernel_release(&kernel, FUSE_RELEASE, a, second);
	check_nothing_left();
}

static void test_takeover__an_old_version_is_open__it_is_what_is_read(void **state)
{
	uint64_t before, after, old, new;

	(void)state;
	before = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, before, &old), 0);
	check_read(before, old, "e1");
	fake_put(&kernel.rig.fake, "a", SIZE, "e3");
	clock_manual_advance(&kernel.rig.clock, 61 * NS_PER_S);
	after = node_of("a");
	assert_true(after != before);
	kernel_replace(&kernel);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, after, &new), 0);
	check_read(after, new, "e3");
	check_read(before, old, "e1"); /* from memory */
	kernel_release(&kernel, FUSE_RELEASE, before, old);
	kernel_release(&kernel, FUSE_RELEASE, after, new);
	check_nothing_left();
}

static void test_takeover__many_handles__nobody_is_asked(void **state)
{
	static uint64_t handles[10000];
	struct fake_backing *fake = &kernel.rig.fake;
	uint64_t node;
	unsigned heads, gets;

	(void)state;
	node = node_of("a");
	for (unsigned i = 0; i < ARRAY_COUNT(handles); i++)
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handles[i]), 0);
	heads = fake->heads;
	gets = fake->gets;
	kernel_replace(&kernel);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), ARRAY_COUNT(handles));
	assert_int_equal(fake->heads, heads);
	assert_int_equal(fake->gets, gets);
	assert_int_equal(fake->queued, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(handles); i++)
		kernel_release(&kernel, FUSE_RELEASE, node, handles[i]);
	check_nothing_left();
}

/* A worker that has no memory leaves all to the next. */
static void test_takeover__without_memory__nothing_is_lost(void **state)
{
	uint64_t node, file, directory, again, unanswered;
	bool failed = true;

	(void)state;
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &file), 0);
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &directory), 0);
	unanswered = record(node, 1000, false);
	for (unsigned n = 1; failed; n++) {
		int err;

		kernel_die(&kernel);
		allocation_fault_arm(n);
		while ((err = kernel_take_over(&kernel)) != 0)
			assert_int_equal(err, -ENOMEM);
		failed = allocation_fault_disarm();
		/* One that had told the kernel to send again, before it gave up. */
		while (!kernel_silent(&kernel))
			assert_true(read(kernel.fd, &kernel.reply, sizeof(kernel.reply)) > 0);
	}
	check_read(node, file, "e1");
	assert_int_equal(open_again(FUSE_OPEN, node, 1000, &again), 0);
	assert_int_equal(again, unanswered);
	kernel_release(&kernel, FUSE_RELEASE, node, again);
	kernel_release(&kernel, FUSE_RELEASE, node, file);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, directory);
	check_nothing_left();
}

/* The record is there, the reply may not be: the OPEN comes again. */
static void test_takeover__open_comes_again__the_same_handle_once(void **state)
{
	uint64_t node, recorded_file, recorded_directory, file, directory, another;
	unsigned unanswered;

	(void)state;
	node = node_of("a");
	recorded_file = record(node, 1000, false);
	recorded_directory = record(1, 1002, true);
	kernel_replace(&kernel);
	assert_int_equal(recorded(&unanswered), 2);
	assert_int_equal(unanswered, 2);
	assert_int_equal(open_again(FUSE_OPEN, node, 1000, &file), 0);
	assert_int_equal(file, recorded_file);
	assert_int_equal(open_again(FUSE_OPENDIR, 1, 1002, &directory), 0);
	assert_int_equal(directory, recorded_directory);
	wait_answered(2);
	check_read(node, file, "e1");
	/* A request that the former worker had not come to. */
	assert_int_equal(open_again(FUSE_OPEN, node, 1004, &another), 0);
	assert_true(another != file);
	check_read(node, another, "e1");
	kernel_release(&kernel, FUSE_RELEASE, node, another);
	kernel_release(&kernel, FUSE_RELEASE, node, file);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, directory);
	check_nothing_left();
}

/* The reply was written, and the worker died before it could say so. */
static void test_takeover__open_does_not_come_again__the_handle_is_there(void **state)
{
	uint64_t node, file, directory, other;

	(void)state;
	node = node_of("a");
	file = record(node, 1000, false);
	directory = record(1, 1002, true);
	kernel_replace(&kernel);
	check_read(node, file, "e1");
	/* Not what others are given, neither by number nor by kind. */
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &other), 0);
	assert_true(other != file);
	kernel_release(&kernel, FUSE_RELEASE, node, other);
	assert_int_equal(open_again(FUSE_OPENDIR, 1, 1000, &other), 0);
	assert_true(other != file && other != directory);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, other);
	kernel_replace(&kernel);
	check_read(node, file, "e1");
	kernel_release(&kernel, FUSE_RELEASE, node, file);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, directory);
	check_nothing_left();
}

/* Of two workers that die one after the other about the same OPEN. */
static void test_takeover__open_comes_again_twice__the_same_handle(void **state)
{
	uint64_t node, first, again;

	(void)state;
	node = node_of("a");
	first = record(node, 1000, false);
	kernel_replace(&kernel);
	kernel_replace(&kernel);
	assert_int_equal(open_again(FUSE_OPEN, node, 1000, &again), 0);
	assert_int_equal(again, first);
	kernel_release(&kernel, FUSE_RELEASE, node, again);
	check_nothing_left();
}

static void test_takeover__node_is_not_known__estale_and_release(void **state)
{
	const uint64_t node = 12345678;
	uint64_t file, directory, again;

	(void)state;
	file = record(node, 1000, false);
	directory = record(node, 1002, true);
	kernel_replace(&kernel);
	assert_int_equal(read_at(node, file, 0, 10), -ESTALE);
	kernel_read_send(&kernel, FUSE_READDIR, node, directory, 0, LIST_LEN);
	kernel_receive(&kernel);
	assert_int_equal(kernel.reply.header.error, -ESTALE);
	assert_int_equal(open_again(FUSE_OPEN, node, 1000, &again), 0);
	assert_int_equal(again, file);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &again), -ESTALE);
	kernel_release(&kernel, FUSE_RELEASE, node, file);
	kernel_release(&kernel, FUSE_RELEASEDIR, node, directory);
	check_nothing_left();
}

static void test_release__comes_again__succeeds(void **state)
{
	struct fuse_release_in in = { 0 };
	uint64_t node;

	(void)state;
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &in.fh), 0);
	kernel_release(&kernel, FUSE_RELEASE, node, in.fh);
	kernel_replace(&kernel);
	kernel_send_again(&kernel, kernel.unique += 2, FUSE_RELEASE, node, &in, sizeof(in));
	kernel_receive(&kernel);
	assert_int_equal(kernel.reply.header.error, 0);
	check_nothing_left();
}

/* --- requests that come again --- */

static void test_read__in_hand_when_the_worker_died__answered_by_the_next(void **state)
{
	uint64_t node, unique;
	struct fuse_read_in in = { .size = 1000 };

	(void)state;
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &in.fh), 0);
	unique = kernel_send(&kernel, FUSE_READ, node, &in, sizeof(in));
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_replace(&kernel);
	assert_true(kernel_silent(&kernel));
	kernel_send_again(&kernel, unique, FUSE_READ, node, &in, sizeof(in));
	assert_int_equal(kernel_receive_answering(&kernel), unique | CHANNEL_AGAIN);
	assert_int_equal(kernel.reply.header.error, 0);
	fake_bytes("e1", 0, expected, 1000);
	assert_memory_equal(kernel.reply.data, expected, 1000);
	kernel_release(&kernel, FUSE_RELEASE, node, in.fh);
	check_nothing_left();
}

static void check_interrupted(const char *name, bool by_new_number)
{
	struct fuse_read_in in = { .size = 1000 };
	uint64_t unique, node = node_of(name);

	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &in.fh), 0);
	kernel_replace(&kernel);
	unique = kernel.unique += 2;
	kernel_send_again(&kernel, unique, FUSE_READ, node, &in, sizeof(in));
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_interrupt(&kernel, by_new_number ? unique | CHANNEL_AGAIN : unique);
	assert_int_equal(kernel_receive(&kernel), unique | CHANNEL_AGAIN);
	assert_int_equal(kernel.reply.header.error, -EINTR);
	fake_run_all(&kernel.rig.fake);
	assert_int_equal(kernel_counter(&kernel, MOUNT_INTERRUPTS), 1);
	kernel_release(&kernel, FUSE_RELEASE, node, in.fh);
}

static void test_read__comes_again_and_is_interrupted__eintr(void **state)
{
	(void)state;
	check_interrupted("a", true);
	check_interrupted("b", false);
}

/* --- directories --- */

#define NAMES 500

struct listing {
	bool seen[NAMES];
	unsigned count;
	uint64_t off;
};

/* One READDIR. Return: false at the end. */
static bool list_some(struct listing *listing, uint64_t handle, uint32_t opcode)
{
	struct fuse_read_in in = { .fh = handle, .offset = listing->off, .size = LIST_LEN };

	assert_int_equal(kernel_ask(&kernel, opcode, 1, &in, sizeof(in)), 0);
	for (size_t at = 0; at < kernel.reply_len;) {
		bool plus = opcode == FUSE_READDIRPLUS;
		const struct fuse_direntplus *full = (const void *)(kernel.reply.data + at);
		const struct fuse_dirent *entry = plus ? &full->dirent : (const void *)full;
		unsigned long number;

		listing->off = entry->off;
		at += plus ? FUSE_DIRENTPLUS_SIZE(full) : FUSE_DIRENT_SIZE(entry);
		if (entry->name[0] != 'n')
			continue;
		number = strtoul(entry->name + 1, NULL, 10); /* padded with zeros */
		assert_true(number < NAMES && !listing->seen[number]);
		listing->seen[number] = true;
		listing->count++;
	}
	return kernel.reply_len > 0;
}

static void check_listing(unsigned answers_between, uint32_t opcode)
{
	struct listing listing = { 0 };
	uint64_t handle;
	unsigned answers = 0;

	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), 0);
	while (list_some(&listing, handle, opcode))
		if (++answers % answers_between == 0)
			kernel_replace(&kernel);
	assert_true(answers > 3);
	assert_int_equal(listing.count, NAMES);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, handle);
	check_nothing_left();
}

static void test_readdir__workers_die_between__each_name_once(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), i % 3 ? "n%03u" : "n%03u/x", i);
		fake_put(&kernel.rig.fake, name, i, "e");
	}
	check_listing(1, FUSE_READDIR);
	check_listing(2, FUSE_READDIR);
	check_listing(1, FUSE_READDIRPLUS);
	check_listing(1000, FUSE_READDIRPLUS);
}

static void test_readdir__number_not_known__the_node_is_read(void **state)
{
	struct listing listing = { 0 };

	(void)state;
	fake_put(&kernel.rig.fake, "n001", 1, "e");
	fake_put(&kernel.rig.fake, "n002", 1, "e");
	while (list_some(&listing, 4711, FUSE_READDIR))
		;
	assert_int_equal(listing.count, 2);
	check_nothing_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open__recorded_before_the_reply_and_answered_after_it__until_release),
		TEST(test_open__again_and_again__never_the_same_number),
		TEST(test_open__no_number_left__enfile_and_nothing_is_kept),
		TEST(test_number__not_known__release_succeeds_and_reads_are_of_the_node),
		TEST(test_takeover__open_files__are_read_on_until_release),
		TEST(test_takeover__an_old_version_is_open__it_is_what_is_read),
		TEST(test_takeover__many_handles__nobody_is_asked),
		TEST(test_takeover__without_memory__nothing_is_lost),
		TEST(test_takeover__open_comes_again__the_same_handle_once),
		TEST(test_takeover__open_does_not_come_again__the_handle_is_there),
		TEST(test_takeover__open_comes_again_twice__the_same_handle),
		TEST(test_takeover__node_is_not_known__estale_and_release),
		TEST(test_release__comes_again__succeeds),
		TEST(test_read__in_hand_when_the_worker_died__answered_by_the_next),
		TEST(test_read__comes_again_and_is_interrupted__eintr),
		TEST(test_readdir__workers_die_between__each_name_once),
		TEST(test_readdir__number_not_known__the_node_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

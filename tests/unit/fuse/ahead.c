/*
 * Tests of ahead.h, with a test as the kernel: what a small-files mount puts into its page cache,
 * and, with a test in the place of the connection, what becomes of a store that waits or fails.
 */
#include "fuse/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "tests/unit/fuse/kernel.h"

#define SIZE	1000
#define FILES	20
#define WAIT_NS (20 * NS_PER_S)

static struct kernel kernel;
static uint64_t nodes[FILES];

static void make(int kind)
{
	kernel_setup_on_disk(&kernel);
	kernel.rig.entries[0].kind = kind;
	kernel.rig.config.sibling_max = 1 << 20;
	kernel.rig.config.threads = 1; /* requests are seen in the order in which they are sent */
	kernel_start(&kernel);
}

static int setup(void **state)
{
	(void)state;
	make(MOUNT_SMALL_FILES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return kernel_remove(&kernel);
}

/* --- what a small-files mount stores ---------------------------------------------------------- */

static void name_of(unsigned index, char name[8])
{
	snprintf(name, 8, "f%02u", index);
}

static void put(unsigned index)
{
	char name[8];

	name_of(index, name);
	fake_put(&kernel.rig.fake, name, SIZE, name);
}

static void look_up(unsigned index)
{
	struct fuse_entry_out entry;
	char name[8];

	name_of(index, name);
	assert_int_equal(kernel_lookup(&kernel, 1, name, &entry), 0);
	assert_true(entry.nodeid != 0);
	nodes[index] = entry.nodeid;
}

/* With no handle, as the kernel does there. */
static void read_at(unsigned index, uint64_t off)
{
	struct fuse_read_in in = { .offset = off, .size = SIZE };

	assert_int_equal(kernel_ask(&kernel, FUSE_READ, nodes[index], &in, sizeof(in)), 0);
	assert_int_equal(kernel.reply_len, SIZE - off);
}

/* On this node, without that the kernel had its start. */
static void bring(unsigned index)
{
	put(index);
	kernel.rig.clock.now_ns += 3600 * NS_PER_S; /* no listing is believed any more */
	look_up(index);
	read_at(index, 1);
	assert_int_equal(cache_flush(kernel.cache, WAIT_NS), 0);
}

static void list(uint32_t opcode)
{
	uint64_t handle;
	struct fuse_read_in in = { .size = 32 << 10 };

	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), 0);
	in.fh = handle;
	assert_int_equal(kernel_ask(&kernel, opcode, 1, &in, sizeof(in)), 0);
	assert_true(kernel.reply_len > 0);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, handle);
}

/* Lists anew what changed. */
static void list_fresh(void)
{
	kernel.rig.clock.now_ns += 3600 * NS_PER_S;
	list(FUSE_READDIRPLUS);
}

static void assert_store(unsigned number, unsigned index)
{
	const struct kernel_store *store = &kernel.stores[number];
	char name[8], expected[SIZE];

	name_of(index, name);
	fake_bytes(name, 0, expected, sizeof(expected));
	assert_int_equal(store->node, nodes[index]);
	assert_int_equal(store->off, 0);
	assert_int_equal(store->len, SIZE);
	assert_memory_equal(store->bytes, expected, SIZE);
}

/* A store is counted when the kernel has it. */
static void assert_counted(unsigned files)
{
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);

	while (kernel_counter(&kernel, MOUNT_STORED_BYTES) < (uint64_t)files * SIZE)
		assert_true(clock_now_ns(clock_system()) < until_ns);
	assert_int_equal(kernel_counter(&kernel, MOUNT_STORED_FILES), files);
	assert_int_equal(kernel_counter(&kernel, MOUNT_STORED_BYTES), files * SIZE);
}

static void test_listed__what_is_here__is_stored_once(void **state)
{
	(void)state;
	bring(0);
	put(1); /* is not here */
	bring(2);
	list_fresh();
	kernel_await_stores(&kernel, 2);
	assert_store(0, 0);
	assert_store(1, 2);
	list_fresh();
	bring(3);
	list_fresh();
	kernel_await_stores(&kernel, 3);
	assert_store(2, 3);
	assert_counted(3);
	assert_int_equal(kernel.rig.fake.gets, 3);
}

static void test_listed__read_from_its_start_before__is_not_stored(void **state)
{
	(void)state;
	bring(0);
	bring(1);
	read_at(0, 0);
	list_fresh();
	kernel_await_stores(&kernel, 1);
	assert_store(0, 1);
}

static void test_listed__more_than_the_bound__the_rest_with_the_next_answer(void **state)
{
	(void)state;
	kernel.mount->sibling_max = 2 * SIZE + SIZE / 2;
	for (unsigned i = 0; i < 5; i++)
		bring(i);
	list_fresh();
	kernel_await_stores(&kernel, 2);
	list_fresh();
	kernel_await_stores(&kernel, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_store(i, i);
}

static void test_listed__no_bytes_allowed__nothing_is_stored(void **state)
{
	(void)state;
	kernel.mount->sibling_max = 0;
	bring(0);
	list_fresh();
	kernel.mount->sibling_max = SIZE;
	bring(1);
	read_at(0, 0);
	list_fresh();
	kernel_await_stores(&kernel, 1);
	assert_store(0, 1); /* the other would have come first */
}

static void test_listed__too_large__is_not_stored(void **state)
{
	struct fuse_read_in in = { .offset = 4096, .size = 4096 };
	struct fuse_entry_out entry;

	(void)state;
	kernel.mount->sibling_max = UINT64_C(1) << 30;
	fake_put(&kernel.rig.fake, "a", AHEAD_FILE_MAX + 1, "a");
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	assert_int_equal(kernel_ask(&kernel, FUSE_READ, entry.nodeid, &in, sizeof(in)), 0);
	bring(0);
	list_fresh();
	kernel_await_stores(&kernel, 1);
	assert_store(0, 0);
}

/* Files 0 and 1 are a sequence: 2 to 5 are fetched, of which the READs of 3, in the middle, and of
 * 5, the last, have to be seen. */
static void test_next__files_in_order__all_but_those_that_keep_it_going(void **state)
{
	static const unsigned stored[] = { 2, 4, 6, 8, 9, 10 };

	(void)state;
	for (unsigned i = 0; i < FILES; i++)
		put(i);
	list(FUSE_READDIR);
	for (unsigned i = 0; i < FILES; i++)
		look_up(i);
	for (unsigned i = 0; i < 4; i++)
		read_at(i, 500); /* none begins here */
	read_at(0, 0);
	read_at(1, 0);
	kernel_await_stores(&kernel, 2);
	read_at(3, 0);
	kernel_await_stores(&kernel, ARRAY_COUNT(stored));
	for (unsigned i = 0; i < ARRAY_COUNT(stored); i++)
		assert_store(i, stored[i]);
	read_at(5, 0); /* 4 was fetched up to here: nothing new */
	assert_counted(ARRAY_COUNT(stored));
}

static void test_next__unknown_to_the_kernel__is_fetched_and_not_stored(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		put(i);
	list(FUSE_READDIR);
	for (unsigned i = 0; i < 5; i++)
		if (i != 2)
			look_up(i);
	read_at(0, 0);
	read_at(1, 0);
	kernel_await_stores(&kernel, 1);
	assert_store(0, 4);
	assert_int_equal(kernel.rig.fake.gets, 6);
}

static void test_take_over__the_next_worker_stores_too(void **state)
{
	(void)state;
	bring(0);
	list_fresh();
	kernel_await_stores(&kernel, 1);
	kernel_replace(&kernel);
	bring(1);
	list_fresh();
	kernel_await_stores(&kernel, 3); /* what the last one gave, this one does not know */
	assert_store(1, 0);
	assert_store(2, 1);
}

/* --- in the place of the connection ----------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	unsigned calls;
	uint64_t node; /* of the last call */
	bool waits;    /* each call, until it is false */
	int errors[16];
} line = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct ahead *ahead;

static int line_store(uint64_t node, const void *bytes, size_t len)
{
	int err;

	(void)bytes;
	CHECK(len == SIZE);
	pthread_mutex_lock(&line.lock);
	CHECK(line.calls < ARRAY_COUNT(line.errors));
	err = line.errors[line.calls++];
	line.node = node;
	pthread_cond_broadcast(&line.changed);
	while (line.waits)
		pthread_cond_wait(&line.changed, &line.lock);
	pthread_mutex_unlock(&line.lock);
	return err;
}

static void line_await(unsigned calls)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);
	int err = 0;

	pthread_mutex_lock(&line.lock);
	while (line.calls < calls && !err)
		err = thread_cond_wait_until(&line.changed, &line.lock, deadline_ns);
	assert_int_equal(line.calls, calls);
	pthread_mutex_unlock(&line.lock);
}

static unsigned line_calls(void)
{
	unsigned calls;

	pthread_mutex_lock(&line.lock);
	calls = line.calls;
	pthread_mutex_unlock(&line.lock);
	return calls;
}

static uint64_t line_node(void)
{
	uint64_t node;

	pthread_mutex_lock(&line.lock);
	node = line.node;
	pthread_mutex_unlock(&line.lock);
	return node;
}

static void line_hold(void)
{
	pthread_mutex_lock(&line.lock);
	line.waits = true;
	pthread_mutex_unlock(&line.lock);
}

static void line_let_go(void)
{
	pthread_mutex_lock(&line.lock);
	line.waits = false;
	pthread_cond_broadcast(&line.changed);
	pthread_mutex_unlock(&line.lock);
}

/* An ordinary mount's namespace and cache, and a thread of the test's. */
static int line_setup(void **state)
{
	struct ahead_settings settings = { .connection = -1, .store = line_store };

	(void)state;
	make(MOUNT_ORDINARY);
	for (unsigned i = 0; i < 3; i++) {
		put(i);
		look_up(i);
		read_at(i, 0);
	}
	settings.ns = kernel.mount->ns;
	settings.cache = kernel.cache;
	settings.counters = &kernel.mount->counters;
	settings.bytes_max = &kernel.mount->sibling_max;
	thread_cond_init(&line.changed);
	line.calls = 0;
	line.waits = false;
	memset(line.errors, 0, sizeof(line.errors));
	return ahead_start(&settings, &ahead);
}

static void ahead_end(void)
{
	ahead_destroy(ahead);
	ahead = NULL;
}

static int line_teardown(void **state)
{
	line_let_go();
	ahead_end();
	return teardown(state);
}

static uint64_t in_a_while_ns(void)
{
	return clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);
}

static void test_store__the_kernel_does_not_know_it_yet__again(void **state)
{
	(void)state;
	line.errors[0] = line.errors[1] = -ENOENT;
	ahead_listed(ahead, nodes, 1);
	line_await(3);
	ahead_next(ahead, nodes[1]);
	line_await(4);
	ahead_end();
	assert_int_equal(kernel_counter(&kernel, MOUNT_STORED_FILES), 2);
}

static void test_store__the_kernel_never_knows_it__on_to_the_next(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		line.errors[i] = -ENOENT;
	ahead_listed(ahead, nodes, 2);
	line_await(9);
	assert_int_equal(line_node(), nodes[1]);
	ahead_end();
	assert_int_equal(kernel_counter(&kernel, MOUNT_STORED_FILES), 1);
}

static void test_store__the_connection_has_ended__no_more(void **state)
{
	(void)state;
	line.errors[0] = -ENODEV;
	line_hold();
	ahead_listed(ahead, nodes, 3);
	line_await(1);
	line_let_go();
	for (unsigned i = 0; i < 2 * AHEAD_QUEUE_MAX; i++)
		ahead_next(ahead, nodes[i % 3]);
	ahead_end();
	assert_int_equal(line_calls(), 1);
}

static void test_next__the_queue_is_full__what_comes_is_dropped(void **state)
{
	(void)state;
	line_hold();
	ahead_next(ahead, nodes[0]);
	line_await(1);
	for (unsigned i = 0; i < AHEAD_QUEUE_MAX; i++)
		ahead_next(ahead, UINT64_MAX);
	ahead_next(ahead, nodes[1]);
	line_let_go();
	/* Until there is room. */
	for (uint64_t until_ns = in_a_while_ns();
	     line_calls() < 2 && clock_now_ns(clock_system()) < until_ns;)
		ahead_next(ahead, nodes[2]);
	line_await(2);
	assert_int_equal(line_node(), nodes[2]);
}

static void test_stop__a_store_waits__nobody_is_held_up(void **state)
{
	(void)state;
	line_hold();
	ahead_next(ahead, nodes[0]);
	line_await(1);
	read_at(0, 0); /* the READ that it may wait for */
	list(FUSE_READDIRPLUS);
	ahead_next(ahead, nodes[1]);
	ahead_stop(ahead); /* returns */
	line_let_go();
	ahead_end();
	assert_int_equal(line_calls(), 1);
}

static void test_stop__bytes_are_waited_for__ends_at_once(void **state)
{
	(void)state;
	put(3);
	look_up(3);
	ahead_next(ahead, nodes[3]);
	assert_true(fake_wait(&kernel.rig.fake));
	ahead_end();
	assert_int_equal(line_calls(), 0);
}

static void test_null__nothing(void **state)
{
	(void)state;
	ahead_listed(NULL, nodes, 1);
	ahead_next(NULL, nodes[0]);
	ahead_stop(NULL);
	ahead_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LINE(name) cmocka_unit_test_setup_teardown(name, line_setup, line_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_listed__what_is_here__is_stored_once),
		TEST(test_listed__read_from_its_start_before__is_not_stored),
		TEST(test_listed__more_than_the_bound__the_rest_with_the_next_answer),
		TEST(test_listed__no_bytes_allowed__nothing_is_stored),
		TEST(test_listed__too_large__is_not_stored),
		TEST(test_next__files_in_order__all_but_those_that_keep_it_going),
		TEST(test_next__unknown_to_the_kernel__is_fetched_and_not_stored),
		TEST(test_take_over__the_next_worker_stores_too),
		LINE(test_store__the_kernel_does_not_know_it_yet__again),
		LINE(test_store__the_kernel_never_knows_it__on_to_the_next),
		LINE(test_store__the_connection_has_ended__no_more),
		LINE(test_next__the_queue_is_full__what_comes_is_dropped),
		LINE(test_stop__a_store_waits__nobody_is_held_up),
		LINE(test_stop__bytes_are_waited_for__ends_at_once),
		cmocka_unit_test(test_null__nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

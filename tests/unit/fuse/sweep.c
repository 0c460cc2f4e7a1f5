/*
 * Tests of sweep.h: over the namespace of a mount that was taken over, with a test in the place of
 * the kernel's memory.
 */
#include "fuse/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/fuse/kernel.h"

#define NODES	100 /* more than SWEEP_BATCH */
#define WAIT_NS (20 * NS_PER_S)

static struct kernel kernel;
static uint64_t nodes[NODES];

/* What the kernel knows: guarded by lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked_more;
static unsigned asked;
static int answer;
static uint64_t known;

static int knows(int connection, uint64_t node)
{
	int err;

	(void)connection;
	pthread_mutex_lock(&lock);
	asked++;
	err = node == known ? 0 : answer;
	pthread_cond_signal(&asked_more);
	pthread_mutex_unlock(&lock);
	return err;
}

/* Return: how many were, at least @count unless they did not come. */
static unsigned asked_wait(unsigned count)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);
	int err = 0;

	pthread_mutex_lock(&lock);
	while (asked < count && !err)
		err = thread_cond_wait_until(&asked_more, &lock, deadline_ns);
	count = asked;
	pthread_mutex_unlock(&lock);
	return count;
}

static int setup(void **state)
{
	struct fuse_entry_out entry;
	char name[16];

	(void)state;
	kernel_setup(&kernel);
	for (unsigned i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		fake_put(&kernel.rig.fake, name, 1, "e");
	}
	kernel_start(&kernel);
	for (unsigned i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		assert_int_equal(kernel_lookup(&kernel, 1, name, &entry), 0);
		nodes[i] = entry.nodeid;
	}
	kernel_replace(&kernel);
	/* The mount's own would come in a minute: the namespace serves one. */
	sweep_stop(kernel.mount->sweep);
	kernel.mount->sweep = NULL;
	thread_cond_init(&asked_more);
	asked = 0;
	known = 0;
	answer = -ENOENT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	pthread_cond_destroy(&asked_more);
	return 0;
}

/* That the namespace has, without the root. */
static uint64_t nodes_left(void)
{
	return kernel_counter(&kernel, MOUNT_NODES) - 1;
}

/* The mount's to stop. */
static void start(uint64_t delay_ns, uint64_t pause_ns)
{
	const struct sweep_settings settings = { .ns = kernel.mount->ns,
						 .connection = -1,
						 .knows = knows,
						 .delay_ns = delay_ns,
						 .pause_ns = pause_ns };

	assert_int_equal(sweep_start(&settings, &kernel.mount->sweep), 0);
}

static void stop(void)
{
	sweep_stop(kernel.mount->sweep);
	kernel.mount->sweep = NULL;
}

static void nodes_wait(uint64_t count)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);

	while (nodes_left() != count)
		assert_true(clock_now_ns(clock_system()) < deadline_ns);
}

static void test_sweep__the_kernel_knows_one__all_others_are_forgotten(void **state)
{
	(void)state;
	known = nodes[42];
	start(0, 0);
	nodes_wait(1);
	stop();
	assert_int_equal(asked, NODES);
	assert_int_equal(nodes_left(), 1);
}

static void test_sweep__looked_up_again_since__stays(void **state)
{
	struct fuse_entry_out entry;

	(void)state;
	assert_int_equal(kernel_lookup(&kernel, 1, "f007", &entry), 0);
	assert_true(entry.nodeid == nodes[7]);
	start(0, 0);
	nodes_wait(1);
	stop();
	assert_int_equal(asked, NODES - 1); /* that one is in use: it is asked about later */
	assert_true(namespace_suspects_later(kernel.mount->ns));
	assert_int_equal(kernel_lookup(&kernel, 1, "f007", &entry), 0);
	assert_true(entry.nodeid == nodes[7]);
}

static void test_sweep__the_connection_ends__nothing_is_forgotten(void **state)
{
	(void)state;
	answer = -ENODEV;
	start(0, 0);
	assert_int_equal(asked_wait(1), 1);
	stop();
	assert_int_equal(asked, 1);
	assert_int_equal(nodes_left(), NODES);
}

static void test_stop__before_the_first_question__asks_none(void **state)
{
	(void)state;
	start(CLOCK_NEVER, 0);
	stop();
	assert_int_equal(asked, 0);
}

static void test_stop__between_questions__asks_no_more(void **state)
{
	(void)state;
	start(0, CLOCK_NEVER);
	assert_true(asked_wait(SWEEP_BATCH) >= SWEEP_BATCH);
	stop();
	assert_int_equal(asked, SWEEP_BATCH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sweep__the_kernel_knows_one__all_others_are_forgotten),
		TEST(test_sweep__looked_up_again_since__stays),
		TEST(test_sweep__the_connection_ends__nothing_is_forgotten),
		TEST(test_stop__before_the_first_question__asks_none),
		TEST(test_stop__between_questions__asks_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of storer.h, over a pair of sockets in the connection's place.
 */
#include "fuse/storer.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/thread.h"

#define LEN	50000
#define WAIT_MS 20000

static int kernel, connection;
static struct storer *storer;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	kernel = pair[0];
	connection = pair[1];
	return storer_start(connection, &storer);
}

static int teardown(void **state)
{
	(void)state;
	storer_destroy(storer);
	close(connection);
	close(kernel);
	return 0;
}

static bool readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, WAIT_MS) == 1;
}

static void test_store__bytes__reach_the_kernel(void **state)
{
	static struct {
		struct fuse_out_header header;
		struct fuse_notify_store_out out;
		char bytes[LEN];
	} message;

	(void)state;
	for (int i = 1; i < 4; i++) {
		memset(storer_buffer(storer), i, LEN);
		assert_int_equal(storer_store(storer, 70 + (uint64_t)i, LEN), 0);
		assert_int_equal(read(kernel, &message, sizeof(message)), sizeof(message));
		assert_int_equal(message.header.len, sizeof(message));
		assert_int_equal(message.header.unique, 0);
		assert_int_equal(message.header.error, FUSE_NOTIFY_STORE);
		assert_int_equal(message.out.nodeid, 70 + i);
		assert_int_equal(message.out.offset, 0);
		assert_int_equal(message.out.size, LEN);
		assert_memory_equal(message.bytes, storer_buffer(storer), LEN);
	}
}

static void test_store__an_error__is_given(void **state)
{
	(void)state;
	close(kernel);
	kernel = -1;
	assert_int_equal(storer_store(storer, 70, LEN), -EPIPE);
}

static int stored; /* of store_on() */

/* The kernel takes nothing, until it is full. */
static void *store_on(void *unused)
{
	(void)unused;
	do
		stored = storer_store(storer, 70, LEN);
	while (stored == 0);
	return NULL;
}

static void test_cancel__a_store_waits__it_is_not_waited_for(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(thread_start(&thread, "test", store_on, NULL), 0);
	assert_true(readable(kernel));
	storer_cancel(storer);
	pthread_join(thread, NULL);
	assert_int_equal(stored, -ECANCELED);
	assert_int_equal(storer_store(storer, 70, LEN), -ECANCELED);
}

static void test_start__what_else_is_open__is_not_held(void **state)
{
	struct storer *another;
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(storer_start(connection, &another), 0);
	close(ends[1]);
	assert_true(readable(ends[0]));
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	/* Nor is another's socket: this one ends although that one lives. */
	storer_destroy(storer);
	storer = another;
	assert_int_equal(storer_store(storer, 70, LEN), 0);
}

/* Our youngest child, which comes last in the list; 0: this kernel has none. */
static pid_t youngest(void)
{
	char path[64], line[4096] = "";
	FILE *children;
	size_t len;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	if (!children)
		return 0;
	len = fread(line, 1, sizeof(line) - 1, children);
	fclose(children);
	while (len > 0 && line[len - 1] == ' ')
		line[--len] = '\0';
	return (pid_t)strtol(strrchr(line, ' ') ? strrchr(line, ' ') : line, NULL, 10);
}

static void test_store__the_process_was_killed__cancelled(void **state)
{
	pid_t pid = youngest();

	(void)state;
	if (pid == 0)
		skip();
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (storer_store(storer, 70, 1) == 0)
		;
	assert_int_equal(storer_store(storer, 70, 1), -ECANCELED);
}

static void test_null__nothing(void **state)
{
	(void)state;
	storer_cancel(NULL);
	storer_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_store__bytes__reach_the_kernel),
		TEST(test_store__an_error__is_given),
		TEST(test_cancel__a_store_waits__it_is_not_waited_for),
		TEST(test_start__what_else_is_open__is_not_held),
		TEST(test_store__the_process_was_killed__cancelled),
		cmocka_unit_test(test_null__nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

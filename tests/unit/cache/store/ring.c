/*
 * Tests of cache/store/ring.h.
 */
#include "cache/store/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "cache/store/files.h"

#define OPS_COUNT 2000
#define THREADS	  4

static uint64_t soon(void)
{
	return clock_after_ns(clock_now_ns(clock_system()), 10 * NS_PER_S);
}

struct counted_op {
	struct ring_op op;
	_Atomic unsigned *done;
	uint8_t byte;
};

static void count(struct ring_op *op)
{
	atomic_fetch_add(CONTAINER_OF(op, struct counted_op, op)->done, 1);
}

struct submitter {
	struct ring *ring;
	struct counted_op *ops;
	int fd;
	_Atomic unsigned *done;
};

static void *submit(void *argument)
{
	struct submitter *submitter = argument;

	for (unsigned i = 0; i < OPS_COUNT; i++) {
		struct counted_op *counted = &submitter->ops[i];

		counted->done = submitter->done;
		counted->op = (struct ring_op){
			.kind = i % 3 ? RING_READ : RING_NONE,
			.fd = submitter->fd,
			.data = &counted->byte,
			.len = 1,
			.off = i % 256,
			.done = count,
			.result = 1,
		};
		ring_start_op(submitter->ring, &counted->op);
	}
	return NULL; /* the thread is gone long before its operations have ended */
}

static int make_file(void)
{
	uint8_t bytes[256];
	FILE *file = tmpfile();
	int fd;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, sizeof(bytes), file), sizeof(bytes));
	assert_int_equal(fflush(file), 0);
	fd = dup(fileno(file));
	fclose(file);
	return fd;
}

static void test_start__many_threads_beyond_the_depth__each_ends_once(void **state)
{
	struct submitter submitters[THREADS];
	_Atomic unsigned done = 0;
	pthread_t threads[THREADS];
	struct ring *ring;
	int fd = make_file();

	(void)state;
	assert_int_equal(ring_create(8, "ring", files_system(), &ring), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		submitters[i] = (struct submitter){
			.ring = ring,
			.ops = calloc(OPS_COUNT, sizeof(struct counted_op)),
			.fd = fd,
			.done = &done,
		};
		assert_int_equal(pthread_create(&threads[i], NULL, submit, &submitters[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(ring_stop(ring, soon()), 0);
	assert_int_equal(done, THREADS * OPS_COUNT);
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned j = 0; j < OPS_COUNT; j++) {
			assert_int_equal(submitters[i].ops[j].op.result, 1);
			if (j % 3)
				assert_int_equal(submitters[i].ops[j].byte, j % 256);
		}
		free(submitters[i].ops);
	}
	ring_destroy(ring);
	close(fd);
}

struct chain_op {
	struct ring_op op;
	struct ring *ring;
	unsigned left;
};

static void again(struct ring_op *op)
{
	struct chain_op *chain = CONTAINER_OF(op, struct chain_op, op);

	if (chain->left-- > 0)
		ring_start_op(chain->ring, op);
}

static void test_start__from_done__goes_on_until_stopped(void **state)
{
	struct chain_op chain = { .left = 500 };
	uint8_t byte;
	int fd = make_file();

	(void)state;
	assert_int_equal(ring_create(1, "ring", files_system(), &chain.ring), 0);
	chain.op = (struct ring_op){
		.kind = RING_READ, .fd = fd, .data = &byte, .len = 1, .done = again
	};
	ring_start_op(chain.ring, &chain.op);
	assert_int_equal(ring_stop(chain.ring, soon()), 0);
	assert_int_equal(chain.left, (unsigned)-1);
	ring_destroy(chain.ring);
	close(fd);
}

static void test_open__not_there__its_error(void **state)
{
	_Atomic unsigned done = 0;
	struct counted_op counted = { .done = &done };
	struct ring *ring;

	(void)state;
	assert_int_equal(ring_create(4, "ring", files_system(), &ring), 0);
	counted.op = (struct ring_op){ .kind = RING_OPEN,
				       .fd = AT_FDCWD,
				       .path = "no/such",
				       .flags = O_RDONLY,
				       .done = count };
	ring_start_op(ring, &counted.op);
	assert_int_equal(ring_stop(ring, soon()), 0);
	assert_int_equal(counted.op.result, -ENOENT);
	ring_destroy(ring);
}

static void test_stop__an_operation_does_not_end__timed_out(void **state)
{
	_Atomic unsigned done = 0;
	struct counted_op counted = { .done = &done };
	struct ring *ring;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(ring_create(4, "ring", files_system(), &ring), 0);
	counted.op = (struct ring_op){ .kind = RING_READ,
				       .fd = fds[0],
				       .data = &counted.byte,
				       .len = 1,
				       .off = (uint64_t)-1,
				       .done = count };
	ring_start_op(ring, &counted.op);
	assert_int_equal(ring_stop(ring, clock_now_ns(clock_system()) + 20 * NS_PER_MS),
			 -ETIMEDOUT);
	assert_int_equal(done, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(ring_stop(ring, soon()), 0);
	assert_int_equal(done, 1);
	/* From now on operations end at once. */
	ring_start_op(ring, &counted.op);
	assert_int_equal(done, 2);
	assert_int_equal(counted.op.result, -ECANCELED);
	ring_destroy(ring);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start__many_threads_beyond_the_depth__each_ends_once),
		cmocka_unit_test(test_start__from_done__goes_on_until_stopped),
		cmocka_unit_test(test_open__not_there__its_error),
		cmocka_unit_test(test_stop__an_operation_does_not_end__timed_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * ring.c - an io_uring that only its own thread touches. The thread sleeps in the kernel for the
 * next completion; a read of an eventfd is always among its requests, so that callers can wake it.
 */
#include "cache/store/ring.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "cache/store/files.h"

#define REAP_BATCH 32

STAILQ_HEAD(ring_queue, ring_op);

struct ring {
	const struct files *files;
	unsigned depth;
	int wake_fd;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct ring_queue queue; /* guarded by lock */
	bool asleep;		 /* guarded by lock: a waker must write the eventfd */
	bool stopping;		 /* guarded by lock */
	bool ended;		 /* guarded by lock: the thread is past its last operation */
	int started;		 /* guarded by lock: 1 not known yet, else 0 or an error */

	/* the thread's alone */
	struct io_uring uring;
	struct ring_queue next; /* taken over, waiting for a free place */
	unsigned in_flight;
	uint64_t wake_value;
	bool wake_armed;
};

static void wake_locked(struct ring *ring)
{
	uint64_t one = 1;

	if (!ring->asleep)
		return;
	ring->asleep = false;
	CHECK(write(ring->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

void ring_start_op(struct ring *ring, struct ring_op *op)
{
	bool ended;

	pthread_mutex_lock(&ring->lock);
	ended = ring->ended;
	if (!ended) {
		STAILQ_INSERT_TAIL(&ring->queue, op, link);
		wake_locked(ring);
	}
	pthread_mutex_unlock(&ring->lock);
	if (!ended)
		return;
	if (op->kind != RING_NONE)
		op->result = -ECANCELED;
	op->done(op);
}

static void finish(struct ring *ring, struct ring_op *op, int result)
{
	if (op->kind != RING_NONE)
		op->result = ring->files->io(ring->files, op, result);
	op->done(op);
}

static void prepare(struct io_uring_sqe *sqe, struct ring_op *op)
{
	switch (op->kind) {
	case RING_READ:
		io_uring_prep_read(sqe, op->fd, op->data, op->len, op->off);
		break;
	case RING_WRITE:
		io_uring_prep_write(sqe, op->fd, op->data, op->len, op->off);
		break;
	case RING_OPEN:
		io_uring_prep_openat(sqe, op->fd, op->path, op->flags, 0);
		break;
	default:
		CHECK(0);
	}
	io_uring_sqe_set_data(sqe, op);
}

/* Hands queued operations to the kernel as far as there is room. */
static void fill(struct ring *ring)
{
	struct ring_op *op;
	struct io_uring_sqe *sqe;

	if (!ring->wake_armed) {
		sqe = io_uring_get_sqe(&ring->uring);
		CHECK(sqe);
		io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_value, sizeof(ring->wake_value),
				   0);
		io_uring_sqe_set_data(sqe, NULL);
		ring->wake_armed = true;
	}
	while ((op = STAILQ_FIRST(&ring->next)) != NULL) {
		if (op->kind == RING_NONE) {
			STAILQ_REMOVE_HEAD(&ring->next, link);
			finish(ring, op, op->result);
			continue;
		}
		if (ring->in_flight == ring->depth)
			break;
		sqe = io_uring_get_sqe(&ring->uring);
		CHECK(sqe);
		STAILQ_REMOVE_HEAD(&ring->next, link);
		prepare(sqe, op);
		ring->in_flight++;
	}
}

static void reap(struct ring *ring)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct ring_op *ops[REAP_BATCH];
	int results[REAP_BATCH];
	unsigned count = io_uring_peek_batch_cqe(&ring->uring, cqes, REAP_BATCH);

	for (unsigned i = 0; i < count; i++) {
		ops[i] = io_uring_cqe_get_data(cqes[i]);
		results[i] = cqes[i]->res;
	}
	io_uring_cq_advance(&ring->uring, count);
	for (unsigned i = 0; i < count; i++) {
		if (!ops[i]) {
			ring->wake_armed = false;
			continue;
		}
		ring->in_flight--;
		finish(ring, ops[i], results[i]);
	}
}

/* Takes over what callers queued; true when the thread shall end. */
static bool take(struct ring *ring)
{
	bool end;

	pthread_mutex_lock(&ring->lock);
	ring->asleep = false;
	STAILQ_CONCAT(&ring->next, &ring->queue);
	end = STAILQ_EMPTY(&ring->next) && ring->in_flight == 0 && ring->stopping;
	if (end) {
		ring->ended = true;
		pthread_cond_broadcast(&ring->changed);
	}
	pthread_mutex_unlock(&ring->lock);
	return end;
}

/* Sleeping is announced before it happens: whoever queues from then on writes the eventfd. False
 * when something was queued in the meantime. */
static bool fall_asleep(struct ring *ring)
{
	bool asleep;

	pthread_mutex_lock(&ring->lock);
	asleep = STAILQ_EMPTY(&ring->queue) && !(ring->stopping && ring->in_flight == 0);
	ring->asleep = asleep;
	pthread_mutex_unlock(&ring->lock);
	return asleep;
}

static int init_uring(struct ring *ring)
{
	/* One extra entry for the eventfd. Both flags came with Linux 6.1. */
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN };
	int error = io_uring_queue_init_params(ring->depth + 1, &ring->uring, &params);

	if (error == -EINVAL)
		error = io_uring_queue_init(ring->depth + 1, &ring->uring, 0);
	return error;
}

static void announce(struct ring *ring, int started)
{
	pthread_mutex_lock(&ring->lock);
	ring->started = started;
	pthread_cond_broadcast(&ring->changed);
	pthread_mutex_unlock(&ring->lock);
}

static void *ring_main(void *argument)
{
	struct ring *ring = argument;
	int error = init_uring(ring);

	announce(ring, error);
	if (error)
		return NULL;
	while (!take(ring)) {
		fill(ring);
		error = io_uring_submit_and_wait(&ring->uring, fall_asleep(ring) ? 1 : 0);
		CHECK(error >= 0 || error == -EINTR || error == -EAGAIN || error == -EBUSY);
		reap(ring);
	}
	io_uring_queue_exit(&ring->uring);
	return NULL;
}

int ring_create(unsigned depth, const char *name, const struct files *files, struct ring **out_ring)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return -ENOMEM;
	ring->files = files;
	ring->depth = depth;
	ring->started = 1;
	STAILQ_INIT(&ring->queue);
	STAILQ_INIT(&ring->next);
	pthread_mutex_init(&ring->lock, NULL);
	thread_cond_init(&ring->changed);
	ring->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (ring->wake_fd < 0) {
		error = -errno;
		goto free_ring;
	}
	error = thread_start(&ring->thread, name, ring_main, ring);
	if (error)
		goto close_wake;
	pthread_mutex_lock(&ring->lock);
	while (ring->started == 1)
		pthread_cond_wait(&ring->changed, &ring->lock);
	error = ring->started;
	pthread_mutex_unlock(&ring->lock);
	if (error) {
		pthread_join(ring->thread, NULL);
		goto close_wake;
	}
	*out_ring = ring;
	return 0;
close_wake:
	close(ring->wake_fd);
free_ring:
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
	return error;
}

int ring_stop(struct ring *ring, uint64_t deadline_ns)
{
	int error = 0;

	pthread_mutex_lock(&ring->lock);
	ring->stopping = true;
	wake_locked(ring);
	while (!ring->ended && !error)
		error = thread_cond_wait_until(&ring->changed, &ring->lock, deadline_ns);
	error = ring->ended ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&ring->lock);
	if (!error)
		pthread_join(ring->thread, NULL);
	return error;
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	close(ring->wake_fd);
	pthread_cond_destroy(&ring->changed);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

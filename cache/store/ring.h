/*
 * ring.h - one io_uring and its thread, for one cache directory.
 *
 * Any thread hands in operations; only the ring's own thread talks to the kernel. A request of
 * io_uring belongs to the thread that submitted it: when that ends, its requests are cancelled, and
 * while it sleeps in a system call a completion interrupts it with EINTR. Threads of FUSE and of S3
 * come and go, so they must not submit. The lock over the queue is also what orders a caller's
 * writes before the ring thread's reads.
 *
 * At most depth operations are with the kernel; the others wait in the order they came, in a list
 * that runs through them: nothing is allocated per operation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum ring_kind {
	RING_NONE, /* only calls done(), with the result that is already there */
	RING_READ,
	RING_WRITE,
	RING_OPEN,
};

/* Part of a caller's struct; lent from ring_start_op() until done() runs. */
struct ring_op {
	enum ring_kind kind;
	int fd; /* OPEN: of the folder */
	void *data;
	uint32_t len;
	uint64_t off;
	const char *path;		  /* OPEN */
	int flags;			  /* OPEN */
	void (*done)(struct ring_op *op); /* on the ring's thread; must not block */
	int result;			  /* bytes moved, a descriptor, or a negative errno */
	STAILQ_ENTRY(ring_op) link;
};

struct ring;
struct files;

/**
 * ring_create() - a ring with its thread.
 * @files: sees every result; borrowed for life. @name: of the thread, borrowed for the call.
 * Return: 0; -EPERM, -ENOSYS the system does not allow io_uring; -ENOMEM, -EAGAIN.
 */
int ring_create(unsigned depth, const char *name, const struct files *files,
		struct ring **out_ring);

/** ring_start_op() - done() runs exactly once, never inside this call, unless the ring was stopped:
 *  then here, with -ECANCELED (RING_NONE keeps its result). Any thread. */
void ring_start_op(struct ring *ring, struct ring_op *op);

/** ring_stop() - waits until all operations have ended, at most until @deadline_ns (monotonic), and
 *  ends the thread. Return: 0 or -ETIMEDOUT: some never ended. */
int ring_stop(struct ring *ring, uint64_t deadline_ns);

/** ring_destroy() - after ring_stop() returned 0. NULL is fine. */
void ring_destroy(struct ring *ring);

/*
 * request.h - a request of the kernel's that cannot be answered at once, and its interruption.
 *
 *	thread of the channel: start the work; it did not end at once: request_wait()
 *	any thread:            the work is done: request_done() -> finish() replies and frees
 *	thread of the channel: FUSE_INTERRUPT -> cancel() -> the work ends early -> request_done()
 *
 * What is difficult: the work may be done before request_wait() was called, or inside cancel() on
 *the same thread, and libfuse hands out the interrupted request under a lock that unregistering
 *takes too. So:
 *
 *	- Who comes second, request_wait() or request_done(), finishes: the request is valid at
 *least until request_wait() returned, or has been finished by it.
 *	- Before finish(), the interrupt callback is unregistered, which waits until a running one
 *has returned: it never sees a freed request. But for the callback's own thread, which knows.
 *
 * A request that is answered at once costs nothing of this.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

struct mount;

struct request {
	/* set by the caller */
	struct mount *mount;
	fuse_req_t fuse;
	void (*cancel)(struct request *request);  /* makes the work end soon */
	void (*finish)(struct request *request);  /* replies; runs once */
	void (*release)(struct request *request); /* frees; runs once, after finish() */
	/* private */
	_Atomic int phase;
};

/** request_init() - before the work is started; ends with one of the calls below. */
void request_init(struct request *request, struct mount *mount, fuse_req_t fuse);

/** request_answer() - the work ended at once. */
void request_answer(struct request *request);

/** request_wait() - the work was started and did not end at once. */
void request_wait(struct request *request);

/** request_done() - the work has ended. Any thread, without locks. */
void request_done(struct request *request);

/*
 * request.h - a request of the kernel's that cannot be answered at once, and its interruption.
 *
 *	thread of the channel	start the work; it did not end at once: request_wait()
 *	any thread		the work has ended: request_done() -> finish() replies
 *	thread of the channel	FUSE_INTERRUPT -> cancel() -> the work ends early -> request_done()
 *
 * The work may be done before request_wait() was called: who comes second of request_wait() and
 * request_done() finishes, so that the request is valid at least until request_wait() has returned.
 *
 * A request that a former worker had in hand comes again with CHANNEL_AGAIN in its number. The
 * kernel interrupts it by that number, or by the one before when it is of two minds at the time.
 *
 * Interruption is ours rather than libfuse's, which runs its callback under a lock that replying
 * takes too, and keeps what it could not match. A request that is answered at once costs nothing of
 * this.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

struct mount;

struct request {
	/* set by the caller */
	struct mount *mount;
	fuse_req_t fuse;
	/* Makes the work end soon; no effect when it has ended. May run during and after finish().
	 */
	void (*cancel)(struct request *request);
	void (*finish)(struct request *request);  /* replies; runs once */
	void (*release)(struct request *request); /* frees; runs once, last */
	/* private */
	uint64_t unique; /* the kernel's number for it, without CHANNEL_AGAIN */
	_Atomic int phase;
	_Atomic unsigned refs;	  /* until finish() has run, and while cancel() runs */
	LIST_ENTRY(request) link; /* mount.waiting; guarded by mount.lock */
};

/** request_init() - before the work is started, on the channel's thread that got it; ends with one
 * of the calls below. */
void request_init(struct request *request, struct mount *mount, fuse_req_t fuse);

/** request_answer() - the work ended at once. */
void request_answer(struct request *request);

/** request_wait() - the work was started and did not end at once. */
void request_wait(struct request *request);

/** request_done() - the work has ended. Any thread, without locks. */
void request_done(struct request *request);

/** request_interrupt() - the kernel interrupts the request with that number; a channel_config's
 *  interrupt. @userdata: the mount. Return: false when no such request waits (yet, or any more). */
bool request_interrupt(void *userdata, uint64_t unique);

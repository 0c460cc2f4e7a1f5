/*
 * request.c - see request.h.
 */
#include "fuse/request.h"

#include "base/check.h"
#include "fuse/inside.h"

enum phase {
	PHASE_STARTED, /* neither request_wait() nor request_done() was here */
	PHASE_WAITING, /* request_done() finishes */
	PHASE_DONE,    /* request_wait() finishes */
};

/* The request whose cancel() this thread is in, and whether it was finished there. */
static _Thread_local struct request *cancelling;
static _Thread_local bool cancelled_finished;

void request_init(struct request *request, struct mount *mount, fuse_req_t fuse)
{
	request->mount = mount;
	request->fuse = fuse;
	mount_work_begin(mount);
	atomic_init(&request->phase, PHASE_STARTED);
}

static void release(struct request *request)
{
	struct mount *mount = request->mount;

	request->release(request);
	mount_work_end(mount);
}

static void finish(struct request *request)
{
	if (cancelling == request) {
		request->finish(request);
		cancelled_finished = true; /* interrupted() still needs it */
		return;
	}
	fuse_req_interrupt_func(request->fuse, NULL, NULL);
	request->finish(request);
	release(request);
}

/* Runs with libfuse's lock on this request. */
static void interrupted(fuse_req_t fuse, void *data)
{
	struct request *request = data, *outer = cancelling;
	bool outer_finished = cancelled_finished;

	(void)fuse;
	counter_add(&request->mount->counters, MOUNT_INTERRUPTS, 1);
	cancelling = request;
	cancelled_finished = false;
	request->cancel(request);
	if (cancelled_finished)
		release(request);
	cancelling = outer;
	cancelled_finished = outer_finished;
}

void request_answer(struct request *request)
{
	request->finish(request);
	release(request);
}

void request_wait(struct request *request)
{
	int phase = PHASE_STARTED;

	/* Runs interrupted() at once when the interrupt came first; in this phase it can end the
	 * work, but not the request. */
	fuse_req_interrupt_func(request->fuse, interrupted, request);
	if (!atomic_compare_exchange_strong(&request->phase, &phase, PHASE_WAITING))
		finish(request);
}

void request_done(struct request *request)
{
	if (atomic_exchange(&request->phase, PHASE_DONE) == PHASE_WAITING)
		finish(request);
}

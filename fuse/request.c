/*
 * request.c - see request.h.
 */
#include "fuse/request.h"

#include "fuse/inside.h"

enum phase {
	PHASE_STARTED, /* neither request_wait() nor request_done() was here */
	PHASE_WAITING, /* request_done() finishes */
	PHASE_DONE,    /* request_wait() finishes */
};

static struct requests *waiting_of(struct mount *mount, uint64_t unique)
{
	/* Requests are numbered 2, 4, 6 ... */
	return &mount->waiting[unique / 2 % MOUNT_WAITING_BUCKETS];
}

void request_init(struct request *request, struct mount *mount, fuse_req_t fuse)
{
	request->mount = mount;
	request->fuse = fuse;
	request->unique = channel_request() & ~CHANNEL_AGAIN;
	atomic_init(&request->phase, PHASE_STARTED);
	atomic_init(&request->refs, 1);
	mount_work_begin(mount);
}

static void put(struct request *request)
{
	struct mount *mount = request->mount;

	if (atomic_fetch_sub(&request->refs, 1) > 1)
		return;
	request->release(request);
	mount_work_end(mount);
}

void request_answer(struct request *request)
{
	request->finish(request);
	put(request);
}

static void finish(struct request *request)
{
	pthread_mutex_lock(&request->mount->lock);
	LIST_REMOVE(request, link);
	pthread_mutex_unlock(&request->mount->lock);
	request->finish(request);
	put(request);
}

void request_wait(struct request *request)
{
	struct mount *mount = request->mount;
	int phase = PHASE_STARTED;

	pthread_mutex_lock(&mount->lock);
	LIST_INSERT_HEAD(waiting_of(mount, request->unique), request, link);
	pthread_mutex_unlock(&mount->lock);
	if (!atomic_compare_exchange_strong(&request->phase, &phase, PHASE_WAITING))
		finish(request);
}

void request_done(struct request *request)
{
	if (atomic_exchange(&request->phase, PHASE_DONE) == PHASE_WAITING)
		finish(request);
}

/* A reference to the request that waits with this number, or NULL. */
static struct request *waiting_get(struct mount *mount, uint64_t unique)
{
	struct request *request, *found = NULL;

	unique &= ~CHANNEL_AGAIN;
	pthread_mutex_lock(&mount->lock);
	LIST_FOREACH (request, waiting_of(mount, unique), link)
		if (request->unique == unique)
			found = request;
	if (found)
		atomic_fetch_add(&found->refs, 1);
	pthread_mutex_unlock(&mount->lock);
	return found;
}

bool request_interrupt(void *userdata, uint64_t unique)
{
	struct mount *mount = userdata;
	struct request *request = waiting_get(mount, unique);

	if (!request)
		return false;
	counter_add(&mount->counters, MOUNT_INTERRUPTS, 1);
	request->cancel(request);
	put(request);
	return true;
}

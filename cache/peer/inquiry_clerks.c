/*
 * inquiry_clerks.c - threads that look into the cache and its SSDs for others, and wait for what is
 * fetched for them. TAKEs go on for long: one clerk at least is left to the rest.
 */
#include <errno.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/peer/inquiry_inside.h"

#define TAKES_MAX (INQUIRY_CLERKS_MAX - 1)

static bool is_take(const struct service *service)
{
	return service->asked.topic == PEER_TOPIC_TAKE;
}

/* Under the lock. Return: what a clerk may begin with now; NULL: nothing. */
static struct service *next_of(struct clerks *clerks)
{
	struct service *service = STAILQ_FIRST(&clerks->queue);

	while (service && is_take(service) && clerks->takes >= TAKES_MAX)
		service = STAILQ_NEXT(service, queued);
	return service;
}

/* Under the lock. */
static struct service *wait_for_one(struct clerks *clerks)
{
	struct service *service;

	while (!(service = next_of(clerks)) && !clerks->ending) {
		clerks->idle++;
		(void)thread_cond_wait_until(&clerks->changed, &clerks->lock, CLOCK_NEVER);
		clerks->idle--;
	}
	if (!service)
		return NULL;
	STAILQ_REMOVE(&clerks->queue, service, service, queued);
	clerks->queued--;
	clerks->takes += is_take(service);
	return service;
}

static void run(struct service *service)
{
	const struct inquiry_answers *answers = &service->inquiry->setup.answers;
	const struct peer_inquire *asked = &service->asked;
	struct peer_report *report = &service->report;

	if (atomic_load(&service->stopping))
		service->status = -ECANCELED;
	else if (asked->topic == PEER_TOPIC_SUMMARY)
		service->status = answers->summary(answers->context, &report->summary);
	else if (asked->topic == PEER_TOPIC_HOLDINGS)
		service->status =
			answers->holdings(answers->context, &asked->version, &report->holdings);
	else
		service->status =
			answers->take(answers->context, asked, &service->member,
				      service->deadline_ns, &service->stopping, &report->taken);
}

static void *clerk_main(void *argument)
{
	struct inquiry *inquiry = argument;
	struct clerks *clerks = &inquiry->clerks;
	struct service *service;

	pthread_mutex_lock(&clerks->lock);
	while ((service = wait_for_one(clerks))) {
		pthread_mutex_unlock(&clerks->lock);
		run(service);
		pthread_mutex_lock(&clerks->lock);
		/* another TAKE may be let in */
		if (is_take(service)) {
			clerks->takes--;
			pthread_cond_broadcast(&clerks->changed);
		}
		STAILQ_INSERT_TAIL(&clerks->done, service, queued);
		atomic_store(&inquiry->has_done, true);
		inquiry->setup.wake(inquiry->setup.context);
	}
	pthread_mutex_unlock(&clerks->lock);
	return NULL;
}

void clerks_init(struct clerks *clerks)
{
	pthread_mutex_init(&clerks->lock, NULL);
	thread_cond_init(&clerks->changed);
	STAILQ_INIT(&clerks->queue);
	STAILQ_INIT(&clerks->done);
}

void clerks_fini(struct clerks *clerks)
{
	CHECK(STAILQ_EMPTY(&clerks->queue) && STAILQ_EMPTY(&clerks->done));
	pthread_mutex_lock(&clerks->lock);
	clerks->ending = true;
	pthread_cond_broadcast(&clerks->changed);
	pthread_mutex_unlock(&clerks->lock);
	for (unsigned i = 0; i < clerks->count; i++)
		pthread_join(clerks->threads[i], NULL);
	pthread_cond_destroy(&clerks->changed);
	pthread_mutex_destroy(&clerks->lock);
}

int clerks_post(struct clerks *clerks, struct service *service)
{
	bool all_busy;

	/* one that waits may have been called to what is queued already */
	pthread_mutex_lock(&clerks->lock);
	all_busy = clerks->queued >= clerks->idle;
	pthread_mutex_unlock(&clerks->lock);
	if (all_busy && clerks->count < INQUIRY_CLERKS_MAX &&
	    thread_start(&clerks->threads[clerks->count], "inquiry", clerk_main,
			 service->inquiry) == 0)
		clerks->count++;
	if (clerks->count == 0)
		return -EAGAIN;
	pthread_mutex_lock(&clerks->lock);
	STAILQ_INSERT_TAIL(&clerks->queue, service, queued);
	clerks->queued++;
	pthread_cond_broadcast(&clerks->changed);
	pthread_mutex_unlock(&clerks->lock);
	return 0;
}

bool clerks_drop(struct clerks *clerks, struct service *service)
{
	struct service *at;

	pthread_mutex_lock(&clerks->lock);
	for (at = STAILQ_FIRST(&clerks->queue); at && at != service;)
		at = STAILQ_NEXT(at, queued);
	if (at) {
		STAILQ_REMOVE(&clerks->queue, service, service, queued);
		clerks->queued--;
	}
	pthread_mutex_unlock(&clerks->lock);
	return at;
}

void clerks_collect(struct clerks *clerks, struct service_queue *out)
{
	STAILQ_INIT(out);
	pthread_mutex_lock(&clerks->lock);
	STAILQ_CONCAT(out, &clerks->done);
	pthread_mutex_unlock(&clerks->lock);
}

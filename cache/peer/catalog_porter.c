/*
 * catalog_porter.c - see catalog_porter.h.
 */
#include "cache/peer/catalog_porter.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

struct porter {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct catalog_jobs jobs; /* guarded by lock */
	bool ending;		  /* guarded by lock */
};

static struct catalog_job *take(struct porter *porter)
{
	struct catalog_job *job;

	pthread_mutex_lock(&porter->lock);
	while (STAILQ_EMPTY(&porter->jobs) && !porter->ending)
		(void)thread_cond_wait_until(&porter->changed, &porter->lock, CLOCK_NEVER);
	job = STAILQ_FIRST(&porter->jobs);
	if (job)
		STAILQ_REMOVE_HEAD(&porter->jobs, link);
	pthread_mutex_unlock(&porter->lock);
	return job;
}

static void *porter_main(void *argument)
{
	struct catalog_job *job;

	while ((job = take(argument)))
		job->run(job);
	return NULL;
}

int porter_create(struct porter **out_porter)
{
	struct porter *porter = calloc(1, sizeof(*porter));
	int error;

	if (!porter)
		return -ENOMEM;
	pthread_mutex_init(&porter->lock, NULL);
	thread_cond_init(&porter->changed);
	STAILQ_INIT(&porter->jobs);
	error = thread_start(&porter->thread, "catalog", porter_main, porter);
	if (error) {
		pthread_cond_destroy(&porter->changed);
		pthread_mutex_destroy(&porter->lock);
		free(porter);
		return error;
	}
	*out_porter = porter;
	return 0;
}

void porter_destroy(struct porter *porter)
{
	if (!porter)
		return;
	pthread_mutex_lock(&porter->lock);
	porter->ending = true;
	pthread_cond_signal(&porter->changed);
	pthread_mutex_unlock(&porter->lock);
	pthread_join(porter->thread, NULL);
	pthread_cond_destroy(&porter->changed);
	pthread_mutex_destroy(&porter->lock);
	free(porter);
}

void porter_carry(void *context, struct catalog_job *job)
{
	struct porter *porter = context;

	pthread_mutex_lock(&porter->lock);
	CHECK(!porter->ending);
	STAILQ_INSERT_TAIL(&porter->jobs, job, link);
	pthread_cond_signal(&porter->changed);
	pthread_mutex_unlock(&porter->lock);
}

/*
 * chores.c - one worker thread, a queue there and a queue back.
 *
 * The struct is freed by whoever leaves last: the owner in chores_destroy(), or the worker when it
 * was left behind in a chore that does not end.
 */
#include "fabric/gossip/chores.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

STAILQ_HEAD(chore_queue, chore);

struct chores {
	pthread_t thread;
	bool to_the_end;
	int wake; /* a duplicate: it outlives the owner's */
	pthread_mutex_t lock;
	pthread_cond_t posted, ended;
	/* guarded by lock */
	struct chore_queue waiting, finished;
	unsigned waiting_count;
	bool stopping; /* the owner is in destroy */
	bool gone;     /* ... and has left: the worker frees all */
	bool idle;     /* the worker has ended its loop */
};

static void chores_free(struct chores *chores)
{
	struct chore *chore;

	while ((chore = STAILQ_FIRST(&chores->waiting))) {
		STAILQ_REMOVE_HEAD(&chores->waiting, link);
		chore->drop(chore);
	}
	while ((chore = STAILQ_FIRST(&chores->finished))) {
		STAILQ_REMOVE_HEAD(&chores->finished, link);
		chore->drop(chore);
	}
	pthread_cond_destroy(&chores->posted);
	pthread_cond_destroy(&chores->ended);
	pthread_mutex_destroy(&chores->lock);
	close(chores->wake);
	free(chores);
}

/* Called and left with the lock held. */
static void chore_run(struct chores *chores)
{
	struct chore *chore = STAILQ_FIRST(&chores->waiting);

	STAILQ_REMOVE_HEAD(&chores->waiting, link);
	chores->waiting_count--;
	pthread_mutex_unlock(&chores->lock);
	chore->run(chore);
	pthread_mutex_lock(&chores->lock);
	STAILQ_INSERT_TAIL(&chores->finished, chore, link);
	if (!chores->stopping)
		eventfd_write(chores->wake, 1);
}

static bool worker_goes_on(const struct chores *chores)
{
	if (!chores->stopping)
		return true;
	return chores->to_the_end && !chores->gone && !STAILQ_EMPTY(&chores->waiting);
}

static void *worker_main(void *argument)
{
	struct chores *chores = argument;
	bool gone;

	pthread_mutex_lock(&chores->lock);
	while (worker_goes_on(chores)) {
		if (STAILQ_EMPTY(&chores->waiting))
			pthread_cond_wait(&chores->posted, &chores->lock);
		else
			chore_run(chores);
	}
	chores->idle = true;
	gone = chores->gone;
	pthread_cond_signal(&chores->ended);
	pthread_mutex_unlock(&chores->lock);
	if (gone)
		chores_free(chores);
	return NULL;
}

int chores_create(const char *name, int wake, bool to_the_end, struct chores **out_chores)
{
	struct chores *chores = calloc(1, sizeof(*chores));
	int error;

	if (!chores)
		return -ENOMEM;
	chores->wake = fcntl(wake, F_DUPFD_CLOEXEC, 0);
	if (chores->wake < 0) {
		error = -errno;
		free(chores);
		return error;
	}
	chores->to_the_end = to_the_end;
	STAILQ_INIT(&chores->waiting);
	STAILQ_INIT(&chores->finished);
	pthread_mutex_init(&chores->lock, NULL);
	thread_cond_init(&chores->posted);
	thread_cond_init(&chores->ended);
	error = thread_start(&chores->thread, name, worker_main, chores);
	if (error) {
		chores_free(chores);
		return error;
	}
	*out_chores = chores;
	return 0;
}

int chores_post(struct chores *chores, struct chore *chore)
{
	int error = -EAGAIN;

	pthread_mutex_lock(&chores->lock);
	if (chores->waiting_count < CHORES_MAX) {
		STAILQ_INSERT_TAIL(&chores->waiting, chore, link);
		chores->waiting_count++;
		pthread_cond_signal(&chores->posted);
		error = 0;
	}
	pthread_mutex_unlock(&chores->lock);
	return error;
}

void chores_reap(struct chores *chores, void *owner)
{
	struct chore_queue finished = STAILQ_HEAD_INITIALIZER(finished);
	struct chore *chore;

	pthread_mutex_lock(&chores->lock);
	STAILQ_CONCAT(&finished, &chores->finished);
	pthread_mutex_unlock(&chores->lock);
	while ((chore = STAILQ_FIRST(&finished))) {
		STAILQ_REMOVE_HEAD(&finished, link);
		chore->done(chore, owner);
	}
}

void chores_destroy(struct chores *chores)
{
	uint64_t deadline_ns;
	bool idle;

	if (!chores)
		return;
	deadline_ns = clock_after_ns(clock_now_ns(clock_system()), CHORES_GRACE_NS);
	pthread_mutex_lock(&chores->lock);
	chores->stopping = true;
	pthread_cond_signal(&chores->posted);
	while (!chores->idle)
		if (thread_cond_wait_until(&chores->ended, &chores->lock, deadline_ns) ==
		    -ETIMEDOUT)
			break;
	idle = chores->idle;
	chores->gone = !idle;
	if (!idle)
		pthread_detach(chores->thread);
	pthread_mutex_unlock(&chores->lock);
	if (!idle)
		return;
	pthread_join(chores->thread, NULL);
	chores_free(chores);
}

/*
 * sweep.c - see sweep.h.
 */
#include "fuse/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/namespace/namespace.h"

struct sweep {
	struct sweep_settings settings;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping; /* guarded by lock */
};

/* Return: false when it is to stop. */
static bool pause_for(struct sweep *sweep, uint64_t ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), ns);
	int err = 0;
	bool goes_on;

	pthread_mutex_lock(&sweep->lock);
	while (!sweep->stopping && !err)
		err = thread_cond_wait_until(&sweep->wake, &sweep->lock, deadline_ns);
	goes_on = !sweep->stopping;
	pthread_mutex_unlock(&sweep->lock);
	return goes_on;
}

/* Return: how many of them the kernel does not know; a negative errno: it cannot be asked. */
static int batch_ask(const struct sweep *sweep, const struct namespace_suspect *suspects,
		     unsigned count)
{
	const struct sweep_settings *settings = &sweep->settings;
	int forgotten = 0;

	for (unsigned i = 0; i < count; i++) {
		int err = settings->knows(settings->connection, suspects[i].id);

		if (err && err != -ENOENT)
			return err;
		if (err && namespace_forget_suspect(settings->ns, &suspects[i]))
			forgotten++;
	}
	return forgotten;
}

/* All that are suspects now. Return: false when it is to stop, or cannot go on. */
static bool round_run(struct sweep *sweep, unsigned *asked, unsigned *forgotten)
{
	struct namespace_suspect suspects[SWEEP_BATCH];
	unsigned count;
	int found;

	while ((count = namespace_suspects(sweep->settings.ns, suspects, SWEEP_BATCH)) > 0) {
		found = batch_ask(sweep, suspects, count);
		if (found < 0) {
			log_debug("mount.sweep", "error=\"%s\"", error_text(found));
			return false;
		}
		*asked += count;
		*forgotten += (unsigned)found;
		if (!pause_for(sweep, sweep->settings.pause_ns))
			return false;
	}
	return true;
}

static void *sweep_main(void *argument)
{
	struct sweep *sweep = argument;
	unsigned asked = 0, forgotten = 0, rounds = 0;

	while (pause_for(sweep, sweep->settings.delay_ns) && round_run(sweep, &asked, &forgotten) &&
	       namespace_suspects_later(sweep->settings.ns) && ++rounds < SWEEP_ROUNDS)
		;
	if (asked > 0)
		log_info("mount.sweep", "asked=%u forgotten=%u", asked, forgotten);
	return NULL;
}

int sweep_start(const struct sweep_settings *settings, struct sweep **out_sweep)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));
	int err;

	if (!sweep)
		return -ENOMEM;
	sweep->settings = *settings;
	pthread_mutex_init(&sweep->lock, NULL);
	thread_cond_init(&sweep->wake);
	err = thread_start(&sweep->thread, "sweep", sweep_main, sweep);
	if (err) {
		pthread_cond_destroy(&sweep->wake);
		pthread_mutex_destroy(&sweep->lock);
		free(sweep);
		return err;
	}
	*out_sweep = sweep;
	return 0;
}

void sweep_stop(struct sweep *sweep)
{
	if (!sweep)
		return;
	pthread_mutex_lock(&sweep->lock);
	sweep->stopping = true;
	pthread_cond_signal(&sweep->wake);
	pthread_mutex_unlock(&sweep->lock);
	pthread_join(sweep->thread, NULL);
	pthread_cond_destroy(&sweep->wake);
	pthread_mutex_destroy(&sweep->lock);
	free(sweep);
}

/*
 * timer.c - the thread that ends reads at their deadlines and starts fills again whose pause is
 * over. While something waits it looks at least every 100 ms, so that a clock that is not the
 * machine's, or memory that came back, is noticed too. It goes on looking for a second after that
 * before it sleeps for good: else each read that waits for the SSD would have to wake it.
 */
#include "base/check.h"
#include "base/thread.h"
#include "cache/core.h"

#define LOOK_NS		(100 * NS_PER_MS)
#define IDLE_ROUNDS_MAX 10

static bool anything_waits(struct cache *cache)
{
	bool waits = !TAILQ_EMPTY(&cache->retries);

	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++)
		waits |= !TAILQ_EMPTY(&cache->queues[i].by_deadline);
	return waits;
}

static uint64_t next_ns(struct cache *cache, uint64_t now_ns)
{
	uint64_t retry_ns = cache_fills_next_ns(cache);
	uint64_t next = now_ns + LOOK_NS;

	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++) {
		struct cache_read *read = TAILQ_FIRST(&cache->queues[i].by_deadline);

		if (read && read->p.deadline_ns < next)
			next = read->p.deadline_ns;
	}
	if (retry_ns < next)
		next = retry_ns;
	return next > now_ns ? next - now_ns : 0;
}

static void sleep_locked(struct cache *cache, unsigned *idle_rounds)
{
	uint64_t now_ns = clock_now_ns(cache->clock);
	uint64_t sleep_ns = next_ns(cache, now_ns);
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), sleep_ns);

	*idle_rounds = anything_waits(cache) ? 0 : *idle_rounds + 1;
	cache->timer_wake_ns = now_ns + sleep_ns;
	if (*idle_rounds > IDLE_ROUNDS_MAX)
		cache->timer_wake_ns = until_ns = CLOCK_NEVER;
	(void)thread_cond_wait_until(&cache->timer_cond, &cache->lock, until_ns);
	cache->timer_wake_ns = 0;
}

static void *run(void *argument)
{
	struct cache *cache = argument;
	unsigned idle_rounds = 0;

	pthread_mutex_lock(&cache->lock);
	while (!cache->stopping) {
		uint64_t now_ns = clock_now_ns(cache->clock);
		struct cache_work work;

		cache_work_init(&work);
		cache_reads_expire_locked(cache, now_ns, &work);
		cache_fills_retry_locked(cache, now_ns, &work);
		cache_frames_locked(cache, &work);
		if (cache_work_empty(&work)) {
			sleep_locked(cache, &idle_rounds);
			continue;
		}
		pthread_mutex_unlock(&cache->lock);
		cache_work_run(cache, &work);
		pthread_mutex_lock(&cache->lock);
	}
	pthread_mutex_unlock(&cache->lock);
	return NULL;
}

int cache_timer_start(struct cache *cache)
{
	int error = thread_start(&cache->timer, "cache-timer", run, cache);

	cache->timer_started = error == 0;
	return error;
}

void cache_timer_stop(struct cache *cache)
{
	if (!cache->timer_started)
		return;
	CHECK(cache->stopping);
	pthread_cond_signal(&cache->timer_cond);
	CHECK(pthread_join(cache->timer, NULL) == 0);
	cache->timer_started = false;
}

void cache_timer_poke_locked(struct cache *cache, uint64_t at_ns)
{
	if (at_ns >= cache->timer_wake_ns)
		return;
	cache->timer_wake_ns = 0;
	pthread_cond_signal(&cache->timer_cond);
}

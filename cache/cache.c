/*
 * cache.c - the parts put together, in the order in which they start and end.
 *
 * End: the mount stops; the peers stop, which ends what was asked of them; cache_stop() ends the
 * readers, lets the store commit and joins the timer;
 * the backing stores are destroyed, which ends the fetches under way (they land in the arena until
 * then); cache_destroy().
 */
#include "cache/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/thread.h"
#include "cache/core.h"

#define WRITE_SHARE 4 /* of the arena: what may be lent to the store at a time */
#define AHEAD_SHARE 2

static void init_limits(struct cache *cache, const struct cache_config *config)
{
	cache->block_len = (uint32_t)config->block_len;
	cache->ahead_max = config->memory / AHEAD_SHARE;
	cache->prefetch_max =
		config->prefetch_max < cache->ahead_max ? config->prefetch_max : cache->ahead_max;
	cache->fetch_max = config->fetch_max;
	cache->write_max = config->memory / WRITE_SHARE;
	cache->replicate = config->replicate == CACHE_REPLICATE_FREE;
	atomic_store(&cache->read_timeout, config->read_timeout);
}

static void init_lists(struct cache *cache)
{
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++) {
		TAILQ_INIT(&cache->queues[i].by_deadline);
		TAILQ_INIT(&cache->queues[i].for_frames);
	}
	TAILQ_INIT(&cache->retries);
	CHECK(pthread_mutex_init(&cache->lock, NULL) == 0);
	thread_cond_init(&cache->written);
	thread_cond_init(&cache->store_left);
	thread_cond_init(&cache->timer_cond);
	thread_cond_init(&cache->kept_cond);
	cache_objects_init(cache);
}

static void fini_lists(struct cache *cache)
{
	cache_objects_fini(cache);
	pthread_cond_destroy(&cache->kept_cond);
	pthread_cond_destroy(&cache->timer_cond);
	pthread_cond_destroy(&cache->store_left);
	pthread_cond_destroy(&cache->written);
	pthread_mutex_destroy(&cache->lock);
}

static int start_window(struct cache *cache, const struct cache_config *config, int arena_fd)
{
	const struct window_config window_config = {
		.memory = config->memory,
		.block_len = (uint32_t)config->block_len,
		.huge_pages = config->huge_pages,
		.arena_fd = arena_fd,
	};

	return window_init(&cache->window, &window_config, &cache->counters,
			   cache_write_drop_dirty);
}

/* Some of the arena may be pinned for what a former process may still do with it. */
static void end_window(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	window_seal(&cache->window);
	window_leave(&cache->window);
	pthread_mutex_unlock(&cache->lock);
	CHECK(counter_get(&cache->counters, CACHE_MEMORY_PINNED) == 0);
	window_fini(&cache->window);
}

static int start_threads(struct cache *cache)
{
	int error = cache_timer_start(cache);

	if (error)
		return error;
	error = cache_kept_start(cache);
	if (!error)
		return 0;
	pthread_mutex_lock(&cache->lock);
	cache->stopping = true;
	pthread_mutex_unlock(&cache->lock);
	cache_timer_stop(cache);
	return error;
}

int cache_create(const struct cache_config *config, const struct clock *clock,
		 struct cache **out_cache, char *problem, size_t problem_size)
{
	return cache_create_over(config, clock, -1, out_cache, problem, problem_size);
}

int cache_create_over(const struct cache_config *config, const struct clock *clock, int arena_fd,
		      struct cache **out_cache, char *problem, size_t problem_size)
{
	struct cache *cache;
	int error;

	error = cache_options.validate(config, problem, problem_size);
	if (error)
		return error;
	error = -ENOMEM;
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		goto report;
	cache->clock = clock;
	init_limits(cache, config);
	init_lists(cache);
	error = counters_init(&cache->counters, "cache", cache_counter_specs, CACHE_COUNTER_COUNT);
	if (error)
		goto fini_cache_lists;
	error = start_window(cache, config, arena_fd);
	if (error)
		goto fini_counters;
	error = store_create(config, clock, &cache->store);
	if (error)
		goto fini_window;
	store_set_lost(cache->store, cache_block_lost, cache);
	error = start_threads(cache);
	if (error)
		goto destroy_store;
	if (arena_fd >= 0)
		close(arena_fd);
	*out_cache = cache;
	return 0;

destroy_store:
	store_stop(cache->store);
	store_destroy(cache->store);
fini_window:
	end_window(cache);
fini_counters:
	counters_fini(&cache->counters);
fini_cache_lists:
	fini_lists(cache);
	free(cache);
report:
	snprintf(problem, problem_size, "cannot start the cache with %llu bytes of memory: %s",
		 (unsigned long long)config->memory, error_text(error));
	return error;
}

void cache_set_backings(struct cache *cache, struct backing **backings, unsigned count)
{
	cache->backings = backings;
	cache->backing_count = count;
}

void cache_attach_peers(struct cache *cache, const struct peer_source *source,
			struct window_directory *directory)
{
	pthread_mutex_lock(&cache->lock);
	CHECK(!cache->peers.fetch && source->fetch && source->owns);
	cache->peers = *source;
	window_attach(&cache->window, directory);
	pthread_mutex_unlock(&cache->lock);
	store_set_owner(cache->store, source->owns, source->context);
}

void cache_owner_changed(struct cache *cache)
{
	store_owner_changed(cache->store);
}

bool cache_store_enter_locked(struct cache *cache)
{
	if (cache->stopping)
		return false;
	cache->store_callers++;
	return true;
}

void cache_store_leave(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	if (--cache->store_callers == 0)
		pthread_cond_broadcast(&cache->store_left);
	pthread_mutex_unlock(&cache->lock);
}

/* Nobody enters any more; those inside do not block. */
static void wait_for_store_callers(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	while (cache->store_callers > 0)
		(void)thread_cond_wait_until(&cache->store_left, &cache->lock, CLOCK_NEVER);
	pthread_mutex_unlock(&cache->lock);
}

void cache_stop(struct cache *cache)
{
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	cache->stopping = true;
	cache_reads_cancel_locked(cache, &work);
	cache_fills_retry_locked(cache, CLOCK_NEVER, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
	cache_timer_stop(cache);
	cache_kept_stop(cache);
	populate_stop(&cache->window.populate);
	wait_for_store_callers(cache);
	store_stop(cache->store);
}

/* What could not be written before the stop, and what has no reader any more. */
static void drop_all(struct cache *cache)
{
	struct window_entry *entry;

	CHECK(cache->fill_count == 0 && cache->write_count == 0);
	pthread_mutex_lock(&cache->lock);
	window_seal(&cache->window); /* whoever has the arena next may write it */
	while ((entry = window_next_dirty(&cache->window))) {
		cache_write_drop_dirty(entry);
		window_set_state(&cache->window, entry, WINDOW_CLEAN);
	}
	pthread_mutex_unlock(&cache->lock);
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	CHECK(cache->stopping && !cache->timer_started);
	drop_all(cache);
	store_destroy(cache->store);
	end_window(cache);
	counters_fini(&cache->counters);
	fini_lists(cache);
	free(cache);
}

void cache_reload(struct cache *cache, const struct cache_config *config)
{
	atomic_store(&cache->read_timeout, config->read_timeout);
	store_reload(cache->store, config);
}

uint64_t cache_read_timeout(const struct cache *cache)
{
	return atomic_load_explicit(&cache->read_timeout, memory_order_relaxed);
}

void cache_work_run(struct cache *cache, struct cache_work *work)
{
	struct cache_read *read;

	cache_fills_start(cache, &work->fills);
	while ((read = TAILQ_FIRST(&work->ended))) {
		TAILQ_REMOVE(&work->ended, read, p.link);
		read->done(read);
	}
}

const struct counters *cache_counters(const struct cache *cache)
{
	return &cache->counters;
}

const struct counters *cache_store_counters(const struct cache *cache)
{
	return store_counters(cache->store);
}

const struct histogram *cache_read_latency(const struct cache *cache)
{
	return &cache->latency;
}

uint64_t cache_memory_len(const struct cache *cache)
{
	return cache->window.arena.buddy.len;
}

void *cache_arena(const struct cache *cache, uint64_t *out_len)
{
	*out_len = cache_memory_len(cache);
	return arena_at(&cache->window.arena, 0);
}

int cache_arena_fd(const struct cache *cache)
{
	return cache->window.arena.fd;
}

uint32_t cache_block_len(const struct cache *cache)
{
	return cache->block_len;
}

unsigned cache_directory_count(const struct cache *cache)
{
	return store_directory_count(cache->store);
}

uint64_t cache_replica_bytes(struct cache *cache)
{
	return store_replica_bytes(cache->store);
}

void cache_directory_status(struct cache *cache, unsigned index,
			    struct cache_directory_status *out_status)
{
	store_directory_status(cache->store, index, out_status);
}

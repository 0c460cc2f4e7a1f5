/*
 * fill_backing.c - the last source of a fill: the backing store.
 *
 * A fetch has the latest deadline of those who wait when it begins. Who comes later may have more
 * time: then the fetch is made again for the rest of the block, the bytes that are there are final
 * because every request names the version's etag.
 *
 * The checks of the granules are computed as the bytes arrive, on the thread that brings them while
 * they are in its processor's cache, and go to the SSD with the block.
 *
 * A prefetch asks in the background, behind all who wait. As soon as someone waits for one of its
 * blocks that request is promoted, or it could be overtaken for ever. Its adjacent blocks are asked
 * for together, as a run; all the same each is a fill by itself, and is tried again by itself.
 */
#include <errno.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/fill.h"

void cache_fill_promote_locked(struct cache_fill *fill)
{
	if (fill->phase != CACHE_FILL_FETCHING || !fill->background)
		return;
	fill->background = false;
	backing_promote(fill->entry->object->source, &fill->op.get);
}

/* Checks of the granules that are complete with @filled bytes. Bytes come in order and on one
 * thread at a time, so that this needs no lock. */
static void check_granules(struct cache_fill *fill, uint32_t filled)
{
	struct window *window = &fill->cache->window;
	const unsigned char *data = window_data(window, fill->entry);
	uint64_t *checks = window_checks(window, fill->entry);
	uint32_t len = fill->entry->len;

	for (;;) {
		uint32_t start = fill->checked * GRANULE_LEN;
		uint32_t granule;

		if (start >= len)
			return;
		granule = len - start < GRANULE_LEN ? len - start : GRANULE_LEN;
		if (filled - start < granule || filled < start)
			return;
		checks[fill->checked++] = digest_crc64(data + start, granule);
	}
}

static void fetch_progress(struct backing_get *get, size_t filled)
{
	struct cache_fill *fill = CONTAINER_OF(get, struct cache_fill, op.get);
	struct cache *cache = fill->cache;
	struct cache_work work;
	uint32_t total = fill->base + (uint32_t)filled;

	check_granules(fill, total);
	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	fill->entry->filled = total;
	cache_reads_progress_locked(cache, fill->entry, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
}

static void fetch_done(struct backing_get *get)
{
	struct cache_fill *fill = CONTAINER_OF(get, struct cache_fill, op.get);
	struct counters *counters = &fill->cache->counters;
	int status = get->request.status;

	if (cache_fill_put_off(fill, status))
		return;
	if (status == 0) {
		check_granules(fill, fill->entry->len);
		cache_fill_pad(fill);
		counter_add(counters, CACHE_FETCHES, 1);
		counter_add(counters, CACHE_FETCH_BYTES, fill->entry->len);
		if (fill->repair)
			counter_add(counters, CACHE_REPAIRED, 1);
	} else {
		counter_add(counters, CACHE_FETCH_ERRORS, 1);
		cache_fill_report(fill, "backing", status, get->request.problem);
	}
	cache_fill_end(fill, status, CACHE_ORIGIN_BACKING);
}

/* The request for the rest of the block. */
static void set_up_get_locked(struct cache *cache, struct cache_fill *fill)
{
	struct window_entry *entry = fill->entry;
	const struct object_version *version = &entry->object->store.version;

	fill->background = fill->prefetch && TAILQ_EMPTY(&entry->waits);
	fill->base = entry->filled;
	entry->origin = CACHE_ORIGIN_BACKING; /* readers are let go before it has ended */
	fill->op.get = (struct backing_get){
		.request = {
			.bucket = version->bucket,
			.key = version->key,
			.deadline_ns = cache_fill_deadline_locked(fill),
			.background = fill->background,
		},
		.etag = version->etag,
		.off = window_key_off(&entry->key, cache->block_len) + fill->base,
		.len = entry->len - fill->base,
		.dst = window_data(&cache->window, entry) + fill->base,
		.progress = fetch_progress,
		.done = fetch_done,
	};
}

/* Whether the block of @fill lies behind the run's. What was tried before goes by itself: parts of
 * it are there, and whatever failed it should not fail others. */
bool cache_run_takes(const struct cache *cache, const struct cache_run *run,
		     const struct cache_fill *fill)
{
	const struct window_entry *entry = fill->entry, *last;

	if (run->count == 0)
		return true;
	last = run->fills[run->count - 1]->entry;
	return run->count < CACHE_RUN_FILLS && run->len + entry->len <= cache->fetch_max &&
	       fill->prefetch && fill->attempt == 0 && run->fills[0]->prefetch &&
	       run->fills[0]->attempt == 0 && entry->object == last->object &&
	       !window_key_is_granule(&entry->key) && entry->key.index == last->key.index + 2;
}

void cache_run_add(struct cache_run *run, struct cache_fill *fill)
{
	run->fills[run->count++] = fill;
	run->len += fill->entry->len;
}

static void run_issue_locked(struct cache *cache, struct cache_run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		struct cache_fill *fill = run->fills[i];

		set_up_get_locked(cache, fill);
		if (i > 0)
			run->fills[i - 1]->op.get.next = &fill->op.get;
		fill->phase = CACHE_FILL_ISSUING;
		run->attempts[i] = ++fill->attempt;
		fill->refs++; /* done() may run before backing_get() returns */
	}
}

static void run_issued_locked(struct cache_run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		struct cache_fill *fill = run->fills[i];

		if (fill->entry && fill->attempt == run->attempts[i] &&
		    fill->phase == CACHE_FILL_ISSUING) {
			fill->phase = CACHE_FILL_FETCHING;
			if (!TAILQ_EMPTY(&fill->entry->waits))
				cache_fill_promote_locked(fill);
		}
		cache_fill_unref_locked(fill);
	}
}

/* Fetches what is in the run, and empties it. */
void cache_run_fetch(struct cache *cache, struct cache_run *run)
{
	struct backing *source;
	bool stopping;

	if (run->count == 0)
		return;
	source = run->fills[0]->entry->object->source;
	pthread_mutex_lock(&cache->lock);
	stopping = cache->stopping;
	if (!stopping)
		run_issue_locked(cache, run);
	pthread_mutex_unlock(&cache->lock);
	if (stopping) {
		for (unsigned i = 0; i < run->count; i++)
			cache_fill_end(run->fills[i], -ECANCELED, CACHE_ORIGIN_BACKING);
	} else {
		backing_get(source, &run->fills[0]->op.get);
		pthread_mutex_lock(&cache->lock);
		run_issued_locked(run);
		pthread_mutex_unlock(&cache->lock);
	}
	run->count = 0;
	run->len = 0;
}

void cache_fill_fetch(struct cache_fill *fill)
{
	struct cache_run run = { 0 };

	cache_run_add(&run, fill);
	cache_run_fetch(fill->cache, &run);
}

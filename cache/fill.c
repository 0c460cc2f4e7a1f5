/*
 * fill.c - how a block gets its bytes, once for all who ask.
 *
 *	IDLE --> READING (SSD) --------------------------------> entry CLEAN
 *	  |         | not there, bad check, I/O error
 *	  +---------+--> ISSUING --> FETCHING (backing store) --> entry DIRTY
 *	  |                             | time-out while others have time left; queue full
 *	  +------- a little later <-----+                       else: entry DEAD, an error for all
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
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/core.h"

#define RETRY_PAUSE_NS (20 * NS_PER_MS)
#define PAGE_LEN       4096

static void fill_unref_locked(struct cache_fill *fill)
{
	CHECK(fill->refs > 0);
	if (--fill->refs == 0)
		free(fill);
}

struct window_entry *cache_fill_add_locked(struct cache *cache, struct cache_object *object,
					   const struct window_key *key, uint32_t len,
					   bool prefetch, struct cache_work *work)
{
	struct cache_fill *fill = malloc(sizeof(*fill));
	struct window_entry *entry;

	if (!fill)
		return NULL;
	entry = window_add(&cache->window, key, len, !prefetch);
	if (!entry) {
		free(fill);
		return NULL;
	}
	memset(fill, 0, offsetof(struct cache_fill, op));
	fill->cache = cache;
	fill->entry = entry;
	fill->refs = 1;
	fill->prefetch = prefetch;
	entry->fill = fill;
	entry->object = cache_object_get(object);
	entry->ahead = prefetch;
	cache->fill_count++;
	if (prefetch)
		cache->prefetch_bytes += len;
	STAILQ_INSERT_TAIL(&work->fills, entry, to_fill);
	return entry;
}

/* The entry is no longer being filled. Return: its object, to be put without the lock. */
static struct cache_object *detach_locked(struct cache *cache, struct window_entry *entry)
{
	struct cache_object *object = entry->object;
	struct cache_fill *fill = entry->fill;

	cache->fill_count--;
	if (fill->prefetch)
		cache->prefetch_bytes -= entry->len;
	entry->fill = NULL;
	entry->object = NULL;
	fill->entry = NULL;
	fill_unref_locked(fill);
	return object;
}

void cache_fill_undo_locked(struct cache *cache, struct window_entry *entry,
			    struct cache_work *work)
{
	struct cache_object *object = detach_locked(cache, entry);

	STAILQ_REMOVE(&work->fills, entry, window_entry, to_fill);
	window_set_state(&cache->window, entry, WINDOW_DEAD);
	cache_object_put(object); /* not the last reference: the reader has one */
}

static void promote_locked(struct cache_fill *fill)
{
	if (fill->phase != CACHE_FILL_FETCHING || !fill->background)
		return;
	fill->background = false;
	backing_promote(fill->entry->object->source, &fill->op.get);
}

void cache_fill_joined_locked(struct window_entry *entry)
{
	promote_locked(entry->fill);
}

static uint64_t block_of(const struct cache *cache, const struct window_entry *entry)
{
	uint64_t number = entry->key.index >> 1;

	return window_key_is_granule(&entry->key) ? number / (cache->block_len / GRANULE_LEN)
						  : number;
}

/* Where in the object the entry begins. */
static uint64_t offset_of(const struct cache *cache, const struct window_entry *entry)
{
	uint64_t number = entry->key.index >> 1;

	return number * (window_key_is_granule(&entry->key) ? GRANULE_LEN : cache->block_len);
}

/* A whole block from the backing store goes to the SSD; then someone waits for
 * cache_writes_start(). */
static void fill_done_locked(struct cache *cache, struct window_entry *entry, bool from_ssd,
			     struct cache_object **object)
{
	bool write = !from_ssd && !window_key_is_granule(&entry->key) && !cache->stopping;

	entry->filled = entry->len;
	entry->from_ssd = from_ssd;
	entry->ready_ns = clock_now_ns(cache->clock);
	if (write) {
		entry->object = *object;
		entry->object->pending_bytes += entry->len;
		*object = NULL;
	}
	window_set_state(&cache->window, entry, write ? WINDOW_DIRTY : WINDOW_CLEAN);
}

static void fill_end(struct cache_fill *fill, int status, bool from_ssd)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;
	struct cache_object *object;
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	object = detach_locked(cache, entry);
	if (status == 0) {
		fill_done_locked(cache, entry, from_ssd, &object);
		cache_reads_progress_locked(cache, entry, &work);
	} else {
		cache_reads_fail_locked(cache, entry, status, &work);
		window_set_state(&cache->window, entry, WINDOW_DEAD);
	}
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_object_put(object);
	cache_work_run(cache, &work);
	cache_writes_start(cache);
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

/* The SSD is written in pages: behind the block's end it gets zeros. */
static void pad(struct cache_fill *fill)
{
	unsigned char *data = window_data(&fill->cache->window, fill->entry);
	uint32_t len = fill->entry->len;

	if (len % PAGE_LEN)
		memset(data + len, 0, PAGE_LEN - len % PAGE_LEN);
}

/* Puts the fill off when those who wait still have time and the cause is one that passes. */
static bool put_off(struct cache_fill *fill, int status)
{
	struct cache *cache = fill->cache;
	uint64_t now_ns = clock_now_ns(cache->clock);
	struct cache_read_part *part;
	bool again = false;

	if (status != -ETIMEDOUT && status != -EAGAIN)
		return false;
	pthread_mutex_lock(&cache->lock);
	TAILQ_FOREACH (part, &fill->entry->waits, link)
		again |= part->read->p.deadline_ns > now_ns;
	again &= !cache->stopping;
	if (again) {
		fill->phase = CACHE_FILL_IDLE;
		fill->retry_at_ns = clock_after_ns(now_ns, RETRY_PAUSE_NS);
		TAILQ_INSERT_TAIL(&cache->retries, fill, link);
		cache_timer_poke_locked(cache, fill->retry_at_ns);
	}
	pthread_mutex_unlock(&cache->lock);
	return again;
}

static void report(struct cache_fill *fill, const struct backing_get *get)
{
	const struct object_version *version = &fill->entry->object->store.version;

	counter_add(&fill->cache->counters, CACHE_FETCH_ERRORS, 1);
	/* nobody waits for what was put off in vain, and a stop is no news */
	if (get->request.status == -ECANCELED || get->request.status == -EAGAIN)
		return;
	if (get->request.status == -ESTALE) {
		atomic_store(&fill->entry->object->stale, true);
		counter_add(&fill->cache->counters, CACHE_STALE, 1);
		log_info("cache.stale", "backing=%s bucket=%s key=\"%s\" refused_etag=%s",
			 version->backing, version->bucket, version->key, version->etag);
		return;
	}
	log_warning("cache.fetch",
		    "backing=%s bucket=%s key=\"%s\" off=%llu error=\"%s\" problem=\"%s\"",
		    version->backing, version->bucket, version->key, (unsigned long long)get->off,
		    error_text(get->request.status), get->request.problem);
}

static void fetch_done(struct backing_get *get)
{
	struct cache_fill *fill = CONTAINER_OF(get, struct cache_fill, op.get);
	struct counters *counters = &fill->cache->counters;
	int status = get->request.status;

	if (put_off(fill, status))
		return;
	if (status == 0) {
		check_granules(fill, fill->entry->len);
		pad(fill);
		counter_add(counters, CACHE_FETCHES, 1);
		counter_add(counters, CACHE_FETCH_BYTES, fill->entry->len);
		if (fill->repair)
			counter_add(counters, CACHE_REPAIRED, 1);
	} else {
		report(fill, get);
	}
	fill_end(fill, status, false);
}

/* The request for the rest of the block. */
static void set_up_get_locked(struct cache *cache, struct cache_fill *fill)
{
	struct window_entry *entry = fill->entry;
	const struct object_version *version = &entry->object->store.version;
	uint64_t deadline_ns = 0;
	struct cache_read_part *part;

	TAILQ_FOREACH (part, &entry->waits, link)
		if (part->read->p.deadline_ns > deadline_ns)
			deadline_ns = part->read->p.deadline_ns;
	if (deadline_ns == 0)
		deadline_ns = clock_after_ns(clock_now_ns(cache->clock), cache->read_timeout);
	fill->background = fill->prefetch && TAILQ_EMPTY(&entry->waits);
	fill->base = entry->filled;
	fill->op.get = (struct backing_get){
		.request = {
			.bucket = version->bucket,
			.key = version->key,
			.deadline_ns = deadline_ns,
			.background = fill->background,
		},
		.etag = version->etag,
		.off = offset_of(cache, entry) + fill->base,
		.len = entry->len - fill->base,
		.dst = window_data(&cache->window, entry) + fill->base,
		.progress = fetch_progress,
		.done = fetch_done,
	};
}

/* Fills that one request serves. */
struct run {
	unsigned count;
	uint64_t len;
	struct cache_fill *fills[CACHE_RUN_FILLS];
	unsigned attempts[CACHE_RUN_FILLS];
};

/* Whether the block of @fill lies behind the run's. What was tried before goes by itself: parts of
 * it are there, and whatever failed it should not fail others. */
static bool run_takes(const struct cache *cache, const struct run *run,
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

static void run_add(struct run *run, struct cache_fill *fill)
{
	run->fills[run->count++] = fill;
	run->len += fill->entry->len;
}

static void run_issue_locked(struct cache *cache, struct run *run)
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

static void run_issued_locked(struct run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		struct cache_fill *fill = run->fills[i];

		if (fill->entry && fill->attempt == run->attempts[i] &&
		    fill->phase == CACHE_FILL_ISSUING) {
			fill->phase = CACHE_FILL_FETCHING;
			if (!TAILQ_EMPTY(&fill->entry->waits))
				promote_locked(fill);
		}
		fill_unref_locked(fill);
	}
}

/* Fetches what is in the run, and empties it. */
static void run_fetch(struct cache *cache, struct run *run)
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
			fill_end(run->fills[i], -ECANCELED, false);
	} else {
		backing_get(source, &run->fills[0]->op.get);
		pthread_mutex_lock(&cache->lock);
		run_issued_locked(run);
		pthread_mutex_unlock(&cache->lock);
	}
	run->count = 0;
	run->len = 0;
}

static void fetch(struct cache *cache, struct cache_fill *fill)
{
	struct run run = { 0 };

	run_add(&run, fill);
	run_fetch(cache, &run);
}

static void read_done(struct store_read *read)
{
	struct cache_fill *fill = CONTAINER_OF(read, struct cache_fill, op.read);

	if (read->status == 0) {
		memcpy(window_checks(&fill->cache->window, fill->entry), read->checks,
		       read->granule_count * sizeof(read->checks[0]));
		fill_end(fill, 0, true);
		return;
	}
	/* -ENOENT: evicted in the meantime, which is nobody's fault */
	fill->repair = read->status != -ENOENT;
	fill->fetch_only = true;
	fetch(fill->cache, fill);
}

static void read_ssd(struct cache *cache, struct cache_fill *fill)
{
	struct window_entry *entry = fill->entry;
	struct store_read *read = &fill->op.read;
	bool granule = window_key_is_granule(&entry->key);
	uint64_t granules_per_block = cache->block_len / GRANULE_LEN;

	*read = (struct store_read){
		.id = entry->key.id,
		.object_size = entry->object->store.version.size,
		.block = block_of(cache, entry),
		.first_granule = granule ? (entry->key.index >> 1) % granules_per_block : 0,
		.granule_count = object_granule_count(entry->len),
		.dst = window_data(&cache->window, entry),
		.done = read_done,
	};
	store_read_start(cache->store, read);
}

/* Return: whether the SSD has it and brings it; then the fill may have ended already. */
static bool try_ssd(struct cache *cache, struct cache_fill *fill)
{
	struct window_entry *entry = fill->entry;
	bool has;

	pthread_mutex_lock(&cache->lock);
	has = cache_store_enter_locked(cache);
	fill->phase = CACHE_FILL_READING;
	pthread_mutex_unlock(&cache->lock);
	if (!has)
		return false;
	has = store_has(cache->store, &entry->key.id, block_of(cache, entry));
	if (has)
		read_ssd(cache, fill);
	cache_store_leave(cache);
	return has;
}

void cache_fills_start(struct cache *cache, struct window_fills *entries)
{
	struct run run = { 0 };
	struct window_entry *entry;

	while ((entry = STAILQ_FIRST(entries))) {
		struct cache_fill *fill = entry->fill;

		STAILQ_REMOVE_HEAD(entries, to_fill);
		if (!fill->fetch_only && try_ssd(cache, fill))
			continue;
		fill->fetch_only = true;
		if (!run_takes(cache, &run, fill))
			run_fetch(cache, &run);
		run_add(&run, fill);
	}
	run_fetch(cache, &run);
}

void cache_fills_retry_locked(struct cache *cache, uint64_t now_ns, struct cache_work *work)
{
	struct cache_fill *fill, *next;

	for (fill = TAILQ_FIRST(&cache->retries); fill; fill = next) {
		next = TAILQ_NEXT(fill, link);
		if (fill->retry_at_ns > now_ns)
			continue;
		TAILQ_REMOVE(&cache->retries, fill, link);
		STAILQ_INSERT_TAIL(&work->fills, fill->entry, to_fill);
	}
}

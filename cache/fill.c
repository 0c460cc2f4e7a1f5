/*
 * fill.c - how a block gets its bytes, once for all who ask.
 *
 *	IDLE: of what another process left: right as it is -----> entry CLEAN, or DIRTY if owed
 *	  |
 *	  +----> READING (SSD) ---------------------------------> entry CLEAN
 *	  |        | not there, bad check, I/O error
 *	  +--------+--> ASKING (other nodes, if there are any) --> entry CLEAN, or DIRTY if the
 *	  |        |      | nobody has it                          block is placed on this node
 *	  |        +------+--> ISSUING --> FETCHING (backing) --> entry DIRTY
 *	           |      |                   |
 *	           |      `-----------+-------'
 *	           |                  | time-out while others have time left; queue full
 *	           `---- PAUSED <-----+                    else: entry DEAD, an error for all
 *
 * What others have becomes DIRTY all the same where free space takes replicas (cache.replicate);
 * what nobody had does always: it may be this node's in a moment, when all know that its owner has
 * died, and would be fetched a second time.
 *
 * Once the backing store was asked other nodes are not asked any more: what they would bring lands
 * where readers look at the first bytes already.
 *
 * Who may wait for whom. A reader of this node may wait for all of it. One that is there for a peer
 * (serve) must not wait for this node to ask as a reader: were the peer asked in turn, each would
 * wait for the other. Such a fill asks others only for what they have themselves (`serving`); one
 * that has asked as a reader before is not joined, but told that a peer waits, and gives up asking
 * as soon as it can (peer_fetch.serving); the peer tries again meanwhile. One that is there for a
 * peer that serves another one (forward) waits for this node's SSD, and for the backing store if
 * that is being asked anyway.
 *
 * A fill is driven by one thread at a time: who started it, then who calls a done().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/fill.h"

#define RETRY_PAUSE_NS (20 * NS_PER_MS)
#define PAGE_LEN       4096

void cache_fill_unref_locked(struct cache_fill *fill)
{
	CHECK(fill->refs > 0);
	if (--fill->refs == 0)
		free(fill);
}

struct window_entry *cache_fill_add_locked(struct cache *cache, struct cache_object *object,
					   const struct window_key *key, uint32_t len,
					   const struct cache_read *read, struct cache_work *work)
{
	enum window_class class = read ? (enum window_class)read->p.class : WINDOW_DEMAND;
	struct cache_fill *fill = malloc(sizeof(*fill));
	bool prefetch = !read;
	struct window_entry *entry;

	if (!fill)
		return NULL;
	entry = window_add(&cache->window, key, len, class, cache_write_loss_locked(cache, read));
	if (!entry) {
		free(fill);
		return NULL;
	}
	memset(fill, 0, offsetof(struct cache_fill, op));
	fill->cache = cache;
	fill->entry = entry;
	fill->refs = 1;
	fill->prefetch = prefetch;
	fill->placed = !cache->peers.fetch;
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
	cache_fill_unref_locked(fill);
	return object;
}

void cache_fill_undo_locked(struct cache *cache, struct window_entry *entry,
			    struct cache_work *work)
{
	struct cache_object *object = detach_locked(cache, entry);

	STAILQ_REMOVE(&work->fills, entry, window_entry, to_fill);
	window_unadd(&cache->window, entry);
	cache_object_put(object); /* not the last reference: the reader has one */
}

int cache_fill_join_locked(struct window_entry *entry, enum window_class class)
{
	struct cache_fill *fill = entry->fill;
	bool asking = fill->phase == CACHE_FILL_ASKING;

	if (class == WINDOW_FORWARD) {
		bool will_ask = fill->phase == CACHE_FILL_PAUSED && fill->cache->peers.fetch &&
				!fill->missed;

		return asking || will_ask ? -ENOENT : 0;
	}
	if (class == WINDOW_DEMAND || !asking || fill->serving)
		return 0;
	atomic_store(&fill->op.ask.serving, true);
	return -EAGAIN;
}

void cache_fill_joined_locked(struct window_entry *entry)
{
	cache_fill_promote_locked(entry->fill);
}

/* A whole block that this node is to keep goes to the SSD; then someone waits for
 * cache_writes_start(). */
static void fill_done_locked(struct cache *cache, struct window_entry *entry, bool placed,
			     bool write, struct cache_object **object)
{
	entry->filled = entry->len;
	entry->ready_ns = clock_now_ns(cache->clock);
	entry->copy = !placed && entry->origin == CACHE_ORIGIN_PEER;
	if (write) {
		entry->object = *object;
		entry->object->pending_bytes += entry->len;
		*object = NULL;
	}
	window_set_state(&cache->window, entry, write ? WINDOW_DIRTY : WINDOW_CLEAN);
}

struct cache_object *cache_fill_fail_locked(struct cache_fill *fill, int status,
					    struct cache_work *work)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;
	struct cache_object *object = detach_locked(cache, entry);

	cache_reads_fail_locked(cache, entry, WINDOW_DEMAND, status, work);
	window_set_state(&cache->window, entry, WINDOW_DEAD);
	cache_frames_locked(cache, work);
	return object;
}

void cache_fill_end(struct cache_fill *fill, int status, enum cache_origin origin)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;
	bool wanted = origin == CACHE_ORIGIN_WINDOW
			      ? entry->owed
			      : fill->placed || cache->replicate || origin == CACHE_ORIGIN_BACKING;
	bool keep = wanted && origin != CACHE_ORIGIN_SSD && !entry->object->transient &&
		    !window_key_is_granule(&entry->key);
	struct cache_object *object;
	struct cache_work work;
	bool placed = fill->placed, distrusted;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	if (status == 0) {
		object = detach_locked(cache, entry);
		entry->origin = (uint8_t)origin;
		/* what came from the SSD before it was dropped there */
		distrusted = entry->distrusted && origin != CACHE_ORIGIN_BACKING;
		fill_done_locked(cache, entry, placed, keep && !cache->stopping && !distrusted,
				 &object);
		cache_reads_progress_locked(cache, entry, &work);
		entry->distrusted = false;
		if (distrusted)
			window_set_state(&cache->window, entry, WINDOW_DEAD);
		cache_frames_locked(cache, &work);
	} else {
		object = cache_fill_fail_locked(fill, status, &work);
	}
	pthread_mutex_unlock(&cache->lock);
	cache_object_put(object);
	cache_work_run(cache, &work);
	cache_writes_start(cache);
}

void cache_fill_pad(struct cache_fill *fill)
{
	unsigned char *data = window_data(&fill->cache->window, fill->entry);
	uint32_t len = fill->entry->len;

	if (len % PAGE_LEN)
		memset(data + len, 0, PAGE_LEN - len % PAGE_LEN);
}

uint64_t cache_fill_deadline_locked(const struct cache_fill *fill)
{
	struct cache *cache = fill->cache;
	uint64_t deadline_ns = 0;
	struct cache_read_part *part;

	TAILQ_FOREACH (part, &fill->entry->waits, link)
		if (part->read->p.deadline_ns > deadline_ns)
			deadline_ns = part->read->p.deadline_ns;
	if (deadline_ns == 0)
		deadline_ns = clock_after_ns(clock_now_ns(cache->clock), cache->read_timeout);
	return deadline_ns;
}

void cache_fill_pause_locked(struct cache_fill *fill, uint64_t at_ns)
{
	fill->phase = CACHE_FILL_PAUSED;
	fill->retry_at_ns = at_ns;
	TAILQ_INSERT_TAIL(&fill->cache->retries, fill, link);
	cache_timer_poke_locked(fill->cache, at_ns);
}

bool cache_fill_put_off(struct cache_fill *fill, int status)
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
	if (again)
		cache_fill_pause_locked(fill, clock_after_ns(now_ns, RETRY_PAUSE_NS));
	pthread_mutex_unlock(&cache->lock);
	return again;
}

void cache_fill_report(const struct cache_fill *fill, const char *from, int status,
		       const char *problem)
{
	const struct window_entry *entry = fill->entry;
	const struct object_version *version = &entry->object->store.version;
	struct cache *cache = fill->cache;

	/* nobody waits for what was put off in vain, and a stop is no news */
	if (status == -ECANCELED || status == -EAGAIN)
		return;
	if (status == -ESTALE) {
		atomic_store(&entry->object->stale, true);
		counter_add(&cache->counters, CACHE_STALE, 1);
		log_info("cache.stale", "backing=%s bucket=%s key=\"%s\" refused_etag=%s",
			 version->backing, version->bucket, version->key, version->etag);
		return;
	}
	log_warning(
		"cache.fetch",
		"from=%s backing=%s bucket=%s key=\"%s\" off=%llu error=\"%s\" problem=\"%s\"",
		from, version->backing, version->bucket, version->key,
		(unsigned long long)(window_key_off(&entry->key, cache->block_len) + fill->base),
		error_text(status), problem);
}

static void read_done(struct store_read *read)
{
	struct cache_fill *fill = CONTAINER_OF(read, struct cache_fill, op.read);

	if (read->status == 0) {
		memcpy(window_checks(&fill->cache->window, fill->entry), read->checks,
		       read->granule_count * sizeof(read->checks[0]));
		cache_fill_end(fill, 0, CACHE_ORIGIN_SSD);
		return;
	}
	/* -ENOENT: evicted in the meantime, which is nobody's fault */
	fill->repair = read->status != -ENOENT;
	fill->fetch_only = true;
	if (!cache_fill_ask(fill))
		cache_fill_fetch(fill);
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
		.block = window_key_block(&entry->key, cache->block_len),
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
	has = !entry->object->transient && cache_store_enter_locked(cache);
	fill->phase = CACHE_FILL_READING;
	pthread_mutex_unlock(&cache->lock);
	if (!has)
		return false;
	has = store_has(cache->store, &entry->key.id,
			window_key_block(&entry->key, cache->block_len));
	if (has)
		read_ssd(cache, fill);
	cache_store_leave(cache);
	return has;
}

void cache_fills_start(struct cache *cache, struct window_fills *entries)
{
	struct cache_run run = { 0 };
	struct window_entry *entry;

	while ((entry = STAILQ_FIRST(entries))) {
		struct cache_fill *fill = entry->fill;

		STAILQ_REMOVE_HEAD(entries, to_fill);
		if (entry->unverified && cache_fill_verify(fill))
			continue;
		if (!fill->fetch_only && try_ssd(cache, fill))
			continue;
		fill->fetch_only = true;
		if (cache_fill_ask(fill))
			continue;
		if (!cache_run_takes(cache, &run, fill))
			cache_run_fetch(cache, &run);
		cache_run_add(&run, fill);
	}
	cache_run_fetch(cache, &run);
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

uint64_t cache_fills_next_ns(const struct cache *cache)
{
	uint64_t next_ns = CLOCK_NEVER;
	struct cache_fill *fill;

	TAILQ_FOREACH (fill, &cache->retries, link)
		if (fill->retry_at_ns < next_ns)
			next_ns = fill->retry_at_ns;
	return next_ns;
}

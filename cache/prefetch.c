/*
 * prefetch.c - hints. A prefetch never waits and never costs a reader anything: it is refused while
 * readers wait for frames, when prefetch_max bytes are under way, when only blocks that are still
 * to be written to the SSD could give way, and, among peers, when so many of those wait already
 * that readers would soon wait for the SSD (write.c).
 *
 * What was prefetched and not read yet may take half the arena. When it does, readers are far
 * behind their own hints; more would push out what they are about to read. But a reader may also
 * have gone away: what has lain unread for ten seconds loses its privilege.
 */
#include "cache/core.h"

#define UNREAD_NS (10 * NS_PER_S)

/* Whether @len more bytes may lie prefetched and unread. */
static bool ahead_allows(struct cache *cache, uint32_t len)
{
	uint64_t now_ns = clock_now_ns(cache->clock);
	struct window *window = &cache->window;

	while (window->ahead_bytes + cache->prefetch_bytes + len > cache->ahead_max) {
		struct window_entry *entry = TAILQ_FIRST(&window->lists[WINDOW_LIST_AHEAD]);

		if (!entry || now_ns < clock_after_ns(entry->ready_ns, UNREAD_NS))
			return false;
		window_set_read(window, entry);
	}
	return true;
}

static bool prefetch_block_locked(struct cache *cache, struct cache_object *object, uint64_t block,
				  struct cache_work *work)
{
	uint32_t len = object_block_len(object->store.version.size, block, cache->block_len);
	struct window_key key = window_block_key(&object->store.id, block);
	struct window_entry *kept = window_find_kept(&cache->window, &key);

	if (kept)
		window_hint_kept(&cache->window, kept);
	if (kept || window_find(&cache->window, &key))
		return true;
	if (cache->stopping || atomic_load(&object->stale) ||
	    !TAILQ_EMPTY(&cache->queues[WINDOW_DEMAND].for_frames) ||
	    len > cache->prefetch_max - cache->prefetch_bytes || !ahead_allows(cache, len) ||
	    cache_write_lags_locked(cache, len) ||
	    !cache_fill_add_locked(cache, object, &key, len, NULL, work)) {
		counter_add(&cache->counters, CACHE_PREFETCH_DROPPED, 1);
		return false;
	}
	counter_add(&cache->counters, CACHE_PREFETCHES, 1);
	return true;
}

uint64_t cache_prefetch(struct cache *cache, struct cache_object *object, uint64_t off,
			uint64_t len)
{
	uint64_t size = object->store.version.size;
	uint64_t end, at = off;
	struct cache_work work;

	if (off >= size)
		return 0;
	end = len < size - off ? off + len : size;
	cache_work_init(&work);
	while (at < end) {
		uint64_t block = at / cache->block_len;
		bool there;

		/* a section per block: a long hint must not hold up the readers */
		pthread_mutex_lock(&cache->lock);
		there = prefetch_block_locked(cache, object, block, &work);
		pthread_mutex_unlock(&cache->lock);
		if (!there)
			break;
		at = (block + 1) * cache->block_len;
	}
	cache_work_run(cache, &work);
	return (at < end ? at : end) - off;
}

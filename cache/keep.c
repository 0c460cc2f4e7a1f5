/*
 * keep.c - what the SSD has, and has to get: for members that take over another one's blocks, and
 * for the one that hands them over.
 *
 * A block that lies in the window may have come there as somebody else's, and so have been kept off
 * the SSD; now that it is this node's it is written from where it lies.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "cache/core.h"

#define PAGE_LEN 4096

static bool store_enter(struct cache *cache)
{
	bool enters;

	pthread_mutex_lock(&cache->lock);
	enters = cache_store_enter_locked(cache);
	pthread_mutex_unlock(&cache->lock);
	return enters;
}

bool cache_has_block(struct cache *cache, const struct object_id *id, uint64_t block)
{
	bool has;

	if (!store_enter(cache))
		return false;
	has = store_has(cache->store, id, block);
	cache_store_leave(cache);
	return has;
}

bool cache_would_keep(struct cache *cache, const struct store_object *object, uint64_t block,
		      uint32_t len)
{
	bool would;

	if (!store_enter(cache))
		return false;
	would = store_would_admit_block(cache->store, object, block, len);
	cache_store_leave(cache);
	return would;
}

int cache_list(struct cache *cache, struct store_cursor *cursor, struct store_page *out_page)
{
	int count;

	if (!store_enter(cache))
		return -ECANCELED;
	count = store_list(cache->store, cursor, out_page);
	cache_store_leave(cache);
	return count;
}

/* Has the block written if it is not on its way already. Return: whether it is now. */
static bool write_begin_locked(struct cache_stage *stage, struct window_entry *entry)
{
	struct cache *cache = stage->read.p.cache;

	if (entry->state == WINDOW_WRITING)
		return true;
	entry->copy = false; /* who hands it over waits for it */
	if (entry->state == WINDOW_DIRTY) {
		window_set_state(&cache->window, entry, WINDOW_DIRTY);
		return true;
	}
	if (stage->kept || cache->stopping)
		return false;
	CHECK(entry->state == WINDOW_CLEAN && !entry->object);
	if (entry->len % PAGE_LEN) /* what came from an SSD has no padding */
		memset(window_data(&cache->window, entry) + entry->len, 0,
		       PAGE_LEN - entry->len % PAGE_LEN);
	stage->kept = true;
	entry->object = cache_object_get(stage->object);
	entry->object->pending_bytes += entry->len;
	window_set_state(&cache->window, entry, WINDOW_DIRTY);
	return true;
}

static bool is_kept(struct cache *cache, const struct window_entry *entry)
{
	return cache_directory_count(cache) == 0 ||
	       cache_has_block(cache, &entry->key.id,
			       window_key_block(&entry->key, cache->block_len));
}

int cache_stage_keep(struct cache_stage *stage)
{
	struct window_entry *entry = stage->read.p.parts[0].entry;
	struct cache *cache = stage->read.p.cache;
	bool writing, stopping;

	CHECK(stage->status == 0 && stage->read.p.part_count == 1);
	if (window_key_is_granule(&entry->key) || stage->object->transient)
		return -EINVAL;
	if (is_kept(cache, entry))
		return 0;
	pthread_mutex_lock(&cache->lock);
	writing = write_begin_locked(stage, entry);
	stopping = cache->stopping;
	pthread_mutex_unlock(&cache->lock);
	if (stopping)
		return -ECANCELED;
	if (writing) {
		cache_writes_start(cache);
		return -EAGAIN;
	}
	/* unless it got there since it was looked for */
	return is_kept(cache, entry) ? 0 : -ENOSPC;
}

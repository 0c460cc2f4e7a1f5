/*
 * handout.c - whole files for the kernel to read: the store's, for objects that may be kept there.
 */
#include <errno.h>

#include "cache/core.h"

/* The block is missing on the SSD, of an object that is nearly whole there. What is in memory is
 * written once more; else whoever reads it next brings it back. */
void cache_block_lost(void *context, const struct object_id *id, uint64_t block)
{
	struct cache *cache = context;
	struct cache_object *object = cache_object_find(cache, id);
	struct window_key key = window_block_key(id, block);
	struct cache_object *kept = object;
	struct window_entry *entry;

	if (!object)
		return;
	pthread_mutex_lock(&cache->lock);
	entry = window_find(&cache->window, &key);
	if (entry && entry->state == WINDOW_CLEAN && !cache->stopping && !object->transient) {
		entry->object = object;
		object->pending_bytes += entry->len;
		kept = NULL;
		window_set_state(&cache->window, entry, WINDOW_DIRTY);
	}
	pthread_mutex_unlock(&cache->lock);
	cache_object_put(kept);
	cache_writes_start(cache);
}

void cache_handout_allow(struct cache *cache, unsigned index, bool allowed)
{
	store_handout_allow(cache->store, index, allowed);
}

int cache_handout_probe(struct cache *cache, unsigned index)
{
	return store_handout_probe(cache->store, index);
}

bool cache_handout_ready(struct cache *cache, const struct object_id *id, bool want)
{
	return store_handout_ready(cache->store, id, want);
}

int cache_handout(struct cache_object *object, struct cache_handout *out)
{
	struct cache *cache = object->cache;

	if (object->transient)
		return -EAGAIN;
	cache_object_touch(object, clock_now_ns(cache->clock));
	return store_handout(cache->store, &object->store.id, out);
}

void cache_handout_adopt(struct cache *cache, unsigned index, const struct object_id *id,
			 struct cache_handout *out)
{
	store_handout_adopt(cache->store, index, id, out);
}

bool cache_handout_current(struct cache *cache, const struct cache_handout *handout)
{
	return store_handout_current(cache->store, handout);
}

bool cache_handout_sound(struct cache *cache, const struct cache_handout *handout)
{
	return store_handout_sound(cache->store, handout);
}

bool cache_handback(struct cache *cache, const struct cache_handout *handout)
{
	return store_handback(cache->store, handout);
}

bool cache_handout_again(struct cache_object *object, struct cache_handout *handout)
{
	struct cache *cache = object->cache;

	cache_object_touch(object, clock_now_ns(cache->clock));
	return !object->transient && store_handout_again(cache->store, handout);
}

uint64_t cache_handout_lost(struct cache *cache)
{
	return store_handout_lost(cache->store);
}

uint64_t cache_handout_count(struct cache *cache, uint64_t *out_queued)
{
	return store_handout_count(cache->store, out_queued);
}

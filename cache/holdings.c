/*
 * holdings.c - how much of an object version is on this node, and how much of that it owns.
 *
 * In the window it is looked up block by block, or the window is gone through when that is less
 * than the object's blocks and granules. Either way the lock is taken anew for each portion. What
 * comes, goes or moves in the meantime may be missed or counted twice: it is a look, not a promise.
 */
#include <errno.h>
#include <stdlib.h>

#include "cache/core.h"

#define BLOCKS_MAX (UINT64_C(1) << 24) /* of an object: 64 TiB, of the usual length */

struct look {
	struct cache *cache;
	struct object_id id;
	uint64_t size, blocks;
	uint64_t *on_ssd; /* a bit for each block */
	struct cache_holdings found;
};

static bool is_owned(const struct look *look, uint64_t block)
{
	const struct peer_source *peers = &look->cache->peers;

	return !peers->owns || peers->owns(peers->context, &look->id, block);
}

/* --- on the SSD ----------------------------------------------------------------------------- */

static bool is_on_ssd(const struct look *look, uint64_t block)
{
	return look->on_ssd[block / 64] >> block % 64 & 1;
}

static void ssd_block_add(struct look *look, uint64_t block)
{
	uint32_t len = object_block_len(look->size, block, look->cache->block_len);

	if (len == 0 || is_on_ssd(look, block)) /* an index may be wrong; two may have it */
		return;
	look->on_ssd[block / 64] |= UINT64_C(1) << block % 64;
	if (is_owned(look, block))
		look->found.owned += len;
	else
		look->found.replicas += len;
}

/* Return: whether the next portion may have more of it. */
static bool ssd_page_add(struct look *look, const struct store_page *page)
{
	bool last = false;

	for (unsigned i = 0; i < page->count; i++) {
		const struct store_listed *listed = &page->objects[i];

		last = object_id_equal(&listed->object.id, &look->id);
		for (unsigned j = 0; last && j < listed->block_count; j++)
			ssd_block_add(look, listed->blocks[j]);
	}
	return last;
}

static int ssd_look(struct look *look)
{
	struct store *store = look->cache->store;
	struct store_page *page = malloc(sizeof(*page));

	if (!page)
		return -ENOMEM;
	look->found.ssd = store_resident(store, &look->id, look->size);
	for (unsigned i = 0; look->found.ssd > 0 && i < store_directory_count(store); i++) {
		struct store_cursor cursor = { .directory = i, .id = look->id };

		while (store_list(store, &cursor, page) > 0 && ssd_page_add(look, page))
			;
	}
	free(page);
	return 0;
}

/* --- in the window -------------------------------------------------------------------------- */

static void memory_add(struct look *look, uint64_t block, uint64_t bytes)
{
	look->found.memory += bytes;
	if (bytes > 0 && !is_on_ssd(look, block) && is_owned(look, block))
		look->found.owned += bytes;
}

static bool is_complete(const struct window_entry *entry)
{
	return entry && (entry->state == WINDOW_DIRTY || entry->state == WINDOW_WRITING ||
			 entry->state == WINDOW_CLEAN);
}

/* The bytes of a whole block, or of those of its granules that came by themselves. */
static uint64_t block_bytes_locked(const struct look *look, uint64_t block)
{
	struct cache *cache = look->cache;
	uint32_t len = object_block_len(look->size, block, cache->block_len);
	uint64_t first = block * (cache->block_len / GRANULE_LEN), bytes = 0;
	struct window_key key = window_block_key(&look->id, block);
	const struct window_entry *entry = window_find(&cache->window, &key);

	if (is_complete(entry))
		return entry->len;
	for (unsigned i = 0; i < object_granule_count(len); i++) {
		key = window_granule_key(&look->id, first + i);
		entry = window_find(&cache->window, &key);
		if (is_complete(entry))
			bytes += entry->len;
	}
	return bytes;
}

static void memory_look_by_block(struct look *look)
{
	for (uint64_t i = 0; i < look->blocks; i++) {
		uint64_t bytes;

		pthread_mutex_lock(&look->cache->lock);
		bytes = block_bytes_locked(look, i);
		pthread_mutex_unlock(&look->cache->lock);
		memory_add(look, i, bytes);
	}
}

/* A granule beside its whole block does not count. */
static void entry_add_locked(struct look *look, const struct window_entry *entry)
{
	struct cache *cache = look->cache;
	uint64_t block = window_key_block(&entry->key, cache->block_len);
	struct window_key whole = window_block_key(&look->id, block);

	if (!is_complete(entry) || block >= look->blocks)
		return;
	if (!window_key_is_granule(&entry->key) ||
	    !is_complete(window_find(&cache->window, &whole)))
		memory_add(look, block, entry->len);
}

static void memory_look_by_region(struct look *look)
{
	struct window *window = &look->cache->window;

	for (uint64_t i = 0; i < window->region_count; i++) {
		const struct window_entry *entry;

		pthread_mutex_lock(&look->cache->lock);
		LIST_FOREACH (entry, &window->regions[i].entries, by_region)
			if (object_id_equal(&entry->key.id, &look->id))
				entry_add_locked(look, entry);
		pthread_mutex_unlock(&look->cache->lock);
	}
}

static void memory_look(struct look *look)
{
	struct window *window = &look->cache->window;
	uint64_t units = look->blocks + look->size / GRANULE_LEN + 1, entries;

	pthread_mutex_lock(&look->cache->lock);
	entries = window->entry_count;
	pthread_mutex_unlock(&look->cache->lock);
	if (units <= entries + window->region_count)
		memory_look_by_block(look);
	else
		memory_look_by_region(look);
}

/* --- both ----------------------------------------------------------------------------------- */

static uint64_t at_most(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

static int look_around(struct look *look)
{
	bool enters;
	int error;

	pthread_mutex_lock(&look->cache->lock);
	enters = cache_store_enter_locked(look->cache);
	pthread_mutex_unlock(&look->cache->lock);
	if (!enters)
		return -ECANCELED;
	error = ssd_look(look);
	cache_store_leave(look->cache);
	if (!error)
		memory_look(look);
	return error;
}

int cache_holdings(struct cache *cache, const struct object_version *version,
		   struct cache_holdings *out)
{
	struct look look = { .cache = cache, .size = version->size };
	int error;

	object_id_of(version, &look.id);
	look.blocks = look.size / cache->block_len + (look.size % cache->block_len != 0);
	if (look.blocks > BLOCKS_MAX)
		return -E2BIG;
	look.on_ssd = calloc(look.blocks / 64 + 1, sizeof(*look.on_ssd));
	if (!look.on_ssd)
		return -ENOMEM;
	error = look_around(&look);
	free(look.on_ssd);
	if (error)
		return error;
	*out = (struct cache_holdings){
		.memory = at_most(look.found.memory, look.size),
		.ssd = look.found.ssd,
		.owned = at_most(look.found.owned, look.size),
		.replicas = at_most(look.found.replicas, look.found.ssd),
	};
	return 0;
}

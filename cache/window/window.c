/*
 * window.c - the life of a block in memory:
 *
 *	window_add() ---> FILLING ---> DIRTY ---> WRITING ---> CLEAN ---> evicted
 *	                     |  \________________________________^
 *	                     `---> DEAD ---> freed with the last reference
 *
 * FILLING: the bytes come, from the SSD or from the backing store, and readers whose range is
 * covered are let go at once. From the backing store a block becomes DIRTY (it is to be written to
 * the SSD), from the SSD it becomes CLEAN. WRITING: the frame is lent to the store. An entry that
 * is FILLING, WRITING or referenced is pinned: it keeps its frame. All others may be evicted.
 *
 * What gives way, in this order: the least recently used of the clean ones; then what was
 * prefetched and not read yet, oldest first (a reader is about to need it: without a list of its
 * own it would be older than all that was read and would go first); then, for those who cannot do
 * without, dirty ones, which the SSD then misses.
 *
 * A large frame among small ones: evicting by age alone would empty most of the arena before 4 MiB
 * lie side by side. So the victim only says where: everything that shares the wanted frame with it
 * goes, if nothing there is pinned.
 */
#include "cache/window/window.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

#define REGION_ORDER	  BUDDY_ORDER_MAX
#define BYTES_PER_ENTRY	  16384 /* of the arena: bounds the number of entries */
#define SLAB_ENTRIES	  128
#define VICTIMS_MAX	  64 /* looked at per list before regions are searched */
#define REGIONS_TRIED_MAX 4096

struct window_slab {
	LIST_ENTRY(window_slab) link;
	struct window_entry entries[SLAB_ENTRIES];
};

static struct window_bucket *bucket_of(struct window *window, const struct window_key *key)
{
	uint64_t hash;

	/* an object id is a digest: its bits need no further mixing, the index does */
	memcpy(&hash, key->id.bytes, sizeof(hash));
	hash ^= key->index * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	return &window->buckets[hash & window->bucket_mask];
}

static struct window_region *region_of(struct window *window, uint64_t off)
{
	return &window->regions[off >> REGION_ORDER];
}

static bool key_equal(const struct window_key *a, const struct window_key *b)
{
	return a->index == b->index && object_id_equal(&a->id, &b->id);
}

static uint64_t table_len(uint64_t entries)
{
	uint64_t len = 1024;

	while (len < entries)
		len *= 2;
	return len;
}

int window_init(struct window *window, uint64_t memory, bool huge_pages, struct counters *counters,
		void (*drop_dirty)(struct window_entry *entry))
{
	uint64_t len;
	int error;

	*window = (struct window){ .counters = counters, .drop_dirty = drop_dirty };
	error = arena_init(&window->arena, memory, huge_pages);
	if (error)
		return error;
	len = window->arena.buddy.len;
	window->entry_max = len / BYTES_PER_ENTRY;
	window->bucket_mask = table_len(window->entry_max) - 1;
	window->region_count = len >> REGION_ORDER;
	window->buckets = calloc(window->bucket_mask + 1, sizeof(*window->buckets));
	window->regions = calloc(window->region_count, sizeof(*window->regions));
	window->checks = calloc(len / GRANULE_LEN, sizeof(*window->checks));
	for (unsigned i = 0; i < WINDOW_LIST_COUNT; i++)
		TAILQ_INIT(&window->lists[i]);
	if (!window->buckets || !window->regions || !window->checks) {
		window_fini(window);
		return -ENOMEM;
	}
	populate_start(&window->populate, window->arena.memory, len, counters,
		       CACHE_MEMORY_POPULATED);
	return 0;
}

void window_fini(struct window *window)
{
	struct window_slab *slab;

	populate_stop(&window->populate);
	while ((slab = LIST_FIRST(&window->slabs))) {
		LIST_REMOVE(slab, link);
		free(slab);
	}
	free(window->checks);
	free(window->regions);
	free(window->buckets);
	arena_fini(&window->arena);
}

struct window_entry *window_find(struct window *window, const struct window_key *key)
{
	struct window_entry *entry;

	LIST_FOREACH (entry, bucket_of(window, key), by_key)
		if (key_equal(&entry->key, key))
			return entry;
	return NULL;
}

uint64_t *window_checks(struct window *window, struct window_entry *entry)
{
	/* frames above a granule are aligned to granules; those below may share one */
	if (entry->len <= GRANULE_LEN)
		return &entry->check;
	return &window->checks[entry->off / GRANULE_LEN];
}

static bool grow_pool(struct window *window)
{
	struct window_slab *slab = calloc(1, sizeof(*slab));

	if (!slab)
		return false;
	LIST_INSERT_HEAD(&window->slabs, slab, link);
	for (unsigned i = 0; i < SLAB_ENTRIES; i++)
		LIST_INSERT_HEAD(&window->pool, &slab->entries[i], by_key);
	return true;
}

static enum window_list list_for(const struct window_entry *entry)
{
	if (entry->state == WINDOW_DIRTY)
		return WINDOW_LIST_DIRTY;
	if (entry->state == WINDOW_CLEAN && entry->refs == 0)
		return entry->ahead ? WINDOW_LIST_AHEAD : WINDOW_LIST_LRU;
	return WINDOW_LIST_NONE;
}

static void set_list(struct window *window, struct window_entry *entry, enum window_list list)
{
	uint64_t frame_len = buddy_frame_len(entry->order);

	if (entry->list == list)
		return;
	if (entry->list != WINDOW_LIST_NONE)
		TAILQ_REMOVE(&window->lists[entry->list], entry, by_age);
	if (entry->list == WINDOW_LIST_AHEAD)
		window->ahead_bytes -= frame_len;
	entry->list = list;
	if (list != WINDOW_LIST_NONE)
		TAILQ_INSERT_TAIL(&window->lists[list], entry, by_age);
	if (list == WINDOW_LIST_AHEAD)
		window->ahead_bytes += frame_len;
}

static void set_pinned(struct window *window, struct window_entry *entry, bool pinned)
{
	struct window_region *region = region_of(window, entry->off);
	uint64_t frame_len = buddy_frame_len(entry->order);

	if (entry->pinned == pinned)
		return;
	entry->pinned = pinned;
	if (pinned) {
		region->pinned++;
		counter_add(window->counters, CACHE_MEMORY_PINNED, frame_len);
	} else {
		region->pinned--;
		counter_sub(window->counters, CACHE_MEMORY_PINNED, frame_len);
	}
}

/* After a change of state or references: the list and the pin that follow from them. */
static void place(struct window *window, struct window_entry *entry)
{
	set_list(window, entry, list_for(entry));
	set_pinned(window, entry,
		   entry->refs > 0 || entry->state == WINDOW_FILLING ||
			   entry->state == WINDOW_WRITING);
}

static void release(struct window *window, struct window_entry *entry)
{
	uint64_t frame_len = buddy_frame_len(entry->order);

	CHECK(entry->refs == 0 && !entry->object && !entry->fill && TAILQ_EMPTY(&entry->waits));
	if (entry->state != WINDOW_DEAD)
		LIST_REMOVE(entry, by_key);
	entry->state = WINDOW_FREE;
	place(window, entry);
	LIST_REMOVE(entry, by_region);
	buddy_free(&window->arena.buddy, entry->off, entry->order);
	LIST_INSERT_HEAD(&window->pool, entry, by_key);
	window->entry_count--;
	counter_sub(window->counters, CACHE_BLOCKS, 1);
	counter_sub(window->counters, CACHE_MEMORY_USED, frame_len);
}

static void evict(struct window *window, struct window_entry *entry)
{
	if (entry->state == WINDOW_DIRTY)
		window->drop_dirty(entry);
	counter_add(window->counters, CACHE_EVICTIONS, 1);
	release(window, entry);
}

static bool evictable(const struct window_entry *entry, bool dirty_too)
{
	return !entry->pinned && (dirty_too || entry->state != WINDOW_DIRTY);
}

static bool overlaps(const struct window_entry *entry, uint64_t off, uint64_t len)
{
	return entry->off < off ? off - entry->off < buddy_frame_len(entry->order)
				: entry->off - off < len;
}

/* Whether all entries in the frame [off, off + len) can go. */
static bool frame_evictable(struct window *window, uint64_t off, uint64_t len, bool dirty_too)
{
	struct window_region *region = region_of(window, off);
	struct window_entry *entry;

	if (region->pinned && len == buddy_frame_len(REGION_ORDER))
		return false;
	LIST_FOREACH (entry, &region->entries, by_region)
		if (overlaps(entry, off, len) && !evictable(entry, dirty_too))
			return false;
	return true;
}

static void evict_frame(struct window *window, uint64_t off, uint64_t len)
{
	struct window_entry *entry = LIST_FIRST(&region_of(window, off)->entries);

	while (entry) {
		struct window_entry *next = LIST_NEXT(entry, by_region);

		if (overlaps(entry, off, len))
			evict(window, entry);
		entry = next;
	}
}

/* Evicts by age from one list until a frame of @order is free. */
static bool evict_oldest(struct window *window, enum window_list list, unsigned order,
			 bool dirty_too)
{
	uint64_t len = buddy_frame_len(order);
	struct window_entry *entry = NULL;
	unsigned tried = 0;

	TAILQ_FOREACH (entry, &window->lists[list], by_age) {
		uint64_t off = entry->off & ~(len - 1);

		if (tried++ == VICTIMS_MAX)
			return false;
		if (!frame_evictable(window, off, len, dirty_too))
			continue;
		evict_frame(window, off, len);
		return true;
	}
	return false;
}

/* The oldest ones all have pinned neighbours: any region without a pin will do. */
static bool evict_region(struct window *window, bool dirty_too)
{
	uint64_t len = buddy_frame_len(REGION_ORDER);

	for (uint64_t i = 0; i < window->region_count && i < REGIONS_TRIED_MAX; i++) {
		uint64_t region = window->region_cursor++ % window->region_count;

		if (!frame_evictable(window, region * len, len, dirty_too))
			continue;
		evict_frame(window, region * len, len);
		return true;
	}
	return false;
}

static bool make_room(struct window *window, unsigned order, bool dirty_too)
{
	if (evict_oldest(window, WINDOW_LIST_LRU, order, false) ||
	    evict_oldest(window, WINDOW_LIST_AHEAD, order, false) || evict_region(window, false))
		return true;
	return dirty_too &&
	       (evict_oldest(window, WINDOW_LIST_DIRTY, order, true) ||
		evict_oldest(window, WINDOW_LIST_LRU, order, true) || evict_region(window, true));
}

static struct window_entry *take_entry(struct window *window, bool dirty_too)
{
	struct window_entry *entry;

	if (window->entry_count >= window->entry_max &&
	    !make_room(window, BUDDY_ORDER_MIN, dirty_too))
		return NULL;
	if (LIST_EMPTY(&window->pool) && !grow_pool(window))
		return NULL;
	entry = LIST_FIRST(&window->pool);
	LIST_REMOVE(entry, by_key);
	return entry;
}

struct window_entry *window_add(struct window *window, const struct window_key *key, uint32_t len,
				bool dirty_too)
{
	unsigned order = buddy_order_of(len);
	struct window_entry *entry = take_entry(window, dirty_too);
	uint64_t off;

	if (!entry)
		return NULL;
	while (buddy_alloc(&window->arena.buddy, order, &off) != 0) {
		if (!make_room(window, order, dirty_too)) {
			LIST_INSERT_HEAD(&window->pool, entry, by_key);
			return NULL;
		}
	}
	*entry = (struct window_entry){
		.key = *key,
		.off = off,
		.len = len,
		.order = (uint8_t)order,
		.state = WINDOW_FILLING,
	};
	TAILQ_INIT(&entry->waits);
	LIST_INSERT_HEAD(bucket_of(window, key), entry, by_key);
	LIST_INSERT_HEAD(&region_of(window, off)->entries, entry, by_region);
	window->entry_count++;
	counter_add(window->counters, CACHE_BLOCKS, 1);
	counter_add(window->counters, CACHE_MEMORY_USED, buddy_frame_len(order));
	place(window, entry);
	return entry;
}

void window_ref(struct window *window, struct window_entry *entry)
{
	entry->refs++;
	place(window, entry);
}

void window_unref(struct window *window, struct window_entry *entry)
{
	CHECK(entry->refs > 0);
	entry->refs--;
	place(window, entry);
	if (entry->refs == 0 && entry->state == WINDOW_DEAD)
		release(window, entry);
}

void window_set_state(struct window *window, struct window_entry *entry, enum window_state state)
{
	CHECK(entry->state != WINDOW_FREE && entry->state != WINDOW_DEAD);
	entry->state = (uint8_t)state;
	if (state == WINDOW_DEAD)
		LIST_REMOVE(entry, by_key);
	place(window, entry);
	if (state == WINDOW_DEAD && entry->refs == 0)
		release(window, entry);
}

void window_set_read(struct window *window, struct window_entry *entry)
{
	entry->ahead = false;
	place(window, entry);
}

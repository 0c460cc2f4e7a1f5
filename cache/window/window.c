/*
 * window.c - the life of a block in memory:
 *
 *	window_add() ---> FILLING ---> DIRTY ---> WRITING ---> CLEAN ---> evicted
 *	                     |  \________________________________^
 *	                     `---> DEAD ---> freed with the last reference
 *	                            ^------- DIRTY, CLEAN, whose bytes are not what they should be
 *
 * FILLING: the bytes come, from the SSD, another node or the backing store, and readers whose range
 * is covered are let go at once. DIRTY: it is to be written to the SSD. WRITING: the frame is lent
 * to the store. An entry that is FILLING, WRITING or referenced is pinned: it keeps its frame. All
 * others may be evicted, DIRTY ones for those who may lose them (room.c). From DIRTY or CLEAN on it
 * is published, until its frame is given back.
 *
 * Reserves are a matter of pins, not of places: unpinned, any bytes may lie anywhere and all memory
 * is of use. But what demand pins, and what demand and serve pin together, may lie in so many
 * regions and no more. So some regions hold pins of serve and forward only, and some of forward
 * only, or of what the store is writing, which ends by itself: whoever of these classes wants a
 * frame waits for none before it. A hit pins as a miss does: a reader may hold one block that is
 * there while it waits for another one.
 *
 * A DIRTY entry is no pin, whatever it is worth to the cache: of any class, who has waited long
 * enough may lose it (write.c). So it delays, within a bound, and nobody waits in a circle for it.
 */
#include "cache/window/window.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/window/directory.h"
#include "cache/window/room.h"

#define BYTES_PER_ENTRY 16384 /* of the arena: bounds the number of entries */
#define SLAB_ENTRIES	128
#define SERVE_SHARE	4 /* of the regions: those that demand leaves to serve */
#define SERVE_MIN	2
#define FORWARD_SHARE	16
#define FORWARD_MIN	1

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

static uint64_t table_len(uint64_t entries)
{
	uint64_t len = 1024;

	while (len < entries)
		len *= 2;
	return len;
}

static void limit_pins(struct window *window, enum window_class class, uint64_t regions)
{
	struct window_pins *pins = &window->pins[class];

	pins->regions_max = regions;
	pins->entries_max = window->entry_max / window->region_count * regions;
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
	window->region_count = len >> WINDOW_REGION_ORDER;
	window->buckets = calloc(window->bucket_mask + 1, sizeof(*window->buckets));
	window->regions = calloc(window->region_count, sizeof(*window->regions));
	window->checks = calloc(len / GRANULE_LEN, sizeof(*window->checks));
	for (unsigned i = 0; i < WINDOW_LIST_COUNT; i++)
		TAILQ_INIT(&window->lists[i]);
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++)
		limit_pins(window, i, window->region_count);
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

static uint64_t share(uint64_t regions, uint64_t divisor, uint64_t min)
{
	return regions / divisor > min ? regions / divisor : min;
}

void window_attach(struct window *window, struct window_directory *directory)
{
	uint64_t regions = window->region_count;
	uint64_t forward = share(regions, FORWARD_SHARE, FORWARD_MIN);
	uint64_t serve = share(regions, SERVE_SHARE, SERVE_MIN);

	CHECK(window->entry_count == 0 && serve + forward < regions);
	limit_pins(window, WINDOW_DEMAND, regions - serve - forward);
	limit_pins(window, WINDOW_SERVE, regions - forward);
	window->directory = directory;
}

struct window_entry *window_find(struct window *window, const struct window_key *key)
{
	struct window_entry *entry;

	LIST_FOREACH (entry, bucket_of(window, key), by_key)
		if (window_key_equal(&entry->key, key))
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

static bool referenced(const struct window_entry *entry)
{
	return entry->refs[WINDOW_DEMAND] || entry->refs[WINDOW_SERVE] ||
	       entry->refs[WINDOW_FORWARD];
}

static enum window_list list_for(const struct window_entry *entry)
{
	if (entry->state == WINDOW_DIRTY)
		return entry->copy ? WINDOW_LIST_COPIES : WINDOW_LIST_DIRTY;
	if (entry->state == WINDOW_CLEAN && !referenced(entry))
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

static void set_pinned(struct window *window, struct window_entry *entry, enum window_class level,
		       bool pinned)
{
	uint32_t *in_region = &window_region_of(window, entry->off)->pinned[level];
	struct window_pins *pins = &window->pins[level];

	if (entry->pinned[level] == pinned)
		return;
	entry->pinned[level] = pinned;
	if (pinned) {
		pins->entries++;
		pins->regions += (*in_region)++ == 0;
	} else {
		pins->entries--;
		pins->regions -= --*in_region == 0;
	}
	if (level != WINDOW_FORWARD)
		return;
	if (pinned)
		counter_add(window->counters, CACHE_MEMORY_PINNED, buddy_frame_len(entry->order));
	else
		counter_sub(window->counters, CACHE_MEMORY_PINNED, buddy_frame_len(entry->order));
}

/* Whether @class may pin one more entry, wherever. @entry: NULL: a new one. */
static bool may_pin_entry(const struct window *window, const struct window_entry *entry,
			  enum window_class class)
{
	for (enum window_class level = class; level < WINDOW_FORWARD; level++) {
		const struct window_pins *pins = &window->pins[level];

		if (!(entry && entry->pinned[level]) && pins->entries >= pins->entries_max)
			return false;
	}
	return true;
}

bool window_may_pin_in(const struct window *window, const struct window_region *region,
		       enum window_class class)
{
	for (enum window_class level = class; level < WINDOW_FORWARD; level++) {
		const struct window_pins *pins = &window->pins[level];

		if (region && region->pinned[level] > 0)
			continue;
		/* without reserves all regions may be pinned, and still hold free frames */
		if (pins->regions_max < window->region_count && pins->regions >= pins->regions_max)
			return false;
	}
	return true;
}

static void set_unwritten(struct window *window, struct window_entry *entry)
{
	bool unwritten =
		!entry->copy && (entry->state == WINDOW_DIRTY || entry->state == WINDOW_WRITING);

	if (entry->unwritten == unwritten)
		return;
	entry->unwritten = unwritten;
	if (unwritten)
		window->unwritten_bytes += buddy_frame_len(entry->order);
	else
		window->unwritten_bytes -= buddy_frame_len(entry->order);
}

/* After a change of state or references: the list and the pin that follow from them. */
static void place(struct window *window, struct window_entry *entry)
{
	bool pinned = false;

	set_list(window, entry, list_for(entry));
	set_unwritten(window, entry);
	for (enum window_class level = 0; level < WINDOW_CLASS_COUNT; level++) {
		pinned |= entry->refs[level] > 0;
		pinned |= entry->state == WINDOW_FILLING && entry->fill_class == level;
		pinned |= entry->state == WINDOW_WRITING && level == WINDOW_FORWARD;
		set_pinned(window, entry, level, pinned);
	}
}

static void publish(struct window *window, struct window_entry *entry)
{
	if (!window->directory)
		return;
	window_directory_publish(window->directory, &entry->key, entry->off, entry->len,
				 window_checks(window, entry));
	entry->published = true;
}

static void withdraw(struct window *window, struct window_entry *entry)
{
	if (entry->published)
		window_directory_withdraw(window->directory, &entry->key);
	entry->published = false;
}

void window_release(struct window *window, struct window_entry *entry)
{
	uint64_t frame_len = buddy_frame_len(entry->order);

	CHECK(!referenced(entry) && !entry->object && !entry->fill && TAILQ_EMPTY(&entry->waits));
	withdraw(window, entry);
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

static struct window_entry *take_entry(struct window *window, enum window_loss loss)
{
	struct window_entry *entry;

	if (window->entry_count >= window->entry_max &&
	    !window_make_room(window, BUDDY_ORDER_MIN, loss))
		return NULL;
	if (LIST_EMPTY(&window->pool) && !grow_pool(window))
		return NULL;
	entry = LIST_FIRST(&window->pool);
	LIST_REMOVE(entry, by_key);
	return entry;
}

struct window_entry *window_add(struct window *window, const struct window_key *key, uint32_t len,
				enum window_class class, enum window_loss loss)
{
	unsigned order = buddy_order_of(len);
	struct window_entry *entry = NULL;
	uint64_t off;

	if (may_pin_entry(window, NULL, class))
		entry = take_entry(window, loss);
	if (!entry)
		return NULL;
	if (!window_take_frame(window, order, class, loss, &off)) {
		LIST_INSERT_HEAD(&window->pool, entry, by_key);
		return NULL;
	}
	*entry = (struct window_entry){
		.key = *key,
		.off = off,
		.len = len,
		.order = (uint8_t)order,
		.state = WINDOW_FILLING,
		.fill_class = (uint8_t) class,
	};
	TAILQ_INIT(&entry->waits);
	LIST_INSERT_HEAD(bucket_of(window, key), entry, by_key);
	LIST_INSERT_HEAD(&window_region_of(window, off)->entries, entry, by_region);
	window->entry_count++;
	counter_add(window->counters, CACHE_BLOCKS, 1);
	counter_add(window->counters, CACHE_MEMORY_USED, buddy_frame_len(order));
	place(window, entry);
	return entry;
}

struct window_entry *window_next_dirty(struct window *window)
{
	struct window_entry *entry = TAILQ_FIRST(&window->lists[WINDOW_LIST_DIRTY]);

	return entry ? entry : TAILQ_FIRST(&window->lists[WINDOW_LIST_COPIES]);
}

void window_set_fill_class(struct window *window, struct window_entry *entry,
			   enum window_class class)
{
	CHECK(entry->pinned[class]);
	entry->fill_class = (uint8_t) class;
	place(window, entry);
}

bool window_ref(struct window *window, struct window_entry *entry, enum window_class class)
{
	if (!may_pin_entry(window, entry, class) ||
	    !window_may_pin_in(window, window_region_of(window, entry->off), class))
		return false;
	entry->refs[class]++;
	place(window, entry);
	return true;
}

void window_unref(struct window *window, struct window_entry *entry, enum window_class class)
{
	CHECK(entry->refs[class] > 0);
	entry->refs[class]--;
	place(window, entry);
	if (!referenced(entry) && entry->state == WINDOW_DEAD)
		window_release(window, entry);
}

void window_set_state(struct window *window, struct window_entry *entry, enum window_state state)
{
	CHECK(entry->state != WINDOW_FREE && entry->state != WINDOW_DEAD);
	if (entry->state == WINDOW_FILLING && state != WINDOW_DEAD)
		publish(window, entry);
	entry->state = (uint8_t)state;
	if (state == WINDOW_DEAD) {
		withdraw(window, entry);
		LIST_REMOVE(entry, by_key);
	}
	place(window, entry);
	if (state == WINDOW_DEAD && !referenced(entry))
		window_release(window, entry);
}

void window_set_read(struct window *window, struct window_entry *entry)
{
	entry->ahead = false;
	place(window, entry);
}

void window_touch(struct window *window, struct window_entry *entry)
{
	if (entry->ahead)
		window_set_read(window, entry);
	if (entry->list != WINDOW_LIST_LRU)
		return;
	TAILQ_REMOVE(&window->lists[WINDOW_LIST_LRU], entry, by_age);
	TAILQ_INSERT_TAIL(&window->lists[WINDOW_LIST_LRU], entry, by_age);
}

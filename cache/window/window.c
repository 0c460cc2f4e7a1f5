/*
 * window.c - the life of a block in memory:
 *
 *	window_add() ---> FILLING ---> DIRTY ---> WRITING ---> CLEAN ---> evicted
 *	                     |  \________________________________^
 *	                     |---> DEAD ---> freed with the last reference
 *	                     |      ^------- DIRTY, CLEAN, whose bytes are not what they should be
 *	window_init() ----> KEPT --(verified in the background)--> CLEAN; else DEAD
 *
 * FILLING: the bytes come, from the SSD, another node or the backing store, and readers whose range
 * is covered are let go at once. DIRTY: it is to be written to the SSD. WRITING: the frame is lent
 * to the store. An entry that is FILLING, WRITING or referenced is pinned: it keeps its frame. All
 * others may be evicted, DIRTY ones for those who may lose them (room.c). From DIRTY or CLEAN on it
 * is published, until its frame is given back.
 * KEPT: another process left it in the arena (kept.c). It holds its frame, but is not there for
 * anybody until its bytes are verified; window_add() makes it FILLING, whose fill does that first.
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

static struct window_bucket *bucket_of(struct window *window, const struct window_key *key)
{
	uint64_t hash;

	/* an object id is a digest: its bits need no further mixing, the index does */
	memcpy(&hash, key->id.bytes, sizeof(hash));
	hash ^= key->index * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	return &window->buckets[hash & window->bucket_mask];
}

struct window_entry *window_find(struct window *window, const struct window_key *key)
{
	struct window_entry *entry;

	LIST_FOREACH (entry, bucket_of(window, key), by_key)
		if (entry->state != WINDOW_KEPT && window_key_equal(&entry->key, key))
			return entry;
	return NULL;
}

struct window_entry *window_find_kept(struct window *window, const struct window_key *key)
{
	struct window_entry *entry;

	if (!window->inherited)
		return NULL;
	LIST_FOREACH (entry, bucket_of(window, key), by_key)
		if (entry->state == WINDOW_KEPT && window_key_equal(&entry->key, key))
			return entry;
	return NULL;
}

uint64_t *window_checks(struct window *window, struct window_entry *entry)
{
	/* frames above a granule are aligned to granules; those below may share one */
	if (entry->len <= GRANULE_LEN)
		return &entry->check;
	return &window->records.checks[entry->off / GRANULE_LEN];
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
	if (entry->state == WINDOW_KEPT && !referenced(entry))
		return WINDOW_LIST_KEPT;
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
	if (entry->list == WINDOW_LIST_KEPT)
		counter_sub(window->counters, CACHE_KEPT_WAITING, frame_len);
	entry->list = list;
	if (list != WINDOW_LIST_NONE)
		TAILQ_INSERT_TAIL(&window->lists[list], entry, by_age);
	if (list == WINDOW_LIST_AHEAD)
		window->ahead_bytes += frame_len;
	if (list == WINDOW_LIST_KEPT)
		counter_add(window->counters, CACHE_KEPT_WAITING, frame_len);
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
void window_place(struct window *window, struct window_entry *entry)
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

void window_publish(struct window *window, struct window_entry *entry)
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
	window_set_orphan(window, entry, false);
	if (entry->state != WINDOW_DEAD)
		LIST_REMOVE(entry, by_key);
	entry->state = WINDOW_FREE;
	window_put_on_record(window, entry);
	window_place(window, entry);
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
	if (LIST_EMPTY(&window->pool) && !window_grow_pool(window))
		return NULL;
	entry = LIST_FIRST(&window->pool);
	LIST_REMOVE(entry, by_key);
	return entry;
}

void window_enter(struct window *window, struct window_entry *entry, const struct window_key *key,
		  uint64_t off, uint32_t len)
{
	*entry = (struct window_entry){
		.key = *key,
		.off = off,
		.len = len,
		.slot = entry->slot,
		.order = (uint8_t)buddy_order_of(len),
	};
	TAILQ_INIT(&entry->waits);
	LIST_INSERT_HEAD(bucket_of(window, key), entry, by_key);
	LIST_INSERT_HEAD(&window_region_of(window, off)->entries, entry, by_region);
	window->entry_count++;
	counter_add(window->counters, CACHE_BLOCKS, 1);
	counter_add(window->counters, CACHE_MEMORY_USED, buddy_frame_len(entry->order));
}

/* What was kept is filled from where it lies. Its record stays: nothing is written there yet. */
static struct window_entry *add_kept(struct window *window, struct window_entry *entry,
				     enum window_class class)
{
	if (!may_pin_entry(window, entry, class) ||
	    !window_may_pin_in(window, window_region_of(window, entry->off), class))
		return NULL;
	window_set_orphan(window, entry, false);
	entry->state = WINDOW_FILLING;
	entry->filled = 0; /* as long as it is not verified */
	entry->fill_class = (uint8_t) class;
	window_place(window, entry);
	return entry;
}

struct window_entry *window_add(struct window *window, const struct window_key *key, uint32_t len,
				enum window_class class, enum window_loss loss)
{
	struct window_entry *entry = window_find_kept(window, key);
	unsigned order = buddy_order_of(len);
	uint64_t off;

	if (entry && entry->len == len)
		return add_kept(window, entry, class);
	if (entry) /* a record that lies: an id has one size */
		window_set_state(window, entry, WINDOW_DEAD);
	entry = NULL;
	if (may_pin_entry(window, NULL, class))
		entry = take_entry(window, loss);
	if (!entry)
		return NULL;
	if (!window_take_frame(window, order, class, loss, &off)) {
		LIST_INSERT_HEAD(&window->pool, entry, by_key);
		return NULL;
	}
	window_enter(window, entry, key, off, len);
	entry->state = WINDOW_FILLING;
	entry->fill_class = (uint8_t) class;
	window_put_on_record(window, entry);
	window_place(window, entry);
	return entry;
}

struct window_entry *window_next_dirty(struct window *window)
{
	struct window_entry *entry = TAILQ_FIRST(&window->lists[WINDOW_LIST_DIRTY]);

	return entry ? entry : TAILQ_FIRST(&window->lists[WINDOW_LIST_COPIES]);
}

void window_unadd(struct window *window, struct window_entry *entry)
{
	CHECK(entry->state == WINDOW_FILLING);
	if (!entry->unverified) {
		window_set_state(window, entry, WINDOW_DEAD);
		return;
	}
	entry->state = WINDOW_KEPT;
	entry->filled = entry->len;
	window_set_orphan(window, entry, entry->owed);
	window_place(window, entry);
}

void window_set_fill_class(struct window *window, struct window_entry *entry,
			   enum window_class class)
{
	CHECK(entry->pinned[class]);
	entry->fill_class = (uint8_t) class;
	window_place(window, entry);
}

bool window_ref(struct window *window, struct window_entry *entry, enum window_class class)
{
	if (!may_pin_entry(window, entry, class) ||
	    !window_may_pin_in(window, window_region_of(window, entry->off), class))
		return false;
	entry->refs[class]++;
	window_place(window, entry);
	return true;
}

void window_unref(struct window *window, struct window_entry *entry, enum window_class class)
{
	CHECK(entry->refs[class] > 0);
	entry->refs[class]--;
	window_place(window, entry);
	if (!referenced(entry) && entry->state == WINDOW_DEAD)
		window_release(window, entry);
}

void window_set_state(struct window *window, struct window_entry *entry, enum window_state state)
{
	bool completed = entry->state == WINDOW_FILLING || entry->state == WINDOW_KEPT;

	CHECK(entry->state != WINDOW_FREE && entry->state != WINDOW_DEAD);
	if (completed && state != WINDOW_DEAD) {
		entry->unverified = false;
		window_publish(window, entry);
	}
	entry->state = (uint8_t)state;
	entry->owed |= state == WINDOW_DIRTY;
	if (state != WINDOW_CLEAN)
		window_set_orphan(window, entry, false);
	if (state == WINDOW_DEAD) {
		withdraw(window, entry);
		LIST_REMOVE(entry, by_key);
	}
	window_put_on_record(window, entry);
	window_place(window, entry);
	if (state == WINDOW_DEAD && !referenced(entry))
		window_release(window, entry);
}

void window_set_read(struct window *window, struct window_entry *entry)
{
	entry->ahead = false;
	window_place(window, entry);
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

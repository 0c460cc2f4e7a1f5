/*
 * room.c - what gives way in the window when room is needed.
 *
 * What gives way, in this order: what another process left and nobody has verified yet; the least
 * recently used of the clean ones; then what was prefetched and not read yet, oldest first (a
 * reader is about to need it: without a list of its own it would be older than all that was read
 * and would go first); then, for those who may lose them, dirty ones, which the SSD then misses:
 * copies of what their owner has, then what would have to be fetched again, at last what would have
 * to be at once, as it was prefetched and not read yet. Who may lose what, and when, is for write.c
 * to say.
 *
 * A large frame among small ones: evicting by age alone would empty most of the arena before 4 MiB
 * lie side by side. So the victim only says where: everything that shares the wanted frame with it
 * goes, if nothing there is pinned.
 *
 * A class that may pin no further region takes its frames beside what it has pinned already.
 */
#include "cache/window/room.h"

#include "base/check.h"

#define VICTIMS_MAX	  64 /* looked at per list before regions are searched */
#define REGIONS_TRIED_MAX 4096
#define BESIDE_TRIED_MAX  8 /* regions searched for something to evict */

static void evict(struct window *window, struct window_entry *entry)
{
	if (entry->state == WINDOW_DIRTY)
		window->drop_dirty(entry);
	counter_add(window->counters, CACHE_EVICTIONS, 1);
	window_release(window, entry);
}

static enum window_loss loss_of(const struct window_entry *entry)
{
	if (entry->state != WINDOW_DIRTY)
		return WINDOW_LOSS_NONE;
	if (entry->copy)
		return WINDOW_LOSS_COPIES;
	return entry->ahead ? WINDOW_LOSS_ALL : WINDOW_LOSS_READ;
}

static bool evictable(const struct window_entry *entry, enum window_loss loss)
{
	return !entry->pinned[WINDOW_FORWARD] && loss_of(entry) <= loss;
}

static bool overlaps(const struct window_entry *entry, uint64_t off, uint64_t len)
{
	return entry->off < off ? off - entry->off < buddy_frame_len(entry->order)
				: entry->off - off < len;
}

/* Whether all entries in the frame [off, off + len) can go. */
static bool frame_evictable(struct window *window, uint64_t off, uint64_t len,
			    enum window_loss loss)
{
	struct window_region *region = window_region_of(window, off);
	struct window_entry *entry;

	if (region->pinned[WINDOW_FORWARD] && len == buddy_frame_len(WINDOW_REGION_ORDER))
		return false;
	LIST_FOREACH (entry, &region->entries, by_region)
		if (overlaps(entry, off, len) && !evictable(entry, loss))
			return false;
	return true;
}

static void evict_frame(struct window *window, uint64_t off, uint64_t len)
{
	struct window_entry *entry = LIST_FIRST(&window_region_of(window, off)->entries);

	while (entry) {
		struct window_entry *next = LIST_NEXT(entry, by_region);

		if (overlaps(entry, off, len))
			evict(window, entry);
		entry = next;
	}
}

/* Evicts by age from one list until a frame of @order is free. */
static bool evict_oldest(struct window *window, enum window_list list, unsigned order,
			 enum window_loss loss)
{
	uint64_t len = buddy_frame_len(order);
	struct window_entry *entry = NULL;
	unsigned tried = 0;

	TAILQ_FOREACH (entry, &window->lists[list], by_age) {
		uint64_t off = entry->off & ~(len - 1);

		if (tried++ == VICTIMS_MAX)
			return false;
		if (!frame_evictable(window, off, len, loss))
			continue;
		evict_frame(window, off, len);
		return true;
	}
	return false;
}

/* The oldest ones all have pinned neighbours: any region without a pin will do. */
static bool evict_region(struct window *window, enum window_loss loss)
{
	uint64_t len = buddy_frame_len(WINDOW_REGION_ORDER);

	for (uint64_t i = 0; i < window->region_count && i < REGIONS_TRIED_MAX; i++) {
		uint64_t region = window->region_cursor++ % window->region_count;

		if (!frame_evictable(window, region * len, len, loss))
			continue;
		evict_frame(window, region * len, len);
		return true;
	}
	return false;
}

/* Dirty ones, the oldest first; of others what lies beside them. */
static bool lose(struct window *window, unsigned order, enum window_loss loss)
{
	enum window_list list = loss == WINDOW_LOSS_COPIES ? WINDOW_LIST_COPIES : WINDOW_LIST_DIRTY;

	if (TAILQ_EMPTY(&window->lists[list]))
		return false;
	return evict_oldest(window, list, order, loss) ||
	       evict_oldest(window, WINDOW_LIST_LRU, order, loss) || evict_region(window, loss);
}

bool window_make_room(struct window *window, unsigned order, enum window_loss loss)
{
	if (evict_oldest(window, WINDOW_LIST_KEPT, order, WINDOW_LOSS_NONE) ||
	    evict_oldest(window, WINDOW_LIST_LRU, order, WINDOW_LOSS_NONE) ||
	    evict_oldest(window, WINDOW_LIST_AHEAD, order, WINDOW_LOSS_NONE) ||
	    evict_region(window, WINDOW_LOSS_NONE))
		return true;
	for (enum window_loss less = WINDOW_LOSS_COPIES; less <= loss; less++)
		if (lose(window, order, less))
			return true;
	return false;
}

/* Empties a frame of a region that is pinned in part. */
static bool evict_beside(struct window *window, struct window_region *region, unsigned order,
			 enum window_loss loss)
{
	uint64_t len = buddy_frame_len(order);
	struct window_entry *entry = NULL;
	unsigned tried = 0;

	LIST_FOREACH (entry, &region->entries, by_region) {
		uint64_t off = entry->off & ~(len - 1);

		if (tried++ == VICTIMS_MAX)
			return false;
		if (!frame_evictable(window, off, len, loss))
			continue;
		evict_frame(window, off, len);
		return true;
	}
	return false;
}

static bool take_beside(struct window *window, unsigned order, enum window_class class,
			enum window_loss loss, uint64_t *out_off)
{
	unsigned tried = 0;

	if (order == WINDOW_REGION_ORDER)
		return false;
	for (uint64_t i = 0; i < window->region_count && i < REGIONS_TRIED_MAX; i++) {
		uint64_t number = window->region_cursor++ % window->region_count;
		struct window_region *region = &window->regions[number];
		uint64_t off = number << WINDOW_REGION_ORDER;

		if (region->pinned[class] == 0 || !window_may_pin_in(window, region, class))
			continue;
		if (buddy_alloc_within(&window->arena.buddy, order, off, out_off) == 0)
			return true;
		if (tried++ == BESIDE_TRIED_MAX)
			return false;
		if (!evict_beside(window, region, order, loss))
			continue;
		CHECK(buddy_alloc_within(&window->arena.buddy, order, off, out_off) == 0);
		return true;
	}
	return false;
}

bool window_take_frame(struct window *window, unsigned order, enum window_class class,
		       enum window_loss loss, uint64_t *out_off)
{
	if (!window_may_pin_in(window, NULL, class))
		return take_beside(window, order, class, loss, out_off);
	while (buddy_alloc(&window->arena.buddy, order, out_off) != 0)
		if (!window_make_room(window, order, loss))
			return false;
	return true;
}

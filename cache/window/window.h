/*
 * window.h - the blocks in memory: which bytes of which object version lie in which frame of the
 * arena, who holds them, and what gives way when room is needed.
 *
 * No locks, no I/O, no clock: every call but window_data() and window_checks() is made under the
 * lock of the cache that owns the window. The life of an entry is told in window.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/counter.h"
#include "cache/cache.h"
#include "cache/object.h"
#include "cache/window/arena.h"
#include "cache/window/populate.h"

/* A whole block, or a single granule that a small random read brought from the SSD. */
struct window_key {
	struct object_id id;
	uint64_t index; /* block << 1, or granule of the object << 1 | 1 */
};

TAILQ_HEAD(window_waits, cache_read_part);

enum window_state {
	WINDOW_FREE,	/* in the pool */
	WINDOW_FILLING, /* a fill brings the bytes; [0, filled) are there already */
	WINDOW_DIRTY,	/* all there; waits to be written to the SSD */
	WINDOW_WRITING, /* the SSD reads the frame */
	WINDOW_CLEAN,	/* all there; may go when nobody refers to it */
	WINDOW_DEAD,	/* its fill failed: cannot be found; goes with the last reference */
};

enum window_list {
	WINDOW_LIST_NONE,
	WINDOW_LIST_LRU,   /* clean, unreferenced, oldest first */
	WINDOW_LIST_AHEAD, /* the same, but prefetched and not yet read */
	WINDOW_LIST_DIRTY, /* all dirty ones, referenced or not, oldest first */
	WINDOW_LIST_COUNT,
};

struct window_entry {
	struct window_key key;
	LIST_ENTRY(window_entry) by_key;
	LIST_ENTRY(window_entry) by_region;
	TAILQ_ENTRY(window_entry) by_age; /* on the list `list` */
	STAILQ_ENTRY(window_entry) to_fill;
	struct window_waits waits; /* parts of reads that wait for bytes */
	uint64_t off;		   /* of the frame in the arena */
	uint32_t len;		   /* of the payload */
	uint32_t filled;
	uint32_t refs; /* parts of reads */
	uint8_t order;
	uint8_t state; /* enum window_state */
	uint8_t list;  /* enum window_list */
	bool pinned;   /* cannot be evicted now */
	bool ahead;    /* prefetched and not yet read */
	bool from_ssd;
	uint64_t ready_ns;	     /* when the fill ended */
	struct cache_object *object; /* a reference while FILLING, DIRTY or WRITING */
	struct cache_fill *fill;     /* while FILLING */
	uint64_t check;		     /* of a block no longer than a granule */
};

LIST_HEAD(window_bucket, window_entry);
LIST_HEAD(window_slabs, window_slab);
TAILQ_HEAD(window_entries, window_entry);
STAILQ_HEAD(window_fills, window_entry);

/* One largest frame's worth of the arena. */
struct window_region {
	struct window_bucket entries;
	uint32_t pinned;
};

struct window {
	struct arena arena;
	struct populate populate;
	struct counters *counters; /* of enum cache_counter */
	/* a dirty entry is evicted: its object reference is to be given up */
	void (*drop_dirty)(struct window_entry *entry);
	struct window_bucket *buckets;
	uint64_t bucket_mask;
	struct window_region *regions;
	uint64_t region_count;
	uint64_t region_cursor;
	uint64_t *checks; /* one a granule of the arena */
	struct window_entries lists[WINDOW_LIST_COUNT];
	uint64_t ahead_bytes; /* frames on the list AHEAD */
	struct window_bucket pool;
	struct window_slabs slabs;
	uint64_t entry_count, entry_max;
};

static inline struct window_key window_block_key(const struct object_id *id, uint64_t block)
{
	return (struct window_key){ .id = *id, .index = block << 1 };
}

static inline struct window_key window_granule_key(const struct object_id *id, uint64_t granule)
{
	return (struct window_key){ .id = *id, .index = granule << 1 | 1 };
}

static inline bool window_key_is_granule(const struct window_key *key)
{
	return key->index & 1;
}

/** window_init() - maps @memory bytes. @counters: borrowed for life. Return: 0, -ENOMEM, -EMFILE.
 */
int window_init(struct window *window, uint64_t memory, bool huge_pages, struct counters *counters,
		void (*drop_dirty)(struct window_entry *entry));

/** window_fini() - nothing may be pinned any more. */
void window_fini(struct window *window);

/** window_find() - the entry of @key in any state but DEAD, or NULL. */
struct window_entry *window_find(struct window *window, const struct window_key *key);

/**
 * window_add() - a new entry, FILLING, unreferenced, with a frame for @len bytes; evicts for it.
 * @key: not in the window. @dirty_too: blocks that have not been written to the SSD may be evicted
 * too, once no other will do.
 * Return: the entry, or NULL: nothing that could give way.
 */
struct window_entry *window_add(struct window *window, const struct window_key *key, uint32_t len,
				bool dirty_too);

/** window_ref() / window_unref() - while referenced an entry keeps its frame. */
void window_ref(struct window *window, struct window_entry *entry);
void window_unref(struct window *window, struct window_entry *entry);

/** window_set_state() - moves an entry on; DEAD frees it at once when nobody refers to it. */
void window_set_state(struct window *window, struct window_entry *entry, enum window_state state);

/** window_set_read() - a prefetched entry was read: from now on it ages like the others. */
void window_set_read(struct window *window, struct window_entry *entry);

/** window_checks() - room for the checks of the entry's granules, beside the entry. */
uint64_t *window_checks(struct window *window, struct window_entry *entry);

static inline unsigned char *window_data(const struct window *window,
					 const struct window_entry *entry)
{
	return arena_at(&window->arena, entry->off);
}

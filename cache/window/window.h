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
#include "cache/window/key.h"
#include "cache/window/owner.h"
#include "cache/window/populate.h"
#include "cache/window/records.h"

struct window_directory;

TAILQ_HEAD(window_waits, cache_read_part);

enum window_state {
	WINDOW_FREE,	/* in the pool */
	WINDOW_FILLING, /* a fill brings the bytes; [0, filled) are there already */
	WINDOW_DIRTY,	/* all there; waits to be written to the SSD */
	WINDOW_WRITING, /* the SSD reads the frame */
	WINDOW_CLEAN,	/* all there; may go when nobody refers to it */
	WINDOW_DEAD,	/* its fill failed: cannot be found; goes with the last reference */
	WINDOW_KEPT,	/* a former process says that all is there: not verified, not to be found */
};

/* On whose behalf a frame is pinned, from who may wait for all others to who waits for none of them
 * (cache/stage.h). What one class pins leaves a reserve to those behind it. */
enum window_class {
	WINDOW_DEMAND,
	WINDOW_SERVE,
	WINDOW_FORWARD,
	WINDOW_CLASS_COUNT,
};

enum window_list {
	WINDOW_LIST_NONE,
	WINDOW_LIST_LRU,   /* clean, unreferenced, oldest first */
	WINDOW_LIST_AHEAD, /* the same, but prefetched and not yet read */
	/* all dirty ones, referenced or not, oldest first */
	WINDOW_LIST_COPIES, /* those that their owner has, too */
	WINDOW_LIST_DIRTY,  /* the others */
	WINDOW_LIST_KEPT,   /* kept, unreferenced; the last one is verified first */
	WINDOW_LIST_COUNT,
};

/* What may be lost for a frame: each also what those before it allow, and that first. */
enum window_loss {
	WINDOW_LOSS_NONE,   /* clean ones give way */
	WINDOW_LOSS_COPIES, /* ... dirty ones that their owner has, too */
	WINDOW_LOSS_READ,   /* ... dirty ones that have been read: to be fetched again, perhaps */
	WINDOW_LOSS_ALL,    /* ... those that are about to be read: to be fetched again at once */
};

struct window_entry {
	struct window_key key;
	LIST_ENTRY(window_entry) by_key;
	LIST_ENTRY(window_entry) by_region;
	TAILQ_ENTRY(window_entry) by_age;  /* on the list `list` */
	TAILQ_ENTRY(window_entry) by_kept; /* on `orphans` */
	TAILQ_ENTRY(window_entry) by_held; /* on `held` */
	STAILQ_ENTRY(window_entry) to_fill;
	struct window_waits waits; /* parts of reads that wait for bytes */
	uint64_t off;		   /* of the frame in the arena */
	uint32_t len;		   /* of the payload */
	uint32_t filled;
	uint32_t refs[WINDOW_CLASS_COUNT]; /* parts of reads */
	uint32_t slot;			   /* of its record; for life */
	uint8_t order;
	uint8_t state;			 /* enum window_state */
	uint8_t list;			 /* enum window_list */
	uint8_t fill_class;		 /* enum window_class: pins it while FILLING */
	uint8_t origin;			 /* enum cache_origin: where the bytes come from */
	bool pinned[WINDOW_CLASS_COUNT]; /* by this class or one before it; last: at all */
	bool ahead;			 /* prefetched and not yet read */
	bool copy;			 /* if dirty: its owner has it, too; set before */
	bool unwritten;			 /* counted in unwritten_bytes */
	bool published;
	bool distrusted;   /* goes as soon as what is under way with it has ended */
	bool owed;	   /* the SSD is to have it, and may not have it for good */
	bool unverified;   /* KEPT, or a fill verifies it: what is there is what was kept */
	bool verifying;	   /* somebody else than its fill reads it for that, and has a reference */
	bool inherited;	   /* it was KEPT: the SSD may have it already */
	bool orphan;	   /* inherited and owed, but its object is not open: on the list */
	bool held;	   /* has a reference: kernel and devices may not be done with the frame */
	uint64_t ready_ns; /* when the fill ended */
	uint64_t touched_ns;	     /* when the store was last told that peers read it */
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
	uint32_t pinned[WINDOW_CLASS_COUNT]; /* entries that are */
};

/* What is pinned by a class or one before it, and how much of it may be. */
struct window_pins {
	uint64_t regions, regions_max; /* with at least one such entry */
	uint64_t entries, entries_max;
};

struct window {
	struct arena arena;
	struct populate populate;
	struct counters *counters; /* of enum cache_counter */
	/* a dirty entry is evicted: its object reference is to be given up */
	void (*drop_dirty)(struct window_entry *entry);
	struct window_directory *directory; /* NULL: nobody else reads the arena */
	struct window_bucket *buckets;
	uint64_t bucket_mask;
	struct window_pins pins[WINDOW_CLASS_COUNT];
	struct window_region *regions;
	uint64_t region_count;
	uint64_t region_cursor;
	struct records records; /* of all entries that have a frame */
	struct window_entries lists[WINDOW_LIST_COUNT];
	struct window_entries orphans; /* KEPT or CLEAN */
	struct window_entries held;
	uint64_t orphan_count;
	bool inherited;			     /* the arena was another process's */
	struct owner owners[RECORDS_OWNERS]; /* as it was found; the last one may not be gone */
	uint64_t ahead_bytes;		     /* frames on the list AHEAD */
	uint64_t unwritten_bytes;	     /* frames that are DIRTY or WRITING, without copies */
	struct window_bucket pool;
	struct window_slabs slabs;
	uint64_t entry_count, entry_max;
	uint64_t slot_count; /* entries there are, in use or in the pool */
};

struct window_config {
	uint64_t memory; /* bytes of the arena */
	uint32_t block_len;
	bool huge_pages;
	/* Borrowed: an arena that another process had; -1: none. One that does not suit is said in
	 * the log, and a new one is made. */
	int arena_fd;
};

/** window_init() - maps the arena. @config: borrowed; @counters: for life. Return: 0, -ENOMEM,
 *  -EMFILE. */
int window_init(struct window *window, const struct window_config *config,
		struct counters *counters, void (*drop_dirty)(struct window_entry *entry));

/** window_fini() - nothing may be pinned any more. The arena stays as it is for who has its
 *  descriptor. */
void window_fini(struct window *window);

/**
 * window_attach() - from now on each class has its reserve, and what is complete is published in
 * @directory (may be NULL; borrowed until window_fini()). Before the first reference or fill.
 */
void window_attach(struct window *window, struct window_directory *directory);

/** window_find() - the entry of @key in any state but DEAD and KEPT, or NULL. */
struct window_entry *window_find(struct window *window, const struct window_key *key);

/**
 * window_add() - a new entry, FILLING, unreferenced, with a frame for @len bytes; evicts for it.
 * One of @key that is KEPT becomes it, and is `unverified`: its bytes may be there already.
 * @key: window_find() does not find it. @class: for whom. @loss: what may be lost for it, once
 * nothing less will do. Return: the entry, or NULL: nothing that could give way, or @class has
 * pinned what it may.
 */
struct window_entry *window_add(struct window *window, const struct window_key *key, uint32_t len,
				enum window_class class, enum window_loss loss);

/** window_next_dirty() - what is to be written next: the oldest, copies behind all others; or NULL.
 */
struct window_entry *window_next_dirty(struct window *window);

/** window_unadd() - takes an entry back that was just added: nothing has happened to its frame. */
void window_unadd(struct window *window, struct window_entry *entry);

/**
 * window_ref() - while referenced an entry keeps its frame.
 * Return: false: @class has pinned what it may; nothing has happened.
 */
bool window_ref(struct window *window, struct window_entry *entry, enum window_class class);
void window_unref(struct window *window, struct window_entry *entry, enum window_class class);

/** window_set_fill_class() - the fill goes on for @class, which has it pinned already. */
void window_set_fill_class(struct window *window, struct window_entry *entry,
			   enum window_class class);

/** window_set_state() - moves an entry on; DEAD frees it at once when nobody refers to it. */
void window_set_state(struct window *window, struct window_entry *entry, enum window_state state);

/** window_set_read() - a prefetched entry was read: from now on it ages like the others. */
void window_set_read(struct window *window, struct window_entry *entry);

/** window_touch() - it was read by someone who holds no reference: it is the youngest now. */
void window_touch(struct window *window, struct window_entry *entry);

/** window_checks() - room for the checks of the entry's granules, beside the entry. */
uint64_t *window_checks(struct window *window, struct window_entry *entry);

static inline unsigned char *window_data(const struct window *window,
					 const struct window_entry *entry)
{
	return arena_at(&window->arena, entry->off);
}

/* --- what a former process has left: kept.c */

/** window_find_kept() - the entry of @key that is KEPT, or NULL. */
struct window_entry *window_find_kept(struct window *window, const struct window_key *key);

/** window_hint_kept() - a KEPT entry is wanted soon: the next to be verified, the last to give way.
 */
void window_hint_kept(struct window *window, struct window_entry *entry);

/** window_verify() - whether its bytes match their checks. Without the lock; the entry is
 *  referenced or FILLING, and `unverified`. */
bool window_verify(struct window *window, struct window_entry *entry);

/** window_disprove() - what was kept of an entry that is FILLING is not what it should be: from now
 *  on anything may be written into its frame. */
void window_disprove(struct window *window, struct window_entry *entry);

/** window_set_orphan() - whether an entry that is KEPT or CLEAN waits for its object. */
void window_set_orphan(struct window *window, struct window_entry *entry, bool orphan);

/** window_owner_gone() - whether nothing of whose arena it was runs any more; some microseconds. */
bool window_owner_gone(const struct window *window);

/** window_let_go() - ends all holds: nothing of the former process can write to the arena or read
 *  from it any more. */
void window_let_go(struct window *window);

/** window_seal() - the records stay as they are, for who has the arena next; no frame is used any
 *  more but by those who use one now. */
void window_seal(struct window *window);

/** window_leave() - sealed, and nobody uses a frame any more: ends all holds, of which the next
 *  process knows. */
void window_leave(struct window *window);

/*
 * core.h - what the files of the cache share: the cache, its objects, the fill of a block and the
 * work that is collected under the lock and done after it. Not seen from outside the room.
 *
 * One lock (cache->lock) covers the window, the reads, the fills and the writes. Its sections are
 * some hundred nanoseconds: no I/O, no callback and no call of the store happens in them. Functions
 * named *_locked want it held; they put what must happen without it into a struct cache_work.
 *
 * Order of locks: cache->lock, then cache->objects_lock or those inside a backing store.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/counter.h"
#include "base/histogram.h"
#include "cache/audit.h"
#include "cache/cache.h"
#include "cache/peer/fetch.h"
#include "cache/stage.h"
#include "cache/store/store.h"
#include "cache/window/window.h"

#define CACHE_OBJECT_BUCKETS 4096

TAILQ_HEAD(cache_reads, cache_read);
TAILQ_HEAD(cache_fills, cache_fill);
LIST_HEAD(cache_objects, cache_object);

struct cache_object {
	struct cache *cache;
	LIST_ENTRY(cache_object) link; /* guarded by objects_lock */
	unsigned refs;		       /* guarded by objects_lock */
	struct store_object store;     /* identity; its strings are in text */
	struct backing *source;
	bool transient; /* kept off the SSD */
	_Atomic bool stale;
	_Atomic bool obsolete;
	_Atomic uint64_t touched_ns; /* when the store was last told of a hit */
	uint64_t pending_bytes;	     /* in memory on the way to the SSD; guarded by cache->lock */
	char text[];
};

/* The reads of one class that wait. */
struct cache_queue {
	struct cache_reads by_deadline; /* all of them */
	struct cache_reads for_frames;	/* those that hold nothing and wait for frames */
};

struct cache {
	const struct clock *clock;
	struct counters counters;
	struct histogram latency;
	struct store *store;
	uint32_t block_len;
	bool replicate; /* what others own goes to the SSD too */
	uint64_t prefetch_max;
	uint64_t fetch_max; /* bytes of a run */
	uint64_t ahead_max; /* bytes that may lie prefetched and not yet read */
	uint64_t write_max; /* bytes lent to the store at a time */
	_Atomic uint64_t read_timeout;
	struct peer_source peers; /* fetch is NULL: this node is alone */
	struct backing **backings;
	unsigned backing_count;

	pthread_mutex_t lock; /* guards all down to the next blank line */
	struct window window;
	struct cache_queue queues[WINDOW_CLASS_COUNT];
	struct cache_fills retries; /* fills whose next attempt waits for its time */
	uint64_t fill_count;
	uint64_t prefetch_bytes; /* of prefetches under way */
	uint64_t write_bytes;	 /* lent to the store */
	uint64_t write_count;
	uint64_t written_ns; /* when the store gave one back, or was lent the first */
	struct cache_audit audit;
	bool stopping;
	bool kept_writes;	   /* the thread of kept.c is to start writes */
	unsigned store_callers;	   /* threads that start something in the store */
	pthread_cond_t store_left; /* stopping, and there are none any more */
	pthread_cond_t written;	   /* nothing is dirty or being written any more */
	pthread_cond_t timer_cond; /* the timer has something new to wait for */
	uint64_t timer_wake_ns;	   /* until when it sleeps; 0: it is awake */
	pthread_cond_t kept_cond;  /* the thread of kept.c has something to do */
	uint64_t kept_gone_ns;	   /* when the former owner was seen to be gone; 0: not yet */

	pthread_t timer, kept;
	bool timer_started, kept_started;
	pthread_mutex_t objects_lock;
	struct cache_objects objects[CACHE_OBJECT_BUCKETS]; /* guarded by objects_lock */
};

/* What was decided under the lock and is done after it. */
struct cache_work {
	struct cache_reads ended;  /* done() to be called */
	struct window_fills fills; /* to be started */
};

static inline void cache_work_init(struct cache_work *work)
{
	TAILQ_INIT(&work->ended);
	STAILQ_INIT(&work->fills);
}

static inline bool cache_work_empty(const struct cache_work *work)
{
	return TAILQ_EMPTY(&work->ended) && STAILQ_EMPTY(&work->fills);
}

/** cache_work_run() - starts the fills, calls the done()s. Without the lock. */
void cache_work_run(struct cache *cache, struct cache_work *work);

/**
 * cache_store_enter_locked() - before something is started in the store: cache_stop() waits until
 * cache_store_leave() before it stops the store.
 * Return: false when the cache is stopping; then the store must not be called.
 */
bool cache_store_enter_locked(struct cache *cache);
void cache_store_leave(struct cache *cache);

extern const struct counter_spec cache_counter_specs[CACHE_COUNTER_COUNT];

/* object_table.c */
void cache_objects_init(struct cache *cache);
void cache_objects_fini(struct cache *cache);

/** cache_object_find() - a reference to an open object, or NULL. */
struct cache_object *cache_object_find(struct cache *cache, const struct object_id *id);

/** cache_object_touch() - tells the store of a hit in memory, at most once a second. */
void cache_object_touch(struct cache_object *object, uint64_t now_ns);

/* read.c */

/**
 * cache_read_begin() - as cache_read_start(), of any length and for any class.
 * @deadline_ns: 0: the read time-out from now.
 * Return: 1 or 0, as cache_read_start(); or with what it has ended, and done() does not run:
 *         -ECANCELED; of those not for this node's readers: -ENOENT, -EAGAIN (cache/stage.h).
 */
int cache_read_begin(struct cache *cache, struct cache_read *read, enum window_class class,
		     uint64_t deadline_ns);

/** cache_reads_progress_locked() - lets go the reads that waited for bytes which are there now. */
void cache_reads_progress_locked(struct cache *cache, struct window_entry *entry,
				 struct cache_work *work);

/** cache_reads_fail_locked() - ends the reads that wait for @entry: those of @class and behind. */
void cache_reads_fail_locked(struct cache *cache, struct window_entry *entry,
			     enum window_class class, int status, struct cache_work *work);

/** cache_frames_locked() - something can be evicted now, or a frame is free: serves those who wait
 *  for frames, in the order of their classes and in each as they came. */
void cache_frames_locked(struct cache *cache, struct cache_work *work);

/** cache_reads_expire_locked() - ends the reads whose deadline is not after @now_ns. */
void cache_reads_expire_locked(struct cache *cache, uint64_t now_ns, struct cache_work *work);

/** cache_reads_cancel_locked() - ends all reads that wait. */
void cache_reads_cancel_locked(struct cache *cache, struct cache_work *work);

/* fill.c */

/**
 * cache_fill_add_locked() - a new entry for a block or granule of @object, to be filled; appended
 * to @work. @read: for whom; NULL: a prefetch.
 * Return: the entry, or NULL: no frame.
 */
struct window_entry *cache_fill_add_locked(struct cache *cache, struct cache_object *object,
					   const struct window_key *key, uint32_t len,
					   const struct cache_read *read, struct cache_work *work);

/** cache_fill_undo_locked() - takes back an entry just added, before its work was run. */
void cache_fill_undo_locked(struct cache *cache, struct window_entry *entry,
			    struct cache_work *work);

/**
 * cache_fill_join_locked() - whether a read of @class may wait for @entry, which is being filled.
 * Return: 0; -ENOENT, -EAGAIN: it may not, and ends with that.
 */
int cache_fill_join_locked(struct window_entry *entry, enum window_class class);

/** cache_fill_joined_locked() - a reader waits for @entry now. */
void cache_fill_joined_locked(struct window_entry *entry);

/** cache_fills_start() - begins or resumes fills, and empties the list. Without the lock. */
void cache_fills_start(struct cache *cache, struct window_fills *entries);

/** cache_fills_retry_locked() - puts the fills whose time has come, or all, into @work. */
void cache_fills_retry_locked(struct cache *cache, uint64_t now_ns, struct cache_work *work);

/** cache_fills_next_ns() - when the next one's time comes; CLOCK_NEVER. */
uint64_t cache_fills_next_ns(const struct cache *cache);

/* write.c */

/** cache_writes_start() - hands dirty blocks to the store as far as write_max allows. Without the
 *  lock. */
void cache_writes_start(struct cache *cache);

/** cache_write_loss_locked() - what may be lost for a frame that @read wants; NULL: a prefetch. */
enum window_loss cache_write_loss_locked(struct cache *cache, const struct cache_read *read);

/** cache_write_lags_locked() - whether so much waits for the SSD that @len bytes more are not to be
 *  prefetched. */
bool cache_write_lags_locked(struct cache *cache, uint32_t len);

/** cache_write_drop_dirty() - for the window: a dirty entry goes. */
void cache_write_drop_dirty(struct window_entry *entry);

/* kept.c */

/** cache_kept_start() - sees to what another process has left in the arena. Return: 0, -EAGAIN. */
int cache_kept_start(struct cache *cache);

/** cache_kept_stop() - while the cache is stopping. */
void cache_kept_stop(struct cache *cache);

/** cache_kept_opened() - what was kept of @object, just opened, goes on its way to the SSD. */
void cache_kept_opened(struct cache_object *object);

/* handout.c */

/** cache_block_lost() - for store_set_lost(); @context: the cache. */
void cache_block_lost(void *context, const struct object_id *id, uint64_t block);

/* timer.c */
int cache_timer_start(struct cache *cache);
void cache_timer_stop(struct cache *cache);

/** cache_timer_poke_locked() - something new happens at @at_ns. */
void cache_timer_poke_locked(struct cache *cache, uint64_t at_ns);

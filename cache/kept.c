/*
 * kept.c - what another process has left in the arena: verified before anybody sees it, and what it
 * still owed the SSD put on its way there.
 *
 * Who wants a unit that is not verified yet verifies it: that is the first step of its fill, and
 * whoever comes meanwhile waits for the fill as for any other. All that nobody wants is compared by
 * a thread, a frame at a time, which then rests for as long as that has taken. It is a thread of
 * ordinary priority: it takes the lock, and one that runs only when nobody else does could sit on
 * it while readers wait.
 *
 * The two may compare the same frame at the same time, and only read it. Where the fill finds it
 * wrong it waits until the thread is done, before something is written there.
 *
 * An orphan (window/kept.c) becomes DIRTY when its object is opened, or when it is verified later
 * than that. Then this thread starts the writes: who opens an object may hold locks that the end of
 * somebody's read wants.
 *
 * The thread ends when nothing is left: no unit to verify, no orphan, no hold.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/fill.h"

#define PAGE_LEN      4096
#define LOOK_NS	      NS_PER_S
#define PORTION_BYTES (UINT64_C(4) << 20) /* verified between two rests */
#define FILL_PAUSE_NS (100 * NS_PER_MS)	  /* at most: the thread ends it */
/* A block device gives a request up, or answers it, in less: 30 s for SCSI and NVMe. */
#define HOLD_NS (60 * NS_PER_S)

bool cache_fill_verify(struct cache_fill *fill)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;
	bool others;

	if (window_verify(&cache->window, entry)) {
		counter_add(&cache->counters, CACHE_KEPT_VERIFIED, 1);
		cache_fill_end(fill, 0, CACHE_ORIGIN_WINDOW);
		return true;
	}
	pthread_mutex_lock(&cache->lock);
	others = entry->verifying && !cache->stopping;
	if (others)
		cache_fill_pause_locked(fill,
					clock_after_ns(clock_now_ns(cache->clock), FILL_PAUSE_NS));
	else
		window_disprove(&cache->window, entry);
	pthread_mutex_unlock(&cache->lock);
	return others;
}

/* It is of @object, which is open: on its way to the SSD. Return: whether it takes a reference. */
static bool owe_locked(struct cache *cache, struct window_entry *entry, struct cache_object *object)
{
	unsigned char *data = window_data(&cache->window, entry);

	window_set_orphan(&cache->window, entry, false);
	if (object->transient || cache->stopping)
		return false;
	if (entry->len % PAGE_LEN)
		memset(data + entry->len, 0, PAGE_LEN - entry->len % PAGE_LEN);
	entry->object = object;
	object->pending_bytes += entry->len;
	window_set_state(&cache->window, entry, WINDOW_DIRTY);
	cache->kept_writes = true;
	return true;
}

/* Whether the entry waits for @object, and can go. */
static bool is_orphan_of(const struct window_entry *entry, const struct cache_object *object)
{
	return entry && entry->orphan && entry->state == WINDOW_CLEAN &&
	       object_id_equal(&entry->key.id, &object->store.id);
}

static void adopt_locked(struct cache *cache, struct window_entry *entry,
			 struct cache_object *object)
{
	if (!is_orphan_of(entry, object))
		return;
	if (!owe_locked(cache, entry, cache_object_get(object)))
		cache_object_put(object); /* not the last one: the caller has another */
}

/* Block by block, or one orphan after the other when there are fewer. */
static void adopt_all_locked(struct cache *cache, struct cache_object *object)
{
	struct window *window = &cache->window;
	uint64_t size = object->store.version.size;
	uint64_t blocks = size / cache->block_len + (size % cache->block_len != 0);
	struct window_entry *entry, *next;

	if (blocks < window->orphan_count) {
		for (uint64_t i = 0; i < blocks; i++) {
			struct window_key key = window_block_key(&object->store.id, i);

			adopt_locked(cache, window_find(window, &key), object);
		}
		return;
	}
	for (entry = TAILQ_FIRST(&window->orphans); entry; entry = next) {
		next = TAILQ_NEXT(entry, by_kept);
		adopt_locked(cache, entry, object);
	}
}

void cache_kept_opened(struct cache_object *object)
{
	struct cache *cache = object->cache;

	if (!cache->window.inherited)
		return;
	pthread_mutex_lock(&cache->lock);
	if (cache->window.orphan_count > 0)
		adopt_all_locked(cache, object);
	if (cache->kept_writes)
		pthread_cond_signal(&cache->kept_cond);
	pthread_mutex_unlock(&cache->lock);
}

/* --- the thread */

static void verified_locked(struct cache *cache, struct window_entry *entry, bool right)
{
	struct cache_object *object;

	if (entry->state != WINDOW_KEPT) /* a reader was faster, or it was dropped */
		return;
	if (!right) {
		counter_add(&cache->counters, CACHE_KEPT_REFUSED, 1);
		window_set_state(&cache->window, entry, WINDOW_DEAD);
		return;
	}
	counter_add(&cache->counters, CACHE_KEPT_VERIFIED, 1);
	window_set_state(&cache->window, entry, WINDOW_CLEAN);
	if (!entry->orphan)
		return;
	object = cache_object_find(cache, &entry->key.id);
	if (object && !owe_locked(cache, entry, object))
		cache_object_put(object);
}

/* A fill that has found it wrong, and waits. */
static void resume_fill_locked(struct cache *cache, struct window_entry *entry)
{
	if (entry->state != WINDOW_FILLING || !entry->unverified ||
	    entry->fill->phase != CACHE_FILL_PAUSED)
		return;
	entry->fill->retry_at_ns = clock_now_ns(cache->clock);
	cache_timer_poke_locked(cache, entry->fill->retry_at_ns);
}

/* The lock is given up meanwhile. */
static void verify_locked(struct cache *cache, struct window_entry *entry)
{
	struct window *window = &cache->window;
	struct cache_work work;
	bool right;

	CHECK(window_ref(window, entry, WINDOW_FORWARD)); /* which nothing limits */
	entry->verifying = true;
	pthread_mutex_unlock(&cache->lock);
	right = window_verify(window, entry);
	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	entry->verifying = false;
	resume_fill_locked(cache, entry);
	verified_locked(cache, entry, right);
	window_unref(window, entry, WINDOW_FORWARD);
	cache_frames_locked(cache, &work); /* it was pinned */
	if (cache_work_empty(&work))
		return;
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
	pthread_mutex_lock(&cache->lock);
}

/* The next ones; and then a rest, as long as they have taken. */
static void verify_portion_locked(struct cache *cache)
{
	uint64_t begin_ns = clock_now_ns(clock_system()), bytes = 0, now_ns;
	struct window_entry *entry;

	while (bytes < PORTION_BYTES && !cache->stopping && !cache->kept_writes) {
		entry = TAILQ_LAST(&cache->window.lists[WINDOW_LIST_KEPT], window_entries);
		if (!entry)
			return;
		bytes += entry->len;
		verify_locked(cache, entry);
	}
	now_ns = clock_now_ns(clock_system());
	if (!cache->stopping && !cache->kept_writes)
		(void)thread_cond_wait_until(&cache->kept_cond, &cache->lock,
					     clock_after_ns(now_ns, now_ns - begin_ns));
}

/* What is held may be used when its owner has been gone for long enough. */
static void end_holds_locked(struct cache *cache)
{
	uint64_t now_ns = clock_now_ns(cache->clock);
	struct cache_work work;

	if (cache->kept_gone_ns == 0 && window_owner_gone(&cache->window))
		cache->kept_gone_ns = now_ns;
	if (cache->kept_gone_ns == 0 || now_ns < clock_after_ns(cache->kept_gone_ns, HOLD_NS))
		return;
	log_info("cache.memory", "held=0 text=\"all memory of the process before is free again\"");
	window_let_go(&cache->window);
	cache_work_init(&work);
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
	pthread_mutex_lock(&cache->lock);
}

/* Return: whether there was anything to do; the lock may have been given up. */
static bool work_locked(struct cache *cache)
{
	if (cache->kept_writes) {
		cache->kept_writes = false;
		pthread_mutex_unlock(&cache->lock);
		cache_writes_start(cache);
		pthread_mutex_lock(&cache->lock);
		return true;
	}
	if (TAILQ_EMPTY(&cache->window.lists[WINDOW_LIST_KEPT]))
		return false;
	verify_portion_locked(cache);
	return true;
}

static void *run(void *argument)
{
	struct cache *cache = argument;
	struct window *window = &cache->window;

	pthread_mutex_lock(&cache->lock);
	while (!cache->stopping) {
		uint64_t until_ns = CLOCK_NEVER;

		if (!TAILQ_EMPTY(&window->held))
			end_holds_locked(cache);
		if (cache->stopping || work_locked(cache))
			continue;
		if (TAILQ_EMPTY(&window->held) && window->orphan_count == 0)
			break;
		if (!TAILQ_EMPTY(&window->held))
			until_ns = clock_after_ns(clock_now_ns(clock_system()), LOOK_NS);
		(void)thread_cond_wait_until(&cache->kept_cond, &cache->lock, until_ns);
	}
	pthread_mutex_unlock(&cache->lock);
	return NULL;
}

int cache_kept_start(struct cache *cache)
{
	int error;

	if (!cache->window.inherited)
		return 0;
	error = thread_start(&cache->kept, "cache-kept", run, cache);
	cache->kept_started = error == 0;
	return error;
}

void cache_kept_stop(struct cache *cache)
{
	if (!cache->kept_started)
		return;
	pthread_mutex_lock(&cache->lock);
	CHECK(cache->stopping);
	pthread_cond_signal(&cache->kept_cond);
	pthread_mutex_unlock(&cache->lock);
	CHECK(pthread_join(cache->kept, NULL) == 0);
	cache->kept_started = false;
}

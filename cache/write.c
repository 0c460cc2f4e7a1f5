/*
 * write.c - fetched blocks on their way to the SSD, behind the readers' backs.
 *
 * At most write_max bytes are lent to the store at a time; the rest waits on the window's dirty
 * list, where its frames can still be taken back: an SSD that is slower than the backing store
 * costs later hits, never a reader's time.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/core.h"

struct cache_write {
	struct cache *cache;
	struct window_entry *entry;
	struct store_write op;
};

static struct window_entry *take_next_locked(struct cache *cache)
{
	struct window_entry *entry = TAILQ_FIRST(&cache->window.lists[WINDOW_LIST_DIRTY]);

	if (!entry ||
	    (cache->write_bytes > 0 && entry->len > cache->write_max - cache->write_bytes) ||
	    !cache_store_enter_locked(cache))
		return NULL;
	window_set_state(&cache->window, entry, WINDOW_WRITING);
	cache->write_bytes += entry->len;
	cache->write_count++;
	return entry;
}

static void tell_if_written_locked(struct cache *cache)
{
	if (cache->write_count == 0 && TAILQ_EMPTY(&cache->window.lists[WINDOW_LIST_DIRTY]))
		pthread_cond_broadcast(&cache->written);
}

static void end(struct cache *cache, struct window_entry *entry, bool written)
{
	struct cache_object *object = entry->object;
	const struct window_key key = entry->key;
	struct cache_work work;
	bool drops;

	if (!written)
		counter_add(&cache->counters, CACHE_STORE_SKIPPED, 1);
	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	cache->write_bytes -= entry->len;
	cache->write_count--;
	object->pending_bytes -= entry->len;
	entry->object = NULL;
	entry->owed &= written; /* it may not be committed yet */
	drops = entry->distrusted && cache_store_enter_locked(cache);
	window_set_state(&cache->window, entry, entry->distrusted ? WINDOW_DEAD : WINDOW_CLEAN);
	tell_if_written_locked(cache);
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	if (drops) {
		store_drop(cache->store, &key.id, window_key_block(&key, cache->block_len));
		cache_store_leave(cache);
	}
	cache_object_put(object);
	cache_work_run(cache, &work);
}

static void write_done(struct store_write *op)
{
	struct cache_write *write = CONTAINER_OF(op, struct cache_write, op);
	struct cache *cache = write->cache;

	/* the store has logged and counted what went wrong; the block is read through next time */
	end(cache, write->entry, op->status == 0);
	free(write);
	cache_writes_start(cache);
}

/* What a former process left may have got there before that ended. */
static bool is_there(struct cache *cache, const struct window_entry *entry)
{
	return entry->inherited && store_has(cache->store, &entry->key.id, entry->key.index >> 1);
}

static bool start(struct cache *cache, struct window_entry *entry)
{
	const struct store_object *object = &entry->object->store;
	uint64_t block = entry->key.index >> 1;
	struct cache_write *write;

	if (atomic_load(&entry->object->obsolete))
		return false;
	write = malloc(sizeof(*write));
	if (!write)
		return false;
	*write = (struct cache_write){
		.cache = cache,
		.entry = entry,
		.op = {
			.object = object,
			.block = block,
			.data = window_data(&cache->window, entry),
			.len = entry->len,
			.checks = window_checks(&cache->window, entry),
			.done = write_done,
		},
	};
	if (!store_admit(cache->store, object, block, entry->len)) {
		free(write);
		return false;
	}
	store_write_start(cache->store, &write->op);
	return true;
}

void cache_writes_start(struct cache *cache)
{
	for (;;) {
		struct window_entry *entry;

		pthread_mutex_lock(&cache->lock);
		entry = take_next_locked(cache);
		pthread_mutex_unlock(&cache->lock);
		if (!entry)
			return;
		if (is_there(cache, entry))
			end(cache, entry, true);
		else if (!start(cache, entry))
			end(cache, entry, false);
		cache_store_leave(cache);
	}
}

void cache_write_drop_dirty(struct window_entry *entry)
{
	struct cache_object *object = entry->object;
	struct cache *cache = object->cache;

	counter_add(&cache->counters, CACHE_STORE_SKIPPED, 1);
	object->pending_bytes -= entry->len;
	entry->object = NULL;
	pthread_cond_broadcast(&cache->written); /* it may have been the last one */
	cache_object_put(object);
}

int cache_flush(struct cache *cache, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), timeout_ns);
	int error = 0;

	pthread_mutex_lock(&cache->lock);
	while (!error &&
	       (cache->write_count > 0 || !TAILQ_EMPTY(&cache->window.lists[WINDOW_LIST_DIRTY])))
		error = thread_cond_wait_until(&cache->written, &cache->lock, deadline_ns);
	pthread_mutex_unlock(&cache->lock);
	return error ? error : store_flush(cache->store, deadline_ns);
}

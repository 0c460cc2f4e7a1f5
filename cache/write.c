/*
 * write.c - fetched blocks on their way to the SSD, behind the readers' backs.
 *
 * At most write_max bytes are lent to the store at a time; the rest waits on the window's dirty
 * lists, where its frames can still be taken back. What that loses, and who may:
 *
 *   - a copy: its owner has it, and will be asked again. It goes to the SSD behind all others, and
 *     whoever reads may have its frame at once;
 *   - all others: this node owns them, or nobody else had them, and the backing store would be
 *     asked again. Alone, a node loses them at once: an SSD slower than the backing store costs
 *     later hits, never a reader's time. Among peers, who are about to want the same bytes, a read
 *     waits for the SSD first, until a WRITE_PATIENCE-th part of its time is over;
 *   - a prefetch loses neither, and ends before readers have to wait.
 *
 * A store that has given nothing back for as long is not waited for at all until it does: one that
 * hangs costs everybody together that time once. What it refuses or fails to write is clean.
 *
 * No circle (cache/stage.h): who waits here waits for this node's SSD, which is what even `forward`
 * waits for, and for a bounded time at that.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/core.h"

/* Of the time that a read has: what it may spend waiting for the SSD. So long that a group's commit
 * or a burst passes, so short that most of it is left for the fetch, also by way of an owner that
 * waits, too. */
#define WRITE_PATIENCE 8

/* Of the arena: what may wait for the SSD, or is about to, before prefetches are refused. */
#define UNWRITTEN_SHARE 2

struct cache_write {
	struct cache *cache;
	struct window_entry *entry;
	struct store_write op;
};

/* Whether @entry may be lent to the store, too. While others are about, copies take half the room
 * at most: what is lent cannot be taken back, and the others would be behind it. */
static bool may_lend_locked(const struct cache *cache, const struct window_entry *entry)
{
	bool behind = entry->copy && cache->window.unwritten_bytes > 0;
	uint64_t max = behind ? cache->write_max / 2 : cache->write_max;

	return cache->write_bytes == 0 || cache->write_bytes + entry->len <= max;
}

static struct window_entry *take_next_locked(struct cache *cache)
{
	struct window_entry *entry = window_next_dirty(&cache->window);

	if (!entry || !may_lend_locked(cache, entry) || !cache_store_enter_locked(cache))
		return NULL;
	window_set_state(&cache->window, entry, WINDOW_WRITING);
	cache->write_bytes += entry->len;
	if (cache->write_count++ == 0)
		cache->written_ns = clock_now_ns(cache->clock);
	return entry;
}

/* Whether the store may be waited for: it is about to make room. */
static bool store_moves_locked(const struct cache *cache, uint64_t now_ns)
{
	uint64_t patience_ns = atomic_load(&cache->read_timeout) / WRITE_PATIENCE;

	return cache->write_count == 0 || now_ns < clock_after_ns(cache->written_ns, patience_ns);
}

enum window_loss cache_write_loss_locked(struct cache *cache, const struct cache_read *read)
{
	uint64_t now_ns, time_ns;

	if (!read)
		return WINDOW_LOSS_NONE;
	if (!cache->peers.fetch)
		return WINDOW_LOSS_ALL;
	if (cache->window.unwritten_bytes == 0)
		return WINDOW_LOSS_COPIES;
	now_ns = clock_now_ns(cache->clock);
	time_ns = read->p.deadline_ns > read->p.started_ns
			  ? read->p.deadline_ns - read->p.started_ns
			  : 0;
	if (now_ns < clock_after_ns(read->p.started_ns, time_ns / WRITE_PATIENCE) &&
	    store_moves_locked(cache, now_ns))
		return WINDOW_LOSS_COPIES;
	return WINDOW_LOSS_ALL;
}

bool cache_write_lags_locked(struct cache *cache, uint32_t len)
{
	uint64_t coming = cache->prefetch_bytes + len;

	return cache->peers.fetch && cache->window.unwritten_bytes > 0 &&
	       cache->window.unwritten_bytes + coming > cache_memory_len(cache) / UNWRITTEN_SHARE &&
	       store_moves_locked(cache, clock_now_ns(cache->clock));
}

static void tell_if_written_locked(struct cache *cache)
{
	if (cache->write_count == 0 && !window_next_dirty(&cache->window))
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
	cache->written_ns = clock_now_ns(cache->clock);
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
	if (!entry->copy)
		counter_add(&cache->counters, CACHE_STORE_LOST, 1);
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
	while (!error && (cache->write_count > 0 || window_next_dirty(&cache->window)))
		error = thread_cond_wait_until(&cache->written, &cache->lock, deadline_ns);
	pthread_mutex_unlock(&cache->lock);
	return error ? error : store_flush(cache->store, deadline_ns);
}

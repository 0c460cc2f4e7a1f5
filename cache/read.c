/*
 * read.c - the life of a read:
 *
 *	cache_read_start() --> all bytes in memory: iov at once
 *	      |
 *	      +--> FRAMES: some block is not in memory and there is no room for it. Holds nothing.
 *	      |      |
 *	      +------+--> BYTES: refers to all its blocks; each that is not there is being filled
 *	                     |
 *	                  ENDED: with its bytes, or an error: time, cancellation, a fill that failed
 *
 * A read takes all its frames at once or none. Were it to keep some while it waits for others,
 * readers could hold the whole arena between them and wait for each other for ever. For the same
 * reason nobody overtakes in the queue for frames: room that was made for the first in it stays
 * free until it is taken by it.
 *
 * A read moves from one state to the next under the lock, so that of a deadline, a cancellation and
 * an arrival exactly one ends it. It is on by_deadline while it waits.
 */
#include <errno.h>

#include "base/check.h"
#include "cache/core.h"

/* Smaller objects are read whole: not much more to read, and all of it is wanted soon. */
#define SMALL_OBJECT_MAX (UINT64_C(4) * GRANULE_LEN)

enum read_state {
	READ_FRAMES, /* waits for frames; on for_frames */
	READ_BYTES,  /* waits for bytes; its waiting parts are on their entries' waits */
	READ_ENDED,
};

/* One unit (block or granule) that a read touches. */
struct span {
	struct window_key key;
	uint64_t number;
	uint32_t len;	     /* of the unit */
	uint32_t first, end; /* wanted, inside it */
};

static uint32_t unit_len(const struct cache *cache, bool granules)
{
	return granules ? GRANULE_LEN : cache->block_len;
}

static unsigned span_count(const struct cache *cache, const struct cache_read *read, bool granules)
{
	uint32_t unit = unit_len(cache, granules);

	return (unsigned)((read->off + read->len - 1) / unit - read->off / unit + 1);
}

static struct span span_at(const struct cache *cache, const struct cache_read *read, bool granules,
			   unsigned index)
{
	const struct object_id *id = &read->object->store.id;
	uint32_t unit = unit_len(cache, granules);
	uint64_t number = read->off / unit + index;
	uint64_t start = number * unit;
	uint64_t end = read->off + read->len;
	struct span span = { .number = number };

	span.key = granules ? window_granule_key(id, number) : window_block_key(id, number);
	span.len = object_block_len(read->object->store.version.size, number, unit);
	span.first = read->off > start ? (uint32_t)(read->off - start) : 0;
	span.end = end - start < span.len ? (uint32_t)(end - start) : span.len;
	return span;
}

/* Whether one of the blocks is in the window, in whatever state. */
static bool any_block_found(struct cache *cache, const struct cache_read *read)
{
	unsigned count = span_count(cache, read, false);

	for (unsigned i = 0; i < count; i++) {
		struct span span = span_at(cache, read, false, i);

		if (window_find(&cache->window, &span.key))
			return true;
	}
	return false;
}

/* A small read without a sequence may be served by granules. */
static bool is_small(const struct cache *cache, const struct cache_read *read)
{
	return read->random && read->object->store.version.size > SMALL_OBJECT_MAX &&
	       span_count(cache, read, true) <= CACHE_READ_PARTS;
}

static bool on_ssd(struct cache *cache, const struct cache_read *read)
{
	unsigned count = span_count(cache, read, false);

	for (unsigned i = 0; i < count; i++)
		if (!store_has(cache->store, &read->object->store.id,
			       read->off / cache->block_len + i))
			return false;
	return true;
}

/* Whether granules are enough for a small read: when the SSD has the rest, or will never have it,
 * because the policy keeps what is there: then whole blocks from the backing store would be read
 * for some KiB of each, again and again. */
static bool granules_do(struct cache *cache, const struct cache_read *read)
{
	return on_ssd(cache, read) ||
	       !store_would_admit(cache->store, &read->object->store, (uint32_t)read->len);
}

static void release_parts(struct cache *cache, struct cache_read *read)
{
	for (unsigned i = 0; i < read->p.part_count; i++) {
		struct cache_read_part *part = &read->p.parts[i];

		if (part->waiting)
			TAILQ_REMOVE(&part->entry->waits, part, link);
		part->waiting = false;
		window_unref(&cache->window, part->entry);
		part->entry = NULL;
	}
	read->p.part_count = 0;
}

static enum cache_counter bytes_counter(const struct cache_read_part *part)
{
	if (!part->waited)
		return CACHE_BYTES_MEMORY;
	return part->entry->from_ssd ? CACHE_BYTES_SSD : CACHE_BYTES_BACKING;
}

static void hand_out(struct cache *cache, struct cache_read *read)
{
	for (unsigned i = 0; i < read->p.part_count; i++) {
		struct cache_read_part *part = &read->p.parts[i];
		uint32_t len = part->end - part->first;

		read->iov[i] = (struct iovec){
			.iov_base = window_data(&cache->window, part->entry) + part->first,
			.iov_len = len,
		};
		counter_add(&cache->counters, bytes_counter(part), len);
	}
	read->iov_count = (int)read->p.part_count;
	counter_add(&cache->counters, CACHE_READS, 1);
	counter_add(&cache->counters, CACHE_READ_BYTES, read->len);
}

static void count_failure(struct cache *cache, int status)
{
	counter_add(&cache->counters, CACHE_READS, 1);
	counter_add(&cache->counters,
		    status == -ECANCELED   ? CACHE_READ_CANCELLED
		    : status == -ETIMEDOUT ? CACHE_READ_TIMEOUTS
					   : CACHE_READ_ERRORS,
		    1);
}

/* Ends a read that waited. */
static void settle(struct cache *cache, struct cache_read *read, int status,
		   struct cache_work *work)
{
	uint64_t now_ns = clock_now_ns(cache->clock);

	CHECK(read->p.state != READ_ENDED);
	if (read->p.state == READ_FRAMES)
		TAILQ_REMOVE(&cache->for_frames, read, p.link);
	TAILQ_REMOVE(&cache->by_deadline, read, p.by_deadline);
	read->p.state = READ_ENDED;
	read->status = status;
	if (status == 0) {
		hand_out(cache, read);
		histogram_record(&cache->latency, now_ns - read->p.started_ns);
	} else {
		release_parts(cache, read);
		count_failure(cache, status);
	}
	TAILQ_INSERT_TAIL(&work->ended, read, p.link);
}

static void wait_for_bytes(struct cache_read *read, struct cache_read_part *part)
{
	struct window_entry *entry = part->entry;

	part->waited = entry->filled < part->end;
	if (!part->waited)
		return;
	part->waiting = true;
	read->p.pending++;
	TAILQ_INSERT_TAIL(&entry->waits, part, link);
	cache_fill_joined_locked(entry);
}

/* Takes a reference to every unit of the read, with new frames for those that are missing, or to
 * none. Return: whether it got them. */
static bool acquire(struct cache *cache, struct cache_read *read, bool may_add,
		    struct cache_work *work)
{
	unsigned count = span_count(cache, read, read->p.granules);
	struct window_entry *added[CACHE_READ_PARTS];
	unsigned added_count = 0;

	CHECK(count <= CACHE_READ_PARTS);
	for (unsigned i = 0; i < count; i++) {
		struct cache_read_part *part = &read->p.parts[i];
		struct span span = span_at(cache, read, read->p.granules, i);
		struct window_entry *entry = window_find(&cache->window, &span.key);

		if (!entry && may_add) {
			entry = cache_fill_add_locked(cache, read->object, &span.key, span.len,
						      false, work);
			if (entry)
				added[added_count++] = entry;
		}
		if (!entry)
			goto undo;
		window_ref(&cache->window, entry);
		*part = (struct cache_read_part){
			.read = read,
			.entry = entry,
			.first = span.first,
			.end = span.end,
		};
		read->p.part_count = i + 1;
	}
	for (unsigned i = 0; i < count; i++) {
		struct cache_read_part *part = &read->p.parts[i];
		bool under_way = part->entry->state == WINDOW_FILLING;

		for (unsigned j = 0; j < added_count; j++)
			under_way &= added[j] != part->entry;
		wait_for_bytes(read, part);
		if (under_way && part->waited)
			counter_add(&cache->counters, CACHE_JOINED, 1);
		if (part->entry->ahead)
			window_set_read(&cache->window, part->entry);
	}
	return true;

undo:
	release_parts(cache, read);
	while (added_count > 0)
		cache_fill_undo_locked(cache, added[--added_count], work);
	return false;
}

static void insert_by_deadline(struct cache *cache, struct cache_read *read)
{
	struct cache_read *before = TAILQ_LAST(&cache->by_deadline, cache_reads);

	/* one time-out for all: only after a reload is the last one not the earlier one */
	while (before && before->p.deadline_ns > read->p.deadline_ns)
		before = TAILQ_PREV(before, cache_reads, p.by_deadline);
	if (before) {
		TAILQ_INSERT_AFTER(&cache->by_deadline, before, read, p.by_deadline);
	} else {
		TAILQ_INSERT_HEAD(&cache->by_deadline, read, p.by_deadline);
		cache_timer_poke_locked(cache, read->p.deadline_ns);
	}
}

/* The read waits from here on, if not for frames then for bytes. Return: whether it does not. */
static bool begin_wait(struct cache *cache, struct cache_read *read, struct cache_work *work)
{
	bool queued = !TAILQ_EMPTY(&cache->for_frames);

	read->p.deadline_ns = clock_after_ns(read->p.started_ns, cache->read_timeout);
	read->p.state = READ_BYTES;
	insert_by_deadline(cache, read);
	if (acquire(cache, read, !queued, work)) {
		if (read->p.pending > 0)
			return false;
		TAILQ_REMOVE(&cache->by_deadline, read, p.by_deadline);
		return true;
	}
	read->p.state = READ_FRAMES;
	TAILQ_INSERT_TAIL(&cache->for_frames, read, p.link);
	counter_add(&cache->counters, CACHE_MEMORY_WAITS, 1);
	return false;
}

static bool serve_at_once(struct cache *cache, struct cache_read *read)
{
	read->p.state = READ_ENDED;
	read->status = 0;
	hand_out(cache, read);
	return true;
}

/* Whether all bytes are there; then the read holds them. */
static bool hit(struct cache *cache, struct cache_read *read, bool granules)
{
	unsigned count = span_count(cache, read, granules);
	bool held;

	for (unsigned i = 0; i < count; i++) {
		struct span span = span_at(cache, read, granules, i);
		struct window_entry *entry = window_find(&cache->window, &span.key);

		if (!entry || entry->filled < span.end)
			return false;
	}
	read->p.granules = granules;
	held = acquire(cache, read, false, NULL);
	CHECK(held && read->p.pending == 0);
	return serve_at_once(cache, read);
}

static int refuse(struct cache *cache, struct cache_read *read)
{
	read->p.state = READ_ENDED;
	read->status = -ECANCELED;
	count_failure(cache, -ECANCELED);
	read->done(read);
	return 0;
}

static bool start_locked(struct cache *cache, struct cache_read *read, bool small,
			 struct cache_work *work)
{
	if (small && !any_block_found(cache, read) && cache_store_enter_locked(cache)) {
		pthread_mutex_unlock(&cache->lock);
		read->p.granules = granules_do(cache, read);
		cache_store_leave(cache);
		pthread_mutex_lock(&cache->lock);
	}
	/* cache_stop() has ended all that waited; nothing may wait after it */
	if (cache->stopping)
		return false;
	return begin_wait(cache, read, work) && serve_at_once(cache, read);
}

int cache_read_start(struct cache *cache, struct cache_read *read)
{
	uint64_t size = read->object->store.version.size;
	struct cache_work work;
	bool ready, stopping, small;

	CHECK(read->len > 0 && read->len <= CACHE_READ_LEN_MAX);
	CHECK(read->off < size && read->len <= size - read->off);
	cache_work_init(&work);
	read->p.cache = cache;
	read->p.granules = false;
	read->p.part_count = read->p.pending = 0;
	read->p.started_ns = clock_now_ns(cache->clock);
	small = is_small(cache, read);
	pthread_mutex_lock(&cache->lock);
	ready = hit(cache, read, false) || (small && hit(cache, read, true)) ||
		start_locked(cache, read, small, &work);
	stopping = !ready && cache->stopping;
	pthread_mutex_unlock(&cache->lock);
	if (stopping)
		return refuse(cache, read);
	/* a read that waits may have been ended and be gone by now */
	if (ready)
		cache_object_touch(read->object, read->p.started_ns);
	cache_work_run(cache, &work);
	return ready;
}

void cache_read_finish(struct cache_read *read)
{
	struct cache *cache = read->p.cache;
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	CHECK(read->p.state == READ_ENDED && read->status == 0);
	release_parts(cache, read);
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
}

void cache_read_cancel(struct cache_read *read)
{
	struct cache *cache = read->p.cache;
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	if (read->p.state != READ_ENDED) {
		settle(cache, read, -ECANCELED, &work);
		cache_frames_locked(cache, &work);
	}
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
}

void cache_reads_progress_locked(struct cache *cache, struct window_entry *entry,
				 struct cache_work *work)
{
	struct cache_read_part *part, *next;

	for (part = TAILQ_FIRST(&entry->waits); part; part = next) {
		next = TAILQ_NEXT(part, link);
		if (part->end > entry->filled)
			continue;
		TAILQ_REMOVE(&entry->waits, part, link);
		part->waiting = false;
		if (--part->read->p.pending == 0)
			settle(cache, part->read, 0, work);
	}
}

void cache_reads_fail_locked(struct cache *cache, struct window_entry *entry, int status,
			     struct cache_work *work)
{
	struct cache_read_part *part;

	while ((part = TAILQ_FIRST(&entry->waits)))
		settle(cache, part->read, status, work);
}

void cache_frames_locked(struct cache *cache, struct cache_work *work)
{
	struct cache_read *read;

	while ((read = TAILQ_FIRST(&cache->for_frames))) {
		if (!acquire(cache, read, true, work))
			return;
		TAILQ_REMOVE(&cache->for_frames, read, p.link);
		read->p.state = READ_BYTES;
		if (read->p.pending == 0)
			settle(cache, read, 0, work);
	}
}

void cache_reads_expire_locked(struct cache *cache, uint64_t now_ns, struct cache_work *work)
{
	struct cache_read *read;

	while ((read = TAILQ_FIRST(&cache->by_deadline)) && read->p.deadline_ns <= now_ns)
		settle(cache, read, -ETIMEDOUT, work);
}

void cache_reads_cancel_locked(struct cache *cache, struct cache_work *work)
{
	struct cache_read *read;

	while ((read = TAILQ_FIRST(&cache->by_deadline)))
		settle(cache, read, -ECANCELED, work);
}

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
 * reason nobody overtakes in the queue for frames of a class: room that was made for the first in
 * it stays free until it is taken by it, or by a class behind it (window.c). Where the SSD is what
 * keeps the arena full, the wait is a bounded one: write.c.
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
	READ_ENDED,  /* also before it has begun */
	READ_FRAMES, /* waits for frames; on for_frames */
	READ_BYTES,  /* waits for bytes; its waiting parts are on their entries' waits */
};

/* One unit (block or granule) that a read touches. */
struct span {
	struct window_key key;
	uint64_t number;
	uint32_t len;	     /* of the unit */
	uint32_t first, end; /* wanted, inside it */
};

static enum window_class class_of(const struct cache_read *read)
{
	return (enum window_class)read->p.class;
}

static struct cache_queue *queue_of(struct cache *cache, const struct cache_read *read)
{
	return &cache->queues[class_of(read)];
}

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

/* Whether all that it needs is in the window, some of it only kept there by a former process. */
static bool is_kept(struct cache *cache, const struct cache_read *read, bool granules)
{
	unsigned count = span_count(cache, read, granules);
	bool kept = false;

	for (unsigned i = 0; i < count; i++) {
		struct span span = span_at(cache, read, granules, i);

		if (window_find_kept(&cache->window, &span.key))
			kept = true;
		else if (!window_find(&cache->window, &span.key))
			return false;
	}
	return kept;
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

	if (read->object->transient)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!store_has(cache->store, &read->object->store.id,
			       read->off / cache->block_len + i))
			return false;
	return true;
}

static bool owned(const struct cache *cache, const struct cache_read *read)
{
	unsigned count = span_count(cache, read, false);

	if (!cache->peers.fetch)
		return true;
	for (unsigned i = 0; i < count; i++)
		if (!cache->peers.owns(cache->peers.context, &read->object->store.id,
				       read->off / cache->block_len + i))
			return false;
	return true;
}

/* Whether granules are enough for a small read: when another node keeps the rest, or this node's
 * SSD does, or will never have it, because the policy keeps what is there: then whole blocks would
 * be read for some KiB of each, again and again. */
static bool granules_do(struct cache *cache, const struct cache_read *read)
{
	return read->object->transient || !owned(cache, read) || on_ssd(cache, read) ||
	       !store_would_admit_block(cache->store, &read->object->store,
					read->off / cache->block_len, (uint32_t)read->len);
}

static void release_parts(struct cache *cache, struct cache_read *read)
{
	for (unsigned i = 0; i < read->p.part_count; i++) {
		struct cache_read_part *part = &read->p.parts[i];

		if (part->waiting)
			TAILQ_REMOVE(&part->entry->waits, part, link);
		part->waiting = false;
		window_unref(&cache->window, part->entry, class_of(read));
		part->entry = NULL;
	}
	read->p.part_count = 0;
}

static enum cache_origin origin_of(const struct cache_read_part *part)
{
	return part->waited ? (enum cache_origin)part->entry->origin : CACHE_ORIGIN_WINDOW;
}

static enum cache_counter bytes_counter(const struct cache_read_part *part)
{
	static const enum cache_counter counters[] = {
		[CACHE_ORIGIN_WINDOW] = CACHE_BYTES_MEMORY,
		[CACHE_ORIGIN_SSD] = CACHE_BYTES_SSD,
		[CACHE_ORIGIN_PEER] = CACHE_BYTES_PEER,
		[CACHE_ORIGIN_BACKING] = CACHE_BYTES_BACKING,
	};

	return counters[origin_of(part)];
}

/* What peers read is theirs to count. */
static bool counts(const struct cache_read *read)
{
	return class_of(read) == WINDOW_DEMAND;
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
		if (counts(read))
			counter_add(&cache->counters, bytes_counter(part), len);
	}
	read->iov_count = (int)read->p.part_count;
	read->p.origin = (int)origin_of(&read->p.parts[0]);
	if (!counts(read))
		return;
	counter_add(&cache->counters, CACHE_READS, 1);
	counter_add(&cache->counters, CACHE_READ_BYTES, read->len);
}

static void count_failure(struct cache *cache, const struct cache_read *read, int status)
{
	if (!counts(read))
		return;
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
		TAILQ_REMOVE(&queue_of(cache, read)->for_frames, read, p.link);
	TAILQ_REMOVE(&queue_of(cache, read)->by_deadline, read, p.by_deadline);
	read->p.state = READ_ENDED;
	read->status = status;
	if (status == 0) {
		hand_out(cache, read);
		if (counts(read))
			histogram_record(&cache->latency, now_ns - read->p.started_ns);
	} else {
		release_parts(cache, read);
		count_failure(cache, read, status);
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

/* Refers to one unit of the read, with a new frame if it is missing: then @out_added is set. */
static int acquire_part(struct cache *cache, struct cache_read *read, unsigned index, bool may_add,
			struct window_entry **out_added, struct cache_work *work)
{
	struct span span = span_at(cache, read, read->p.granules, index);
	struct window_entry *entry = window_find(&cache->window, &span.key);

	if (entry && entry->filled < span.end) {
		int error = cache_fill_join_locked(entry, class_of(read));

		if (error)
			return error;
	}
	if (!entry && may_add) {
		entry = cache_fill_add_locked(cache, read->object, &span.key, span.len, read, work);
		*out_added = entry;
	}
	if (!entry || !window_ref(&cache->window, entry, class_of(read)))
		return -ENOMEM;
	read->p.parts[index] = (struct cache_read_part){
		.read = read,
		.entry = entry,
		.first = span.first,
		.end = span.end,
	};
	read->p.part_count = index + 1;
	return 0;
}

/* Takes a reference to every unit of the read, with new frames for those that are missing, or to
 * none. Return: 0; -ENOMEM no frames; -ENOENT, -EAGAIN it may not wait for what is under way. */
static int acquire(struct cache *cache, struct cache_read *read, bool may_add,
		   struct cache_work *work)
{
	unsigned count = span_count(cache, read, read->p.granules);
	struct window_entry *added[CACHE_READ_PARTS] = { NULL };

	CHECK(count <= CACHE_READ_PARTS);
	for (unsigned i = 0; i < count; i++) {
		int error = acquire_part(cache, read, i, may_add, &added[i], work);

		if (!error)
			continue;
		release_parts(cache, read);
		for (unsigned j = 0; j <= i; j++)
			if (added[j])
				cache_fill_undo_locked(cache, added[j], work);
		return error;
	}
	for (unsigned i = 0; i < count; i++) {
		struct cache_read_part *part = &read->p.parts[i];

		wait_for_bytes(read, part);
		if (part->waited && !added[i])
			counter_add(&cache->counters, CACHE_JOINED, 1);
		if (part->entry->ahead)
			window_set_read(&cache->window, part->entry);
	}
	return 0;
}

static void insert_by_deadline(struct cache *cache, struct cache_read *read)
{
	struct cache_reads *reads = &queue_of(cache, read)->by_deadline;
	struct cache_read *before = TAILQ_LAST(reads, cache_reads);

	/* one time-out for all who read here: only after a reload is the last one not the earlier
	 * one; those for peers are few */
	while (before && before->p.deadline_ns > read->p.deadline_ns)
		before = TAILQ_PREV(before, cache_reads, p.by_deadline);
	if (before) {
		TAILQ_INSERT_AFTER(reads, before, read, p.by_deadline);
	} else {
		TAILQ_INSERT_HEAD(reads, read, p.by_deadline);
		cache_timer_poke_locked(cache, read->p.deadline_ns);
	}
}

/* Takes what the read needs, or its place in the queue. Return: 1 it has all its bytes; 0 it waits;
 * or why it may not. */
static int begin_wait(struct cache *cache, struct cache_read *read, bool may_add,
		      struct cache_work *work)
{
	struct cache_queue *queue = queue_of(cache, read);
	bool queued = !TAILQ_EMPTY(&queue->for_frames);
	int error;

	read->p.state = READ_BYTES;
	insert_by_deadline(cache, read);
	error = acquire(cache, read, may_add && !queued, work);
	if (error == -ENOMEM && may_add) {
		read->p.state = READ_FRAMES;
		TAILQ_INSERT_TAIL(&queue->for_frames, read, p.link);
		counter_add(&cache->counters, CACHE_MEMORY_WAITS, 1);
		return 0;
	}
	if (!error && read->p.pending > 0)
		return 0;
	TAILQ_REMOVE(&queue->by_deadline, read, p.by_deadline);
	read->p.state = READ_ENDED;
	return error == -ENOMEM ? -ENOENT : error ? error : 1;
}

static int serve_at_once(struct cache *cache, struct cache_read *read)
{
	read->p.state = READ_ENDED;
	read->status = 0;
	hand_out(cache, read);
	return 1;
}

/* Whether all bytes are there; then the read holds them. */
static bool hit(struct cache *cache, struct cache_read *read, bool granules)
{
	unsigned count = span_count(cache, read, granules);

	for (unsigned i = 0; i < count; i++) {
		struct span span = span_at(cache, read, granules, i);
		struct window_entry *entry = window_find(&cache->window, &span.key);

		if (!entry || entry->filled < span.end)
			return false;
	}
	read->p.granules = granules;
	/* they are there, but its class may have pinned what it may */
	if (acquire(cache, read, false, NULL) != 0)
		return false;
	CHECK(read->p.pending == 0);
	return serve_at_once(cache, read);
}

/* Reads block by block or by granules; the lock is given up meanwhile. Return: whether what is
 * missing may be fetched: not for a peer that serves another one, unless the SSD has it, or a
 * former process left it in memory. */
static bool choose_units(struct cache *cache, struct cache_read *read, bool small)
{
	bool forward = class_of(read) == WINDOW_FORWARD, may_add = true;

	if (cache->window.inherited && (small || forward)) {
		if (is_kept(cache, read, false))
			return true;
		if (small && is_kept(cache, read, true)) {
			read->p.granules = true;
			return true;
		}
	}
	if ((!small && !forward) || any_block_found(cache, read) ||
	    !cache_store_enter_locked(cache))
		return !forward;
	pthread_mutex_unlock(&cache->lock);
	if (forward)
		may_add = on_ssd(cache, read);
	read->p.granules = small && (forward || granules_do(cache, read));
	cache_store_leave(cache);
	pthread_mutex_lock(&cache->lock);
	return may_add;
}

static int start_locked(struct cache *cache, struct cache_read *read, bool small,
			struct cache_work *work)
{
	bool may_add;
	int ready;

	if (hit(cache, read, false) || (small && hit(cache, read, true)))
		return 1;
	read->p.granules = false;
	may_add = choose_units(cache, read, small);
	/* cache_stop() has ended all that waited; nothing may wait after it */
	if (cache->stopping)
		return -ECANCELED;
	ready = begin_wait(cache, read, may_add, work);
	return ready > 0 ? serve_at_once(cache, read) : ready;
}

int cache_read_begin(struct cache *cache, struct cache_read *read, enum window_class class,
		     uint64_t deadline_ns)
{
	struct cache_object *object = read->object;
	uint64_t now_ns = clock_now_ns(cache->clock);
	struct cache_work work;
	int ready;

	cache_work_init(&work);
	read->p.cache = cache;
	read->p.state = READ_ENDED;
	read->p.class = (int)class;
	read->p.granules = false;
	read->p.part_count = read->p.pending = 0;
	read->p.started_ns = now_ns;
	read->p.deadline_ns =
		deadline_ns ? deadline_ns : clock_after_ns(now_ns, cache->read_timeout);
	pthread_mutex_lock(&cache->lock);
	ready = start_locked(cache, read, is_small(cache, read), &work);
	pthread_mutex_unlock(&cache->lock);
	/* a read that waits may have been ended and be gone by now */
	if (ready > 0)
		cache_object_touch(object, now_ns);
	cache_work_run(cache, &work);
	return ready;
}

int cache_read_start(struct cache *cache, struct cache_read *read)
{
	uint64_t size = read->object->store.version.size;
	int ready;

	CHECK(read->len > 0 && read->len <= CACHE_READ_LEN_MAX);
	CHECK(read->off < size && read->len <= size - read->off);
	ready = cache_read_begin(cache, read, WINDOW_DEMAND, 0);
	if (ready >= 0)
		return ready;
	read->status = ready;
	count_failure(cache, read, ready);
	read->done(read);
	return 0;
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

void cache_reads_fail_locked(struct cache *cache, struct window_entry *entry,
			     enum window_class class, int status, struct cache_work *work)
{
	struct cache_read_part *part, *next;

	/* a read waits for an entry with one part only: its units differ */
	for (part = TAILQ_FIRST(&entry->waits); part; part = next) {
		next = TAILQ_NEXT(part, link);
		if (class_of(part->read) >= class)
			settle(cache, part->read, status, work);
	}
}

static void serve_queue(struct cache *cache, struct cache_queue *queue, struct cache_work *work)
{
	struct cache_read *read;

	while ((read = TAILQ_FIRST(&queue->for_frames))) {
		int error = acquire(cache, read, true, work);

		if (error == -ENOMEM)
			return;
		TAILQ_REMOVE(&queue->for_frames, read, p.link);
		read->p.state = READ_BYTES;
		if (error || read->p.pending == 0)
			settle(cache, read, error, work);
	}
}

void cache_frames_locked(struct cache *cache, struct cache_work *work)
{
	for (unsigned i = WINDOW_CLASS_COUNT; i-- > 0;)
		serve_queue(cache, &cache->queues[i], work);
}

void cache_reads_expire_locked(struct cache *cache, uint64_t now_ns, struct cache_work *work)
{
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++) {
		struct cache_reads *reads = &cache->queues[i].by_deadline;
		struct cache_read *read;

		while ((read = TAILQ_FIRST(reads)) && read->p.deadline_ns <= now_ns)
			settle(cache, read, -ETIMEDOUT, work);
	}
}

void cache_reads_cancel_locked(struct cache *cache, struct cache_work *work)
{
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++) {
		struct cache_reads *reads = &cache->queues[i].by_deadline;
		struct cache_read *read;

		while ((read = TAILQ_FIRST(reads)))
			settle(cache, read, -ECANCELED, work);
	}
}

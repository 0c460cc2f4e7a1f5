/*
 * stage.c - units for peers: a read of exactly one unit, of a class of its own, that is held until
 * the peer has read it.
 */
#include "cache/stage.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "cache/core.h"

#define TOUCH_CHUNK	  64
#define TOUCH_INTERVAL_NS NS_PER_S

static struct backing *find_backing(const struct cache *cache, const char *id)
{
	for (unsigned i = 0; i < cache->backing_count; i++)
		if (strcmp(cache->backings[i]->id, id) == 0)
			return cache->backings[i];
	return NULL;
}

/* What was read, as the peer wants to know it. The unit may be a granule of a block. */
static void describe(struct cache_stage *stage)
{
	const struct cache_read_part *part = &stage->read.p.parts[0];
	struct cache *cache = stage->read.p.cache;
	const uint64_t *checks = window_checks(&cache->window, part->entry);

	CHECK(stage->read.p.part_count == 1 && part->first % GRANULE_LEN == 0);
	stage->off = part->entry->off + part->first;
	stage->len = part->end - part->first;
	stage->origin = (enum cache_origin)stage->read.p.origin;
	memcpy(stage->checks, checks + part->first / GRANULE_LEN,
	       object_granule_count(stage->len) * sizeof(checks[0]));
}

static void end(struct cache_stage *stage, int status)
{
	struct cache_object *object = stage->object;

	stage->status = status;
	if (status == 0) {
		describe(stage);
	} else {
		stage->object = NULL;
		cache_object_put(object);
	}
	stage->done(stage);
}

static void read_done(struct cache_read *read)
{
	end(CONTAINER_OF(read, struct cache_stage, read), read->status);
}

/* Return: 0; -EINVAL, -ENODEV, -ENOMEM. */
static int open_unit(struct cache *cache, struct cache_stage *stage)
{
	const struct object_version *version = &stage->version;
	struct window_key key = { .index = stage->index };
	uint32_t len = window_key_len(&key, version->size, cache->block_len);
	struct backing *backing = find_backing(cache, version->backing);
	int error;

	if (len == 0)
		return -EINVAL;
	if (!backing)
		return -ENODEV;
	error = cache_object_open(cache, version, stage->mtime_s, backing, stage->dataset,
				  &stage->object);
	if (error)
		return error;
	stage->read.object = stage->object;
	stage->read.off = window_key_off(&key, cache->block_len);
	stage->read.len = len;
	stage->read.random = window_key_is_granule(&key);
	return 0;
}

void cache_stage_start(struct cache *cache, struct cache_stage *stage)
{
	enum window_class class = stage->local ? WINDOW_FORWARD : WINDOW_SERVE;
	/* 0 would be a reader's own time-out */
	uint64_t deadline_ns = stage->deadline_ns ? stage->deadline_ns : 1;
	int ready;

	stage->object = NULL;
	stage->kept = false;
	stage->read = (struct cache_read){ .done = read_done, .p.cache = cache };
	ready = open_unit(cache, stage);
	if (ready == 0)
		ready = cache_read_begin(cache, &stage->read, class, deadline_ns);
	if (ready != 0)
		end(stage, ready > 0 ? 0 : ready);
}

void cache_stage_cancel(struct cache_stage *stage)
{
	cache_read_cancel(&stage->read);
}

void cache_stage_finish(struct cache_stage *stage)
{
	struct cache_object *object = stage->object;

	cache_read_finish(&stage->read);
	stage->object = NULL;
	cache_object_put(object);
}

/* A block whose store is to be told. */
struct touched {
	struct object_id id;
	uint64_t block;
};

static struct window_entry *find_unit(struct cache *cache, const struct window_key *key)
{
	struct window_entry *entry = window_find(&cache->window, key);
	struct window_key block =
		window_block_key(&key->id, window_key_block(key, cache->block_len));

	return entry ? entry : window_find(&cache->window, &block);
}

/* Return: how many of @out the store is to be told of. */
static unsigned touch_locked(struct cache *cache, const struct window_key *keys, unsigned count,
			     struct touched out[TOUCH_CHUNK])
{
	uint64_t now_ns = clock_now_ns(cache->clock);
	unsigned due = 0;

	for (unsigned i = 0; i < count; i++) {
		struct window_entry *entry = find_unit(cache, &keys[i]);

		if (!entry)
			continue;
		window_touch(&cache->window, entry);
		if (entry->touched_ns && now_ns - entry->touched_ns < TOUCH_INTERVAL_NS)
			continue;
		entry->touched_ns = now_ns;
		if (due > 0 && object_id_equal(&out[due - 1].id, &keys[i].id))
			continue;
		out[due++] = (struct touched){
			.id = keys[i].id,
			.block = window_key_block(&keys[i], cache->block_len),
		};
	}
	return due;
}

/* An object that nobody has open here has no name of its dataset in memory; the store looks it up
 * when it is asked for a block. */
static void tell_store(struct cache *cache, const struct touched *touched)
{
	struct cache_object *object = cache_object_find(cache, &touched->id);

	if (object)
		cache_object_touch(object, clock_now_ns(cache->clock));
	else
		(void)store_has(cache->store, &touched->id, touched->block);
	cache_object_put(object);
}

void cache_touch(struct cache *cache, const struct window_key *keys, unsigned count)
{
	while (count > 0) {
		unsigned chunk = count < TOUCH_CHUNK ? count : TOUCH_CHUNK;
		struct touched touched[TOUCH_CHUNK];
		unsigned due;
		bool enters;

		pthread_mutex_lock(&cache->lock);
		due = touch_locked(cache, keys, chunk, touched);
		enters = due > 0 && cache_store_enter_locked(cache);
		pthread_mutex_unlock(&cache->lock);
		for (unsigned i = 0; enters && i < due; i++)
			tell_store(cache, &touched[i]);
		if (enters)
			cache_store_leave(cache);
		keys += chunk;
		count -= chunk;
	}
}

/*
 * audit.c - see audit.h. The frame is an entry of the window that nobody can find: it counts with
 * what readers have pinned. So one is taken only while no reader waits for a frame and less than
 * half of what readers may pin is; and an audit is over within the time of a read.
 *
 * The request goes behind everyone who waits (`background`), and is given up when the backing store
 * has no room for it.
 *
 * Bytes that differ are not kept here, in memory or on the SSD, nor taken from other nodes again:
 * the next read of the block fetches it from the backing store. Who would be asked next may have
 * them from the same source, and which nodes do is not known. That is remembered of so many blocks;
 * more than that are no matter of single blocks any more.
 */
#include "cache/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "cache/core.h"

#define DESCRIPTION_MAX 256
#define MEMBER_NAME_MAX 64
#define GRANULES_TEXT	((size_t)BLOCK_GRANULES_MAX * 3)

/* --- what is not trusted */

bool cache_distrusts_locked(const struct cache *cache, const struct window_key *key)
{
	const struct cache_audit *audit = &cache->audit;
	uint64_t block = window_key_block(key, cache->block_len);

	for (unsigned i = 0; i < audit->distrusted_count && i < CACHE_DISTRUSTED_MAX; i++)
		if (audit->distrusted[i].block == block &&
		    object_id_equal(&audit->distrusted[i].id, &key->id))
			return true;
	return false;
}

static void distrust_locked(struct cache *cache, const struct window_key *key)
{
	struct cache_audit *audit = &cache->audit;

	if (cache_distrusts_locked(cache, key))
		return;
	audit->distrusted[audit->distrusted_count % CACHE_DISTRUSTED_MAX] =
		(struct cache_distrusted){ key->id, window_key_block(key, cache->block_len) };
	audit->distrusted_count++;
}

static void drop_unit_locked(struct cache *cache, const struct window_key *key)
{
	struct window_entry *entry = window_find(&cache->window, key);

	if (!entry)
		entry = window_find_kept(&cache->window, key);
	if (!entry)
		return;
	if (entry->state == WINDOW_FILLING || entry->state == WINDOW_WRITING) {
		entry->distrusted = true; /* goes when that has ended */
		return;
	}
	if (entry->state == WINDOW_DIRTY)
		cache_write_drop_dirty(entry);
	window_set_state(&cache->window, entry, WINDOW_DEAD);
}

/* The block, and all its granules. */
static void drop_block_locked(struct cache *cache, const struct window_key *key)
{
	uint64_t block = window_key_block(key, cache->block_len);
	uint64_t granules = cache->block_len / GRANULE_LEN;
	struct window_key unit = window_block_key(&key->id, block);

	drop_unit_locked(cache, &unit);
	for (uint64_t i = 0; i < granules; i++) {
		unit = window_granule_key(&key->id, block * granules + i);
		drop_unit_locked(cache, &unit);
	}
}

static void drop(struct cache *cache, const struct window_key *key)
{
	pthread_mutex_lock(&cache->lock);
	distrust_locked(cache, key);
	drop_block_locked(cache, key);
	pthread_mutex_unlock(&cache->lock);
	store_drop(cache->store, &key->id, window_key_block(key, cache->block_len));
}

/* --- the alarm */

/* "3,17": which granules of the unit do not match. Return: how many; @out: "" when none. */
static unsigned compare(const struct cache *cache, char out[GRANULES_TEXT])
{
	const struct cache_audit *audit = &cache->audit;
	const unsigned char *data = window_data(&cache->window, audit->frame);
	unsigned count = 0;
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t off = 0; off < audit->len; off += GRANULE_LEN) {
		uint32_t left = audit->len - off;
		unsigned granule = off / GRANULE_LEN;

		if (digest_crc64(data + off, left < GRANULE_LEN ? left : GRANULE_LEN) ==
		    audit->checks[granule])
			continue;
		at += (size_t)snprintf(out + at, GRANULES_TEXT - at, "%s%u", count ? "," : "",
				       granule);
		count++;
	}
	return count;
}

static void alarm_log(const struct cache *cache, const struct cache_audit_config *config,
		      const char *granules)
{
	const struct cache_audit *audit = &cache->audit;
	const struct object_version *version = &audit->object->store.version;
	char member[MEMBER_ID_TEXT], name[MEMBER_NAME_MAX] = "", backing[DESCRIPTION_MAX];

	digest_hex(audit->source.bytes, MEMBER_ID_LEN, member);
	if (config->name)
		config->name(config->context, &audit->source, name, sizeof(name));
	backing_describe(audit->object->source, backing, sizeof(backing));
	log_error("cache.audit",
		  "member=%s name=\"%s\" backing=%s bucket=%s key=\"%s\" etag=%s off=%llu len=%u "
		  "granules=%s store=\"%s\" problem=\"the member's bytes match their checks, and "
		  "are not what the backing store has\" effect=\"dropped here; the next read asks "
		  "the backing store\"",
		  member, name, version->backing, version->bucket, version->key, version->etag,
		  (unsigned long long)window_key_off(&audit->key, cache->block_len), audit->len,
		  granules, backing);
}

/* Bytes came. Return: false: they are of no use any more, as the cache stops. */
static bool conclude(struct cache *cache)
{
	const struct cache_audit *audit = &cache->audit;
	struct cache_audit_config config;
	char granules[GRANULES_TEXT];
	bool runs;

	pthread_mutex_lock(&cache->lock);
	config = audit->config;
	runs = cache_store_enter_locked(cache);
	pthread_mutex_unlock(&cache->lock);
	if (!runs)
		return false;
	counter_add(&cache->counters, CACHE_AUDITS, 1);
	counter_add(&cache->counters, CACHE_AUDIT_BYTES, audit->len);
	if (compare(cache, granules)) {
		counter_add(&cache->counters, CACHE_AUDIT_DIFFERENCES, 1);
		alarm_log(cache, &config, granules);
		drop(cache, &audit->key);
	}
	cache_store_leave(cache);
	return true;
}

/* --- one audit */

static void end(struct cache *cache)
{
	struct cache_audit *audit = &cache->audit;
	struct cache_object *object = audit->object;
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	if (audit->frame)
		window_set_state(&cache->window, audit->frame, WINDOW_DEAD);
	audit->frame = NULL;
	audit->object = NULL;
	audit->state = CACHE_AUDIT_IDLE;
	cache_frames_locked(cache, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_object_put(object);
	cache_work_run(cache, &work);
}

static void get_done(struct backing_get *get)
{
	struct cache_audit *audit = CONTAINER_OF(get, struct cache_audit, get);
	struct cache *cache = audit->object->cache;
	int status = get->request.status;

	if (status == -ESTALE || status == -ENOENT || status == -EACCES)
		counter_add(&cache->counters, CACHE_AUDIT_GONE, 1);
	else if (status || !conclude(cache))
		counter_add(&cache->counters, CACHE_AUDIT_SKIPPED, 1);
	end(cache);
}

bool cache_audit_choose(struct cache *cache, struct cache_object *object,
			const struct peer_fetch *ask)
{
	struct cache_audit *audit = &cache->audit;
	uint64_t every = atomic_load_explicit(&audit->every, memory_order_relaxed);
	bool chosen;

	if (!every || object->transient)
		return false;
	pthread_mutex_lock(&cache->lock);
	chosen = !cache->stopping && random_below(&audit->random, every) == 0;
	if (chosen && audit->state != CACHE_AUDIT_IDLE) {
		counter_add(&cache->counters, CACHE_AUDIT_SKIPPED, 1);
		chosen = false;
	}
	if (chosen)
		audit->state = CACHE_AUDIT_CHOSEN;
	pthread_mutex_unlock(&cache->lock);
	if (!chosen)
		return false;
	audit->object = cache_object_get(object);
	audit->key = ask->key;
	audit->len = ask->len;
	audit->source = ask->source;
	memcpy(audit->checks, ask->checks, object_granule_count(ask->len) * sizeof(ask->checks[0]));
	return true;
}

static bool anybody_waits_locked(const struct cache *cache)
{
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++)
		if (!TAILQ_EMPTY(&cache->queues[i].for_frames))
			return true;
	return false;
}

static struct window_entry *take_frame_locked(struct cache *cache)
{
	const struct window_pins *pins = &cache->window.pins[WINDOW_DEMAND];
	/* no object has that id: it would have to be found for it */
	const struct window_key nobodys = { .index = 0 };

	if (cache->stopping || anybody_waits_locked(cache) ||
	    pins->regions >= pins->regions_max / 2)
		return NULL;
	return window_add(&cache->window, &nobodys, cache->audit.len, WINDOW_DEMAND,
			  WINDOW_LOSS_NONE);
}

static void set_up_get_locked(struct cache *cache)
{
	struct cache_audit *audit = &cache->audit;
	const struct object_version *version = &audit->object->store.version;

	audit->get = (struct backing_get){
		.request = {
			.bucket = version->bucket,
			.key = version->key,
			.deadline_ns = clock_after_ns(clock_now_ns(cache->clock),
						      atomic_load(&cache->read_timeout)),
			.background = true,
		},
		.etag = version->etag,
		.off = window_key_off(&audit->key, cache->block_len),
		.len = audit->len,
		.dst = window_data(&cache->window, audit->frame),
		.done = get_done,
	};
}

void cache_audit_start(struct cache *cache)
{
	struct cache_audit *audit = &cache->audit;
	bool starts;

	CHECK(audit->state == CACHE_AUDIT_CHOSEN);
	pthread_mutex_lock(&cache->lock);
	audit->frame = take_frame_locked(cache);
	starts = audit->frame;
	if (starts) {
		set_up_get_locked(cache);
		audit->state = CACHE_AUDIT_FETCHING;
	}
	pthread_mutex_unlock(&cache->lock);
	if (starts) {
		backing_get(audit->object->source, &audit->get);
		return;
	}
	counter_add(&cache->counters, CACHE_AUDIT_SKIPPED, 1);
	end(cache);
}

void cache_set_audit(struct cache *cache, const struct cache_audit_config *config)
{
	struct cache_audit *audit = &cache->audit;

	pthread_mutex_lock(&cache->lock);
	audit->config = *config;
	random_init(&audit->random, config->seed);
	atomic_store(&audit->every, config->every);
	pthread_mutex_unlock(&cache->lock);
}

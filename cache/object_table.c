/*
 * object_table.c - open object versions: equal versions share one struct, which lives as long as
 * someone refers to it: a handle of the mount, a fill, or a block that waits to be written.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/core.h"

#define TOUCH_INTERVAL_NS NS_PER_S

static struct cache_objects *bucket_of(struct cache *cache, const struct object_id *id)
{
	return &cache->objects[(id->bytes[0] | id->bytes[1] << 8) % CACHE_OBJECT_BUCKETS];
}

void cache_objects_init(struct cache *cache)
{
	CHECK(pthread_mutex_init(&cache->objects_lock, NULL) == 0);
	for (unsigned i = 0; i < CACHE_OBJECT_BUCKETS; i++)
		LIST_INIT(&cache->objects[i]);
}

void cache_objects_fini(struct cache *cache)
{
	for (unsigned i = 0; i < CACHE_OBJECT_BUCKETS; i++)
		CHECK(LIST_EMPTY(&cache->objects[i]));
	pthread_mutex_destroy(&cache->objects_lock);
}

static struct cache_object *find_locked(struct cache *cache, const struct object_id *id)
{
	struct cache_object *object = NULL;

	LIST_FOREACH (object, bucket_of(cache, id), link)
		if (object_id_equal(&object->store.id, id))
			break;
	if (object)
		object->refs++;
	return object;
}

struct cache_object *cache_object_find(struct cache *cache, const struct object_id *id)
{
	struct cache_object *object;

	pthread_mutex_lock(&cache->objects_lock);
	object = find_locked(cache, id);
	pthread_mutex_unlock(&cache->objects_lock);
	return object;
}

static const char *keep_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *kept = memcpy(*at, text, size);

	*at += size;
	return kept;
}

static struct cache_object *create(const struct object_version *version, const char *dataset)
{
	struct cache_object *object;
	char *at;

	object = calloc(1, sizeof(*object) + strlen(version->backing) + strlen(version->bucket) +
				   strlen(version->key) + strlen(version->etag) + strlen(dataset) +
				   5);
	if (!object)
		return NULL;
	at = object->text;
	object->refs = 1;
	object->store.version = (struct object_version){
		.backing = keep_text(&at, version->backing),
		.bucket = keep_text(&at, version->bucket),
		.key = keep_text(&at, version->key),
		.etag = keep_text(&at, version->etag),
		.size = version->size,
	};
	object->store.dataset = keep_text(&at, dataset);
	return object;
}

int cache_object_open(struct cache *cache, const struct object_version *version, int64_t mtime_s,
		      struct backing *source, const char *dataset, struct cache_object **out_object)
{
	struct cache_object *object, *made = NULL;
	struct object_id id;

	object_id_of(version, &id);
	object = cache_object_find(cache, &id);
	if (!object) {
		made = create(version, dataset);
		if (!made)
			return -ENOMEM;
		made->cache = cache;
		made->source = source;
		made->transient = source->ops->transient;
		made->store.id = id;
		made->store.mtime_s = mtime_s;
		pthread_mutex_lock(&cache->objects_lock);
		object = find_locked(cache, &id); /* another thread may have been faster */
		if (!object) {
			LIST_INSERT_HEAD(bucket_of(cache, &id), made, link);
			object = made;
			made = NULL;
			counter_add(&cache->counters, CACHE_OBJECTS, 1);
		}
		pthread_mutex_unlock(&cache->objects_lock);
		if (!made)
			cache_kept_opened(object);
		free(made);
	}
	*out_object = object;
	return 0;
}

struct cache_object *cache_object_get(struct cache_object *object)
{
	pthread_mutex_lock(&object->cache->objects_lock);
	object->refs++;
	pthread_mutex_unlock(&object->cache->objects_lock);
	return object;
}

void cache_object_put(struct cache_object *object)
{
	struct cache *cache;
	bool last;

	if (!object)
		return;
	cache = object->cache;
	pthread_mutex_lock(&cache->objects_lock);
	CHECK(object->refs > 0);
	last = --object->refs == 0;
	if (last)
		LIST_REMOVE(object, link);
	pthread_mutex_unlock(&cache->objects_lock);
	if (!last)
		return;
	counter_sub(&cache->counters, CACHE_OBJECTS, 1);
	free(object);
}

const struct object_id *cache_object_id(const struct cache_object *object)
{
	return &object->store.id;
}

uint64_t cache_object_size(const struct cache_object *object)
{
	return object->store.version.size;
}

bool cache_object_stale(const struct cache_object *object)
{
	return atomic_load(&object->stale);
}

void cache_object_obsolete(struct cache *cache, const struct object_version *version)
{
	struct cache_object *object;
	struct object_id id;

	object_id_of(version, &id);
	object = cache_object_find(cache, &id);
	if (object)
		atomic_store(&object->obsolete, true);
	cache_object_put(object);
	store_obsolete(cache->store, &id);
}

uint64_t cache_object_resident(struct cache *cache, const struct object_version *version)
{
	struct cache_object *object;
	struct object_id id;
	uint64_t bytes = 0;

	object_id_of(version, &id);
	object = cache_object_find(cache, &id);
	if (object) {
		pthread_mutex_lock(&cache->lock);
		bytes = object->pending_bytes;
		pthread_mutex_unlock(&cache->lock);
		cache_object_put(object);
	}
	bytes += store_resident(cache->store, &id, version->size);
	/* a block just written may have been counted in both places */
	return bytes < version->size ? bytes : version->size;
}

void cache_object_touch(struct cache_object *object, uint64_t now_ns)
{
	uint64_t last_ns = atomic_load_explicit(&object->touched_ns, memory_order_relaxed);

	if (object->transient)
		return;
	if (last_ns != 0 && now_ns - last_ns < TOUCH_INTERVAL_NS)
		return;
	if (!atomic_compare_exchange_strong(&object->touched_ns, &last_ns, now_ns))
		return;
	store_touch(object->cache->store, &object->store.id, object->store.dataset);
}

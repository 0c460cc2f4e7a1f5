/*
 * catalog_cache.c - pages of other nodes through the real cache.
 */
#include "cache/peer/catalog.h"

static int object_open(void *context, const struct object_version *version, struct backing *source,
		       struct cache_object **out_object)
{
	return cache_object_open(context, version, 0, source, "", out_object);
}

static void object_put(void *context, struct cache_object *object)
{
	(void)context;
	cache_object_put(object);
}

static int read_start(void *context, struct cache_read *read)
{
	return cache_read_start(context, read);
}

static void read_cancel(void *context, struct cache_read *read)
{
	(void)context;
	cache_read_cancel(read);
}

static void read_finish(void *context, struct cache_read *read)
{
	(void)context;
	cache_read_finish(read);
}

struct catalog_cache catalog_of_cache(struct cache *cache)
{
	return (struct catalog_cache){
		.context = cache,
		.open = object_open,
		.put = object_put,
		.start = read_start,
		.cancel = read_cancel,
		.finish = read_finish,
	};
}

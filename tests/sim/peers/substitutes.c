/*
 * substitutes.c - what the linker takes in place of the real thing: the cache's two threads, whose
 * work the model does in its turns. Around digest_crc64(), of which mutants are made,
 * directory_bucket_find(), where disbelieved entries are counted, and transport_read(), which is
 * audited.
 */
#include "base/digest.h"
#include "cache/window/directory.h"
#include "tests/sim/peers/model.h"

#define ENTRY_SEALED_LEN 80 /* owner, epoch and an entry without its own check */

uint64_t __real_digest_crc64(const void *data, size_t len);
uint64_t __wrap_digest_crc64(const void *data, size_t len);
int __real_directory_bucket_find(const struct directory_shape *shape, const void *bucket,
				 const struct window_key *key, uint32_t len,
				 struct directory_place *out_place);
int __wrap_directory_bucket_find(const struct directory_shape *shape, const void *bucket,
				 const struct window_key *key, uint32_t len,
				 struct directory_place *out_place);

int __real_transport_read(struct transport_peer *peer, struct transport_read *read);
int __wrap_transport_read(struct transport_peer *peer, struct transport_read *read);

static struct model_world *world;

void model_substitute(struct model_world *wanted)
{
	world = wanted;
}

static bool mutant_is(enum model_mutant mutant)
{
	return world && world->mutant == mutant;
}

int __wrap_transport_read(struct transport_peer *peer, struct transport_read *read)
{
	model_audit_read(world, read);
	return __real_transport_read(peer, read);
}

uint64_t __wrap_digest_crc64(const void *data, size_t len)
{
	if (mutant_is(MUTANT_CHECK) &&
	    (len == GRANULE_LEN || len == world->scenario->unit_len % GRANULE_LEN))
		return 0;
	if (mutant_is(MUTANT_SEAL) && len == ENTRY_SEALED_LEN)
		return 0;
	return __real_digest_crc64(data, len);
}

int __wrap_directory_bucket_find(const struct directory_shape *shape, const void *bucket,
				 const struct window_key *key, uint32_t len,
				 struct directory_place *out_place)
{
	int error = __real_directory_bucket_find(shape, bucket, key, len, out_place);
	const uint8_t *entry = bucket;

	for (unsigned i = 0; error && i < DIRECTORY_BUCKET_LEN; i += 64)
		if (memcmp(entry + i, key->id.bytes, OBJECT_ID_LEN) == 0)
			model_tally.disbelieved++;
	return error;
}

/* --- cache/timer.c: model_node_turn() does its work */

int cache_timer_start(struct cache *cache)
{
	(void)cache;
	return 0;
}

void cache_timer_stop(struct cache *cache)
{
	(void)cache;
}

void cache_timer_poke_locked(struct cache *cache, uint64_t at_ns)
{
	(void)cache;
	(void)at_ns;
}

/* --- cache/window/populate.c: pages come at first use */

void populate_start(struct populate *populate, void *memory, uint64_t len,
		    struct counters *counters, unsigned gauge)
{
	(void)populate;
	(void)memory;
	(void)len;
	(void)counters;
	(void)gauge;
}

void populate_stop(struct populate *populate)
{
	(void)populate;
}

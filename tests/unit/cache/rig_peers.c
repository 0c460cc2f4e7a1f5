/*
 * rig_peers.c - the fake peers keep what they are asked for until the test answers, on its thread.
 */
#include "tests/unit/cache/rig_peers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/thread.h"
#include "cache/store/store.h"
#include "tests/unit/cache/rig_store.h"

static void cancel(struct peer_fetch *ask)
{
	ask->outcome = PEER_FAILED;
	ask->status = -ECANCELED;
	ask->done(ask);
}

static void fake_fetch(void *context, struct peer_fetch *ask)
{
	struct fake_peers *fake = context;
	bool stopped;

	/* what the frame's last owner has left, to the end of the page */
	memset(ask->dst, 0xdd, (ask->len + 4095) & ~(size_t)4095);
	pthread_mutex_lock(&fake->lock);
	stopped = fake->stopped;
	fake->started++;
	if (!stopped)
		STAILQ_INSERT_TAIL(&fake->asks, ask, p.link);
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
	if (stopped)
		cancel(ask);
}

static bool fake_owns(void *context, const struct object_id *id, uint64_t block)
{
	struct fake_peers *fake = context;

	(void)id;
	(void)block;
	return fake->owns;
}

void fake_peers_attach(struct fake_peers *fake, struct rig *rig, struct window_directory *directory)
{
	const struct peer_source source = { fake, fake_fetch, fake_owns };

	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->lock, NULL);
	thread_cond_init(&fake->changed);
	STAILQ_INIT(&fake->asks);
	cache_attach_peers(rig->cache, &source, directory);
	cache_set_backings(rig->cache, rig->backings, ARRAY_COUNT(rig->backings));
}

static struct peer_fetch *take(struct fake_peers *fake)
{
	struct peer_fetch *ask;

	pthread_mutex_lock(&fake->lock);
	fake->stopped = true;
	ask = STAILQ_FIRST(&fake->asks);
	if (ask)
		STAILQ_REMOVE_HEAD(&fake->asks, p.link);
	pthread_mutex_unlock(&fake->lock);
	return ask;
}

void fake_peers_stop(struct fake_peers *fake)
{
	struct peer_fetch *ask;

	while ((ask = take(fake)))
		cancel(ask);
}

static struct peer_fetch *nth(struct fake_peers *fake, unsigned index)
{
	struct peer_fetch *ask;

	STAILQ_FOREACH (ask, &fake->asks, p.link)
		if (index-- == 0)
			return ask;
	return NULL;
}

struct peer_fetch *fake_peers_await(struct fake_peers *fake, unsigned index)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	struct peer_fetch *ask;
	int error = 0;

	pthread_mutex_lock(&fake->lock);
	while (!(ask = nth(fake, index)) && !error)
		error = thread_cond_wait_until(&fake->changed, &fake->lock, deadline_ns);
	pthread_mutex_unlock(&fake->lock);
	assert_non_null(ask);
	return ask;
}

unsigned fake_peers_pending(struct fake_peers *fake)
{
	unsigned pending = 0;

	pthread_mutex_lock(&fake->lock);
	while (nth(fake, pending))
		pending++;
	pthread_mutex_unlock(&fake->lock);
	return pending;
}

unsigned fake_peers_started(struct fake_peers *fake)
{
	unsigned started;

	pthread_mutex_lock(&fake->lock);
	started = fake->started;
	pthread_mutex_unlock(&fake->lock);
	return started;
}

static uint64_t granule_check(const void *data, uint32_t len, uint32_t granule)
{
	uint32_t off = granule * GRANULE_LEN;

	return digest_crc64((const char *)data + off,
			    len - off < GRANULE_LEN ? len - off : GRANULE_LEN);
}

void fake_peers_answer(struct fake_peers *fake, struct peer_fetch *ask, enum peer_outcome outcome,
		       int status, bool placed)
{
	pthread_mutex_lock(&fake->lock);
	STAILQ_REMOVE(&fake->asks, ask, peer_fetch, p.link);
	pthread_mutex_unlock(&fake->lock);
	/* whatever a read that did not match has left */
	memset(ask->dst, 0xee, ask->len);
	if (outcome == PEER_FETCHED) {
		rig_pattern(ask->object->version.key, window_key_off(&ask->key, RIG_BLOCK),
			    ask->dst, ask->len);
		if (fake->lies)
			((uint8_t *)ask->dst)[ask->len - 1] ^= 1;
		ask->source = fake->id;
		for (uint32_t i = 0; i < object_granule_count(ask->len); i++)
			ask->checks[i] = granule_check(ask->dst, ask->len, i);
	}
	ask->outcome = outcome;
	ask->status = status;
	ask->placed = placed;
	ask->done(ask);
}

/* ---- stages ---- */

static void stage_done(struct cache_stage *stage)
{
	struct stager *stager = CONTAINER_OF(stage, struct stager, stage);

	pthread_mutex_lock(&stager->lock);
	stager->done_count++;
	pthread_cond_broadcast(&stager->ended);
	pthread_mutex_unlock(&stager->lock);
}

void stager_start(struct stager *stager, struct rig *rig, const char *key, uint64_t size,
		  uint64_t index, bool local)
{
	memset(stager, 0, sizeof(*stager));
	stager->rig = rig;
	snprintf(stager->key, sizeof(stager->key), "%s", key);
	pthread_mutex_init(&stager->lock, NULL);
	thread_cond_init(&stager->ended);
	stager->stage = (struct cache_stage){
		.version = { "fake", "bucket", stager->key, "etag", size },
		.dataset = "/data",
		.index = index,
		.local = local,
		.deadline_ns = clock_now_ns(&rig->clock.clock) + rig->config.read_timeout,
		.done = stage_done,
	};
	cache_stage_start(rig->cache, &stager->stage);
}

bool stager_is_done(struct stager *stager)
{
	bool done;

	pthread_mutex_lock(&stager->lock);
	done = stager->done_count > 0;
	pthread_mutex_unlock(&stager->lock);
	return done;
}

int stager_wait(struct stager *stager)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&stager->lock);
	while (stager->done_count == 0 && !error)
		error = thread_cond_wait_until(&stager->ended, &stager->lock, deadline_ns);
	pthread_mutex_unlock(&stager->lock);
	if (error)
		fail_msg("a stage has not ended");
	assert_int_equal(stager->done_count, 1);
	return stager->stage.status;
}

void stager_look(struct stager *stager, enum cache_origin origin)
{
	const struct cache_stage *stage = &stager->stage;
	const struct window_key key = { .index = stage->index };
	uint32_t len = window_key_len(&key, stage->version.size, RIG_BLOCK);
	uint8_t *expected = malloc(RIG_BLOCK);
	uint64_t arena_len;
	const uint8_t *arena = cache_arena(stager->rig->cache, &arena_len);

	assert_int_equal(stager_wait(stager), 0);
	assert_int_equal(stage->len, len);
	assert_int_equal(stage->origin, origin);
	assert_true(stage->off < arena_len && len <= arena_len - stage->off);
	rig_pattern(stager->key, window_key_off(&key, RIG_BLOCK), expected, len);
	if (memcmp(arena + stage->off, expected, len) != 0)
		fail_msg("wrong bytes");
	for (uint32_t i = 0; i < object_granule_count(len); i++)
		assert_int_equal(stage->checks[i], granule_check(expected, len, i));
	free(expected);
}

void stager_check(struct stager *stager, enum cache_origin origin)
{
	stager_look(stager, origin);
	cache_stage_finish(&stager->stage);
}

struct peers_rig *peers_rig_create(void)
{
	struct peers_rig *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	rig_init(&bench->rig);
	fake_peers_attach(&bench->peers, &bench->rig, NULL);
	return bench;
}

int peers_rig_set_up(void **state)
{
	*state = peers_rig_create();
	return 0;
}

int peers_rig_tear_down(void **state)
{
	struct peers_rig *bench = *state;

	cache_object_put(bench->object);
	fake_peers_stop(&bench->peers);
	rig_fini(&bench->rig);
	free(bench);
	return 0;
}

/*
 * fill_peers.c - the middle source of a fill: other nodes, between this node's SSD and the backing
 * store.
 *
 * A prefetch that misses goes to the backing store by way of the timer's thread: there those that
 * missed one after the other come together again and are fetched as a run.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "cache/fill.h"

static void fetched(struct cache_fill *fill, const struct peer_fetch *ask)
{
	struct cache *cache = fill->cache;
	struct counters *counters = &cache->counters;
	struct window_entry *entry = fill->entry;
	bool audited;

	memcpy(window_checks(&cache->window, entry), ask->checks,
	       object_granule_count(entry->len) * sizeof(ask->checks[0]));
	cache_fill_pad(fill);
	counter_add(counters, CACHE_PEER_FETCHES, 1);
	counter_add(counters, CACHE_PEER_BYTES, entry->len);
	if (fill->repair)
		counter_add(counters, CACHE_REPAIRED, 1);
	audited = cache_audit_choose(cache, entry->object, ask);
	cache_fill_end(fill, 0, CACHE_ORIGIN_PEER);
	if (audited)
		cache_audit_start(cache);
}

static void missed(struct cache_fill *fill)
{
	struct cache *cache = fill->cache;
	bool gather;

	pthread_mutex_lock(&cache->lock);
	fill->missed = true;
	gather = fill->prefetch && TAILQ_EMPTY(&fill->entry->waits) && !cache->stopping;
	if (gather)
		cache_fill_pause_locked(fill, clock_now_ns(cache->clock));
	pthread_mutex_unlock(&cache->lock);
	if (!gather)
		cache_fill_fetch(fill);
}

/* It may have been asked for before it was known what others have. */
static bool is_trusted(const struct cache_fill *fill)
{
	struct cache *cache = fill->cache;
	bool trusted;

	pthread_mutex_lock(&cache->lock);
	trusted = !cache_distrusts_locked(cache, &fill->entry->key);
	pthread_mutex_unlock(&cache->lock);
	return trusted;
}

static void ask_done(struct peer_fetch *ask)
{
	struct cache_fill *fill = CONTAINER_OF(ask, struct cache_fill, op.ask);
	int status = ask->status;

	if (ask->outcome == PEER_FAILED) {
		if (cache_fill_put_off(fill, status))
			return;
		cache_fill_report(fill, "peers", status, "");
		cache_fill_end(fill, status, CACHE_ORIGIN_PEER);
		return;
	}
	fill->placed = ask->placed;
	if (ask->outcome == PEER_FETCHED && is_trusted(fill))
		fetched(fill, ask);
	else
		missed(fill);
}

static bool peer_waits(const struct window_entry *entry)
{
	struct cache_read_part *part;

	TAILQ_FOREACH (part, &entry->waits, link)
		if (part->read->p.class != WINDOW_DEMAND)
			return true;
	return false;
}

static void set_up_locked(struct cache_fill *fill, bool owned)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;

	fill->serving = owned || entry->fill_class != WINDOW_DEMAND || peer_waits(entry);
	fill->phase = CACHE_FILL_ASKING;
	fill->op.ask = (struct peer_fetch){
		.key = entry->key,
		.object = &entry->object->store,
		.block = window_key_block(&entry->key, cache->block_len),
		.len = entry->len,
		.dst = window_data(&cache->window, entry),
		.deadline_ns = cache_fill_deadline_locked(fill),
		.serving = fill->serving,
		.done = ask_done,
	};
}

/* What was begun for a peer that serves another one goes on for those who may wait for more, on
 * their account. Return: whether there are any. */
static bool hand_over_locked(struct cache_fill *fill)
{
	struct window_entry *entry = fill->entry;
	enum window_class class = WINDOW_FORWARD;
	struct cache_read_part *part;

	TAILQ_FOREACH (part, &entry->waits, link)
		if (part->read->p.class < (int)class)
			class = (enum window_class)part->read->p.class;
	if (class == WINDOW_FORWARD)
		return false;
	window_set_fill_class(&fill->cache->window, entry, class);
	return true;
}

bool cache_fill_ask(struct cache_fill *fill)
{
	struct cache *cache = fill->cache;
	struct window_entry *entry = fill->entry;
	const struct peer_source *peers = &cache->peers;
	bool forward = entry->fill_class == WINDOW_FORWARD;
	bool asks = peers->fetch && !fill->missed;
	struct cache_object *object = NULL;
	bool owned, ended = false;
	struct cache_work work;

	if (!asks && !forward)
		return false;
	owned = asks && peers->owns(peers->context, &entry->key.id,
				    window_key_block(&entry->key, cache->block_len));
	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	asks &= !cache->stopping && !cache_distrusts_locked(cache, &entry->key);
	cache_reads_fail_locked(cache, entry, WINDOW_FORWARD, -ENOENT, &work);
	if (forward && !hand_over_locked(fill)) {
		object = cache_fill_fail_locked(fill, -ENOENT, &work);
		ended = true;
	} else if (asks) {
		set_up_locked(fill, owned);
	}
	pthread_mutex_unlock(&cache->lock);
	cache_object_put(object);
	if (asks && !ended)
		peers->fetch(peers->context, &fill->op.ask); /* the fill may be gone then */
	cache_work_run(cache, &work);
	return asks || ended;
}

/*
 * replicas.c - what is known of replicas, and the rounds of looking for those that give way.
 */
#include "cache/store/replicas/replicas.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_NS (10 * NS_PER_S)

/* --- roles --- */

void directory_set_owner(struct directory *d, const struct store_owner *owner)
{
	atomic_store(&d->owner, owner);
	directory_owner_changed(d);
}

void directory_owner_changed(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	d->replicas_news++;
	if (d->replicas_known == DIRECTORY_REPLICAS_NONE && d->owner)
		d->replicas_known = DIRECTORY_REPLICAS_UNKNOWN;
	pthread_mutex_unlock(&d->lock);
}

bool directory_owns(const struct directory *d, const struct object_id *id, uint64_t block)
{
	const struct store_owner *owner = atomic_load(&d->owner);

	return !owner || owner->owns(owner->context, id, block);
}

void replicas_look_again_locked(struct directory *d, uint64_t now_ns)
{
	if (d->owner && d->replicas_known == DIRECTORY_REPLICAS_NONE &&
	    now_ns - d->replicas_none_ns >= AGAIN_NS)
		d->replicas_known = DIRECTORY_REPLICAS_UNKNOWN;
}

static void note_some(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->replicas_known == DIRECTORY_REPLICAS_UNKNOWN)
		d->replicas_known = DIRECTORY_REPLICAS_SOME;
	pthread_mutex_unlock(&d->lock);
}

static uint64_t news_now(struct directory *d)
{
	uint64_t news;

	pthread_mutex_lock(&d->lock);
	news = d->replicas_news;
	pthread_mutex_unlock(&d->lock);
	return news;
}

/* Nothing could go. Return: false when something has changed since the count of news was @news. */
static bool note_none(struct directory *d, uint64_t news)
{
	bool none;

	pthread_mutex_lock(&d->lock);
	none = d->replicas_news == news;
	if (none) {
		d->replicas_known = DIRECTORY_REPLICAS_NONE;
		d->replicas_none_ns = clock_now_ns(d->clock);
	}
	pthread_mutex_unlock(&d->lock);
	return none;
}

/* --- looking --- */

static void add_candidate(struct replicas *r, const struct seen *seen, uint64_t bytes)
{
	r->bytes += bytes;
	for (unsigned i = 0; seen->segment && i < r->count; i++) {
		if (r->candidates[i].segment == seen->segment) {
			r->candidates[i].bytes += bytes;
			return;
		}
	}
	r->candidates[r->count++] = (struct candidate){
		.id = seen->id,
		.from = seen->from,
		.tick = seen->tick,
		.bytes = bytes,
		.segment = seen->segment,
	};
}

static void random_id(struct random *random, struct object_id *out)
{
	uint64_t words[2] = { random_u64(random), random_u64(random) };

	static_assert(sizeof(words) == OBJECT_ID_LEN, "an id");
	memcpy(out->bytes, words, OBJECT_ID_LEN);
}

static void begin_lap(struct replicas *r)
{
	random_id(&r->random, &r->start);
	r->scan.id = r->start;
	r->scan.block = 0;
	r->news = news_now(r->directory);
	r->lapping = r->whole = true;
	r->wrapped = r->over = r->gave = r->mixed = false;
}

/* Whether the lap has come round to @id. */
static bool is_round(const struct replicas *r, const struct object_id *id)
{
	return r->wrapped && memcmp(id->bytes, r->start.bytes, OBJECT_ID_LEN) >= 0;
}

static int gather(struct replicas *r)
{
	struct directory *d = r->directory;
	struct scan *scan = &r->scan;
	int error;

	if (!r->lapping)
		begin_lap(r);
	error = index_read(d->index, scan_portion, scan);
	for (unsigned i = 0; i < scan->count && !error; i++) {
		uint64_t bytes = scan_replica_bytes(d, scan, &scan->seen[i]);

		r->over = is_round(r, &scan->seen[i].id);
		if (r->over)
			return 0;
		if (bytes > 0)
			add_candidate(r, &scan->seen[i], bytes);
	}
	if (!error && scan->end) {
		r->over = r->wrapped;
		r->wrapped = true;
		memset(&scan->id, 0, sizeof(scan->id));
		scan->block = 0;
	}
	return error;
}

static int by_tick(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	return a->tick < b->tick ? -1 : a->tick > b->tick;
}

/* Whether enough was seen to choose from: then it is put in order. */
static bool ready(struct replicas *r, uint64_t wanted)
{
	bool full = r->count > CANDIDATES_MAX - SCAN_OBJECTS; /* for the next portion */
	bool enough = r->count >= CANDIDATES_MIN && r->bytes / SAMPLE >= wanted;

	if (!r->over && !full && !enough)
		return false;
	qsort(r->candidates, r->count, sizeof(r->candidates[0]), by_tick);
	r->quota = wanted;
	if (!(r->over && r->whole) && r->bytes / SAMPLE < wanted)
		r->quota = r->bytes / SAMPLE + 1;
	r->next = 0;
	r->taking = true;
	return true;
}

/* --- rounds --- */

/* What was not taken is old news by the time it is asked for. */
static void forget(struct replicas *r)
{
	r->taking = false;
	r->count = 0;
	r->bytes = 0;
}

static void abandon(struct replicas *r)
{
	forget(r);
	r->lapping = false;
}

int replicas_some(struct replicas *r, struct evict_batch *batch, uint64_t wanted)
{
	int error = 0;

	if (!r->taking) {
		error = gather(r);
		if (r->count > 0)
			note_some(r->directory);
		if (!error && !ready(r, wanted))
			return 1;
	}
	if (!error)
		error = replicas_take(r, batch);
	if (error) {
		abandon(r);
		return error;
	}
	if (r->quota > 0 && r->next < r->count)
		return 1;
	forget(r);
	r->whole = false;
	if (!r->over)
		return 1;
	r->lapping = false;
	r->thin = !r->gave && !r->thin && r->mixed;
	return r->gave || r->thin || !note_none(r->directory, r->news);
}

struct replicas *replicas_create(struct directory *d)
{
	struct replicas *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->directory = d;
	random_init(&r->random, random_seed());
	return r;
}

void replicas_destroy(struct replicas *r)
{
	free(r);
}

/*
 * lookup.c - what a directory knows of a block: first what is pending, then the index.
 */
#include <errno.h>
#include <string.h>

#include "cache/store/directory.h"

struct query {
	const struct object_id *id;
	uint64_t block;
	struct lookup *lookup;
};

static int copy_checks(struct lookup *lookup, const uint64_t *checks, unsigned count)
{
	if (!lookup->checks)
		return 0;
	if (lookup->first_granule > count || lookup->granule_count > count - lookup->first_granule)
		return -ERANGE;
	memcpy(lookup->checks, checks + lookup->first_granule,
	       lookup->granule_count * sizeof(*checks));
	return 0;
}

static int query_index(struct index_txn *txn, void *argument)
{
	const struct query *query = argument;
	struct lookup *lookup = query->lookup;
	struct record_object object;
	struct record_block block;
	int error = index_object_get(txn, query->id, &object);

	if (error)
		return error;
	lookup->object_size = object.size;
	lookup->dataset = object.dataset;
	lookup->packed = object.segment != 0;
	if (lookup->packed) {
		if (query->block > 0)
			return -ENOENT;
		lookup->segment = object.segment;
		lookup->segment_off = object.segment_off;
		lookup->len = (uint32_t)object.size;
		return copy_checks(lookup, &object.check, 1);
	}
	error = index_block_get(txn, query->id, query->block, &block);
	if (error)
		return error;
	lookup->len = block.len;
	return copy_checks(lookup, block.checks, block.check_count);
}

static int lookup_pending(struct pending_block *block, struct lookup *lookup)
{
	const struct pending_block_info *info = pending_block_of(block);
	const struct pending_object_info *object = pending_object_of(block);

	lookup->object_size = object->contents.version.size;
	lookup->dataset = object->contents.dataset;
	lookup->len = info->record.len;
	lookup->packed = info->segment != 0;
	lookup->segment = info->segment;
	lookup->segment_off = info->segment_off;
	return copy_checks(lookup, info->record.checks, info->record.check_count);
}

int lookup_block(struct directory *d, const struct object_id *id, uint64_t block,
		 struct lookup *lookup)
{
	struct query query = { .id = id, .block = block, .lookup = lookup };
	struct pending_block *pending;
	enum pending_place place;
	int error = 0;

	pthread_mutex_lock(&d->lock);
	place = pending_where(&d->pending, id, block, &pending);
	if (place == PENDING_HERE)
		error = lookup_pending(pending, lookup);
	pthread_mutex_unlock(&d->lock);
	if (place == PENDING_HERE)
		return error;
	if (place == PENDING_NOT_HERE)
		return -ENOENT;
	error = index_read(d->index, query_index, &query);
	if (error == -EBADMSG) {
		commit_drop(d, id, block);
		return -ENOENT;
	}
	if (error && error != -ENOENT && error != -ERANGE) {
		directory_error(d, "index", error);
		return -ENOENT;
	}
	return error;
}

/* Who was accessed when matters under lru, and for replicas under every policy. */
static void note_access_locked(struct directory *d, const struct object_id *id, uint32_t dataset,
			       bool replica)
{
	datasets_touch(&d->policy.datasets, dataset);
	if (d->policy_kind == CACHE_POLICY_LRU || replica)
		notes_touch(&d->notes, id, d->tick, policy_tick_age(d->space.capacity));
}

bool directory_has(struct directory *d, const struct object_id *id, uint64_t block)
{
	struct lookup lookup = { 0 };
	bool here, replica;

	if (!directory_enter(d))
		return false;
	here = lookup_block(d, id, block, &lookup) == 0;
	replica = here && !directory_owns(d, id, block);
	pthread_mutex_lock(&d->lock);
	if (here)
		note_access_locked(d, id, lookup.dataset, replica);
	directory_leave_locked(d);
	pthread_mutex_unlock(&d->lock);
	return here;
}

void directory_touch(struct directory *d, const struct object_id *id, const char *dataset)
{
	pthread_mutex_lock(&d->lock);
	if (d->state == DIRECTORY_OPEN) {
		uint32_t number = datasets_find(&d->policy.datasets, dataset);

		if (number != DATASET_SHARED)
			note_access_locked(d, id, number, d->owner != NULL);
	}
	pthread_mutex_unlock(&d->lock);
}

void directory_obsolete(struct directory *d, const struct object_id *id)
{
	pthread_mutex_lock(&d->lock);
	if (d->state == DIRECTORY_OPEN && notes_obsolete(&d->notes, id))
		pthread_cond_broadcast(&d->wake_committer);
	pthread_mutex_unlock(&d->lock);
}

struct resident_query {
	const struct object_id *id;
	uint64_t bytes;
	struct pending_unsure unsure;
};

/* In one snapshot: what the index counts, and which of the unsure blocks are not yet in it. */
static int query_resident(struct index_txn *txn, void *argument)
{
	struct resident_query *query = argument;
	struct record_object object;
	struct record_block block;
	int error = index_object_get(txn, query->id, &object);

	if (error == 0)
		query->bytes += object.resident;
	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	if (error == 0 && object.segment)
		return 0; /* its only block */
	for (unsigned i = 0; i < query->unsure.count; i++) {
		error = index_block_get(txn, query->id, query->unsure.blocks[i].block, &block);
		if (error == -ENOENT || error == -EBADMSG)
			query->bytes += query->unsure.blocks[i].len;
		else if (error)
			return error;
	}
	return 0;
}

/* False when a group was taken in the meantime: then a block may have been counted twice. */
static bool count_resident(struct directory *d, struct resident_query *query)
{
	uint64_t generation;
	bool same;
	int error;

	pthread_mutex_lock(&d->lock);
	generation = d->pending.generation;
	query->bytes = pending_bytes(&d->pending, query->id, &query->unsure);
	pthread_mutex_unlock(&d->lock);
	error = index_read(d->index, query_resident, query);
	if (error) {
		directory_error(d, "index", error);
		query->bytes = 0;
		return true;
	}
	pthread_mutex_lock(&d->lock);
	same = generation == d->pending.generation;
	pthread_mutex_unlock(&d->lock);
	return same;
}

uint64_t directory_resident(struct directory *d, const struct object_id *id)
{
	struct resident_query query = { .id = id };

	if (!directory_enter(d))
		return 0;
	/* Groups take milliseconds, this takes microseconds: it ends. */
	while (!count_resident(d, &query))
		;
	directory_leave(d);
	return query.bytes;
}

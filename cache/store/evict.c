/*
 * evict.c - making room: obsolete versions first, then replicas (replicas/), then what the policy
 * names, until the low watermark. In batches: victims are picked from the index, held so that
 * nobody writes them, taken out of the index in one transaction, unlinked, and only then is their
 * room free. A crash between the commit and the unlink leaves files for the sweep; the other order
 * would leave an index that names what is gone.
 *
 * Files are unlinked here, never cut: a reader that has one open reads on.
 */
#include "cache/store/evict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURNOVER_SHARE	     64 /* of the low watermark: room made at once for new replicas */
#define DATASETS_TOUCHED_MAX 64
#define SAMPLE_ATTEMPTS	     4 /* samples in a row that give nothing new */

/* --- picking --- */

bool evict_full(const struct evict_batch *batch)
{
	return batch->count == EVICT_VICTIMS_MAX || batch->found >= batch->wanted;
}

static bool in_batch(const struct evict_batch *batch, const struct evict_victim *victim)
{
	for (unsigned i = 0; i < batch->count; i++) {
		if (batch->victims[i].is_segment == victim->is_segment &&
		    object_id_equal(&batch->victims[i].id, &victim->id))
			return true;
	}
	return false;
}

bool evict_add(struct evict_batch *batch, const struct evict_victim *victim)
{
	struct directory *d = batch->directory;
	int fd = -1;
	bool held;

	if (evict_full(batch) || in_batch(batch, victim))
		return false;
	pthread_mutex_lock(&d->lock);
	if (victim->is_segment)
		held = segments_hold(&d->segments, victim->segment, &fd);
	else
		held = pending_hold(&d->pending, &victim->id);
	pthread_mutex_unlock(&d->lock);
	if (fd >= 0)
		close(fd);
	if (!held)
		return false;
	batch->victims[batch->count] = *victim;
	batch->victims[batch->count++].held = true;
	batch->found += victim->bytes;
	return true;
}

static void release_victim_locked(struct directory *d, const struct evict_victim *victim)
{
	if (victim->is_segment)
		segments_release(&d->segments, victim->segment);
	else
		pending_release(&d->pending, &victim->id);
}

void evict_undo(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	const struct evict_victim *victim = &batch->victims[--batch->count];

	pthread_mutex_lock(&d->lock);
	release_victim_locked(d, victim);
	pthread_mutex_unlock(&d->lock);
	batch->found -= victim->bytes;
}

static int add_object(struct evict_batch *batch, struct index_txn *txn, const struct object_id *id,
		      enum index_member list, uint32_t number)
{
	struct evict_victim victim = { .id = *id, .list = list, .list_number = number };
	struct record_object record;
	int error = index_object_get(txn, id, &record);

	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	victim.bytes = error ? 0 : contents_charge(record.resident);
	evict_add(batch, &victim);
	return 0;
}

static int add_segment(struct evict_batch *batch, struct index_txn *txn, uint32_t segment)
{
	struct evict_victim victim = { .is_segment = true,
				       .segment = segment,
				       .list = INDEX_MEMBER_SEGMENT };
	struct record_segment record;
	int error = index_segment_get(txn, segment, &record);

	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	index_segment_id(segment, &victim.id);
	victim.bytes = error ? 0 : contents_charge(record.len);
	victim.list_number = error ? 0 : record.dataset;
	evict_add(batch, &victim);
	return 0;
}

/* All members of a list, up to a full batch. */
static int add_members(struct evict_batch *batch, struct index_txn *txn, enum index_member list,
		       uint32_t number)
{
	struct object_id ids[EVICT_VICTIMS_MAX];
	int count = index_member_list(txn, list, number, NULL, ids, EVICT_VICTIMS_MAX);

	for (int i = 0; i < count && !evict_full(batch); i++) {
		int error;

		if (list == INDEX_MEMBER_SEGMENT)
			error = add_segment(batch, txn, index_segment_of_id(&ids[i]));
		else
			error = add_object(batch, txn, &ids[i], list, number);
		if (error)
			return error;
	}
	return count < 0 ? count : 0;
}

struct half_dead {
	struct evict_batch *batch;
	struct index_txn *txn;
};

static int visit_segment(void *context, uint32_t segment, const struct record_segment *record)
{
	struct half_dead *half_dead = context;

	if (evict_full(half_dead->batch))
		return 1;
	if (record && record->live >= record->len / 2)
		return 0;
	return add_segment(half_dead->batch, half_dead->txn, segment);
}

/* Obsolete files, and segments that are mostly holes. */
static int pick_spare(struct index_txn *txn, void *argument)
{
	struct evict_batch *batch = argument;
	struct half_dead half_dead = { .batch = batch, .txn = txn };
	int error = add_members(batch, txn, INDEX_MEMBER_OBSOLETE, 0);

	if (!error)
		error = index_segment_each(txn, visit_segment, &half_dead);
	return error < 0 ? error : 0;
}

static int pick_dataset(struct index_txn *txn, void *argument)
{
	struct evict_batch *batch = argument;
	int error = add_members(batch, txn, INDEX_MEMBER_SEGMENT, batch->who.dataset);

	return error ? error : add_members(batch, txn, INDEX_MEMBER_FILE, batch->who.dataset);
}

/* A random object and the time of its last access. Ids are uniformly distributed. */
static int sample_one(struct evict_batch *batch, struct index_txn *txn, struct evict_victim *out,
		      uint64_t *out_tick)
{
	struct record_segment segment;
	struct record_object record;
	struct object_id from;
	uint64_t random[2] = { random_u64(&batch->random), random_u64(&batch->random) };
	int error;

	memcpy(from.bytes, random, OBJECT_ID_LEN);
	*out = (struct evict_victim){ .list = INDEX_MEMBER_FILE };
	error = index_object_next(txn, &from, &out->id, &record);
	if (error == -ENOENT) {
		memset(from.bytes, 0, OBJECT_ID_LEN);
		error = index_object_next(txn, &from, &out->id, &record);
	}
	if (error)
		return error;
	/* Its room would not come back as long as it is open. */
	*out_tick =
		handouts_in_use(&batch->directory->handouts, &out->id) ? UINT64_MAX : record.tick;
	out->bytes = contents_charge(record.resident);
	out->list_number = record.dataset;
	if (!record.segment)
		return 0;
	error = index_segment_get(txn, record.segment, &segment);
	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	out->is_segment = true;
	out->segment = record.segment;
	out->list = INDEX_MEMBER_SEGMENT;
	out->bytes = error ? 0 : contents_charge(segment.len);
	*out_tick = error ? 0 : segment.tick;
	index_segment_id(record.segment, &out->id);
	return 0;
}

static int pick_sampled(struct index_txn *txn, void *argument)
{
	struct evict_batch *batch = argument;
	struct evict_victim sample[POLICY_SAMPLE_COUNT];
	uint64_t ticks[POLICY_SAMPLE_COUNT];
	unsigned failed = 0;

	while (!evict_full(batch) && failed < SAMPLE_ATTEMPTS) {
		for (unsigned i = 0; i < POLICY_SAMPLE_COUNT; i++) {
			int error = sample_one(batch, txn, &sample[i], &ticks[i]);

			if (error)
				return error == -ENOENT ? 0 : error;
		}
		if (evict_add(batch, &sample[policy_choose(ticks, POLICY_SAMPLE_COUNT)]))
			failed = 0;
		else
			failed++;
	}
	return 0;
}

/* The steps of picking return 1 when there is something to remove, or more to look for; 0: try the
 * next; or an error. */

static int try_spare(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	int error;
	bool spare;

	pthread_mutex_lock(&d->lock);
	spare = d->spare;
	d->spare = false; /* but what comes meanwhile is not forgotten */
	pthread_mutex_unlock(&d->lock);
	if (!spare)
		return 0;
	error = index_read(d->index, pick_spare, batch);
	if (!error && batch->count == 0)
		return 0;
	pthread_mutex_lock(&d->lock);
	d->spare = true;
	pthread_mutex_unlock(&d->lock);
	return error ? error : 1;
}

/* @goal: bytes to be taken at the end. */
static int try_replicas(struct evict_batch *batch, uint64_t goal)
{
	struct directory *d = batch->directory;
	uint64_t wanted = 0;
	int more;

	pthread_mutex_lock(&d->lock);
	if (d->replicas_known != DIRECTORY_REPLICAS_NONE && space_taken(&d->space) > goal)
		wanted = space_taken(&d->space) - goal;
	pthread_mutex_unlock(&d->lock);
	more = wanted > 0 ? replicas_some(d->replicas, batch, wanted) : 0;
	/* No room for the transaction: whole files must go first, then. */
	return more == -ENOSPC ? 0 : more;
}

/* What is open by passthrough is in use, although nobody asks us for it. */
static void touch_handed_out(struct directory *d)
{
	uint32_t numbers[DATASETS_TOUCHED_MAX];
	unsigned count = handouts_datasets(&d->handouts, numbers, DATASETS_TOUCHED_MAX);

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < count; i++)
		datasets_touch(&d->policy.datasets, numbers[i]);
	pthread_mutex_unlock(&d->lock);
}

static int try_policy(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	struct policy_space space;
	int error = 0;

	touch_handed_out(d);
	pthread_mutex_lock(&d->lock);
	space = directory_space_locked(d);
	batch->who = d->policy.ops->victim(&d->policy, &space);
	pthread_mutex_unlock(&d->lock);
	if (batch->who.kind == POLICY_DATASET)
		error = index_read(d->index, pick_dataset, batch);
	else if (batch->who.kind == POLICY_OBJECT)
		error = index_read(d->index, pick_sampled, batch);
	return error ? error : batch->count > 0;
}

static int pick(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	struct policy_space space;
	bool turnover;
	int more = 0;

	pthread_mutex_lock(&d->lock);
	space = directory_space_locked(d);
	turnover = d->turnover;
	pthread_mutex_unlock(&d->lock);
	batch->wanted = space.used > space.low ? space.used - space.low : 0;
	if (batch->wanted > 0)
		more = try_spare(batch);
	if (!more && batch->wanted > 0)
		more = try_replicas(batch, space.low);
	if (!more && batch->wanted > 0)
		more = try_policy(batch);
	if (!more && turnover) {
		more = try_replicas(batch, space.low - space.low / TURNOVER_SHARE);
		if (more == 0) {
			pthread_mutex_lock(&d->lock);
			d->turnover = false;
			pthread_mutex_unlock(&d->lock);
		}
	}
	return more;
}

/* --- removing --- */

static int remove_records(struct index_txn *txn, void *argument)
{
	struct evict_batch *batch = argument;
	int error = 0;

	contents_begin(&batch->contents, txn, 0);
	for (unsigned i = 0; i < batch->count; i++)
		batch->victims[i].out = batch->victims[i].gone;
	for (unsigned i = 0; i < batch->count && !error; i++) {
		struct evict_victim *victim = &batch->victims[i];
		bool done;

		if (victim->gone)
			continue;
		error = victim->is_segment
				? contents_drop_segment(&batch->contents, victim->segment,
							EVICT_RECORDS_MAX, &done)
				: contents_drop_object(&batch->contents, &victim->id,
						       EVICT_RECORDS_MAX, &done);
		if (!error && done)
			error = index_member_delete(txn, victim->list, victim->list_number,
						    &victim->id);
		victim->out = done;
		if (!done)
			break; /* the rest of a large object in a transaction of its own */
	}
	return error ? error : contents_finish(&batch->contents);
}

static int unlink_victim(struct directory *d, const struct evict_victim *victim)
{
	char path[STORE_PATH_LEN];
	int error;

	if (victim->is_segment)
		layout_segment_path(victim->segment, path);
	else
		layout_object_path(&victim->id, path);
	error = d->files->unlink(d->files, d->layout.root_fd, path);
	return error == -ENOENT ? 0 : error;
}

void evict_account(struct directory *d, const struct contents *contents, bool replicas)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < contents->change_count; i++) {
		const struct contents_change *change = &contents->changes[i];
		int64_t delta = change->files + change->segments;

		space_change(&d->space, delta);
		datasets_add(&d->policy.datasets, change->dataset, delta);
		if (delta < 0)
			bytes += (uint64_t)-delta;
	}
	directory_account_locked(d);
	pthread_mutex_unlock(&d->lock);
	counter_add(d->counters, STORE_EVICTED_BYTES, bytes);
	if (replicas)
		counter_add(d->counters, STORE_REPLICA_EVICTED_BYTES, bytes);
}

static int unlink_out(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	int error = 0;

	for (unsigned i = 0; i < batch->count && !error; i++) {
		struct evict_victim *victim = &batch->victims[i];

		if (!victim->out || victim->gone)
			continue;
		error = unlink_victim(d, victim);
		victim->gone = true;
		counter_add(d->counters, STORE_EVICTED_OBJECTS, 1);
	}
	return error;
}

static bool all_gone(const struct evict_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		if (!batch->victims[i].gone)
			return false;
	}
	return true;
}

/* A full file system may not even have room for the transaction that removes: files first, then.
 * Whoever looks for them meanwhile finds a record without a file, which is a miss. */
static int unlink_first(struct evict_batch *batch)
{
	int error = 0;

	for (unsigned i = 0; i < batch->count && !error; i++)
		error = unlink_victim(batch->directory, &batch->victims[i]);
	return error;
}

static int remove_batch(struct evict_batch *batch)
{
	struct directory *d = batch->directory;
	int error = 0;

	for (unsigned i = 0; i < batch->count; i++)
		if (!batch->victims[i].is_segment)
			handouts_forget(&d->handouts, &batch->victims[i].id);
	while (!error && !all_gone(batch)) {
		error = index_update(d->index, remove_records, batch);
		if (error == -ENOSPC) {
			error = unlink_first(batch);
			if (!error)
				error = index_update(d->index, remove_records, batch);
		}
		if (error)
			break;
		error = unlink_out(batch);
		evict_account(d, &batch->contents, batch->replica_blocks > 0);
	}
	if (!error)
		counter_add(d->counters, STORE_REPLICAS_EVICTED, batch->replica_blocks);
	return error;
}

struct one_object {
	struct evict_batch *batch;
	struct object_id id;
};

static int pick_object(struct index_txn *txn, void *argument)
{
	const struct one_object *one = argument;
	struct record_object record;
	int error = index_object_get(txn, &one->id, &record);

	if (error)
		return error == -ENOENT || error == -EBADMSG ? 0 : error;
	return add_object(one->batch, txn, &one->id, INDEX_MEMBER_FILE, record.dataset);
}

static void release(struct evict_batch *batch)
{
	struct directory *d = batch->directory;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < batch->count; i++)
		release_victim_locked(d, &batch->victims[i]);
	pthread_mutex_unlock(&d->lock);
}

int evict_object(struct directory *d, const struct object_id *id)
{
	struct evict_batch *batch = calloc(1, sizeof(*batch));
	int error;

	if (!batch)
		return -ENOMEM;
	batch->directory = d;
	batch->wanted = UINT64_MAX;
	error = index_read(d->index, pick_object, &(struct one_object){ batch, *id });
	if (!error)
		error = remove_batch(batch);
	release(batch);
	free(batch);
	return error;
}

bool evict_some(struct directory *d)
{
	struct evict_batch *batch = calloc(1, sizeof(*batch));
	int more, error;
	bool removed;

	if (!batch)
		return false;
	batch->directory = d;
	random_init(&batch->random, random_seed());
	more = pick(batch);
	error = more < 0 ? more : remove_batch(batch);
	release(batch);
	if (error)
		directory_error(d, "eviction", error);
	removed = batch->count > 0;
	free(batch);
	if (removed && !error)
		directory_measure(d);
	return !error && more > 0;
}

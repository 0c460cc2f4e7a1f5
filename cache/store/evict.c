/*
 * evict.c - making room: obsolete versions first, then what the policy names, until the low
 * watermark. In batches: victims are picked from the index, held so that nobody writes them, taken
 * out of the index in one transaction, unlinked, and only then is their room free. A crash between
 * the commit and the unlink leaves files for the sweep; the other order would leave an index that
 * names what is gone.
 *
 * Files are only unlinked, never cut or punched: a reader that has one open reads on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/error.h"
#include "base/random.h"
#include "cache/store/contents.h"
#include "cache/store/directory.h"

#define VICTIMS_MAX	64
#define RECORDS_MAX	4096 /* removed by one transaction */
#define SAMPLE_ATTEMPTS 4    /* samples in a row that give nothing new */

struct victim {
	bool is_segment;
	bool held;
	bool out; /* of the index */
	bool gone;
	uint32_t segment;
	struct object_id id; /* a segment's as a member */
	uint64_t bytes;
	/* the list it was found in, cleaned even when it names something that is no longer there */
	enum index_member list;
	uint32_t list_number;
};

struct batch {
	struct directory *directory;
	struct random random;
	struct policy_victim who;
	uint64_t wanted, found; /* bytes */
	unsigned count;
	struct victim victims[VICTIMS_MAX];
	unsigned objects; /* counted as removed */
	struct contents contents;
};

/* --- picking --- */

static bool batch_full(const struct batch *batch)
{
	return batch->count == VICTIMS_MAX || batch->found >= batch->wanted;
}

static bool in_batch(const struct batch *batch, const struct victim *victim)
{
	for (unsigned i = 0; i < batch->count; i++) {
		if (batch->victims[i].is_segment == victim->is_segment &&
		    object_id_equal(&batch->victims[i].id, &victim->id))
			return true;
	}
	return false;
}

/* Takes a victim that nobody is writing. */
static bool add(struct batch *batch, const struct victim *victim)
{
	struct directory *d = batch->directory;
	int fd = -1;
	bool held;

	if (batch_full(batch) || in_batch(batch, victim))
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

static int add_object(struct batch *batch, struct index_txn *txn, const struct object_id *id,
		      enum index_member list, uint32_t number)
{
	struct victim victim = { .id = *id, .list = list, .list_number = number };
	struct record_object record;
	int error = index_object_get(txn, id, &record);

	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	victim.bytes = error ? 0 : contents_charge(record.resident);
	add(batch, &victim);
	return 0;
}

static int add_segment(struct batch *batch, struct index_txn *txn, uint32_t segment)
{
	struct victim victim = { .is_segment = true,
				 .segment = segment,
				 .list = INDEX_MEMBER_SEGMENT };
	struct record_segment record;
	int error = index_segment_get(txn, segment, &record);

	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	index_segment_id(segment, &victim.id);
	victim.bytes = error ? 0 : contents_charge(record.len);
	victim.list_number = error ? 0 : record.dataset;
	add(batch, &victim);
	return 0;
}

/* All members of a list, up to a full batch. */
static int add_members(struct batch *batch, struct index_txn *txn, enum index_member list,
		       uint32_t number)
{
	struct object_id ids[VICTIMS_MAX];
	int count = index_member_list(txn, list, number, NULL, ids, VICTIMS_MAX);

	for (int i = 0; i < count && !batch_full(batch); i++) {
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
	struct batch *batch;
	struct index_txn *txn;
};

static int visit_segment(void *context, uint32_t segment, const struct record_segment *record)
{
	struct half_dead *half_dead = context;

	if (batch_full(half_dead->batch))
		return 1;
	if (record && record->live >= record->len / 2)
		return 0;
	return add_segment(half_dead->batch, half_dead->txn, segment);
}

/* Obsolete files, and segments that are mostly holes. */
static int pick_spare(struct index_txn *txn, void *argument)
{
	struct batch *batch = argument;
	struct half_dead half_dead = { .batch = batch, .txn = txn };
	int error = add_members(batch, txn, INDEX_MEMBER_OBSOLETE, 0);

	if (!error)
		error = index_segment_each(txn, visit_segment, &half_dead);
	return error < 0 ? error : 0;
}

static int pick_dataset(struct index_txn *txn, void *argument)
{
	struct batch *batch = argument;
	int error = add_members(batch, txn, INDEX_MEMBER_SEGMENT, batch->who.dataset);

	return error ? error : add_members(batch, txn, INDEX_MEMBER_FILE, batch->who.dataset);
}

/* A random object and the time of its last access. Ids are uniformly distributed. */
static int sample_one(struct batch *batch, struct index_txn *txn, struct victim *out,
		      uint64_t *out_tick)
{
	struct record_segment segment;
	struct record_object record;
	struct object_id from;
	uint64_t random[2] = { random_u64(&batch->random), random_u64(&batch->random) };
	int error;

	memcpy(from.bytes, random, OBJECT_ID_LEN);
	*out = (struct victim){ .list = INDEX_MEMBER_FILE };
	error = index_object_next(txn, &from, &out->id, &record);
	if (error == -ENOENT) {
		memset(from.bytes, 0, OBJECT_ID_LEN);
		error = index_object_next(txn, &from, &out->id, &record);
	}
	if (error)
		return error;
	*out_tick = record.tick;
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
	struct batch *batch = argument;
	struct victim sample[POLICY_SAMPLE_COUNT];
	uint64_t ticks[POLICY_SAMPLE_COUNT];
	unsigned failed = 0;

	while (!batch_full(batch) && failed < SAMPLE_ATTEMPTS) {
		for (unsigned i = 0; i < POLICY_SAMPLE_COUNT; i++) {
			int error = sample_one(batch, txn, &sample[i], &ticks[i]);

			if (error)
				return error == -ENOENT ? 0 : error;
		}
		if (add(batch, &sample[policy_choose(ticks, POLICY_SAMPLE_COUNT)]))
			failed = 0;
		else
			failed++;
	}
	return 0;
}

static int pick(struct batch *batch, bool spare)
{
	struct directory *d = batch->directory;
	int error = 0;

	if (spare) {
		error = index_read(d->index, pick_spare, batch);
		if (error || batch->count > 0)
			return error;
		pthread_mutex_lock(&d->lock);
		d->spare = false;
		pthread_mutex_unlock(&d->lock);
	}
	if (batch->who.kind == POLICY_DATASET)
		error = index_read(d->index, pick_dataset, batch);
	else if (batch->who.kind == POLICY_OBJECT)
		error = index_read(d->index, pick_sampled, batch);
	return error;
}

/* --- removing --- */

static int remove_records(struct index_txn *txn, void *argument)
{
	struct batch *batch = argument;
	int error = 0;

	contents_begin(&batch->contents, txn, 0);
	for (unsigned i = 0; i < batch->count; i++)
		batch->victims[i].out = batch->victims[i].gone;
	for (unsigned i = 0; i < batch->count && !error; i++) {
		struct victim *victim = &batch->victims[i];
		bool done;

		if (victim->gone)
			continue;
		error = victim->is_segment
				? contents_drop_segment(&batch->contents, victim->segment,
							RECORDS_MAX, &done)
				: contents_drop_object(&batch->contents, &victim->id, RECORDS_MAX,
						       &done);
		if (!error && done)
			error = index_member_delete(txn, victim->list, victim->list_number,
						    &victim->id);
		victim->out = done;
		if (!done)
			break; /* the rest of a large object in a transaction of its own */
	}
	return error ? error : contents_finish(&batch->contents);
}

static int unlink_victim(struct directory *d, const struct victim *victim)
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

static void free_room(struct batch *batch)
{
	struct directory *d = batch->directory;
	uint64_t bytes = 0;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < batch->contents.change_count; i++) {
		const struct contents_change *change = &batch->contents.changes[i];
		int64_t delta = change->files + change->segments;

		space_change(&d->space, delta);
		datasets_add(&d->policy.datasets, change->dataset, delta);
		if (delta < 0)
			bytes += (uint64_t)-delta;
	}
	directory_account_locked(d);
	pthread_mutex_unlock(&d->lock);
	counter_add(d->counters, STORE_EVICTED_BYTES, bytes);
}

static int unlink_out(struct batch *batch)
{
	struct directory *d = batch->directory;
	int error = 0;

	for (unsigned i = 0; i < batch->count && !error; i++) {
		struct victim *victim = &batch->victims[i];

		if (!victim->out || victim->gone)
			continue;
		error = unlink_victim(d, victim);
		victim->gone = true;
		counter_add(d->counters, STORE_EVICTED_OBJECTS, 1);
	}
	return error;
}

static bool all_gone(const struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		if (!batch->victims[i].gone)
			return false;
	}
	return true;
}

/* A full file system may not even have room for the transaction that removes: files first, then.
 * Whoever looks for them meanwhile finds a record without a file, which is a miss. */
static int unlink_first(struct batch *batch)
{
	int error = 0;

	for (unsigned i = 0; i < batch->count && !error; i++)
		error = unlink_victim(batch->directory, &batch->victims[i]);
	return error;
}

static int remove_batch(struct batch *batch)
{
	struct directory *d = batch->directory;
	int error = 0;

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
		free_room(batch);
	}
	return error;
}

static void release(struct batch *batch)
{
	struct directory *d = batch->directory;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < batch->count; i++) {
		const struct victim *victim = &batch->victims[i];

		if (victim->is_segment)
			segments_release(&d->segments, victim->segment);
		else
			pending_release(&d->pending, &victim->id);
	}
	pthread_mutex_unlock(&d->lock);
}

bool evict_some(struct directory *d)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	struct policy_space space;
	bool spare, more;
	int error;

	if (!batch)
		return false;
	batch->directory = d;
	random_init(&batch->random, random_seed());
	pthread_mutex_lock(&d->lock);
	space = space_view(&d->space, d->spare);
	spare = d->spare;
	batch->wanted = space.used > space.low ? space.used - space.low : 0;
	if (batch->wanted > 0)
		batch->who = d->policy.ops->victim(&d->policy, &space);
	pthread_mutex_unlock(&d->lock);
	error = batch->wanted > 0 ? pick(batch, spare) : 0;
	if (!error)
		error = remove_batch(batch);
	release(batch);
	if (error)
		directory_error(d, "eviction", error);
	more = !error && batch->count > 0;
	free(batch);
	if (more)
		directory_measure(d);
	return more;
}

/*
 * take.c - candidates that give way: whole files and segments into evict.c's batch, single blocks
 * out of their files. Each is looked at once more, held, before it goes: it may have been used,
 * written or removed since it was seen, or be owned by now.
 */
#include <errno.h>
#include <string.h>

#include "cache/store/replicas/replicas.h"

#define LOOKS_MAX 64 /* candidates looked at again, in one round */

/* --- objects --- */

/* The candidate as it is now: its blocks into @scan. -ENOENT: gone; -ESTALE: used since. */
static int look_at(struct index_txn *txn, void *argument)
{
	struct replicas *r = argument;
	const struct candidate *candidate = &r->candidates[r->next];
	struct scan *scan = &r->scan;
	struct record_object record;
	int error = index_object_get(txn, &candidate->id, &record);

	scan->count = scan->block_count = 0;
	if (error)
		return error == -EBADMSG ? -ENOENT : error;
	if (record.segment || record.tick > candidate->tick)
		return -ESTALE;
	scan->block = candidate->from;
	error = scan_object(txn, scan, &candidate->id, &record);
	if (error < 0)
		return error;
	return scan->count == 0 ? -ENOENT : 0;
}

/* look_at() uses the scan's buffers, but must not move the lap. */
static int look(struct replicas *r, const struct seen **out_seen)
{
	uint64_t block = r->scan.block;
	int error = index_read(r->directory->index, look_at, r);

	r->scan.block = block;
	*out_seen = &r->scan.seen[0];
	return error;
}

static unsigned count_owned(const struct replicas *r, const struct seen *seen)
{
	unsigned owned = 0;

	for (unsigned i = seen->first; i < seen->first + seen->count; i++)
		owned += directory_owns(r->directory, &seen->id, r->scan.blocks[i]);
	return owned;
}

static bool is_whole(const struct replicas *r, const struct seen *seen)
{
	return seen->from == 0 && seen->last && count_owned(r, seen) == 0;
}

/* A file without an owned block, held from the last look on: 1, or 0 or an error. */
static int take_file(struct replicas *r, struct evict_batch *batch, const struct seen *seen)
{
	struct evict_victim victim = {
		.id = seen->id,
		.bytes = r->candidates[r->next].bytes,
		.list = INDEX_MEMBER_FILE,
		.list_number = seen->dataset,
	};
	int error;

	if (!is_whole(r, seen) || !evict_add(batch, &victim))
		return 0;
	/* What was committed before it was held has not been judged. */
	error = look(r, &seen);
	if (!error && is_whole(r, seen)) {
		batch->replica_blocks += seen->count;
		return 1;
	}
	evict_undo(batch);
	return error;
}

/* Those that are replicas, as many as may be punched at once. Return: their bytes. */
static uint64_t hold_blocks(struct replicas *r, const struct seen *seen)
{
	struct directory *d = r->directory;
	uint64_t bytes = 0;

	for (unsigned i = seen->first; i < seen->first + seen->count; i++) {
		struct hole hole = { .id = seen->id, .block = r->scan.blocks[i] };
		bool held;

		if (r->hole_count == HOLES_MAX)
			break;
		if (directory_owns(d, &hole.id, hole.block))
			continue;
		pthread_mutex_lock(&d->lock);
		held = pending_hold_block(&d->pending, &hole.id, hole.block);
		pthread_mutex_unlock(&d->lock);
		if (!held)
			continue;
		r->holes[r->hole_count++] = hole;
		bytes += object_block_len(seen->size, hole.block, d->block_len);
	}
	return bytes;
}

static int drop_blocks(struct index_txn *txn, void *argument)
{
	struct replicas *r = argument;
	int error = 0;

	r->emptied_count = 0;
	contents_begin(&r->contents, txn, 0);
	for (unsigned i = 0; i < r->hole_count && !error; i++) {
		const struct hole *hole = &r->holes[i];
		bool empty;

		error = contents_drop_block(&r->contents, &hole->id, hole->block, &empty);
		if (!error && empty)
			r->emptied[r->emptied_count++] = hole->id;
	}
	return error ? error : contents_finish(&r->contents);
}

/* Gives the held blocks back, in the order that a power cut may interrupt anywhere. */
static int cut(struct replicas *r)
{
	struct directory *d = r->directory;
	int error;

	if (r->hole_count == 0)
		return 0;
	for (unsigned i = 0; i < r->hole_count; i++)
		handouts_forget(&d->handouts, &r->holes[i].id);
	error = index_update(d->index, drop_blocks, r);
	if (!error) {
		holes_punch(d, r->holes, r->hole_count);
		evict_account(d, &r->contents, true);
		counter_add(d->counters, STORE_REPLICAS_EVICTED, r->hole_count);
	}
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < r->hole_count; i++)
		pending_release_block(&d->pending, &r->holes[i].id, r->holes[i].block);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < r->emptied_count && !error; i++)
		sweep_forgotten(d, &r->emptied[i]);
	r->hole_count = 0;
	return error;
}

/* Return: bytes that go, 0 or an error. */
static int64_t take_object(struct replicas *r, struct evict_batch *batch)
{
	const struct seen *seen;
	int taken = look(r, &seen);

	if (taken == 0)
		taken = take_file(r, batch, seen);
	if (taken == -ENOENT || taken == -ESTALE)
		return 0;
	if (taken)
		return taken < 0 ? taken : (int64_t)r->candidates[r->next].bytes;
	return holes_allowed(r->directory, &seen->id) ? (int64_t)hold_blocks(r, seen) : 0;
}

/* --- segments --- */

struct segment_look {
	struct replicas *replicas;
	uint32_t segment;
	unsigned count, kept; /* members; the first @kept of them are owned */
	uint64_t owned_bytes;
	struct record_segment record;
};

static int look_at_segment(struct index_txn *txn, void *argument)
{
	struct segment_look *look = argument;
	int error = index_segment_get(txn, look->segment, &look->record);
	int count;

	if (error)
		return error == -EBADMSG ? -ENOENT : error;
	count = index_member_list(txn, INDEX_MEMBER_PACKED, look->segment, NULL,
				  look->replicas->members, SEGMENT_OBJECTS_MAX);
	look->count = count < 0 ? 0 : (unsigned)count;
	return count < 0 ? count : 0;
}

/* Owned members to the front. */
static void sort_members(struct segment_look *look)
{
	struct object_id *members = look->replicas->members;

	look->kept = 0;
	for (unsigned i = 0; i < look->count; i++) {
		struct object_id member = members[i];

		if (!directory_owns(look->replicas->directory, &member, 0))
			continue;
		members[i] = members[look->kept];
		members[look->kept++] = member;
	}
}

/* The members behind the owned ones; those that have moved to another segment stay. */
static int drop_members(struct index_txn *txn, void *argument)
{
	struct segment_look *look = argument;
	struct contents *contents = &look->replicas->contents;
	const struct object_id *members = look->replicas->members;
	unsigned end = look->count;
	int error = 0;

	if (end - look->kept > EVICT_RECORDS_MAX)
		end = look->kept + EVICT_RECORDS_MAX;
	contents_begin(contents, txn, 0);
	for (unsigned i = look->kept; i < end && !error; i++) {
		struct record_object record;
		bool empty;

		error = index_object_get(txn, &members[i], &record);
		if (!error && record.segment == look->segment)
			error = contents_drop_block(contents, &members[i], 0, &empty);
		if (error == -ENOENT || error == -EBADMSG)
			error = 0;
	}
	return error ? error : contents_finish(contents);
}

/* Bytes of the owned members, to know what would stay. */
static int weigh_owned(struct index_txn *txn, void *argument)
{
	struct segment_look *look = argument;

	look->owned_bytes = 0;
	for (unsigned i = 0; i < look->kept; i++) {
		struct record_object record;
		int error = index_object_get(txn, &look->replicas->members[i], &record);

		if (error == -ENOENT || error == -EBADMSG)
			continue;
		if (error)
			return error;
		look->owned_bytes += record.size;
	}
	return 0;
}

/* A segment in which both are. Return: bytes that are no longer named, 0 or an error. */
static int64_t thin_out(struct segment_look *look)
{
	struct directory *d = look->replicas->directory;
	int error = index_read(d->index, weigh_owned, look);

	/* As evict.c judges what is mostly holes. */
	if (error || look->owned_bytes >= look->record.len / 2)
		return error;
	look->replicas->mixed = true;
	if (!look->replicas->thin)
		return 0;
	error = index_update(d->index, drop_members, look);
	if (error)
		return error;
	counter_add(d->counters, STORE_REPLICAS_EVICTED, look->count - look->kept);
	pthread_mutex_lock(&d->lock);
	d->spare = true;
	pthread_mutex_unlock(&d->lock);
	return (int64_t)(look->record.len - look->owned_bytes);
}

static int64_t take_segment(struct replicas *r, struct evict_batch *batch)
{
	const struct candidate *candidate = &r->candidates[r->next];
	struct evict_victim victim = { .is_segment = true,
				       .segment = candidate->segment,
				       .list = INDEX_MEMBER_SEGMENT };
	struct segment_look look = { .replicas = r, .segment = candidate->segment };
	int64_t taken = 0;
	int error;

	index_segment_id(victim.segment, &victim.id);
	if (!evict_add(batch, &victim))
		return 0;
	error = index_read(r->directory->index, look_at_segment, &look);
	if (error || look.record.tick > candidate->tick) {
		evict_undo(batch);
		return error == -ENOENT ? 0 : error;
	}
	sort_members(&look);
	if (look.kept == 0) {
		batch->victims[batch->count - 1].list_number = look.record.dataset;
		batch->replica_blocks += look.count;
		return (int64_t)contents_charge(look.record.len);
	}
	taken = thin_out(&look);
	evict_undo(batch);
	return taken;
}

/* --- both --- */

int replicas_take(struct replicas *r, struct evict_batch *batch)
{
	int64_t taken = 0;

	batch->wanted = UINT64_MAX; /* the quota says when it is enough */
	for (unsigned looks = 0; looks < LOOKS_MAX && r->quota > 0 && r->next < r->count; looks++) {
		if (evict_full(batch) || r->hole_count == HOLES_MAX)
			break;
		taken = r->candidates[r->next].segment ? take_segment(r, batch)
						       : take_object(r, batch);
		if (taken < 0)
			break;
		r->gave |= taken > 0;
		r->quota -= (uint64_t)taken < r->quota ? (uint64_t)taken : r->quota;
		r->next++;
	}
	if (taken >= 0)
		return cut(r);
	cut(r);
	return (int)taken;
}

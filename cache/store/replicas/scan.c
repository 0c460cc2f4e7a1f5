/*
 * scan.c - looking through the index for blocks that this node does not own, a portion at a time.
 * Ownership is asked outside of the transaction: it is others' code.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/store/replicas/replicas.h"

#define PIECE_BLOCKS   1024 /* of an object, judged at once */
#define ESTIMATE_SCANS 64   /* portions that a count looks at */

/* Of a packed object: the time of its segment, which is what goes. */
static int see_segment(struct index_txn *txn, struct scan *scan, struct seen *seen)
{
	struct record_segment segment;
	int error = index_segment_get(txn, seen->segment, &segment);

	if (error)
		return error == -ENOENT || error == -EBADMSG ? 0 : error;
	seen->tick = segment.tick;
	seen->first = scan->block_count;
	seen->count = 1;
	scan->blocks[scan->block_count++] = 0;
	scan->count++;
	return 0;
}

int scan_object(struct index_txn *txn, struct scan *scan, const struct object_id *id,
		const struct record_object *record)
{
	unsigned room = SCAN_BLOCKS - scan->block_count;
	struct seen *seen = &scan->seen[scan->count];
	int count;

	*seen = (struct seen){ .id = *id,
			       .size = record->size,
			       .tick = record->tick,
			       .from = scan->block,
			       .segment = record->segment,
			       .dataset = record->dataset,
			       .last = true };
	if (record->segment) {
		int error = see_segment(txn, scan, seen);

		return error ? error : 1;
	}
	if (room > PIECE_BLOCKS)
		room = PIECE_BLOCKS;
	count = index_block_list(txn, id, scan->block, scan->blocks + scan->block_count, room);
	if (count <= 0)
		return count < 0 ? count : 1;
	seen->first = scan->block_count;
	seen->count = (unsigned)count;
	seen->last = (unsigned)count < room;
	scan->block_count += seen->count;
	scan->block = scan->blocks[scan->block_count - 1] + 1;
	scan->count++;
	return seen->last;
}

int scan_portion(struct index_txn *txn, void *argument)
{
	struct scan *scan = argument;

	scan->count = scan->block_count = 0;
	scan->end = false;
	while (scan->count < SCAN_OBJECTS && scan->block_count < SCAN_BLOCKS) {
		struct record_object record;
		struct object_id id;
		int whole = 1;
		int error = index_object_next(txn, &scan->id, &id, &record);

		scan->end = error == -ENOENT;
		if (error)
			return scan->end ? 0 : error;
		if (!object_id_equal(&id, &scan->id))
			scan->block = 0;
		scan->id = id;
		if (record.size > 0) /* else it is damaged */
			whole = scan_object(txn, scan, &id, &record);
		if (whole < 0)
			return whole;
		if (whole == 0)
			continue;
		scan->block = 0;
		scan->end = !listing_next_id(&scan->id);
		if (scan->end)
			break;
	}
	return 0;
}

uint64_t scan_replica_bytes(const struct directory *d, const struct scan *scan,
			    const struct seen *seen)
{
	uint64_t bytes = 0;

	for (unsigned i = seen->first; i < seen->first + seen->count; i++) {
		uint64_t block = scan->blocks[i];

		if (!directory_owns(d, &seen->id, block))
			bytes += object_block_len(seen->size, block, d->block_len);
	}
	return bytes;
}

/* --- counting --- */

struct tally {
	uint64_t replicas, all;
};

static void tally_scan(const struct directory *d, const struct scan *scan, struct tally *tally)
{
	for (unsigned i = 0; i < scan->count; i++) {
		const struct seen *seen = &scan->seen[i];

		tally->replicas += scan_replica_bytes(d, scan, seen);
		for (unsigned j = seen->first; j < seen->first + seen->count; j++)
			tally->all += object_block_len(seen->size, scan->blocks[j], d->block_len);
	}
}

/* Ids are uniformly distributed: where there are too many objects to count them all, the first ones
 * are a random sample, and always the same. */
static int count(struct directory *d, struct scan *scan, struct tally *out, bool *out_all)
{
	struct tally tally = { 0 };
	int error = 0;

	memset(&scan->id, 0, sizeof(scan->id));
	scan->block = 0;
	scan->end = false;
	for (unsigned i = 0; i < ESTIMATE_SCANS && !scan->end && !error; i++) {
		error = index_read(d->index, scan_portion, scan);
		if (!error)
			tally_scan(d, scan, &tally);
	}
	*out = tally;
	*out_all = scan->end;
	return error;
}

uint64_t directory_replica_bytes(struct directory *d)
{
	struct scan *scan;
	struct tally tally = { 0 };
	uint64_t used;
	bool all = true;
	int error;

	if (!d->owner || !directory_enter(d))
		return 0;
	scan = calloc(1, sizeof(*scan));
	error = scan ? count(d, scan, &tally, &all) : -ENOMEM;
	free(scan);
	if (error)
		directory_error(d, "index", error);
	pthread_mutex_lock(&d->lock);
	used = d->space.used;
	pthread_mutex_unlock(&d->lock);
	directory_leave(d);
	if (all || tally.all == 0)
		return tally.replicas;
	return (uint64_t)((double)tally.replicas / (double)tally.all * (double)used);
}

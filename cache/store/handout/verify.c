/*
 * verify.c - the verifier, a thread of a directory: reads objects whole and compares every granule
 * with its check. By direct I/O, as all our reads of object files: what is in the page cache is not
 * what is on the disk. First those that are queued to be handed out, and when there are none, all
 * complete ones in turn at a bounded rate: the scrub, for what rots later. A granule that does not
 * match is treated as one that a reader found: its block is dropped, counted, logged and fetched
 * again by who wants it; the file is not handed out (any more).
 *
 * One read of at most PIECE_LEN at a time, so it takes from readers what one more of them would.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/store/directory.h"
#include "cache/store/handout/piece.h"

#define MISSING_MAX 4 /* blocks that are asked for again */
#define GAPS_LOOK   256
#define TELL_NS	    (NS_PER_S / 10)
#define SCAN_MAX    256	     /* objects looked at by one transaction */
#define IDLE_NS	    NS_PER_S /* between two laps of the scrub that found nothing */

struct verifier {
	struct directory *directory;
	struct piece piece;
	/* the scrub */
	struct object_id at; /* the object it is in, or goes on with */
	uint64_t size, off;  /* of it; 0: in none */
	uint64_t next_ns;    /* when it may go on; the machine's clock */
	uint64_t told_ns;    /* until when nobody is told what is missing */
	bool found;	     /* anything in this lap */
};

static bool ending(struct directory *d)
{
	bool ends;

	pthread_mutex_lock(&d->handouts.lock);
	ends = d->handouts.ending;
	pthread_mutex_unlock(&d->handouts.lock);
	return ends;
}

/* The piece of an object at @off. Return: its length, or an error. */
static int64_t read_at(struct verifier *v, const struct object_id *id, uint64_t size, uint64_t off)
{
	struct directory *d = v->directory;
	uint32_t in_block = (uint32_t)(off % d->block_len);
	uint32_t len = object_block_len(size, off / d->block_len, d->block_len) - in_block;
	int error;

	if (len > PIECE_LEN)
		len = PIECE_LEN;
	error = piece_read(&v->piece, d, id, off / d->block_len, in_block / GRANULE_LEN, len);
	return error ? error : (int64_t)len;
}

static bool read_all(struct verifier *v, const struct object_id *id, uint64_t size)
{
	for (uint64_t off = 0; off < size;) {
		int64_t len = ending(v->directory) ? -ECANCELED : read_at(v, id, size, off);

		if (len < 0)
			return false;
		off += (uint64_t)len;
		counter_add(v->directory->counters, STORE_VERIFY_BYTES, (uint64_t)len);
	}
	return true;
}

struct gaps {
	struct object_id id;
	uint64_t block_count;
	unsigned count;
	uint64_t blocks[MISSING_MAX];
};

static int find_gaps(struct index_txn *txn, void *argument)
{
	struct gaps *gaps = argument;
	uint64_t named[GAPS_LOOK], next = 0;
	int count = GAPS_LOOK;

	gaps->count = 0;
	while (count == GAPS_LOOK) {
		count = index_block_list(txn, &gaps->id, next, named, GAPS_LOOK);
		if (count < 0)
			return count;
		for (int i = 0; i <= count; i++) {
			uint64_t end = i < count ? named[i] : gaps->block_count;

			if (i == count && count == GAPS_LOOK)
				break;
			for (; next < end && gaps->count < MISSING_MAX; next++)
				gaps->blocks[gaps->count++] = next;
			next = end + 1;
		}
	}
	return 0;
}

/* Of an object that misses few blocks: whoever has them in memory shall write them again. No more
 * often than now and then, lest a disk that loses what it is given keeps us all busy. */
static void tell_missing(struct verifier *v, const struct handout_query *query)
{
	struct directory *d = v->directory;
	const struct store_lost *lost = atomic_load(&d->lost);
	uint64_t now_ns = clock_now_ns(clock_system());
	struct gaps gaps = { .id = query->id,
			     .block_count = (query->size + d->block_len - 1) / d->block_len };

	if (!lost || query->resident == query->size ||
	    query->size - query->resident > (uint64_t)MISSING_MAX * d->block_len ||
	    now_ns < v->told_ns)
		return;
	v->told_ns = clock_after_ns(now_ns, TELL_NS);
	if (index_read(d->index, find_gaps, &gaps) != 0)
		return;
	for (unsigned i = 0; i < gaps.count; i++)
		if (directory_owns(d, &gaps.id, gaps.blocks[i]))
			lost->lost(lost->context, &gaps.id, gaps.blocks[i]);
}

static void verify(struct verifier *v, const struct object_id *id)
{
	struct directory *d = v->directory;
	struct handout_query query = { .id = *id };
	bool ok = false;

	if (directory_enter(d)) {
		bool named = handout_look(d, &query) == 0;

		ok = named && query.complete && read_all(v, id, query.size);
		if (named && !query.complete)
			tell_missing(v, &query);
		directory_leave(d);
	}
	if (handouts_verified(&d->handouts, id, ok))
		counter_add(d->counters, STORE_VERIFIED, 1);
}

/* --- the scrub --- */

struct scan {
	struct object_id from, id;
	uint64_t size; /* of the next complete object; 0: not yet */
	bool end;
};

static int scan_objects(struct index_txn *txn, void *argument)
{
	struct scan *scan = argument;
	struct object_id from = scan->from;

	scan->size = 0;
	scan->end = false;
	for (unsigned i = 0; i < SCAN_MAX; i++) {
		struct record_object record;
		int error = index_object_next(txn, &from, &scan->id, &record);

		scan->end = error == -ENOENT;
		if (error)
			return scan->end ? 0 : error;
		from = scan->id;
		if (!record.segment && record.size > 0 && record.resident == record.size) {
			scan->size = record.size;
			return 0;
		}
		scan->end = !listing_next_id(&from);
		if (scan->end)
			return 0;
	}
	scan->id = from;
	return 0;
}

/* Moves to the next complete object. Return: false when there is none here; then again later. */
static bool scrub_next(struct verifier *v)
{
	struct scan scan = { .from = v->at };
	int error = index_read(v->directory->index, scan_objects, &scan);

	if (error || scan.end) {
		memset(&v->at, 0, sizeof(v->at));
		if (!v->found)
			v->next_ns = clock_after_ns(clock_now_ns(clock_system()), IDLE_NS);
		v->found = false;
		return false;
	}
	v->at = scan.id;
	v->size = scan.size;
	v->off = 0;
	v->found |= scan.size > 0;
	return scan.size > 0;
}

static void scrub_leave(struct verifier *v)
{
	v->size = 0;
	if (!listing_next_id(&v->at))
		memset(&v->at, 0, sizeof(v->at));
}

static void log_rot(const struct verifier *v)
{
	char id[OBJECT_ID_TEXT_LEN];

	digest_hex(v->at.bytes, OBJECT_ID_LEN, id);
	counter_add(v->directory->counters, STORE_ROTTEN, 1);
	log_warning("store.scrub",
		    "directory=%s object=%s has rotted: a new file takes its place, and the "
		    "block is fetched again when it is read",
		    v->directory->path, id);
}

static void scrub(struct verifier *v, uint64_t rate)
{
	struct directory *d = v->directory;
	uint64_t now_ns = clock_now_ns(clock_system());
	int64_t len = 0;

	if (!directory_enter(d)) {
		v->next_ns = clock_after_ns(now_ns, IDLE_NS);
		return;
	}
	if (v->size > 0 || scrub_next(v)) {
		len = read_at(v, &v->at, v->size, v->off);
		if (len == -EBADMSG)
			log_rot(v);
		if (len > 0)
			v->off += (uint64_t)len;
		if (len <= 0 || v->off >= v->size)
			scrub_leave(v);
	}
	directory_leave(d);
	if (len <= 0)
		return;
	counter_add(d->counters, STORE_SCRUB_BYTES, (uint64_t)len);
	v->next_ns = clock_after_ns(now_ns, (uint64_t)((double)len * 1e9 / (double)rate));
}

/* --- the thread --- */

enum work {
	WORK_VERIFY,
	WORK_SCRUB,
	WORK_END,
};

static enum work wait_work(struct verifier *v, uint64_t *out_rate)
{
	struct handouts *handouts = &v->directory->handouts;
	enum work work = WORK_END;

	pthread_mutex_lock(&handouts->lock);
	while (!handouts->ending) {
		uint64_t now_ns = clock_now_ns(clock_system());

		work = WORK_VERIFY;
		if (handouts->queued > 0)
			break;
		work = WORK_SCRUB;
		*out_rate = handouts->scrub_rate;
		if (handouts->scrub_rate > 0 && now_ns >= v->next_ns)
			break;
		(void)thread_cond_wait_until(&handouts->wake, &handouts->lock,
					     handouts->scrub_rate > 0 ? v->next_ns : CLOCK_NEVER);
	}
	if (handouts->ending)
		work = WORK_END;
	pthread_mutex_unlock(&handouts->lock);
	return work;
}

void verifier_main(struct directory *d)
{
	struct verifier v = { .directory = d };
	struct object_id id;
	uint64_t rate = 0;
	enum work work;

	if (piece_init(&v.piece)) {
		log_error("store.verify",
			  "directory=%s no memory for the verifier: nothing is handed out",
			  d->path);
		return;
	}
	while ((work = wait_work(&v, &rate)) != WORK_END) {
		if (work == WORK_SCRUB)
			scrub(&v, rate);
		else if (handouts_next(&d->handouts, &id))
			verify(&v, &id);
	}
	piece_fini(&v.piece);
}

/*
 * replicas.h - blocks that this node does not own, and how they give way: the least recently used
 * first, and only as far as room is needed. Between the files of this folder; for the rest of the
 * store it is in directory.h.
 *
 * Who owns what is asked when needed and never stored: it moves as members come and go, and a flag
 * in the index would lie. So replicas are found by looking (scan.c): ids are uniformly distributed,
 * so the objects that follow any id are a random sample. They are looked at, a portion per round,
 * until the replicas among them hold SAMPLE times the bytes that are wanted (and are
 * CANDIDATES_MIN), or there are CANDIDATES_MAX, or the lap is over; then the oldest of them go. So
 * what is few is seen whole and goes in exact order; what is much is sampled as by lru. A lap in
 * which nothing could go ends the search for a while (replicas.c).
 *
 * What goes (take.c) is
 *	a file of which this node owns nothing: unlinked (by evict.c's batch);
 *	blocks in a file of which it owns others: dropped from the index, then punched;
 *	a segment with no owned object: unlinked; one that is mostly replicas: they are dropped from
 *	the index, and evict.c gives segments back that are mostly holes. That costs the owned ones
 *	in them as well, so it comes last, in a lap of its own. In other segments replicas stay: no
 *	byte would come back. The writer keeps the two apart, so that such segments are rare.
 *
 * Threads: struct replicas is the keeper's.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/store/evict.h"

#define SCAN_OBJECTS   256 /* looked at in one transaction */
#define SCAN_BLOCKS    4096
#define HOLES_MAX      1024 /* made with one transaction */
#define CANDIDATES_MIN 1024 /* so many are seen in any case, if there are */
#define CANDIDATES_MAX 4096
#define SAMPLE	       16

static_assert(HOLES_MAX <= CONTENTS_DATASETS_MAX, "each hole may be in another dataset");

/* Blocks of an object from the index; of a large one those from @from on. */
struct seen {
	struct object_id id;
	uint64_t size, tick;
	uint64_t from;
	uint32_t segment; /* packed: then the tick is the segment's */
	uint32_t dataset;
	unsigned first, count; /* of its blocks in scan.blocks */
	bool last;	       /* it has none behind them */
};

struct scan {
	struct object_id id; /* where it goes on, */
	uint64_t block;	     /* and with which block of that object */
	bool end;
	unsigned count, block_count;
	struct seen seen[SCAN_OBJECTS];
	uint64_t blocks[SCAN_BLOCKS];
};

/* An object, a piece of one, or a segment with replicas. */
struct candidate {
	struct object_id id;
	uint64_t from;
	uint64_t tick;
	uint64_t bytes; /* of replicas */
	uint32_t segment;
};

struct replicas {
	struct directory *directory;
	struct random random;
	/* the lap: from a random id round to it again */
	bool lapping, wrapped, over;
	bool whole;    /* all candidates of the lap are here */
	bool gave;     /* something went in this lap */
	bool thin;     /* this lap is for segments of both */
	bool mixed;    /* there are some */
	uint64_t news; /* that there had been when it began */
	struct object_id start;
	/* what was found, and whether it is being taken */
	bool taking;
	unsigned count, next;
	uint64_t bytes;
	uint64_t quota; /* left to take */
	struct candidate candidates[CANDIDATES_MAX];
	struct scan scan;
	/* blocks to be punched */
	unsigned hole_count, emptied_count;
	struct hole holes[HOLES_MAX];
	struct object_id emptied[HOLES_MAX];
	struct object_id members[SEGMENT_OBJECTS_MAX];
	struct contents contents;
};

/* --- scan.c --- */

/** scan_portion() - body of index_read(): the next objects with blocks here, from scan.id and
 *  scan.block on. */
int scan_portion(struct index_txn *txn, void *scan);

/** scan_object() - an object, or its next piece. Return: 1: to its end; 0: the rest later; or an
 *  error. */
int scan_object(struct index_txn *txn, struct scan *scan, const struct object_id *id,
		const struct record_object *record);

/** scan_replica_bytes() - of the blocks of @seen that this node does not own. */
uint64_t scan_replica_bytes(const struct directory *directory, const struct scan *scan,
			    const struct seen *seen);

/* --- take.c --- */

/** replicas_take() - some of the candidates, from @next on, as far as @quota and @batch go.
 *  Return: 0 or an error. */
int replicas_take(struct replicas *replicas, struct evict_batch *batch);

/*
 * readahead.h - recognises how a handle is read and says what to fetch ahead. A pure machine, one
 * per open file, no locks: (state, this read) -> ranges.
 *
 *	sequential	once 128 KiB were read in sequence: whole blocks ahead, four times as much
 *			as was read so far, up to the limit; so a reader who leaves early has cost a
 *			few times what it read. At the limit, an eighth of it at a time
 *	strided		pieces at equal distances, forwards or backwards: the next pieces, twice as
 *			many as came so far
 *	anything else	nothing: a random reader must not be charged for its neighbours
 *
 * There are a few sequential streams, since one handle may be read by several threads at several
 * places. The reads of one stream may arrive a little out of order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define READAHEAD_STREAMS    4
#define READAHEAD_RANGES_MAX 4 /* a call asks for at most so many */

struct readahead_stream {
	uint64_t begin;
	uint64_t next;	/* end of the furthest read */
	uint64_t ahead; /* fetched up to here */
	uint32_t used;	/* the machine's tick; 0: unused. The least recently used one gives way */
	bool confirmed; /* a second read followed the first */
};

struct readahead_stride {
	uint64_t last;	   /* where the last piece began */
	uint64_t piece;	   /* its length */
	uint64_t distance; /* between the last two, modulo 2^64; 0: none yet */
	uint64_t ahead;	   /* where the last piece that was fetched ahead begins */
	uint32_t run;	   /* equal distances in sequence */
	uint32_t pieces;   /* that are ahead */
	bool started;
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	struct readahead_stride stride;
	uint32_t tick;
};

struct readahead_limits {
	uint64_t size;	/* of the file */
	uint64_t block; /* what a sequential fetch is rounded to */
	uint64_t max;	/* bytes ahead; 0: never anything */
};

struct readahead_range {
	uint64_t off, len;
};

struct readahead_advice {
	bool random; /* the read belongs to no sequence, and is small */
	unsigned count;
	struct readahead_range ranges[READAHEAD_RANGES_MAX];
};

/**
 * readahead_read() - [off, off + len), inside the file, is being read; what to fetch ahead.
 * What is advised counts as fetched, unless readahead_refused() says otherwise.
 */
void readahead_read(struct readahead *readahead, const struct readahead_limits *limits,
		    uint64_t off, uint64_t len, struct readahead_advice *out);

/** readahead_refused() - of what was advised, nothing from @off on was fetched. */
void readahead_refused(struct readahead *readahead, uint64_t off);

/*
 * siblings.h - recognises the files of a directory being read one after the other, in the order of
 * its listing, and says which to fetch ahead. Small files over S3 are bound by latency, not by
 * bandwidth: with one file ahead a reader waits a round trip for each, with 64 ahead for none.
 *
 * A pure machine, one per directory, no locks: (state, index of the file now read) -> a range of
 * indices. It keeps a few streams, so that several jobs at different places do not break each
 * other's sequence, and tolerates the disorder that several workers make of one sequence.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIBLINGS_STREAMS   4
#define SIBLINGS_AHEAD_MAX 64 /* files */
#define SIBLINGS_AHEAD_MIN 4
#define SIBLINGS_RUN_MIN   2 /* files in sequence before anything is fetched ahead */

struct siblings_stream {
	uint32_t next;	 /* one above the highest index read */
	uint32_t end;	 /* one above the highest index fetched ahead; >= next */
	uint16_t run;	 /* files that came in sequence; 0: unused */
	uint16_t window; /* files to be ahead */
	uint32_t used;	 /* the machine's tick: the least recently used stream gives way */
};

struct siblings {
	struct siblings_stream streams[SIBLINGS_STREAMS];
	uint32_t tick;
};

/* Files [first, end) are to be fetched, in this order; empty when first == end. */
struct siblings_range {
	uint32_t first, end;
	/* Of readers who do not tell of each file that they read: when @mark, or the first one from
	 * there on, is told of, the next range comes as early as if all were. The last one must be,
	 * or the sequence is lost. */
	uint32_t mark;
};

/** siblings_reset() - forgets everything: the listing is another one. */
void siblings_reset(struct siblings *siblings);

/**
 * siblings_read() - file @index is being read for the first time by some handle.
 * The range counts as fetched, unless siblings_refused() says otherwise.
 */
struct siblings_range siblings_read(struct siblings *siblings, uint32_t index);

/** siblings_refused() - of the last range, nothing from @index on was fetched. */
void siblings_refused(struct siblings *siblings, uint32_t index);

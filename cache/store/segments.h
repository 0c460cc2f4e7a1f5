/*
 * segments.h - the segments being appended to: one a dataset for its placed objects and one for its
 * replicas (so that replicas go in whole files, and no placed object with them), at most
 * SEGMENTS_OPEN_MAX descriptors, the least recently used one is closed. A segment with uncommitted
 * objects stays. Only the writer opens and appends; eviction holds a segment while it removes it.
 *
 * Threads: none of its own; the directory's lock covers the table. A segment that segments_take()
 * gave out stays where it is until segments_put().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SEGMENTS_OPEN_MAX   64
#define SEGMENTS_HELD_MAX   64
#define SEGMENT_OBJECTS_MAX 16384

#define SEGMENTS_REPLICAS (UINT32_C(1) << 31) /* set in the dataset's number: its replicas */

struct segment {
	uint32_t number;  /* 0: free place */
	uint32_t dataset; /* perhaps with SEGMENTS_REPLICAS */
	uint32_t len;	  /* where the next object goes; the writer's */
	uint32_t count;	  /* objects; the writer's */
	int fd;		  /* the writer's, -1 until it opened it; a committer's while refs > 0 */
	unsigned refs;	  /* objects written and not committed, and the writer */
	bool created;	  /* its file was made since the last commit */
	uint64_t used;	  /* order of use */
};

struct segments {
	struct segment open[SEGMENTS_OPEN_MAX];
	uint32_t held[SEGMENTS_HELD_MAX];
	unsigned held_count;
	uint32_t next; /* number of the next new one */
	uint64_t use;
};

void segments_init(struct segments *segments);

/** segments_fini() - closes all; none is referenced. */
void segments_fini(struct segments *segments);

/** segments_find() - the open one of a dataset, referenced; NULL. */
struct segment *segments_find(struct segments *segments, uint32_t dataset);

/**
 * segments_add() - a place for segment @number of @dataset, referenced, fd -1.
 * @number: 0 for a new one.
 * @out_fd: a descriptor that the caller closes, or -1.
 * Return: NULL when @number is held, or all places are in use.
 */
struct segment *segments_add(struct segments *segments, uint32_t dataset, uint32_t number,
			     int *out_fd);

/** segments_get() - by number, for one that is referenced. */
struct segment *segments_get(struct segments *segments, uint32_t number);

void segments_ref(struct segment *segment);
void segments_put(struct segment *segment);

/** segments_retire() - full, or it failed: no longer found by its dataset; its descriptor is closed
 *  when its place is needed. Drops the caller's reference. */
void segments_retire(struct segment *segment);

/** segments_hold() - keeps writers off @number. @out_fd: a descriptor to close, or -1.
 *  Return: false when it is in use. */
bool segments_hold(struct segments *segments, uint32_t number, int *out_fd);
void segments_release(struct segments *segments, uint32_t number);

/** segments_known() - whether @number is open or held: it may not be in the index yet. */
bool segments_known(const struct segments *segments, uint32_t number);

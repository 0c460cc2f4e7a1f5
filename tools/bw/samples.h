/*
 * samples.h - the times of single reads. Least, greatest, mean and deviation are of all of them;
 * percentiles are exact up to SAMPLES_KEPT_MAX reads, and of a random choice of so many beyond.
 *
 * One thread's; merged when all have ended.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/random.h"

#define SAMPLES_KEPT_MAX     (1u << 20)
#define SAMPLES_BUCKETS_MAX  64
#define SAMPLES_BUCKET_STEPS 2 /* of the histogram, a power of two */

struct samples {
	uint64_t *kept; /* ns; NULL until the first */
	unsigned kept_count;
	unsigned kept_size;
	uint64_t count;
	uint64_t least, greatest;
	double mean, squares; /* Welford: squares / count is the variance */
	struct random random;
};

/* What a table shows, ns. */
struct samples_summary {
	uint64_t count, least, greatest, p50, p99, p999;
	double mean, deviation;
};

struct samples_bucket {
	uint64_t below_ns; /* and not below the one before */
	uint64_t count;	   /* scaled to all when only a part was kept */
};

/** samples_init() - empty; no memory yet. */
void samples_init(struct samples *samples, uint64_t seed);

/** samples_fini() - frees; may be called twice. */
void samples_fini(struct samples *samples);

/** samples_reset() - empty again; keeps the memory. */
void samples_reset(struct samples *samples);

/** samples_add() - Return: 0, -ENOMEM (@ns is not counted). */
int samples_add(struct samples *samples, uint64_t ns);

/** samples_merge() - adds all of @from. Return: 0, -ENOMEM (@into is as it was). */
int samples_merge(struct samples *into, const struct samples *from);

/** samples_summarize() - all 0 when empty. Sorts what is kept. */
void samples_summarize(struct samples *samples, struct samples_summary *out);

/** samples_histogram() - from the first bucket that holds something to the last. Return: how many,
 *  at most SAMPLES_BUCKETS_MAX. */
unsigned samples_histogram(const struct samples *samples,
			   struct samples_bucket out[SAMPLES_BUCKETS_MAX]);

/** samples_print_histogram() - a line a bucket, with a bar. */
void samples_print_histogram(const struct samples *samples, FILE *out);

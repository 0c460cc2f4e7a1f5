/*
 * histogram.h - latency distributions in bounded memory: log-linear buckets (as HDR histograms
 * have), 32 per power of two, so a value is known within 3.2 %. Range 0 .. 2^40-1 (ns: 18 min);
 * larger values count in the last bucket. Any thread records and reads (relaxed atomics).
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS     5
#define HISTOGRAM_BUCKET_COUNT ((40 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
	_Atomic uint64_t count;
	_Atomic uint64_t sum;
	_Atomic uint64_t max;
};

/** histogram_record() - counts @value once. */
void histogram_record(struct histogram *histogram, uint64_t value);

/**
 * histogram_quantile() - the smallest value that @per_mille of the values do not exceed, as its
 * bucket's upper bound (at most max); 0 when empty. @per_mille 0..1000.
 */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille);

/** histogram_mean() - sum / count, 0 when empty. */
uint64_t histogram_mean(const struct histogram *histogram);

/** histogram_bucket_index() - the bucket that counts @value. */
unsigned histogram_bucket_index(uint64_t value);

/** histogram_bucket_max() - a bucket's largest value; UINT64_MAX of the last, which has no end. */
uint64_t histogram_bucket_max(unsigned index);

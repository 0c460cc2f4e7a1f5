/*
 * histogram.c - log-linear buckets:
 *
 *	value        0 .. 31     32 .. 63     64 .. 127     128 .. 255      ...
 *	width           1            1            2              4
 *	index        0 .. 31     32 .. 63     64 .. 95       96 .. 127      ...
 */
#include "base/histogram.h"

#include <stdatomic.h>

#include "base/check.h"

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

unsigned histogram_bucket_index(uint64_t value)
{
	unsigned shift, index;

	if (value < SUB_COUNT)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	index = (shift + 1) * SUB_COUNT + ((unsigned)(value >> shift) - SUB_COUNT);
	return index < HISTOGRAM_BUCKET_COUNT ? index : HISTOGRAM_BUCKET_COUNT - 1;
}

uint64_t histogram_bucket_max(unsigned index)
{
	CHECK(index < HISTOGRAM_BUCKET_COUNT);
	if (index < SUB_COUNT)
		return index;
	if (index == HISTOGRAM_BUCKET_COUNT - 1)
		return UINT64_MAX;
	unsigned shift = index / SUB_COUNT - 1;
	uint64_t top = SUB_COUNT + index % SUB_COUNT;

	return ((top + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

	atomic_fetch_add_explicit(&histogram->buckets[histogram_bucket_index(value)], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
	while (value > max &&
	       !atomic_compare_exchange_weak_explicit(&histogram->max, &max, value,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* The rank, from 1, of the value asked for: ceil(count * per_mille / 1000) without overflow. */
static uint64_t quantile_rank(uint64_t count, unsigned per_mille)
{
	uint64_t rank = count / 1000 * per_mille + (count % 1000 * per_mille + 999) / 1000;

	return rank ? rank : 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille)
{
	uint64_t count = atomic_load_explicit(&histogram->count, memory_order_relaxed);
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
	uint64_t rank, seen = 0;

	CHECK(per_mille <= 1000);
	if (!count)
		return 0;
	rank = quantile_rank(count, per_mille);
	for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		seen += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
		if (seen >= rank) {
			uint64_t bound = histogram_bucket_max(i);

			return bound < max ? bound : max;
		}
	}
	return max; /* a record in flight: counted, its bucket not yet seen here */
}

uint64_t histogram_mean(const struct histogram *histogram)
{
	uint64_t count = atomic_load_explicit(&histogram->count, memory_order_relaxed);

	return count ? atomic_load_explicit(&histogram->sum, memory_order_relaxed) / count : 0;
}

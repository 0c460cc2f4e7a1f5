/*
 * counter.h - counters as tables. A room declares an enum and a table of the same order; the table
 * yields `cenote status`, its JSON and the man page. Values are relaxed atomics: any thread adds,
 * any thread reads.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum counter_kind {
	COUNTER_TOTAL, /* only grows; rates are computed by the reader */
	COUNTER_GAUGE, /* a level: goes up and down */
};

struct counter_spec {
	const char *name; /* "s3_get_bytes": room, what, unit */
	enum counter_kind kind;
	const char *unit; /* "bytes", "requests", "ns", "" */
	const char *help; /* one line */
};

struct counters {
	const char *room; /* "s3", "cache", "fuse" */
	const struct counter_spec *specs;
	unsigned count;
	_Atomic uint64_t *values; /* count of them */
};

/** counters_init() - @specs is borrowed for life; values start at 0. Return: 0 or -ENOMEM. */
int counters_init(struct counters *counters, const char *room, const struct counter_spec *specs,
		  unsigned count);

/** counters_fini() - NULL values are fine. */
void counters_fini(struct counters *counters);

static inline void counter_add(struct counters *counters, unsigned index, uint64_t amount)
{
	atomic_fetch_add_explicit(&counters->values[index], amount, memory_order_relaxed);
}

static inline void counter_sub(struct counters *counters, unsigned index, uint64_t amount)
{
	atomic_fetch_sub_explicit(&counters->values[index], amount, memory_order_relaxed);
}

static inline void counter_set(struct counters *counters, unsigned index, uint64_t value)
{
	atomic_store_explicit(&counters->values[index], value, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counters *counters, unsigned index)
{
	return atomic_load_explicit(&counters->values[index], memory_order_relaxed);
}

/*
 * policy.h - what is written to the SSD and what goes when there is no room: decisions only, no
 * files, no clock, no lock. Under every policy obsolete versions go first.
 *
 * epoch (default): admit until full, then keep. One pass over a dataset larger than the space gives
 *   every block the same chance to be needed next, and any block given up for a new one is a loss;
 *   LRU is the worst choice there is (at half the space: 15 % hits against 50). Across datasets the
 *   least recently used one gives way, once others have been refused 1/16 of the capacity since its
 *   last access: that much says "it is over" without looking at a clock.
 * lru: the least recently used object of a sample of 16 goes. Time is counted in bytes admitted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/store/policy/datasets.h"

#define POLICY_SAMPLE_COUNT 16 /* objects looked at for one to evict */

/* Room in a directory, as admission sees it. */
struct policy_space {
	uint64_t capacity; /* never above */
	uint64_t high;	   /* eviction starts */
	uint64_t low;	   /* ... and ends */
	uint64_t used;	   /* taken or promised */
	bool spare;	   /* something obsolete may be there to go first */
};

/* Who goes next. */
enum policy_victim_kind {
	POLICY_NOBODY,
	POLICY_DATASET, /* objects of this dataset, in any order */
	POLICY_OBJECT,	/* the one that policy_choose() picks out of a random sample */
};

struct policy_victim {
	enum policy_victim_kind kind;
	uint32_t dataset;
};

struct policy;

struct policy_ops {
	const char *name;
	/* Whether @len bytes of @dataset are to be written; @out_evict: and room made meanwhile. */
	bool (*admit)(struct policy *policy, const struct policy_space *space, uint32_t dataset,
		      uint64_t len, bool *out_evict);
	struct policy_victim (*victim)(struct policy *policy, const struct policy_space *space);
};

struct policy {
	const struct policy_ops *ops;
	struct datasets datasets;
	uint64_t looked_at; /* epoch: bytes refused when the datasets were last looked through */
	bool giving_way;    /* epoch: a dataset was found then */
};

extern const struct policy_ops policy_epoch;
extern const struct policy_ops policy_lru;

/** policy_init() - Return: 0 or -ENOMEM. */
int policy_init(struct policy *policy, enum cache_policy kind);
void policy_fini(struct policy *policy);

/** policy_choose() - which of @count objects goes, by the times of their last accesses. */
unsigned policy_choose(const uint64_t *ticks, unsigned count);

/** policy_tick_age() - how much older a recorded access must be before it is written again. */
static inline uint64_t policy_tick_age(uint64_t capacity)
{
	return capacity / 64;
}

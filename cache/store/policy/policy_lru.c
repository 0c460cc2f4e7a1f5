/*
 * policy_lru.c - least recently used, by sampling: exact order would need memory for every object.
 */
#include "cache/store/policy/policy.h"

static bool lru_admit(struct policy *policy, const struct policy_space *space, uint32_t dataset,
		      uint64_t len, bool *out_evict)
{
	(void)policy;
	(void)dataset;
	*out_evict = space->used > space->high || len > space->high - space->used;
	return space->used <= space->capacity && len <= space->capacity - space->used;
}

static struct policy_victim lru_victim(struct policy *policy, const struct policy_space *space)
{
	(void)policy;
	(void)space;
	return (struct policy_victim){ .kind = POLICY_OBJECT };
}

unsigned policy_choose(const uint64_t *ticks, unsigned count)
{
	unsigned best = 0;

	for (unsigned i = 1; i < count; i++) {
		if (ticks[i] < ticks[best])
			best = i;
	}
	return best;
}

const struct policy_ops policy_lru = {
	.name = "lru",
	.admit = lru_admit,
	.victim = lru_victim,
};

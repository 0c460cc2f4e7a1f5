/*
 * policy_epoch.c - fill up, then keep; the least recently used dataset gives way.
 */
#include "cache/store/policy/policy.h"

#define GIVE_WAY_SHARE 16 /* of the capacity, refused to others since the last access */
#define LOOK_SHARE     64 /* of the capacity: how often all datasets are looked through */

static struct policy_victim find_victim(const struct policy *policy,
					const struct policy_space *space)
{
	const struct datasets *datasets = &policy->datasets;
	/* A limit that was lowered, or a disk that others fill: keeping is not the question then.
	 */
	bool over = space->used > space->capacity;
	struct policy_victim victim = { .kind = POLICY_NOBODY };
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < datasets->count; i++) {
		const struct dataset *dataset = datasets_get(datasets, i);

		if (dataset->bytes == 0 || dataset->access >= oldest)
			continue;
		if (!over && datasets_refused_since(datasets, i) < space->capacity / GIVE_WAY_SHARE)
			continue;
		oldest = dataset->access;
		victim = (struct policy_victim){ .kind = POLICY_DATASET, .dataset = i };
	}
	return victim;
}

static struct policy_victim epoch_victim(struct policy *policy, const struct policy_space *space)
{
	struct policy_victim victim = find_victim(policy, space);

	policy->looked_at = policy->datasets.refused;
	policy->giving_way = victim.kind != POLICY_NOBODY;
	return victim;
}

static bool epoch_admit(struct policy *policy, const struct policy_space *space, uint32_t dataset,
			uint64_t len, bool *out_evict)
{
	*out_evict = false;
	if (space->used <= space->high && len <= space->high - space->used)
		return true;
	/* Full. While others give way, what lies above the high watermark may be used. */
	if (space->spare || policy->giving_way) {
		*out_evict = true;
		if (space->used <= space->capacity && len <= space->capacity - space->used)
			return true;
	}
	datasets_refuse(&policy->datasets, dataset, len);
	if (policy->datasets.refused - policy->looked_at >= space->capacity / LOOK_SHARE)
		*out_evict |= epoch_victim(policy, space).kind != POLICY_NOBODY;
	return false;
}

const struct policy_ops policy_epoch = {
	.name = "epoch",
	.admit = epoch_admit,
	.victim = epoch_victim,
};

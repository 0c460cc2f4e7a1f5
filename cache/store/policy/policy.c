/*
 * policy.c - the policies by name, and what they share.
 */
#include "cache/store/policy/policy.h"

int policy_init(struct policy *policy, enum cache_policy kind)
{
	*policy = (struct policy){ .ops = kind == CACHE_POLICY_LRU ? &policy_lru : &policy_epoch };
	return datasets_init(&policy->datasets);
}

void policy_fini(struct policy *policy)
{
	datasets_fini(&policy->datasets);
}

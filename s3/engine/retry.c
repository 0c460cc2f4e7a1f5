/*
 * retry.c - uniform in [0, scale * 2^step], capped.
 */
#include "s3/engine/retry.h"

bool retry_at(uint64_t now_ns, uint64_t scale_ns, unsigned step, uint64_t deadline_ns,
	      struct random *random, uint64_t *out_at_ns)
{
	uint64_t range_ns = RETRY_PAUSE_MAX_NS;

	if (step < 32 && scale_ns <= RETRY_PAUSE_MAX_NS >> step)
		range_ns = scale_ns << step;
	uint64_t at_ns = clock_after_ns(now_ns, random_below(random, range_ns + 1));
	if (at_ns >= deadline_ns)
		return false;
	*out_at_ns = at_ns;
	return true;
}

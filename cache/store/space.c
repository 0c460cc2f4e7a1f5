/*
 * space.c - arithmetic over a directory's room.
 */
#include "cache/store/space.h"

#include "base/check.h"

#define RESERVE_SHARE	  50 /* of the file system: 2 % */
#define RESERVE_MIN	  (UINT64_C(1) << 30)
#define RESERVE_MAX_SHARE 10 /* small file systems don't give away more than 10 % */

/* What is left to others, and to the file system's own needs. */
static uint64_t reserve_of(uint64_t total)
{
	uint64_t reserve = total / RESERVE_SHARE;

	if (reserve < RESERVE_MIN)
		reserve = RESERVE_MIN;
	return reserve < total / RESERVE_MAX_SHARE ? reserve : total / RESERVE_MAX_SHARE;
}

void space_measure(struct space *space, uint64_t total, uint64_t free)
{
	uint64_t ours = space->used + space->index;
	uint64_t reserve = reserve_of(total);
	uint64_t possible = ours + free > reserve ? ours + free - reserve : 0;

	space->capacity = possible;
	if (space->configured && space->configured < possible)
		space->capacity = space->configured;
}

struct policy_space space_view(const struct space *space, bool spare)
{
	return (struct policy_space){
		.capacity = space->capacity,
		.high = space->capacity / 100 * space->high_percent,
		.low = space->capacity / 100 * space->low_percent,
		.used = space_taken(space),
		.spare = spare,
	};
}

bool space_fits(const struct space *space, uint64_t len)
{
	uint64_t taken = space_taken(space) + space->orphans;

	return taken <= space->capacity && len <= space->capacity - taken;
}

void space_change(struct space *space, int64_t bytes)
{
	if (bytes < 0 && space->used < (uint64_t)-bytes)
		space->used = 0;
	else
		space->used += (uint64_t)bytes;
}

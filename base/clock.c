/*
 * clock.c - the machine's clocks behind struct clock, and one that a test moves.
 */
#include "base/clock.h"

#include <time.h>

#include "base/check.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	CHECK(clock_gettime(id, &t) == 0);
	return t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

static uint64_t system_now_ns(const struct clock *clock)
{
	(void)clock;
	return (uint64_t)read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall_ns(const struct clock *clock)
{
	(void)clock;
	return read_clock(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
	static const struct clock machine = {
		.now_ns = system_now_ns,
		.wall_ns = system_wall_ns,
	};

	return &machine;
}

static const struct clock_manual *manual_of(const struct clock *clock)
{
	const void *start = (const char *)clock - offsetof(struct clock_manual, clock);

	return start;
}

static uint64_t manual_now_ns(const struct clock *clock)
{
	return manual_of(clock)->now_ns;
}

static int64_t manual_wall_ns(const struct clock *clock)
{
	return manual_of(clock)->wall_ns;
}

void clock_manual_init(struct clock_manual *manual, uint64_t now_ns, int64_t wall_ns)
{
	manual->clock.now_ns = manual_now_ns;
	manual->clock.wall_ns = manual_wall_ns;
	manual->now_ns = now_ns;
	manual->wall_ns = wall_ns;
}

void clock_manual_advance(struct clock_manual *manual, uint64_t by_ns)
{
	manual->now_ns += by_ns;
	manual->wall_ns += (int64_t)by_ns;
}

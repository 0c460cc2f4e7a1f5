/*
 * clock.h - time, passed in. Nothing that has a protocol or a policy reads the system's clock
 * itself: it is given a struct clock, so that a test moves time by hand.
 *
 * Units: nanoseconds. A deadline is an absolute monotonic time; CLOCK_NEVER means none.
 */
#pragma once

#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_MS   UINT64_C(1000000)
#define NS_PER_S    UINT64_C(1000000000)

struct clock {
	/* monotonic, for deadlines and durations; any thread */
	uint64_t (*now_ns)(const struct clock *clock);
	/* seconds and nanoseconds since 1970, for signatures and logs; any thread */
	int64_t (*wall_ns)(const struct clock *clock);
};

/** clock_system() - the machine's clocks. Lives for ever. */
const struct clock *clock_system(void);

static inline uint64_t clock_now_ns(const struct clock *clock)
{
	return clock->now_ns(clock);
}

static inline int64_t clock_wall_ns(const struct clock *clock)
{
	return clock->wall_ns(clock);
}

/** clock_after_ns() - @now_ns + @duration_ns, saturating at CLOCK_NEVER. */
static inline uint64_t clock_after_ns(uint64_t now_ns, uint64_t duration_ns)
{
	return duration_ns >= CLOCK_NEVER - now_ns ? CLOCK_NEVER : now_ns + duration_ns;
}

/** clock_before_ns() - @now_ns - @duration_ns, not before 0. */
static inline uint64_t clock_before_ns(uint64_t now_ns, uint64_t duration_ns)
{
	return now_ns > duration_ns ? now_ns - duration_ns : 0;
}

/* A clock that a test moves by hand. Not thread safe but for reads of an unmoving clock. */
struct clock_manual {
	struct clock clock;
	_Atomic uint64_t now_ns;
	_Atomic int64_t wall_ns;
};

/** clock_manual_init() - a manual clock at @now_ns / @wall_ns. */
void clock_manual_init(struct clock_manual *manual, uint64_t now_ns, int64_t wall_ns);

/** clock_manual_advance() - moves both clocks forward by @by_ns. */
void clock_manual_advance(struct clock_manual *manual, uint64_t by_ns);

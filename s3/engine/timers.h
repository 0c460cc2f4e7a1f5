/*
 * timers.h - a heap of times with room for a fixed number, so that adding cannot fail. The timers
 * are members of what is timed. Whoever owns the heap owns its timers; no locks here.
 */
#pragma once

#include <stdint.h>

#include "s3/s3.h"

struct timers {
	struct s3_timer **heap; /* heap[0] is not used: an index of 0 means "in no heap" */
	unsigned count;
	unsigned capacity;
};

/** timers_init() - room for @capacity. Return: 0 or -ENOMEM. */
int timers_init(struct timers *timers, unsigned capacity);

/** timers_fini() - the timers must have been removed or be forgotten by their owners. */
void timers_fini(struct timers *timers);

/** timers_set() - puts @timer in, or moves it, to @at_ns. There must be room. */
void timers_set(struct timers *timers, struct s3_timer *timer, uint64_t at_ns);

/** timers_remove() - takes @timer out; one that is not in is left alone. */
void timers_remove(struct timers *timers, struct s3_timer *timer);

/** timers_first() - the earliest, NULL when empty. It stays in. */
struct s3_timer *timers_first(const struct timers *timers);

/** timers_next_ns() - the earliest time, CLOCK_NEVER when empty. */
uint64_t timers_next_ns(const struct timers *timers);

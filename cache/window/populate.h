/*
 * populate.h - touches the arena's pages ahead of their first use, on a thread that runs only when
 * the machine has nothing better to do. A page fault at first use costs the thread that receives
 * data as much as receiving it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"

struct populate {
	unsigned char *memory;
	uint64_t len;
	struct counters *counters;
	unsigned gauge;
	_Atomic bool stop;
	bool started;
	pthread_t thread;
};

/**
 * populate_start() - starts on @len bytes of mapped @memory, from its beginning: frames are handed
 * out in that order. Without a thread to be had, pages come at first use as ever.
 * @counters, @gauge: borrowed until populate_stop(); the gauge holds the bytes done.
 */
void populate_start(struct populate *populate, void *memory, uint64_t len,
		    struct counters *counters, unsigned gauge);

/** populate_stop() - ends it; waits for at most one step. */
void populate_stop(struct populate *populate);

/*
 * timers.c - a binary heap of pointers; each timer knows its place.
 */
#include "s3/engine/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

int timers_init(struct timers *timers, unsigned capacity)
{
	/* not touched until used: a large capacity costs address space only */
	timers->heap = malloc((capacity + (size_t)1) * sizeof(struct s3_timer *));
	if (!timers->heap)
		return -ENOMEM;
	timers->count = 0;
	timers->capacity = capacity;
	return 0;
}

void timers_fini(struct timers *timers)
{
	free(timers->heap);
	timers->heap = NULL;
	timers->count = timers->capacity = 0;
}

static void place(struct timers *timers, unsigned index, struct s3_timer *timer)
{
	timers->heap[index] = timer;
	timer->index = index;
}

static void sift_up(struct timers *timers, unsigned index, struct s3_timer *timer)
{
	for (; index > 1 && timers->heap[index / 2]->at_ns > timer->at_ns; index /= 2)
		place(timers, index, timers->heap[index / 2]);
	place(timers, index, timer);
}

static void sift_down(struct timers *timers, unsigned index, struct s3_timer *timer)
{
	while (2 * index <= timers->count) {
		unsigned child = 2 * index;
		if (child < timers->count &&
		    timers->heap[child + 1]->at_ns < timers->heap[child]->at_ns)
			child++;
		if (timers->heap[child]->at_ns >= timer->at_ns)
			break;
		place(timers, index, timers->heap[child]);
		index = child;
	}
	place(timers, index, timer);
}

void timers_set(struct timers *timers, struct s3_timer *timer, uint64_t at_ns)
{
	if (!timer->index) {
		CHECK(timers->count < timers->capacity);
		timer->at_ns = at_ns;
		sift_up(timers, ++timers->count, timer);
		return;
	}
	uint64_t before_ns = timer->at_ns;
	timer->at_ns = at_ns;
	if (at_ns < before_ns)
		sift_up(timers, timer->index, timer);
	else
		sift_down(timers, timer->index, timer);
}

void timers_remove(struct timers *timers, struct s3_timer *timer)
{
	unsigned index = timer->index;

	if (!index)
		return;
	CHECK(index <= timers->count && timers->heap[index] == timer);
	struct s3_timer *last = timers->heap[timers->count--];
	timer->index = 0;
	if (last == timer)
		return;
	if (index > 1 && timers->heap[index / 2]->at_ns > last->at_ns)
		sift_up(timers, index, last);
	else
		sift_down(timers, index, last);
}

struct s3_timer *timers_first(const struct timers *timers)
{
	return timers->count ? timers->heap[1] : NULL;
}

uint64_t timers_next_ns(const struct timers *timers)
{
	return timers->count ? timers->heap[1]->at_ns : CLOCK_NEVER;
}

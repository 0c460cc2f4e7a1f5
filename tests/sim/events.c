/*
 * events.c - what is going to happen: a binary heap by time, and of equal times by the order in
 * which they were made, so that a run replays exactly.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void reserve(struct sim_events *events)
{
	if (events->count < events->capacity)
		return;
	events->capacity = events->capacity ? 2 * events->capacity : 1024;
	events->items = realloc(events->items, events->capacity * sizeof(*events->items));
	CHECK(events->items);
}

void sim_events_push(struct sim_events *events, const struct sim_event *event)
{
	struct sim_event added = *event;
	size_t place;

	reserve(events);
	added.order = events->made++;
	place = events->count++;
	while (place > 0) {
		size_t parent = (place - 1) / 2;

		if (!before(&added, &events->items[parent]))
			break;
		events->items[place] = events->items[parent];
		place = parent;
	}
	events->items[place] = added;
}

static void sink(struct sim_events *events, const struct sim_event *last)
{
	size_t place = 0, child;

	while ((child = 2 * place + 1) < events->count) {
		if (child + 1 < events->count &&
		    before(&events->items[child + 1], &events->items[child]))
			child++;
		if (!before(&events->items[child], last))
			break;
		events->items[place] = events->items[child];
		place = child;
	}
	events->items[place] = *last;
}

bool sim_events_pop(struct sim_events *events, uint64_t until, struct sim_event *out_event)
{
	struct sim_event last;

	if (events->count == 0 || events->items[0].time > until)
		return false;
	*out_event = events->items[0];
	last = events->items[--events->count];
	if (events->count > 0)
		sink(events, &last);
	return true;
}

void sim_events_free(struct sim_events *events)
{
	for (size_t i = 0; i < events->count; i++)
		free(events->items[i].packet);
	free(events->items);
}

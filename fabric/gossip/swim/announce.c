/*
 * announce.c - what this node says of itself. Only this node raises its incarnation, and tells the
 * caller before anything carries it.
 */
#include "fabric/gossip/swim/inside.h"

static uint32_t raise_above(struct swim *swim, uint32_t incarnation, bool refuted)
{
	uint32_t self = swim->setup.self;

	/* the end of numbers: nobody gets there by honest means, and there is nothing above it */
	if (incarnation < SWIM_INCARNATION_MAX)
		incarnation++;
	swim->setup.ops->incarnation(swim->setup.context, incarnation, refuted);
	swim_view_set(swim, self, SWIM_ALIVE, incarnation, false);
	swim_queue_put(swim, SWIM_RUMOR_ALIVE, self, incarnation, SWIM_NOBODY);
	return incarnation;
}

void swim_refute(struct swim *swim, uint32_t incarnation, bool accused)
{
	const struct swim_entry *self = swim_entry(swim, swim->setup.self);

	if (accused) {
		swim->stats.refutations++;
		swim_awareness_add(swim, 1);
	}
	raise_above(swim, incarnation > self->incarnation ? incarnation : self->incarnation,
		    accused);
}

uint32_t swim_announce(struct swim *swim, enum swim_phase phase, uint64_t remaining_ns,
		       uint64_t now_ns)
{
	struct swim_entry *self = swim_entry(swim, swim->setup.self);

	swim_enter(swim, now_ns);
	if (remaining_ns > swim->config.restarting_max)
		remaining_ns = swim->config.restarting_max;
	self->phase = (uint8_t)phase;
	self->until = (uint32_t)((swim->now + remaining_ns) / SWIM_TICK_NS);
	swim->spread_pending = true;
	return raise_above(swim, self->incarnation, false);
}

void swim_leave(struct swim *swim, uint64_t now_ns)
{
	uint32_t self = swim->setup.self;
	uint32_t incarnation = swim_entry(swim, self)->incarnation;

	swim_enter(swim, now_ns);
	swim_view_set(swim, self, SWIM_LEFT, incarnation, false);
	swim_queue_put(swim, SWIM_RUMOR_LEFT, self, incarnation, SWIM_NOBODY);
	swim->spread_pending = true;
}

void swim_remind(struct swim *swim)
{
	const struct swim_entry *self = swim_entry(swim, swim->setup.self);

	if (!self->queued)
		swim_queue_put(swim, self->state == SWIM_LEFT ? SWIM_RUMOR_LEFT : SWIM_RUMOR_ALIVE,
			       swim->setup.self, self->incarnation, SWIM_NOBODY);
}

void swim_spread_check(struct swim *swim)
{
	if (!swim->spread_pending || swim_entry(swim, swim->setup.self)->queued)
		return;
	swim->spread_pending = false;
	swim->setup.ops->spread(swim->setup.context);
}

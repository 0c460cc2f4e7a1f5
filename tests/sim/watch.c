/*
 * watch.c - how far one change has come, and when.
 */
#include "tests/sim/sim.h"

void sim_watch_start(struct sim *sim, uint32_t member, uint32_t incarnation, uint32_t wanted)
{
	sim->watch = (struct sim_watch){ .member = member,
					 .incarnation = incarnation,
					 .wanted = wanted };
}

void sim_watch_adopted(struct sim *sim, uint32_t member, uint32_t incarnation)
{
	struct sim_watch *watch = &sim->watch;

	if (member != watch->member || incarnation < watch->incarnation)
		return;
	watch->adopted++;
	watch->last_adopted = sim->now;
	if (watch->adopted * UINT64_C(100) <= watch->wanted * UINT64_C(99))
		watch->most_adopted = sim->now;
}

void sim_watch_changed(struct sim *sim, const struct swim_change *change)
{
	struct sim_watch *watch = &sim->watch;

	if (change->member != watch->member)
		return;
	if (change->new_state == SWIM_SUSPECT && watch->suspected++ == 0)
		watch->first_suspected = sim->now;
	if (change->new_state != SWIM_DEAD)
		return;
	if (watch->died++ == 0)
		watch->first_died = sim->now;
	watch->last_died = sim->now;
}

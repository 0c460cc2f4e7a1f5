/*
 * faults.c - what happens to members and to the network between them.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct sim_packet *inbox_take(struct sim_member *member)
{
	struct sim_packet *packet = member->inbox;

	member->inbox = packet->next;
	if (!member->inbox)
		member->inbox_end = &member->inbox;
	member->inbox_count--;
	return packet;
}

void sim_kill(struct sim *sim, uint32_t index)
{
	struct sim_member *member = &sim->members[index];

	CHECK(member->swim);
	swim_destroy(member->swim);
	member->swim = NULL;
	member->stopped = false;
	while (member->inbox)
		free(inbox_take(member));
}

void sim_stop(struct sim *sim, uint32_t index)
{
	CHECK(sim->members[index].swim);
	sim->members[index].stopped = true;
}

/* Goes on: reads what came meanwhile and does what is due, in the order that chance makes of a
 * loop which is in the middle of one or the other. */
void sim_resume(struct sim *sim, uint32_t index)
{
	struct sim_member *member = &sim->members[index];
	bool tick_first = random_below(&sim->random, 2) == 0;

	member->stopped = false;
	member->well_since = sim->now;
	member->wake = CLOCK_NEVER;
	if (tick_first)
		swim_tick(member->swim, sim->now);
	while (member->inbox)
		sim_receive(sim, inbox_take(member));
	if (!tick_first)
		swim_tick(member->swim, sim->now);
	sim_wake_again(sim, member);
}

void sim_cut(struct sim *sim, unsigned from, unsigned to)
{
	sim->cut[from][to] = true;
}

void sim_heal(struct sim *sim)
{
	memset(sim->cut, 0, sizeof(sim->cut));
	for (uint32_t i = 0; i < sim->config.members; i++)
		sim->members[i].well_since = sim->now;
}

bool sim_reaches(const struct sim *sim, uint32_t from, uint32_t to)
{
	return !sim->cut[sim->members[from].group][sim->members[to].group];
}

static bool is_cut_off(const struct sim *sim, uint32_t member)
{
	unsigned group = sim->members[member].group;

	for (unsigned other = 0; other < SIM_GROUPS; other++)
		if (sim->cut[group][other] || sim->cut[other][group])
			return true;
	return false;
}

bool sim_is_well(const struct sim *sim, uint32_t index, uint64_t for_ns)
{
	const struct sim_member *member = &sim->members[index];

	return member->swim && !member->stopped && !member->left && !is_cut_off(sim, index) &&
	       sim->now - member->well_since >= for_ns;
}

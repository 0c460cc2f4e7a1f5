/*
 * world.c - members that start, know each other and run.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define LOOK_EVERY_NS (250 * NS_PER_MS)

void sim_config_defaults(struct sim_config *config, uint32_t members, uint64_t seed)
{
	*config = (struct sim_config){
		.members = members,
		.seed = seed,
		.link = { .delay_min = NS_PER_MS / 10,
			  .delay_max = NS_PER_MS,
			  .reorder_by = 20 * NS_PER_MS },
		.scenario = "",
	};
	CHECK(!option_defaults(&swim_options, &config->swim));
	/* a full table forgets its dead early: keep it less full than that */
	config->swim.members_max = members + members / 7 + 8;
}

struct sim *sim_create(const struct sim_config *config)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	CHECK(sim);
	sim->config = *config;
	sim->now = SIM_START_NS;
	sim->next_check = sim->now;
	random_init(&sim->random, config->seed);
	sim->members = calloc(config->members, sizeof(*sim->members));
	CHECK(sim->members);
	if (config->members <= SIM_SHADOW_MAX) {
		sim->shadow =
			calloc((size_t)config->members * config->members, sizeof(*sim->shadow));
		CHECK(sim->shadow);
	}
	for (uint32_t i = 0; i < config->members; i++) {
		sim->members[i].sim = sim;
		sim->members[i].index = i;
		sim->members[i].inbox_end = &sim->members[i].inbox;
	}
	sim->watch.member = SWIM_NOBODY;
	return sim;
}

void sim_destroy(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->config.members; i++)
		if (sim->members[i].swim)
			sim_kill(sim, i);
	sim_events_free(&sim->events);
	free(sim->shadow);
	free(sim->members);
	free(sim);
}

static void shadow_clear(struct sim *sim, uint32_t observer)
{
	uint32_t count = sim->config.members;

	for (uint32_t i = 0; sim->shadow && i < count; i++)
		sim->shadow[(size_t)observer * count + i] =
			(struct sim_shadow){ .state = SWIM_NONE };
}

void sim_start(struct sim *sim, uint32_t index)
{
	struct sim_member *member = &sim->members[index];
	struct swim_setup setup = {
		.ops = &sim_ops,
		.context = member,
		.random = &sim->random,
		.self = index,
		.incarnation = member->kept,
		.phase = SWIM_SERVING,
	};

	CHECK(!member->swim);
	for (unsigned kind = SWIM_PING; kind < SWIM_MESSAGE_KINDS; kind++)
		setup.room[kind] = sim_room((enum swim_message_kind)kind);
	member->life++;
	member->former = member->highest;
	member->left = false;
	member->wake = CLOCK_NEVER;
	member->well_since = sim->now;
	member->restart_until = 0;
	shadow_clear(sim, index);
	CHECK(!swim_create(&sim->config.swim, &setup, sim->now, &member->swim));
	sim_wake_again(sim, member);
}

void sim_join(struct sim *sim, uint32_t member, uint32_t seed)
{
	if (sim->members[seed].swim && !sim->members[seed].stopped &&
	    sim_reaches(sim, member, seed) && sim_reaches(sim, seed, member))
		sim_exchange(sim, member, seed);
}

void sim_start_all(struct sim *sim, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		sim_start(sim, i);
		sim->members[i].well_since = 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct swim_rumor rumor = {
			.kind = SWIM_RUMOR_ALIVE,
			.detailed = true,
			.phase = SWIM_SERVING,
			.from = SWIM_NOBODY,
		};

		for (rumor.member = 0; rumor.member < count; rumor.member++) {
			rumor.incarnation = sim->members[rumor.member].kept;
			swim_merge(sim->members[i].swim, SWIM_NOBODY, &rumor, sim->now);
		}
		sim_wake_again(sim, &sim->members[i]);
	}
}

void sim_run(struct sim *sim, uint64_t duration)
{
	uint64_t end = sim->now + duration;
	struct sim_event event;

	while (sim_events_pop(&sim->events, end, &event)) {
		sim->now = event.time;
		sim_deliver(sim, &event);
		if (sim->now >= sim->next_check)
			sim_check(sim);
	}
	sim->now = end;
}

bool sim_run_until(struct sim *sim, bool (*done)(const struct sim *sim), uint64_t bound)
{
	uint64_t end = sim->now + bound;

	while (!done(sim) && sim->now < end)
		sim_run(sim, LOOK_EVERY_NS);
	return done(sim);
}

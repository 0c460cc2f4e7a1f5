/*
 * scenarios.c - what can happen to a cluster, and what has to come of it.
 */
#include "tests/sim/sim.h"

#define S NS_PER_S

/* Anything is known everywhere within this, once the network is whole again. */
#define AGREE_NS (300 * S)

static uint32_t any(struct sim *sim)
{
	return (uint32_t)random_below(&sim->random, sim->config.members);
}

static void must_agree(struct sim *sim, uint64_t bound, const char *after)
{
	if (!sim_run_until(sim, sim_agreed, bound))
		sim_fail(sim, "no agreement %.0f s after %s", (double)bound / 1e9, after);
}

static void start(struct sim *sim)
{
	sim_start_all(sim, sim->config.members);
	sim->promise = true;
	sim_run(sim, 5 * S);
}

static uint64_t suspicions(const struct sim *sim)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < sim->config.members; i++) {
		struct swim_stats stats;

		if (!sim->members[i].swim)
			continue;
		swim_stats(sim->members[i].swim, &stats);
		total += stats.suspicions;
	}
	return total;
}

static void run_quiet(struct sim *sim)
{
	start(sim);
	sim_run(sim, 120 * S);
	if (suspicions(sim) > 0)
		sim_fail(sim, "suspicions without a reason");
	must_agree(sim, S, "nothing");
}

static void run_join(struct sim *sim)
{
	sim->promise = true;
	sim_start(sim, 0);
	for (uint32_t i = 1; i < sim->config.members; i++) {
		sim_start(sim, i);
		sim_join(sim, i, (uint32_t)random_below(&sim->random, i));
		sim_run(sim, random_below(&sim->random, S / 5));
	}
	must_agree(sim, AGREE_NS, "all have joined");
}

/* Everybody knows one other, as in a list of seeds, all start at once, and some seeds are down. */
static void run_join_storm(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->config.members; i++)
		sim_start(sim, i);
	for (uint32_t i = 1; i < sim->config.members; i++)
		sim_join(sim, i, (uint32_t)random_below(&sim->random, i < 5 ? i : 5));
	must_agree(sim, AGREE_NS, "all have joined at once");
	sim->promise = true;
	sim_run(sim, 60 * S);
}

static bool all_adopted(const struct sim *sim)
{
	return sim->watch.adopted >= sim->watch.wanted;
}

static void run_change(struct sim *sim)
{
	start(sim);
	for (unsigned i = 0; i < 10; i++) {
		uint32_t member = any(sim), others = sim->config.members - 1;
		struct sim_member *by = &sim->members[member];

		by->spread = false;
		sim_watch_start(sim, member, by->kept + 1, others);
		swim_announce(by->swim, SWIM_SERVING, 0, sim->now);
		sim_wake_again(sim, by);
		sim_run(sim, 5 * S); /* nearly always all; whom every rumor misses has push-pull */
		if (!sim_run_until(sim, all_adopted, 90 * S))
			sim_fail(sim, "%u of %u adopted a change of %u", sim->watch.adopted, others,
				 member);
		if (!by->spread)
			sim_fail(sim, "%u does not know that its change was told", member);
	}
}

static bool all_dead(const struct sim *sim)
{
	return sim->watch.died >= sim->watch.wanted;
}

static void run_kill(struct sim *sim)
{
	uint32_t alive = sim->config.members;

	start(sim);
	for (unsigned i = 0; i < 5 && alive > 3; i++) {
		uint32_t member = any(sim);

		if (!sim->members[member].swim)
			continue;
		alive--;
		sim_watch_start(sim, member, 0, alive);
		sim_kill(sim, member);
		if (!sim_run_until(sim, all_dead, 150 * S))
			sim_fail(sim, "%u of %u noticed the end of %u", sim->watch.died, alive,
				 member);
	}
	must_agree(sim, 10 * S, "kills");
}

/* A tenth leaves, a tenth is killed, a tenth restarts, while one datagram in fifty is a minute old
 * when it arrives: nobody who went may be raised by what was said before. */
static void run_echoes(struct sim *sim)
{
	uint32_t tenth = sim->config.members / 10;

	sim->config.link.reorder = 0.02;
	sim->config.link.reorder_by = 60 * S;
	sim->config.link.duplicate = 0.2;
	start(sim);
	for (uint32_t i = 0; i < tenth; i++) {
		struct sim_member *leaver = &sim->members[i];

		leaver->left = true;
		swim_leave(leaver->swim, sim->now);
		sim_wake_again(sim, leaver);
		sim_run(sim, 4 * S);
		sim_kill(sim, i);
		sim_kill(sim, tenth + i);
		sim_kill(sim, 2 * tenth + i);
		sim_run(sim, 2 * S);
		sim_start(sim, 2 * tenth + i);
		sim_join(sim, 2 * tenth + i, sim->config.members - 1);
	}
	sim_run(sim, 120 * S);
	must_agree(sim, AGREE_NS, "leaving, dying, restarting among echoes");
	for (uint32_t i = 0; i < tenth; i++)
		if (swim_state(sim->members[sim->config.members - 1].swim, i) != SWIM_LEFT)
			sim_fail(sim, "%u left and is not said to have left", i);
}

static void run_loss(struct sim *sim, double loss, uint64_t duration)
{
	sim->config.link.loss = loss;
	start(sim);
	sim_run(sim, duration);
	if (sim->false_deaths > 0 || sim->deaths > 0)
		sim_fail(sim, "somebody was called dead who was not");
	sim->config.link.loss = 0;
	must_agree(sim, AGREE_NS, "loss");
}

static void run_loss_10(struct sim *sim)
{
	run_loss(sim, 0.10, 600 * S);
}

static void run_loss_25(struct sim *sim)
{
	run_loss(sim, 0.25, 300 * S);
}

static void group_set(struct sim *sim, uint32_t count, uint8_t group)
{
	for (uint32_t i = 0; i < count; i++)
		sim->members[i].group = group;
}

/* A tenth, group 1, for two minutes: what goes from @from to @to is lost. */
static void run_one_way(struct sim *sim, uint8_t from, uint8_t to, const char *what)
{
	start(sim);
	group_set(sim, (sim->config.members + 9) / 10, 1);
	sim_cut(sim, from, to);
	sim_run(sim, 120 * S);
	sim_heal(sim);
	must_agree(sim, AGREE_NS, what);
}

/* They can speak and not hear. All that they see is silence; nobody may die of that. */
static void run_deaf(struct sim *sim)
{
	run_one_way(sim, 0, 1, "some were deaf");
}

/* They can hear and not speak. */
static void run_mute(struct sim *sim)
{
	run_one_way(sim, 1, 0, "some were mute");
}

/* Two pairs do not reach each other, but all others: who asks these suspects nobody. */
static void run_triangle(struct sim *sim)
{
	start(sim);
	for (uint32_t i = 0; i < 4; i++)
		sim->members[i].group = (uint8_t)(1 + i / 2);
	sim_cut(sim, 1, 2);
	sim_cut(sim, 2, 1);
	sim_run(sim, 300 * S);
	if (suspicions(sim) > 0)
		sim_fail(sim, "suspicions although others could be asked");
}

static void run_partition(struct sim *sim)
{
	uint32_t half = sim->config.members / 2;

	start(sim);
	group_set(sim, half, 1);
	sim_cut(sim, 0, 1);
	sim_cut(sim, 1, 0);
	sim_run(sim, 300 * S);
	for (uint32_t i = 0; i < half; i++)
		if (swim_state(sim->members[half].swim, i) != SWIM_DEAD)
			sim_fail(sim, "%u is not dead beyond the rift", i);
	sim_heal(sim);
	must_agree(sim, AGREE_NS, "a rift");
	sim_run(sim, 60 * S);
	must_agree(sim, S, "agreement");
}

/* Each is stopped now and then for less time than it has to refute. */
static void run_slow(struct sim *sim)
{
	start(sim);
	for (unsigned round = 0; round < 30; round++) {
		uint32_t first = any(sim), second = any(sim);

		sim_stop(sim, first);
		sim_run(sim, S / 2 + random_below(&sim->random, 2 * S));
		if (second != first)
			sim_stop(sim, second);
		sim_run(sim, S / 2);
		sim_resume(sim, first);
		sim_run(sim, S);
		if (second != first)
			sim_resume(sim, second);
		sim_run(sim, random_below(&sim->random, 5 * S));
	}
	if (sim->deaths > 0)
		sim_fail(sim, "somebody died of being slow for 3 s");
	must_agree(sim, AGREE_NS, "stops");
}

/* A tenth answers everything late, later than the direct timeout. */
static void run_lame(struct sim *sim)
{
	start(sim);
	for (uint32_t i = 0; i < (sim->config.members + 9) / 10; i++) {
		sim->members[i].slow_by = S;
		sim->members[i].well_since = sim->now;
	}
	sim_run(sim, 180 * S);
	if (sim->deaths > 0)
		sim_fail(sim, "somebody died of answering late");
	for (uint32_t i = 0; i < sim->config.members; i++)
		sim->members[i].slow_by = 0;
	must_agree(sim, AGREE_NS, "lameness");
}

/* Two are away long enough to be buried; they come back, and blame nobody. */
static void run_asleep(struct sim *sim)
{
	start(sim);
	sim_stop(sim, 0);
	sim_stop(sim, 1);
	sim_run(sim, 240 * S);
	if (swim_state(sim->members[2].swim, 0) != SWIM_DEAD)
		sim_fail(sim, "0 was away for minutes and is not dead");
	sim_resume(sim, 0);
	sim_resume(sim, 1);
	must_agree(sim, 60 * S, "waking up");
}

/* The whole world stops, as when all nodes are virtual machines of one host that sleeps; one was
 * already suspected, with seconds left to refute. */
static void run_world_asleep(struct sim *sim)
{
	start(sim);
	sim_stop(sim, 0);
	sim_run(sim, 3 * S);
	for (uint32_t i = 1; i < sim->config.members; i++)
		sim_stop(sim, i);
	sim_run(sim, 600 * S);
	for (uint32_t i = 0; i < sim->config.members; i++) {
		sim_resume(sim, i);
		sim_run(sim, random_below(&sim->random, S / 50));
	}
	sim_run(sim, 60 * S);
	if (sim->deaths > 0)
		sim_fail(sim, "somebody died while nobody was awake");
	must_agree(sim, AGREE_NS, "sleep");
}

static void restart_announced(struct sim *sim, uint32_t index)
{
	struct sim_member *member = &sim->members[index];

	member->restart_until = sim->now + 60 * S;
	member->restart_incarnation =
		swim_announce(member->swim, SWIM_RESTARTING, 62 * S, sim->now);
	sim_wake_again(sim, member);
}

/* Wave by wave, a fifth restarts: announced, and its place is kept; or not; or without its state
 * directory. */
static void run_waves(struct sim *sim)
{
	uint32_t members = sim->config.members, fifth = members / 5;

	start(sim);
	for (uint32_t wave = 0; wave < 5; wave++) {
		uint32_t begin = wave * fifth;

		for (uint32_t i = begin; i < begin + fifth && wave < 3; i++)
			restart_announced(sim, i);
		sim_run(sim, 5 * S);
		for (uint32_t i = begin; i < begin + fifth; i++)
			sim_kill(sim, i);
		sim_run(sim, 40 * S);
		for (uint32_t i = begin; i < begin + fifth; i++) {
			if (wave == 4)
				sim->members[i].kept = 0;
			sim_start(sim, i);
			sim_join(sim, i, (begin + fifth) % members);
		}
		must_agree(sim, AGREE_NS, "a wave of restarts");
	}
}

/* One that announced a restart and does not come back is missed once its time is over. */
static void run_no_return(struct sim *sim)
{
	start(sim);
	sim_watch_start(sim, 0, 0, sim->config.members - 1);
	restart_announced(sim, 0);
	sim_run(sim, 5 * S);
	sim_kill(sim, 0);
	sim_run(sim, 50 * S);
	if (sim->watch.suspected > 0)
		sim_fail(sim, "0 was suspected although it restarts");
	if (!sim_run_until(sim, all_dead, 150 * S))
		sim_fail(sim, "0 never came back and is not dead");
}

/* One node with a bad data port accuses everybody, all the time. */
static void run_accuser(struct sim *sim)
{
	start(sim);
	for (unsigned i = 0; i < 600; i++) {
		for (unsigned j = 0; j < 10; j++)
			swim_evidence(sim->members[0].swim, any(sim), sim->now);
		sim_wake_again(sim, &sim->members[0]);
		sim_run(sim, S / 10);
	}
	if (suspicions(sim) > 0)
		sim_fail(sim, "evidence against those that answer made them suspect");
}

static void chaos_step(struct sim *sim)
{
	uint32_t index = any(sim);
	struct sim_member *member = &sim->members[index];
	uint64_t die = random_below(&sim->random, 12);

	if (!member->swim) {
		if (die == 0)
			member->kept = 0;
		sim_start(sim, index);
		sim_join(sim, index, (index + 1) % sim->config.members);
	} else if (member->stopped) {
		sim_resume(sim, index);
	} else if (die < 3) {
		sim_kill(sim, index);
	} else if (die < 6) {
		sim_stop(sim, index);
	} else if (die < 8) {
		restart_announced(sim, index);
		sim_run(sim, 2 * S);
		sim_kill(sim, index);
	} else if (die == 8) {
		sim_cut(sim, (unsigned)random_below(&sim->random, 2),
			(unsigned)random_below(&sim->random, 2));
	} else if (die == 9) {
		sim_heal(sim);
	} else {
		member->slow_by = random_below(&sim->random, S);
	}
}

/* Everything at once; afterwards all that run agree. */
static void run_chaos(struct sim *sim)
{
	uint32_t members = sim->config.members;

	sim->config.link.loss = 0.05;
	sim->config.link.duplicate = 0.05;
	sim->config.link.reorder = 0.05;
	sim->config.link.reorder_by = S;
	start(sim);
	sim->promise = false; /* who is well among so many that are not is hard to say */
	group_set(sim, members / 3, 1);
	for (unsigned i = 0; i < 150; i++) {
		chaos_step(sim);
		sim_run(sim, random_below(&sim->random, 3 * S));
	}
	sim_heal(sim);
	sim->config.link.loss = 0;
	for (uint32_t i = 0; i < members; i++) {
		sim->members[i].slow_by = 0;
		if (sim->members[i].stopped)
			sim_resume(sim, i);
	}
	/* who started while all that it knew were out of reach asks again, as the daemon does */
	for (uint32_t i = 0, seed = members; i < members; i++) {
		if (!sim->members[i].swim)
			continue;
		if (seed < members)
			sim_join(sim, i, seed);
		seed = i;
	}
	must_agree(sim, 2 * AGREE_NS, "chaos");
}

const struct sim_scenario sim_scenarios[] = {
	{ "quiet", "nothing happens, and nobody is suspected", run_quiet, 1 },
	{ "join", "one after the other", run_join, 2 },
	{ "join-storm", "all at once", run_join_storm, 2 },
	{ "change", "a member's details change and reach all", run_change, 2 },
	{ "kill", "all notice it", run_kill, 5 },
	{ "echoes", "old news raise nobody who died or left", run_echoes, 10 },
	{ "loss-10", "10 % loss for 10 minutes: nobody is called dead", run_loss_10, 3 },
	{ "loss-25", "25 % loss for 5 minutes: nobody is called dead", run_loss_25, 3 },
	{ "deaf", "some hear nothing; nobody dies of it", run_deaf, 10 },
	{ "mute", "some are not heard, and come back", run_mute, 10 },
	{ "triangle", "some do not reach each other, but others do: no suspicion", run_triangle,
	  8 },
	{ "partition", "two halves for 5 minutes, then one again", run_partition, 6 },
	{ "slow", "stopped for up to 3 s again and again: nobody dies", run_slow, 10 },
	{ "lame", "answers that come 1 s late: nobody dies", run_lame, 10 },
	{ "asleep", "stopped for minutes: blames nobody, and comes back", run_asleep, 6 },
	{ "world-asleep", "all stopped for minutes: nobody dies", run_world_asleep, 3 },
	{ "waves", "restarts in waves, announced or not", run_waves, 10 },
	{ "no-return", "an announced restart that is never finished", run_no_return, 4 },
	{ "accuser", "one accuses all of failing reads: nobody is suspected", run_accuser, 3 },
	{ "chaos", "everything at once, then agreement", run_chaos, 10 },
};
const unsigned sim_scenario_count = ARRAY_COUNT(sim_scenarios);

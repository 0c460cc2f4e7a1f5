/*
 * report.c - how things grow with the number of members: one row each, as a Markdown table.
 *
 * Each number has its own world: a cluster whose members have known each other for long. Joins,
 * changes and kills come one after the other, and a column is the median of several; kills are of
 * one member at a time, the hardest case to notice. Loss runs go on for loss_minutes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/sim/sim.h"

#define S      NS_PER_S
#define TRIALS 5

struct trials {
	double values[TRIALS];
	unsigned count;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct trials *trials)
{
	qsort(trials->values, trials->count, sizeof(trials->values[0]), compare);
	return trials->count ? trials->values[trials->count / 2] : 0;
}

static void add(struct trials *trials, uint64_t from, uint64_t to)
{
	if (to > from)
		trials->values[trials->count++] = (double)(to - from) / 1e9;
}

/* One more than the members of the row: the last one joins. */
static struct sim *world_make(uint32_t members, uint64_t seed, double loss)
{
	struct sim_config config;
	struct sim *sim;

	sim_config_defaults(&config, members + 1, seed);
	config.scenario = "report";
	config.link.loss = loss;
	sim = sim_create(&config);
	sim_start_all(sim, members);
	sim_run(sim, 30 * S); /* what little was told of the start dies down */
	return sim;
}

static uint64_t bytes_sent(const struct sim *sim)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < sim->config.members; i++)
		total += sim->members[i].bytes;
	return total;
}

static double bytes_rate(struct sim *sim, uint32_t members, uint64_t duration)
{
	uint64_t before = bytes_sent(sim);

	sim_run(sim, duration);
	return (double)(bytes_sent(sim) - before) / members / ((double)duration / 1e9);
}

static bool all_adopted(const struct sim *sim)
{
	return sim->watch.adopted >= sim->watch.wanted;
}

static bool all_dead(const struct sim *sim)
{
	return sim->watch.died >= sim->watch.wanted;
}

static void measure_changes(struct sim *sim, uint32_t members, struct sim_row *row)
{
	struct trials most = { 0 }, all = { 0 };

	for (unsigned i = 0; i < TRIALS; i++) {
		struct sim_member *by = &sim->members[random_below(&sim->random, members)];
		uint64_t from = sim->now;

		sim_watch_start(sim, by->index, by->kept + 1, members - 1);
		swim_announce(by->swim, SWIM_SERVING, 0, sim->now);
		sim_wake_again(sim, by);
		if (!sim_run_until(sim, all_adopted, 60 * S))
			continue;
		add(&most, from, sim->watch.most_adopted);
		add(&all, from, sim->watch.last_adopted);
		sim_run(sim, 5 * S);
	}
	row->change_most = median(&most);
	row->change_all = median(&all);
}

static void measure_joins(struct sim *sim, uint32_t members, struct sim_row *row)
{
	struct trials all = { 0 };

	for (unsigned i = 0; i < TRIALS; i++) {
		uint64_t from = sim->now;

		if (sim->members[members].swim)
			sim_kill(sim, members);
		sim_watch_start(sim, members, sim->members[members].kept + 1, members);
		sim_start(sim, members);
		sim_join(sim, members, (uint32_t)random_below(&sim->random, members));
		if (sim_run_until(sim, all_adopted, 60 * S))
			add(&all, from, sim->watch.last_adopted);
		sim_run(sim, 5 * S);
	}
	row->join_all = median(&all);
}

static void measure_kills(struct sim *sim, uint32_t members, struct sim_row *row)
{
	struct trials suspect = { 0 }, first = { 0 }, all = { 0 };

	for (unsigned i = 0; i < TRIALS; i++) {
		uint32_t member = (uint32_t)random_below(&sim->random, members);
		uint64_t from = sim->now;

		sim_watch_start(sim, member, 0, members); /* the one that joined is there */
		sim_kill(sim, member);
		if (sim_run_until(sim, all_dead, 200 * S)) {
			add(&suspect, from, sim->watch.first_suspected);
			add(&first, from, sim->watch.first_died);
			add(&all, from, sim->watch.last_died);
		}
		sim_run(sim, 3 * S);
		sim_start(sim, member);
		sim_join(sim, member, (member + 1) % members);
		sim_run(sim, 20 * S);
	}
	row->suspect_first = median(&suspect);
	row->dead_first = median(&first);
	row->dead_all = median(&all);
}

static void measure_loss(struct sim_row *row, uint64_t seed)
{
	uint64_t duration = (uint64_t)(row->loss_minutes * 60) * S;
	struct sim *sim = world_make(row->members, seed, 0.10);

	row->bytes_loss = bytes_rate(sim, row->members, duration);
	row->false_deaths = sim->false_deaths;
	sim_destroy(sim);
	sim = world_make(row->members, seed, 0.25);
	sim_run(sim, duration / 4);
	row->false_deaths_heavy = sim->false_deaths;
	sim_destroy(sim);
}

static double wall_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(struct sim_row *row, uint64_t seed)
{
	double started = wall_now();
	struct sim *sim = world_make(row->members, seed, 0);

	row->bytes_idle = bytes_rate(sim, row->members, 60 * S);
	measure_changes(sim, row->members, row);
	measure_joins(sim, row->members, row);
	measure_kills(sim, row->members, row);
	sim_destroy(sim);
	measure_loss(row, seed);
	row->wall = wall_now() - started;
}

static void head_print(void)
{
	printf("| members | change: 99 %% / all | join: all | killed: suspected | dead at first | "
	       "dead at all | B/s idle | B/s at 10 %% loss | called dead wrongly, 10 %% loss | "
	       "25 %% loss |\n"
	       "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
}

static void row_print(const struct sim_row *row)
{
	printf("| %u | %.3f / %.3f s | %.3f s | %.1f s | %.1f s | %.1f s | %.0f | %.0f | "
	       "%llu in %.0f min | %llu in %.1f min |\n",
	       row->members, row->change_most, row->change_all, row->join_all, row->suspect_first,
	       row->dead_first, row->dead_all, row->bytes_idle, row->bytes_loss,
	       (unsigned long long)row->false_deaths, row->loss_minutes,
	       (unsigned long long)row->false_deaths_heavy, row->loss_minutes / 4);
	fflush(stdout);
	fprintf(stderr, "%u members took %.0f s\n", row->members, row->wall);
}

int sim_report(const struct sim_report_config *config)
{
	struct sim_row *rows = calloc(config->size_count, sizeof(*rows));
	int error = 0;

	CHECK(rows);
	head_print();
	for (unsigned i = 0; i < config->size_count; i++) {
		rows[i] = (struct sim_row){ .members = config->sizes[i], .loss_minutes = 10 };
		measure(&rows[i], config->seed);
		row_print(&rows[i]);
	}
	if (config->plot)
		error = sim_plot(config->plot, rows, config->size_count);
	if (error)
		fprintf(stderr, "%s: error %d\n", config->plot, -error);
	free(rows);
	return error ? 1 : 0;
}

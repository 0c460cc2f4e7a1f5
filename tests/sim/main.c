/*
 * main.c - swim_sim: runs scenarios, replays a failing seed, or measures how things grow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define SIZES_MAX 16

struct arguments {
	char *scenario, *plot;
	int64_t members, seed, seeds;
	bool list, trace, report;
	struct option_strings sizes;
};

static const struct option option_table[] = {
	OPTION(struct arguments, scenario, OPTION_STRING, .argument = "NAME",
	       .help = "Run this one; without it, all."),
	OPTION(struct arguments, members, OPTION_INT, .default_text = "30", .min = 1, .max = 20000,
	       .help = "How many members."),
	OPTION(struct arguments, seed, OPTION_INT, .default_text = "1", .min = 0, .max = INT64_MAX,
	       .help = "The first seed."),
	OPTION(struct arguments, seeds, OPTION_INT, .default_text = "1", .min = 1, .max = 1000000,
	       .help = "How many seeds, counted on from the first."),
	OPTION(struct arguments, trace, OPTION_BOOL, .help = "Print every change of every view."),
	OPTION(struct arguments, list, OPTION_BOOL, .help = "List the scenarios."),
	OPTION(struct arguments, report, OPTION_BOOL,
	       .help = "Measure growth over the number of members, as a table."),
	OPTION(struct arguments, sizes, OPTION_STRINGS, .argument = "N",
	       .help = "Numbers of members of the report; without it, 10 to 10,000."),
	OPTION(struct arguments, plot, OPTION_STRING, .argument = "FILE",
	       .help = "Write the report's plot there, as SVG."),
};
static const struct option_group options =
	OPTION_GROUP_OF("swim_sim", struct arguments, option_table);

static void list_print(void)
{
	for (unsigned i = 0; i < sim_scenario_count; i++)
		printf("%-14s %s\n", sim_scenarios[i].name, sim_scenarios[i].what);
}

static void run(const struct sim_scenario *scenario, const struct arguments *arguments,
		uint64_t seed)
{
	struct sim_config config;
	struct sim *sim;

	sim_config_defaults(&config, (uint32_t)arguments->members, seed);
	config.scenario = scenario->name;
	config.trace = arguments->trace;
	sim = sim_create(&config);
	scenario->run(sim);
	printf("%-14s %5u members, seed %" PRIu64 ": %.0f s, %" PRIu64 " events, ok\n",
	       scenario->name, config.members, seed, (double)(sim->now - SIM_START_NS) / 1e9,
	       sim->handled);
	sim_destroy(sim);
}

static int run_scenarios(const struct arguments *arguments)
{
	unsigned found = 0;

	for (unsigned i = 0; i < sim_scenario_count; i++) {
		const struct sim_scenario *scenario = &sim_scenarios[i];

		if (arguments->scenario && strcmp(arguments->scenario, scenario->name) != 0)
			continue;
		found++;
		if (arguments->members < scenario->members_min) {
			printf("%s needs %u members\n", scenario->name, scenario->members_min);
			continue;
		}
		for (int64_t seed = 0; seed < arguments->seeds; seed++)
			run(scenario, arguments, (uint64_t)(arguments->seed + seed));
	}
	if (found > 0)
		return 0;
	fprintf(stderr, "no scenario '%s'; --list names them\n", arguments->scenario);
	return 2;
}

static int run_report(const struct arguments *arguments)
{
	static const uint32_t usual[] = { 10, 30, 100, 300, 1000, 3000, 10000 };
	uint32_t sizes[SIZES_MAX];
	struct sim_report_config config = {
		.sizes = usual,
		.size_count = ARRAY_COUNT(usual),
		.seed = (uint64_t)arguments->seed,
		.plot = arguments->plot,
	};

	for (unsigned i = 0; i < arguments->sizes.count && i < SIZES_MAX; i++) {
		unsigned long size = strtoul(arguments->sizes.items[i], NULL, 10);

		if (size < 3 || size > 20000) {
			fprintf(stderr, "'%s' is not a number of members: 3 to 20000\n",
				arguments->sizes.items[i]);
			return 2;
		}
		sizes[i] = (uint32_t)size;
		config.sizes = sizes;
		config.size_count = i + 1;
	}
	return sim_report(&config);
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	char problem[OPTION_PROBLEM_MAX];
	int status = 0;

	CHECK(!option_defaults(&options, &arguments));
	if (option_parse_arguments(&options, &arguments, argc - 1, argv + 1, problem,
				   sizeof(problem)) < 0) {
		fprintf(stderr, "swim_sim: %s\n", problem);
		option_print_help(&options, stderr);
		status = 2;
	} else if (arguments.list) {
		list_print();
	} else if (arguments.report) {
		status = run_report(&arguments);
	} else {
		status = run_scenarios(&arguments);
	}
	option_free(&options, &arguments);
	return status;
}

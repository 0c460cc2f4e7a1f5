/*
 * main.c - peers_sim: explores the cache of several nodes. Exit status: 0; 2 usage; 3 an invariant
 * does not hold, and the schedule is printed. With --mutant it is the other way round: something is
 * broken on purpose, and not finding it is the failure.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/sim/peers/explore.h"

#define STATUS_FOUND 3

struct arguments {
	char *scenario;
	int mutant;
	int64_t depth, seed, seeds, steps;
	bool list, faulty;
};

static const struct option option_table[] = {
	OPTION(struct arguments, scenario, OPTION_STRING, .argument = "NAME",
	       .help = "Explore this one whole; without it, and without seeds, all."),
	OPTION(struct arguments, depth, OPTION_INT, .default_text = "0", .min = 0,
	       .max = MODEL_DEPTH_MAX,
	       .help = "Steps that are explored in every order; 0: as many as the scenario says."),
	OPTION(struct arguments, seeds, OPTION_INT, .default_text = "0", .min = 0, .max = INT64_MAX,
	       .help = "Run so many random scripts and schedules in place of a scenario."),
	OPTION(struct arguments, seed, OPTION_INT, .default_text = "1", .min = 1, .max = INT64_MAX,
	       .help = "The first seed."),
	OPTION(struct arguments, steps, OPTION_INT, .default_text = "300", .min = 1, .max = 10000,
	       .help = "Random steps of a schedule; what is left then is done in turn."),
	OPTION(struct arguments, faulty, OPTION_BOOL,
	       .help = "Bits of one node flip: in its memory, its directory and its answers."),
	OPTION(struct arguments, mutant, OPTION_CHOICE, .choices = model_mutant_names,
	       .default_text = "none", .help = "Break this on purpose: it must be found."),
	OPTION(struct arguments, list, OPTION_BOOL, .help = "List the scenarios."),
};
static const struct option_group options =
	OPTION_GROUP_OF("peers_sim", struct arguments, option_table);

static void list_print(void)
{
	for (unsigned i = 0; i < model_scenario_count; i++)
		printf("%-10s %2u steps: %s\n", model_scenarios[i].name, model_scenarios[i].depth,
		       model_scenarios[i].what);
}

static void tally_print(void)
{
	const struct model_tally *tally = &model_tally;

	printf("  %" PRIu64 " schedules, %" PRIu64 " steps; %" PRIu64 " reads, %" PRIu64
	       " failed or cancelled; from locator %" PRIu64 ", directory %" PRIu64
	       ", stage %" PRIu64 ", pushed %" PRIu64 "\n"
	       "  caught: %" PRIu64 " units that did not match, %" PRIu64
	       " torn or false entries, %" PRIu64 " malformed messages\n",
	       tally->schedules, tally->steps, tally->reads, tally->failed, tally->from_locator,
	       tally->from_directory, tally->from_stage, tally->pushed, tally->mismatches,
	       tally->disbelieved, tally->malformed);
}

static int run_scenarios(const struct arguments *arguments)
{
	unsigned found = 0;

	for (unsigned i = 0; i < model_scenario_count; i++) {
		const struct model_scenario *scenario = &model_scenarios[i];
		unsigned depth = arguments->depth ? (unsigned)arguments->depth : scenario->depth;

		if (arguments->scenario && strcmp(arguments->scenario, scenario->name) != 0)
			continue;
		found++;
		printf("%-10s all %" PRIu64 " schedules of %u steps, ok\n", scenario->name,
		       explore_all(scenario, depth, (enum model_mutant)arguments->mutant), depth);
		fflush(stdout);
	}
	if (found > 0)
		return 0;
	fprintf(stderr, "no scenario '%s'; --list names them\n", arguments->scenario);
	return 2;
}

/* With faults, each kind must have been met, or nothing was shown. */
static int faults_judge(void)
{
	const struct model_tally *tally = &model_tally;

	printf("  bits flipped: %" PRIu64 " in memory, %" PRIu64 " in the directory, %" PRIu64
	       " in messages\n",
	       tally->flips[0], tally->flips[1], tally->flips[2]);
	if (tally->mismatches > 0 && tally->disbelieved > 0 && tally->malformed > 0)
		return 0;
	printf("nothing was caught of one kind: more --seeds are needed\n");
	return 1;
}

static int run_seeds(const struct arguments *arguments)
{
	for (int64_t i = 0; i < arguments->seeds; i++)
		explore_seed((uint64_t)(arguments->seed + i), (unsigned)arguments->steps,
			     arguments->faulty, (enum model_mutant)arguments->mutant);
	printf("seeds %" PRId64 " to %" PRId64 ", %" PRId64 " steps each: ok\n", arguments->seed,
	       arguments->seed + arguments->seeds - 1, arguments->steps);
	return arguments->faulty && arguments->seeds > 1 ? faults_judge() : 0;
}

static int run(const struct arguments *arguments)
{
	int status = arguments->seeds > 0 ? run_seeds(arguments) : run_scenarios(arguments);

	tally_print();
	model_units_free();
	return status;
}

/* In a process of its own, as it ends at once. */
static int run_mutant(const struct arguments *arguments)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (pid == 0)
		_Exit(run(arguments));
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_FOUND) {
		printf("found, as it should be\n");
		return 0;
	}
	printf("mutant %s was not found\n", model_mutant_names[arguments->mutant]);
	return 1;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	char problem[OPTION_PROBLEM_MAX];
	int status = 0;

	log_set_level(LOG_LEVEL_ERROR);
	CHECK(!option_defaults(&options, &arguments));
	if (option_parse_arguments(&options, &arguments, argc - 1, argv + 1, problem,
				   sizeof(problem)) != 0) {
		fprintf(stderr, "peers_sim: %s\n", problem);
		option_print_help(&options, stderr);
		status = 2;
	} else if (arguments.list) {
		list_print();
	} else if (arguments.mutant != MUTANT_NONE) {
		status = run_mutant(&arguments);
	} else {
		status = run(&arguments);
	}
	option_free(&options, &arguments);
	return status;
}

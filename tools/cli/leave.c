/*
 * leave.c - `cenote leave`: takes this node out of its cluster.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/task.h"

struct leave_options {
	bool drain;
	bool json;
	uint64_t timeout;
	char *run_dir;
	char *config;
};

static const struct option leave_table[] = {
	OPTION(struct leave_options, drain, OPTION_BOOL, .letter = 'd',
	       .help = "Hand over what other nodes would miss first. A node's cache is not shared "
		       "yet, so there is nothing to hand over: said, and left."),
	OPTION(struct leave_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print what came of it as JSON."),
	OPTION(struct leave_options, timeout, OPTION_DURATION, .letter = 't',
	       .default_text = "30 s", .help = "How long to wait until the others know."),
	OPTION(struct leave_options, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",
	       .help = "The daemon's run directory (node.run_dir)."),
	OPTION(struct leave_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .help = "The daemon's configuration, to find the run directory in."),
};
static const struct option_group leave_group =
	OPTION_GROUP_OF("leave", struct leave_options, leave_table);

static int leave_run(const void *value, char **arguments, int count)
{
	const struct leave_options *options = value;
	const struct control_request request = { .command = CONTROL_LEAVE };
	char *run_dir = command_run_dir(options->run_dir, options->config);
	struct task_call call = { .command = "leave",
				  .run_dir = run_dir,
				  .timeout_ns = options->timeout,
				  .json = options->json };
	int status;

	(void)arguments;
	(void)count;
	if (!run_dir)
		return COMMAND_PROBLEM;
	if (options->drain)
		fprintf(stderr, "cenote leave: nothing to hand over: the cache of a node is not "
				"shared with others yet\n");
	status = task_call(&call, &request);
	free(run_dir);
	return status;
}

const struct command command_leave = {
	.name = "leave",
	.summary = "take this node out of its cluster",
	.arguments = "",
	.text = "Tells all members that this node goes for good, rather than have them miss it. "
		"The\n"
		"daemon goes on serving its mount, alone; `cenote join` brings it back, and so "
		"does a\n"
		"restart where gossip.join is set.\n\n"
		"A daemon that is only stopped announces a restart instead: the others keep its\n"
		"place for gossip.restart_timeout.",
	.group = &leave_group,
	.run = leave_run,
};

/*
 * leave.c - `cenote leave`: takes this node out of its cluster.
 */
#include <stdio.h>

#include "tools/cli/task.h"

struct leave_options {
	bool drain;
	struct task_options task;
};

static const struct option leave_table[] = {
	OPTION(struct leave_options, drain, OPTION_BOOL, .letter = 'd',
	       .help = "Hand over what other nodes would miss first. A node's cache is not shared "
		       "yet, so there is nothing to hand over: said, and left."),
	TASK_OPTIONS(struct leave_options, "30 s", "How long to wait until the others know."),
};
static const struct option_group leave_group =
	OPTION_GROUP_OF("leave", struct leave_options, leave_table);

static int leave_run(const void *value, char **arguments, int count)
{
	const struct leave_options *options = value;
	const struct task_call call = { .command = "leave", .options = &options->task };
	const struct control_request request = { .command = CONTROL_LEAVE };

	(void)arguments;
	(void)count;
	if (options->drain)
		fprintf(stderr, "cenote leave: nothing to hand over: the cache of a node is not "
				"shared with others yet\n");
	return task_call(&call, &request);
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

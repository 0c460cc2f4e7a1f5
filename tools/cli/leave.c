/*
 * leave.c - `cenote leave`: takes this node out of its cluster.
 */
#include <stdio.h>

#include "base/clock.h"
#include "tools/cli/task.h"

#define TOLD_NS (30 * NS_PER_S) /* waited for by default, when nothing is handed over */

struct leave_options {
	bool drain;
	struct task_options task;
};

static const struct option leave_table[] = {
	OPTION(struct leave_options, drain, OPTION_BOOL, .letter = 'd',
	       .help = "Hand over what is on this node's SSDs first, so that nobody has to fetch "
		       "it "
		       "from a backing store again."),
	TASK_OPTIONS(struct leave_options, "0 s",
		     "How long to wait; what is under way goes on after that. 0: until the others "
		     "know, 30 s at most, and with --drain for as long as it takes."),
};
static const struct option_group leave_group =
	OPTION_GROUP_OF("leave", struct leave_options, leave_table);

static int leave_run(const void *value, char **arguments, int count)
{
	const struct leave_options *options = value;
	struct task_options task = options->task;
	const struct task_call call = { .command = "leave", .options = &task };
	const struct control_request request = { .command = CONTROL_LEAVE,
						 .drain = options->drain };

	(void)arguments;
	(void)count;
	if (task.timeout == 0)
		task.timeout = options->drain ? CLOCK_NEVER : TOLD_NS;
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
		"With --drain it hands over first: members see it as 'leaving', it owns nothing "
		"any\n"
		"more, is still read from, and each block on its SSDs goes to the member that "
		"owns it\n"
		"now. That goes on when this command is interrupted or its --timeout has passed; "
		"given\n"
		"again, the command follows it. `cenote leave` without --drain ends it, and the "
		"node\n"
		"leaves at once; after `cenote join`, or a restart, it stays. Blocks for which "
		"their\n"
		"owners have no room are left behind, and counted. When nobody else stores blocks, "
		"or\n"
		"members do not answer for two minutes, the node stays. What is only in memory is "
		"not\n"
		"handed over.\n\n"
		"A daemon that is only stopped announces a restart instead: the others keep its\n"
		"place for gossip.restart_timeout.",
	.group = &leave_group,
	.run = leave_run,
};

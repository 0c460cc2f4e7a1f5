/*
 * join.c - `cenote join`: brings this node together with the members at the addresses given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/task.h"

struct join_options {
	bool json;
	uint64_t timeout;
	char *run_dir;
	char *config;
};

static const struct option join_table[] = {
	OPTION(struct join_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print what came of it as JSON."),
	OPTION(struct join_options, timeout, OPTION_DURATION, .letter = 't', .default_text = "30 s",
	       .help = "How long to wait for the answers."),
	OPTION(struct join_options, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",
	       .help = "The daemon's run directory (node.run_dir)."),
	OPTION(struct join_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .help = "The daemon's configuration, to find the run directory in."),
};
static const struct option_group join_group =
	OPTION_GROUP_OF("join", struct join_options, join_table);

/* Return: 0, or an exit status after a message. */
static int addresses_take(struct control_request *request, char **arguments, int count)
{
	if (count == 0) {
		fprintf(stderr, "cenote join: whom? Give the address or name of a member\n");
		return COMMAND_USAGE;
	}
	for (int i = 0; i < count; i++) {
		size_t len = strlen(arguments[i]);

		for (size_t c = 0; c < len; c++)
			if (arguments[i][c] <= ' ' || arguments[i][c] == 0x7f)
				len = CONTROL_ADDRESS_MAX;
		if (len == 0 || len >= CONTROL_ADDRESS_MAX) {
			fprintf(stderr, "cenote join: '%s' is neither an address nor a name\n",
				arguments[i]);
			return COMMAND_USAGE;
		}
		snprintf(request->addresses[request->address_count++], CONTROL_ADDRESS_MAX, "%s",
			 arguments[i]);
	}
	return 0;
}

static int join_run(const void *value, char **arguments, int count)
{
	const struct join_options *options = value;
	struct control_request request = { .command = CONTROL_JOIN };
	struct task_call call = { .command = "join",
				  .timeout_ns = options->timeout,
				  .json = options->json };
	int status = addresses_take(&request, arguments, count);
	char *run_dir;

	if (status)
		return status;
	run_dir = command_run_dir(options->run_dir, options->config);
	if (!run_dir)
		return COMMAND_PROBLEM;
	call.run_dir = run_dir;
	status = task_call(&call, &request);
	free(run_dir);
	return status;
}

const struct command command_join = {
	.name = "join",
	.summary = "bring this node together with a cluster's members",
	.arguments = "ADDRESS...",
	.arguments_max = CONTROL_ADDRESSES_MAX,
	.text = "Asks each ADDRESS (10.0.0.7, [fd00::7]:7472, gpu-7, gpu-7:7472) whom it knows, "
		"and\n"
		"tells it whom this node knows; one that answers is enough. A name may stand for\n"
		"several addresses.\n\n"
		"The node remembers the members it has met across restarts. What it is to look "
		"for\n"
		"in any case belongs into the configuration, as gossip.join.",
	.group = &join_group,
	.run = join_run,
};

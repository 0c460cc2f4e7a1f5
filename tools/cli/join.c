/*
 * join.c - `cenote join`: brings this node together with the members at the addresses given.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli/task.h"

struct join_options {
	struct task_options task;
};

static const struct option join_table[] = {
	TASK_OPTIONS(struct join_options, "30 s", "How long to wait for the answers."),
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
	const struct task_call call = { .command = "join", .options = &options->task };
	struct control_request request = { .command = CONTROL_JOIN };
	int status = addresses_take(&request, arguments, count);

	return status ? status : task_call(&call, &request);
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

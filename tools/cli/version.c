/*
 * version.c - `cenote version`.
 */
#include "tools/cli/command.h"

static int version_run(const void *options, char **arguments, int count)
{
	(void)options;
	(void)arguments;
	(void)count;
	printf("cenote " CENOTE_VERSION "\n");
	return COMMAND_OK;
}

const struct command command_version = {
	.name = "version",
	.summary = "print the version",
	.arguments = "",
	.text = "Prints the version of this command; `cenote status` shows that of the daemon.",
	.run = version_run,
};

/*
 * help.c - `cenote help [COMMAND]`.
 */
#include "tools/cli/command.h"

#include "base/suggest.h"

static int help_run(const void *options, char **arguments, int count)
{
	char suggestion[SUGGESTION_NAME_MAX + 32];
	const struct command *command;

	(void)options;
	if (count == 0) {
		command_print_overview(stdout);
		return COMMAND_OK;
	}
	command = command_find(arguments[0]);
	if (command) {
		command_print_help(command, stdout);
		return COMMAND_OK;
	}
	command_suggest(arguments[0], suggestion, sizeof(suggestion));
	fprintf(stderr, "cenote help: unknown command '%s'%s\n", arguments[0], suggestion);
	return COMMAND_USAGE;
}

const struct command command_help = {
	.name = "help",
	.summary = "explain a command",
	.arguments = "[COMMAND]",
	.arguments_max = 1,
	.text = "Without COMMAND, lists the commands.",
	.run = help_run,
};

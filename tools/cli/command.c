/*
 * command.c - finding, explaining and running a command.
 */
#include "tools/cli/command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "tools/run_dir.h"
#include "tools/settings.h"

#define ANSWER_MS 10000

const struct command *const commands[] = {
	&command_status,
	&command_check,
	&command_config,
	&command_flush,
	&command_members,
	&command_join,
	&command_leave,
	&command_keys,
	&command_locate,
	&command_upgrade,
	&command_help,
	&command_version,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (unsigned i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

void command_suggest(const char *name, char *out, size_t out_size)
{
	struct suggestion suggestion;

	suggestion_init(&suggestion, name, "");
	for (unsigned i = 0; commands[i]; i++)
		suggestion_offer(&suggestion, commands[i]->name);
	snprintf(out, out_size, "%s", suggestion_text(&suggestion));
}

static void usage_print(const struct command *command, FILE *out)
{
	fprintf(out, "usage: cenote %s%s%s%s\n", command->name,
		command->group ? " [OPTION...]" : "", *command->arguments ? " " : "",
		command->arguments);
}

void command_print_help(const struct command *command, FILE *out)
{
	usage_print(command, out);
	fprintf(out, "\n%s\n", command->text);
	if (command->group) {
		fputc('\n', out);
		option_print_help(command->group, out);
	}
}

void command_print_overview(FILE *out)
{
	fprintf(out, "usage: cenote COMMAND [OPTION...]\n\n"
		     "Looks after the Cenote daemon of this machine, cenoted(8).\n\nCommands:\n");
	for (unsigned i = 0; commands[i]; i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out,
		"\n`cenote COMMAND --help` says more. Exit status: 0 all is well, 1 a problem, "
		"2 wrong\nusage.\n");
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int usage_error(const struct command *command, const char *problem)
{
	fprintf(stderr, "cenote %s: %s\n", command->name, problem);
	usage_print(command, stderr);
	return COMMAND_USAGE;
}

/* Parses with an empty table when the command has no options: "--foo" is still refused. */
static int command_run(const struct command *command, int argc, char **argv)
{
	static const struct option_group no_options = { .name = "", .size = 1 };
	const struct option_group *group = command->group ? command->group : &no_options;
	char problem[OPTION_PROBLEM_MAX] = "out of memory";
	void *options = malloc(group->size);
	int count, status;

	if (!options || option_defaults(group, options) != 0) {
		free(options);
		return usage_error(command, problem);
	}
	count = option_parse_arguments(group, options, argc, argv, problem, sizeof(problem));
	if (count > command->arguments_max) {
		snprintf(problem, sizeof(problem), "unexpected argument '%s'",
			 argv[command->arguments_max]);
		count = -EINVAL;
	}
	status = count < 0 ? usage_error(command, problem) : command->run(options, argv, count);
	option_free(group, options);
	free(options);
	return status;
}

int command_main(int argc, char **argv)
{
	const struct command *command;
	char suggestion[SUGGESTION_NAME_MAX + 32];

	if (argc < 2) {
		command_print_overview(stderr);
		return COMMAND_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		command_print_overview(stdout);
		return COMMAND_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return command_version.run(NULL, NULL, 0);
	command = command_find(argv[1]);
	if (!command) {
		command_suggest(argv[1], suggestion, sizeof(suggestion));
		fprintf(stderr, "cenote: unknown command '%s'%s\n`cenote help` lists them.\n",
			argv[1], suggestion);
		return COMMAND_USAGE;
	}
	if (asks_for_help(argc - 2, argv + 2)) {
		command_print_help(command, stdout);
		return COMMAND_OK;
	}
	return command_run(command, argc - 2, argv + 2);
}

char *command_run_dir(const char *run_dir, const char *config)
{
	char problem[SETTINGS_PROBLEM_MAX];
	char *found = run_dir_find(run_dir, config, problem, sizeof(problem));

	if (!found)
		fprintf(stderr, "cenote: %s\n", problem);
	return found;
}

int command_ask(const char *name, const char *run_dir, const struct control_request *request,
		json_t **out_result)
{
	char problem[CONTROL_PROBLEM_MAX];
	int error = control_call(run_dir, request, ANSWER_MS, out_result, problem, sizeof(problem));

	if (error)
		fprintf(stderr, "cenote %s: %s\n", name, problem);
	return error;
}

/*
 * program.c - finding out what is asked for.
 */
#include "tools/bw/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bw/client.h"
#include "tools/bw/devices.h"
#include "tools/bw/mesh.h"
#include "tools/bw/options.h"
#include "tools/bw/server.h"
#include "tools/control.h"

#define MESH_NAME "--mesh"

const struct program_command program_commands[] = {
	{
		.arguments = "HOST[:PORT]",
		.arguments_min = 1,
		.arguments_max = 1,
		.text = "Measures reads of the memory of HOST, on which `cenote-bw serve` runs: "
			"bandwidth\n"
			"and message rate with reads in flight all the time, then latency with one "
			"read\n"
			"after the other. SIGINT ends it with what was measured so far.\n\n"
			"The columns are perftest's: bandwidth in MiB/sec (2^20 bytes), the peak "
			"over 50 ms;\n"
			"latencies in microseconds, of whole reads. CPU is processor time per 10^9 "
			"bytes of\n"
			"all threads of a side.",
		.group = &client_options_group,
		.run = client_measure,
	},
	{
		.name = "serve",
		.arguments = "",
		.text = "Offers memory to clients, several at once and one after the other, until "
			"SIGINT or\n"
			"SIGTERM. Started at a terminal without a secret, it makes one up for this "
			"time and\n"
			"shows the client's command line with it.",
		.group = &server_options_group,
		.run = server_serve,
	},
	{
		.name = "devices",
		.arguments = "",
		.text = "Lists what this machine can use for reads, and why something is not "
			"usable and\n"
			"what to do about it. Exit status 1 when nothing is usable.",
		.group = &devices_options_group,
		.run = devices_list,
	},
	{
		.name = MESH_NAME,
		.arguments = "[MEMBER...]",
		.arguments_max = CONTROL_MESH_MEMBERS_MAX,
		.text = "Has the members of this machine's cluster read from each other's memory "
			"through their\n"
			"running daemons, each pair in both directions: bandwidth, then the "
			"latency of 4 KiB,\n"
			"one read after the other. At no time does a member take part in two "
			"measurements.\n"
			"Needs the daemon, and may ask it as root or as its user; takes all "
			"members of its site\n"
			"that are alive, 64 at most, or those whose names or ids are given.\n\n"
			"A link is slow when its bandwidth is below half of the median of all, or "
			"its median\n"
			"latency above twice the median of all; so of three members nobody can be "
			"found out.\n"
			"Slow ones are red, or have a star where there are no colors. Exit status "
			"1 when a link\n"
			"could not be measured; a slow one was.",
		.group = &mesh_options_group,
		.run = mesh_measure,
	},
	{ 0 },
};

int program_problem(const char *problem)
{
	fprintf(stderr, "cenote-bw: %s\n", problem);
	return PROGRAM_PROBLEM;
}

int program_usage(const char *problem)
{
	fprintf(stderr, "cenote-bw: %s\n`cenote-bw --help` says more.\n", problem);
	return PROGRAM_USAGE;
}

static void command_help_print(const struct program_command *command, FILE *out)
{
	fprintf(out, "cenote-bw %s%s[OPTION...]%s%s\n\n%s\n\n", command->name ? command->name : "",
		command->name ? " " : "", *command->arguments ? " " : "", command->arguments,
		command->text);
	option_print_help(command->group, out);
}

static void overview_print(FILE *out)
{
	fputs("Measures one-sided reads between two machines, as a Cenote cluster does them.\n\n"
	      "usage: cenote-bw serve [OPTION...]           on the one machine\n"
	      "       cenote-bw HOST[:PORT] [OPTION...]     on the other one\n"
	      "       cenote-bw devices [--json]            what this machine can use\n"
	      "       cenote-bw --mesh [MEMBER...]          each member of the cluster from each "
	      "other\n"
	      "       cenote-bw help [serve|devices|mesh]   all options\n"
	      "       cenote-bw --version\n\n"
	      "Exit status: 0 everything was measured, and right; 1 a problem; 2 wrong usage;\n"
	      "130 interrupted.\n\n",
	      out);
}

static const struct program_command *command_named(const char *name)
{
	for (const struct program_command *each = program_commands; each->run; each++)
		if (each->name && strcmp(each->name, name) == 0)
			return each;
	return NULL;
}

/* An option in looks, as users expect it, and a command in all else: it may stand anywhere. Return:
 * whether it was there, and was taken out. */
static bool take_mesh(int *argc, char **argv)
{
	for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], MESH_NAME) != 0)
			continue;
		/* with the NULL at the end */
		memmove(&argv[i], &argv[i + 1], sizeof(*argv) * (size_t)(*argc - i));
		(*argc)--;
		return true;
	}
	return false;
}

static int help(int argc, char **argv)
{
	const struct program_command *command;

	if (argc == 0) {
		overview_print(stdout);
		command_help_print(&program_commands[0], stdout);
		return PROGRAM_OK;
	}
	command = command_named(strcmp(argv[0], "mesh") == 0 ? MESH_NAME : argv[0]);
	if (!command) {
		fprintf(stderr, "cenote-bw help: nothing is called '%s'\n", argv[0]);
		return PROGRAM_USAGE;
	}
	command_help_print(command, stdout);
	return PROGRAM_OK;
}

static bool asks_for(const char *name, char letter, int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], name) == 0 ||
		    (argv[i][0] == '-' && argv[i][1] == letter && argv[i][2] == '\0'))
			return true;
	return false;
}

static int run(const struct program_command *command, int argc, char **argv)
{
	char problem[OPTION_PROBLEM_MAX] = "out of memory";
	void *options = malloc(command->group->size);
	int count, status;

	if (!options || option_defaults(command->group, options) != 0) {
		free(options);
		return program_problem(problem);
	}
	count = option_parse_arguments(command->group, options, argc, argv, problem,
				       sizeof(problem));
	if (count > command->arguments_max)
		snprintf(problem, sizeof(problem), "unexpected argument '%s'",
			 argv[command->arguments_max]);
	else if (count >= 0 && count < command->arguments_min)
		snprintf(problem, sizeof(problem),
			 "which server? give HOST or HOST:PORT, or serve");
	status = count >= command->arguments_min && count <= command->arguments_max
			 ? command->run(options, argv, count)
			 : program_usage(problem);
	option_free(command->group, options);
	free(options);
	return status;
}

int program_main(int argc, char **argv)
{
	const struct program_command *command;

	if (argc < 2) {
		overview_print(stderr);
		return PROGRAM_USAGE;
	}
	if (strcmp(argv[1], "help") == 0)
		return help(argc - 2, argv + 2);
	if (asks_for("--version", 'V', argc - 1, argv + 1)) {
		printf("cenote-bw " CENOTE_VERSION "\n");
		return PROGRAM_OK;
	}
	if (take_mesh(&argc, argv)) {
		command = command_named(MESH_NAME);
		if (!asks_for("--help", 'h', argc - 1, argv + 1))
			return run(command, argc - 1, argv + 1);
		command_help_print(command, stdout);
		return PROGRAM_OK;
	}
	command = command_named(argv[1]);
	if (asks_for("--help", 'h', argc - 1, argv + 1))
		return help(command ? 1 : 0, argv + 1);
	if (command)
		return run(command, argc - 2, argv + 2);
	return run(&program_commands[0], argc - 1, argv + 1);
}

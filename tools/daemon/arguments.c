/*
 * arguments.c - the command line of cenoted as a table: its parser, its help, its man page.
 */
#include "tools/daemon/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/settings.h"

#define EXIT_USAGE 2

static const struct option arguments_table[] = {
	OPTION(struct daemon_arguments, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .default_text = SETTINGS_PATH_DEFAULT,
	       .help = "The configuration, see cenote.conf(5). SIGHUP reads it again."),
	OPTION(struct daemon_arguments, version, OPTION_BOOL, .letter = 'V',
	       .help = "Print the version and end."),
	OPTION(struct daemon_arguments, help, OPTION_BOOL, .letter = 'h',
	       .help = "Print this and end."),
};

const struct option_group daemon_arguments_options =
	OPTION_GROUP_OF("cenoted", struct daemon_arguments, arguments_table);

static void help_print(const char *program)
{
	printf("usage: %s [--config FILE]\n\n"
	       "Mounts what the configuration names and serves it from the cache, in the\n"
	       "foreground, until SIGTERM or SIGINT. `cenote check` tries a configuration first,\n"
	       "`cenote status` shows a running daemon.\n\n",
	       program);
	option_print_help(&daemon_arguments_options, stdout);
}

int daemon_arguments_take(const char *program, int argc, char **argv, struct daemon_arguments *out)
{
	char problem[OPTION_PROBLEM_MAX];
	int count;

	if (option_defaults(&daemon_arguments_options, out) != 0) {
		memset(out, 0, sizeof(*out));
		fprintf(stderr, "%s: out of memory\n", program);
		return EXIT_FAILURE;
	}
	count = option_parse_arguments(&daemon_arguments_options, out, argc - 1, argv + 1, problem,
				       sizeof(problem));
	if (count > 0)
		snprintf(problem, sizeof(problem), "unexpected argument '%s'", argv[1]);
	if (count != 0) {
		fprintf(stderr, "%s: %s\nusage: %s [--config FILE]\n", program, problem, program);
		return EXIT_USAGE;
	}
	if (out->help)
		help_print(program);
	if (out->version && !out->help)
		printf("%s " CENOTE_VERSION "\n", program);
	return out->help || out->version ? EXIT_SUCCESS : -1;
}

/*
 * cenoted.c - the node daemon, in the foreground: reads its config, mounts, serves until told to
 * stop. Everything is in tools/daemon/.
 *
 * Exit status: 0 stopped as told, or unmounted from outside; 1 could not start; 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "tools/daemon/arguments.h"
#include "tools/daemon/daemon.h"
#include "tools/settings.h"

#define EXIT_USAGE 2

static void help_print(void)
{
	printf("usage: cenoted [--config FILE]\n\n"
	       "Mounts what the configuration names and serves it from the cache, in the\n"
	       "foreground, until SIGTERM or SIGINT. `cenote check` tries a configuration first,\n"
	       "`cenote status` shows a running daemon.\n\n");
	option_print_help(&daemon_arguments_options, stdout);
}

/* For who has just started it to see what it does. */
static const char *advice(const char *config)
{
	if (strcmp(config, SETTINGS_PATH_DEFAULT) != 0 || access(config, F_OK) == 0)
		return "";
	return " advice=\"write one, see cenote.conf(5), or name another with --config FILE\"";
}

static int serve(const char *config)
{
	char problem[SETTINGS_PROBLEM_MAX];
	struct daemon *daemon;
	int error;

	error = daemon_create(config, &daemon, problem, sizeof(problem));
	if (error) {
		log_error("daemon.fail", "problem=\"%s\"%s",
			  problem[0] ? problem : error_text(error), advice(config));
		return EXIT_FAILURE;
	}
	daemon_run(daemon);
	daemon_destroy(daemon);
	return EXIT_SUCCESS;
}

static int run(int argc, char **argv, struct daemon_arguments *arguments)
{
	char problem[OPTION_PROBLEM_MAX];
	int count = option_parse_arguments(&daemon_arguments_options, arguments, argc - 1, argv + 1,
					   problem, sizeof(problem));

	if (count > 0)
		snprintf(problem, sizeof(problem), "unexpected argument '%s'", argv[1]);
	if (count != 0) {
		fprintf(stderr, "cenoted: %s\nusage: cenoted [--config FILE]\n", problem);
		return EXIT_USAGE;
	}
	if (arguments->help) {
		help_print();
		return EXIT_SUCCESS;
	}
	if (arguments->version) {
		printf("cenoted " CENOTE_VERSION "\n");
		return EXIT_SUCCESS;
	}
	return serve(arguments->config);
}

int main(int argc, char **argv)
{
	struct daemon_arguments arguments;
	int status;

	if (option_defaults(&daemon_arguments_options, &arguments) != 0) {
		fprintf(stderr, "cenoted: out of memory\n");
		return EXIT_FAILURE;
	}
	status = run(argc, argv, &arguments);
	option_free(&daemon_arguments_options, &arguments);
	return status;
}

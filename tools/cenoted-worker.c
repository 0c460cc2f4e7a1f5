/*
 * cenoted-worker.c - what serves the mount: reads its config, mounts, serves until told to stop.
 * Started by cenoted; by hand it runs without a keeper. Everything is in tools/daemon/.
 *
 * Exit status: as cenoted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "tools/daemon/arguments.h"
#include "tools/daemon/daemon.h"
#include "tools/settings.h"

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
	if (error == -ECANCELED) /* a standby whose turn did not come; it has said why */
		return EXIT_FAILURE;
	if (error) {
		log_error("daemon.fail", "problem=\"%s\"%s",
			  problem[0] ? problem : error_text(error), advice(config));
		return EXIT_FAILURE;
	}
	daemon_run(daemon);
	daemon_destroy(daemon);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct daemon_arguments arguments;
	int status;

	prctl(PR_SET_NAME, "cenoted-worker"); /* a keeper starts us by a descriptor, not by name */
	status = daemon_arguments_take("cenoted-worker", argc, argv, &arguments);

	if (status < 0)
		status = serve(arguments.config);
	option_free(&daemon_arguments_options, &arguments);
	return status;
}

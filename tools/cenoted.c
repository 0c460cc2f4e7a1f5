/*
 * cenoted.c - the node daemon, in the foreground: the keeper of its mount (fuse/keeper), which
 * starts cenoted-worker, beside it, and again when that dies. Everything else is there.
 *
 * Exit status: 0 stopped as told, or unmounted from outside; 1 could not start; 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuse/keeper/keeper.h"
#include "tools/daemon/arguments.h"

int main(int argc, char **argv)
{
	struct daemon_arguments arguments;
	int status = daemon_arguments_take("cenoted", argc, argv, &arguments);

	if (status < 0)
		status = keeper_run(argv);
	option_free(&daemon_arguments_options, &arguments);
	return status;
}

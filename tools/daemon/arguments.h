/*
 * arguments.h - the command line of cenoted, which its worker is started with as well.
 */
#pragma once

#include <stdbool.h>

#include "base/option.h"

struct daemon_arguments {
	char *config;
	bool version;
	bool help;
};

extern const struct option_group daemon_arguments_options; /* of struct daemon_arguments */

/**
 * daemon_arguments_take() - parses; answers --help and --version, and wrong usage.
 * @out: for option_free(), whatever is returned.
 * Return: the exit status to end with; -1: go on.
 */
int daemon_arguments_take(const char *program, int argc, char **argv, struct daemon_arguments *out);

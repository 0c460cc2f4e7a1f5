/*
 * arguments.h - the command line of cenoted.
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

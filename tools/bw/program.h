/*
 * program.h - cenote-bw as a whole: what its first word means. From the table here come dispatch,
 * help, the man page and bash completion.
 */
#pragma once

#include <stdio.h>

#include "base/option.h"

#define PROGRAM_OK	0
#define PROGRAM_PROBLEM 1 /* not all was measured, or something was wrong */
#define PROGRAM_USAGE	2

struct program_command {
	const char *name;      /* NULL: what the other words do not mean: measuring */
	const char *arguments; /* "HOST[:PORT]"; "" when there are none */
	int arguments_min, arguments_max;
	const char *text; /* paragraphs, separated by a blank line */
	const struct option_group *group;
	int (*run)(const void *options, char **arguments, int count);
};

/* In the order of help; ends with one without run. */
extern const struct program_command program_commands[];

/** program_main() - the whole of cenote-bw. Return: the exit status. */
int program_main(int argc, char **argv);

/** program_problem() - says what is wrong. Return: PROGRAM_PROBLEM, always. */
int program_problem(const char *problem);

/** program_usage() - the same of a wrong command line. Return: PROGRAM_USAGE, always. */
int program_usage(const char *problem);

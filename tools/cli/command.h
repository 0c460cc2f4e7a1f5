/*
 * command.h - the commands of `cenote`, one file each. From this table come dispatch, help, the man
 * page and bash completion.
 */
#pragma once

#include <stdio.h>

#include "base/option.h"
#include "tools/control.h"

#define COMMAND_OK	0
#define COMMAND_PROBLEM 1 /* it was done, and something is wrong; or it could not be done */
#define COMMAND_USAGE	2

struct command {
	const char *name;
	const char *summary;   /* one line, no full stop */
	const char *arguments; /* positional ones, "[COMMAND]"; "" when there are none */
	int arguments_max;
	const char *text; /* paragraphs for help and the man page, separated by a blank line */
	const struct option_group *group; /* NULL: no options */
	/* @options: of group, may be NULL; @arguments: @count <= arguments_max of them.
	 * Return: the exit status. */
	int (*run)(const void *options, char **arguments, int count);
};

/* In the order of help; NULL-ended. */
extern const struct command *const commands[];

extern const struct command command_status;
extern const struct command command_check;
extern const struct command command_config;
extern const struct command command_flush;
extern const struct command command_members;
extern const struct command command_join;
extern const struct command command_leave;
extern const struct command command_keys;
extern const struct command command_locate;
extern const struct command command_upgrade;
extern const struct command command_help;
extern const struct command command_version;

/** command_find() - by name; NULL when there is none. */
const struct command *command_find(const char *name);

/** command_suggest() - "; did you mean status?" or "", for a name that is none. */
void command_suggest(const char *name, char *out, size_t out_size);

/** command_print_help() - everything about one command. */
void command_print_help(const struct command *command, FILE *out);

/** command_print_overview() - `cenote --help`. */
void command_print_overview(FILE *out);

/** command_main() - the whole of `cenote`: finds the command, parses, runs. Return: exit status. */
int command_main(int argc, char **argv);

#define COMMAND_RUN_DIR_HELP "The daemon's run directory (node.run_dir)."
#define COMMAND_CONFIG_HELP  "The daemon's configuration, to find the run directory in."
/* How a command finds its daemon: rows of its option table, for two char * of @struct_type. */
#define COMMAND_DAEMON_OPTIONS(struct_type)                                                        \
	OPTION(struct_type, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",              \
	       .help = COMMAND_RUN_DIR_HELP),                                                      \
		OPTION(struct_type, config, OPTION_STRING, .letter = 'c', .argument = "FILE",      \
		       .help = COMMAND_CONFIG_HELP)

/**
 * command_run_dir() - where the daemon's socket is: run_dir_find().
 * Return: heap memory, or NULL after a message to stderr.
 */
char *command_run_dir(const char *run_dir, const char *config);

/**
 * command_ask() - one answer of the daemon.
 * @name: the command's, for the message.
 * Return: 0 with @out_result for json_decref(), or an error of control_call() after a message to
 *         stderr.
 */
int command_ask(const char *name, const char *run_dir, const struct control_request *request,
		json_t **out_result);

/*
 * arguments.c - the command line of cenoted as a table: its parser, its help, its man page.
 */
#include "tools/daemon/arguments.h"

#include "tools/settings.h"

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

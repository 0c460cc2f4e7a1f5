/*
 * config.c - `cenote config`: the configuration as the daemon would understand it.
 */
#include "tools/cli/command.h"
#include "tools/settings.h"
#include "tools/settings_print.h"

struct config_options {
	char *config;
};

static const struct option config_table[] = {
	OPTION(struct config_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .default_text = SETTINGS_PATH_DEFAULT, .help = "The configuration to print."),
};
static const struct option_group config_group =
	OPTION_GROUP_OF("config", struct config_options, config_table);

static int config_run(const void *options, char **arguments, int count)
{
	const struct config_options *config = options;
	char problem[SETTINGS_PROBLEM_MAX];
	struct settings settings;

	(void)arguments;
	(void)count;
	if (settings_load(config->config, &settings, problem, sizeof(problem)) != 0) {
		fprintf(stderr, "cenote config: %s\n", problem);
		return COMMAND_PROBLEM;
	}
	settings_print(&settings_options, &settings, stdout);
	settings_free(&settings);
	return COMMAND_OK;
}

const struct command command_config = {
	.name = "config",
	.summary = "print the configuration with every default, without secrets",
	.arguments = "",
	.text = "Prints FILE as the daemon would understand it: every setting with its value,\n"
		"defaults included. The output is a configuration again, but for secrets, which\n"
		"are left out.",
	.group = &config_group,
	.run = config_run,
};

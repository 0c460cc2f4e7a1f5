/*
 * run_dir.c - node.run_dir, without the tables of all rooms: what asks a daemon need not be linked
 * with all that a daemon is.
 */
#include "tools/run_dir.h"

#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "tools/settings.h"

struct node_part {
	char *run_dir;
};

struct settings_part {
	struct node_part node;
};

static const struct option node_table[] = {
	OPTION(struct node_part, run_dir, OPTION_STRING, .default_text = SETTINGS_RUN_DIR_DEFAULT),
};
static const struct option_group node_group = OPTION_GROUP_OF("node", struct node_part, node_table);
static const struct option part_table[] = {
	OPTION(struct settings_part, node, OPTION_STRUCT, .group = &node_group),
};
static const struct option_group part_group =
	OPTION_GROUP_OF("settings", struct settings_part, part_table);

static char *of_config(const char *config, char *problem, size_t problem_size)
{
	struct settings_part settings;
	char *run_dir;

	if (config_load_part(config, &part_group, &settings, problem, problem_size) != 0)
		return NULL;
	run_dir = strdup(settings.node.run_dir);
	option_free(&part_group, &settings);
	return run_dir;
}

char *run_dir_find(const char *run_dir, const char *config, char *problem, size_t problem_size)
{
	char *found;

	snprintf(problem, problem_size, "out of memory");
	if (run_dir)
		return strdup(run_dir);
	found = of_config(config ? config : SETTINGS_PATH_DEFAULT, problem, problem_size);
	/* No default configuration, or not ours to read, is no reason to give up. */
	if (!found && !config)
		found = strdup(SETTINGS_RUN_DIR_DEFAULT);
	return found;
}

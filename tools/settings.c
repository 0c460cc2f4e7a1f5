/*
 * settings.c - the root option table, and what only the whole can check: that mount entries name
 * backing stores that exist, and that no two have one id.
 */
#include "tools/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"

static const struct option node_table[] = {
	OPTION(struct settings_node, name, OPTION_STRING, .argument = "NAME",
	       .help = "What this node is called in status and log. Default: the host's name."),
	OPTION(struct settings_node, run_dir, OPTION_STRING,
	       .default_text = SETTINGS_RUN_DIR_DEFAULT, .argument = "DIR",
	       .help = "Absolute directory of the pid file and the control socket, made when "
		       "missing. Two daemons on one machine need one each."),
	OPTION(struct settings_node, state_dir, OPTION_STRING,
	       .default_text = SETTINGS_STATE_DIR_DEFAULT, .argument = "DIR",
	       .help = "Absolute directory, made when missing, in which a node of a cluster keeps "
		       "who it is. Another node must not have a copy of it."),
	OPTION(struct settings_node, stop_timeout, OPTION_DURATION, .default_text = "30 s",
	       .min = 0, .max = INT64_C(600) * (int64_t)NS_PER_S, .flags = OPTION_LIVE,
	       .help = "How long reads in hand may take to finish when the daemon is told to stop. "
		       "Keep it below systemd's TimeoutStopSec."),
	OPTION(struct settings_node, core_dumps, OPTION_BOOL, .default_text = "false",
	       .help = "Whether a crash may leave a core file. It would hold secrets and pieces of "
		       "the data."),
};
static const struct option_group node_options =
	OPTION_GROUP_OF("node", struct settings_node, node_table);

static const struct option log_table[] = {
	OPTION(struct settings_log, level, OPTION_CHOICE, .default_text = "info",
	       .choices = log_level_names, .flags = OPTION_LIVE,
	       .help = "Lines less important than this are not written."),
};
static const struct option_group log_options =
	OPTION_GROUP_OF("log", struct settings_log, log_table);

static const struct option cluster_table[] = {
	OPTION(struct settings_cluster, name, OPTION_STRING, .argument = "NAME", .min = 1,
	       .max = CLUSTER_NAME_MAX - 1,
	       .help = "The cluster that this node is part of; the same on all its nodes. Without "
		       "it the node is alone."),
	OPTION(struct settings_cluster, secret_file, OPTION_STRING, .argument = "FILE",
	       .help = "The cluster's keys, one a line, the first is used; the same on all nodes, "
		       "and readable for the daemon's user alone. `cenote keys generate` makes "
		       "one."),
	OPTION(struct settings_cluster, site, OPTION_STRING, .argument = "NAME",
	       .max = MEMBERSHIP_SITE_MAX - 1,
	       .help = "The part of the cluster with a fast network among its nodes: blocks are "
		       "placed within it."),
};
static const struct option_group cluster_options =
	OPTION_GROUP_OF("cluster", struct settings_cluster, cluster_table);

static const struct option settings_table[] = {
	OPTION(struct settings, node, OPTION_STRUCT, .group = &node_options,
	       .help = "The node itself."),
	OPTION(struct settings, log, OPTION_STRUCT, .group = &log_options,
	       .help = "What is logged, to stderr."),
	OPTION(struct settings, cache, OPTION_STRUCT, .group = &cache_options,
	       .help = "Memory and SSD."),
	OPTION(struct settings, backings, OPTION_STRUCTS, .group = &backing_options,
	       .flags = OPTION_REQUIRED, .min = 1, .max = 64,
	       .help = "Where the data comes from: S3 endpoints and directories, each by an id."),
	OPTION(struct settings, mount, OPTION_STRUCT, .group = &mount_options,
	       .flags = OPTION_REQUIRED,
	       .help = "Where the data is seen: the mountpoint, and what is mounted below it."),
	OPTION(struct settings, cluster, OPTION_STRUCT, .group = &cluster_options,
	       .help = "Which nodes belong together, and by which secret they know each other."),
	OPTION(struct settings, gossip, OPTION_STRUCT, .group = &membership_options,
	       .help = "How the nodes of a cluster find and watch each other."),
	OPTION(struct settings, fabric, OPTION_STRUCT, .group = &transport_options,
	       .help = "How the nodes of a cluster read each other's memory."),
	OPTION(struct settings, peers, OPTION_STRUCT, .group = &peers_options,
	       .help = "What the nodes of a cluster ask of each other, and for how long."),
};

const struct backing_config *settings_backing(const struct settings *settings, unsigned index)
{
	const char *items = settings->backings.items;

	CHECK(index < settings->backings.count);
	return (const struct backing_config *)(const void *)(items + index * backing_options.size);
}

const struct backing_config *settings_backing_find(const struct settings *settings, const char *id)
{
	for (unsigned i = 0; i < settings->backings.count; i++) {
		const struct backing_config *backing = settings_backing(settings, i);

		if (strcmp(backing_config_id(backing), id) == 0)
			return backing;
	}
	return NULL;
}

const struct mount_entry_config *settings_mount_entry(const struct settings *settings,
						      unsigned index)
{
	const struct mount_entry_config *entries = settings->mount.entries.items;

	CHECK(index < settings->mount.entries.count);
	return &entries[index];
}

static int backings_validate(const struct settings *settings, char *problem, size_t problem_size)
{
	for (unsigned i = 0; i < settings->backings.count; i++) {
		const char *id = backing_config_id(settings_backing(settings, i));

		if (settings_backing_find(settings, id) == settings_backing(settings, i))
			continue;
		snprintf(problem, problem_size,
			 "two backing stores are called '%s': each needs an id of its own", id);
		return -EINVAL;
	}
	return 0;
}

static void backing_names(const struct settings *settings, char *out, size_t out_size)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < settings->backings.count && len < out_size; i++)
		len += (size_t)snprintf(out + len, out_size - len, "%s%s", i > 0 ? ", " : "",
					backing_config_id(settings_backing(settings, i)));
}

static int entries_validate(const struct settings *settings, char *problem, size_t problem_size)
{
	for (unsigned i = 0; i < settings->mount.entries.count; i++) {
		const struct mount_entry_config *entry = settings_mount_entry(settings, i);
		char names[160];

		if (settings_backing_find(settings, entry->backing))
			continue;
		backing_names(settings, names, sizeof(names));
		snprintf(problem, problem_size,
			 "mount entry '%s' names the backing store '%s', which 'backings' does not "
			 "have (it has: %s)",
			 entry->path, entry->backing, names);
		return -EINVAL;
	}
	return 0;
}

static int cluster_validate(const struct settings *settings, char *problem, size_t problem_size)
{
	const struct settings_cluster *cluster = &settings->cluster;

	if (cluster->name && !cluster->secret_file) {
		snprintf(problem, problem_size,
			 "setting 'cluster.secret_file' is missing: make one with `cenote keys "
			 "generate > FILE`, chmod 600 it, and give it to every node");
		return -EINVAL;
	}
	if (!cluster->name && (cluster->secret_file || settings->gossip.join.count > 0)) {
		snprintf(problem, problem_size,
			 "setting 'cluster.name' is missing: %s is of no use without it",
			 cluster->secret_file ? "cluster.secret_file" : "gossip.join");
		return -EINVAL;
	}
	return 0;
}

/* A peer reads what it was given a lease for, and once more when its connection breaks. */
static int lease_validate(const struct settings *settings, char *problem, size_t problem_size)
{
	if (settings->peers.lease / 2 >= settings->fabric.read_timeout)
		return 0;
	snprintf(problem, problem_size,
		 "setting 'peers.lease' is less than twice fabric.read_timeout: blocks could be "
		 "evicted while peers still read them");
	return -EINVAL;
}

static int directory_validate(const char *name, const char *path, char *problem,
			      size_t problem_size)
{
	if (path[0] == '/')
		return 0;
	snprintf(problem, problem_size, "setting 'node.%s': '%s' is not absolute", name, path);
	return -EINVAL;
}

static int settings_validate(const void *value, char *problem, size_t problem_size)
{
	const struct settings *settings = value;
	int error;

	error = directory_validate("run_dir", settings->node.run_dir, problem, problem_size);
	if (!error)
		error = directory_validate("state_dir", settings->node.state_dir, problem,
					   problem_size);
	if (!error)
		error = cluster_validate(settings, problem, problem_size);
	if (!error)
		error = lease_validate(settings, problem, problem_size);
	if (!error)
		error = backings_validate(settings, problem, problem_size);
	return error ? error : entries_validate(settings, problem, problem_size);
}

const struct option_group settings_options = {
	.name = "cenote",
	.size = sizeof(struct settings),
	.options = settings_table,
	.count = ARRAY_COUNT(settings_table),
	.validate = settings_validate,
};

int settings_load(const char *path, struct settings *out, char *problem, size_t problem_size)
{
	return config_load(path, &settings_options, out, problem, problem_size);
}

void settings_free(struct settings *settings)
{
	option_free(&settings_options, settings);
}

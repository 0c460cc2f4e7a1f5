/*
 * check.c - `cenote check`: would this configuration work on this machine, and if not, what to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/keyring.h"
#include "fabric/transport/transport.h"
#include "tools/cli/check_backing.h"
#include "tools/cli/check_report.h"
#include "tools/cli/check_system.h"
#include "tools/cli/command.h"
#include "tools/control.h"
#include "tools/setting.h"
#include "tools/settings.h"

#define ANSWER_MS	   5000
#define FABRIC_DEVICES_MAX 64

struct check_options {
	char *config;
	bool json;
	bool offline;
	uint64_t timeout;
};

static const struct option check_table[] = {
	OPTION(struct check_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .default_text = SETTINGS_PATH_DEFAULT, .help = "The configuration to check."),
	OPTION(struct check_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print the findings as JSON."),
	OPTION(struct check_options, offline, OPTION_BOOL, .letter = 'o',
	       .help = "Ask no backing store: configuration and machine only."),
	OPTION(struct check_options, timeout, OPTION_DURATION, .letter = 't',
	       .default_text = "10 s", .min = 100 * (int64_t)NS_PER_MS,
	       .max = 600 * (int64_t)NS_PER_S,
	       .help = "How long each mount entry may take to answer."),
};
static const struct option_group check_group =
	OPTION_GROUP_OF("check", struct check_options, check_table);

static const char *secret_in(const struct settings *settings, struct setting_list *list)
{
	if (setting_list_make(&settings_options, settings, list) != 0)
		return NULL;
	for (unsigned i = 0; i < list->count; i++)
		if (setting_is_secret_set(&list->items[i]))
			return list->items[i].path;
	return NULL;
}

static void config_check(struct check_report *report, const char *path,
			 const struct settings *settings)
{
	struct setting_list list = { 0 };
	const char *secret = secret_in(settings, &list);
	struct stat st;

	if (secret && stat(path, &st) == 0 && st.st_mode & S_IROTH)
		check_report_add(report, CHECK_WARN, "configuration",
				 "%s has a secret (%s) and everybody may read it: chmod 600 %s",
				 path, secret, path);
	else
		check_report_add(report, CHECK_OK, "configuration", "%s", path);
	setting_list_free(&list);
}

struct directory_context {
	struct check_report *report;
	const char *subject;
};

static void directory_finding(void *value, enum cache_finding finding, const char *text)
{
	static const enum check_level levels[] = {
		[CACHE_FINDING_OK] = CHECK_OK,
		[CACHE_FINDING_SLOW] = CHECK_WARN,
		[CACHE_FINDING_BAD] = CHECK_FAIL,
	};
	struct directory_context *context = value;

	check_report_add(context->report, levels[finding], context->subject, "%s", text);
}

static void directories_check(struct check_report *report, const struct settings *settings)
{
	const struct cache_directory_config *directories = settings->cache.directories.items;

	if (settings->cache.directories.count == 0)
		check_report_add(
			report, CHECK_WARN, "cache directories",
			"none: nothing survives a restart, and what does not fit into memory "
			"is fetched again; add cache.directories");
	for (unsigned i = 0; i < settings->cache.directories.count; i++) {
		char subject[256];
		struct directory_context context = { report, subject };

		snprintf(subject, sizeof(subject), "cache directory %s", directories[i].path);
		cache_directory_check(&directories[i], directory_finding, &context);
	}
}

/* The keys' file is looked at by the rules of the daemon; its keys stay unsaid. */
static void cluster_check(struct check_report *report, const struct settings *settings)
{
	const struct settings_cluster *cluster = &settings->cluster;
	char problem[CONTROL_PROBLEM_MAX] = "", text[ADDRESS_TEXT_MAX];
	struct keyring *ring;
	struct address address;
	int error;

	if (!cluster->name)
		return;
	error = keyring_load(cluster->secret_file, &ring, problem, sizeof(problem));
	if (error == -ENOENT)
		check_report_add(report, CHECK_FAIL, "cluster",
				 "%s is missing: copy it from another node, or begin a cluster "
				 "with `cenote keys generate > %s` and chmod 600",
				 cluster->secret_file, cluster->secret_file);
	else if (error)
		check_report_add(report, CHECK_FAIL, "cluster", "%s", problem);
	if (error)
		return;
	keyring_destroy(ring);
	if (address_parse(settings->gossip.listen, MEMBERSHIP_PORT, &address, problem,
			  sizeof(problem)) == 0)
		check_report_add(report, settings->gossip.join.count > 0 ? CHECK_OK : CHECK_WARN,
				 "cluster", "%s, secret %s, gossip at %s (UDP and TCP)%s",
				 cluster->name, cluster->secret_file, address_text(&address, text),
				 settings->gossip.join.count > 0
					 ? ""
					 : ": gossip.join names nobody, so this node finds only "
					   "members that it knows already, or is told by `cenote "
					   "join`");
}

/* What the daemon would choose if fabric.devices names none. */
static void fabric_check(struct check_report *report, const struct settings *settings)
{
	struct transport_device devices[FABRIC_DEVICES_MAX];
	int kind = settings->fabric.kind, count;
	const struct transport_device *found = NULL, *refused = NULL;

	if (!settings->cluster.name)
		return;
	count = transport_devices(devices, ARRAY_COUNT(devices));
	for (int i = 0; i < count && !found; i++) {
		if (kind != TRANSPORT_AUTO && devices[i].kind != (enum transport_kind)kind)
			continue;
		if (devices[i].usable)
			found = &devices[i];
		else if (!refused)
			refused = &devices[i];
	}
	if (found)
		check_report_add(report, *found->problem ? CHECK_WARN : CHECK_OK, "fabric",
				 "%s %s at %s: %s%s%s", transport_kind_names[found->kind],
				 found->name, settings->fabric.listen, found->text,
				 *found->problem ? "; " : "", found->problem);
	else
		check_report_add(report, CHECK_FAIL, "fabric",
				 "no usable device for fabric.kind = %s: %s; `cenote-bw devices` "
				 "shows all of them",
				 transport_kind_names[kind],
				 refused ? refused->problem : error_text(count));
}

static bool daemon_check(struct check_report *report, const char *run_dir)
{
	const struct control_request request = { .command = CONTROL_STATUS };
	char problem[CONTROL_PROBLEM_MAX];
	json_t *status;

	if (control_call(run_dir, &request, ANSWER_MS, &status, problem, sizeof(problem)) != 0) {
		check_report_add(report, CHECK_OK, "daemon", "not running in %s", run_dir);
		return false;
	}
	check_report_add(report, CHECK_OK, "daemon", "running, pid %d",
			 (int)json_integer_value(json_object_get(status, "pid")));
	json_decref(status);
	return true;
}

static void settings_check(struct check_report *report, const struct check_options *options,
			   const struct settings *settings)
{
	const struct mount_entry_config *parts[MOUNT_PARTS_MAX];
	struct check_system_needs needs = {
		.arena_len = settings->cache.memory,
		.directory_count = settings->cache.directories.count,
		.allow_other = settings->mount.allow_other,
		.part_count = mount_config_parts(&settings->mount, parts),
		.mountpoint = settings->mount.path,
	};

	config_check(report, options->config, settings);
	for (unsigned i = 0; i < settings->backings.count; i++)
		needs.reserve_len += backing_config_memory_max(settings_backing(settings, i));
	cluster_check(report, settings);
	fabric_check(report, settings);
	needs.daemon_runs = daemon_check(report, settings->node.run_dir);
	check_system(report, &needs);
	directories_check(report, settings);
	check_backings(report, settings, options->offline, options->timeout);
}

static void summary_print(struct check_report *report)
{
	unsigned fails = report->counts[CHECK_FAIL], warns = report->counts[CHECK_WARN];

	if (report->findings) {
		json_t *root =
			json_pack("{s:b, s:o}", "ok", fails == 0, "findings", report->findings);

		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(root);
		return;
	}
	if (fails > 0)
		terminal_print(&report->terminal, TERMINAL_BAD, "\n%u to mend", fails);
	else
		terminal_print(&report->terminal, TERMINAL_GOOD, "\nready");
	if (warns > 0)
		terminal_print(&report->terminal, TERMINAL_WARN, ", %u to consider", warns);
	putchar('\n');
}

static int check_run(const void *value, char **arguments, int count)
{
	const struct check_options *options = value;
	char problem[SETTINGS_PROBLEM_MAX];
	struct check_report report = { 0 };
	struct settings settings;

	(void)arguments;
	(void)count;
	/* What the rooms log on the way is in the findings. */
	log_set_level(LOG_LEVEL_ERROR);
	terminal_open(stdout, &report.terminal);
	terminal_open(stderr, &report.progress);
	report.findings = options->json ? json_array() : NULL;
	if (settings_load(options->config, &settings, problem, sizeof(problem)) != 0) {
		check_report_add(&report, CHECK_FAIL, "configuration", "%s", problem);
	} else {
		settings_check(&report, options, &settings);
		settings_free(&settings);
	}
	summary_print(&report);
	return report.counts[CHECK_FAIL] > 0 ? COMMAND_PROBLEM : COMMAND_OK;
}

const struct command command_check = {
	.name = "check",
	.summary = "try a configuration: files, limits, directories, backing stores",
	.arguments = "",
	.text = "Looks at everything that the daemon will need: the configuration, FUSE and "
		"kernel\n"
		"settings, limits, the cache directories, and whether every mount entry can be\n"
		"listed. Says what to do about each finding. Changes nothing but for a file that "
		"is\n"
		"made in each cache directory and removed again.",
	.group = &check_group,
	.run = check_run,
};

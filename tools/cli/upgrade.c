/*
 * upgrade.c - `cenote upgrade`: another program takes over the mount, under running readers. The
 * daemon that is asked ends in the course of it: what came of it, the one that answers then says.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/control.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000
#define PAUSE_NS  (200 * NS_PER_MS)

struct upgrade_options {
	char *program;
	uint64_t timeout;
	char *run_dir;
	char *config;
};

static const struct option upgrade_table[] = {
	OPTION(struct upgrade_options, program, OPTION_STRING, .letter = 'p', .argument = "FILE",
	       .help = "The new cenoted, with its cenoted-worker beside it. Default: what lies "
		       "where "
		       "the running one was started from."),
	OPTION(struct upgrade_options, timeout, OPTION_DURATION, .letter = 't',
	       .default_text = "5 min",
	       .help = "Stop waiting after this time; what is under way goes on."),
	COMMAND_DAEMON_OPTIONS(struct upgrade_options),
};
static const struct option_group upgrade_group =
	OPTION_GROUP_OF("upgrade", struct upgrade_options, upgrade_table);

/* Who answered when it began. */
struct origin {
	json_int_t pid, restarts;
	char version[64];
};

static json_int_t keeper_number(const json_t *report, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(report, "keeper"), name));
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void origin_take(const json_t *report, struct origin *out)
{
	out->pid = json_integer_value(json_object_get(report, "pid"));
	out->restarts = keeper_number(report, "restarts");
	snprintf(out->version, sizeof(out->version), "%s", text_of(report, "version"));
}

/* Another process serves: the new program, or the old one again. Return: an exit status. */
static int ended(const struct origin *origin, const json_t *report)
{
	const json_t *keeper = json_object_get(report, "keeper");

	if (strcmp(text_of(keeper, "end"), "upgrade") != 0) {
		fprintf(stderr,
			"cenote upgrade: the old program serves again (%s); the log says "
			"more\n",
			text_of(keeper, "reason"));
		return COMMAND_PROBLEM;
	}
	printf("upgraded from %s to %s, pid %lld\n", origin->version, text_of(report, "version"),
	       (long long)json_integer_value(json_object_get(report, "pid")));
	return COMMAND_OK;
}

/* Return: an exit status; -1: not yet. */
static int progress(const struct origin *origin, const json_t *report)
{
	const json_t *upgrade = json_object_get(json_object_get(report, "keeper"), "upgrade");

	if (json_integer_value(json_object_get(report, "pid")) != origin->pid)
		return strcmp(text_of(report, "state"), "running") == 0 ? ended(origin, report)
									: -1;
	if (strcmp(text_of(upgrade, "state"), "refused") != 0)
		return -1;
	fprintf(stderr, "cenote upgrade: refused, and nothing has changed: %s\n",
		text_of(upgrade, "problem"));
	return COMMAND_PROBLEM;
}

static int report_ask(const char *run_dir, json_t **out_report)
{
	const struct control_request request = { .command = CONTROL_STATUS };
	char problem[CONTROL_PROBLEM_MAX];

	return control_call(run_dir, &request, ANSWER_MS, out_report, problem, sizeof(problem));
}

static int upgrade_wait(const char *run_dir, const struct origin *origin, uint64_t timeout_ns)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), timeout_ns);
	struct terminal terminal;
	int status = -1;

	terminal_open(stderr, &terminal);
	while (status < 0) {
		json_t *report;

		progress_show(&terminal, "upgrading", 0, 0, "");
		nanosleep(&pause, NULL);
		if (report_ask(run_dir, &report) == 0) { /* for a moment nobody answers */
			progress_clear(&terminal);
			status = progress(origin, report);
			json_decref(report);
		}
		if (status < 0 && clock_now_ns(clock_system()) >= deadline_ns) {
			progress_clear(&terminal);
			fprintf(stderr, "cenote upgrade: not done in time; `cenote status` and the "
					"log say how it goes\n");
			status = COMMAND_PROBLEM;
		}
	}
	progress_clear(&terminal);
	return status;
}

/* The daemon does not know where we are. */
static int program_resolve(const char *program, char *out, size_t size)
{
	char *full = *program ? realpath(program, NULL) : strdup("");
	bool fits = full && strlen(full) < size;

	if (!full)
		fprintf(stderr, "cenote upgrade: %s: %s\n", program, strerror(errno));
	else if (!fits)
		fprintf(stderr, "cenote upgrade: %s: its path is too long\n", program);
	else
		snprintf(out, size, "%s", full);
	free(full);
	return fits ? 0 : -EINVAL;
}

static int upgrade_call(const struct upgrade_options *options, const char *run_dir)
{
	struct control_request request = { .command = CONTROL_UPGRADE };
	const struct control_request status = { .command = CONTROL_STATUS };
	struct origin origin;
	json_t *result;

	if (program_resolve(options->program ? options->program : "", request.file,
			    sizeof(request.file)) != 0 ||
	    command_ask("upgrade", run_dir, &status, &result) != 0)
		return COMMAND_PROBLEM;
	origin_take(result, &origin);
	json_decref(result);
	if (command_ask("upgrade", run_dir, &request, &result) != 0)
		return COMMAND_PROBLEM;
	json_decref(result);
	return upgrade_wait(run_dir, &origin, options->timeout);
}

static int upgrade_run(const void *options, char **arguments, int count)
{
	const struct upgrade_options *upgrade = options;
	char *run_dir = command_run_dir(upgrade->run_dir, upgrade->config);
	int status;

	(void)arguments;
	(void)count;
	if (!run_dir)
		return COMMAND_PROBLEM;
	status = upgrade_call(upgrade, run_dir);
	free(run_dir);
	return status;
}

const struct command command_upgrade = {
	.name = "upgrade",
	.summary = "have another release take over, under running readers",
	.arguments = "",
	.text = "The new program is started beside the running one and looks around: the\n"
		"configuration, what it would take over, the cache directories. If it would not "
		"do,\n"
		"that is said, and nothing has changed. Otherwise the old one answers what it has "
		"in\n"
		"hand and leaves, and the new one goes on with the mount: open files stay open, "
		"and\n"
		"readers wait meanwhile. A new program that does not get to serve within a minute "
		"is\n"
		"ended, and the old one started again.\n\n"
		"The kernel must be 6.9 or later; on an older one restart the service.",
	.group = &upgrade_group,
	.run = upgrade_run,
};

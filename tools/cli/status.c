/*
 * status.c - `cenote status`: asks the daemon, shows its report once or again and again.
 */
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/status_view.h"
#include "tools/control.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000

struct status_options {
	bool json;
	bool watch;
	uint64_t interval;
	int64_t count;
	char *run_dir;
	char *config;
};

static const struct option status_table[] = {
	OPTION(struct status_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print everything as one JSON object; with --watch, one a line."),
	OPTION(struct status_options, watch, OPTION_BOOL, .letter = 'w',
	       .help = "Show it again every interval, with rates, until interrupted."),
	OPTION(struct status_options, interval, OPTION_DURATION, .letter = 'n',
	       .default_text = "1 s", .min = 100 * (int64_t)NS_PER_MS,
	       .max = 3600 * (int64_t)NS_PER_S, .help = "How often --watch looks."),
	OPTION(struct status_options, count, OPTION_INT, .argument = "N", .min = 0,
	       .max = INT64_C(1) << 40, .default_text = "0",
	       .help = "Let --watch end after N reports; 0: never."),
	OPTION(struct status_options, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",
	       .help = "The daemon's run directory (node.run_dir)."),
	OPTION(struct status_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .help = "The daemon's configuration, to find the run directory in."),
};
static const struct option_group status_group =
	OPTION_GROUP_OF("status", struct status_options, status_table);

static int report_fetch(const char *run_dir, json_t **out_report)
{
	const struct control_request request = { .command = CONTROL_STATUS };
	char problem[CONTROL_PROBLEM_MAX];
	int error;

	error = control_call(run_dir, &request, ANSWER_MS, out_report, problem, sizeof(problem));
	if (error)
		fprintf(stderr, "cenote status: %s\n", problem);
	return error;
}

static void report_show(const struct status_options *options, const json_t *report,
			const json_t *before)
{
	struct terminal terminal;

	if (options->json) {
		json_dumpf(report, stdout, options->watch ? JSON_COMPACT : JSON_INDENT(2));
		putchar('\n');
	} else {
		terminal_open(stdout, &terminal);
		if (options->watch && terminal.live)
			fputs("\033[H\033[2J", stdout);
		status_view_print(report, before, &terminal);
		if (options->watch && !terminal.live)
			putchar('\n');
	}
	fflush(stdout);
}

/* Waits an interval, or until nobody reads our output any more. */
static bool output_is_gone(uint64_t interval_ns)
{
	struct pollfd pollfd = { .fd = 1, .events = 0 };

	return poll(&pollfd, 1, (int)(interval_ns / NS_PER_MS)) > 0 &&
	       pollfd.revents & (POLLERR | POLLHUP);
}

static int status_watch(const struct status_options *options, const char *run_dir)
{
	json_t *before = NULL, *report = NULL;
	int error = 0;

	for (int64_t shown = 0; !error && (!options->count || shown < options->count); shown++) {
		if (shown > 0 && output_is_gone(options->interval))
			break;
		error = report_fetch(run_dir, &report);
		if (error)
			break;
		report_show(options, report, before);
		json_decref(before);
		before = report;
	}
	json_decref(before);
	return error;
}

static int status_once(const struct status_options *options, const char *run_dir)
{
	json_t *report;
	int error = report_fetch(run_dir, &report);

	if (error)
		return error;
	report_show(options, report, NULL);
	json_decref(report);
	return 0;
}

static int status_run(const void *value, char **arguments, int count)
{
	const struct status_options *options = value;
	char *run_dir = command_run_dir(options->run_dir, options->config);
	int error;

	(void)arguments;
	(void)count;
	if (!run_dir)
		return COMMAND_PROBLEM;
	error = options->watch ? status_watch(options, run_dir) : status_once(options, run_dir);
	free(run_dir);
	return error ? COMMAND_PROBLEM : COMMAND_OK;
}

const struct command command_status = {
	.name = "status",
	.summary = "show what the daemon holds, serves and suffers from",
	.arguments = "",
	.text = "Shows the mount and its entries, backing stores, space and memory, where the "
		"bytes\n"
		"read came from (memory, SSD, backing store), latencies, and every error counted\n"
		"since the daemon started.",
	.group = &status_group,
	.run = status_run,
};

/*
 * members.c - `cenote members`: this node's view of its cluster, once or again and again.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/members_view.h"
#include "tools/control.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000

struct members_options {
	bool json;
	bool watch;
	uint64_t interval;
	int64_t count;
	char *run_dir;
	char *config;
};

static const struct option members_table[] = {
	OPTION(struct members_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print everything as one JSON object; with --watch, one a line."),
	OPTION(struct members_options, watch, OPTION_BOOL, .letter = 'w',
	       .help = "Show it again every interval, until interrupted."),
	OPTION(struct members_options, interval, OPTION_DURATION, .letter = 'n',
	       .default_text = "1 s", .min = 100 * (int64_t)NS_PER_MS,
	       .max = 3600 * (int64_t)NS_PER_S, .help = "How often --watch looks."),
	OPTION(struct members_options, count, OPTION_INT, .argument = "N", .min = 0,
	       .max = INT64_C(1) << 40, .default_text = "0",
	       .help = "Let --watch end after N times; 0: never."),
	OPTION(struct members_options, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",
	       .help = "The daemon's run directory (node.run_dir)."),
	OPTION(struct members_options, config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	       .help = "The daemon's configuration, to find the run directory in."),
};
static const struct option_group members_group =
	OPTION_GROUP_OF("members", struct members_options, members_table);

/* One answer holds so many; a change between two answers may show somebody twice or not at all. */
static int members_fetch(const char *run_dir, json_t **out_all)
{
	struct control_request request = { .command = CONTROL_MEMBERS };
	char problem[CONTROL_PROBLEM_MAX];
	json_t *all = NULL;

	for (;;) {
		json_t *answer, *next;
		int error = control_call(run_dir, &request, ANSWER_MS, &answer, problem,
					 sizeof(problem));

		if (error) {
			fprintf(stderr, "cenote members: %s\n", problem);
			json_decref(all);
			return error;
		}
		next = json_object_get(answer, "next");
		request.first = (uint32_t)json_integer_value(next);
		if (!all)
			all = json_incref(answer);
		else
			json_array_extend(json_object_get(all, "members"),
					  json_object_get(answer, "members"));
		if (!json_is_integer(next) || request.first == 0) {
			json_decref(answer);
			break;
		}
		json_decref(answer);
	}
	json_object_del(all, "next");
	*out_all = all;
	return 0;
}

static void members_show(const struct members_options *options, const json_t *all)
{
	const char *cluster = json_string_value(json_object_get(all, "cluster"));
	struct terminal terminal;

	if (options->json) {
		json_dumpf(all, stdout, options->watch ? JSON_COMPACT : JSON_INDENT(2));
		putchar('\n');
	} else {
		terminal_open(stdout, &terminal);
		if (options->watch && terminal.live)
			fputs("\033[H\033[2J", stdout);
		members_view_print(cluster ? cluster : "", json_object_get(all, "members"),
				   &terminal);
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

static int members_run(const void *value, char **arguments, int count)
{
	const struct members_options *options = value;
	char *run_dir = command_run_dir(options->run_dir, options->config);
	int64_t wanted = options->watch ? options->count : 1;
	int error = 0;

	(void)arguments;
	(void)count;
	if (!run_dir)
		return COMMAND_PROBLEM;
	for (int64_t shown = 0; !wanted || shown < wanted; shown++) {
		json_t *all;

		if (shown > 0 && output_is_gone(options->interval))
			break;
		error = members_fetch(run_dir, &all);
		if (error)
			break;
		members_show(options, all);
		json_decref(all);
	}
	free(run_dir);
	return error ? COMMAND_PROBLEM : COMMAND_OK;
}

const struct command command_members = {
	.name = "members",
	.summary = "show who is in the cluster, as this node sees it",
	.arguments = "",
	.text = "Shows each member that this node knows: its state and for how long, the round "
		"trip\n"
		"of this node's probes, address, site, capacity and version; of a suspect why, by\n"
		"whom, and when it counts as dead.\n\n"
		"joining: has not found others yet. alive. restarting: gone for an announced "
		"time,\n"
		"its place is kept. leaving: hands over what it has. suspect: does not answer.\n"
		"dead: did not answer in time. left: went for good. The last two are remembered "
		"for\n"
		"gossip.swim.dead_keep.",
	.group = &members_group,
	.run = members_run,
};

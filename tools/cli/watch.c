/*
 * watch.c - fetches, shows, waits, until it is enough or nobody looks.
 */
#include "tools/cli/watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/cli/command.h"

/* Commands with no options of their own. */
struct watch_alone {
	struct watch_options watch;
};

static const struct option watch_table[] = {
	WATCH_OPTIONS(struct watch_alone),
};
const struct option_group watch_options = OPTION_GROUP_OF("watch", struct watch_alone, watch_table);

static void show(const struct watch_view *view, const struct watch_options *options,
		 const json_t *answer, const json_t *before)
{
	struct terminal terminal;

	if (options->json) {
		json_dumpf(answer, stdout, options->watch ? JSON_COMPACT : JSON_INDENT(2));
		putchar('\n');
	} else {
		terminal_open(stdout, &terminal);
		if (options->watch && terminal.live)
			fputs("\033[H\033[2J", stdout);
		view->print(answer, before, &terminal);
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

int watch_run(const struct watch_view *view, const struct watch_options *options)
{
	char *run_dir = command_run_dir(options->run_dir, options->config);
	int64_t wanted = options->watch ? options->count : 1;
	json_t *before = NULL, *answer;
	int error = 0;

	if (!run_dir)
		return COMMAND_PROBLEM;
	for (int64_t shown = 0; !wanted || shown < wanted; shown++) {
		if (shown > 0 && output_is_gone(options->interval))
			break;
		error = view->fetch(run_dir, &answer);
		if (error)
			break;
		show(view, options, answer, before);
		json_decref(before);
		before = answer;
	}
	json_decref(before);
	free(run_dir);
	return error ? COMMAND_PROBLEM : COMMAND_OK;
}

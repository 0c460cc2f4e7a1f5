/*
 * status.c - `cenote status`: the daemon's report.
 */
#include "tools/cli/command.h"
#include "tools/cli/status_view.h"
#include "tools/cli/watch.h"

static int report_fetch(const char *run_dir, json_t **out_report)
{
	const struct control_request request = { .command = CONTROL_STATUS };

	return command_ask("status", run_dir, &request, out_report);
}

static int status_run(const void *options, char **arguments, int count)
{
	static const struct watch_view view = { .fetch = report_fetch, .print = status_view_print };

	(void)arguments;
	(void)count;
	return watch_run(&view, options);
}

const struct command command_status = {
	.name = "status",
	.summary = "show what the daemon holds, serves and suffers from",
	.arguments = "",
	.text = "Shows the mount and its entries, backing stores, space and memory, where the "
		"bytes\n"
		"read came from (memory, SSD, backing store), latencies, and every error counted\n"
		"since the daemon started. With --watch, rates since the time before, too.",
	.group = &watch_options,
	.run = status_run,
};

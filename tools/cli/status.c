/*
 * status.c - `cenote status`: the daemon's report, or what all members say of themselves.
 */
#include "tools/cli/cluster_view.h"
#include "tools/cli/command.h"
#include "tools/cli/status_view.h"
#include "tools/cli/task.h"
#include "tools/cli/watch.h"

#define CLUSTER_NS (60 * NS_PER_S)

struct status_options {
	bool cluster;
	struct watch_options watch;
};

static const struct option status_table[] = {
	OPTION(struct status_options, cluster, OPTION_BOOL, .letter = 'C',
	       .help = "Ask all members of the cluster, and show a line for each."),
	WATCH_OPTIONS(struct status_options),
};
static const struct option_group status_group =
	OPTION_GROUP_OF("status", struct status_options, status_table);

static int report_fetch(const char *run_dir, json_t **out_report)
{
	const struct control_request request = { .command = CONTROL_STATUS };

	return command_ask("status", run_dir, &request, out_report);
}

static int cluster_fetch(const char *run_dir, json_t **out_status)
{
	const struct control_request request = { .command = CONTROL_CLUSTER };

	return task_fetch("status", run_dir, &request, CLUSTER_NS, out_status);
}

static int status_run(const void *value, char **arguments, int count)
{
	static const struct watch_view one = { .fetch = report_fetch, .print = status_view_print };
	static const struct watch_view all = { .fetch = cluster_fetch,
					       .print = cluster_view_print };
	const struct status_options *options = value;

	(void)arguments;
	(void)count;
	return watch_run(options->cluster ? &all : &one, &options->watch);
}

const struct command command_status = {
	.name = "status",
	.summary = "show what the daemon holds, serves and suffers from",
	.arguments = "",
	.text = "Shows the mount and its entries, backing stores, space and memory, where the "
		"bytes\n"
		"read came from (memory, SSD, backing store), latencies, and every error counted\n"
		"since the daemon started. With --watch, rates since the time before, too.\n\n"
		"With --cluster, the daemon asks all members that are not dead, and shows a line "
		"for\n"
		"each: its space, and what its own readers read and where from; FETCHED is what it "
		"got\n"
		"from backing stores, SERVED what it brought into its memory for others. What went "
		"wrong\n"
		"stands below; one that does not answer within 5 s says why.",
	.group = &status_group,
	.run = status_run,
};

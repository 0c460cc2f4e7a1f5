/*
 * members.c - `cenote members`: this node's view of its cluster.
 */
#include "tools/cli/command.h"
#include "tools/cli/members_view.h"
#include "tools/cli/watch.h"

/* One answer holds so many; a change between two answers may show somebody twice or not at all. */
static int members_fetch(const char *run_dir, json_t **out_all)
{
	struct control_request request = { .command = CONTROL_MEMBERS };
	json_t *all = NULL;

	do {
		json_t *answer;
		int error = command_ask("members", run_dir, &request, &answer);

		if (error) {
			json_decref(all);
			return error;
		}
		request.first = (uint32_t)json_integer_value(json_object_get(answer, "next"));
		if (!all)
			all = json_incref(answer);
		else
			json_array_extend(json_object_get(all, "members"),
					  json_object_get(answer, "members"));
		json_decref(answer);
	} while (request.first > 0);
	json_object_del(all, "next");
	*out_all = all;
	return 0;
}

static void members_print(const json_t *all, const json_t *before, const struct terminal *terminal)
{
	const char *cluster = json_string_value(json_object_get(all, "cluster"));

	(void)before;
	members_view_print(cluster ? cluster : "", json_object_get(all, "members"), terminal);
}

static int members_run(const void *options, char **arguments, int count)
{
	static const struct watch_view view = { .fetch = members_fetch, .print = members_print };

	(void)arguments;
	(void)count;
	return watch_run(&view, options);
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
	.group = &watch_options,
	.run = members_run,
};

/*
 * locate.c - `cenote locate`: where the bytes of files are.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "tools/cli/locate_view.h"
#include "tools/cli/task.h"

#define PATHS_MAX 1000

struct locate_options {
	bool blocks;
	struct task_options task;
};

static const struct option locate_table[] = {
	OPTION(struct locate_options, blocks, OPTION_BOOL, .letter = 'b',
	       .help = "Who owns each block, too; the first ones of a file of very many."),
	TASK_OPTIONS(struct locate_options, "60 s", "How long to wait for the answer, each file."),
};
static const struct option_group locate_group =
	OPTION_GROUP_OF("locate", struct locate_options, locate_table);

/* Text only: nothing of ours may ask the kernel about the mount, and getcwd() does not. Return: 0,
 * or an exit status after a message. */
static int path_take(struct control_request *request, const char *path)
{
	char directory[CONTROL_PATH_MAX] = "";
	int len;

	if (path[0] != '/' && !getcwd(directory, sizeof(directory))) {
		fprintf(stderr, "cenote locate: %s: the working directory: %s\n", path,
			error_text(-errno));
		return COMMAND_PROBLEM;
	}
	len = snprintf(request->path, sizeof(request->path), "%s%s%s", directory,
		       *directory ? "/" : "", path);
	if (len < (int)sizeof(request->path))
		return 0;
	fprintf(stderr, "cenote locate: %s: the path is longer than %zu bytes\n", path,
		sizeof(request->path) - 1);
	return COMMAND_PROBLEM;
}

static int locate_run(const void *value, char **arguments, int count)
{
	const struct locate_options *options = value;
	const struct task_call call = { .command = "locate",
					.options = &options->task,
					.print = locate_view_print };
	int worst = COMMAND_OK;

	if (count == 0) {
		fprintf(stderr, "cenote locate: of which file?\n"
				"usage: cenote locate [OPTION...] PATH...\n");
		return COMMAND_USAGE;
	}
	for (int i = 0; i < count; i++) {
		struct control_request request = { .command = CONTROL_LOCATE,
						   .blocks = options->blocks };
		int status = path_take(&request, arguments[i]);

		if (i > 0 && !options->task.json)
			putchar('\n');
		if (!status)
			status = task_call(&call, &request);
		if (status > worst)
			worst = status;
	}
	return worst;
}

const struct command command_locate = {
	.name = "locate",
	.summary = "show where the bytes of files are in the cluster",
	.arguments = "PATH...",
	.arguments_max = PATHS_MAX,
	.text = "Shows the version of each file (its key, etag and size now), which members own "
		"its\n"
		"blocks, and how much of it each member has: on its SSD, of that as replicas "
		"(blocks\n"
		"of other owners), and in memory. What is in both counts in both; HAS is how\n"
		"much of what it owns it has in either.\n\n"
		"PATH is below the mountpoint, or a path of the namespace (/images/cat.jpg). It "
		"is\n"
		"taken as text: symbolic links outside of the mount are not followed. Of a "
		"directory,\n"
		"name the files: DIR/*.\n\n"
		"All members of this site that are not dead are asked, at most 512, and have five\n"
		"seconds each; one that does not answer is shown with the reason. Without a "
		"cluster\n"
		"it shows what this node has. With --json there is one object for each file.",
	.group = &locate_group,
	.run = locate_run,
};

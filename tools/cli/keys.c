/*
 * keys.c - `cenote keys`: making the cluster's secret, and exchanging it while it is in use.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/random.h"
#include "fabric/gossip/membership.h"
#include "fabric/keyring.h"
#include "tools/cli/task.h"

struct keys_options {
	bool local;
	bool force;
	struct task_options task;
};

static const struct option keys_table[] = {
	OPTION(struct keys_options, local, OPTION_BOOL, .letter = 'l',
	       .help = "This node's keys only, not those of all members."),
	OPTION(struct keys_options, force, OPTION_BOOL, .letter = 'f',
	       .help = "Use or remove a key although members would be left behind."),
	TASK_OPTIONS(struct keys_options, "60 s", "How long to wait for the members' answers."),
};
static const struct option_group keys_group =
	OPTION_GROUP_OF("keys", struct keys_options, keys_table);

/* The only place where a key is shown. */
static int key_generate(void)
{
	uint8_t key[KEYRING_KEY_LEN];
	char text[2 * KEYRING_KEY_LEN + 1];

	random_bytes(key, sizeof(key));
	digest_hex(key, sizeof(key), text);
	puts(text);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return COMMAND_OK;
}

static int usage_error(const char *problem)
{
	fprintf(stderr,
		"cenote keys: %s\n"
		"usage: cenote keys [OPTION...] generate|list|add [FILE]|use ID|remove ID\n",
		problem);
	return COMMAND_USAGE;
}

/* The daemon reads the file itself: no secret goes through the socket. */
static int file_take(struct control_request *request, const char *path)
{
	char absolute[PATH_MAX];

	if (!realpath(path, absolute)) {
		fprintf(stderr, "cenote keys: %s: %s\n", path, error_text(-errno));
		return COMMAND_PROBLEM;
	}
	if (strlen(absolute) >= sizeof(request->file))
		return usage_error("the file's name is too long");
	memcpy(request->file, absolute, strlen(absolute) + 1);
	return 0;
}

/* Return: 0, or an exit status after a message. */
static int request_make(struct control_request *request, char **arguments, int count)
{
	int action = 0;

	while (control_keys_actions[action] &&
	       strcmp(control_keys_actions[action], arguments[0]) != 0)
		action++;
	request->action = action;
	switch (action) {
	case MEMBERSHIP_KEYS_LIST:
		return count == 1 ? 0 : usage_error("list takes no argument");
	case MEMBERSHIP_KEYS_ADD:
		return count == 1 ? 0 : file_take(request, arguments[1]);
	case MEMBERSHIP_KEYS_USE:
	case MEMBERSHIP_KEYS_REMOVE:
		if (count != 2 || strlen(arguments[1]) >= sizeof(request->key))
			return usage_error("which key? `cenote keys list` shows the ids");
		snprintf(request->key, sizeof(request->key), "%s", arguments[1]);
		return 0;
	default:
		return usage_error("what is to be done with them?");
	}
}

static int keys_run(const void *value, char **arguments, int count)
{
	const struct keys_options *options = value;
	struct task_call call = { .command = "keys", .options = &options->task };
	struct control_request request = { .command = CONTROL_KEYS,
					   .local = options->local,
					   .force = options->force };
	int status;

	if (count == 0)
		return usage_error("what is to be done with them?");
	if (strcmp(arguments[0], "generate") == 0 && count == 1)
		return key_generate();
	status = request_make(&request, arguments, count);
	if (status)
		return status;
	call.all_lines = request.action == MEMBERSHIP_KEYS_LIST;
	return task_call(&call, &request);
}

const struct command command_keys = {
	.name = "keys",
	.summary = "make the cluster's secret, exchange it while it is in use",
	.arguments = "generate|list|add [FILE]|use ID|remove ID",
	.arguments_max = 2,
	.text = "generate prints a new key: `cenote keys generate > FILE` begins a cluster.\n\n"
		"The others ask the daemon, and through it all members, who keep what is changed "
		"in\n"
		"their secret files. Several keys are accepted at a time and one is used, so a "
		"key\n"
		"is exchanged without a moment in which members do not understand each other:\n\n"
		"cenote keys add (a new one, or the first in FILE; prints its id), cenote keys "
		"use\n"
		"ID, cenote keys remove OLD-ID.\n\n"
		"use and remove change nothing where a member would be left behind, or does not\n"
		"answer. A member that was away all the while needs the new secret file by hand.\n"
		"Keys travel sealed and are never shown; list shows their ids.",
	.group = &keys_group,
	.run = keys_run,
};

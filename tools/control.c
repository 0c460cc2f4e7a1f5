/*
 * control.c - the codec of the control socket. Requests are checked hard: they come from whoever
 * could connect.
 */
#include "tools/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "fabric/gossip/membership.h"

/* A request is flat. The JSON parser recurses, and a control thread's stack is small. */
#define NESTING_MAX 4

static const char *const command_names[] = {
	[CONTROL_STATUS] = "status", [CONTROL_FLUSH] = "flush", [CONTROL_MEMBERS] = "members",
	[CONTROL_JOIN] = "join",     [CONTROL_LEAVE] = "leave", [CONTROL_KEYS] = "keys",
	[CONTROL_TASK] = "task",
};
_Static_assert(ARRAY_COUNT(command_names) == CONTROL_COMMAND_COUNT, "a command without a name");

const char *const control_keys_actions[] = {
	[MEMBERSHIP_KEYS_LIST] = "list",
	[MEMBERSHIP_KEYS_ADD] = "add",
	[MEMBERSHIP_KEYS_USE] = "use",
	[MEMBERSHIP_KEYS_REMOVE] = "remove",
	NULL,
};

static bool nesting_is_sane(const char *line, size_t len)
{
	unsigned brackets = 0;

	for (size_t i = 0; i < len; i++)
		if (line[i] == '[' || line[i] == '{')
			brackets++;
	return brackets <= NESTING_MAX;
}

static int command_decode(const json_t *value, enum control_command *out, char *problem,
			  size_t problem_size)
{
	const char *name = json_string_value(value);
	int len;

	if (!name) {
		snprintf(problem, problem_size, "'command' is missing or not a string");
		return -EINVAL;
	}
	for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++) {
		if (strcmp(name, command_names[i]) == 0) {
			*out = (enum control_command)i;
			return 0;
		}
	}
	len = snprintf(problem, problem_size, "unknown command '%.64s'; this daemon knows ", name);
	for (unsigned i = 0; i < CONTROL_COMMAND_COUNT && len > 0 && (size_t)len < problem_size;
	     i++)
		len += snprintf(problem + len, problem_size - (size_t)len, "%s%s",
				i > 0 ? ", " : "", command_names[i]);
	return -EINVAL;
}

static int number_decode(const json_t *value, const char *name, json_int_t max, json_int_t *out,
			 char *problem, size_t problem_size)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > max) {
		snprintf(problem, problem_size,
			 "'%s' is not a whole number in 0..%" JSON_INTEGER_FORMAT, name, max);
		return -EINVAL;
	}
	*out = json_integer_value(value);
	return 0;
}

static int text_decode(const json_t *value, const char *name, char *out, size_t size, char *problem,
		       size_t problem_size)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= size) {
		snprintf(problem, problem_size, "'%s' is not a text of at most %zu bytes", name,
			 size - 1);
		return -EINVAL;
	}
	snprintf(out, size, "%s", text);
	return 0;
}

static int timeout_decode(const json_t *value, struct control_request *out, char *problem,
			  size_t problem_size)
{
	json_int_t number;

	if (number_decode(value, "timeout_ms", CONTROL_FLUSH_MS_MAX, &number, problem,
			  problem_size))
		return -EINVAL;
	out->timeout_ms = (uint32_t)number;
	return 0;
}

static int first_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	json_int_t number;

	if (number_decode(value, "first", UINT32_MAX, &number, problem, problem_size))
		return -EINVAL;
	out->first = (uint32_t)number;
	return 0;
}

static int task_decode(const json_t *value, struct control_request *out, char *problem,
		       size_t problem_size)
{
	json_int_t number;

	if (number_decode(value, "task", INT64_MAX, &number, problem, problem_size))
		return -EINVAL;
	out->task = number;
	return 0;
}

static int addresses_decode(const json_t *value, struct control_request *out, char *problem,
			    size_t problem_size)
{
	size_t count = json_array_size(value);

	if (count == 0 || count > CONTROL_ADDRESSES_MAX) {
		snprintf(problem, problem_size, "'addresses' is not a list of 1 to %d texts",
			 CONTROL_ADDRESSES_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++)
		if (text_decode(json_array_get(value, i), "addresses", out->addresses[i],
				sizeof(out->addresses[i]), problem, problem_size))
			return -EINVAL;
	out->address_count = (unsigned)count;
	return 0;
}

static int action_decode(const json_t *value, struct control_request *out, char *problem,
			 size_t problem_size)
{
	const char *text = json_string_value(value);

	for (int i = 0; text && control_keys_actions[i]; i++) {
		if (strcmp(text, control_keys_actions[i]) == 0) {
			out->action = i;
			return 0;
		}
	}
	snprintf(problem, problem_size, "'action' is none of list, add, use, remove");
	return -EINVAL;
}

static int key_decode(const json_t *value, struct control_request *out, char *problem,
		      size_t problem_size)
{
	return text_decode(value, "key", out->key, sizeof(out->key), problem, problem_size);
}

static int file_decode(const json_t *value, struct control_request *out, char *problem,
		       size_t problem_size)
{
	return text_decode(value, "file", out->file, sizeof(out->file), problem, problem_size);
}

static int flag_decode(const json_t *value, const char *name, bool *out, char *problem,
		       size_t problem_size)
{
	if (!json_is_boolean(value)) {
		snprintf(problem, problem_size, "'%s' is neither true nor false", name);
		return -EINVAL;
	}
	*out = json_is_true(value);
	return 0;
}

static int local_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	return flag_decode(value, "local", &out->local, problem, problem_size);
}

static int force_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	return flag_decode(value, "force", &out->force, problem, problem_size);
}

/* The members of a request, each of one command; `required` ones must be there. */
static const struct {
	const char *name;
	enum control_command command;
	bool required;
	int (*decode)(const json_t *value, struct control_request *out, char *problem,
		      size_t problem_size);
} members[] = {
	{ "timeout_ms", CONTROL_FLUSH, false, timeout_decode },
	{ "first", CONTROL_MEMBERS, false, first_decode },
	{ "task", CONTROL_TASK, true, task_decode },
	{ "addresses", CONTROL_JOIN, true, addresses_decode },
	{ "action", CONTROL_KEYS, true, action_decode },
	{ "key", CONTROL_KEYS, false, key_decode },
	{ "file", CONTROL_KEYS, false, file_decode },
	{ "local", CONTROL_KEYS, false, local_decode },
	{ "force", CONTROL_KEYS, false, force_decode },
};

static int member_decode(const char *name, const json_t *value, struct control_request *out,
			 char *problem, size_t problem_size)
{
	for (size_t i = 0; i < ARRAY_COUNT(members); i++)
		if (members[i].command == out->command && strcmp(members[i].name, name) == 0)
			return members[i].decode(value, out, problem, problem_size);
	snprintf(problem, problem_size, "unknown member '%.64s'", name);
	return -EINVAL;
}

static int required_check(json_t *root, const struct control_request *request, char *problem,
			  size_t problem_size)
{
	for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
		if (members[i].command != request->command || !members[i].required ||
		    json_object_get(root, members[i].name))
			continue;
		snprintf(problem, problem_size, "'%s' is missing", members[i].name);
		return -EINVAL;
	}
	return 0;
}

static int members_decode(json_t *root, struct control_request *out, char *problem,
			  size_t problem_size)
{
	struct control_request request = { 0 };
	int error;

	if (json_integer_value(json_object_get(root, "protocol")) != CONTROL_PROTOCOL) {
		snprintf(problem, problem_size,
			 "this daemon speaks control protocol %d; use the cenote command of the "
			 "same version (" CENOTE_VERSION ")",
			 CONTROL_PROTOCOL);
		return -EINVAL;
	}
	error = command_decode(json_object_get(root, "command"), &request.command, problem,
			       problem_size);
	for (void *i = json_object_iter(root); i && !error; i = json_object_iter_next(root, i)) {
		const char *name = json_object_iter_key(i);

		if (strcmp(name, "protocol") != 0 && strcmp(name, "command") != 0)
			error = member_decode(name, json_object_iter_value(i), &request, problem,
					      problem_size);
	}
	if (!error)
		error = required_check(root, &request, problem, problem_size);
	if (!error)
		*out = request;
	return error;
}

int control_request_decode(const char *line, size_t len, struct control_request *out, char *problem,
			   size_t problem_size)
{
	json_error_t parse_error;
	json_t *root;
	int error;

	if (len >= CONTROL_REQUEST_MAX || !nesting_is_sane(line, len)) {
		snprintf(problem, problem_size, "not a request: too long or nested too deep");
		return -EINVAL;
	}
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &parse_error);
	if (!json_is_object(root)) {
		snprintf(problem, problem_size, "not a JSON object: %.120s",
			 root ? "another JSON value" : parse_error.text);
		json_decref(root);
		return -EINVAL;
	}
	error = members_decode(root, out, problem, problem_size);
	json_decref(root);
	return error;
}

/* What is as it would be anyhow is left out: no encoding is longer than what it was decoded from.
 */
static json_t *request_json(const struct control_request *request)
{
	json_t *root = json_pack("{s:i, s:s}", "protocol", CONTROL_PROTOCOL, "command",
				 command_names[request->command]);
	json_t *addresses;

	switch (request->command) {
	case CONTROL_FLUSH:
		if (request->timeout_ms > 0)
			json_object_set_new(root, "timeout_ms", json_integer(request->timeout_ms));
		break;
	case CONTROL_MEMBERS:
		if (request->first > 0)
			json_object_set_new(root, "first", json_integer(request->first));
		break;
	case CONTROL_TASK:
		json_object_set_new(root, "task", json_integer(request->task));
		break;
	case CONTROL_JOIN:
		addresses = json_array();
		for (unsigned i = 0; i < request->address_count; i++)
			json_array_append_new(addresses, json_string(request->addresses[i]));
		json_object_set_new(root, "addresses", addresses);
		break;
	case CONTROL_KEYS:
		json_object_set_new(root, "action",
				    json_string(control_keys_actions[request->action]));
		if (request->key[0])
			json_object_set_new(root, "key", json_string(request->key));
		if (request->file[0])
			json_object_set_new(root, "file", json_string(request->file));
		if (request->local)
			json_object_set_new(root, "local", json_true());
		if (request->force)
			json_object_set_new(root, "force", json_true());
		break;
	case CONTROL_STATUS:
	case CONTROL_LEAVE:
	case CONTROL_COMMAND_COUNT:
		break;
	}
	return root;
}

size_t control_request_encode(const struct control_request *request, char out[CONTROL_REQUEST_MAX])
{
	json_t *root;
	size_t len;

	CHECK(request->command < CONTROL_COMMAND_COUNT);
	CHECK(request->timeout_ms <= CONTROL_FLUSH_MS_MAX);
	root = request_json(request);
	len = json_dumpb(root, out, CONTROL_REQUEST_MAX - 1, JSON_COMPACT);
	json_decref(root);
	CHECK(len > 0 && len < CONTROL_REQUEST_MAX - 1);
	out[len] = '\0';
	return len;
}

/* @root is taken. */
static char *answer_line(json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	size_t len;
	char *line;

	json_decref(root);
	if (!text)
		return NULL;
	len = strlen(text);
	line = len + 1 < CONTROL_ANSWER_MAX ? realloc(text, len + 2) : NULL;
	if (!line) {
		free(text);
		return NULL;
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return line;
}

char *control_answer_ok(json_t *result)
{
	if (!result)
		return NULL;
	return answer_line(json_pack("{s:i, s:b, s:o}", "protocol", CONTROL_PROTOCOL, "ok", 1,
				     "result", result));
}

char *control_answer_error(int error, const char *message)
{
	/* "%" lengths cut at bytes, and a cut character is no JSON: then say less. */
	json_t *text = json_string(message);

	return answer_line(json_pack("{s:i, s:b, s:s, s:o}", "protocol", CONTROL_PROTOCOL, "ok", 0,
				     "error", error_name(error), "message",
				     text ? text : json_string("the request is not UTF-8")));
}

static int error_by_name(const char *name)
{
	static const int known[] = { EINVAL, ENOMEM, EACCES, ETIMEDOUT, EBUSY, E2BIG, ENOENT };

	for (size_t i = 0; name && i < ARRAY_COUNT(known); i++)
		if (strcmp(error_name(-known[i]), name) == 0)
			return -known[i];
	return -EIO;
}

int control_answer_decode(const char *line, size_t len, json_t **out_result, char *problem,
			  size_t problem_size)
{
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = json_object_get(root, "result");
	const char *message = json_string_value(json_object_get(root, "message"));
	int error = 0;

	if (json_is_true(json_object_get(root, "ok")) && result) {
		*out_result = json_incref(result);
	} else if (json_is_false(json_object_get(root, "ok")) && message) {
		snprintf(problem, problem_size, "the daemon refused: %s", message);
		error = error_by_name(json_string_value(json_object_get(root, "error")));
	} else {
		snprintf(problem, problem_size,
			 "the daemon's answer makes no sense; is it of "
			 "another version than this command (" CENOTE_VERSION ")?");
		error = -EPROTO;
	}
	json_decref(root);
	return error;
}

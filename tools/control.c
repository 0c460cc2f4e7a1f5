/*
 * control.c - the codec of the control socket. Requests are checked hard: they come from whoever
 * could connect.
 */
#include "tools/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

/* A request is flat. The JSON parser recurses, and a control thread's stack is small. */
#define NESTING_MAX 4

static const char *const command_names[] = {
	[CONTROL_STATUS] = "status",
	[CONTROL_FLUSH] = "flush",
};
_Static_assert(ARRAY_COUNT(command_names) == CONTROL_COMMAND_COUNT, "a command without a name");

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
	snprintf(problem, problem_size, "unknown command '%.64s'; this daemon knows status, flush",
		 name);
	return -EINVAL;
}

static int timeout_decode(const json_t *value, uint32_t *out, char *problem, size_t problem_size)
{
	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > CONTROL_FLUSH_MS_MAX) {
		snprintf(problem, problem_size, "'timeout_ms' is not a whole number in 0..%d",
			 CONTROL_FLUSH_MS_MAX);
		return -EINVAL;
	}
	*out = (uint32_t)json_integer_value(value);
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
	for (void *i = json_object_iter(root); i; i = json_object_iter_next(root, i)) {
		const char *name = json_object_iter_key(i);

		if (strcmp(name, "protocol") == 0 || strcmp(name, "command") == 0 ||
		    strcmp(name, "timeout_ms") == 0)
			continue;
		snprintf(problem, problem_size, "unknown member '%.64s'", name);
		return -EINVAL;
	}
	error = command_decode(json_object_get(root, "command"), &request.command, problem,
			       problem_size);
	if (!error)
		error = timeout_decode(json_object_get(root, "timeout_ms"), &request.timeout_ms,
				       problem, problem_size);
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

size_t control_request_encode(const struct control_request *request, char out[CONTROL_REQUEST_MAX])
{
	int len;

	CHECK(request->command < CONTROL_COMMAND_COUNT);
	CHECK(request->timeout_ms <= CONTROL_FLUSH_MS_MAX);
	len = snprintf(out, CONTROL_REQUEST_MAX,
		       "{\"protocol\": %d, \"command\": \"%s\", \"timeout_ms\": %u}",
		       CONTROL_PROTOCOL, command_names[request->command], request->timeout_ms);
	CHECK(len > 0 && len < CONTROL_REQUEST_MAX);
	return (size_t)len;
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
	static const int known[] = { EINVAL, ENOMEM, EACCES, ETIMEDOUT, EBUSY, E2BIG };

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

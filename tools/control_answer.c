/*
 * control_answer.c - the daemon's answers on the control socket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/control.h"

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

/*
 * json.c - see json.h. jansson allocates the strings; they are cleared before it frees them.
 */
#include "s3/credentials/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "s3/wire/timestamp.h"

static void clear_strings(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		const char *string = json_string_value(value);
		void *memory; /* the same without const: the object is freed next */
		memcpy(&memory, &string, sizeof(memory));
		if (string)
			explicit_bzero(memory, json_string_length(value));
	}
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	return value ? value : "";
}

static int from_object(json_t *object, struct credentials **out, char *problem, size_t problem_size)
{
	int64_t expires_s = CREDENTIALS_NEVER;
	const char *expiration = string_of(object, "Expiration");
	const char *code = string_of(object, "Code");

	if (code[0] && strcmp(code, "Success") != 0) {
		snprintf(problem, problem_size, "the service answered Code %.32s", code);
		return -EINVAL;
	}
	if (expiration[0] && timestamp_parse_iso8601(expiration, &expires_s)) {
		snprintf(problem, problem_size, "Expiration is not a time");
		return -EINVAL;
	}
	return credentials_create(string_of(object, "AccessKeyId"),
				  string_of(object, "SecretAccessKey"), string_of(object, "Token"),
				  expires_s, out, problem, problem_size);
}

int credentials_parse_json(const char *text, size_t len, struct credentials **out, char *problem,
			   size_t problem_size)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	int error = -EINVAL;

	if (json_is_object(object)) {
		error = from_object(object, out, problem, problem_size);
		clear_strings(object);
	} else {
		snprintf(problem, problem_size, "the answer is not a JSON object");
	}
	json_decref(object);
	return error;
}

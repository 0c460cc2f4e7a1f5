/*
 * control.c - the requests of the control socket. They are checked hard: they come from whoever
 * could connect.
 */
#include "tools/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"

/* A request is flat. The JSON parser recurses, and a control thread's stack is small. */
#define NESTING_MAX 4

static const char *const command_names[] = {
	[CONTROL_STATUS] = "status", [CONTROL_FLUSH] = "flush",	    [CONTROL_MEMBERS] = "members",
	[CONTROL_JOIN] = "join",     [CONTROL_LEAVE] = "leave",	    [CONTROL_KEYS] = "keys",
	[CONTROL_TASK] = "task",     [CONTROL_CLUSTER] = "cluster", [CONTROL_LOCATE] = "locate",
	[CONTROL_MESH] = "mesh",     [CONTROL_UPGRADE] = "upgrade",
};
_Static_assert(ARRAY_COUNT(command_names) == CONTROL_COMMAND_COUNT, "a command without a name");

const char *const control_keys_actions[] = {
	[MEMBERSHIP_KEYS_LIST] = "list",
	[MEMBERSHIP_KEYS_ADD] = "add",
	[MEMBERSHIP_KEYS_USE] = "use",
	[MEMBERSHIP_KEYS_REMOVE] = "remove",
	NULL,
};

/* --- the members of a request ----------------------------------------------------------------- */

enum member_kind {
	MEMBER_NUMBER,
	MEMBER_FLAG,
	MEMBER_TEXT,
	MEMBER_TEXTS,
	MEMBER_ACTION,
};

/* A member of one command's requests, and where struct control_request has it. One that is not
 * required is left out while it is 0, false or empty. */
struct member {
	const char *name;
	enum control_command command;
	bool required;
	enum member_kind kind;
	unsigned count_max;			/* of texts */
	size_t off, size;			/* of texts: of the first */
	json_int_t min, max;			/* of a number */
	size_t count_off;			/* of texts: of their number, an unsigned */
	const char *(*wrong)(const char *text); /* of a text: what is, or NULL */
};

static const char *path_wrong(const char *text)
{
	return text[0] ? NULL : "is empty";
}

static const char *program_wrong(const char *text)
{
	return text[0] == '/' ? NULL : "is not an absolute path";
}

#define AT(member)                                                                                 \
	.off = offsetof(struct control_request, member),                                           \
	.size = sizeof(((struct control_request *)NULL)->member)
#define NUMBER(member, least, most) MEMBER_NUMBER, AT(member), .min = (least), .max = (most)
#define FLAG(member)		    MEMBER_FLAG, AT(member)
#define TEXT(member)		    MEMBER_TEXT, AT(member)
#define TEXTS(first, most, count)                                                                  \
	MEMBER_TEXTS, (most), AT(first), .count_off = offsetof(struct control_request, count)

static const struct member members[] = {
	{ "timeout_ms", CONTROL_FLUSH, false, NUMBER(timeout_ms, 0, CONTROL_FLUSH_MS_MAX) },
	{ "first", CONTROL_MEMBERS, false, NUMBER(first, 0, UINT32_MAX) },
	{ "task", CONTROL_TASK, true, NUMBER(task, 0, INT64_MAX) },
	{ "addresses", CONTROL_JOIN, true,
	  TEXTS(addresses[0], CONTROL_ADDRESSES_MAX, address_count) },
	{ "action", CONTROL_KEYS, true, MEMBER_ACTION, AT(action) },
	{ "key", CONTROL_KEYS, false, TEXT(key) },
	{ "file", CONTROL_KEYS, false, TEXT(file) },
	{ "local", CONTROL_KEYS, false, FLAG(local) },
	{ "force", CONTROL_KEYS, false, FLAG(force) },
	{ "file", CONTROL_UPGRADE, false, TEXT(file), .wrong = program_wrong },
	{ "drain", CONTROL_LEAVE, false, FLAG(drain) },
	{ "path", CONTROL_LOCATE, true, TEXT(path), .wrong = path_wrong },
	{ "blocks", CONTROL_LOCATE, false, FLAG(blocks) },
	{ "bytes", CONTROL_MESH, true, NUMBER(mesh.bytes, 1, PEER_MEASURE_BYTES_MAX) },
	{ "duration_ms", CONTROL_MESH, true, NUMBER(mesh.duration_ms, 1, PEER_MEASURE_MS_MAX) },
	{ "read_len", CONTROL_MESH, true, NUMBER(mesh.read_len, 1, PEER_MEASURE_LEN_MAX) },
	{ "depth", CONTROL_MESH, true, NUMBER(mesh.depth, 1, PEER_MEASURE_DEPTH_MAX) },
	{ "members", CONTROL_MESH, false,
	  TEXTS(mesh.members[0], CONTROL_MESH_MEMBERS_MAX, mesh.member_count) },
};

static const void *member_at(const struct member *member, const struct control_request *request)
{
	return (const char *)request + member->off;
}

static json_int_t number_of(const struct member *member, const struct control_request *request)
{
	json_int_t number = 0;
	uint32_t small;

	if (member->size == sizeof(small)) {
		memcpy(&small, member_at(member, request), sizeof(small));
		return small;
	}
	CHECK(member->size == sizeof(number));
	memcpy(&number, member_at(member, request), sizeof(number));
	return number;
}

static bool flag_of(const struct member *member, const struct control_request *request)
{
	return *(const bool *)member_at(member, request);
}

static unsigned count_of(const struct member *member, const struct control_request *request)
{
	unsigned count;

	memcpy(&count, (const char *)request + member->count_off, sizeof(count));
	return count;
}

/* --- decoding --------------------------------------------------------------------------------- */

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

static int number_decode(const struct member *member, const json_t *value, void *out, char *problem,
			 size_t problem_size)
{
	json_int_t number = json_integer_value(value);
	uint32_t small = (uint32_t)number;

	if (!json_is_integer(value) || number < member->min || number > member->max) {
		snprintf(problem, problem_size,
			 "'%s' is not a whole number in %" JSON_INTEGER_FORMAT
			 "..%" JSON_INTEGER_FORMAT,
			 member->name, member->min, member->max);
		return -EINVAL;
	}
	if (member->size == sizeof(small))
		memcpy(out, &small, sizeof(small));
	else
		memcpy(out, &number, sizeof(number));
	return 0;
}

static int flag_decode(const struct member *member, const json_t *value, bool *out, char *problem,
		       size_t problem_size)
{
	if (!json_is_boolean(value)) {
		snprintf(problem, problem_size, "'%s' is neither true nor false", member->name);
		return -EINVAL;
	}
	*out = json_is_true(value);
	return 0;
}

static int text_decode(const struct member *member, const json_t *value, char *out, char *problem,
		       size_t problem_size)
{
	const char *text = json_string_value(value), *wrong;

	if (!text || strlen(text) >= member->size) {
		snprintf(problem, problem_size, "'%s' is not a text of at most %zu bytes",
			 member->name, member->size - 1);
		return -EINVAL;
	}
	wrong = member->wrong ? member->wrong(text) : NULL;
	if (wrong) {
		snprintf(problem, problem_size, "'%s' %s", member->name, wrong);
		return -EINVAL;
	}
	snprintf(out, member->size, "%s", text);
	return 0;
}

static int texts_decode(const struct member *member, const json_t *value, char *out,
			unsigned *out_count, char *problem, size_t problem_size)
{
	size_t count = json_array_size(value);

	if (count == 0 || count > member->count_max) {
		snprintf(problem, problem_size, "'%s' is not a list of 1 to %u texts", member->name,
			 member->count_max);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++)
		if (text_decode(member, json_array_get(value, i), out + i * member->size, problem,
				problem_size))
			return -EINVAL;
	*out_count = (unsigned)count;
	return 0;
}

static int action_decode(const json_t *value, int *out, char *problem, size_t problem_size)
{
	const char *text = json_string_value(value);

	for (int i = 0; text && control_keys_actions[i]; i++) {
		if (strcmp(text, control_keys_actions[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	snprintf(problem, problem_size, "'action' is none of list, add, use, remove");
	return -EINVAL;
}

static int member_decode(const struct member *member, const json_t *value,
			 struct control_request *out, char *problem, size_t problem_size)
{
	void *at = (char *)out + member->off, *count_at = (char *)out + member->count_off;

	switch (member->kind) {
	case MEMBER_NUMBER:
		return number_decode(member, value, at, problem, problem_size);
	case MEMBER_FLAG:
		return flag_decode(member, value, at, problem, problem_size);
	case MEMBER_TEXT:
		return text_decode(member, value, at, problem, problem_size);
	case MEMBER_TEXTS:
		return texts_decode(member, value, at, count_at, problem, problem_size);
	case MEMBER_ACTION:
		break;
	}
	return action_decode(value, at, problem, problem_size);
}

static int named_decode(const char *name, const json_t *value, struct control_request *out,
			char *problem, size_t problem_size)
{
	for (size_t i = 0; i < ARRAY_COUNT(members); i++)
		if (members[i].command == out->command && strcmp(members[i].name, name) == 0)
			return member_decode(&members[i], value, out, problem, problem_size);
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
			error = named_decode(name, json_object_iter_value(i), &request, problem,
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

/* --- encoding --------------------------------------------------------------------------------- */

static bool member_is_set(const struct member *member, const struct control_request *request)
{
	switch (member->kind) {
	case MEMBER_NUMBER:
		return number_of(member, request) != 0;
	case MEMBER_FLAG:
		return flag_of(member, request);
	case MEMBER_TEXT:
		return *(const char *)member_at(member, request) != '\0';
	case MEMBER_TEXTS:
		return count_of(member, request) > 0;
	case MEMBER_ACTION:
		break;
	}
	return true;
}

/* Return: NULL when one of them is not UTF-8. */
static json_t *texts_json(const struct member *member, const struct control_request *request)
{
	const char *texts = member_at(member, request);
	json_t *list = json_array();

	for (unsigned i = 0; i < count_of(member, request); i++)
		if (json_array_append_new(list, json_string(texts + i * member->size)) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *member_json(const struct member *member, const struct control_request *request)
{
	switch (member->kind) {
	case MEMBER_NUMBER:
		return json_integer(number_of(member, request));
	case MEMBER_FLAG:
		return json_boolean(flag_of(member, request));
	case MEMBER_TEXT:
		return json_string(member_at(member, request));
	case MEMBER_TEXTS:
		return texts_json(member, request);
	case MEMBER_ACTION:
		break;
	}
	return json_string(control_keys_actions[number_of(member, request)]);
}

/* What is as it would be anyhow is left out: no encoding is longer than what it was decoded from.
 * @bad: what is not UTF-8 sets it, and is left out. */
static json_t *request_json(const struct control_request *request, bool *bad)
{
	json_t *root = json_pack("{s:i, s:s}", "protocol", CONTROL_PROTOCOL, "command",
				 command_names[request->command]);

	for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
		const struct member *member = &members[i];

		if (member->command != request->command ||
		    (!member->required && !member_is_set(member, request)))
			continue;
		if (json_object_set_new(root, member->name, member_json(member, request)) != 0)
			*bad = true;
	}
	return root;
}

size_t control_request_encode(const struct control_request *request, char out[CONTROL_REQUEST_MAX])
{
	bool bad = false;
	json_t *root;
	size_t len;

	CHECK(request->command < CONTROL_COMMAND_COUNT);
	CHECK(request->timeout_ms <= CONTROL_FLUSH_MS_MAX);
	root = request_json(request, &bad);
	len = json_dumpb(root, out, CONTROL_REQUEST_MAX - 1, JSON_COMPACT);
	json_decref(root);
	/* jansson tells what the whole needs, also when there was less room */
	if (bad || len == 0 || len >= CONTROL_REQUEST_MAX - 1)
		return 0;
	out[len] = '\0';
	return len;
}

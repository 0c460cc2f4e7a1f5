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

static int range_decode(const json_t *value, const char *name, json_int_t min, json_int_t max,
			json_int_t *out, char *problem, size_t problem_size)
{
	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max) {
		snprintf(problem, problem_size,
			 "'%s' is not a whole number in %" JSON_INTEGER_FORMAT
			 "..%" JSON_INTEGER_FORMAT,
			 name, min, max);
		return -EINVAL;
	}
	*out = json_integer_value(value);
	return 0;
}

static int number_decode(const json_t *value, const char *name, json_int_t max, json_int_t *out,
			 char *problem, size_t problem_size)
{
	return range_decode(value, name, 0, max, out, problem, problem_size);
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

/* @out: @max texts of @size bytes each. */
static int texts_decode(const json_t *value, const char *name, unsigned max, size_t size, char *out,
			unsigned *out_count, char *problem, size_t problem_size)
{
	size_t count = json_array_size(value);

	if (count == 0 || count > max) {
		snprintf(problem, problem_size, "'%s' is not a list of 1 to %u texts", name, max);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++)
		if (text_decode(json_array_get(value, i), name, out + i * size, size, problem,
				problem_size))
			return -EINVAL;
	*out_count = (unsigned)count;
	return 0;
}

static int addresses_decode(const json_t *value, struct control_request *out, char *problem,
			    size_t problem_size)
{
	return texts_decode(value, "addresses", CONTROL_ADDRESSES_MAX, CONTROL_ADDRESS_MAX,
			    out->addresses[0], &out->address_count, problem, problem_size);
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

static int upgrade_file_decode(const json_t *value, struct control_request *out, char *problem,
			       size_t problem_size)
{
	if (file_decode(value, out, problem, problem_size))
		return -EINVAL;
	if (out->file[0] == '/')
		return 0;
	snprintf(problem, problem_size, "'file' is not an absolute path");
	return -EINVAL;
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

static int drain_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	return flag_decode(value, "drain", &out->drain, problem, problem_size);
}

static int path_decode(const json_t *value, struct control_request *out, char *problem,
		       size_t problem_size)
{
	if (text_decode(value, "path", out->path, sizeof(out->path), problem, problem_size))
		return -EINVAL;
	if (out->path[0])
		return 0;
	snprintf(problem, problem_size, "'path' is empty");
	return -EINVAL;
}

static int blocks_decode(const json_t *value, struct control_request *out, char *problem,
			 size_t problem_size)
{
	return flag_decode(value, "blocks", &out->blocks, problem, problem_size);
}

static int bytes_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	json_int_t number;

	if (range_decode(value, "bytes", 1, PEER_MEASURE_BYTES_MAX, &number, problem, problem_size))
		return -EINVAL;
	out->mesh.bytes = (uint64_t)number;
	return 0;
}

static int duration_decode(const json_t *value, struct control_request *out, char *problem,
			   size_t problem_size)
{
	json_int_t number;

	if (range_decode(value, "duration_ms", 1, PEER_MEASURE_MS_MAX, &number, problem,
			 problem_size))
		return -EINVAL;
	out->mesh.duration_ms = (uint32_t)number;
	return 0;
}

static int read_len_decode(const json_t *value, struct control_request *out, char *problem,
			   size_t problem_size)
{
	json_int_t number;

	if (range_decode(value, "read_len", 1, PEER_MEASURE_LEN_MAX, &number, problem,
			 problem_size))
		return -EINVAL;
	out->mesh.read_len = (uint32_t)number;
	return 0;
}

static int depth_decode(const json_t *value, struct control_request *out, char *problem,
			size_t problem_size)
{
	json_int_t number;

	if (range_decode(value, "depth", 1, PEER_MEASURE_DEPTH_MAX, &number, problem, problem_size))
		return -EINVAL;
	out->mesh.depth = (unsigned)number;
	return 0;
}

static int mesh_members_decode(const json_t *value, struct control_request *out, char *problem,
			       size_t problem_size)
{
	return texts_decode(value, "members", CONTROL_MESH_MEMBERS_MAX, CONTROL_MEMBER_MAX,
			    out->mesh.members[0], &out->mesh.member_count, problem, problem_size);
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
	{ "file", CONTROL_UPGRADE, false, upgrade_file_decode },
	{ "local", CONTROL_KEYS, false, local_decode },
	{ "force", CONTROL_KEYS, false, force_decode },
	{ "drain", CONTROL_LEAVE, false, drain_decode },
	{ "path", CONTROL_LOCATE, true, path_decode },
	{ "blocks", CONTROL_LOCATE, false, blocks_decode },
	{ "bytes", CONTROL_MESH, true, bytes_decode },
	{ "duration_ms", CONTROL_MESH, true, duration_decode },
	{ "read_len", CONTROL_MESH, true, read_len_decode },
	{ "depth", CONTROL_MESH, true, depth_decode },
	{ "members", CONTROL_MESH, false, mesh_members_decode },
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

/* What is not UTF-8 sets *@bad, and is left out. */
static void text_set(json_t *root, const char *name, const char *text, bool *bad)
{
	if (json_object_set_new(root, name, json_string(text)) != 0)
		*bad = true;
}

/* @texts: @count of them, @size bytes each. */
static void texts_set(json_t *root, const char *name, const char *texts, unsigned count,
		      size_t size, bool *bad)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		if (json_array_append_new(list, json_string(texts + i * size)) != 0)
			*bad = true;
	json_object_set_new(root, name, list);
}

static void keys_set(json_t *root, const struct control_request *request, bool *bad)
{
	text_set(root, "action", control_keys_actions[request->action], bad);
	if (request->key[0])
		text_set(root, "key", request->key, bad);
	if (request->file[0])
		text_set(root, "file", request->file, bad);
	if (request->local)
		json_object_set_new(root, "local", json_true());
	if (request->force)
		json_object_set_new(root, "force", json_true());
}

static void mesh_set(json_t *root, const struct control_mesh *mesh, bool *bad)
{
	json_object_set_new(root, "bytes", json_integer((json_int_t)mesh->bytes));
	json_object_set_new(root, "duration_ms", json_integer(mesh->duration_ms));
	json_object_set_new(root, "read_len", json_integer(mesh->read_len));
	json_object_set_new(root, "depth", json_integer(mesh->depth));
	if (mesh->member_count > 0)
		texts_set(root, "members", mesh->members[0], mesh->member_count, CONTROL_MEMBER_MAX,
			  bad);
}

/* What is as it would be anyhow is left out: no encoding is longer than what it was decoded from.
 */
static json_t *request_json(const struct control_request *request, bool *bad)
{
	json_t *root = json_pack("{s:i, s:s}", "protocol", CONTROL_PROTOCOL, "command",
				 command_names[request->command]);

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
		texts_set(root, "addresses", request->addresses[0], request->address_count,
			  CONTROL_ADDRESS_MAX, bad);
		break;
	case CONTROL_KEYS:
		keys_set(root, request, bad);
		break;
	case CONTROL_LEAVE:
		if (request->drain)
			json_object_set_new(root, "drain", json_true());
		break;
	case CONTROL_LOCATE:
		text_set(root, "path", request->path, bad);
		if (request->blocks)
			json_object_set_new(root, "blocks", json_true());
		break;
	case CONTROL_MESH:
		mesh_set(root, &request->mesh, bad);
		break;
	case CONTROL_UPGRADE:
		if (request->file[0])
			text_set(root, "file", request->file, bad);
		break;
	case CONTROL_STATUS:
	case CONTROL_CLUSTER:
	case CONTROL_COMMAND_COUNT:
		break;
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

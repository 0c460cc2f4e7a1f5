/*
 * cluster.c - membership among the daemon's rooms.
 */
#include "tools/daemon/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "tools/control.h"
#include "tools/daemon/rooms.h"
#include "tools/setting.h"

static const char *const standing_names[] = {
	[MEMBERSHIP_MEMBER] = "member",
	[MEMBERSHIP_GONE] = "left",
	[MEMBERSHIP_DISPLACED] = "displaced",
};

/* --- what this node says of itself */

/* What must be the same everywhere, or nodes would look for other blocks in other places: the
 * namespace, how objects are cut, and how blocks are placed and asked for. Endpoints and
 * credentials may differ by site. */
static bool is_shared(const char *path)
{
	const char *backing = strncmp(path, "backings[", 9) == 0 ? strchr(path, ']') : NULL;

	if (strcmp(path, "cache.block_len") == 0)
		return true;
	if (backing)
		return strcmp(backing, "].id") == 0 || strcmp(backing, "].type") == 0;
	return strncmp(path, "mount.entries[", 14) == 0 &&
	       (strstr(path, "].path") || strstr(path, "].backing") || strstr(path, "].bucket") ||
		strstr(path, "].prefix"));
}

/* Return: 0 when out of memory, which is no digest of anything. */
static uint64_t config_digest(const struct settings *settings)
{
	uint8_t whole[DIGEST_SHA256_LEN] = { 0 }, agreement[sizeof(uint64_t)];
	const struct digest_part both[] = { { whole, sizeof(whole) },
					    { agreement, sizeof(agreement) } };
	struct setting_list list;

	if (setting_list_make(&settings_options, settings, &list) != 0)
		return 0;
	for (unsigned i = 0; i < list.count; i++) {
		const struct setting *setting = &list.items[i];
		char text[SETTING_TEXT_MAX] = "";
		struct digest_part parts[3] = { { whole, sizeof(whole) },
						{ setting->path, strlen(setting->path) },
						{ text, 0 } };

		if (!is_shared(setting->path))
			continue;
		if (setting->option->type != OPTION_STRUCTS)
			option_value_text(setting->option, setting->holder, text, sizeof(text));
		parts[2].len = strlen(text);
		digest_sha256(parts, ARRAY_COUNT(parts), whole);
	}
	setting_list_free(&list);
	bytes_put_u64(agreement, peers_agreement());
	digest_sha256(both, ARRAY_COUNT(both), whole);
	return bytes_get_u64(whole);
}

/* What it lends to the cluster: its SSDs, or its memory when it has none. */
static uint64_t capacity_sum(const struct daemon_rooms *rooms)
{
	const struct cache_directory_config *directories = rooms->settings->cache.directories.items;
	uint64_t sum = 0;

	if (rooms->settings->cache.directories.count == 0)
		return rooms->settings->cache.memory;
	for (unsigned i = 0; i < rooms->settings->cache.directories.count; i++) {
		struct cache_directory_status status = { .capacity = directories[i].capacity };

		/* The cache knows what a directory without a capacity has. */
		if (rooms->cache && i < cache_directory_count(rooms->cache))
			cache_directory_status(rooms->cache, i, &status);
		sum += status.capacity;
	}
	return sum;
}

/* Others show it on their terminals: no control bytes, and no more than there is room for. */
static void text_copy(char *out, size_t size, const char *text)
{
	size_t len = text ? strnlen(text, size - 1) : 0;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
	out[len] = '\0';
}

static void details_make(const struct daemon_rooms *rooms, struct membership_details *out)
{
	*out = (struct membership_details){ 0 };
	text_copy(out->name, sizeof(out->name), rooms->node_name);
	text_copy(out->site, sizeof(out->site), rooms->settings->cluster.site);
	text_copy(out->version, sizeof(out->version), CENOTE_VERSION);
	if (rooms->peers)
		out->fabric = rooms->fabric;
	out->capacity = capacity_sum(rooms);
	out->config = config_digest(rooms->settings);
}

/* --- up and down */

int cluster_peers_create(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	const struct peers_setup setup = {
		.config = &rooms->settings->peers,
		.transport = &rooms->settings->fabric,
		.clock = rooms->clock,
		.membership = rooms->membership,
		.cache = rooms->cache,
		.backings = rooms->backings,
		.backing_count = rooms->settings->backings.count,
		.registers_late = rooms->heir,
	};
	char why[TRANSPORT_PROBLEM_MAX] = "";
	int error;

	if (!rooms->membership)
		return 0;
	error = peers_create(&setup, &rooms->peers, &rooms->fabric, why, sizeof(why));
	if (error)
		snprintf(problem, problem_size,
			 "the fabric of the cluster does not come up: %s (see the settings "
			 "'fabric'; without cluster.name this node is alone and needs none)",
			 why);
	return error;
}

static int secret_load(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	const char *path = rooms->settings->cluster.secret_file;
	char why[MEMBERSHIP_PROBLEM_MAX] = "";
	int error = keyring_load(path, &rooms->ring, why, sizeof(why));

	if (error == -ENOENT)
		snprintf(problem, problem_size,
			 "%s is missing: copy it from another node, or begin a cluster with "
			 "`cenote keys generate > %s` and chmod 600",
			 path, path);
	else if (error)
		snprintf(problem, problem_size, "%s", why[0] ? why : error_text(error));
	return error;
}

int cluster_create(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	struct membership_details details;
	struct membership_setup setup = {
		.config = &rooms->settings->gossip,
		.clock = rooms->clock,
		.cluster = rooms->settings->cluster.name,
		.secret_file = rooms->settings->cluster.secret_file,
		.state_dir = rooms->settings->node.state_dir,
		.details = &details,
	};
	int error;

	if (!rooms->settings->cluster.name)
		return 0;
	error = secret_load(rooms, problem, problem_size);
	if (error)
		return error;
	details_make(rooms, &details);
	setup.ring = rooms->ring;
	error = membership_create(&setup, &rooms->membership, problem, problem_size);
	if (error)
		cluster_destroy(rooms);
	return error;
}

int cluster_start(struct daemon_rooms *rooms)
{
	struct membership_details details;

	if (!rooms->membership)
		return 0;
	details_make(rooms, &details);
	membership_set_details(rooms->membership, &details);
	return membership_start(rooms->membership);
}

void cluster_stop(struct daemon_rooms *rooms)
{
	membership_stop(rooms->membership);
}

void cluster_destroy(struct daemon_rooms *rooms)
{
	membership_destroy(rooms->membership);
	keyring_destroy(rooms->ring);
	rooms->membership = NULL;
	rooms->ring = NULL;
}

/* --- what is asked */

/* Names come from other nodes, and may be any bytes; JSON may not. */
static json_t *member_text(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("?");
}

static json_t *address_json(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	return address_len(address) > 0 ? json_string(address_text(address, text)) : json_null();
}

/* Where it can be read, which it says in terms of where its gossip is. */
static json_t *fabric_json(const struct membership_member *member)
{
	struct address address;

	return peers_member_address(member, &address) ? address_json(&address) : json_null();
}

static json_t *hex_json(uint64_t value)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, value);
	return json_string(text);
}

static json_t *id_json(const struct member_id *id)
{
	char text[MEMBER_ID_TEXT];

	digest_hex(id->bytes, MEMBER_ID_LEN, text);
	return json_string(text);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static json_t *member_json(const struct membership_member *member, uint64_t now_ns)
{
	json_t *json = json_pack(
		"{s:o, s:o, s:o, s:s, s:b, s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:I, s:I}", "id",
		id_json(&member->id), "name", member_text(member->details.name), "site",
		member_text(member->details.site), "state", membership_state_names[member->state],
		"self", member->is_self, "boot", hex_json(member->boot), "incarnation",
		(json_int_t)member->incarnation, "gossip", address_json(&member->gossip), "fabric",
		fabric_json(member), "capacity", (json_int_t)member->details.capacity, "version",
		member_text(member->details.version), "config", hex_json(member->details.config),
		"for_ns", (json_int_t)distance(now_ns, member->since_ns), "round_trip_ns",
		(json_int_t)member->round_trip_ns);

	if (member->until_ns > 0)
		json_object_set_new(json, "left_ns",
				    json_integer((json_int_t)distance(member->until_ns, now_ns)));
	if (member->why[0])
		json_object_set_new(json, "why", member_text(member->why));
	return json;
}

static char *members_answer(const struct daemon_rooms *rooms, uint32_t first)
{
	struct membership_member *members = calloc(CONTROL_MEMBERS_MAX, sizeof(*members));
	json_t *list = json_array();
	unsigned count;

	if (!members) {
		json_decref(list);
		return NULL;
	}
	count = membership_members(rooms->membership, first, CONTROL_MEMBERS_MAX, members);
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, member_json(&members[i], clock_now_ns(rooms->clock)));
	free(members);
	return control_answer_ok(
		json_pack("{s:o, s:o, s:o}", "cluster", member_text(rooms->settings->cluster.name),
			  "members", list, "next",
			  count == CONTROL_MEMBERS_MAX ? json_integer((json_int_t)first + count)
						       : json_null()));
}

static json_t *task_json(const struct membership_task *task)
{
	json_t *lines = json_array();

	for (unsigned i = 0; i < task->line_count; i++)
		json_array_append_new(lines, json_pack("{s:o, s:b, s:o}", "who",
						       member_text(task->lines[i].who), "failed",
						       task->lines[i].failed, "text",
						       member_text(task->lines[i].text)));
	return json_pack("{s:I, s:b, s:b, s:o, s:i, s:i, s:i, s:o}", "task",
			 (json_int_t)task->number, "done", task->done, "ok",
			 task->done && task->status == 0, "text", member_text(task->text), "asked",
			 (int)task->asked, "answered", (int)task->answered, "failed",
			 (int)task->failed, "lines", lines);
}

static char *task_answer(const struct daemon_rooms *rooms, int64_t number)
{
	struct membership_task *task = malloc(sizeof(*task));
	char *answer = NULL;

	if (!task)
		return NULL;
	if (membership_task(rooms->membership, number, task) == 0)
		answer = control_answer_ok(task_json(task));
	else
		answer = control_answer_error(-ENOENT, "no such task, or it was too long ago");
	free(task);
	return answer;
}

static char *task_begun(int64_t result, const char *problem)
{
	if (result < 0)
		return control_answer_error((int)result,
					    problem[0] ? problem : error_text((int)result));
	return control_answer_ok(json_pack("{s:I}", "task", (json_int_t)result));
}

static char *join_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	const char *addresses[CONTROL_ADDRESSES_MAX];
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";

	for (unsigned i = 0; i < request->address_count; i++)
		addresses[i] = request->addresses[i];
	return task_begun(membership_join(rooms->membership, addresses, request->address_count,
					  problem, sizeof(problem)),
			  problem);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Return: the key of the ring whose id begins with @text: 0, -ENOENT, -EINVAL with @problem. */
static int key_find(const struct daemon_rooms *rooms, const char *text, uint8_t out[KEYRING_ID_LEN],
		    char *problem, size_t problem_size)
{
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];
	unsigned count = keyring_list(rooms->ring, ids), found = 0;

	for (const char *c = text; *c; c++)
		if (hex_value(*c) < 0)
			found = KEYRING_KEYS_MAX + 1;
	for (unsigned i = 0; i < count && found <= count; i++) {
		char id[KEYRING_ID_TEXT];

		digest_hex(ids[i], KEYRING_ID_LEN, id);
		if (strncmp(id, text, strlen(text)) != 0)
			continue;
		memcpy(out, ids[i], KEYRING_ID_LEN);
		found++;
	}
	if (found == 1 && text[0])
		return 0;
	snprintf(problem, problem_size, "'%s' is %s; `cenote keys list` shows those of this node",
		 text, found == 0 ? "no key of this node" : "not the id of one key");
	return found == 0 ? -ENOENT : -EINVAL;
}

static int64_t keys_begin(const struct daemon_rooms *rooms, const struct control_request *request,
			  char *problem, size_t problem_size)
{
	enum membership_keys_action action = (enum membership_keys_action)request->action;
	struct keyring_key key = { 0 };
	bool given = action == MEMBERSHIP_KEYS_ADD && request->file[0];
	struct keyring *ring = NULL;
	int64_t result = 0;

	if (action == MEMBERSHIP_KEYS_USE || action == MEMBERSHIP_KEYS_REMOVE)
		result = key_find(rooms, request->key, key.id, problem, problem_size);
	if (given)
		result = keyring_load(request->file, &ring, problem, problem_size);
	if (ring) {
		result = keyring_used(ring, &key);
		keyring_destroy(ring);
	}
	if (!result)
		result = membership_keys(rooms->membership, action, given ? key.key : NULL, key.id,
					 request->local, request->force, problem, problem_size);
	keyring_key_wipe(&key);
	return result;
}

static char *keys_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";

	return task_begun(keys_begin(rooms, request, problem, sizeof(problem)), problem);
}

char *cluster_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	if (!rooms->membership)
		return control_answer_error(-ENOENT,
					    "this node is not part of a cluster: set cluster.name "
					    "and cluster.secret_file, and start it again");
	switch (request->command) {
	case CONTROL_MEMBERS:
		return members_answer(rooms, request->first);
	case CONTROL_JOIN:
		return join_answer(rooms, request);
	case CONTROL_LEAVE:
		return task_begun(membership_leave(rooms->membership), "");
	case CONTROL_KEYS:
		return keys_answer(rooms, request);
	case CONTROL_TASK:
		return task_answer(rooms, request->task);
	case CONTROL_STATUS:
	case CONTROL_FLUSH:
	case CONTROL_CLUSTER:
	case CONTROL_LOCATE:
	case CONTROL_MESH:
	case CONTROL_UPGRADE:
	case CONTROL_COMMAND_COUNT:
		break;
	}
	CHECK(!"a request that is not about the cluster");
	return NULL;
}

static json_t *peers_json(const struct daemon_rooms *rooms,
			  const struct membership_summary *summary)
{
	const struct counters *counters = peers_counters(rooms->peers);
	const struct membership_member self = { .gossip = summary->gossip,
						.details = { .fabric = rooms->fabric } };

	return json_pack("{s:o, s:o, s:I, s:I}", "transport",
			 member_text(peers_transport_text(rooms->peers)), "address",
			 fabric_json(&self), "placed",
			 (json_int_t)counter_get(counters, PEERS_MEMBERS), "generation",
			 (json_int_t)counter_get(counters, PEERS_GENERATION));
}

json_t *cluster_json(const struct daemon_rooms *rooms)
{
	struct membership_summary summary;
	json_t *counts;

	if (!rooms->membership)
		return json_null();
	membership_summary(rooms->membership, &summary);
	counts = json_object();
	for (unsigned i = 0; i < MEMBERSHIP_STATE_COUNT; i++)
		json_object_set_new(counts, membership_state_names[i],
				    json_integer(summary.counts[i]));
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:i, s:o, s:o}", "name",
			 member_text(rooms->settings->cluster.name), "id",
			 id_json(&membership_identity(rooms->membership)->member), "standing",
			 standing_names[summary.standing], "problem", member_text(summary.problem),
			 "address", address_json(&summary.gossip), "awareness",
			 (int)summary.awareness, "members", counts, "fabric",
			 peers_json(rooms, &summary));
}

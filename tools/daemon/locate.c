/*
 * locate.c - a path becomes an object version, its blocks their owners, and all members are asked
 * what they have of it.
 */
#include "tools/daemon/locate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "tools/control.h"
#include "tools/daemon/locate_ask.h"
#include "tools/daemon/locate_owners.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/tasks.h"

#define RESOLVE_NS  (20 * NS_PER_S)
#define MEMBERS_MAX LOCATE_OWNERS_MAX
#define PORTION	    64 /* members looked at a time */

struct argument {
	bool blocks;
	char path[CONTROL_PATH_MAX];
};

/* A line of the answer. */
struct line {
	struct locate_answer answer;
	char name[256]; /* a node that is alone may have a longer one than a member */
	const char *state;
	bool self;
	bool asked;
};

struct locate {
	struct task *task;
	const struct daemon_rooms *rooms;
	const struct argument *argument;
	struct mount_object object;
	uint32_t block_len;
	struct object_id id;
	struct locate_owners *owners;
	struct line *lines;
	unsigned line_count;
	unsigned left_out; /* members for which there was no line */
	unsigned ask_count;
	char problem[TASK_TEXT_MAX]; /* of the resolve: why it is not confirmed */
};

static bool is_cancelled(void *context)
{
	const struct locate *locate = context;

	return task_is_cancelled(locate->task);
}

/* --- the object and its owners -------------------------------------------------------------- */

static int object_resolve(struct locate *locate)
{
	const struct mount_question question = {
		.path = locate->argument->path,
		.deadline_ns = clock_after_ns(clock_now_ns(clock_system()), RESOLVE_NS),
		.cancelled = is_cancelled,
		.context = locate,
	};
	int error = mount_resolve(locate->rooms->mount, &question, &locate->object, locate->problem,
				  sizeof(locate->problem));

	if (error == -EISDIR)
		task_say(locate->task, "%s: name files, such as those of %s/*", locate->problem,
			 locate->argument->path);
	else if (error)
		task_say(locate->task, "%s", locate->problem);
	else
		object_id_of(&locate->object.version, &locate->id);
	return error;
}

static bool owner_of(void *context, const struct object_id *id, uint64_t block,
		     struct member_id *out_owner)
{
	const struct locate *locate = context;

	if (locate->rooms->peers)
		return peers_owner_of(locate->rooms->peers, id, block, out_owner);
	*out_owner = (struct member_id){ 0 }; /* this node, which is alone and has no name */
	return true;
}

static int owners_find(struct locate *locate)
{
	const struct locate_object object = {
		.id = locate->id,
		.size = locate->object.version.size,
		.block_len = locate->block_len,
		.context = locate,
		.owner_of = owner_of,
		.cancelled = is_cancelled,
	};

	return locate_owners_find(&object, locate->argument->blocks, &locate->owners);
}

/* --- the lines ------------------------------------------------------------------------------ */

static struct line *line_add(struct locate *locate, const struct member_id *id, const char *name,
			     const char *state)
{
	struct line *line;

	if (locate->line_count == MEMBERS_MAX) {
		locate->left_out++;
		return NULL;
	}
	line = &locate->lines[locate->line_count++];
	line->answer.member = *id;
	line->answer.status = -EHOSTUNREACH;
	line->state = state;
	snprintf(line->name, sizeof(line->name), "%s", name);
	return line;
}

static bool line_exists(const struct locate *locate, const struct member_id *id)
{
	for (unsigned i = 0; i < locate->line_count; i++)
		if (member_id_equal(&locate->lines[i].answer.member, id))
			return true;
	return false;
}

/* What a member is to those who look for bytes: nothing, if they could not read it. */
static bool member_counts(const struct membership_member *member, const char *site)
{
	return member->is_self ||
	       (member->state != MEMBERSHIP_DEAD && member->state != MEMBERSHIP_LEFT &&
		strcmp(member->details.site, site) == 0);
}

static void member_add(struct locate *locate, const struct membership_member *member)
{
	struct line *line = line_add(locate, &member->id, member->details.name,
				     membership_state_names[member->state]);

	if (!line)
		return;
	line->self = member->is_self;
	line->asked = member->state != MEMBERSHIP_RESTARTING;
	if (!line->asked)
		snprintf(line->answer.problem, sizeof(line->answer.problem),
			 "restarts: it is known when it is back");
}

/* Owners first, if there is no room for all. */
static int members_add(struct locate *locate, bool owners)
{
	struct membership_member *members = calloc(PORTION, sizeof(*members));
	char site[MEMBERSHIP_SITE_MAX] = "";
	unsigned count;

	if (!members)
		return -ENOMEM;
	for (unsigned first = 0;; first += count) {
		count = membership_members(locate->rooms->membership, first, PORTION, members);
		if (count == 0)
			break;
		if (first == 0)
			snprintf(site, sizeof(site), "%s", members[0].details.site);
		for (unsigned i = 0; i < count; i++) {
			bool owner = locate_owners_index(locate->owners, &members[i].id) >= 0;

			if ((owner || members[i].is_self) == owners &&
			    member_counts(&members[i], site))
				member_add(locate, &members[i]);
		}
	}
	free(members);
	return 0;
}

/* The placement may be a moment behind the gossip. */
static void strangers_add(struct locate *locate)
{
	for (unsigned i = 0; i < locate->owners->count; i++) {
		const struct member_id *id = &locate->owners->owners[i].id;
		struct line *line =
			line_exists(locate, id) ? NULL : line_add(locate, id, "", "gone");

		if (line)
			snprintf(
				line->answer.problem, sizeof(line->answer.problem),
				"is no member any more; its blocks are about to have other owners");
	}
}

/* This node first. */
static int lines_compare(const void *a, const void *b)
{
	const struct line *left = a, *right = b;

	if (left->self != right->self)
		return left->self ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int lines_make(struct locate *locate)
{
	static const struct member_id alone;
	struct line *line;
	int error = 0;

	locate->lines = calloc(MEMBERS_MAX, sizeof(*locate->lines));
	if (!locate->lines)
		return -ENOMEM;
	if (locate->rooms->membership) {
		error = members_add(locate, true);
		if (!error)
			error = members_add(locate, false);
		strangers_add(locate);
		qsort(locate->lines, locate->line_count, sizeof(*locate->lines), lines_compare);
		return error;
	}
	line = line_add(locate, &alone, locate->rooms->node_name, "alone");
	line->self = true;
	return 0;
}

/* --- what they have ------------------------------------------------------------------------- */

static void self_look(struct locate *locate, struct line *line)
{
	struct cache_holdings holdings;
	int error = cache_holdings(locate->rooms->cache, &locate->object.version, &holdings);

	line->answer.status = error;
	if (error)
		snprintf(line->answer.problem, sizeof(line->answer.problem), "%s",
			 error_text(error));
	else
		line->answer.holdings = (struct peer_holdings){ .memory = holdings.memory,
								.ssd = holdings.ssd,
								.owned = holdings.owned,
								.replicas = holdings.replicas };
}

static void inquire(void *context, struct peers_inquiry *inquiry)
{
	const struct locate *locate = context;

	peers_inquire(locate->rooms->peers, inquiry);
}

static bool asked_tell(void *context, unsigned done)
{
	const struct locate *locate = context;

	task_progress(locate->task, done, locate->ask_count, "members", "asking");
	return !task_is_cancelled(locate->task);
}

/* Its answers are gathered, as not everyone is asked. */
static int others_ask(struct locate *locate, struct locate_answer *answers)
{
	const struct locate_asking asking = {
		.clock = locate->rooms->clock,
		.version = locate->object.version,
		.context = locate,
		.ask = inquire,
		.tell = asked_tell,
	};
	unsigned count = 0;
	int error;

	for (unsigned i = 0; i < locate->line_count; i++)
		if (locate->lines[i].asked && !locate->lines[i].self)
			answers[count++] = locate->lines[i].answer;
	locate->ask_count = count;
	error = locate_ask(&asking, answers, count);
	count = 0;
	for (unsigned i = 0; i < locate->line_count && !error; i++)
		if (locate->lines[i].asked && !locate->lines[i].self)
			locate->lines[i].answer = answers[count++];
	return error;
}

static int all_ask(struct locate *locate)
{
	struct locate_answer *answers = calloc(MEMBERS_MAX, sizeof(*answers));
	int error;

	if (!answers)
		return -ENOMEM;
	error = others_ask(locate, answers);
	free(answers);
	for (unsigned i = 0; i < locate->line_count && !error; i++)
		if (locate->lines[i].self)
			self_look(locate, &locate->lines[i]);
	return error;
}

/* --- the answer ----------------------------------------------------------------------------- */

/* Keys and names are bytes; JSON is not. */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("?");
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
	char text[2 * OBJECT_ID_LEN + 1];

	digest_hex(bytes, len, text);
	return json_string(text);
}

static json_t *line_json(const struct locate *locate, const struct line *line)
{
	const struct locate_answer *answer = &line->answer;
	int index = locate_owners_index(locate->owners, &answer->member);
	struct locate_owner owner = { .blocks = 0 };
	json_t *json;

	if (index >= 0)
		owner = locate->owners->owners[index];
	json = json_pack("{s:o, s:o, s:s, s:b, s:I, s:I}", "name", text_json(line->name), "id",
			 hex_json(answer->member.bytes, MEMBER_ID_LEN), "state", line->state,
			 "self", line->self, "owned_blocks", (json_int_t)owner.blocks,
			 "owned_bytes", (json_int_t)owner.bytes);
	if (answer->status)
		json_object_set_new(json, "problem", text_json(answer->problem));
	else
		json_object_update_new(
			json, json_pack("{s:I, s:I, s:I, s:I}", "held_bytes",
					(json_int_t)answer->holdings.owned, "ssd_bytes",
					(json_int_t)answer->holdings.ssd, "replica_bytes",
					(json_int_t)answer->holdings.replicas, "memory_bytes",
					(json_int_t)answer->holdings.memory));
	return json;
}

/* Which line an owner has; null: none. */
static json_t *line_number_json(const struct locate *locate, int owner)
{
	if (owner == LOCATE_NOBODY)
		return json_null();
	for (unsigned i = 0; i < locate->line_count; i++)
		if (member_id_equal(&locate->lines[i].answer.member,
				    &locate->owners->owners[owner].id))
			return json_integer(i);
	return json_null();
}

static void runs_add(const struct locate *locate, json_t *result)
{
	json_t *runs = json_array();

	for (unsigned i = 0; i < locate->owners->run_count; i++) {
		const struct locate_run *run = &locate->owners->runs[i];

		json_array_append_new(runs,
				      json_pack("{s:I, s:I, s:o}", "first", (json_int_t)run->first,
						"count", (json_int_t)run->count, "member",
						line_number_json(locate, run->owner)));
	}
	json_object_set_new(result, "runs", runs);
	json_object_set_new(result, "runs_left",
			    json_integer((json_int_t)locate->owners->runs_left));
}

static json_t *version_json(const struct locate *locate)
{
	const struct object_version *version = &locate->object.version;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "backing", text_json(version->backing),
			 "bucket", text_json(version->bucket), "key", text_json(version->key),
			 "etag", text_json(version->etag), "object",
			 hex_json(locate->id.bytes, OBJECT_ID_LEN), "mtime_s",
			 (json_int_t)locate->object.mtime_s);
}

static json_t *result_json(const struct locate *locate)
{
	uint64_t size = locate->object.version.size;
	uint64_t blocks = size / locate->block_len + (size % locate->block_len != 0);
	json_t *members = json_array();
	json_t *result;

	for (unsigned i = 0; i < locate->line_count; i++)
		json_array_append_new(members, line_json(locate, &locate->lines[i]));
	result = json_pack("{s:o, s:o, s:b, s:I, s:I, s:I, s:o, s:i}", "path",
			   text_json(locate->object.path), "version", version_json(locate),
			   "confirmed", locate->object.confirmed, "size", (json_int_t)size,
			   "block_len", (json_int_t)locate->block_len, "blocks", (json_int_t)blocks,
			   "members", members, "members_left", (int)locate->left_out);
	if (!locate->object.confirmed)
		json_object_set_new(result, "problem", text_json(locate->problem));
	if (locate->argument->blocks)
		runs_add(locate, result);
	return result;
}

static int object_locate(struct locate *locate)
{
	int error = owners_find(locate);

	if (!error)
		error = lines_make(locate);
	if (!error)
		error = all_ask(locate);
	if (!error && task_is_cancelled(locate->task))
		error = -ECANCELED;
	if (error) {
		task_say(locate->task, "%s", error_text(error));
		return error;
	}
	task_result(locate->task, result_json(locate));
	task_say(locate->task, "%s: %u members", locate->object.path, locate->line_count);
	return 0;
}

static int locate_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct locate locate = { .task = task,
				 .rooms = rooms,
				 .argument = argument,
				 .block_len = (uint32_t)rooms->settings->cache.block_len };
	int error = object_resolve(&locate);

	if (error)
		return error;
	error = object_locate(&locate);
	locate_owners_free(locate.owners);
	free(locate.lines);
	mount_object_fini(&locate.object);
	return error;
}

int locate_job(const struct control_request *request, struct task_job *out_job)
{
	struct argument *argument = calloc(1, sizeof(*argument));

	if (!argument)
		return -ENOMEM;
	argument->blocks = request->blocks;
	snprintf(argument->path, sizeof(argument->path), "%s", request->path);
	*out_job = (struct task_job){ .kind = "locate", .run = locate_run, .argument = argument };
	return 0;
}

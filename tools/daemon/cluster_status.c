/*
 * cluster_status.c - asks every member that is not dead for its summary, some at a time. The dead
 * are shown, those that have left are not.
 */
#include "tools/daemon/cluster_status.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/thread.h"
#include "tools/control.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/tasks.h"

#define PORTION 64 /* members looked at at a time */
#define TELL_NS (100 * NS_PER_MS)

static const char *const number_names[] = {
	[PEER_NUMBER_UPTIME_S] = "uptime_s",
	[PEER_NUMBER_MEMORY] = "memory",
	[PEER_NUMBER_MEMORY_USED] = "memory_used",
	[PEER_NUMBER_SSD_CAPACITY] = "ssd_capacity",
	[PEER_NUMBER_SSD_USED] = "ssd_used",
	[PEER_NUMBER_SSD_REPLICAS] = "ssd_replicas",
	[PEER_NUMBER_DIRECTORIES_FAILED] = "directories_failed",
	[PEER_NUMBER_READ_BYTES] = "read_bytes",
	[PEER_NUMBER_SSD_BYTES] = "ssd_bytes",
	[PEER_NUMBER_PEER_BYTES] = "peer_bytes",
	[PEER_NUMBER_BACKING_BYTES] = "backing_bytes",
	[PEER_NUMBER_FETCHED_BYTES] = "fetched_bytes",
	[PEER_NUMBER_SERVED_BYTES] = "served_bytes",
	[PEER_NUMBER_READ_ERRORS] = "read_errors",
	[PEER_NUMBER_MISMATCHES] = "mismatches",
	[PEER_NUMBER_SILENT] = "silent",
	[PEER_NUMBER_BREAKERS] = "breakers",
	[PEER_NUMBER_MEMBERS] = "members",
};
_Static_assert(ARRAY_COUNT(number_names) == PEER_NUMBER_COUNT, "a number without a name");

struct row {
	struct survey *survey;
	char name[MEMBERSHIP_NAME_MAX], site[MEMBERSHIP_SITE_MAX];
	char version[MEMBERSHIP_VERSION_MAX];
	enum membership_state state;
	bool self;
	struct peers_inquiry inquiry; /* lent while it is asked */
};

struct survey {
	struct task *task;
	const struct daemon_rooms *rooms;
	struct row *rows;
	unsigned count, left_out, asked;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned ended; /* of those that were asked; guarded by lock */
};

/* --- who is there */

static bool is_dead(const struct row *row)
{
	return row->state == MEMBERSHIP_DEAD;
}

static void row_add(struct survey *survey, const struct membership_member *member)
{
	struct row *row;

	if (member->state == MEMBERSHIP_LEFT && !member->is_self)
		return;
	if (survey->count == CLUSTER_STATUS_MAX) {
		survey->left_out++;
		return;
	}
	row = &survey->rows[survey->count++];
	row->survey = survey;
	row->state = member->state;
	row->self = member->is_self;
	row->inquiry.member = member->id;
	memcpy(row->name, member->details.name, sizeof(row->name));
	memcpy(row->site, member->details.site, sizeof(row->site));
	memcpy(row->version, member->details.version, sizeof(row->version));
}

static int rows_make(struct survey *survey)
{
	struct membership_member *page = calloc(PORTION, sizeof(*page));
	unsigned first = 0, count;

	survey->rows = calloc(CLUSTER_STATUS_MAX, sizeof(*survey->rows));
	if (!page || !survey->rows) {
		free(page);
		return -ENOMEM;
	}
	do {
		count = membership_members(survey->rooms->membership, first, PORTION, page);
		for (unsigned i = 0; i < count; i++)
			row_add(survey, &page[i]);
		first += count;
	} while (count == PORTION);
	free(page);
	return 0;
}

/* --- asking */

/* On the peers' thread. */
static void answered(struct peers_inquiry *inquiry)
{
	struct survey *survey = CONTAINER_OF(inquiry, struct row, inquiry)->survey;

	pthread_mutex_lock(&survey->lock);
	survey->ended++;
	pthread_cond_signal(&survey->changed);
	pthread_mutex_unlock(&survey->lock);
}

static void ask(struct survey *survey, struct row *row)
{
	row->inquiry.asked.topic = PEER_TOPIC_SUMMARY;
	row->inquiry.deadline_ns =
		clock_after_ns(clock_now_ns(survey->rooms->clock), CLUSTER_STATUS_EACH_NS);
	row->inquiry.done = answered;
	survey->asked++;
	peers_inquire(survey->rooms->peers, &row->inquiry);
}

/* Until fewer than @at_once are under way. */
static void wait_for_room(struct survey *survey, unsigned at_once)
{
	unsigned ended;

	do {
		uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), TELL_NS);

		pthread_mutex_lock(&survey->lock);
		while (survey->asked - survey->ended >= at_once)
			if (thread_cond_wait_until(&survey->changed, &survey->lock, until_ns) ==
			    -ETIMEDOUT)
				break;
		ended = survey->ended;
		pthread_mutex_unlock(&survey->lock);
		task_progress(survey->task, ended, survey->count, "members", "asking");
	} while (survey->asked - ended >= at_once);
}

/* Return: 0, or -ECANCELED with none under way. */
static int all_ask(struct survey *survey)
{
	bool cancelled = false;

	for (unsigned i = 0; i < survey->count && !cancelled; i++) {
		if (is_dead(&survey->rows[i]))
			continue;
		wait_for_room(survey, CLUSTER_STATUS_AT_ONCE);
		cancelled = task_is_cancelled(survey->task);
		if (!cancelled)
			ask(survey, &survey->rows[i]);
	}
	wait_for_room(survey, 1);
	return cancelled || task_is_cancelled(survey->task) ? -ECANCELED : 0;
}

/* --- what is told */

/* Names come from other nodes, and may be any bytes; JSON may not. */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("?");
}

static bool has_answered(const struct row *row)
{
	return !is_dead(row) && row->inquiry.status == 0;
}

static json_t *numbers_json(const uint64_t *numbers)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < PEER_NUMBER_COUNT; i++)
		json_object_set_new(json, number_names[i], json_integer((json_int_t)numbers[i]));
	return json;
}

static json_t *row_json(const struct row *row)
{
	char id[MEMBER_ID_TEXT];
	json_t *json;

	digest_hex(row->inquiry.member.bytes, MEMBER_ID_LEN, id);
	json = json_pack("{s:o, s:s, s:o, s:s, s:o, s:b}", "name", text_json(row->name), "id", id,
			 "site", text_json(row->site), "state", membership_state_names[row->state],
			 "version", text_json(row->version), "self", row->self);
	if (has_answered(row))
		json_object_set_new(json, "numbers",
				    numbers_json(row->inquiry.report.summary.numbers));
	else
		json_object_set_new(json, "problem",
				    is_dead(row) ? json_string("not asked, as it is dead")
						 : text_json(row->inquiry.problem));
	return json;
}

static bool is_summed(enum peer_number number)
{
	return number != PEER_NUMBER_UPTIME_S && number != PEER_NUMBER_MEMBERS;
}

static json_t *total_json(const struct survey *survey)
{
	uint64_t sums[PEER_NUMBER_COUNT] = { 0 };
	json_t *json = json_object();

	for (unsigned i = 0; i < survey->count; i++)
		for (unsigned n = 0; n < PEER_NUMBER_COUNT && has_answered(&survey->rows[i]); n++)
			sums[n] += survey->rows[i].inquiry.report.summary.numbers[n];
	for (unsigned n = 0; n < PEER_NUMBER_COUNT; n++)
		if (is_summed(n))
			json_object_set_new(json, number_names[n],
					    json_integer((json_int_t)sums[n]));
	return json;
}

static void result_tell(struct survey *survey)
{
	json_t *members = json_array();
	unsigned count = 0;

	for (unsigned i = 0; i < survey->count; i++) {
		count += has_answered(&survey->rows[i]);
		json_array_append_new(members, row_json(&survey->rows[i]));
	}
	task_result(survey->task,
		    json_pack("{s:o, s:I, s:o, s:o, s:i, s:i, s:i}", "cluster",
			      text_json(survey->rooms->settings->cluster.name), "time_ns",
			      (json_int_t)clock_now_ns(survey->rooms->clock), "members", members,
			      "total", total_json(survey), "asked", (int)survey->asked, "answered",
			      (int)count, "left_out", (int)survey->left_out));
	task_say(survey->task, "%u of %u members answered", count, survey->asked);
}

static int run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct survey survey = { .task = task, .rooms = rooms };
	int error = rows_make(&survey);

	(void)argument;
	pthread_mutex_init(&survey.lock, NULL);
	thread_cond_init(&survey.changed);
	if (!error)
		error = all_ask(&survey);
	if (!error)
		result_tell(&survey);
	pthread_cond_destroy(&survey.changed);
	pthread_mutex_destroy(&survey.lock);
	free(survey.rows);
	return error;
}

int cluster_status_job(const struct control_request *request, struct task_job *out_job)
{
	(void)request;
	*out_job = (struct task_job){ .kind = "cluster status", .run = run, .shared = true };
	return 0;
}

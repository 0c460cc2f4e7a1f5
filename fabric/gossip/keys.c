/*
 * keys.c - exchanging the cluster's keys: on this ring, and on everybody's.
 *
 * A step asks KEYS_ASKED_MAX members at a time, over streams that are sealed with the key in use.
 * USE and REMOVE go round twice: first to see that nobody would be left behind (a member without
 * the new key, one that still uses the old one), then to do it.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "fabric/keyring.h"

#define KEYS_ASKED_MAX	8
#define KEYS_TIMEOUT_NS (10 * NS_PER_S)
#define RING_FULL	(-E2BIG) /* on the wire */
#define NOT_KEPT	(-EIO)	 /* in force, and gone after a restart */

static const char *const action_names[] = {
	[MEMBERSHIP_KEYS_LIST] = "listed",
	[MEMBERSHIP_KEYS_ADD] = "added",
	[MEMBERSHIP_KEYS_USE] = "used",
	[MEMBERSHIP_KEYS_REMOVE] = "removed",
};

static int ring_apply(struct membership *membership, const struct wire_ask *ask)
{
	struct keyring *ring = membership->identity.ring;
	char id[KEYRING_ID_TEXT] = "";
	int status = 0;

	switch (ask->action) {
	case MEMBERSHIP_KEYS_LIST:
		return 0;
	case MEMBERSHIP_KEYS_ADD:
		status = keyring_add(ring, ask->key);
		status = status == -ENOSPC ? RING_FULL : status;
		break;
	case MEMBERSHIP_KEYS_USE:
		status = keyring_use(ring, ask->ids[0]);
		break;
	case MEMBERSHIP_KEYS_REMOVE:
		status = keyring_remove(ring, ask->ids[0]);
		/* Removed before: it is as it should be. */
		status = status == -ENOENT ? 0 : status;
		break;
	}
	if (ask->action != MEMBERSHIP_KEYS_ADD)
		digest_hex(ask->ids[0], KEYRING_ID_LEN, id);
	log_notice("gossip.keys", "action=%s key=%s result=\"%s\"", action_names[ask->action], id,
		   error_text(status));
	return status;
}

/* --- asked by others */

static void ring_answer(struct membership *membership, uint64_t stream, int status)
{
	struct wire_ask answer = { .kind = WIRE_KEYS_ANSWER, .status = status };
	uint8_t data[WIRE_ASK_MAX];

	answer.id_count = keyring_list(membership->identity.ring, answer.ids);
	stream_answer(membership->streams, stream, data, wire_ask_encode(&answer, data));
}

static void asked_kept(struct membership *membership, int status, const char *problem,
		       uint64_t stream, int64_t task)
{
	(void)problem;
	(void)task;
	ring_answer(membership, stream, status ? NOT_KEPT : 0);
}

void keys_asked(struct membership *membership, uint64_t stream, const struct wire_ask *ask)
{
	int status = ring_apply(membership, ask);

	if (status || ask->action == MEMBERSHIP_KEYS_LIST)
		ring_answer(membership, stream, status);
	else if (keep_ring(membership, asked_kept, stream, 0) != 0)
		ring_answer(membership, stream, NOT_KEPT);
}

/* --- asking others */

struct keys_question {
	struct membership *membership;
	int64_t task;
	bool first;
	char who[MEMBERSHIP_ADDRESS_MAX];
};

static bool answer_has(const struct wire_ask *answer, const uint8_t *id)
{
	for (unsigned i = 0; i < answer->id_count; i++)
		if (!memcmp(answer->ids[i], id, KEYRING_ID_LEN))
			return true;
	return false;
}

static void ids_print(uint8_t ids[][KEYRING_ID_LEN], unsigned count, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < count && len < size; i++) {
		char id[KEYRING_ID_TEXT];

		digest_hex(ids[i], KEYRING_ID_LEN, id);
		len += (size_t)snprintf(out + len, size - len, "%s%s",
					i == 0	 ? "uses "
					: i == 1 ? ", accepts "
						 : ", ",
					id);
	}
	if (count == 0)
		snprintf(out, size, "has no key");
}

/* What speaks against the step, as an answer shows it. Return: 0, -EBUSY with @text. */
static int answer_objection(const struct task *task, const struct wire_ask *answer, char *text,
			    size_t size)
{
	const uint8_t *id = task->ask.ids[0];

	if (task->ask.action == MEMBERSHIP_KEYS_USE && !answer_has(answer, id)) {
		snprintf(text, size, "does not have this key: add it first");
		return -EBUSY;
	}
	if (task->ask.action == MEMBERSHIP_KEYS_REMOVE && answer->id_count > 0 &&
	    !memcmp(answer->ids[0], id, KEYRING_ID_LEN)) {
		snprintf(text, size, "still uses this key: have another one used first");
		return -EBUSY;
	}
	return 0;
}

/* Return: the line's status; @text says it. */
static int answer_judge(struct membership *membership, const struct task *task, bool first,
			struct wire_ask *answer, char *text, size_t size)
{
	uint8_t ours[KEYRING_KEYS_MAX][KEYRING_ID_LEN];
	unsigned count = keyring_list(membership->identity.ring, ours);

	text[0] = '\0';
	if (task->ask.action == MEMBERSHIP_KEYS_LIST) {
		ids_print(answer->ids, answer->id_count, text, size);
		return count == answer->id_count &&
				       !memcmp(ours, answer->ids, (size_t)count * KEYRING_ID_LEN)
			       ? 0
			       : -EREMCHG;
	}
	if (first)
		return answer_objection(task, answer, text, size);
	if (answer->status == NOT_KEPT)
		snprintf(text, size,
			 "done, but it could not write its secret file: it will not "
			 "know of it after a restart");
	else if (answer->status == RING_FULL)
		snprintf(text, size, "its ring is full: remove a key first");
	return answer->status;
}

static void targets_ask(struct membership *membership, struct task *task);

static void keys_done(void *context, struct stream *stream, int status,
		      const struct seal_sender *from, const uint8_t *data, size_t len)
{
	struct keys_question *question = context;
	struct membership *membership = question->membership;
	struct task *task = task_find(membership, question->task);
	char text[MEMBERSHIP_PROBLEM_MAX] = "no answer";
	struct wire_ask answer;

	(void)stream;
	(void)from;
	if (!status &&
	    (wire_ask_decode(data, len, &answer) != 0 || answer.kind != WIRE_KEYS_ANSWER))
		status = -EBADMSG;
	if (status != -ECANCELED && task && !task->report.done) {
		if (!status)
			status = answer_judge(membership, task, question->first, &answer, text,
					      sizeof(text));
		/* Before the line, which may be the last one. */
		targets_ask(membership, task);
		task_line(membership, question->task, question->who, status, text);
	}
	free(question);
}

static int target_ask(struct membership *membership, struct task *task,
		      const struct member_id *target)
{
	const struct wire_ask list = { .kind = WIRE_KEYS, .action = MEMBERSHIP_KEYS_LIST };
	const struct roster_entry *entry =
		roster_entry(&membership->roster, roster_find(&membership->roster, target));
	struct keys_question *question;
	uint8_t data[WIRE_ASK_MAX];
	size_t len = wire_ask_encode(task->asking_first ? &list : &task->ask, data);
	int error = -ENOENT;

	question = entry ? calloc(1, sizeof(*question)) : NULL;
	if (question) {
		question->membership = membership;
		question->task = task->report.number;
		question->first = task->asking_first;
		member_name(membership, entry->index, question->who);
		error = streams_open(membership->streams, &entry->details.gossip, KEYS_TIMEOUT_NS,
				     data, len, keys_done, question);
	}
	OPENSSL_cleanse(data, sizeof(data));
	if (error)
		free(question);
	return error;
}

/* The next one, and the next when that cannot be asked. */
static void targets_ask(struct membership *membership, struct task *task)
{
	while (task->target_next < task->target_count) {
		const struct member_id *target = &task->targets[task->target_next++];
		char who[MEMBER_ID_TEXT];
		int error;

		task_expect(task);
		error = target_ask(membership, task, target);
		if (!error)
			return;
		/* The line of one who follows, or who asks, keeps the task from ending here. */
		digest_hex(target->bytes, MEMBER_ID_LEN, who);
		task_line(membership, task->report.number, who, error, NULL);
		if (task->report.done)
			return;
	}
}

static int targets_collect(struct membership *membership, struct task *task)
{
	task->targets = calloc(membership->roster.count, sizeof(*task->targets));
	if (!task->targets)
		return -ENOMEM;
	for (uint32_t i = ROSTER_SELF + 1; i < membership->roster.count; i++) {
		const struct roster_entry *entry = roster_entry(&membership->roster, i);
		enum swim_state state = swim_state(membership->swim, i);

		if (entry && (state == SWIM_ALIVE || state == SWIM_SUSPECT))
			task->targets[task->target_count++] = entry->id;
	}
	return 0;
}

static void round_begin(struct membership *membership, struct task *task)
{
	task->target_next = 0;
	task_expect(task); /* this node's own line comes last */
	for (unsigned i = 0; i < KEYS_ASKED_MAX; i++)
		targets_ask(membership, task);
}

static void summary_finish(struct task *task)
{
	const struct membership_task *report = &task->report;
	char id[KEYRING_ID_TEXT] = "";
	bool listed = task->ask.action == MEMBERSHIP_KEYS_LIST;

	if (!listed)
		digest_hex(task->ask.ids[0], KEYRING_ID_LEN, id);
	if (listed && report->failed > 0)
		task_finish(task, -EREMCHG,
			    "%u of %u rings differ from this node's, or did not "
			    "answer",
			    report->failed, report->asked);
	else if (listed)
		task_finish(task, 0, "the same on %u nodes", report->answered);
	else if (report->failed > 0)
		task_finish(task, -EREMCHG, "key %s %s, but not as it should be on %u of %u nodes",
			    id, action_names[task->ask.action], report->failed, report->asked);
	else
		task_finish(task, 0, "key %s %s on %u nodes", id, action_names[task->ask.action],
			    report->answered);
}

static void second_round(struct membership *membership, struct task *task);

static void round_over(struct membership *membership, struct task *task)
{
	struct membership_task *report = &task->report;

	if (!task->asking_first) {
		summary_finish(task);
		return;
	}
	if (report->failed > 0 && !task->force) {
		task_finish(task, -EBUSY,
			    "nothing was changed: %u of %u nodes would be left "
			    "behind (--force does it all the same)",
			    report->failed, report->asked);
		return;
	}
	report->asked = report->answered = report->failed = report->line_count = 0;
	second_round(membership, task);
}

static void own_kept(struct membership *membership, int status, const char *problem,
		     uint64_t stream, int64_t task)
{
	(void)stream;
	task_line(membership, task, "this node", status ? NOT_KEPT : 0, problem);
}

/* This node first: it must have a key before others are told to use it. */
static void second_round(struct membership *membership, struct task *task)
{
	int64_t number = task->report.number;
	char text[MEMBERSHIP_PROBLEM_MAX] = "";
	int status = ring_apply(membership, &task->ask);

	task->asking_first = false;
	round_begin(membership, task);
	if (task->ask.action == MEMBERSHIP_KEYS_LIST) {
		uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];
		unsigned count = keyring_list(membership->identity.ring, ids);

		ids_print(ids, count, text, sizeof(text));
	} else if (!status && keep_ring(membership, own_kept, 0, number) == 0) {
		return;
	}
	task_line(membership, number, "this node", status, text);
}

/* What can be said at once. */
static int step_check(struct membership *membership, const struct wire_ask *ask, char *problem,
		      size_t problem_size)
{
	struct keyring_key used, found;
	int error = 0;

	if (ask->action != MEMBERSHIP_KEYS_USE && ask->action != MEMBERSHIP_KEYS_REMOVE)
		return 0;
	if (keyring_find(membership->identity.ring, ask->ids[0], &found) != 0) {
		snprintf(problem, problem_size,
			 "this node has no key of that id; `cenote keys "
			 "list` shows those it has");
		return -ENOENT;
	}
	keyring_key_wipe(&found);
	if (ask->action == MEMBERSHIP_KEYS_REMOVE &&
	    keyring_used(membership->identity.ring, &used) == 0) {
		if (!memcmp(used.id, ask->ids[0], KEYRING_ID_LEN)) {
			snprintf(problem, problem_size,
				 "this key is in use: have another one used first");
			error = -EBUSY;
		}
		keyring_key_wipe(&used);
	}
	return error;
}

static void ask_make(struct wire_ask *ask, enum membership_keys_action action, const uint8_t *key,
		     const uint8_t *id)
{
	*ask = (struct wire_ask){ .kind = WIRE_KEYS, .action = action };
	if (id)
		memcpy(ask->ids[0], id, KEYRING_ID_LEN);
	if (action != MEMBERSHIP_KEYS_ADD)
		return;
	if (key)
		memcpy(ask->key, key, KEYRING_KEY_LEN);
	else
		random_bytes(ask->key, KEYRING_KEY_LEN);
	keyring_id(ask->key, ask->ids[0]);
}

static int64_t step_start(struct membership *membership, const struct wire_ask *ask, bool local,
			  bool force, char *problem, size_t problem_size)
{
	struct task *task = task_start(membership);
	int error = task ? 0 : -EAGAIN;

	if (task && !local)
		error = targets_collect(membership, task);
	if (error) {
		snprintf(problem, problem_size, "too much is under way: try again");
		if (task)
			task_finish(task, error, "%s", problem);
		return error;
	}
	task->ask = *ask;
	task->force = force;
	task->finish = round_over;
	task->asking_first =
		ask->action == MEMBERSHIP_KEYS_USE || ask->action == MEMBERSHIP_KEYS_REMOVE;
	if (!task->asking_first) {
		second_round(membership, task);
	} else {
		int64_t number = task->report.number;

		round_begin(membership, task);
		task_line(membership, number, "this node", 0, NULL);
		return number;
	}
	return task->report.number;
}

int64_t membership_keys(struct membership *membership, enum membership_keys_action action,
			const uint8_t *key, const uint8_t *id, bool local, bool force,
			char *problem, size_t problem_size)
{
	struct wire_ask ask;
	int64_t result;

	ask_make(&ask, action, key, id);
	pthread_mutex_lock(&membership->lock);
	result = step_check(membership, &ask, problem, problem_size);
	if (!result)
		result = step_start(membership, &ask, local || !carrier_is_active(membership),
				    force, problem, problem_size);
	pthread_mutex_unlock(&membership->lock);
	OPENSSL_cleanse(&ask, sizeof(ask));
	carrier_wake(membership);
	return result;
}

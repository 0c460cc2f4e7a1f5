/*
 * drain.c - handing over, then leaving. What is under way when the daemon stops, or when somebody
 * has the node leave or join meanwhile, is given up: what was handed over stays with its new
 * owners.
 */
#include "tools/daemon/drain.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "cache/cache.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/tasks.h"
#include "tools/terminal.h"

#define LEAVE_LOOK_NS (50 * NS_PER_MS)

static bool show(void *context, const struct peers_handover *handover)
{
	struct task *task = context;
	const char *text = "counting what is here";
	char again[64];

	if (handover->pass > 1) {
		snprintf(again, sizeof(again), "handing over, asking again: %u", handover->pass);
		text = again;
	} else if (handover->pass) {
		text = "handing over";
	}
	/* until it is counted there is no telling when it is over */
	task_progress(task, handover->bytes, handover->pass ? handover->total_bytes : 0, "bytes",
		      text);
	return !task_is_cancelled(task);
}

/* Why it came to nothing, and what to do. */
static void explain(struct task *task, int error, const struct peers_handover *handover)
{
	char bytes[TERMINAL_TEXT_MAX];

	text_bytes(handover->unanswered_bytes, bytes);
	switch (error) {
	case -EHOSTUNREACH:
		task_say(task, "no other member stores blocks: there is nobody to hand them to, so "
			       "this node stays (leave without --drain gives them up)");
		return;
	case -ETIMEDOUT:
		task_say(task,
			 "members did not take %s (%llu blocks), whom they belong to now: this "
			 "node stays; `cenote members` shows who does not answer",
			 bytes, (unsigned long long)handover->unanswered_blocks);
		return;
	case -ENOTCONN:
		task_say(task, "this node is not in the cluster");
		return;
	case -EAGAIN:
		task_say(task,
			 "this node has just started, and does not know yet who stores blocks: "
			 "try again");
		return;
	case -EIO:
		task_say(task, "a cache directory cannot be read, so not all could be handed over: "
			       "this node stays; `cenote status` shows which");
		return;
	case -ECANCELED:
		task_say(task, "given up: %s",
			 task_is_cancelled(task) ? "the daemon stops"
						 : "the node was told to leave or to join");
		return;
	default:
		task_say(task, "%s: this node stays", error_text(error));
		return;
	}
}

static json_t *result_make(const struct peers_handover *handover)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "blocks", (json_int_t)handover->blocks,
			 "bytes", (json_int_t)handover->bytes, "copied_bytes",
			 (json_int_t)handover->brought_bytes, "refused_blocks",
			 (json_int_t)handover->refused_blocks, "refused_bytes",
			 (json_int_t)handover->refused_bytes);
}

/* Return: 0 with @out: what the membership says; or an error. */
static int leave(struct task *task, const struct daemon_rooms *rooms, struct membership_task *out)
{
	int64_t number = membership_leave(rooms->membership);

	if (number < 0)
		return (int)number;
	do {
		int error = membership_task(rooms->membership, number, out);

		if (error)
			return error;
	} while (!out->done && task_sleep(task, LEAVE_LOOK_NS));
	if (!out->done)
		return -ECANCELED;
	return out->status;
}

static void say_left(struct task *task, const struct peers_handover *handover, bool memory_only,
		     const char *left)
{
	char bytes[TERMINAL_TEXT_MAX], copied[TERMINAL_TEXT_MAX], refused[TERMINAL_TEXT_MAX];

	text_bytes(handover->bytes, bytes);
	text_bytes(handover->brought_bytes, copied);
	text_bytes(handover->refused_bytes, refused);
	if (memory_only)
		task_say(task, "no cache directories, and what is in memory is not handed over; %s",
			 left);
	else if (handover->refused_blocks)
		task_say(
			task,
			"handed over %llu blocks, %s (%s copied); %llu blocks, %s refused: no room "
			"there; %s",
			(unsigned long long)handover->blocks, bytes, copied,
			(unsigned long long)handover->refused_blocks, refused, left);
	else
		task_say(task, "handed over %llu blocks, %s (%s copied); %s",
			 (unsigned long long)handover->blocks, bytes, copied, left);
}

static int drain_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	bool memory_only = cache_directory_count(rooms->cache) == 0;
	struct peers_handover handover = { 0 };
	struct membership_task left;
	int error = 0;

	(void)argument;
	if (!memory_only)
		error = peers_handover(rooms->peers, show, task, &handover);
	task_result(task, result_make(&handover));
	if (error) {
		explain(task, error, &handover);
		return error;
	}
	error = leave(task, rooms, &left);
	if (error)
		task_say(task, "all is handed over, but leaving failed: %s", error_text(error));
	else
		say_left(task, &handover, memory_only, left.text);
	return error;
}

int drain_job(const struct control_request *request, struct task_job *out_job)
{
	(void)request;
	*out_job = (struct task_job){ .kind = "drain", .run = drain_run, .shared = true };
	return 0;
}

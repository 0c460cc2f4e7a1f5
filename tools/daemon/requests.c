/*
 * requests.c - from a request to its job. What the membership does has tasks of its own.
 */
#include "tools/daemon/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/control.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/cluster_status.h"
#include "tools/daemon/drain.h"
#include "tools/daemon/locate.h"
#include "tools/daemon/mesh.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/tasks.h"

typedef int (*job_maker)(const struct control_request *request, struct task_job *out_job);

static void refusal_text(int error, const char *kind, char *out, size_t size)
{
	if (error == -EBUSY)
		snprintf(out, size, "a %s is under way already: wait for it to end", kind);
	else if (error == -ENOSPC)
		snprintf(out, size, "%d tasks run already: wait for one to end", TASKS_RUNNING_MAX);
	else if (error == -ECANCELED)
		snprintf(out, size, "this daemon stops");
	else
		snprintf(out, size, "%s", error_text(error));
}

static char *job_begin(const struct daemon_rooms *rooms, const struct control_request *request,
		       job_maker make)
{
	char problem[CONTROL_PROBLEM_MAX];
	struct task_job job = { .kind = "task" };
	int64_t number = make(request, &job);

	if (number == 0)
		number = tasks_start(rooms->tasks, &job);
	if (number > 0)
		return control_answer_ok(json_pack("{s:I}", "task", (json_int_t)number));
	refusal_text((int)number, job.kind, problem, sizeof(problem));
	return control_answer_error((int)number, problem);
}

static char *task_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	json_t *task;

	if (request->task < TASK_NUMBER_FIRST)
		return cluster_answer(rooms, request);
	task = tasks_json(rooms->tasks, request->task);
	if (!task)
		return control_answer_error(-ENOENT, "no such task, or it was too long ago");
	return control_answer_ok(task);
}

/* NULL: this daemon cannot do it. */
static job_maker maker_of(enum control_command command)
{
	switch (command) {
	case CONTROL_CLUSTER:
		return cluster_status_job;
	case CONTROL_LEAVE:
		return drain_job;
	case CONTROL_LOCATE:
		return locate_job;
	case CONTROL_MESH:
		return mesh_job;
	default:
		return NULL;
	}
}

char *request_task_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	job_maker make = maker_of(request->command);

	if (request->command == CONTROL_TASK)
		return task_answer(rooms, request);
	/* which says so when this node has no cluster; an object can be looked for all the same */
	if ((request->command == CONTROL_LEAVE && !request->drain) ||
	    (!rooms->membership && request->command != CONTROL_LOCATE))
		return cluster_answer(rooms, request);
	if (!make)
		return control_answer_error(-EOPNOTSUPP, "this daemon cannot do that");
	return job_begin(rooms, request, make);
}

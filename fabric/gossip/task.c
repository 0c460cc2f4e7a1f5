/*
 * task.c - what takes longer than a call, and how it goes.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct task *task_find(struct membership *membership, int64_t number)
{
	for (unsigned i = 0; number > 0 && i < MEMBERSHIP_TASKS_MAX; i++)
		if (membership->tasks[i].report.number == number)
			return &membership->tasks[i];
	return NULL;
}

struct task *task_start(struct membership *membership)
{
	struct task *oldest = NULL;

	for (unsigned i = 0; i < MEMBERSHIP_TASKS_MAX; i++) {
		struct task *task = &membership->tasks[i];

		if (task->report.number != 0 && !task->report.done)
			continue;
		if (!oldest || task->report.number < oldest->report.number)
			oldest = task;
	}
	if (!oldest)
		return NULL;
	memset(oldest, 0, sizeof(*oldest));
	oldest->report.number = ++membership->last_task;
	return oldest;
}

void task_expect(struct task *task)
{
	task->waiting++;
	task->report.asked++;
}

/* A failure takes the place of a success when there is no room for both. */
static struct membership_line *line_place(struct membership_task *report, bool failed)
{
	if (report->line_count < MEMBERSHIP_LINES_MAX)
		return &report->lines[report->line_count++];
	for (unsigned i = 0; failed && i < MEMBERSHIP_LINES_MAX; i++)
		if (!report->lines[i].failed)
			return &report->lines[i];
	return NULL;
}

void task_line(struct membership *membership, int64_t number, const char *who, int status,
	       const char *text)
{
	struct task *task = task_find(membership, number);
	struct membership_line *line;

	if (!task || task->report.done)
		return;
	line = line_place(&task->report, status != 0);
	if (line) {
		snprintf(line->who, sizeof(line->who), "%s", who);
		snprintf(line->text, sizeof(line->text), "%s",
			 text && text[0] ? text
			 : status	 ? error_text(status)
					 : "");
		line->failed = status != 0;
	}
	if (status)
		task->report.failed++;
	else
		task->report.answered++;
	if (--task->waiting == 0)
		task->finish(membership, task);
}

void task_finish(struct task *task, int status, const char *format, ...)
{
	va_list arguments;

	OPENSSL_cleanse(&task->ask, sizeof(task->ask));
	free(task->targets);
	task->targets = NULL;
	task->report.status = status;
	task->report.done = true;
	va_start(arguments, format);
	vsnprintf(task->report.text, sizeof(task->report.text), format, arguments);
	va_end(arguments);
}

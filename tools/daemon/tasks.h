/*
 * tasks.h - what operators ask for that takes the daemon longer than an answer may: each runs on a
 * thread of its own, says how far it is, and leaves an outcome that can be asked for.
 *
 *	RUNNING --> DONE --> forgotten, when TASKS_MAX later ones are done
 *
 * TASKS_RUNNING_MAX run at a time; one kind at most once. What the membership does has numbers from
 * 1 on, these from TASK_NUMBER_FIRST on: one command asks for both.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define TASKS_MAX	  8
#define TASKS_RUNNING_MAX 4
#define TASK_TEXT_MAX	  256
#define TASK_NUMBER_FIRST (INT64_C(1) << 40)

struct daemon_rooms;
struct tasks;
struct task;

struct task_job {
	const char *kind; /* "drain"; literal */
	/* On the task's thread. Every wait in it looks at task_is_cancelled() at least ten times a
	 * second. Return: 0 or a negative errno; task_say() tells what came of it either way. */
	int (*run)(struct task *task, const struct daemon_rooms *rooms, void *argument);
	void *argument; /* for free(), once it is done */
	bool shared;	/* who wants one while one runs is given the number of that */
};

/** tasks_create() - @rooms: borrowed for life. Return: 0 or -ENOMEM. */
int tasks_create(const struct daemon_rooms *rooms, struct tasks **out_tasks);

/** tasks_cancel() - none is started any more (-ECANCELED), those that run are to come to their end:
 *  before the rooms that they use are stopped. Any thread. */
void tasks_cancel(struct tasks *tasks);

/** tasks_stop() - tasks_cancel(), and waits for them: after peers_stop(), which ends what they have
 *  asked. */
void tasks_stop(struct tasks *tasks);

/** tasks_destroy() - after tasks_stop(). NULL is fine. */
void tasks_destroy(struct tasks *tasks);

/**
 * tasks_start() - @job: copied, its argument taken, also on errors.
 * Return: a number; -EBUSY one of that kind runs (and is not shared); -ENOSPC TASKS_RUNNING_MAX
 * run; -ECANCELED tasks_cancel(); -EAGAIN no thread; -ENOMEM.
 */
int64_t tasks_start(struct tasks *tasks, const struct task_job *job);

/**
 * tasks_json() - task, kind, done, ok, text, lines (empty), progress: {done, total, unit, rate (a
 * second, or null), left_ns (or null), text} or null, result (json, or null).
 * Return: a new reference; NULL when there is no such task (any more), or no memory.
 */
json_t *tasks_json(struct tasks *tasks, int64_t number);

/* For the job, on its thread: */

bool task_is_cancelled(struct task *task);

/** task_sleep() - @ns, or until the task is cancelled. Return: whether it is not. */
bool task_sleep(struct task *task, uint64_t ns);

/** task_progress() - how far it is: @done of @total of @unit ("bytes", "pairs"), and what it does
 * now.
 *  @unit: literal. The time left is worked out from the rate of the last ten seconds. */
void task_progress(struct task *task, uint64_t done, uint64_t total, const char *unit,
		   const char *text);

/** task_say() - one line: what came of it. */
void task_say(struct task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** task_result() - for those who asked; taken. */
void task_result(struct task *task, json_t *result);

/*
 * tasks.c - threads for jobs, and what is remembered of them.
 *
 * A job's thread is joined by whoever finds it ended: the next call. The lock covers everything but
 * the job's own run().
 */
#include "tools/daemon/tasks.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "tools/daemon/rooms.h"

#define SAMPLES	  11
#define SAMPLE_NS NS_PER_S

enum task_state {
	TASK_RUNNING,
	TASK_ENDED, /* waits for its thread to be joined */
	TASK_DONE,
};

/* Where it was, a second or more apart: the last ones, in a ring. */
struct rate {
	unsigned first, count;
	struct {
		uint64_t ns, done;
	} samples[SAMPLES];
};

struct task {
	TAILQ_ENTRY(task) link;
	struct tasks *tasks;
	int64_t number;
	struct task_job job;
	pthread_t thread;
	/* guarded by tasks->lock */
	enum task_state state;
	int status;
	char text[TASK_TEXT_MAX];
	json_t *result;
	bool has_progress;
	uint64_t progress_done, progress_total;
	const char *progress_unit;
	char progress_text[TASK_TEXT_MAX];
	struct rate rate;
};

TAILQ_HEAD(task_list, task);

struct tasks {
	const struct daemon_rooms *rooms;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* cancelled, or one has ended */
	/* guarded by lock */
	bool cancelled;
	struct task_list list; /* the oldest first */
	int64_t next;
};

int tasks_create(const struct daemon_rooms *rooms, struct tasks **out_tasks)
{
	struct tasks *tasks = calloc(1, sizeof(*tasks));

	if (!tasks)
		return -ENOMEM;
	tasks->rooms = rooms;
	tasks->next = TASK_NUMBER_FIRST;
	TAILQ_INIT(&tasks->list);
	pthread_mutex_init(&tasks->lock, NULL);
	thread_cond_init(&tasks->changed);
	*out_tasks = tasks;
	return 0;
}

void tasks_cancel(struct tasks *tasks)
{
	pthread_mutex_lock(&tasks->lock);
	tasks->cancelled = true;
	pthread_cond_broadcast(&tasks->changed);
	pthread_mutex_unlock(&tasks->lock);
}

/* Under the lock, which an ended thread does not take any more. */
static void threads_join(struct tasks *tasks)
{
	struct task *task;

	for (task = TAILQ_FIRST(&tasks->list); task; task = TAILQ_NEXT(task, link)) {
		if (task->state != TASK_ENDED)
			continue;
		pthread_join(task->thread, NULL);
		task->state = TASK_DONE;
	}
}

static unsigned running_count(const struct tasks *tasks)
{
	const struct task *task;
	unsigned count = 0;

	for (task = TAILQ_FIRST(&tasks->list); task; task = TAILQ_NEXT(task, link))
		count += task->state == TASK_RUNNING;
	return count;
}

void tasks_stop(struct tasks *tasks)
{
	tasks_cancel(tasks);
	pthread_mutex_lock(&tasks->lock);
	while (running_count(tasks) > 0)
		pthread_cond_wait(&tasks->changed, &tasks->lock);
	threads_join(tasks);
	pthread_mutex_unlock(&tasks->lock);
}

static void task_free(struct task *task)
{
	free(task->job.argument);
	json_decref(task->result);
	free(task);
}

void tasks_destroy(struct tasks *tasks)
{
	struct task *task, *next;

	if (!tasks)
		return;
	for (task = TAILQ_FIRST(&tasks->list); task; task = next) {
		next = TAILQ_NEXT(task, link);
		CHECK(task->state == TASK_DONE);
		task_free(task);
	}
	pthread_cond_destroy(&tasks->changed);
	pthread_mutex_destroy(&tasks->lock);
	free(tasks);
}

static void *task_main(void *argument)
{
	struct task *task = argument;
	struct tasks *tasks = task->tasks;
	int status = task->job.run(task, tasks->rooms, task->job.argument);

	pthread_mutex_lock(&tasks->lock);
	task->status = status;
	if (!task->text[0])
		snprintf(task->text, sizeof(task->text), "%s",
			 status ? error_text(status) : "done");
	log_info("task.done", "task=%s number=%lld status=%d text=\"%s\"", task->job.kind,
		 (long long)task->number, status, task->text);
	free(task->job.argument);
	task->job.argument = NULL;
	task->state = TASK_ENDED;
	pthread_cond_broadcast(&tasks->changed);
	pthread_mutex_unlock(&tasks->lock);
	return NULL;
}

static struct task *first_done(struct tasks *tasks)
{
	struct task *task = TAILQ_FIRST(&tasks->list);

	while (task && task->state != TASK_DONE)
		task = TAILQ_NEXT(task, link);
	return task;
}

/* The last TASKS_MAX that are done stay, those that run beside them. */
static void old_forget(struct tasks *tasks)
{
	unsigned count = 0;
	struct task *task;

	for (task = TAILQ_FIRST(&tasks->list); task; task = TAILQ_NEXT(task, link))
		count += task->state == TASK_DONE;
	for (; count > TASKS_MAX; count--) {
		task = first_done(tasks);
		TAILQ_REMOVE(&tasks->list, task, link);
		task_free(task);
	}
}

/* Under the lock. Return: 0, or why there may be no task of @kind now. */
static int refusal(struct tasks *tasks, const char *kind)
{
	const struct task *task;

	if (tasks->cancelled)
		return -ECANCELED;
	for (task = TAILQ_FIRST(&tasks->list); task; task = TAILQ_NEXT(task, link))
		if (task->state == TASK_RUNNING && strcmp(task->job.kind, kind) == 0)
			return -EBUSY;
	return running_count(tasks) >= TASKS_RUNNING_MAX ? -ENOSPC : 0;
}

/* The number of one that runs and may be shared; or 0. */
static int64_t shared_number(const struct tasks *tasks, const char *kind)
{
	const struct task *task;

	for (task = TAILQ_FIRST(&tasks->list); task; task = TAILQ_NEXT(task, link)) {
		if (task->state == TASK_RUNNING && task->job.shared &&
		    strcmp(task->job.kind, kind) == 0)
			return task->number;
	}
	return 0;
}

int64_t tasks_start(struct tasks *tasks, const struct task_job *job)
{
	struct task *task = calloc(1, sizeof(*task));
	int64_t number = 0;
	int error;

	if (!task) {
		free(job->argument);
		return -ENOMEM;
	}
	task->tasks = tasks;
	task->job = *job;
	pthread_mutex_lock(&tasks->lock);
	threads_join(tasks);
	old_forget(tasks);
	error = refusal(tasks, job->kind);
	if (error == -EBUSY)
		number = shared_number(tasks, job->kind);
	if (!error)
		error = thread_start(&task->thread, job->kind, task_main, task);
	if (!error) {
		number = task->number = tasks->next++;
		TAILQ_INSERT_TAIL(&tasks->list, task, link);
	}
	pthread_mutex_unlock(&tasks->lock);
	if (error)
		task_free(task);
	return number ? number : error;
}

/* --- what is told */

/* Names come from other nodes, and may be any bytes; JSON may not. */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("?");
}

/* A second, over the last samples; 0: nobody knows. */
static double rate_of(const struct task *task, uint64_t now_ns)
{
	const struct rate *rate = &task->rate;
	uint64_t then_ns = rate->samples[rate->first].ns;
	uint64_t then = rate->samples[rate->first].done;

	if (rate->count == 0 || task->progress_done <= then || now_ns <= then_ns)
		return 0;
	return (double)(task->progress_done - then) * (double)NS_PER_S / (double)(now_ns - then_ns);
}

static json_t *rate_json(double rate)
{
	return rate > 0 ? json_integer((json_int_t)rate) : json_null();
}

static json_t *left_json(const struct task *task, double rate)
{
	uint64_t left = task->progress_total - task->progress_done;

	if (task->progress_done >= task->progress_total)
		return json_integer(0);
	if (rate <= 0 || (double)left / rate > 1e9)
		return json_null();
	return json_integer((json_int_t)((double)left * (double)NS_PER_S / rate));
}

static json_t *progress_json(const struct task *task, uint64_t now_ns)
{
	double rate = rate_of(task, now_ns);

	if (!task->has_progress)
		return json_null();
	return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o}", "done", (json_int_t)task->progress_done,
			 "total", (json_int_t)task->progress_total, "unit", task->progress_unit,
			 "rate", rate_json(rate), "left_ns", left_json(task, rate), "text",
			 text_json(task->progress_text));
}

static json_t *task_json(const struct task *task, uint64_t now_ns)
{
	bool done = task->state != TASK_RUNNING;

	return json_pack("{s:I, s:s, s:b, s:b, s:o, s:[], s:o, s:o}", "task",
			 (json_int_t)task->number, "kind", task->job.kind, "done", done, "ok",
			 done && task->status == 0, "text", text_json(task->text), "lines",
			 "progress", progress_json(task, now_ns), "result",
			 done && task->result ? json_incref(task->result) : json_null());
}

json_t *tasks_json(struct tasks *tasks, int64_t number)
{
	struct task *task;
	json_t *json = NULL;

	pthread_mutex_lock(&tasks->lock);
	threads_join(tasks);
	for (task = TAILQ_FIRST(&tasks->list); task && task->number != number;)
		task = TAILQ_NEXT(task, link);
	if (task)
		json = task_json(task, clock_now_ns(tasks->rooms->clock));
	pthread_mutex_unlock(&tasks->lock);
	return json;
}

/* --- for the job */

bool task_is_cancelled(struct task *task)
{
	bool cancelled;

	pthread_mutex_lock(&task->tasks->lock);
	cancelled = task->tasks->cancelled;
	pthread_mutex_unlock(&task->tasks->lock);
	return cancelled;
}

bool task_sleep(struct task *task, uint64_t ns)
{
	struct tasks *tasks = task->tasks;
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), ns);
	bool cancelled;

	pthread_mutex_lock(&tasks->lock);
	while (!tasks->cancelled)
		if (thread_cond_wait_until(&tasks->changed, &tasks->lock, until_ns) == -ETIMEDOUT)
			break;
	cancelled = tasks->cancelled;
	pthread_mutex_unlock(&tasks->lock);
	return !cancelled;
}

static void rate_add(struct rate *rate, uint64_t now_ns, uint64_t done)
{
	unsigned last = (rate->first + rate->count - 1) % SAMPLES;

	if (rate->count > 0 && now_ns < rate->samples[last].ns + SAMPLE_NS)
		return;
	if (rate->count == SAMPLES)
		rate->first = (rate->first + 1) % SAMPLES;
	else
		rate->count++;
	last = (rate->first + rate->count - 1) % SAMPLES;
	rate->samples[last].ns = now_ns;
	rate->samples[last].done = done;
}

void task_progress(struct task *task, uint64_t done, uint64_t total, const char *unit,
		   const char *text)
{
	uint64_t now_ns = clock_now_ns(task->tasks->rooms->clock);

	pthread_mutex_lock(&task->tasks->lock);
	/* another part of the work, at another rate */
	if (done < task->progress_done || !task->progress_unit ||
	    strcmp(task->progress_unit, unit) != 0)
		task->rate = (struct rate){ 0 };
	task->has_progress = true;
	task->progress_done = done;
	task->progress_total = total;
	task->progress_unit = unit;
	snprintf(task->progress_text, sizeof(task->progress_text), "%s", text ? text : "");
	rate_add(&task->rate, now_ns, done);
	pthread_mutex_unlock(&task->tasks->lock);
}

void task_say(struct task *task, const char *format, ...)
{
	char text[TASK_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&task->tasks->lock);
	memcpy(task->text, text, sizeof(text));
	pthread_mutex_unlock(&task->tasks->lock);
}

void task_result(struct task *task, json_t *result)
{
	json_t *before;

	pthread_mutex_lock(&task->tasks->lock);
	before = task->result;
	task->result = result;
	pthread_mutex_unlock(&task->tasks->lock);
	json_decref(before);
}

/*
 * task.c - waiting for a task, and its lines.
 */
#include "tools/cli/task.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/terminal.h"

#define PAUSE_MS       100
#define FETCH_PAUSE_MS 20 /* most are done that soon */
#define ANSWER_MS      10000

static bool member_is_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

static const char *member_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void lines_print(const struct task_call *call, const json_t *task)
{
	const json_t *lines = json_object_get(task, "lines");
	struct terminal terminal;

	terminal_open(stdout, &terminal);
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);
		bool failed = member_is_true(line, "failed");

		if (!failed && !call->all_lines)
			continue;
		terminal_print(&terminal, failed ? TERMINAL_BAD : TERMINAL_GOOD, "  %s",
			       member_text(line, "who"));
		terminal_print(&terminal, TERMINAL_PLAIN, "%s%s\n",
			       *member_text(line, "text") ? ": " : "", member_text(line, "text"));
	}
}

static void result_print(const struct task_call *call, const json_t *task)
{
	const json_t *result = json_object_get(task, "result");
	struct terminal terminal;

	terminal_open(stdout, &terminal);
	if (call->print && json_is_object(result))
		call->print(result, &terminal);
	else
		printf("%s\n", member_text(task, "text"));
}

static int task_print(const struct task_call *call, const json_t *task)
{
	bool ok = member_is_true(task, "ok");

	if (call->options->json) {
		json_dumpf(call->print && ok ? json_object_get(task, "result") : task, stdout,
			   JSON_INDENT(2));
		putchar('\n');
	} else {
		lines_print(call, task);
		if (ok)
			result_print(call, task);
		fflush(stdout);
	}
	if (!ok)
		fprintf(stderr, "cenote %s: %s\n", call->command, member_text(task, "text"));
	return ok ? COMMAND_OK : COMMAND_PROBLEM;
}

static uint64_t member_number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

static const char *amount_text(const json_t *progress, const char *name,
			       char out[TERMINAL_TEXT_MAX])
{
	bool is_bytes = strcmp(member_text(progress, "unit"), "bytes") == 0;
	uint64_t amount = member_number(progress, name);

	return is_bytes ? text_bytes(amount, out) : text_count(amount, out);
}

void task_progress_show(const struct terminal *terminal, const json_t *task)
{
	const json_t *progress = json_object_get(task, "progress");
	char done[TERMINAL_TEXT_MAX], total[TERMINAL_TEXT_MAX], text[TERMINAL_TEXT_MAX];
	char note[4 * TERMINAL_TEXT_MAX + 32];
	size_t len;

	if (!json_is_object(progress))
		return;
	len = (size_t)snprintf(note, sizeof(note), "%s of %s", amount_text(progress, "done", done),
			       amount_text(progress, "total", total));
	if (member_number(progress, "rate") > 0)
		len += (size_t)snprintf(note + len, sizeof(note) - len, ", %s/s",
					amount_text(progress, "rate", text));
	if (member_number(progress, "left_ns") > 0)
		snprintf(note + len, sizeof(note) - len, ", %s left",
			 text_duration(member_number(progress, "left_ns"), text));
	progress_show(terminal, member_text(progress, "text"), member_number(progress, "done"),
		      member_number(progress, "total"), note);
}

/* Asks for the task's number until it is done. Return: an exit status. */
static int task_follow(const struct task_call *call, const char *run_dir, int64_t task)
{
	const struct control_request ask = { .command = CONTROL_TASK, .task = task };
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), call->options->timeout);
	struct terminal terminal;

	terminal_open(stderr, &terminal);
	for (;;) {
		json_t *result;
		int status;

		if (command_ask(call->command, run_dir, &ask, &result) != 0)
			return COMMAND_PROBLEM;
		if (member_is_true(result, "done")) {
			progress_clear(&terminal);
			status = task_print(call, result);
			json_decref(result);
			return status;
		}
		task_progress_show(&terminal, result);
		json_decref(result);
		if (clock_now_ns(clock_system()) >= deadline_ns) {
			progress_clear(&terminal);
			fprintf(stderr, "cenote %s: not done in time; it goes on\n", call->command);
			return COMMAND_PROBLEM;
		}
		poll(NULL, 0, PAUSE_MS);
	}
}

int task_call(const struct task_call *call, const struct control_request *request)
{
	char *run_dir = command_run_dir(call->options->run_dir, call->options->config);
	int status = COMMAND_PROBLEM;
	json_t *result;
	int64_t task;

	if (run_dir && command_ask(call->command, run_dir, request, &result) == 0) {
		task = json_integer_value(json_object_get(result, "task"));
		json_decref(result);
		status = task_follow(call, run_dir, task);
	}
	free(run_dir);
	return status;
}

/* Return: 0 with the task's number. */
static int task_begin(const char *command, const char *run_dir,
		      const struct control_request *request, uint64_t deadline_ns,
		      int64_t *out_task)
{
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result;
	int error;

	do {
		error = control_call(run_dir, request, ANSWER_MS, &result, problem,
				     sizeof(problem));
	} while (error == -EBUSY && clock_now_ns(clock_system()) < deadline_ns &&
		 poll(NULL, 0, PAUSE_MS) >= 0);
	if (error) {
		fprintf(stderr, "cenote %s: %s\n", command, problem);
		return error;
	}
	*out_task = json_integer_value(json_object_get(result, "task"));
	json_decref(result);
	return 0;
}

/* Return: 0, or what went wrong with it. */
static int result_take(const char *command, const json_t *task, json_t **out_result)
{
	if (!member_is_true(task, "ok")) {
		fprintf(stderr, "cenote %s: %s\n", command, member_text(task, "text"));
		return -EIO;
	}
	*out_result = json_incref(json_object_get(task, "result"));
	return 0;
}

int task_fetch(const char *command, const char *run_dir, const struct control_request *request,
	       uint64_t timeout_ns, json_t **out_result)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), timeout_ns);
	struct control_request ask = { .command = CONTROL_TASK };
	int error = task_begin(command, run_dir, request, deadline_ns, &ask.task);
	bool done = false;

	while (!error && !done) {
		json_t *task;

		error = command_ask(command, run_dir, &ask, &task);
		if (error)
			return error;
		done = member_is_true(task, "done");
		if (done)
			error = result_take(command, task, out_result);
		json_decref(task);
		if (done)
			break;
		if (clock_now_ns(clock_system()) >= deadline_ns) {
			fprintf(stderr, "cenote %s: not done in time\n", command);
			return -ETIMEDOUT;
		}
		poll(NULL, 0, FETCH_PAUSE_MS);
	}
	return error;
}

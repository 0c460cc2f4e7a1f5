/*
 * task.c - waiting for a task, and its lines.
 */
#include "tools/cli/task.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/terminal.h"

#define PAUSE_MS 100

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

static int task_print(const struct task_call *call, const json_t *task)
{
	bool ok = member_is_true(task, "ok");

	if (call->options->json) {
		json_dumpf(task, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		lines_print(call, task);
		if (ok)
			printf("%s\n", member_text(task, "text"));
		fflush(stdout);
	}
	if (!ok)
		fprintf(stderr, "cenote %s: %s\n", call->command, member_text(task, "text"));
	return ok ? COMMAND_OK : COMMAND_PROBLEM;
}

/* Asks for the task's number until it is done. Return: an exit status. */
static int task_follow(const struct task_call *call, const char *run_dir, int64_t task)
{
	const struct control_request ask = { .command = CONTROL_TASK, .task = task };
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), call->options->timeout);

	for (;;) {
		json_t *result;
		int status;

		if (command_ask(call->command, run_dir, &ask, &result) != 0)
			return COMMAND_PROBLEM;
		if (member_is_true(result, "done")) {
			status = task_print(call, result);
			json_decref(result);
			return status;
		}
		json_decref(result);
		if (clock_now_ns(clock_system()) >= deadline_ns) {
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

/*
 * task.c - waiting for a task, and its lines.
 */
#include "tools/cli/task.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000
#define PAUSE_MS  100

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

	if (call->json) {
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

static int call_once(const struct task_call *call, const struct control_request *request,
		     json_t **out_result)
{
	char problem[CONTROL_PROBLEM_MAX];
	int error = control_call(call->run_dir, request, ANSWER_MS, out_result, problem,
				 sizeof(problem));

	if (error)
		fprintf(stderr, "cenote %s: %s\n", call->command, problem);
	return error;
}

int task_call(const struct task_call *call, const struct control_request *request)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), call->timeout_ns);
	struct control_request ask = { .command = CONTROL_TASK };
	json_t *result;

	if (call_once(call, request, &result) != 0)
		return COMMAND_PROBLEM;
	ask.task = json_integer_value(json_object_get(result, "task"));
	json_decref(result);
	for (;;) {
		int status;

		if (call_once(call, &ask, &result) != 0)
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

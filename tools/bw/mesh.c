/*
 * mesh.c - has the daemon measure (tools/daemon/mesh.c does), waits for it, and shows what came of
 * it.
 */
#include "tools/bw/mesh.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cache/peer/peers.h"
#include "tools/bw/mesh_result.h"
#include "tools/bw/mesh_svg.h"
#include "tools/bw/mesh_view.h"
#include "tools/bw/options.h"
#include "tools/bw/plan.h"
#include "tools/bw/program.h"
#include "tools/control.h"
#include "tools/run_dir.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000
#define PAUSE_MS  100
/* Without any progress: longer than the daemon waits for the slowest pair. */
#define STILL_NS (120 * NS_PER_S)

/* --- what is asked */

static int request_make(const struct mesh_options *options, char **members, int count,
			struct control_request *out, char *problem, size_t problem_size)
{
	char why[OPTION_PROBLEM_MAX];
	uint64_t ns;

	*out = (struct control_request){ .command = CONTROL_MESH };
	if (plan_time_parse(options->seconds, &ns, why, sizeof(why)) != 0)
		return option_problem(problem, problem_size, "--seconds: %s", why);
	if (ns > PEER_MEASURE_MS_MAX * NS_PER_MS)
		return option_problem(problem, problem_size, "--seconds: %d s at most",
				      PEER_MEASURE_MS_MAX / 1000);
	out->mesh.bytes = options->bytes;
	out->mesh.duration_ms = (uint32_t)(ns / NS_PER_MS);
	out->mesh.read_len = (uint32_t)options->size;
	out->mesh.depth = (unsigned)options->depth;
	for (int i = 0; i < count; i++) {
		size_t len = strlen(members[i]);

		if (len >= CONTROL_MEMBER_MAX)
			return option_problem(problem, problem_size,
					      "'%.80s' is longer than a member's name can be",
					      members[i]);
		memcpy(out->mesh.members[out->mesh.member_count++], members[i], len + 1);
	}
	return 0;
}

/* --- the daemon's work */

static void progress_print(const json_t *task, const struct terminal *terminal)
{
	const json_t *progress = json_object_get(task, "progress");
	json_int_t done = json_integer_value(json_object_get(progress, "done"));
	json_int_t total = json_integer_value(json_object_get(progress, "total"));
	json_int_t left_ns = json_integer_value(json_object_get(progress, "left_ns"));
	char note[96], left[TERMINAL_TEXT_MAX];

	if (total <= 0)
		return;
	if (left_ns > 0)
		snprintf(note, sizeof(note), "%lld of %lld pairs, %s left", (long long)done,
			 (long long)total, text_duration((uint64_t)left_ns, left));
	else
		snprintf(note, sizeof(note), "%lld of %lld pairs", (long long)done,
			 (long long)total);
	progress_show(terminal, "mesh", (uint64_t)done, (uint64_t)total, note);
}

/* Asks for the task until it is done. Return: 0 with @out_task, or an error with @problem. */
static int task_follow(const char *run_dir, int64_t number, const struct terminal *terminal,
		       json_t **out_task, char *problem, size_t problem_size)
{
	const struct control_request ask = { .command = CONTROL_TASK, .task = number };
	uint64_t moved_ns = clock_now_ns(clock_system());
	json_int_t seen = -1, done;
	json_t *task;

	for (;;) {
		int error = control_call(run_dir, &ask, ANSWER_MS, &task, problem, problem_size);

		if (error)
			return error;
		if (json_is_true(json_object_get(task, "done"))) {
			*out_task = task;
			return 0;
		}
		progress_print(task, terminal);
		done = json_integer_value(
			json_object_get(json_object_get(task, "progress"), "done"));
		json_decref(task);
		if (done != seen)
			moved_ns = clock_now_ns(clock_system());
		seen = done;
		if (clock_now_ns(clock_system()) - moved_ns >= STILL_NS) {
			snprintf(problem, problem_size, "the daemon measures nothing any more");
			return -ETIMEDOUT;
		}
		poll(NULL, 0, PAUSE_MS);
	}
}

static int task_run(const char *run_dir, const struct control_request *request, json_t **out_task,
		    char *problem, size_t problem_size)
{
	struct terminal terminal;
	json_t *answer;
	int64_t number;
	int error = control_call(run_dir, request, ANSWER_MS, &answer, problem, problem_size);

	if (error)
		return error;
	number = json_integer_value(json_object_get(answer, "task"));
	json_decref(answer);
	terminal_open(stderr, &terminal);
	error = task_follow(run_dir, number, &terminal, out_task, problem, problem_size);
	progress_clear(&terminal);
	return error;
}

/* --- what came of it */

static int svg_write(const struct mesh_result *result, const char *path, char *problem,
		     size_t problem_size)
{
	FILE *out = fopen(path, "we");
	int error = out ? 0 : -errno;
	char title[64];

	if (out) {
		snprintf(title, sizeof(title), "Reads between %u members", result->count);
		mesh_svg_print(result, title, out);
		error = ferror(out) ? -EIO : 0;
		if (fclose(out) != 0 && !error)
			error = -errno;
	}
	if (error)
		snprintf(problem, problem_size, "cannot write %s: %s", path, error_text(error));
	return error;
}

static void result_print(const struct mesh_result *result, const json_t *json, bool as_json)
{
	struct terminal terminal;

	if (as_json) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		terminal_open(stdout, &terminal);
		mesh_view_print(result, &terminal);
	}
	fflush(stdout);
}

/* Return: the exit status. */
static int outcome_show(const json_t *task, const struct mesh_options *options)
{
	const json_t *json = json_object_get(task, "result");
	const char *text = json_string_value(json_object_get(task, "text"));
	char problem[OPTION_PROBLEM_MAX] = "";
	struct mesh_result result;
	int error;

	if (!json_is_true(json_object_get(task, "ok")))
		return program_problem(text ? text : "the daemon does not say why it failed");
	error = mesh_result_decode(json, &result);
	if (error)
		return program_problem(error == -EPROTO ? "this daemon's answer is not understood"
							: error_text(error));
	result_print(&result, json, options->json);
	if (options->svg)
		error = svg_write(&result, options->svg, problem, sizeof(problem));
	if (!error && mesh_result_sum(&result).failed > 0)
		snprintf(problem, sizeof(problem), "not all links could be measured");
	mesh_result_free(&result);
	return *problem ? program_problem(problem) : PROGRAM_OK;
}

int mesh_measure(const void *value, char **arguments, int count)
{
	const struct mesh_options *options = value;
	char problem[OPTION_PROBLEM_MAX];
	struct control_request request;
	json_t *task = NULL;
	char *run_dir;
	int error, status;

	if (request_make(options, arguments, count, &request, problem, sizeof(problem)) != 0)
		return program_usage(problem);
	run_dir = run_dir_find(options->run_dir, options->config, problem, sizeof(problem));
	error = run_dir ? task_run(run_dir, &request, &task, problem, sizeof(problem)) : -ENOENT;
	status = error ? program_problem(problem) : outcome_show(task, options);
	json_decref(task);
	free(run_dir);
	return status;
}

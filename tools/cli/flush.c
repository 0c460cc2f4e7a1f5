/*
 * flush.c - `cenote flush`: waits until what was fetched is on the SSD. The daemon is asked in
 * short pieces, so that its control thread is free for others in between.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/cli/command.h"
#include "tools/control.h"
#include "tools/terminal.h"

#define ANSWER_MS 10000

struct flush_options {
	char *run_dir;
	char *config;
	uint64_t timeout;
};

static const struct option flush_table[] = {
	OPTION(struct flush_options, timeout, OPTION_DURATION, .letter = 't',
	       .default_text = "10 min", .help = "Give up after this time, with exit status 1."),
	COMMAND_DAEMON_OPTIONS(struct flush_options),
};
static const struct option_group flush_group =
	OPTION_GROUP_OF("flush", struct flush_options, flush_table);

static uint64_t written_bytes(const char *run_dir)
{
	const struct control_request request = { .command = CONTROL_STATUS };
	char problem[CONTROL_PROBLEM_MAX];
	uint64_t bytes = 0;
	json_t *report;

	if (control_call(run_dir, &request, ANSWER_MS, &report, problem, sizeof(problem)) != 0)
		return 0;
	bytes = (uint64_t)json_integer_value(json_object_get(
		json_object_get(json_object_get(report, "counters"), "store"), "write_bytes"));
	json_decref(report);
	return bytes;
}

static void flush_progress(const struct terminal *terminal, const char *run_dir, uint64_t before)
{
	char note[64], bytes[TERMINAL_TEXT_MAX];
	uint64_t now;

	if (!terminal->live)
		return;
	now = written_bytes(run_dir);
	snprintf(note, sizeof(note), "%s written",
		 text_bytes(now > before ? now - before : 0, bytes));
	progress_show(terminal, "writing to the SSD", 0, 0, note);
}

static int flush_wait(const char *run_dir, uint64_t timeout_ns, char *problem, size_t problem_size)
{
	const struct control_request request = { .command = CONTROL_FLUSH, .timeout_ms = 200 };
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), timeout_ns);
	uint64_t before = written_bytes(run_dir);
	struct terminal terminal;
	bool flushed = false;
	int error = 0;

	terminal_open(stderr, &terminal);
	while (!error && !flushed) {
		json_t *result;

		error = control_call(run_dir, &request, ANSWER_MS, &result, problem, problem_size);
		if (error)
			break;
		flushed = json_is_true(json_object_get(result, "flushed"));
		json_decref(result);
		if (!flushed && clock_now_ns(clock_system()) >= deadline_ns) {
			snprintf(problem, problem_size,
				 "not everything was written in time; see "
				 "the directories in `cenote status`");
			error = -ETIMEDOUT;
		}
		flush_progress(&terminal, run_dir, before);
	}
	progress_clear(&terminal);
	return error;
}

static int flush_run(const void *options, char **arguments, int count)
{
	const struct flush_options *flush = options;
	char problem[CONTROL_PROBLEM_MAX];
	char *run_dir = command_run_dir(flush->run_dir, flush->config);
	int error;

	(void)arguments;
	(void)count;
	if (!run_dir)
		return COMMAND_PROBLEM;
	error = flush_wait(run_dir, flush->timeout, problem, sizeof(problem));
	if (error)
		fprintf(stderr, "cenote flush: %s\n", problem);
	free(run_dir);
	return error ? COMMAND_PROBLEM : COMMAND_OK;
}

const struct command command_flush = {
	.name = "flush",
	.summary = "wait until what was fetched is on the SSD",
	.arguments = "",
	.text = "What is read from a backing store is written to the SSD behind the reader's "
		"back.\n"
		"This waits until all of it is there and will survive a restart.",
	.group = &flush_group,
	.run = flush_run,
};

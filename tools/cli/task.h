/*
 * task.h - commands of `cenote` that take the daemon longer than an answer: it gives a number, and
 * is asked how it goes until it is done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/cli/command.h"
#include "tools/terminal.h"

/* The options that such commands share: the member `task` of the struct of their own. */
struct task_options {
	bool json;
	uint64_t timeout; /* ns */
	char *run_dir;
	char *config;
};

#define TASK_OPTION(struct_type, field, option_type, ...)                                          \
	{                                                                                          \
		.name = #field, .type = (option_type),                                             \
		.offset = offsetof(struct_type, task.field), __VA_ARGS__                           \
	}
/* Their rows in @struct_type's table. */
#define TASK_OPTIONS(struct_type, timeout_text, timeout_help)                                      \
	TASK_OPTION(struct_type, json, OPTION_BOOL, .letter = 'j',                                 \
		    .help = "Print what came of it as JSON."),                                     \
		TASK_OPTION(struct_type, timeout, OPTION_DURATION, .letter = 't',                  \
			    .default_text = (timeout_text), .help = (timeout_help)),               \
		TASK_OPTION(struct_type, run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR", \
			    .help = COMMAND_RUN_DIR_HELP),                                         \
		TASK_OPTION(struct_type, config, OPTION_STRING, .letter = 'c', .argument = "FILE", \
			    .help = COMMAND_CONFIG_HELP)

struct task_call {
	const char *command; /* for messages: "join" */
	const struct task_options *options;
	bool all_lines; /* print those that went well, too */
	/* The result of a task that went well, in place of its text. NULL: it has none. With
	 * --json its JSON is printed, and not the task's. */
	void (*print)(const json_t *result, const struct terminal *terminal);
};

/** task_progress_show() - how far @task is, as the daemon tells it: over and over on one line,
 * where somebody looks. */
void task_progress_show(const struct terminal *terminal, const json_t *task);

/**
 * task_fetch() - sends @request and waits for its task's result; when another of its kind runs, for
 * its turn. @command: for messages. Return: 0 with @out_result for json_decref(), or an error after
 * a message to stderr.
 */
int task_fetch(const char *command, const char *run_dir, const struct control_request *request,
	       uint64_t timeout_ns, json_t **out_result);

/**
 * task_call() - sends @request, waits for its task and prints what came of it.
 * Return: an exit status; what went wrong has been said.
 */
int task_call(const struct task_call *call, const struct control_request *request);

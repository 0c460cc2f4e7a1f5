/*
 * task.h - commands of `cenote` that take the daemon longer than an answer: it gives a number, and
 * is asked how it goes until it is done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/control.h"

struct task_call {
	const char *command; /* for messages: "join" */
	const char *run_dir;
	uint64_t timeout_ns;
	bool json;
	bool all_lines; /* print those that went well, too */
};

/**
 * task_call() - sends @request, waits for its task and prints what came of it.
 * Return: an exit status; what went wrong has been said.
 */
int task_call(const struct task_call *call, const struct control_request *request);

/*
 * watch.h - commands of `cenote` that show what the daemon answers, once or again and again: their
 * options, and their loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "tools/terminal.h"

struct watch_options {
	bool json;
	bool watch;
	uint64_t interval; /* ns */
	int64_t count;
	char *run_dir;
	char *config;
};

extern const struct option_group watch_options;

struct watch_view {
	/* What is shown. Return: 0, or an error after a message to stderr. */
	int (*fetch)(const char *run_dir, json_t **out_answer);
	/* For people. @before: the answer that was shown before this one, or NULL. */
	void (*print)(const json_t *answer, const json_t *before, const struct terminal *terminal);
};

/** watch_run() - shows it as @options say. Return: an exit status. */
int watch_run(const struct watch_view *view, const struct watch_options *options);

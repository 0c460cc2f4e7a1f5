/*
 * watch.h - commands of `cenote` that show what the daemon answers, once or again and again: their
 * options, and their loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/option.h"
#include "tools/cli/command.h"
#include "tools/terminal.h"

struct watch_options {
	bool json;
	bool watch;
	uint64_t interval; /* ns */
	int64_t count;
	char *run_dir;
	char *config;
};

#define WATCH_OPTION(struct_type, field, option_type, ...)                                         \
	{                                                                                          \
		.name = #field, .type = (option_type),                                             \
		.offset = offsetof(struct_type, watch.field), __VA_ARGS__                          \
	}
/* Their rows in the table of @struct_type, whose member `watch` they are. */
#define WATCH_OPTIONS(struct_type)                                                                 \
	WATCH_OPTION(struct_type, json, OPTION_BOOL, .letter = 'j',                                \
		     .help = "Print everything as one JSON object; with --watch, one a line."),    \
		WATCH_OPTION(struct_type, watch, OPTION_BOOL, .letter = 'w',                       \
			     .help = "Show it again every interval, until interrupted."),          \
		WATCH_OPTION(struct_type, interval, OPTION_DURATION, .letter = 'n',                \
			     .default_text = "1 s", .min = 100 * (int64_t)NS_PER_MS,               \
			     .max = 3600 * (int64_t)NS_PER_S, .help = "How often --watch looks."), \
		WATCH_OPTION(struct_type, count, OPTION_INT, .argument = "N", .min = 0,            \
			     .max = INT64_C(1) << 40, .default_text = "0",                         \
			     .help = "Let --watch end after N times; 0: never."),                  \
		WATCH_OPTION(struct_type, run_dir, OPTION_STRING, .letter = 'r',                   \
			     .argument = "DIR", .help = COMMAND_RUN_DIR_HELP),                     \
		WATCH_OPTION(struct_type, config, OPTION_STRING, .letter = 'c',                    \
			     .argument = "FILE", .help = COMMAND_CONFIG_HELP)

/* For commands with no options of their own: struct watch_options is all there is. */
extern const struct option_group watch_options;

struct watch_view {
	/* What is shown. Return: 0, or an error after a message to stderr. */
	int (*fetch)(const char *run_dir, json_t **out_answer);
	/* For people. @before: the answer that was shown before this one, or NULL. */
	void (*print)(const json_t *answer, const json_t *before, const struct terminal *terminal);
};

/** watch_run() - shows it as @options say. Return: an exit status. */
int watch_run(const struct watch_view *view, const struct watch_options *options);

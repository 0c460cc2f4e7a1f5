/*
 * check_report.h - the findings of `cenote check`: printed as they come, or collected as JSON.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "tools/terminal.h"

enum check_level {
	CHECK_OK,
	CHECK_WARN, /* works, but not as well as it could */
	CHECK_FAIL, /* the daemon will not start, or not serve this */
	CHECK_SKIP, /* not looked at; the text says why */
	CHECK_LEVEL_COUNT,
};

struct check_report {
	struct terminal terminal; /* stdout */
	struct terminal progress; /* stderr: what is being waited for */
	json_t *findings;	  /* NULL: print for people */
	unsigned counts[CHECK_LEVEL_COUNT];
};

/**
 * check_report_add() - one finding.
 * @subject: what was looked at: "kernel", "cache directory /ssd0".
 * @format: what was found and, when it is not well, what to do.
 */
void check_report_add(struct check_report *report, enum check_level level, const char *subject,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

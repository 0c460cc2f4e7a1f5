/*
 * check_system.h - what `cenote check` asks of the machine: kernel, FUSE, limits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct check_report;

struct check_system_needs {
	uint64_t arena_len;   /* bytes of the cache's memory */
	uint64_t reserve_len; /* bytes of buffers beside it */
	unsigned directory_count;
	bool allow_other;    /* the mount is for other users than the daemon's */
	unsigned part_count; /* small-files entries that are mounted by themselves */
	const char *mountpoint;
	bool daemon_runs; /* a daemon of this configuration answers */
};

/** check_system() - adds its findings to @report. Changes nothing. */
void check_system(struct check_report *report, const struct check_system_needs *needs);

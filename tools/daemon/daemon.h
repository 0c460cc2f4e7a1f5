/*
 * daemon.h - the node daemon: brings the rooms up in order, lives by signals, takes them down in
 * reverse. All on the main thread but for the stop, which has one of its own.
 */
#pragma once

#include <stddef.h>

struct daemon;

/**
 * daemon_create() - reads the config, claims the run directory, starts every room; the mount is
 * there on return.
 * Return: 0, or an error with @problem saying what to do. Nothing is left behind then, but what the
 * keeper keeps. -ECANCELED: this process was to take over, and is not needed.
 */
int daemon_create(const char *config_path, struct daemon **out_daemon, char *problem,
		  size_t problem_size);

/**
 * daemon_run() - until SIGTERM, SIGINT, or the mount is unmounted from outside; then until every
 * room is down, the reads in hand answered. A second signal, or a stop that takes longer than
 * node.stop_timeout and some, ends those reads with an error and the process with exit status 0,
 * once what was fetched is on the SSD. SIGHUP reads the config again.
 */
void daemon_run(struct daemon *daemon);

/** daemon_destroy() - after daemon_run(). */
void daemon_destroy(struct daemon *daemon);

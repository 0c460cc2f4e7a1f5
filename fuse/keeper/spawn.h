/*
 * spawn.h - starting a worker, and the keeper replacing itself. Programs are held open: what is
 * started again after a crash is what ran before it, whatever an installation has put in its place.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "fuse/keeper/protocol.h"

/* What the keeper is told by, blocked in it and not in a worker that it starts. */
#define SPAWN_SIGNALS 3
extern const int spawn_signals[SPAWN_SIGNALS];

struct spawn {
	char **arguments;   /* of main(), NULL-ended */
	char **environment; /* without ours, which is the last */
	char *variable;	    /* PROTOCOL_VARIABLE=... */
	sigset_t mask;	    /* the worker's */
	int oom;	    /* oom_score_adj likewise */
};

/* A process that was started, or none. */
struct spawn_child {
	pid_t pid;  /* 0: none */
	int pidfd;  /* -1 */
	int socket; /* our end; -1 */
};

#define SPAWN_CHILD_NONE ((struct spawn_child){ .pid = 0, .pidfd = -1, .socket = -1 })

/** spawn_init() - keeps @arguments; @oom: INT_MIN: as this process has it. Allocates, once. Return:
 *  0, -ENOMEM. */
int spawn_init(struct spawn *spawn, char **arguments, int oom);

/** spawn_open() - the program of that name beside @path (a program of ours, or the folder with a
 *  slash at its end). Return: a descriptor; -ENOENT ... */
int spawn_open(const char *path, const char *name);

/** spawn_worker() - @start: its socket is filled in here. Return: 0, -EMFILE, -ENOMEM, -EAGAIN ...
 */
int spawn_worker(struct spawn *spawn, int program, struct protocol_start *start,
		 struct spawn_child *out_child);

/** spawn_replace() - this process becomes @program. Return: only when it could not, -errno. */
int spawn_replace(struct spawn *spawn, int program, const struct protocol_start *start);

/** spawn_forget() - lets go of the descriptors. */
void spawn_forget(struct spawn_child *child);

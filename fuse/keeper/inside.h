/*
 * inside.h - the keeper's state, and what its files do for each other. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fuse/keeper/board.h"
#include "fuse/keeper/hold.h"
#include "fuse/keeper/notify.h"
#include "fuse/keeper/spawn.h"
#include "fuse/keeper/supervise.h"
#include "fuse/keeper/watch.h"

#define KEEPER_BOARD	  "board"  /* its name among what systemd keeps */
#define KEEPER_CONFIG	  "config" /* the worker's, among what is held */
#define KEEPER_GHOSTS_MAX 16

enum upgrade_state {
	UPGRADE_NONE,
	UPGRADE_TRYING,	 /* waits for what the standby says of itself */
	UPGRADE_LEAVING, /* waits for the worker's end; then it is the standby's turn */
	UPGRADE_PROVING, /* waits for the former standby, now the worker, to serve */
};

struct upgrade {
	enum upgrade_state state;
	uint64_t deadline_ns;
	struct spawn_child standby;
	int worker_program, keeper_program; /* the new ones; -1 */
};

enum hang_phase {
	HANG_NONE,
	HANG_STACKS, /* until at_ns its threads may say where they are */
	HANG_KILLED, /* waits for its end until at_ns */
};

struct hang {
	enum hang_phase phase;
	uint64_t at_ns;
	bool aborted; /* by SIGABRT: it may be writing a core file */
	char reason[WATCH_REASON_MAX];
};

struct keeper {
	struct notify notify;
	struct hold hold;
	struct spawn spawn;
	struct supervise supervise;
	struct watch watch;
	struct hang hang;
	struct upgrade upgrade;
	struct spawn_child worker;
	int program; /* the worker's */
	int self;    /* our own */
	int signals;
	int board_fd;
	struct board *board;
	bool cores;	     /* a worker that hangs may leave a core file */
	bool started_once;   /* the next worker is a restart */
	int told;	     /* SIGTERM or SIGINT, for whoever serves; 0 */
	bool told_to_reload; /* SIGHUP came while none ran */
	bool quits;
	int status; /* with which it quits */
	/* killed, and not yet gone when the next one was started */
	struct spawn_child ghosts[KEEPER_GHOSTS_MAX];
};

struct keeper_end {
	enum board_end kind;
	struct supervise_end how;
	char reason[BOARD_REASON_MAX];
};

/** keeper_now_ns() - CLOCK_MONOTONIC. */
uint64_t keeper_now_ns(void);

/** keeper_start() - what a process is started with: all that is held. */
void keeper_start(const struct keeper *keeper, struct protocol_start *out);

/** keeper_worker_runs() - @child is the worker now; it gets what it was to be told. */
void keeper_worker_runs(struct keeper *keeper, const struct spawn_child *child);

/** keeper_worker_start() - when it cannot be, after a pause. */
void keeper_worker_start(struct keeper *keeper);

/** keeper_kill() - @child, which may be none. */
void keeper_kill(const struct spawn_child *child, int number);

/** keeper_say() - to @child; it may be gone. */
void keeper_say(const struct spawn_child *child, const struct protocol_message *message);

/** keeper_worker_gone() - or as good as; @end may be made more precise. */
void keeper_worker_gone(struct keeper *keeper, struct keeper_end *end);

/* begin.c: */

/** keeper_begin() - all but the first worker. @arguments: of main(). Return: 0, -ENOENT ... */
int keeper_begin(struct keeper *keeper, char **arguments);

/* hang.c: */

/** hang_tick() - looks, kills, gives up, as it is time. */
void hang_tick(struct keeper *keeper);

/** hang_outlive() - @child is killed and not waited for. Return: false: there are too many such; it
 *  stays the caller's. */
bool hang_outlive(struct keeper *keeper, const struct spawn_child *child);

/** hang_reap() - those that were killed and not waited for, and are gone now. */
void hang_reap(struct keeper *keeper);

/* upgrade.c: */

/** upgrade_begin() - the worker asks for it. @path: of the new cenoted; "": where ours was. */
void upgrade_begin(struct keeper *keeper, const char *path);

/** upgrade_standby_look() - the standby has said something, or ended. */
void upgrade_standby_look(struct keeper *keeper);

/** upgrade_cancel() - told to stop: no trial any more. */
void upgrade_cancel(struct keeper *keeper);

/** upgrade_worker_ended() - Return: whether that was part of it, and the next one runs. */
bool upgrade_worker_ended(struct keeper *keeper);

/** upgrade_serving() - the worker serves: if it is the new one, we follow it. */
void upgrade_serving(struct keeper *keeper);

/** upgrade_tick() - looks at the deadline. */
void upgrade_tick(struct keeper *keeper);

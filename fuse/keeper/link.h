/*
 * link.h - the worker's end of what it has with its keeper. The keeper is the small process that
 * was started as cenoted: it starts the worker, holds duplicates of the descriptors that must not
 * be lost with it (the connection to the kernel, the ledger, the arena), and starts the next one
 * when it dies.
 *
 *	worker -> keeper
 *		KEEP name + descriptor	hold this; takes the place of an older one
 *		DROP name
 *		SERVING			from now on a death is answered with another
 *		STOPPING		from now on it is not: as told, or unmounted
 *		WATCH			hang_after: replace me when a request is overdue
 *		UPGRADE path		try the program there, then let it take over
 *		READY, REFUSED reason	of a standby, see below
 *	keeper -> worker
 *		UPGRADED ok, or reason	of the trial; ok: stop serving and leave
 *		SIGNAL number		what the keeper was sent: TERM, INT, HUP
 *		GO			to a standby: your turn
 *
 * A standby is a worker of another release that was started while one runs: it looks whether it
 * could take over, says so, and waits for its turn or its end.
 *
 * Signals come through the keeper alone: a terminal sends SIGINT to both, and the worker would take
 * it for two. What is sent to a worker that has a keeper is not acted upon.
 *
 * One datagram each over a SOCK_SEQPACKET pair; protocol.h has the bytes. A new worker finds what
 * is kept in its environment: CENOTE_KEEPER="version=1 socket=3 board=4 kept.connection.0=5 ...".
 * A worker that was started by hand has no keeper: link_open() gives a link all the same, whose
 * board nobody watches and which keeps nothing.
 *
 * The keeper may die first. link_poll() then says so, and link_revive() starts another one, which
 * watches this worker though it is not its child.
 *
 * Threads: the daemon's main thread; link_board() any.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/keeper/board.h"

/* Sent to each thread of a worker that hangs: its handler writes that thread's stack to stderr. */
#define LINK_STACKS_SIGNAL SIGUSR1

#define LINK_NAME_MAX	 31 /* of a descriptor: letters, digits, '.', '-' */
#define LINK_KEPT_MAX	 32
#define LINK_PROBLEM_MAX 512

struct link;

/** link_open() - reads the environment, and removes it from there. Return: 0; -EBADMSG, -ENOMEM,
 *  -EPROTONOSUPPORT (a keeper of another version: see below) with @problem. */
int link_open(struct link **out_link, char *problem, size_t problem_size);

/** link_close() - NULL is fine. */
void link_close(struct link *link);

/** link_alone() - there is no keeper and was none. */
bool link_alone(const struct link *link);

struct board *link_board(const struct link *link);

/** link_keeper_pid() - 0: alone, or it is just gone. */
int link_keeper_pid(const struct link *link);

/** link_standby() - this process is one: before it touches anything that the worker has, it calls
 *  link_standby_wait(). */
bool link_standby(const struct link *link);

/**
 * link_standby_wait() - says what came of the look around. @problem: NULL: ready; waits for its
 * turn. Return: 0: it is the worker now; -ECANCELED: it is to end.
 */
int link_standby_wait(struct link *link, const char *problem);

/** link_kept() - a duplicate of what was kept under @name, the caller's to close; -1: none. */
int link_kept(const struct link *link, const char *name);

/** link_is_kept() - whether there is one of that name. */
bool link_is_kept(const struct link *link, const char *name);

/** link_keep() - @fd stays the caller's. Nothing when alone. Return: 0; -EPIPE: the keeper is gone,
 *  and link_revive() will give it to the next; -ENOBUFS more than LINK_KEPT_MAX. */
int link_keep(struct link *link, const char *name, int fd);
void link_drop(struct link *link, const char *name);

void link_serving(struct link *link);
void link_stopping(struct link *link);

/** link_watch() - @hang_after_ns: 0: not at all. @cores: a worker that hangs may leave a core file.
 */
void link_watch(struct link *link, uint64_t hang_after_ns, bool cores);

/** link_upgrade() - asks for it; the answer comes by link_poll(). @program: of cenoted, absolute;
 *  "": where this one was started from. Return: 0; -EPIPE, -ENOTCONN (alone), -ENAMETOOLONG. */
int link_upgrade(struct link *link, const char *program);

/** link_fd() - readable when link_poll() has something to say; -1 when alone. */
int link_fd(const struct link *link);

enum link_event {
	LINK_NOTHING,
	LINK_KEEPER_GONE,     /* call link_revive() */
	LINK_SIGNAL,	      /* @number: SIGTERM, SIGINT or SIGHUP */
	LINK_UPGRADE_REFUSED, /* @problem says why */
	LINK_UPGRADE_AGREED,  /* the new worker waits: stop, with all that is kept left as it is */
};

/** link_poll() - one event; call it until there is nothing. @problem: LINK_PROBLEM_MAX bytes. */
enum link_event link_poll(struct link *link, int *out_number, char *problem);

/** link_revive() - starts a keeper and gives it all that the last one kept. Return: 0; -errno, to
 * be tried again later. */
int link_revive(struct link *link);

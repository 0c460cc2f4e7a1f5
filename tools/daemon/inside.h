/*
 * inside.h - the daemon's state, which daemon.c and stop.c share. The main thread's, but for what
 * says otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/daemon/instance.h"
#include "tools/daemon/rooms.h"

enum stop_phase {
	STOP_ANSWERING,	 /* waits for reads in hand, then for the last writes to the SSD */
	STOP_LETTING_GO, /* all is safe; waits for backing stores to give requests back */
	STOP_DONE,
};

struct daemon {
	struct daemon_rooms rooms;
	struct settings *started; /* rooms.settings, owned */
	struct settings *current; /* with the live changes since; may be @started */
	struct instance instance;
	bool leaving;	    /* stopping, for another program to go on */
	uint64_t revive_ns; /* when to start a keeper again; CLOCK_NEVER: there is one, or none */
	int signals;	    /* signalfd */
	int progressed;	    /* eventfd: stop_phase has changed */
	_Atomic int stop_phase; /* enum stop_phase */
	pthread_t stop_thread;
	uint64_t stop_deadline_ns; /* CLOCK_NEVER while running */
	pthread_mutex_t cache_lock;
	bool cache_stopped; /* guarded by cache_lock */
};

/* stop.c: */

bool daemon_stopping(const struct daemon *daemon);

/** daemon_stop_begin() - @reason: for the log. */
void daemon_stop_begin(struct daemon *daemon, const char *reason);

/** daemon_stop_progressed() - @progressed is readable. Return: false when the stop is done. */
bool daemon_stop_progressed(struct daemon *daemon);

/** daemon_stop_cut_short() - once what was fetched is on the SSD. */
_Noreturn void daemon_stop_cut_short(struct daemon *daemon, const char *reason);

/** daemon_end_log() - the last line. */
void daemon_end_log(const struct daemon *daemon);

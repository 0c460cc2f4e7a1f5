/*
 * idle.h - backing files that nobody has open any more, kept registered for the next open of their
 * node: a program that reads small files opens the same ones again, and to register one costs an
 * open(2), a transaction of the index and two calls of the kernel.
 *
 * The kernel holds the file of an id, and with it the space of what was evicted or replaced since.
 * So an idle one has been given back to the cache, which may evict it, and is closed
 *
 *	IDLE_AGE after its last RELEASE: nobody comes back, or the kernel has forgotten the node;
 *	when more than IDLE_MAX are idle, and it is so the longest;
 *	within half a second of when it is no longer current: the cache counts what it has lost,
 *	and a thread that looks at this number four times a second then looks for such files;
 *	when its node is opened and it is not current, or passthrough is turned off;
 *	when the mount ends.
 *
 * Those of a worker that dies are in the ledger, without a handle: the next one closes them.
 *
 * Threads: any, and one of its own. All is guarded by the passthrough's lock, but idle_stop().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* No memory: the element is not added, and its handle has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/clock.h"
#include "cache/cache.h"

#define IDLE_MAX 16384 /* far below LEDGER_BACKING_MAX; some KiB of the kernel's memory each */
#define IDLE_AGE (300 * NS_PER_S)

struct mount;

/* A node that is open in passthrough, or was. */
struct backing_file {
	uint64_t node;
	int id;
	unsigned opens;		      /* 0: idle */
	struct cache_handout handout; /* idle: given back */
	UT_hash_handle hh;	      /* passthrough.files */
	/* while idle */
	uint64_t since_ns;
	TAILQ_ENTRY(backing_file) link;
};

TAILQ_HEAD(backing_files, backing_file);

struct idle {
	pthread_t thread;
	pthread_cond_t wake;
	bool running, stopping;	    /* the thread; without it none is kept */
	struct backing_files files; /* the longest idle first */
	unsigned count, max;	    /* IDLE_MAX, but for tests */
	struct backing_file *look;  /* which is looked at next; NULL: all have been */
	uint64_t lost;		    /* cache_handout_lost() when that began */
};

void idle_init(struct idle *idle);
void idle_fini(struct idle *idle);

/** idle_start_locked() - from now on files are kept, if there is a thread left for it. Nothing when
 *  they are already. */
void idle_start_locked(struct mount *mount);

/** idle_stop() - none is kept from now on; those that are stay registered. Before what the thread
 *  needs to close one is gone: the channel, the ledger. Without the lock. May be called twice. */
void idle_stop(struct mount *mount);

/** idle_put_locked() - @file, which was given back and was current, waits for the next open.
 *  Return: false: none are kept. */
bool idle_put_locked(struct mount *mount, struct backing_file *file);

/** idle_take_locked() - it waits no longer. */
void idle_take_locked(struct mount *mount, struct backing_file *file);

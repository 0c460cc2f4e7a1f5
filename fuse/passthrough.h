/*
 * passthrough.h - which opens the kernel serves by itself, from a file on this node's SSD.
 *
 * The kernel's I/O modes are per inode: while a node is open in passthrough, a direct open of it,
 * or one by another backing id, is EIO. So a node has one mode, and in passthrough one backing id
 * for all its opens, registered at the first. After the last RELEASE it is idle: kept for the next
 * open for some time (idle.h). What must be opened otherwise than its node says (a file that has
 * become complete; one that was evicted or has rotted under open handles) is answered with ESTALE:
 * the kernel looks the name up again and is given a new node. The caller sees nothing of one ESTALE
 * a call, and an error after two, so a node that has just been made gives none:
 *
 *	node is	   open	 verified  fresh    OPEN
 *	direct	   any	 no	   any	    direct; verification is asked for
 *	direct	   any	 yes	   yes	    direct
 *	direct	   any	 yes	   no	    ESTALE; the next look-up gives a passthrough node
 *	passthr.   no	 yes	   any	    passthrough; by the idle id, if there is one
 *	passthr.   no	 no	   any	    an idle id is closed, and the node turns direct,
 *					    since nobody has it open
 *	passthr.   yes	 yes	   any	    passthrough, by the same backing id
 *	passthr.   yes	 no	   yes	    passthrough still: its bytes are right, unless some were
 *					    found bad meanwhile; then as below
 *	passthr.   yes	 no	   no	    ESTALE; the next look-up gives a direct node
 *
 * An idle id of a file that was evicted, replaced or found bad since, and is verified again, stands
 * for the old file: it is closed and another registered.
 *
 * The kernel keeps an id, and the file behind it, until it is closed: longer than a worker may
 * live. So each id is in the ledger from its registration to its end, and the next worker goes on
 * with node, id and as many opens as it has handles; ids without one, the idle ones among them, it
 * closes. An id that was taken just before the worker died may be missing there, and is found by a
 * probe: ids ascend.
 *
 * Where something stands against it - the kernel, a right, the file system of a cache directory, a
 * setting - files are opened the ordinary way, and passthrough_status() says what it is.
 *
 * Threads: any; a lock of its own, held while files are registered. Taken before the namespace's.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "fuse/idle.h"

struct mount;
struct namespace_file;

#define PASSTHROUGH_REASON_MAX 320

struct passthrough {
	_Atomic bool wanted; /* the setting */
	pthread_mutex_t lock;
	/* guarded by lock */
	struct backing_file *files; /* by node id: those open now, and idle ones */
	struct idle idle;
	bool started;
	bool possible;	 /* the kernel takes backing files */
	unsigned usable; /* cache directories whose files it takes */
	char reason[PASSTHROUGH_REASON_MAX];
};

void passthrough_init(struct passthrough *passthrough, bool wanted);

/** passthrough_start() - the connection is there: finds out what is possible. */
void passthrough_start(struct mount *mount);

/** passthrough_adopt() - goes on with what a former worker had registered. After handles_adopt()
 * and before passthrough_start(). Return: 0 or -ENOMEM. */
int passthrough_adopt(struct mount *mount);

/** passthrough_reload() - the setting, for new opens. */
void passthrough_reload(struct mount *mount, bool wanted);

/** passthrough_stop() - no id is kept idle from now on. Before anything that ids are closed with is
 *  taken away: of mount_stop() and mount_leave(). */
void passthrough_stop(struct mount *mount);

/** passthrough_fini() - after passthrough_stop(): closes ids that are idle, and of who never sent a
 *  RELEASE; none when the mount was left. */
void passthrough_fini(struct mount *mount);

/** passthrough_wanted() - for a namespace's settings: whether @id's node shall be a passthrough
 * one.
 *  @context: the mount. */
bool passthrough_wanted(void *context, const struct object_id *id);

/**
 * passthrough_open() - how node @file is to be opened.
 * Return: a backing id above 0, for passthrough_release(); 0: the ordinary way; -ESTALE.
 */
int passthrough_open(struct mount *mount, const struct namespace_file *file,
		     struct cache_object *object);

/** passthrough_release() - one open of node @id by @backing_id has ended. */
void passthrough_release(struct mount *mount, uint64_t id, int backing_id);

/** passthrough_status() - @out: "" when it is in use, or why it is not, or not everywhere.
 *  Return: whether it is in use. */
bool passthrough_status(struct mount *mount, char *out, size_t out_size);

/** backing_file_close_locked() - for idle.c: @file, which is in no table and given back, ends. */
void backing_file_close_locked(struct mount *mount, struct backing_file *file);

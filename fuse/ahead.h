/*
 * ahead.h - of a small-files mount: bytes that will be read next are put into the kernel's page
 * cache (FUSE_NOTIFY_STORE), so that their reader asks us nothing.
 *
 * Which: files that a directory's reader was just told of, if they are wholly on this node; and
 * those that come next in a directory that is read file by file. Each once in its node's life, and
 * not one that was read already. It is an optimisation: what finds no room is left to be read.
 *
 * A thread of its own brings the bytes. A process of its own stores them (storer.h), which may
 * have to wait for a READ that we are to answer. Nothing is held meanwhile.
 *
 *	ahead_start()	before requests are served
 *	ahead_stop()	when the mount stops, or is left to another worker: no more
 *	ahead_destroy()	when nobody feeds it any more
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/storer.h"

#define AHEAD_QUEUE_MAX 4096	       /* files; what comes when it is full is dropped */
#define AHEAD_FILE_MAX	STORER_LEN_MAX /* bytes; larger files are never stored */

struct ahead;
struct counters;
struct namespace;

struct ahead_settings {
	struct namespace *ns; /* borrowed until ahead_destroy(), as all here */
	struct cache *cache;
	struct counters *counters;	   /* of enum mount_counter */
	const _Atomic uint64_t *bytes_max; /* of what one answer listed; 0: none */
	int connection;
	/* NULL; or, for tests, in place of storer_store() and over no connection. */
	int (*store)(uint64_t node, const void *bytes, size_t len);
};

/** ahead_start() - Return: 0; -ENOMEM, -EMFILE; -EAGAIN no thread or process left. */
int ahead_start(const struct ahead_settings *settings, struct ahead **out_ahead);

/* The calls below take NULL, and do nothing. Any thread. */

/** ahead_listed() - the kernel has just been told of nodes @ids, of any kind. The files among them
 *  that need no backing store are stored, @settings.bytes_max of them. Never waits. */
void ahead_listed(struct ahead *ahead, const uint64_t *ids, unsigned count);

/** ahead_next() - file @id will be read soon, and is being fetched: it is stored once it is there.
 *  Never waits. */
void ahead_next(struct ahead *ahead, uint64_t id);

/** ahead_stop() - stores nothing more; what is under way is not waited for. Never waits. */
void ahead_stop(struct ahead *ahead);

/** ahead_destroy() - waits for the thread, which after ahead_stop() ends at once. Nothing may be
 *  feeding it. */
void ahead_destroy(struct ahead *ahead);

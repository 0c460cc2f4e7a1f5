/*
 * parts.h - small-files entries below the mountpoint: each is a mount of its own inside it, with a
 * connection, a namespace and a ledger of its own, since it is for a whole connection that the
 * kernel remembers not to ask for OPEN. The mount around it shows an empty directory there.
 *
 *	/mnt/data		the whole: connection.0
 *	/mnt/data/images	a part: connection.1, root is the entry's directory
 *
 * A part lives within the whole: mounted and unmounted while the whole is served, by child
 * processes (mountpoint.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/mount.h"

struct mount_setup;

/**
 * parts_create() - mounts them, or goes on with them.
 * @setup: of the whole, @whole, which is served.
 * @heritage: theirs is taken on success. When the whole was made anew, so are they. One that cannot
 *            be had where readers of the whole wait, after a takeover, is done without.
 * Return: 0; or an error with @problem, and parts that are there to be stopped and destroyed.
 */
int parts_create(struct mount *whole, const struct mount_setup *setup,
		 struct mount_heritage *heritage, char *problem, size_t problem_size);

/* As the calls of mount.h, for all parts. */
void parts_stop(struct mount *whole, uint64_t deadline_ns);
void parts_leave(struct mount *whole, uint64_t deadline_ns);
void parts_destroy(struct mount *whole);
void parts_reload(struct mount *whole, const struct mount_config *config);

/** parts_mount() - the part of that number, below the whole's part_count; NULL: it is missing. */
const struct mount *parts_mount(const struct mount *whole, unsigned index);

/** parts_served() - as mount_entry_served(). */
bool parts_served(const struct mount *whole, const struct mount_entry_config *entry);

/** parts_find() - which part a path of the namespace lies in. Return: it, with how much of the path
 *  is that of its root; NULL: in none. */
struct mount *parts_find(const struct mount *whole, const char *path, size_t *out_root_len);

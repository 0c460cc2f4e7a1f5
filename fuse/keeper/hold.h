/*
 * hold.h - the descriptors that a keeper holds for its workers, by name, and of which systemd has
 * another one each.
 */
#pragma once

#include "fuse/keeper/notify.h"
#include "fuse/keeper/protocol.h"

/* The connections to the kernel have names that begin so. */
#define HOLD_CONNECTION "connection."
/* The pid file's lock: not let go of while the keeper lives. */
#define HOLD_INSTANCE "instance"

struct hold {
	unsigned count;
	struct protocol_kept kept[PROTOCOL_KEPT_MAX];
	const struct notify *notify; /* borrowed */
};

/** hold_keep() - @fd is taken, and put in the place of an older one. Return: 0; -ENOBUFS, with @fd
 *  closed. */
int hold_keep(struct hold *hold, const char *name, int fd);

/** hold_drop() - nothing when there is none of that name. */
void hold_drop(struct hold *hold, const char *name);

/** hold_drop_state() - all but the pid file's lock: the next worker begins anew. */
void hold_drop_state(struct hold *hold);

/** hold_adopt() - one that a keeper before this one held; systemd has it. @fd is taken. */
void hold_adopt(struct hold *hold, const char *name, int fd);

/** hold_get() - borrowed; -1: none. */
int hold_get(const struct hold *hold, const char *name);

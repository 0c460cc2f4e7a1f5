/*
 * takeover.h - what a former worker left, looked at: is it of use, and how much of it.
 *
 *	connection	ledger			the mount
 *	served		read, with INIT		goes on where it was
 *	served		only INIT readable	goes on with an empty ledger (below)
 *	served, or not	not even INIT		is taken away, and a new one is made
 *	ended, none	any			a new one is made
 *
 * With an empty ledger the node numbers that the kernel has get ESTALE, and it looks up again;
 * files and directories that are open are not served any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fuse/ledger/ledger.h"
#include "fuse/mount.h"

struct takeover {
	struct ledger *ledger; /* never NULL; the caller's */
	int connection;	       /* the caller's; -1: there is none to go on with */
	size_t init_len;
	char init[LEDGER_INIT_MAX]; /* what the connection began with */
};

/**
 * takeover_look() - what comes of @kept, of one connection; nothing of it is taken: @out has
 * duplicates.
 * @path, @inside: the mountpoint, as for mountpoint_adopt().
 * Return: 0; -ENOMEM, -EMFILE with @problem.
 */
int takeover_look(const struct mount_keepsake *kept, const char *path, bool inside,
		  struct takeover *out, char *problem, size_t problem_size);

/** keepsake_close() - it is taken, or of no use. */
void keepsake_close(struct mount_keepsake *kept);

/*
 * revive.h - a worker whose keeper is gone starts another one.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "fuse/keeper/protocol.h"

#define REVIVE_ARGUMENTS_MAX 32

struct revive_keeper {
	pid_t pid;
	int socket; /* our end */
};

/**
 * revive() - @kept: what we hold: its socket is not looked at, its `self` is the keeper's program.
 * @arguments: as in /proc/self/cmdline, @arguments_len bytes, NUL-ended.
 * Return: 0; -EMFILE, -ENOMEM, -EAGAIN ...
 */
int revive(const struct protocol_start *kept, char *arguments, size_t arguments_len,
	   struct revive_keeper *out);

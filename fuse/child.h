/*
 * child.h - processes that do what this one must not wait for without a bound: what leads into a
 * FUSE mount, which may be our own. One that waits for a request which somebody has in hand cannot
 * be killed, so nobody waits for it, and it holds nothing of ours.
 *
 * A child is a copy of one thread of many: it makes system calls and nothing else.
 */
#pragma once

#include <sys/types.h>

/** child_keep_only() - in the child: every descriptor is closed but @one and @other, which may be
 * the same, or both -1. */
void child_keep_only(int one, int other);

/**
 * child_call() - calls @action in a child that has @kept open, which may be -1. The child dies with
 * us; or, while it cannot, with the connection that it waits for, which ends with the last of its
 * descriptors.
 * Return: what @action returned, 0 to 255; -ETIMEDOUT after @timeout_ms; -EAGAIN, -ENOMEM: no
 * child.
 */
int child_call(int (*action)(const void *context), const void *context, int kept, int timeout_ms);

/** child_wait() - for its end, at most @timeout_ms; then it is killed.
 *  Return: its wait status, or -ETIMEDOUT. */
int child_wait(pid_t pid, int timeout_ms);

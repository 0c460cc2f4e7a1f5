/*
 * storer.h - puts bytes into the kernel's page cache, by a process of its own.
 *
 * For each page of what is stored (FUSE_NOTIFY_STORE) the kernel takes the page's lock, copies from
 * the writer's memory, and marks the page as read. A page that a READ is to fill is locked from
 * before the READ is sent until it has its reply: who stores may wait for a READ to be answered,
 * and no signal ends that wait, SIGKILL as little as others. A worker with a thread in there is not
 * gone when it is killed, and ends when the next one has answered the READ, which is started when
 * it is gone. So it is not the worker that goes there.
 *
 *	worker			shared memory		storer
 *	bytes -------------->	a buffer
 *	node, length ----------------------------->	FUSE_NOTIFY_STORE
 *		<---------------------------------	0 or an error
 *
 * The storer has that memory, the connection and a socket, and ends when the socket does: when the
 * worker stops, leaves or dies. One that is in the kernel then goes on when the READ has its reply,
 * from the next worker, or an error, from an aborted connection; nobody waits for it. What it
 * copies is right, however late: nobody changes its buffer any more, and a node is one version for
 * ever. (In the arena there would be other bytes by then.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

#define STORER_LEN_MAX CACHE_READ_LEN_MAX /* bytes at once */

struct storer;

/**
 * storer_start() - forks. It has @connection and the socket open, and nothing else.
 * Return: 0; -ENOMEM; -EAGAIN no process left; -EMFILE.
 */
int storer_start(int connection, struct storer **out_storer);

/** storer_buffer() - STORER_LEN_MAX bytes: what is to be stored. Not while storer_store() runs, nor
 *  after it returned -ECANCELED. */
void *storer_buffer(struct storer *storer);

/**
 * storer_store() - puts the first @len bytes of the buffer into the page cache as the first of
 * @node. One thread at a time. Waits for READs of those pages.
 * Return: 0; -ENOENT the kernel does not refer to the node; -ENODEV, -EPERM, -ENOTCONN the
 *         connection has ended; -ECANCELED by storer_cancel(), or the process is gone: for good.
 */
int storer_store(struct storer *storer, uint64_t node, size_t len);

/** storer_cancel() - storer_store() returns -ECANCELED at once, now and later. Any thread. NULL is
 *  fine. */
void storer_cancel(struct storer *storer);

/** storer_destroy() - does not wait for one that is in the kernel. NULL is fine. */
void storer_destroy(struct storer *storer);

/*
 * inbox.h - FORGET, the one request that is never sent again: as it lies in the memory that a
 * thread of the channel reads into, which the thread's process does not take with it when it dies.
 *
 * What of it was done is written into the message itself, before it is done: a worker that dies in
 * between leaves one FORGET too few applied, which costs a node of memory until the sweep finds it
 * (sweep.h). One too many would be a node that the kernel still uses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * inbox_prepare() - before a thread reads into it: its pages are there, and stay. A thread that is
 * being killed may still take something from the kernel, but no page fault of it is served any
 * more: FORGETs that cannot be copied to it are lost, and another request would fail with EIO.
 */
void inbox_prepare(void *inbox, size_t inbox_len);

/* What is given back: @count references to @node. */
typedef void inbox_forget_fn(void *userdata, uint64_t node, uint64_t count);

/** inbox_forget() - does what a FORGET or BATCH_FORGET of @len bytes says, and has not been done.
 *  Return: false: it is neither, or not whole; nothing was done. */
bool inbox_forget(void *message, size_t len, inbox_forget_fn *forget, void *userdata);

/** inbox_leftover() - the same of what a former worker left in an inbox of @inbox_len bytes, which
 *  is empty after it. Anything else that lies there the kernel will send again. */
bool inbox_leftover(void *inbox, size_t inbox_len, inbox_forget_fn *forget, void *userdata);

/** inbox_clear() - nothing in it is left to be done. */
void inbox_clear(void *inbox);

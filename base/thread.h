/*
 * thread.h - starting threads the same way everywhere: named (for top, perf and gdb), all signals
 * but faults and SIGUSR1 blocked (the main thread handles them), a 256 KiB stack (memory is counted
 * here).
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

/**
 * thread_start() - runs @main(@argument) on a new thread.
 * @name: borrowed, at most 15 bytes are kept.
 * @out_thread: joinable; to be joined, not detached (its name is set from outside).
 * Return: 0, or -EAGAIN when the system has no thread left.
 */
int thread_start(pthread_t *out_thread, const char *name, void *(*main)(void *), void *argument);

/**
 * thread_cond_init() - a condition variable on the monotonic clock, for thread_cond_wait_until().
 */
void thread_cond_init(pthread_cond_t *cond);

/**
 * thread_cond_wait_until() - waits for @cond, at most until the monotonic time @deadline_ns
 * (CLOCK_NEVER: no limit).
 * Return: 0 when woken (perhaps spuriously), -ETIMEDOUT.
 */
int thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns);

/*
 * signals.h - SIGINT and SIGTERM as something to wait for: the first asks for an orderly end, the
 * second one ends the process at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** signals_block() - before any thread is started. @out_fd: readable when a signal came.
 *  Return: 0, -EMFILE ... */
int signals_block(int *out_fd);

/**
 * signals_wait() - waits until a signal came, @event_fd (an eventfd, which is emptied) is readable,
 * or for @timeout_ns.
 * @out_signal: the signal, 0 for none; the next one is not held back any more.
 */
void signals_wait(int signals_fd, int event_fd, uint64_t timeout_ns, int *out_signal);

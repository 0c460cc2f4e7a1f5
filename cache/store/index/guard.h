/*
 * guard.h - a memory map of a file on a failing disk: reading a page that the disk cannot deliver,
 * or that was cut off, is SIGBUS, and the default is the end of the process. Under the guard it is
 * an error of the call, because one bad SSD must not take the node down. What LMDB asserts about
 * its pages ends the same way.
 *
 * LMDB does not tell where its map is, so every SIGBUS of the body counts: a body touches the map
 * and its own few variables, nothing else that could fault. Faults outside of a guard go where they
 * would have gone. Threads: any, each for itself.
 */
#pragma once

#include <stdbool.h>

/** guard_install() - catches SIGBUS from now on, whoever else may have taken it since the last
 * call. */
void guard_install(void);

/**
 * guard_run() - runs @body(@argument).
 * @out_jumped: set when @body was left in the middle: locks and memory it held are lost.
 * Return: @body's; -EIO after a SIGBUS, -EUCLEAN after guard_give_up().
 */
int guard_run(int (*body)(void *argument), void *argument, bool *out_jumped);

/** guard_give_up() - leaves the guard_run() of this thread with -EUCLEAN; aborts outside of one. */
_Noreturn void guard_give_up(void);

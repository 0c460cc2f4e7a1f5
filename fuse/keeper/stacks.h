/*
 * stacks.h - what a process that hangs is doing, for the log: it is about to be killed, and nobody
 * will be able to look.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/** stacks_log() - of each thread of @pid what the kernel knows, and asks it for its user stack
 *  (LINK_STACKS_SIGNAL), which it writes by itself if it still can. At most 64 threads. Does not
 * wait. */
void stacks_log(pid_t pid);

/** stacks_dumps_core() - whether @pid is writing a core file. */
bool stacks_dumps_core(pid_t pid);

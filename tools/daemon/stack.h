/*
 * stack.h - where a thread is, for who looks at a daemon that hangs: SIGUSR1 to a thread
 * (LINK_STACKS_SIGNAL) has it write its stack to stderr. The keeper sends it before it kills.
 */
#pragma once

/** stack_handler_install() - once, before the first thread. */
void stack_handler_install(void);

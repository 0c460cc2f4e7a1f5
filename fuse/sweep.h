/*
 * sweep.h - of the nodes whose look-ups changed just before a worker died, which does the kernel
 * not know? A look-up is counted before its reply goes, so that one which was counted and not
 * answered leaves a node that no FORGET will ever come for, unless the request comes again.
 *
 * Some time after a takeover, when what comes again has come, the kernel is asked about each of
 * them that has been left alone since. It is asked slowly and from a thread of its own: the answer
 * takes a lock of the inode in the kernel, and no request may wait for that.
 */
#pragma once

#include <stdint.h>

struct namespace;
struct sweep;

struct sweep_settings {
	struct namespace *ns; /* borrowed until sweep_stop() */
	int connection;	      /* the same */
	/* connection_knows(), but for tests */
	int (*knows)(int connection, uint64_t node);
	uint64_t delay_ns; /* before each round of questions */
	uint64_t pause_ns; /* after each SWEEP_BATCH of them */
};

#define SWEEP_BATCH  64
#define SWEEP_ROUNDS 15 /* what is in use all that time is not asked about any more */

/** sweep_start() - Return: 0; -ENOMEM; -EAGAIN no thread left. */
int sweep_start(const struct sweep_settings *settings, struct sweep **out_sweep);

/** sweep_stop() - before the channel is stopped: a question asked while a connection goes down may
 *  never return. NULL is fine. */
void sweep_stop(struct sweep *sweep);

/*
 * worker_internal.h - what worker.c (orders, connections, questions) and worker_run.c (measuring)
 * have in common. The worker's thread.
 */
#pragma once

#include "tools/bw/worker.h"

/** worker_turn() - polls all lanes' transports once, sleeping at most until @until_ns when it may.
 *  Return: how many things happened. */
int worker_turn(struct worker *worker, uint64_t until_ns);

/** worker_ending() - whether all are to stop. */
static inline int worker_ending(const struct worker *worker)
{
	return atomic_load_explicit(&worker->common->ending, memory_order_relaxed);
}

/** worker_end_all() - tells all to stop. */
void worker_end_all(struct worker *worker, enum worker_ending ending);

/** worker_run() - carries out RUN. Fills worker->result, worker->error and problem. */
void worker_run(struct worker *worker, const struct plan_step *step);

/*
 * worker.h - a thread of the client: carries out one order after the other on its lanes. The main
 * thread gives orders to all workers and waits for all of them, so that they measure at the same
 * time.
 *
 *	OPEN     transports, connections, HELLO
 *	PREPARE  a step: the server's processor time so far; with --bidirectional it starts to read
 *	RUN      the step itself: warm up, count, drain
 *	FINISH   the server stops reading and says how much, and its processor time
 *	CLOSE    connections and transports; the thread ends
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/bw/lane.h"
#include "tools/bw/plan.h"
#include "tools/bw/samples.h"

enum worker_order {
	WORKER_OPEN,
	WORKER_PREPARE,
	WORKER_RUN,
	WORKER_FINISH,
	WORKER_CLOSE,
};

/* Why all stop measuring, the gravest last. */
enum worker_ending {
	WORKERS_GO_ON,
	WORKERS_INTERRUPTED,
	WORKERS_FAILED,
};

/* What all workers share; outlives them. */
struct worker_common {
	struct setup *setup;
	const struct plan *plan;
	const struct client_options *options;
	struct address server; /* as given; other ports from its INFO */
	char listen[ADDRESS_TEXT_MAX];
	_Atomic int ending; /* enum worker_ending */
	int finished_fd;    /* eventfd: an order was carried out */
	_Atomic unsigned at_work;
};

/* Of one step; the main thread's between orders. */
struct worker_result {
	struct pump_result pump;       /* of all lanes */
	uint64_t started_ns, ended_ns; /* of what was counted */
	struct samples samples;
	bool cut_short;		   /* by the limit of time, before all reads were done */
	char why[256];		   /* of a connection that ended */
	unsigned watched, changed; /* destinations of failed reads, see pump_watched() */
	/* of the server's reads */
	uint64_t reverse_reads, reverse_corrupt;
	double reverse_per_s;
};

struct worker {
	struct worker_common *common;
	unsigned index;
	pthread_t thread;
	bool started;
	struct lane *lanes;
	unsigned lane_count, lanes_open;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ordered; /* guarded by lock */
	enum worker_order order;
	const struct plan_step *step;
	/* what came of it */
	int error;
	char problem[TROUBLE_MAX];
	struct worker_result result;
	/* of the server, asked by the first lane of the first worker */
	bool usage_known;
	uint64_t server_cpu_ns; /* since PREPARE */
	unsigned server_clients;
	uint64_t usage_before_ns;
	struct note info; /* of the first lane's server */
	char transport_text[128];
};

/**
 * worker_start() - a thread with the lanes @index, @index + threads, ... @worker: all zero.
 * Return: 0; -ENOMEM, -EAGAIN with worker->problem; worker_join() it either way.
 */
int worker_start(struct worker *worker, struct worker_common *common, unsigned index);

/** worker_order() - gives an order; the worker is at rest. finished_fd says when it is carried out,
 *  and common->at_work is one less. */
void worker_order(struct worker *worker, enum worker_order order, const struct plan_step *step);

/** worker_join() - after WORKER_CLOSE, or of one that was never started. */
void worker_join(struct worker *worker);

/** worker_progress() - reads of the running step that ended well so far. Any thread. */
uint64_t worker_progress(const struct worker *worker);

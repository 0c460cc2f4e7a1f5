/*
 * worker.c - a client's thread: its orders, its connections, its questions.
 */
#include "tools/bw/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/thread.h"
#include "tools/bw/worker_internal.h"
#include "tools/terminal.h"

#define REST_NS	     (100 * NS_PER_MS)
#define BUSY_POLL_NS NS_PER_S
#define USAGE_NS     (2 * NS_PER_S) /* a stopped server is no reason to wait longer */
#define NO_ANSWER    "the server does not answer questions"

int worker_turn(struct worker *worker, uint64_t until_ns)
{
	int happened = 0;

	if (worker->lanes_open == 1) {
		happened = transport_wait(worker->lanes[0].transport, until_ns);
	} else {
		/* Each has a descriptor of its own to sleep on, so several are polled. */
		for (unsigned i = 0; i < worker->lanes_open; i++)
			happened += transport_poll(worker->lanes[i].transport);
		if (!happened)
			sched_yield(); /* perhaps to whom we wait for */
	}
	for (unsigned i = 0; i < worker->lanes_open; i++)
		pump_turn(&worker->lanes[i].pump);
	return happened;
}

void worker_end_all(struct worker *worker, enum worker_ending ending)
{
	int before = atomic_load(&worker->common->ending);

	while (before < (int)ending &&
	       !atomic_compare_exchange_weak(&worker->common->ending, &before, (int)ending))
		;
}

static int fail(struct worker *worker, int error)
{
	worker->error = error;
	worker_end_all(worker, WORKERS_FAILED);
	return error;
}

/* Polls until @flag of @lane, or the lane is down. Return: 0, -ETIMEDOUT, -ECANCELED, the lane's
   status. */
static int await(struct worker *worker, struct lane *lane, const bool *flag, uint64_t deadline_ns)
{
	while (!*flag) {
		if (lane->is_down)
			return lane->status ? lane->status : -ECONNRESET;
		if (worker_ending(worker) != WORKERS_GO_ON)
			return -ECANCELED;
		if (clock_now_ns(clock_system()) >= deadline_ns)
			return -ETIMEDOUT;
		worker_turn(worker, clock_after_ns(clock_now_ns(clock_system()), REST_NS));
	}
	return 0;
}

/* Asks and waits for an answer of @kind, at most @patience_ns. Return: 0; -EPROTO: another answer,
   a FAILED's text is in lane->answer; as await(). */
static int ask(struct worker *worker, struct lane *lane, const struct note *question,
	       enum note_kind kind, uint64_t patience_ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), patience_ns);
	int error = lane_ask(lane, question, deadline_ns);

	if (!error)
		error = await(worker, lane, &lane->answered, deadline_ns);
	if (!error && lane->answer.kind != kind)
		error = -EPROTO;
	return error;
}

static const char *answer_problem(const struct lane *lane, int error)
{
	if (error == -EPROTO && lane->answer.kind == NOTE_FAILED)
		return lane->answer.text;
	if (error == -ETIMEDOUT)
		return NO_ANSWER;
	return lane->is_down && *lane->why ? lane->why : error_text(error);
}

static int hello(struct worker *worker, struct lane *lane)
{
	const struct note question = { .kind = NOTE_HELLO, .address = lane->ours };
	char address[ADDRESS_TEXT_MAX], region[TERMINAL_TEXT_MAX], len[TERMINAL_TEXT_MAX];
	int error =
		ask(worker, lane, &question, NOTE_INFO, worker->common->options->connect_timeout);

	address_text(&lane->server, address);
	if (error) {
		snprintf(worker->problem, sizeof(worker->problem), "%s is no server of ours: %s",
			 address, answer_problem(lane, error));
		return fail(worker, error);
	}
	lane->info = lane->answer;
	if (lane->info.region_len < worker->common->plan->len_max) {
		snprintf(worker->problem, sizeof(worker->problem),
			 "%s offers %s of memory, which is less than a read of %s: serve with more "
			 "--region, or give a smaller --size",
			 address, text_bytes(lane->info.region_len, region),
			 text_bytes(worker->common->plan->len_max, len));
		return fail(worker, -ERANGE);
	}
	return 0;
}

/* Connection @index meets thread @index of the server, as far as it has so many. */
static void server_of(const struct worker *worker, unsigned index, struct address *out)
{
	*out = worker->common->server;
	if (worker->info.port_count > 0)
		address_set_port(out, worker->info.ports[index % worker->info.port_count]);
}

static int lane_start(struct worker *worker, struct lane *lane)
{
	const struct worker_common *common = worker->common;
	const struct setup_shape shape = {
		.listen = common->listen,
		.len_max = common->plan->len_max,
		.depth = common->plan->depth_max,
		.threads = common->plan->threads,
		.busy_poll_ns = BUSY_POLL_NS,
		.read_timeout_ns = common->options->read_timeout,
		.connect_timeout_ns = common->options->connect_timeout,
	};
	struct address server;
	uint64_t deadline_ns;
	int error = lane_open(lane, common->setup, &shape, common->plan, worker->problem);

	if (error)
		return fail(worker, error);
	worker->lanes_open++;
	snprintf(worker->transport_text, sizeof(worker->transport_text), "%s",
		 transport_text(lane->transport));
	server_of(worker, lane->index, &server);
	error = lane_connect(lane, &server, worker->problem);
	if (error)
		return fail(worker, error);
	/* the transport ends it within its time; a second more is for its own way of saying so */
	deadline_ns = clock_after_ns(clock_now_ns(clock_system()),
				     common->options->connect_timeout + NS_PER_S);
	error = await(worker, lane, &lane->is_up, deadline_ns);
	if (error) {
		trouble_connecting(&server, error, lane->why, worker->problem);
		return fail(worker, error);
	}
	return hello(worker, lane);
}

static void do_open(struct worker *worker)
{
	for (unsigned i = 0; i < worker->lane_count; i++) {
		if (lane_start(worker, &worker->lanes[i]) != 0)
			return;
		if (worker->index == 0 && i == 0)
			worker->info = worker->lanes[0].info;
	}
}

static void usage_ask(struct worker *worker, bool before)
{
	const struct note question = { .kind = NOTE_USAGE };
	struct lane *lane = &worker->lanes[0];

	if (worker->index != 0)
		return;
	worker->usage_known = (before || worker->usage_known) && !lane->is_down &&
			      ask(worker, lane, &question, NOTE_USAGE, USAGE_NS) == 0;
	if (!worker->usage_known)
		return;
	if (before)
		worker->usage_before_ns = lane->answer.cpu_ns;
	worker->server_cpu_ns = lane->answer.cpu_ns - worker->usage_before_ns;
	worker->server_clients = lane->answer.clients;
}

static int reverse_start(struct worker *worker, struct lane *lane, const struct plan_step *step)
{
	const struct note question = {
		.kind = NOTE_REVERSE,
		.region = lane->region,
		.region_len = lane->offered_len,
		.seed = lane->seed,
		.read_len = step->len,
		.depth = step->depth,
		.footprint =
			plan_footprint(worker->common->plan->footprint, step->len, step->depth),
		.verify = worker->common->plan->verify,
		.address = lane->ours,
	};
	/* its connection to us takes as long as ours to it */
	int error = ask(worker, lane, &question, NOTE_REVERSE_UP,
			worker->common->options->connect_timeout + USAGE_NS);

	if (!error)
		return 0;
	snprintf(worker->problem, sizeof(worker->problem),
		 "the server cannot read from here, as --bidirectional asks: %s",
		 answer_problem(lane, error));
	return fail(worker, error);
}

static bool is_bidirectional(const struct worker *worker)
{
	return worker->common->plan->bidirectional && worker->step->test == PLAN_BANDWIDTH;
}

static void do_prepare(struct worker *worker)
{
	usage_ask(worker, true);
	for (unsigned i = 0; is_bidirectional(worker) && i < worker->lanes_open; i++)
		if (reverse_start(worker, &worker->lanes[i], worker->step) != 0)
			return;
}

static int reverse_stop(struct worker *worker, struct lane *lane)
{
	const struct note question = { .kind = NOTE_REVERSE_STOP };
	struct worker_result *result = &worker->result;
	int error = ask(worker, lane, &question, NOTE_REVERSE_END,
			worker->common->options->read_timeout + USAGE_NS);

	if (error) {
		snprintf(worker->problem, sizeof(worker->problem),
			 "what the server read from here is not known: %s",
			 answer_problem(lane, error));
		return fail(worker, error);
	}
	result->reverse_reads += lane->answer.reads;
	result->reverse_corrupt += lane->answer.corrupt;
	if (lane->answer.elapsed_ns > 0)
		result->reverse_per_s += (double)lane->answer.reads * (double)NS_PER_S /
					 (double)lane->answer.elapsed_ns;
	return 0;
}

/* After an interruption there is no time for questions. */
static void do_finish(struct worker *worker)
{
	if (worker_ending(worker) != WORKERS_GO_ON) {
		worker->usage_known = false;
		return;
	}
	for (unsigned i = 0; is_bidirectional(worker) && i < worker->lanes_open; i++)
		if (reverse_stop(worker, &worker->lanes[i]) != 0)
			return;
	usage_ask(worker, false);
}

static void do_close(struct worker *worker)
{
	while (worker->lanes_open > 0)
		lane_close(&worker->lanes[--worker->lanes_open]);
}

static void carry_out(struct worker *worker)
{
	switch (worker->order) {
	case WORKER_OPEN:
		do_open(worker);
		break;
	case WORKER_PREPARE:
		do_prepare(worker);
		break;
	case WORKER_RUN:
		worker_run(worker, worker->step);
		break;
	case WORKER_FINISH:
		do_finish(worker);
		break;
	case WORKER_CLOSE:
		do_close(worker);
		break;
	}
}

/* Between orders its connections live on: their messages, their ends. */
static void lanes_rest(struct worker *worker)
{
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), REST_NS);

	transport_wait(worker->lanes[0].transport, until_ns);
	for (unsigned i = 1; i < worker->lanes_open; i++)
		transport_poll(worker->lanes[i].transport);
}

/* Waits for the next order. */
static void order_take(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	while (!worker->ordered) {
		if (worker->lanes_open == 0) {
			pthread_cond_wait(&worker->cond, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		lanes_rest(worker);
		pthread_mutex_lock(&worker->lock);
	}
	worker->ordered = false;
	pthread_mutex_unlock(&worker->lock);
}

static void order_finished(struct worker *worker)
{
	const uint64_t one = 1;

	atomic_fetch_sub(&worker->common->at_work, 1);
	/* an eventfd takes a write unless it holds 2^64 - 2 of them */
	CHECK(write(worker->common->finished_fd, &one, sizeof(one)) == sizeof(one));
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	enum worker_order order;

	do {
		order_take(worker);
		order = worker->order;
		carry_out(worker);
		order_finished(worker);
	} while (order != WORKER_CLOSE);
	return NULL;
}

void worker_order(struct worker *worker, enum worker_order order, const struct plan_step *step)
{
	atomic_fetch_add(&worker->common->at_work, 1);
	pthread_mutex_lock(&worker->lock);
	CHECK(!worker->ordered);
	worker->order = order;
	worker->step = step;
	worker->ordered = true;
	pthread_cond_signal(&worker->cond);
	/* Under the lock: the worker cannot close it before it has taken the order. */
	if (worker->lanes_open > 0)
		transport_wake(worker->lanes[0].transport);
	pthread_mutex_unlock(&worker->lock);
}

int worker_start(struct worker *worker, struct worker_common *common, unsigned index)
{
	const struct plan *plan = common->plan;
	char name[16];

	worker->common = common;
	worker->index = index;
	worker->lane_count = (unsigned)plan_share(plan->connections, index, plan->threads);
	samples_init(&worker->result.samples, random_seed());
	pthread_mutex_init(&worker->lock, NULL);
	thread_cond_init(&worker->cond);
	worker->lanes = calloc(worker->lane_count, sizeof(*worker->lanes));
	if (!worker->lanes) {
		snprintf(worker->problem, sizeof(worker->problem), "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < worker->lane_count; i++)
		worker->lanes[i].index = index + i * plan->threads;
	snprintf(name, sizeof(name), "bw-client-%u", index);
	if (thread_start(&worker->thread, name, worker_main, worker) != 0) {
		snprintf(worker->problem, sizeof(worker->problem),
			 "the system has no thread left: give fewer --threads");
		return -EAGAIN;
	}
	worker->started = true;
	return 0;
}

void worker_join(struct worker *worker)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	worker->started = false;
	if (!worker->common)
		return;
	samples_fini(&worker->result.samples);
	free(worker->lanes);
	worker->lanes = NULL;
	pthread_cond_destroy(&worker->cond);
	pthread_mutex_destroy(&worker->lock);
	worker->common = NULL;
}

uint64_t worker_progress(const struct worker *worker)
{
	uint64_t reads = 0;

	for (unsigned i = 0; i < worker->lane_count; i++)
		reads += pump_progress(&worker->lanes[i].pump);
	return reads;
}

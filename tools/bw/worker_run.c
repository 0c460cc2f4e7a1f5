/*
 * worker_run.c - measuring: warms up, counts, drains.
 *
 *	by time     reads go on without a pause; those that end between two moments count
 *	by number   the reads of the warm-up end first; then exactly so many are begun and
 *		    waited for
 *
 * The clock is looked at once in LOOK_TURNS turns that had something to do: on some machines that
 * costs as much as a read.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "tools/bw/worker_internal.h"

#define LOOK_TURNS     16
#define WARM_UP_NS_MAX (200 * NS_PER_MS)
#define WARM_UP_SHARE  10
#define WARM_UP_DEPTHS 2
#define WATCH_NS       (500 * NS_PER_MS) /* how long the destinations of failed reads are watched */

static bool all_idle(const struct worker *worker)
{
	for (unsigned i = 0; i < worker->lanes_open; i++)
		if (!pump_is_idle(&worker->lanes[i].pump))
			return false;
	return true;
}

static bool has_failed(const struct worker *worker)
{
	for (unsigned i = 0; i < worker->lanes_open; i++)
		if (pump_failed(&worker->lanes[i].pump) > 0)
			return true;
	return false;
}

/*
 * Turns until @until_ns, until no read is under way, until one has failed, or all are to stop.
 * Return: the time then.
 */
static uint64_t turn_until(struct worker *worker, uint64_t until_ns)
{
	unsigned turns = 0;

	for (;;) {
		int happened = worker_turn(worker, until_ns);

		if (worker_ending(worker) != WORKERS_GO_ON || has_failed(worker) ||
		    all_idle(worker))
			break;
		if (happened > 0 && ++turns % LOOK_TURNS)
			continue;
		if (clock_now_ns(clock_system()) >= until_ns)
			break;
	}
	return clock_now_ns(clock_system());
}

static void all_start(struct worker *worker, const struct plan_step *step, bool by_number)
{
	const struct plan *plan = worker->common->plan;

	for (unsigned i = 0; i < worker->lanes_open; i++) {
		struct lane *lane = &worker->lanes[i];
		const struct pump_run run = {
			.len = step->len,
			.depth = step->depth,
			.footprint = plan_footprint(plan->footprint, step->len, step->depth),
			.samples = step->test == PLAN_LATENCY ? &worker->result.samples : NULL,
		};
		uint64_t warm_up = WARM_UP_DEPTHS * (uint64_t)step->depth;
		struct pump_source source;

		lane_source(lane, plan->verify, &source);
		pump_start(&lane->pump, &source, &run, by_number ? warm_up : PUMP_UNLIMITED);
	}
}

static void all_count(struct worker *worker, const struct plan_step *step)
{
	const struct plan *plan = worker->common->plan;

	for (unsigned i = 0; i < worker->lanes_open; i++) {
		struct lane *lane = &worker->lanes[i];
		uint64_t share = plan_share(step->reads, lane->index, plan->connections);

		pump_count(&lane->pump, step->reads ? share : PUMP_UNLIMITED);
	}
}

static void all_freeze(struct worker *worker)
{
	for (unsigned i = 0; i < worker->lanes_open; i++)
		pump_freeze(&worker->lanes[i].pump);
}

/* What is in flight ends within the transport's deadlines, also of a dead server. */
static void drain(struct worker *worker)
{
	for (unsigned i = 0; i < worker->lanes_open; i++)
		pump_stop(&worker->lanes[i].pump);
	while (!all_idle(worker))
		worker_turn(worker, clock_after_ns(clock_now_ns(clock_system()), NS_PER_S));
}

static uint64_t warm_up_ns(const struct plan_step *step)
{
	uint64_t ns = step->limit_ns / WARM_UP_SHARE;

	return ns < WARM_UP_NS_MAX ? ns : WARM_UP_NS_MAX;
}

static void measure(struct worker *worker, const struct plan_step *step)
{
	struct worker_result *result = &worker->result;
	bool by_number = step->reads > 0;
	uint64_t now_ns = clock_now_ns(clock_system());

	all_start(worker, step, by_number);
	now_ns = turn_until(worker,
			    clock_after_ns(now_ns, by_number ? step->limit_ns : warm_up_ns(step)));
	result->started_ns = now_ns;
	if (worker_ending(worker) == WORKERS_GO_ON && !has_failed(worker)) {
		all_count(worker, step);
		now_ns = turn_until(worker, clock_after_ns(now_ns, step->limit_ns));
	}
	result->ended_ns = now_ns;
	result->cut_short = by_number && !all_idle(worker);
	all_freeze(worker);
	drain(worker);
}

/* After failed reads: their destinations must stay as they are, whatever still arrives. */
static void watch(struct worker *worker)
{
	struct worker_result *result = &worker->result;
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), WATCH_NS);

	while (clock_now_ns(clock_system()) < until_ns)
		worker_turn(worker, until_ns);
	for (unsigned i = 0; i < worker->lanes_open; i++) {
		unsigned changed;

		result->watched += pump_watched(&worker->lanes[i].pump, &changed);
		result->changed += changed;
	}
}

static void result_clear(struct worker_result *result)
{
	struct samples samples = result->samples;

	memset(result, 0, sizeof(*result));
	result->samples = samples;
	samples_reset(&result->samples);
}

static void trouble_note(struct worker *worker)
{
	struct lane *lane = &worker->lanes[0];

	for (unsigned i = 0; i < worker->lanes_open; i++) {
		struct lane *each = &worker->lanes[i];

		if (pump_failed(&each->pump) > 0 || each->is_down)
			lane = each;
	}
	snprintf(worker->result.why, sizeof(worker->result.why), "%s", lane->why);
	worker->error = -EIO;
	trouble_reading(&lane->server, &worker->result.pump, lane->why,
			worker->common->options->read_timeout, worker->problem);
	worker_end_all(worker, WORKERS_FAILED);
}

void worker_run(struct worker *worker, const struct plan_step *step)
{
	result_clear(&worker->result);
	measure(worker, step);
	for (unsigned i = 0; i < worker->lanes_open; i++)
		pump_result_add(&worker->result.pump, &worker->lanes[i].pump.result);
	if (!has_failed(worker))
		return;
	/* A read may end a moment before its connection says why. */
	if (worker->common->plan->verify)
		watch(worker);
	trouble_note(worker);
}

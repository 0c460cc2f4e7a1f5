/*
 * scheduler.c - two queues, one heap of timers, one budget.
 */
#include "s3/engine/scheduler.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "s3/engine/operation.h"

int scheduler_init(struct scheduler *scheduler, unsigned engine_count, unsigned connections,
		   unsigned queue_max)
{
	*scheduler = (struct scheduler){
		.engine_count = engine_count,
		.connections = connections,
		.queue_max = queue_max,
		.concurrent_max = engine_count * connections,
	};
	TAILQ_INIT(&scheduler->foreground);
	TAILQ_INIT(&scheduler->background);
	scheduler->engines = calloc(engine_count, sizeof(*scheduler->engines));
	if (!scheduler->engines)
		return -ENOMEM;
	/* what runs can all come back to wait */
	int error = timers_init(&scheduler->timers, queue_max + engine_count * connections);
	if (error) {
		free(scheduler->engines);
		scheduler->engines = NULL;
	}
	return error;
}

void scheduler_fini(struct scheduler *scheduler)
{
	CHECK(!scheduler->waiting);
	timers_fini(&scheduler->timers);
	free(scheduler->engines);
	scheduler->engines = NULL;
}

static struct request_queue *queue_of(struct scheduler *scheduler, const struct s3_request *request)
{
	return request->background ? &scheduler->background : &scheduler->foreground;
}

void scheduler_note_busy(struct scheduler *scheduler, unsigned engine, bool busy)
{
	scheduler->engines[engine].busy = busy;
}

bool scheduler_submit(struct scheduler *scheduler, struct s3_request *request)
{
	if (scheduler->waiting >= scheduler->queue_max)
		return false;
	scheduler->waiting++;
	request->own.state = REQUEST_QUEUED;
	TAILQ_INSERT_TAIL(queue_of(scheduler, request), request, own.link);
	timers_set(&scheduler->timers, &request->own.timer, request->deadline_ns);
	return true;
}

static void take_out(struct scheduler *scheduler, struct s3_request *request)
{
	if (request->own.state == REQUEST_QUEUED)
		TAILQ_REMOVE(queue_of(scheduler, request), request, own.link);
	timers_remove(&scheduler->timers, &request->own.timer);
	scheduler->waiting--;
	request->own.state = REQUEST_IDLE;
}

static unsigned connections_max(const struct scheduler *scheduler)
{
	unsigned all = scheduler->engine_count * scheduler->connections;
	return all < scheduler->concurrent_max ? all : scheduler->concurrent_max;
}

/* The first one with a connection and time to spare, else the one with the least to do. */
static unsigned choose_engine(const struct scheduler *scheduler)
{
	unsigned best = 0;

	for (unsigned i = 0; i < scheduler->engine_count; i++) {
		const struct scheduler_engine *engine = &scheduler->engines[i];
		if (!engine->busy && engine->load < scheduler->connections)
			return i;
		if (engine->load < scheduler->engines[best].load)
			best = i;
	}
	return best;
}

static struct s3_request *first_that_fits(const struct scheduler *scheduler, uint64_t now_ns)
{
	unsigned max = connections_max(scheduler);
	struct s3_request *request = TAILQ_FIRST(&scheduler->foreground);

	if (scheduler->held || scheduler->running >= max)
		return NULL;
	if (!request && max - scheduler->running > max / 8)
		request = TAILQ_FIRST(&scheduler->background);
	if (request && request->deadline_ns <= now_ns) /* scheduler_expire() will take it out */
		return NULL;
	return request;
}

static bool is_abandoned(const struct s3_request *request)
{
	return request->own.abandoned && atomic_load(request->own.abandoned);
}

/* Charges the budget. Return: 0, or the nanoseconds to wait. */
static uint64_t charge(struct scheduler *scheduler, struct s3_request *request, uint64_t now_ns)
{
	request->own.cost = 0;
	if (is_abandoned(request)) /* will not be sent */
		return 0;
	uint64_t cost = request->own.operation->cost(request);
	uint64_t wait_ns = budget_take(&scheduler->budget, cost, now_ns);
	if (!wait_ns)
		request->own.cost = cost;
	if (wait_ns && !scheduler->budget_since_ns)
		scheduler->budget_since_ns = now_ns;
	if (!wait_ns && scheduler->budget_since_ns) {
		scheduler->budget_wait_ns += now_ns - scheduler->budget_since_ns;
		scheduler->budget_since_ns = 0;
	}
	return wait_ns;
}

struct s3_request *scheduler_next(struct scheduler *scheduler, uint64_t now_ns,
				  unsigned *out_engine, uint64_t *out_wake_ns)
{
	struct s3_request *request = first_that_fits(scheduler, now_ns);
	uint64_t wait_ns = request ? charge(scheduler, request, now_ns) : 0;

	if (!request || wait_ns) {
		*out_wake_ns = request ? clock_after_ns(now_ns, wait_ns) : CLOCK_NEVER;
		return NULL;
	}
	take_out(scheduler, request);
	request->own.state = REQUEST_RUNNING;
	request->own.engine = choose_engine(scheduler);
	scheduler->engines[request->own.engine].load++;
	scheduler->running++;
	*out_engine = request->own.engine;
	return request;
}

void scheduler_release(struct scheduler *scheduler, struct s3_request *request, uint64_t received)
{
	CHECK(request->own.state == REQUEST_RUNNING);
	CHECK(scheduler->running && scheduler->engines[request->own.engine].load);
	scheduler->running--;
	scheduler->engines[request->own.engine].load--;
	budget_settle(&scheduler->budget, request->own.cost, received);
	request->own.state = REQUEST_IDLE;
}

void scheduler_pause(struct scheduler *scheduler, struct s3_request *request, uint64_t at_ns)
{
	request->own.state = REQUEST_PAUSED;
	scheduler->waiting++;
	timers_set(&scheduler->timers, &request->own.timer,
		   at_ns < request->deadline_ns ? at_ns : request->deadline_ns);
}

void scheduler_promote(struct scheduler *scheduler, struct s3_request *request)
{
	bool queued = request->own.state == REQUEST_QUEUED;

	if (!request->background)
		return;
	if (queued)
		TAILQ_REMOVE(&scheduler->background, request, own.link);
	request->background = false;
	if (queued)
		TAILQ_INSERT_TAIL(&scheduler->foreground, request, own.link);
}

struct s3_request *scheduler_expire(struct scheduler *scheduler, uint64_t now_ns)
{
	while (timers_next_ns(&scheduler->timers) <= now_ns) {
		struct s3_request *request = CONTAINER_OF(timers_first(&scheduler->timers),
							  struct s3_request, own.timer);
		if (request->deadline_ns <= now_ns) {
			take_out(scheduler, request);
			return request;
		}
		CHECK(request->own.state == REQUEST_PAUSED);
		request->own.state = REQUEST_QUEUED;
		TAILQ_INSERT_HEAD(queue_of(scheduler, request), request, own.link);
		timers_set(&scheduler->timers, &request->own.timer, request->deadline_ns);
	}
	return NULL;
}

struct s3_request *scheduler_drain(struct scheduler *scheduler)
{
	struct s3_timer *timer = timers_first(&scheduler->timers);
	if (!timer)
		return NULL;
	struct s3_request *request = CONTAINER_OF(timer, struct s3_request, own.timer);
	take_out(scheduler, request);
	return request;
}

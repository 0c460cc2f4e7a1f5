/*
 * client.c - the door of the room: requests go in through the scheduler and come out through
 * done(). One lock covers the scheduler, the inboxes and the phase; it is held for a few pointer
 * operations and never while a callback runs.
 */
#include "s3/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "s3/credentials/credentials.h"
#include "s3/engine/operation.h"
#include "s3/engine/transport.h"
#include "s3/get_chain.h"

/* What a connection holds beside curl's receive buffer: handle, TLS, texts, error document. */
#define CONNECTION_OVERHEAD ((uint64_t)96 << 10)

static const struct counter_spec counter_specs[S3_COUNTER_COUNT] = {
	[S3_GETS] = { "s3_gets", COUNTER_TOTAL, "requests", "GET attempts sent" },
	[S3_GET_BYTES] = { "s3_get_bytes", COUNTER_TOTAL, "bytes", "body bytes received by GETs" },
	[S3_HEADS] = { "s3_heads", COUNTER_TOTAL, "requests", "HEAD attempts sent" },
	[S3_LISTS] = { "s3_lists", COUNTER_TOTAL, "requests", "ListObjectsV2 attempts sent" },
	[S3_RETRIES] = { "s3_retries", COUNTER_TOTAL, "requests", "attempts that were repeated" },
	[S3_THROTTLED] = { "s3_throttled", COUNTER_TOTAL, "requests",
			   "answers asking for less (503, 429, SlowDown)" },
	[S3_ERRORS] = { "s3_errors", COUNTER_TOTAL, "requests",
			"requests that failed, not counting absent keys" },
	[S3_DEADLINES] = { "s3_deadlines", COUNTER_TOTAL, "requests",
			   "of them, those that ran out of time" },
	[S3_CONNECTS] = { "s3_connects", COUNTER_TOTAL, "connections", "connections opened" },
	[S3_IN_FLIGHT] = { "s3_in_flight", COUNTER_GAUGE, "requests", "requests being served" },
	[S3_QUEUED] = { "s3_queued", COUNTER_GAUGE, "requests",
			"requests waiting for a connection, the budget or a retry" },
	[S3_BUDGET_WAIT_NS] = { "s3_budget_wait_ns", COUNTER_TOTAL, "ns",
				"time in which the budget held up the queue" },
	[S3_CREDENTIAL_REFRESHES] = { "s3_credential_refreshes", COUNTER_TOTAL, "",
				      "times credentials were obtained" },
};

static void rouse(struct engine *engine)
{
	if (!engine->sleeping)
		return;
	engine->sleeping = false;
	engine_wake(engine);
}

/* Hands out what may run. The lock is held. */
static void pump(struct s3_client *client)
{
	uint64_t now_ns = clock_now_ns(client->clock);
	uint64_t wake_ns = CLOCK_NEVER;
	struct s3_request *request;
	unsigned index;

	while (!client->stopping &&
	       (request = scheduler_next(&client->scheduler, now_ns, &index, &wake_ns))) {
		TAILQ_INSERT_TAIL(&client->engines[index].inbox, request, own.link);
		rouse(&client->engines[index]);
	}
	uint64_t timer_ns = timers_next_ns(&client->scheduler.timers);
	client->scheduler_ns = wake_ns < timer_ns ? wake_ns : timer_ns;
	if (client->scheduler_ns < client->sleep_ns || client->stopping)
		rouse(&client->engines[0]);
	counter_set(&client->counters, S3_QUEUED, client->scheduler.waiting);
	counter_set(&client->counters, S3_IN_FLIGHT, client->scheduler.running);
	counter_set(&client->counters, S3_BUDGET_WAIT_NS, client->scheduler.budget_wait_ns);
}

void client_submit(struct s3_client *client, struct s3_request *request,
		   const struct s3_operation *operation)
{
	const _Atomic bool *abandoned = request->own.abandoned;

	memset(&request->own, 0, sizeof(request->own));
	request->own.operation = operation;
	request->own.abandoned = abandoned;
	request->own.started_ns = clock_now_ns(client->clock);
	request->status = 0;
	request->problem[0] = 0;
	pthread_mutex_lock(&client->lock);
	if (!scheduler_submit(&client->scheduler, request)) {
		request->status = -EAGAIN;
		snprintf(request->problem, S3_PROBLEM_MAX, "%u requests are waiting (queue_max)",
			 client->scheduler.waiting);
		TAILQ_INSERT_TAIL(&client->never, request, own.link);
		rouse(&client->engines[0]);
	}
	pump(client);
	pthread_mutex_unlock(&client->lock);
}

void s3_get_promote(struct s3_client *client, struct s3_get *get)
{
	struct s3_request *request = &get_chain_carrier(get)->request;

	pthread_mutex_lock(&client->lock);
	scheduler_promote(&client->scheduler, request);
	pump(client);
	pthread_mutex_unlock(&client->lock);
}

/* The request's last moment with us. No lock is held. */
static void finish(struct s3_client *client, struct s3_request *request, int status)
{
	size_t len = strlen(request->problem);

	request->status = status;
	if (!status)
		request->problem[0] = 0;
	else if (request->own.attempts > 1)
		snprintf(request->problem + len, S3_PROBLEM_MAX - len, " after %u attempts",
			 request->own.attempts);
	bool abandoned = status == -ECANCELED && request->own.abandoned;
	if (status && status != -ENOENT && !abandoned)
		counter_add(&client->counters, S3_ERRORS, 1);
	if (status == -ETIMEDOUT)
		counter_add(&client->counters, S3_DEADLINES, 1);
	if (!status && request->own.operation == &get_operation)
		histogram_record(&client->latency,
				 clock_now_ns(client->clock) - request->own.started_ns);
	request->own.operation->done(request);
}

void client_end(struct s3_client *client, struct s3_request *request, uint64_t received, int status)
{
	pthread_mutex_lock(&client->lock);
	scheduler_release(&client->scheduler, request, received);
	pump(client);
	pthread_mutex_unlock(&client->lock);
	finish(client, request, status);
}

void client_pause(struct s3_client *client, struct s3_request *request, uint64_t received,
		  uint64_t at_ns)
{
	pthread_mutex_lock(&client->lock);
	scheduler_release(&client->scheduler, request, received);
	scheduler_pause(&client->scheduler, request, at_ns);
	pump(client);
	pthread_mutex_unlock(&client->lock);
}

/* What a request whose deadline passed in the queue was waiting for, unless it has failed before.
 */
static void explain_overdue(struct s3_client *client, struct s3_request *request)
{
	struct credentials *credentials = NULL;
	char problem[CREDENTIALS_PROBLEM_MAX];

	request->status = -ETIMEDOUT;
	if (request->problem[0])
		return;
	if (credentials_provider_current(client->credentials, &credentials, problem,
					 sizeof(problem)) == CREDENTIALS_PENDING)
		snprintf(request->problem, S3_PROBLEM_MAX, "no credentials: %s", problem);
	else
		snprintf(request->problem, S3_PROBLEM_MAX,
			 "deadline passed while waiting for a connection or the request budget");
	credentials_put(credentials);
}

/* Engine 0: ends what waits for nothing any more. The lock is held. */
static void collect_never(struct s3_client *client, struct request_queue *out)
{
	uint64_t now_ns = clock_now_ns(client->clock);
	struct s3_request *request;

	while ((request = scheduler_expire(&client->scheduler, now_ns))) {
		explain_overdue(client, request);
		TAILQ_INSERT_TAIL(&client->never, request, own.link);
	}
	while (client->stopping && (request = scheduler_drain(&client->scheduler))) {
		request->status = -ECANCELED;
		snprintf(request->problem, S3_PROBLEM_MAX, "the client is being stopped");
		TAILQ_INSERT_TAIL(&client->never, request, own.link);
	}
	TAILQ_CONCAT(out, &client->never, own.link);
}

static enum client_phase phase_of(struct s3_client *client, const struct engine *engine,
				  bool has_work)
{
	if (!client->stopping)
		return CLIENT_RUNNING;
	if (has_work || !TAILQ_EMPTY(&engine->busy))
		return CLIENT_STOPPING;
	if (engine->index == 0 && client->engines_alive > 1)
		return CLIENT_STOPPING;
	client->engines_alive--;
	rouse(&client->engines[0]);
	return CLIENT_ENDED;
}

enum client_phase client_collect(struct s3_client *client, struct engine *engine,
				 struct request_queue *out)
{
	struct request_queue never = TAILQ_HEAD_INITIALIZER(never);
	struct s3_request *request;

	pthread_mutex_lock(&client->lock);
	engine->sleeping = false;
	scheduler_note_busy(&client->scheduler, engine->index, engine->busy_time.busy);
	if (engine->index == 0)
		collect_never(client, &never);
	pump(client);
	TAILQ_CONCAT(out, &engine->inbox, own.link);
	enum client_phase phase =
		phase_of(client, engine, !TAILQ_EMPTY(out) || !TAILQ_EMPTY(&never));
	pthread_mutex_unlock(&client->lock);

	while ((request = TAILQ_FIRST(&never))) {
		TAILQ_REMOVE(&never, request, own.link);
		finish(client, request, request->status);
	}
	return phase;
}

uint64_t client_sleep(struct s3_client *client, struct engine *engine, uint64_t until_ns)
{
	pthread_mutex_lock(&client->lock);
	bool work = !TAILQ_EMPTY(&engine->inbox);
	if (engine->index == 0) {
		work = work || !TAILQ_EMPTY(&client->never);
		if (client->scheduler_ns < until_ns)
			until_ns = client->scheduler_ns;
		client->sleep_ns = until_ns;
	}
	if (client->stopping &&
	    (engine->index != 0 || client->engines_alive == 1 || client->scheduler.waiting))
		work = true;
	if (work)
		until_ns = 0;
	else
		engine->sleeping = true;
	pthread_mutex_unlock(&client->lock);
	return until_ns;
}

int64_t client_wall_s(const struct s3_client *client)
{
	int64_t wall_s = clock_wall_ns(client->clock) / (int64_t)NS_PER_S;
	return wall_s + atomic_load_explicit(&client->skew_s, memory_order_relaxed);
}

void client_correct_clock(struct s3_client *client, int64_t date_s)
{
	int64_t skew_s = date_s - clock_wall_ns(client->clock) / (int64_t)NS_PER_S;

	atomic_store_explicit(&client->skew_s, skew_s, memory_order_relaxed);
	log_warning("s3.clock", "client=%s skew_s=%lld action=\"signing with the service's time\"",
		    client->name, (long long)skew_s);
}

static void on_credentials(void *context)
{
	struct s3_client *client = context;
	struct credentials *credentials = NULL;
	enum credentials_state state =
		credentials_provider_current(client->credentials, &credentials, NULL, 0);

	credentials_put(credentials);
	counter_set(&client->counters, S3_CREDENTIAL_REFRESHES,
		    credentials_provider_refreshes(client->credentials));
	pthread_mutex_lock(&client->lock);
	client->scheduler.held = state == CREDENTIALS_PENDING;
	pump(client);
	pthread_mutex_unlock(&client->lock);
}

static int check_config(const struct s3_config *config, struct endpoint *out_endpoint,
			char *problem, size_t problem_size)
{
	if (!config->endpoint || !config->endpoint[0]) {
		snprintf(problem, problem_size,
			 "endpoint is not set; it must look like http://host:port or https://host");
		return -EINVAL;
	}
	int error = endpoint_parse(config->endpoint, out_endpoint, problem, problem_size);
	if (error)
		return error;
	if (config->addressing == S3_ADDRESSING_VIRTUAL && out_endpoint->numeric) {
		snprintf(problem, problem_size,
			 "addressing = \"virtual\" needs a host name in endpoint '%s', not an "
			 "address",
			 config->endpoint);
		return -EINVAL;
	}
	if (config->ca_file && access(config->ca_file, R_OK)) {
		snprintf(problem, problem_size, "cannot read ca_file '%s': %s", config->ca_file,
			 strerror(errno));
		return -EINVAL;
	}
	return 0;
}

static void apply_live(struct s3_client *client, const struct s3_config *config)
{
	budget_set(&client->scheduler.budget, (uint64_t)config->requests_per_second,
		   config->bytes_per_second, clock_now_ns(client->clock));
	client->scheduler.concurrent_max = (unsigned)config->concurrent_max;
}

static void fini_engines(struct s3_client *client)
{
	for (unsigned i = 0; i < client->engine_count; i++)
		engine_fini(&client->engines[i]);
	free(client->engines);
}

static int init_engines(struct s3_client *client)
{
	unsigned count = (unsigned)client->config->threads;

	client->engines = calloc(count, sizeof(*client->engines));
	if (!client->engines)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int error = engine_init(&client->engines[i], client, i);
		if (error) {
			fini_engines(client);
			return error;
		}
		client->engine_count++;
	}
	return 0;
}

static int init_scheduler(struct s3_client *client)
{
	const struct s3_config *config = client->config;
	int error = scheduler_init(&client->scheduler, client->engine_count,
				   (unsigned)config->connections, (unsigned)config->queue_max);
	if (error)
		return error;
	client->scheduler.held = true; /* until the provider has spoken */
	apply_live(client, config);
	return 0;
}

/* Ends the threads of the first @count engines. */
static void stop_engines(struct s3_client *client, unsigned count)
{
	pthread_mutex_lock(&client->lock);
	client->stopping = true;
	client->engines_alive = count;
	for (unsigned i = 0; i < count; i++)
		rouse(&client->engines[i]);
	pthread_mutex_unlock(&client->lock);
	for (unsigned i = 0; i < count; i++)
		pthread_join(client->engines[i].thread, NULL);
}

static int start_engines(struct s3_client *client)
{
	for (unsigned i = 0; i < client->engine_count; i++) {
		int error = engine_start(&client->engines[i]);
		if (error) {
			stop_engines(client, i);
			return error;
		}
	}
	client->engines_alive = client->engine_count;
	return 0;
}

/* Everything but the threads. */
static int init(struct s3_client *client, char *problem, size_t problem_size)
{
	int error = check_config(client->config, &client->endpoint, problem, problem_size);
	if (error)
		return error;
	snprintf(problem, problem_size, "out of memory or descriptors for an S3 client");
	error = counters_init(&client->counters, "s3", counter_specs, S3_COUNTER_COUNT);
	if (error)
		return error;
	error = init_engines(client);
	if (error)
		goto fini_counters;
	error = init_scheduler(client);
	if (error)
		goto fini_engines;
	error = credentials_provider_create(client->config, client->name, client->clock,
					    on_credentials, client, &client->credentials, problem,
					    problem_size);
	if (error)
		goto fini_scheduler;
	on_credentials(client);
	return 0;

fini_scheduler:
	scheduler_fini(&client->scheduler);
fini_engines:
	fini_engines(client);
fini_counters:
	counters_fini(&client->counters);
	return error;
}

static void fini(struct s3_client *client)
{
	credentials_provider_destroy(client->credentials);
	scheduler_fini(&client->scheduler);
	fini_engines(client);
	counters_fini(&client->counters);
}

static void release(struct s3_client *client)
{
	pthread_mutex_destroy(&client->lock);
	free(client);
}

int s3_client_create(const char *name, const struct s3_config *config, const struct clock *clock,
		     struct s3_client **out_client, char *problem, size_t problem_size)
{
	struct s3_client *client = calloc(1, sizeof(*client));
	if (!client) {
		snprintf(problem, problem_size, "out of memory for an S3 client");
		return -ENOMEM;
	}
	transport_global_init();
	snprintf(client->name, sizeof(client->name), "%s", name);
	client->config = config;
	client->clock = clock;
	pthread_mutex_init(&client->lock, NULL);
	TAILQ_INIT(&client->never);
	client->scheduler_ns = client->sleep_ns = CLOCK_NEVER;
	int error = init(client, problem, problem_size);
	if (error)
		goto release;
	error = start_engines(client);
	if (error) {
		snprintf(problem, problem_size, "cannot start a thread for S3");
		goto fini;
	}
	*out_client = client;
	return 0;

fini:
	fini(client);
release:
	release(client);
	return error;
}

void s3_client_destroy(struct s3_client *client)
{
	if (!client)
		return;
	stop_engines(client, client->engine_count);
	fini(client);
	release(client);
}

void s3_client_reload(struct s3_client *client, const struct s3_config *config)
{
	pthread_mutex_lock(&client->lock);
	apply_live(client, config);
	pump(client);
	pthread_mutex_unlock(&client->lock);
}

const struct counters *s3_client_counters(const struct s3_client *client)
{
	return &client->counters;
}

const struct histogram *s3_client_latency(const struct s3_client *client)
{
	return &client->latency;
}

uint64_t s3_config_memory_max(const struct s3_config *config)
{
	uint64_t connections = (uint64_t)config->threads * (uint64_t)config->connections;
	return connections * (config->buffer_len + CONNECTION_OVERHEAD);
}

void s3_client_identity(struct s3_client *client, char *out, size_t out_size)
{
	credentials_provider_identity(client->credentials, out, out_size);
}

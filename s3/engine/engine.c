/*
 * engine.c - see engine.h.
 */
#include "s3/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "s3/client.h"
#include "s3/credentials/credentials.h"
#include "s3/engine/operation.h"
#include "s3/engine/retry.h"

/* How long the source of credentials is given before a request tries again. */
#define RENEWAL_PAUSE_NS (200 * NS_PER_MS)
/* A thread is busy when it computes this much of its time, and is not any more below the other. */
#define BUSY_WINDOW_NS	    (20 * NS_PER_MS)
#define BUSY_PERCENT	    85
#define RELAXED_PERCENT	    70
#define STALL_DOUBLINGS_MAX 5

/* The engine whose thread this is. */
static _Thread_local const struct engine *own_engine;

static uint64_t now_of(const struct engine *engine)
{
	return clock_now_ns(engine->client->clock);
}

static void detach(struct engine *engine, struct attempt *attempt)
{
	timers_remove(&engine->timers, &attempt->timer);
	TAILQ_REMOVE(&engine->busy, attempt, link);
	attempt_release(attempt);
	TAILQ_INSERT_HEAD(&engine->idle, attempt, link); /* the warmest is used first */
}

static bool try_again(struct engine *engine, struct s3_request *request, struct status verdict,
		      uint64_t received, uint64_t *out_at_ns)
{
	struct s3_client *client = engine->client;

	switch (verdict.class) {
	case STATUS_RETRY:
		if (received && !verdict.throttled) /* it moves: start over with short pauses */
			request->own.retry_step = 0;
		return retry_at(now_of(engine), client->config->retry_scale,
				request->own.retry_step++, request->deadline_ns, &engine->random,
				out_at_ns);
	case STATUS_SKEWED: /* what was wrong has been put right: at once */
		*out_at_ns = now_of(engine);
		return true;
	case STATUS_EXPIRED: /* is being put right */
		*out_at_ns = clock_after_ns(now_of(engine), RENEWAL_PAUSE_NS);
		return true;
	case STATUS_DONE:
	case STATUS_FINAL:
		break;
	}
	return false;
}

/* Puts right what can be put right once; otherwise the answer is final. */
static void repair(struct attempt *attempt, struct status *verdict)
{
	struct s3_client *client = attempt->engine->client;
	struct s3_request *request = attempt->request;
	bool repaired = false;

	if (verdict->class == STATUS_SKEWED && !request->own.skew_corrected &&
	    attempt->response.has_date) {
		request->own.skew_corrected = true;
		client_correct_clock(client, attempt->response.date_s);
		repaired = true;
	} else if (verdict->class == STATUS_EXPIRED && !request->own.credentials_refreshed) {
		request->own.credentials_refreshed = true;
		repaired = credentials_provider_expired(client->credentials,
							attempt->credentials->generation,
							attempt->error_len != 0);
	} else if (verdict->class != STATUS_SKEWED && verdict->class != STATUS_EXPIRED) {
		return;
	}
	if (!repaired)
		verdict->class = STATUS_FINAL;
}

/* The attempt has been judged: the request ends, or goes back to wait. */
static void settle(struct engine *engine, struct attempt *attempt)
{
	struct s3_client *client = engine->client;
	struct s3_request *request = attempt->request;
	uint64_t received = attempt->received, at_ns = 0;

	repair(attempt, &attempt->verdict);
	struct status verdict = attempt->verdict;
	detach(engine, attempt);
	if (verdict.throttled)
		counter_add(&client->counters, S3_THROTTLED, 1);
	if (try_again(engine, request, verdict, received, &at_ns)) {
		counter_add(&client->counters, S3_RETRIES, 1);
		log_info("s3.retry", "client=%s bucket=%s key=\"%s\" attempt=%u problem=\"%s\"",
			 client->name, request->bucket, request->key ? request->key : "",
			 request->own.attempts, request->problem);
		client_pause(client, request, received, at_ns);
		return;
	}
	client_end(client, request, received,
		   verdict.class == STATUS_RETRY ? -ETIMEDOUT : verdict.error);
}

static void count_attempt(struct engine *engine, struct attempt *attempt)
{
	struct counters *counters = &engine->client->counters;
	long connects = 0;

	curl_easy_getinfo(attempt->easy, CURLINFO_NUM_CONNECTS, &connects);
	counter_add(counters, S3_CONNECTS, connects > 0 ? (uint64_t)connects : 0);
	if (attempt->request->own.operation == &get_operation)
		counter_add(counters, S3_GET_BYTES, attempt->received);
}

/* Takes an attempt back from curl, finished or not. A connection in mid-answer is closed by that.
 */
static void conclude(struct engine *engine, struct attempt *attempt, CURLcode code)
{
	CHECK(!curl_multi_remove_handle(engine->reactor.multi, attempt->easy));
	count_attempt(engine, attempt);
	attempt_conclude(attempt, code);
	settle(engine, attempt);
}

/* How long this attempt may be without a byte: twice as long as the one before that stalled, or a
 * service that is slower than stall_timeout would be asked again and again and never be heard. */
static uint64_t patience_ns(const struct engine *engine, const struct attempt *attempt)
{
	unsigned doublings = attempt->request->own.stalls;

	if (doublings > STALL_DOUBLINGS_MAX)
		doublings = STALL_DOUBLINGS_MAX;
	return engine->client->config->stall_timeout << doublings;
}

static uint64_t next_look_ns(const struct engine *engine, const struct attempt *attempt)
{
	uint64_t stalled_ns = clock_after_ns(attempt->last_byte_ns, patience_ns(engine, attempt));

	return stalled_ns < attempt->request->deadline_ns ? stalled_ns
							  : attempt->request->deadline_ns;
}

static void start(struct engine *engine, struct s3_request *request)
{
	struct attempt *attempt = TAILQ_FIRST(&engine->idle);

	CHECK(attempt); /* the scheduler counts them */
	TAILQ_REMOVE(&engine->idle, attempt, link);
	TAILQ_INSERT_TAIL(&engine->busy, attempt, link);
	attempt_prepare(attempt, request);
	if (!attempt->judged && curl_multi_add_handle(engine->reactor.multi, attempt->easy))
		attempt_judge(attempt, STATUS_FINAL, -ENOMEM, "out of memory for a request");
	if (attempt->judged) {
		settle(engine, attempt);
		return;
	}
	request->own.attempts++;
	counter_add(&engine->client->counters, request->own.operation->counter, 1);
	timers_set(&engine->timers, &attempt->timer, next_look_ns(engine, attempt));
}

/* What earlier attempts met says more than that the last one had no time left. */
static void judge_too_late(struct attempt *attempt, bool answered)
{
	const struct s3_request *request = attempt->request;
	char before[S3_PROBLEM_MAX];

	if (answered) {
		attempt_judge(attempt, STATUS_FINAL, -ETIMEDOUT,
			      "deadline passed in the middle of the answer from %s",
			      text_get(&attempt->authority));
	} else if (request->own.attempts > 1) {
		snprintf(before, sizeof(before), "%s", request->problem);
		attempt_judge(attempt, STATUS_FINAL, -ETIMEDOUT,
			      "%s, then no answer before the deadline", before);
	} else {
		attempt_judge(attempt, STATUS_FINAL, -ETIMEDOUT,
			      "no answer from %s before the deadline",
			      text_get(&attempt->authority));
	}
}

static void judge_late(struct engine *engine, struct attempt *attempt, uint64_t now_ns)
{
	const char *authority = text_get(&attempt->authority);
	bool answered = attempt->response.http_status != 0;

	if (attempt->request->deadline_ns <= now_ns) {
		judge_too_late(attempt, answered);
		return;
	}
	attempt_judge(attempt, STATUS_RETRY, -ETIMEDOUT,
		      answered ? "%s stopped sending for %.1f s" : "no answer from %s for %.1f s",
		      authority, (double)patience_ns(engine, attempt) / NS_PER_S);
	attempt->request->own.stalls = attempt->received ? 0 : attempt->request->own.stalls + 1;
}

static void look_after_late(struct engine *engine)
{
	uint64_t now_ns = now_of(engine);

	while (timers_next_ns(&engine->timers) <= now_ns) {
		struct attempt *attempt =
			CONTAINER_OF(timers_first(&engine->timers), struct attempt, timer);
		uint64_t look_ns = next_look_ns(engine, attempt); /* bytes have come meanwhile */
		if (look_ns > now_ns) {
			timers_set(&engine->timers, &attempt->timer, look_ns);
			continue;
		}
		judge_late(engine, attempt, now_ns);
		conclude(engine, attempt, CURLE_OPERATION_TIMEDOUT);
	}
}

static void collect_ended(struct engine *engine)
{
	int left;
	CURLMsg *message;

	while ((message = curl_multi_info_read(engine->reactor.multi, &left))) {
		struct attempt *attempt;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		CHECK(!curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &attempt));
		conclude(engine, attempt, code);
	}
}

static void start_all(struct engine *engine, struct request_queue *queue)
{
	struct s3_request *request;

	while ((request = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, request, own.link);
		start(engine, request);
	}
}

static void cancel_all(struct engine *engine, struct request_queue *queue)
{
	struct s3_request *request;
	struct attempt *attempt;

	while ((request = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, request, own.link);
		snprintf(request->problem, S3_PROBLEM_MAX, "the client is being stopped");
		client_end(engine->client, request, 0, -ECANCELED);
	}
	while ((attempt = TAILQ_FIRST(&engine->busy))) {
		attempt_judge(attempt, STATUS_FINAL, -ECANCELED, "the client is being stopped");
		conclude(engine, attempt, CURLE_ABORTED_BY_CALLBACK);
	}
}

/* CPU time, not wall time: where the machine has no core to spare, more threads do not help. */
static void measure_busy(struct engine *engine)
{
	struct busy_time *time = &engine->busy_time;
	uint64_t wall_ns = now_of(engine) - time->since_ns;
	struct timespec cpu;

	if (wall_ns < BUSY_WINDOW_NS)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	uint64_t cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
	uint64_t limit = time->busy ? RELAXED_PERCENT : BUSY_PERCENT;
	time->busy = cpu_ns - time->cpu_ns >= wall_ns / 100 * limit;
	time->since_ns += wall_ns;
	time->cpu_ns = cpu_ns;
}

static void *engine_main(void *argument)
{
	struct engine *engine = argument;
	struct request_queue assigned = TAILQ_HEAD_INITIALIZER(assigned);

	own_engine = engine;
	for (;;) {
		measure_busy(engine);
		enum client_phase phase = client_collect(engine->client, engine, &assigned);
		if (phase == CLIENT_RUNNING)
			start_all(engine, &assigned);
		else
			cancel_all(engine, &assigned);
		if (phase == CLIENT_ENDED)
			break;
		uint64_t until_ns =
			client_sleep(engine->client, engine, timers_next_ns(&engine->timers));
		reactor_run(&engine->reactor, until_ns);
		collect_ended(engine);
		look_after_late(engine);
	}
	return NULL;
}

static int init_attempts(struct engine *engine, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int error = attempt_init(&engine->attempts[i], engine);
		if (error)
			return error;
		TAILQ_INSERT_TAIL(&engine->idle, &engine->attempts[i], link);
	}
	return 0;
}

static void fini_attempts(struct engine *engine)
{
	struct attempt *attempt;

	CHECK(TAILQ_EMPTY(&engine->busy));
	while ((attempt = TAILQ_FIRST(&engine->idle))) {
		TAILQ_REMOVE(&engine->idle, attempt, link);
		attempt_fini(attempt);
	}
	free(engine->attempts);
}

int engine_init(struct engine *engine, struct s3_client *client, unsigned index)
{
	unsigned count = (unsigned)client->config->connections;
	int error;

	*engine = (struct engine){ .client = client, .index = index };
	TAILQ_INIT(&engine->idle);
	TAILQ_INIT(&engine->busy);
	TAILQ_INIT(&engine->inbox);
	random_init(&engine->random, random_seed());
	engine->scope.region = client->config->region;
	engine->scope.service = "s3";
	error = reactor_init(&engine->reactor, client->clock, (long)count);
	if (error)
		return error;
	error = timers_init(&engine->timers, count);
	if (error)
		goto fini_reactor;
	engine->attempts = calloc(count, sizeof(*engine->attempts));
	error = engine->attempts ? init_attempts(engine, count) : -ENOMEM;
	if (error)
		goto fini_attempts;
	return 0;

fini_attempts:
	fini_attempts(engine);
	timers_fini(&engine->timers);
fini_reactor:
	reactor_fini(&engine->reactor);
	return error;
}

void engine_fini(struct engine *engine)
{
	CHECK(TAILQ_EMPTY(&engine->inbox));
	fini_attempts(engine);
	timers_fini(&engine->timers);
	reactor_fini(&engine->reactor);
	explicit_bzero(&engine->scope, sizeof(engine->scope));
}

int engine_start(struct engine *engine)
{
	char name[32];
	snprintf(name, sizeof(name), "s3-%.9s-%u", engine->client->name, engine->index);
	return thread_start(&engine->thread, name, engine_main, engine);
}

void engine_wake(struct engine *engine)
{
	if (engine != own_engine) /* its round is on its way to the inbox */
		reactor_wake(&engine->reactor);
}

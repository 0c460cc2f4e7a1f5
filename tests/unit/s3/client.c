/*
 * Tests of a client as a whole: many requests, order, limits, creation and end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/s3/support/fixture.h"
#include "tests/unit/s3/support/object.h"

static struct s3_get make_get(struct fixture *fixture, char *dst, uint64_t off, size_t len,
			      void (*done)(struct s3_get *))
{
	return (struct s3_get){ .request = { .bucket = "bucket",
					     .key = "key",
					     .deadline_ns = fixture_deadline(60000),
					     .context = fixture },
				.off = off,
				.len = len,
				.dst = dst,
				.done = done };
}

static void count_done(struct s3_get *get)
{
	fixture_count_done(get->request.context);
}

static void test_s3_get__two_hundred_at_once__all_are_right(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = {
		{ ACT_ERROR, 503, "SlowDown", 0 },   { .act = ACT_TRUNCATE, .part = 10 },
		{ .act = ACT_RESET, .part = 1 },     { .act = ACT_SERVE },
		{ ACT_ERROR, 500, NULL, 0 },	     { .act = ACT_CLOSE },
		{ .act = ACT_TRUNCATE, .part = 99 }, { .act = ACT_SERVE },
	};
	enum { COUNT = 200, LEN = 20000 };
	static struct s3_get gets[COUNT];
	static struct object object;
	unsigned descriptors = open_descriptors();
	char *memory = malloc((size_t)COUNT * LEN);
	struct fixture fixture;

	(void)state;
	CHECK(memory);
	object_init(&object, steps);
	fixture_init(&fixture, object_serve, &object);
	fixture_start(&fixture);
	for (int i = 0; i < COUNT; i++) {
		gets[i] = make_get(&fixture, memory + (size_t)i * LEN, (uint64_t)i * 1000, LEN,
				   count_done);
		gets[i].request.background = i % 3 == 0;
		s3_get(fixture.client, &gets[i]);
	}
	fixture_wait_done(&fixture, COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(gets[i].request.status, 0);
		object_check(gets[i].dst, gets[i].off, LEN);
	}
	assert_int_equal(fixture_counter(&fixture, S3_IN_FLIGHT), 0);
	assert_int_equal(fixture_counter(&fixture, S3_QUEUED), 0);
	assert_true(fixture_counter(&fixture, S3_CONNECTS) <= 32 + 6);
	assert_int_equal(s3_client_latency(fixture.client)->count, COUNT);
	fixture_fini(&fixture);
	object_fini(&object);
	free(memory);
	assert_int_equal(open_descriptors(), descriptors);
}

/* A server that lets one request through for each permit. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned permits;
	unsigned arrived;
	uint64_t order[64]; /* first byte asked for */
};

static struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, { 0 } };

static void serve_gated(struct http_exchange *exchange, void *context)
{
	uint64_t first, last;

	(void)context;
	CHECK(http_range(exchange, &first, &last));
	pthread_mutex_lock(&gate.lock);
	CHECK(gate.arrived < ARRAY_COUNT(gate.order));
	gate.order[gate.arrived++] = first;
	while (!gate.permits)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.permits--;
	pthread_mutex_unlock(&gate.lock);
	object_answer(exchange);
}

static void gate_reset(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.permits = gate.arrived = 0;
	pthread_mutex_unlock(&gate.lock);
}

static void gate_permit(unsigned count)
{
	pthread_mutex_lock(&gate.lock);
	gate.permits += count;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void test_s3_get__background_is_waiting__foreground_overtakes(void **state)
{
	static const uint64_t wanted[] = { 0, 30, 40, 10, 20 };
	char dst[5][10];
	struct s3_get gets[5];
	struct fixture fixture;

	(void)state;
	gate_reset();
	fixture_init(&fixture, serve_gated, NULL);
	fixture.config.threads = fixture.config.connections = 1;
	fixture.config.stall_timeout = FIXTURE_WAIT_S * NS_PER_S;
	fixture_start(&fixture);
	for (unsigned i = 0; i < 5; i++) {
		gets[i] = make_get(&fixture, dst[i], UINT64_C(10) * i, 10, count_done);
		gets[i].request.background = i == 1 || i == 2;
		s3_get(fixture.client, &gets[i]);
		if (i == 0)
			fixture_wait_requests(&fixture, 1);
	}
	gate_permit(5);
	fixture_wait_done(&fixture, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(gate.order[i], wanted[i]);
	fixture_fini(&fixture);
}

static void test_s3_get_promote__a_queued_background_get__goes_before_the_others(void **state)
{
	static const uint64_t wanted[] = { 0, 30, 10, 20 };
	char dst[4][10];
	struct s3_get gets[4];
	struct fixture fixture;

	(void)state;
	gate_reset();
	fixture_init(&fixture, serve_gated, NULL);
	fixture.config.threads = fixture.config.connections = 1;
	fixture.config.stall_timeout = FIXTURE_WAIT_S * NS_PER_S;
	fixture_start(&fixture);
	for (unsigned i = 0; i < 4; i++) {
		gets[i] = make_get(&fixture, dst[i], UINT64_C(10) * i, 10, count_done);
		gets[i].request.background = i > 0;
		s3_get(fixture.client, &gets[i]);
		if (i == 0)
			fixture_wait_requests(&fixture, 1);
	}
	s3_get_promote(fixture.client, &gets[3]);
	s3_get_promote(fixture.client, &gets[0]); /* in the foreground, and running */
	gate_permit(4);
	fixture_wait_done(&fixture, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(gate.order[i], wanted[i]);
	fixture_fini(&fixture);
}

static void test_s3_get__queue_is_full__ends_with_eagain(void **state)
{
	enum { MAX = 16, COUNT = 1 + MAX + 3 };
	char dst[COUNT][10];
	struct s3_get gets[COUNT];
	struct fixture fixture;
	unsigned refused = 0;

	(void)state;
	gate_reset();
	fixture_init(&fixture, serve_gated, NULL);
	fixture.config.threads = fixture.config.connections = 1;
	fixture.config.queue_max = MAX;
	fixture.config.stall_timeout = FIXTURE_WAIT_S * NS_PER_S;
	fixture_start(&fixture);
	for (unsigned i = 0; i < COUNT; i++) {
		gets[i] = make_get(&fixture, dst[i], 10, 10, count_done);
		s3_get(fixture.client, &gets[i]);
		if (i == 0)
			fixture_wait_requests(&fixture, 1);
	}
	fixture_wait_done(&fixture, 3);
	for (unsigned i = 0; i < COUNT; i++)
		refused += gets[i].request.status == -EAGAIN;
	assert_int_equal(refused, 3);
	assert_non_null(strstr(gets[COUNT - 1].request.problem, "queue_max"));
	assert_int_equal(fixture_counter(&fixture, S3_QUEUED), MAX);
	gate_permit(1);
	s3_client_destroy(fixture.client);
	fixture.client = NULL;
	gate_permit(COUNT);
	assert_int_equal(fixture.done, COUNT);
	fixture_fini(&fixture);
}

static void test_s3_client_reload__more_at_once__takes_effect(void **state)
{
	enum { COUNT = 6 };
	char dst[COUNT][10];
	struct s3_get gets[COUNT];
	struct fixture fixture;

	(void)state;
	gate_reset();
	fixture_init(&fixture, serve_gated, NULL);
	fixture.config.concurrent_max = 1;
	fixture.config.stall_timeout = FIXTURE_WAIT_S * NS_PER_S;
	fixture_start(&fixture);
	for (unsigned i = 0; i < COUNT; i++) {
		gets[i] = make_get(&fixture, dst[i], 10, 10, count_done);
		s3_get(fixture.client, &gets[i]);
	}
	fixture_wait_requests(&fixture, 1);
	assert_int_equal(fixture_counter(&fixture, S3_IN_FLIGHT), 1);
	fixture.config.concurrent_max = 4;
	s3_client_reload(fixture.client, &fixture.config);
	assert_int_equal(fixture_counter(&fixture, S3_IN_FLIGHT), 4);
	fixture_wait_requests(&fixture, 4);
	gate_permit(COUNT);
	fixture_wait_done(&fixture, COUNT);
	fixture_fini(&fixture);
}

static void test_s3_get__budget__holds_requests_up(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	enum { COUNT = 6 };
	char dst[COUNT][10];
	struct s3_get gets[COUNT];
	static struct object object;
	struct fixture fixture;

	(void)state;
	object_init(&object, steps);
	fixture_init(&fixture, object_serve, &object);
	fixture.config.requests_per_second = 20;
	fixture_start(&fixture);
	for (unsigned i = 0; i < COUNT; i++) {
		gets[i] = make_get(&fixture, dst[i], 10, 10, count_done);
		s3_get(fixture.client, &gets[i]);
	}
	fixture_wait_done(&fixture, COUNT);
	assert_true(fixture_counter(&fixture, S3_BUDGET_WAIT_NS) > 0);
	fixture_fini(&fixture);
	object_fini(&object);
}

struct proxy {
	char target[256];
};

static void serve_as_proxy(struct http_exchange *exchange, void *context)
{
	struct proxy *proxy = context;

	memcpy(proxy->target, exchange->target, sizeof(proxy->target) - 1);
	object_answer(exchange);
}

static void test_s3_get__proxy__only_the_configured_one(void **state)
{
	static const struct {
		const char *endpoint, *target;
		bool proxy;
	} rows[] = {
		{ "http://s3.invalid:9000", "http://s3.invalid:9000/bucket/key", true },
		{ NULL, "/bucket/key", false },
	};

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct proxy proxy = { "" };
		struct fixture fixture;
		char dst[10];
		fixture_init(&fixture, serve_as_proxy, &proxy);
		if (rows[i].proxy) {
			fixture.config.proxy = fixture.config.endpoint;
			fixture.config.endpoint = strdup(rows[i].endpoint);
		}
		fixture_start(&fixture);
		struct s3_get get = make_get(&fixture, dst, 10, 10, count_done);
		s3_get(fixture.client, &get);
		fixture_wait_done(&fixture, 1);
		assert_int_equal(get.request.status, 0);
		assert_string_equal(proxy.target, rows[i].target);
		fixture_fini(&fixture);
	}
	unsetenv("http_proxy");
	unsetenv("all_proxy");
}

/* Each end starts the next one, from the callback. */
struct chain {
	struct s3_get get; /* first */
	struct fixture *fixture;
	char dst[10];
	unsigned left;
};

static void chain_done(struct s3_get *get)
{
	struct chain *chain = CONTAINER_OF(get, struct chain, get);

	CHECK(!get->request.status);
	if (chain->left--)
		s3_get(chain->fixture->client, get);
	else
		fixture_count_done(chain->fixture);
}

static void test_s3_get__started_from_done__runs(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	static struct object object;
	struct fixture fixture;
	struct chain chains[3];

	(void)state;
	object_init(&object, steps);
	fixture_init(&fixture, object_serve, &object);
	fixture_start(&fixture);
	for (unsigned i = 0; i < 3; i++) {
		chains[i] = (struct chain){ .fixture = &fixture, .left = 50 };
		chains[i].get = make_get(&fixture, chains[i].dst, 10, 10, chain_done);
		s3_get(fixture.client, &chains[i].get);
	}
	fixture_wait_done(&fixture, 3);
	assert_int_equal(object.seen, 153);
	fixture_fini(&fixture);
	object_fini(&object);
}

/* Ends of one request, counted; the first end of each starts it once more. */
struct cancelled {
	struct s3_get get; /* first */
	struct fixture *fixture;
	char dst[10];
	_Atomic unsigned ends;
};

static void cancelled_done(struct s3_get *get)
{
	struct cancelled *cancelled = CONTAINER_OF(get, struct cancelled, get);

	CHECK(get->request.status == -ECANCELED);
	if (atomic_fetch_add(&cancelled->ends, 1) == 0)
		s3_get(cancelled->fixture->client, get);
}

/* In flight, queued, and pausing between two tries. */
static void test_s3_client_destroy__requests_in_every_state__each_is_cancelled_once(void **state)
{
	static const struct {
		struct step step;
		unsigned requests; /* that the server sees before the end */
	} rows[] = {
		{ { .act = ACT_HANG }, 4 },
		{ { .act = ACT_STALL, .part = 3 }, 4 },
		{ { ACT_ERROR, 503, "SlowDown", 0 }, 20 },
	};
	enum { COUNT = 20 };
	static struct cancelled all[COUNT];
	static struct object object;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct step steps[SCRIPT_STEPS] = { rows[i].step };
		unsigned descriptors = open_descriptors();
		struct fixture fixture;
		object_init(&object, steps);
		fixture_init(&fixture, object_serve, &object);
		fixture.config.connections = 2;
		fixture.config.retry_scale = 5 * NS_PER_S;
		fixture.config.stall_timeout = FIXTURE_WAIT_S * NS_PER_S;
		fixture_start(&fixture);
		for (unsigned j = 0; j < COUNT; j++) {
			all[j] = (struct cancelled){ .fixture = &fixture };
			all[j].get = make_get(&fixture, all[j].dst, 10, 10, cancelled_done);
			s3_get(fixture.client, &all[j].get);
		}
		fixture_wait_requests(&fixture, rows[i].requests);
		s3_client_destroy(fixture.client);
		fixture.client = NULL;
		for (unsigned j = 0; j < COUNT; j++)
			assert_int_equal(all[j].ends, 2);
		fixture_fini(&fixture);
		object_fini(&object);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

static char *copy(const char *text)
{
	char *result = text ? strdup(text) : NULL;
	CHECK(result || !text);
	return result;
}

static void make_config(struct s3_config *config, const char *endpoint)
{
	CHECK(!option_defaults(&s3_options, config));
	config->endpoint = copy(endpoint);
	config->credentials.access_key = copy("AKID");
	config->credentials.secret_key = copy("geheim");
}

static void test_s3_client_create__bad_config__is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *endpoint, *ca_file;
		int addressing;
		const char *problem;
	} rows[] = {
		{ NULL, NULL, S3_ADDRESSING_PATH, "endpoint is not set" },
		{ "", NULL, S3_ADDRESSING_PATH, "endpoint is not set" },
		{ "127.0.0.1:9000", NULL, S3_ADDRESSING_PATH, "the scheme is missing" },
		{ "https://h", "/does/not/exist.pem", S3_ADDRESSING_PATH,
		  "cannot read ca_file '/does/not/exist.pem': No such file" },
		{ "http://127.0.0.1:9000", NULL, S3_ADDRESSING_VIRTUAL, "needs a host name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct s3_client *client = NULL;
		struct s3_config config;
		char problem[256] = "";
		make_config(&config, rows[i].endpoint);
		config.ca_file = copy(rows[i].ca_file);
		config.addressing = rows[i].addressing;
		assert_int_equal(s3_client_create("x", &config, clock_system(), &client, problem,
						  sizeof(problem)),
				 -EINVAL);
		assert_null(client);
		assert_non_null(strstr(problem, rows[i].problem));
		option_free(&s3_options, &config);
	}
}

static void test_s3_client_create__any_step_fails__leaves_nothing(void **state)
{
	unsigned descriptors = open_descriptors();
	struct s3_config config;

	(void)state;
	make_config(&config, "http://127.0.0.1:1");
	for (unsigned n = 1;; n++) {
		struct s3_client *client = NULL;
		char problem[256] = "";
		allocation_fault_arm(n);
		int error = s3_client_create("x", &config, clock_system(), &client, problem,
					     sizeof(problem));
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			s3_client_destroy(client);
			assert_true(n > 5);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_null(client);
		assert_true(problem[0]);
		assert_int_equal(open_descriptors(), descriptors);
	}
	s3_client_destroy(NULL);
	option_free(&s3_options, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_get__two_hundred_at_once__all_are_right),
		cmocka_unit_test(test_s3_get__background_is_waiting__foreground_overtakes),
		cmocka_unit_test(
			test_s3_get_promote__a_queued_background_get__goes_before_the_others),
		cmocka_unit_test(test_s3_get__queue_is_full__ends_with_eagain),
		cmocka_unit_test(test_s3_client_reload__more_at_once__takes_effect),
		cmocka_unit_test(test_s3_get__budget__holds_requests_up),
		cmocka_unit_test(test_s3_get__proxy__only_the_configured_one),
		cmocka_unit_test(test_s3_get__started_from_done__runs),
		cmocka_unit_test(
			test_s3_client_destroy__requests_in_every_state__each_is_cancelled_once),
		cmocka_unit_test(test_s3_client_create__bad_config__is_refused_with_a_reason),
		cmocka_unit_test(test_s3_client_create__any_step_fails__leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of s3_get() against a scripted server.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/s3/support/fixture.h"
#include "tests/unit/s3/support/object.h"

#define OFF 1000
#define LEN 100000

struct scene {
	struct object object;
	struct fixture fixture;
	char dst[LEN];
	size_t progress; /* last reported */
	unsigned progress_calls;
};

static struct scene *scene_begin(const struct step steps[SCRIPT_STEPS])
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CHECK(scene);
	object_init(&scene->object, steps);
	fixture_init(&scene->fixture, object_serve, &scene->object);
	scene->fixture.config.stall_timeout = 200 * NS_PER_MS;
	scene->fixture.config.threads = 1;
	fixture_start(&scene->fixture);
	return scene;
}

static void scene_end(struct scene *scene)
{
	fixture_fini(&scene->fixture);
	object_fini(&scene->object);
	free(scene);
}

static struct s3_get make_get(struct scene *scene, const char *if_match)
{
	return (struct s3_get){
		.request = { .bucket = "bucket",
			     .key = "some key",
			     .deadline_ns = fixture_deadline(30000) },
		.off = OFF,
		.len = LEN,
		.if_match = if_match,
		.dst = scene->dst,
	};
}

static void test_s3_get__good_answer__fills_the_buffer(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, OBJECT_ETAG);

	(void)state;
	assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	assert_string_equal(get.request.problem, "");
	assert_int_equal(get.filled, LEN);
	object_check(scene->dst, OFF, LEN);
	assert_int_equal(scene->object.requests[0].first, OFF);
	assert_int_equal(scene->object.requests[0].last, OFF + LEN - 1);
	assert_string_equal(scene->object.requests[0].if_match, "\"" OBJECT_ETAG "\"");
	assert_int_equal(fixture_counter(&scene->fixture, S3_GETS), 1);
	assert_int_equal(fixture_counter(&scene->fixture, S3_GET_BYTES), LEN);
	assert_int_equal(fixture_counter(&scene->fixture, S3_CONNECTS), 1);
	assert_int_equal(fixture_counter(&scene->fixture, S3_IN_FLIGHT), 0);
	assert_int_equal(s3_client_latency(scene->fixture.client)->count, 1);
	scene_end(scene);
}

static void test_s3_get__one_after_the_other__reuse_the_connection(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct s3_get get = make_get(scene, NULL);
		assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	}
	assert_int_equal(fixture_counter(&scene->fixture, S3_GETS), 20);
	assert_int_equal(fixture_counter(&scene->fixture, S3_CONNECTS), 1);
	scene_end(scene);
}

static void on_progress(struct s3_get *get, size_t filled)
{
	struct scene *scene =
		CONTAINER_OF((struct fixture *)get->request.context, struct scene, fixture);

	CHECK(filled > scene->progress && filled <= get->len && filled == get->filled);
	object_check((char *)get->dst + scene->progress, get->off + scene->progress,
		     filled - scene->progress);
	scene->progress = filled;
	scene->progress_calls++;
}

/* Transient failures: the GET succeeds in the end, resuming behind what it has. */
static void test_s3_get__transient_failures__end_well(void **state)
{
	static const struct {
		const char *name;
		struct step steps[SCRIPT_STEPS];
		unsigned requests;
		uint64_t throttled;
		uint64_t second_first; /* where the second request starts */
	} rows[] = {
		{ "503 storm",
		  { { ACT_ERROR, 503, "SlowDown", 0 },
		    { ACT_ERROR, 503, NULL, 0 },
		    { ACT_ERROR, 429, NULL, 0 },
		    { ACT_ERROR, 503, "SlowDown", 0 },
		    { .act = ACT_SERVE } },
		  5,
		  4,
		  OFF },
		{ "server errors",
		  { { ACT_ERROR, 500, "InternalError", 0 },
		    { ACT_ERROR, 502, NULL, 0 },
		    { ACT_ERROR, 504, NULL, 0 },
		    { ACT_ERROR, 400, "RequestTimeout", 0 },
		    { .act = ACT_SERVE } },
		  5,
		  0,
		  OFF },
		{ "truncated",
		  { { .act = ACT_TRUNCATE, .part = 12345 },
		    { .act = ACT_TRUNCATE, .part = 1 },
		    { .act = ACT_SERVE } },
		  3,
		  0,
		  OFF + 12345 },
		{ "reset", { { .act = ACT_RESET, .part = 0 }, { .act = ACT_SERVE } }, 2, 0, OFF },
		{ "stalled",
		  { { .act = ACT_STALL, .part = 5000 }, { .act = ACT_SERVE } },
		  2,
		  0,
		  OFF + 5000 },
		{ "no answer", { { .act = ACT_HANG }, { .act = ACT_SERVE } }, 2, 0, OFF },
		{ "chunked and cut",
		  { { .act = ACT_CHUNKED_CUT, .part = 777 }, { .act = ACT_SERVE } },
		  2,
		  0,
		  OFF + 777 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		for (int conditional = 0; conditional < 2; conditional++) {
			struct scene *scene = scene_begin(rows[i].steps);
			struct s3_get get = make_get(scene, conditional ? OBJECT_ETAG : NULL);
			get.progress = on_progress;
			if (fixture_get(&scene->fixture, &get))
				fail_msg("%s: %s", rows[i].name, get.request.problem);
			assert_int_equal(get.filled, LEN);
			assert_int_equal(scene->progress, LEN);
			object_check(scene->dst, OFF, LEN);
			assert_int_equal(scene->object.seen, rows[i].requests);
			assert_int_equal(scene->object.requests[1].first, rows[i].second_first);
			assert_int_equal(scene->object.requests[1].last, OFF + LEN - 1);
			/* what has bytes is pinned to their version */
			assert_string_equal(scene->object.requests[1].if_match,
					    conditional || rows[i].second_first != OFF
						    ? "\"" OBJECT_ETAG "\""
						    : "");
			assert_int_equal(fixture_counter(&scene->fixture, S3_RETRIES),
					 rows[i].requests - 1);
			assert_int_equal(fixture_counter(&scene->fixture, S3_THROTTLED),
					 rows[i].throttled);
			assert_int_equal(fixture_counter(&scene->fixture, S3_ERRORS), 0);
			scene_end(scene);
		}
}

static void test_s3_get__closed_without_answer_on_a_fresh_connection__is_retried(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_CLOSE },
							 { .act = ACT_CLOSE },
							 { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	object_check(scene->dst, OFF, LEN);
	scene_end(scene);
}

/* Final answers: one request, a status, a reason. */
static void test_s3_get__final_answers__end_at_once(void **state)
{
	static const struct {
		struct step step;
		int status;
		const char *problem;
	} rows[] = {
		{ { ACT_ERROR, 404, "NoSuchKey", 0 }, -ENOENT, "404 NoSuchKey: as the test says" },
		{ { ACT_ERROR, 404, NULL, 0 }, -ENOENT, "404" },
		{ { ACT_ERROR, 403, "AccessDenied", 0 }, -EACCES, "403 AccessDenied" },
		{ { ACT_ERROR, 403, "SignatureDoesNotMatch", 0 },
		  -EACCES,
		  "SignatureDoesNotMatch" },
		{ { ACT_ERROR, 401, NULL, 0 }, -EACCES, "401" },
		{ { ACT_ERROR, 400, "ExpiredToken", 0 }, -EACCES, "ExpiredToken" },
		{ { ACT_ERROR, 412, "PreconditionFailed", 0 }, -ESTALE, "412" },
		{ { ACT_ERROR, 416, "InvalidRange", 0 }, -ERANGE, "416" },
		{ { ACT_ERROR, 400, "InvalidArgument", 0 }, -EINVAL, "400 InvalidArgument" },
		{ { ACT_ERROR, 301, "PermanentRedirect", 0 }, -EINVAL, "301 PermanentRedirect" },
		{ { ACT_ERROR, 501, "NotImplemented", 0 }, -EPROTO, "501" },
		{ { ACT_ERROR, 204, NULL, 0 }, -EPROTO, "204" },
		{ { .act = ACT_OTHER_ETAG }, -ESTALE, "fedcba" },
		{ { .act = ACT_NO_ETAG }, -EPROTO, "without ETag" },
		{ { .act = ACT_IGNORE_RANGE }, -EPROTO, "ignores Range" },
		{ { .act = ACT_WRONG_RANGE }, -EPROTO, "bytes 1001-100999 came when 1000-100999" },
		{ { .act = ACT_NO_RANGE }, -EPROTO, "Content-Range" },
		{ { .act = ACT_SHORT }, -ERANGE, "the object ends at 51000" },
		{ { .act = ACT_CONTRADICTION }, -EPROTO, "contradict" },
		{ { .act = ACT_GARBAGE }, -EPROTO, "does not speak HTTP" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct step steps[SCRIPT_STEPS] = { rows[i].step };
		struct scene *scene = scene_begin(steps);
		struct s3_get get = make_get(scene, OBJECT_ETAG);
		int status = fixture_get(&scene->fixture, &get);
		if (status != rows[i].status || !strstr(get.request.problem, rows[i].problem))
			fail_msg("row %zu: %d '%s'", i, status, get.request.problem);
		assert_int_equal(scene->object.seen, 1);
		assert_int_equal(get.filled, 0);
		assert_int_equal(fixture_counter(&scene->fixture, S3_ERRORS),
				 rows[i].status != -ENOENT);
		assert_int_equal(fixture_counter(&scene->fixture, S3_DEADLINES), 0);
		scene_end(scene);
	}
}

static void test_s3_get__object_replaced_in_the_middle__is_never_mixed(void **state)
{
	/* without a condition of the caller, and a server that is blind to conditions */
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_TRUNCATE, .part = 5000 },
							 { .act = ACT_OTHER_ETAG } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	assert_int_equal(fixture_get(&scene->fixture, &get), -ESTALE);
	assert_int_equal(get.filled, 5000);
	assert_string_equal(scene->object.requests[1].if_match, "\"" OBJECT_ETAG "\"");
	assert_non_null(strstr(get.request.problem, "after 2 attempts"));
	scene_end(scene);
}

static void test_s3_get__whole_object_from_a_server_without_ranges__is_accepted(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_IGNORE_RANGE } };
	struct scene *scene = scene_begin(steps);
	char *dst = malloc(OBJECT_LEN);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	CHECK(dst);
	get.off = 0;
	get.len = OBJECT_LEN;
	get.dst = dst;
	assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	object_check(dst, 0, OBJECT_LEN);
	free(dst);
	scene_end(scene);
}

/* Failures that never end: the deadline does, and the problem says what was last seen. */
static void test_s3_get__endless_failure__ends_at_the_deadline(void **state)
{
	static const struct {
		struct step step;
		const char *problem;
	} rows[] = {
		{ { ACT_ERROR, 503, "SlowDown", 0 }, "503 SlowDown: as the test says" },
		{ { ACT_ERROR, 500, NULL, 0 }, "500" },
		{ { .act = ACT_HANG }, "no answer from 127.0.0.1:" },
		{ { .act = ACT_RESET, .part = 0 }, "Connection reset by peer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct step steps[SCRIPT_STEPS] = { rows[i].step };
		struct scene *scene = scene_begin(steps);
		struct s3_get get = make_get(scene, OBJECT_ETAG);
		get.request.deadline_ns = fixture_deadline(800);
		assert_int_equal(fixture_get(&scene->fixture, &get), -ETIMEDOUT);
		if (!strstr(get.request.problem, rows[i].problem))
			fail_msg("row %zu: '%s'", i, get.request.problem);
		assert_int_equal(fixture_counter(&scene->fixture, S3_ERRORS), 1);
		assert_int_equal(fixture_counter(&scene->fixture, S3_DEADLINES), 1);
		scene_end(scene);
	}
}

/* One that is only slow is heard in the end, since it is not asked anew all the time. */
static void test_s3_get__no_answer_at_all__is_asked_ever_more_rarely(void **state)
{
	struct step steps[SCRIPT_STEPS];
	struct scene *scene;
	struct s3_get get;

	(void)state;
	for (unsigned i = 0; i < SCRIPT_STEPS; i++)
		steps[i] = (struct step){ .act = ACT_HANG };
	scene = scene_begin(steps);
	get = make_get(scene, NULL);
	/* asked at 0, after 200 ms, after 400 more; the next time would be after 800 more */
	get.request.deadline_ns = fixture_deadline(1300);
	assert_int_equal(fixture_get(&scene->fixture, &get), -ETIMEDOUT);
	assert_in_range(fixture_counter(&scene->fixture, S3_RETRIES), 1, 2);
	scene_end(scene);
}

static void test_s3_get__deadline_already_passed__is_not_sent(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_HANG } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	get.request.deadline_ns = 1;
	assert_int_equal(fixture_get(&scene->fixture, &get), -ETIMEDOUT);
	assert_non_null(strstr(get.request.problem, "deadline passed while waiting"));
	assert_int_equal(scene->object.seen, 0);
	scene_end(scene);
}

static void test_s3_get__nobody_listens__says_so_and_ends_at_the_deadline(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_HANG } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);
	char wanted[64];

	(void)state;
	snprintf(wanted, sizeof(wanted), "cannot connect to 127.0.0.1:%u: Connection refused",
		 http_server_port(scene->fixture.server));
	http_server_stop(scene->fixture.server);
	scene->fixture.server = NULL;
	get.request.deadline_ns = fixture_deadline(200);
	assert_int_equal(fixture_get(&scene->fixture, &get), -ETIMEDOUT);
	assert_non_null(strstr(get.request.problem, wanted));
	scene_end(scene);
}

static void test_s3_get__what_cannot_be_asked_for__is_einval(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	char overlong[S3_KEY_MAX + 2] = "", etag[S3_ETAG_MAX + 1] = "";

	(void)state;
	memset(overlong, 'k', S3_KEY_MAX + 1);
	memset(etag, 'e', S3_ETAG_MAX);
	for (int i = 0; i < 5; i++) {
		struct s3_get get = make_get(scene, NULL);
		if (i == 0)
			get.request.key = "";
		else if (i == 1)
			get.request.key = overlong;
		else if (i == 2)
			get.len = 0;
		else if (i == 3)
			get.if_match = etag;
		else
			get.off = UINT64_MAX - 10;
		assert_int_equal(fixture_get(&scene->fixture, &get), -EINVAL);
		assert_true(get.request.problem[0]);
	}
	assert_int_equal(scene->object.seen, 0);
	scene_end(scene);
}

static void test_s3_get__same_struct_again__starts_over(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { ACT_ERROR, 404, "NoSuchKey", 0 },
							 { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	assert_int_equal(fixture_get(&scene->fixture, &get), -ENOENT);
	assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	assert_int_equal(get.filled, LEN);
	assert_string_equal(get.request.problem, "");
	scene_end(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_get__good_answer__fills_the_buffer),
		cmocka_unit_test(test_s3_get__one_after_the_other__reuse_the_connection),
		cmocka_unit_test(test_s3_get__transient_failures__end_well),
		cmocka_unit_test(
			test_s3_get__closed_without_answer_on_a_fresh_connection__is_retried),
		cmocka_unit_test(test_s3_get__final_answers__end_at_once),
		cmocka_unit_test(test_s3_get__object_replaced_in_the_middle__is_never_mixed),
		cmocka_unit_test(
			test_s3_get__whole_object_from_a_server_without_ranges__is_accepted),
		cmocka_unit_test(test_s3_get__endless_failure__ends_at_the_deadline),
		cmocka_unit_test(test_s3_get__no_answer_at_all__is_asked_ever_more_rarely),
		cmocka_unit_test(test_s3_get__deadline_already_passed__is_not_sent),
		cmocka_unit_test(test_s3_get__nobody_listens__says_so_and_ends_at_the_deadline),
		cmocka_unit_test(test_s3_get__what_cannot_be_asked_for__is_einval),
		cmocka_unit_test(test_s3_get__same_struct_again__starts_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

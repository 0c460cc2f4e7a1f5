/*
 * Tests of long GETs: parts over several connections and threads, reported as one.
 */
#include "s3/get_parts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/s3/support/fixture.h"
#include "tests/unit/s3/support/object.h"

#define PART (64 << 10)
#define OFF  100
#define LEN  (OBJECT_LEN - 200) /* five parts, the last one short */

struct scene {
	struct object object;
	struct fixture fixture;
	char dst[LEN];
	size_t progress;
};

static struct scene *scene_begin(const struct step steps[SCRIPT_STEPS])
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CHECK(scene);
	object_init(&scene->object, steps);
	fixture_init(&scene->fixture, object_serve, &scene->object);
	scene->fixture.config.part_len = PART;
	scene->fixture.config.connections = 2;
	scene->fixture.config.threads = 2;
	scene->fixture.config.stall_timeout = 200 * NS_PER_MS;
	fixture_start(&scene->fixture);
	return scene;
}

static void scene_end(struct scene *scene)
{
	fixture_fini(&scene->fixture);
	object_fini(&scene->object);
	free(scene);
}

/* In order, and never more than is really there. */
static void on_progress(struct s3_get *get, size_t filled)
{
	struct scene *scene =
		CONTAINER_OF((struct fixture *)get->request.context, struct scene, fixture);

	CHECK(filled > scene->progress && filled <= get->len);
	object_check((char *)get->dst + scene->progress, get->off + scene->progress,
		     filled - scene->progress);
	scene->progress = filled;
}

static struct s3_get make_get(struct scene *scene, const char *if_match)
{
	return (struct s3_get){
		.request = { .bucket = "bucket",
			     .key = "key",
			     .deadline_ns = fixture_deadline(30000) },
		.off = OFF,
		.len = LEN,
		.if_match = if_match,
		.dst = scene->dst,
		.progress = on_progress,
	};
}

static void test_s3_get__longer_than_a_part__is_fetched_in_parts(void **state)
{
	static const struct {
		const char *name;
		struct step steps[SCRIPT_STEPS];
		unsigned requests;
	} rows[] = {
		{ "smooth", { { .act = ACT_SERVE } }, 5 },
		{ "storm",
		  { { ACT_ERROR, 503, "SlowDown", 0 },
		    { .act = ACT_TRUNCATE, .part = 100 },
		    { .act = ACT_STALL, .part = 1000 },
		    { .act = ACT_RESET },
		    { ACT_ERROR, 500, NULL, 0 },
		    { .act = ACT_SERVE } },
		  10 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct scene *scene = scene_begin(rows[i].steps);
		struct s3_get get = make_get(scene, OBJECT_ETAG);
		assert_int_equal(fixture_get(&scene->fixture, &get), 0);
		assert_int_equal(get.filled, LEN);
		assert_int_equal(scene->progress, LEN);
		object_check(scene->dst, OFF, LEN);
		assert_int_equal(scene->object.seen, rows[i].requests);
		scene_end(scene);
	}
}

static void test_s3_get__no_version_named__goes_whole(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, NULL);

	(void)state;
	assert_int_equal(fixture_get(&scene->fixture, &get), 0);
	object_check(scene->dst, OFF, LEN);
	assert_int_equal(scene->object.seen, 1);
	scene_end(scene);
}

static void test_s3_get__a_part_fails__ends_the_whole_with_its_reason(void **state)
{
	static const struct {
		struct step step;
		int status;
	} rows[] = {
		{ { ACT_ERROR, 412, "PreconditionFailed", 0 }, -ESTALE },
		{ { ACT_ERROR, 403, "AccessDenied", 0 }, -EACCES },
		{ { .act = ACT_OTHER_ETAG }, -ESTALE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		/* the third request fails, the others hang until they are given up */
		struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE },
						    { .act = ACT_STALL, .part = 10 },
						    rows[i].step,
						    { .act = ACT_STALL, .part = 10 } };
		struct scene *scene = scene_begin(steps);
		struct s3_get get = make_get(scene, OBJECT_ETAG);
		assert_int_equal(fixture_get(&scene->fixture, &get), rows[i].status);
		assert_true(get.request.problem[0]);
		assert_int_equal(get.filled, scene->progress);
		assert_int_equal(fixture_counter(&scene->fixture, S3_IN_FLIGHT), 0);
		assert_int_equal(fixture_counter(&scene->fixture, S3_QUEUED), 0);
		scene_end(scene);
	}
}

static void test_s3_get__no_memory_for_parts__goes_whole(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, OBJECT_ETAG);

	(void)state;
	allocation_fault_arm(1);
	assert_false(get_parts_start(scene->fixture.client, &get));
	assert_true(allocation_fault_disarm());
	scene_end(scene);
}

static void on_done(struct s3_get *get)
{
	fixture_count_done(get->request.context);
}

static void test_s3_client_destroy__in_the_middle_of_parts__cancels_the_whole_once(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_STALL, .part = 10 } };
	struct scene *scene = scene_begin(steps);
	struct s3_get get = make_get(scene, OBJECT_ETAG);

	(void)state;
	scene->fixture.config.stall_timeout = 60 * NS_PER_S;
	get.request.context = &scene->fixture;
	get.progress = NULL;
	get.done = on_done;
	s3_get(scene->fixture.client, &get);
	fixture_wait_requests(&scene->fixture, 4);
	s3_client_destroy(scene->fixture.client);
	scene->fixture.client = NULL;
	assert_int_equal(scene->fixture.done, 1);
	assert_int_equal(get.request.status, -ECANCELED);
	scene_end(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_get__longer_than_a_part__is_fetched_in_parts),
		cmocka_unit_test(test_s3_get__no_version_named__goes_whole),
		cmocka_unit_test(test_s3_get__a_part_fails__ends_the_whole_with_its_reason),
		cmocka_unit_test(test_s3_get__no_memory_for_parts__goes_whole),
		cmocka_unit_test(
			test_s3_client_destroy__in_the_middle_of_parts__cancels_the_whole_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

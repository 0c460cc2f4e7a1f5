/*
 * Tests of chains: several GETs of adjacent ranges, carried by one request.
 */
#include "s3/get_chain.h"

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

#define MEMBERS 3
#define OFF	1000
#define LEN	((size_t)50000)

struct scene {
	struct object object;
	struct fixture fixture;
	struct s3_get gets[MEMBERS];
	char dst[MEMBERS][LEN];
	size_t progress[MEMBERS];
	unsigned ended; /* by their callbacks, which do not overlap */
};

static struct scene *scene_of(const struct s3_get *get)
{
	return CONTAINER_OF((struct fixture *)get->request.context, struct scene, fixture);
}

static size_t index_of(const struct s3_get *get)
{
	return (size_t)(get - scene_of(get)->gets);
}

static void on_progress(struct s3_get *get, size_t filled)
{
	size_t *progress = &scene_of(get)->progress[index_of(get)];

	CHECK(filled > *progress && filled <= get->len);
	object_check((char *)get->dst + *progress, get->off + *progress, filled - *progress);
	*progress = filled;
}

/* Nothing of a GET may be looked at when it has ended: what could be is overwritten. */
static void on_done(struct s3_get *get)
{
	struct scene *scene = scene_of(get);

	CHECK(index_of(get) == scene->ended++);
	CHECK(get->request.status ? get->request.problem[0] != 0 : get->filled == get->len);
	get->next = (struct s3_get *)(void *)scene;
	get->dst = NULL;
	get->if_match = NULL;
	get->request.bucket = get->request.key = NULL;
	fixture_count_done(&scene->fixture);
}

/* Even one long enough for parts is not split. */
static struct scene *scene_begin(const struct step steps[SCRIPT_STEPS])
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CHECK(scene);
	object_init(&scene->object, steps);
	fixture_init(&scene->fixture, object_serve, &scene->object);
	scene->fixture.config.part_len = 64 << 10;
	scene->fixture.config.stall_timeout = 60 * NS_PER_S;
	for (unsigned i = 0; i < MEMBERS; i++)
		scene->gets[i] = (struct s3_get){
			.request = { .bucket = "bucket",
				     .key = "key",
				     .deadline_ns = fixture_deadline(30000),
				     .context = &scene->fixture },
			.off = OFF + (uint64_t)i * LEN,
			.len = LEN,
			.if_match = OBJECT_ETAG,
			.dst = scene->dst[i],
			.progress = on_progress,
			.done = on_done,
			.next = i + 1 < MEMBERS ? &scene->gets[i + 1] : NULL,
		};
	fixture_start(&scene->fixture);
	return scene;
}

static void scene_end(struct scene *scene)
{
	fixture_fini(&scene->fixture);
	object_fini(&scene->object);
	free(scene);
}

static void scene_run(struct scene *scene)
{
	s3_get(scene->fixture.client, &scene->gets[0]);
	fixture_wait_done(&scene->fixture, MEMBERS);
}

static void check_bytes(const struct scene *scene)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		assert_int_equal(scene->gets[i].request.status, 0);
		assert_int_equal(scene->gets[i].request.problem[0], 0);
		assert_int_equal(scene->progress[i], LEN);
		object_check(scene->dst[i], OFF + (uint64_t)i * LEN, LEN);
	}
}

static void test_s3_get__chain__is_one_request_and_ends_in_order(void **state)
{
	static const struct {
		struct step steps[SCRIPT_STEPS];
		unsigned requests;
		uint64_t last_first; /* where the last request begins */
	} rows[] = {
		{ { { .act = ACT_SERVE } }, 1, OFF },
		/* in the second member, at the end of the first, before the first byte */
		{ { { .act = ACT_TRUNCATE, .part = LEN + 700 }, { .act = ACT_SERVE } },
		  2,
		  OFF + LEN + 700 },
		{ { { .act = ACT_TRUNCATE, .part = LEN }, { .act = ACT_SERVE } }, 2, OFF + LEN },
		{ { { ACT_ERROR, 503, "SlowDown", 0 }, { .act = ACT_SERVE } }, 2, OFF },
		/* everything at once */
		{ { { ACT_ERROR, 503, "SlowDown", 0 },
		    { .act = ACT_TRUNCATE, .part = 100 },
		    { ACT_ERROR, 500, NULL, 0 },
		    { .act = ACT_TRUNCATE, .part = 2 * LEN },
		    { .act = ACT_SERVE } },
		  5,
		  OFF + 2 * LEN + 100 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct scene *scene = scene_begin(rows[i].steps);

		scene_run(scene);
		check_bytes(scene);
		assert_int_equal(scene->object.seen, rows[i].requests);
		assert_int_equal(scene->object.requests[rows[i].requests - 1].first,
				 rows[i].last_first);
		assert_int_equal(scene->object.requests[rows[i].requests - 1].last,
				 OFF + MEMBERS * LEN - 1);
		scene_end(scene);
	}
}

static void test_s3_get__chain_fails__ends_all_that_are_not_complete(void **state)
{
	static const struct {
		struct step steps[SCRIPT_STEPS];
		int status;
		unsigned complete;
	} rows[] = {
		{ { { ACT_ERROR, 412, "PreconditionFailed", 0 } }, -ESTALE, 0 },
		{ { { ACT_ERROR, 404, "NoSuchKey", 0 } }, -ENOENT, 0 },
		/* changed while it was read */
		{ { { .act = ACT_TRUNCATE, .part = LEN + 1 },
		    { ACT_ERROR, 412, "PreconditionFailed", 0 } },
		  -ESTALE,
		  1 },
		{ { { .act = ACT_TRUNCATE, .part = 2 * LEN }, { .act = ACT_OTHER_ETAG } },
		  -ESTALE,
		  2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct scene *scene = scene_begin(rows[i].steps);

		scene_run(scene);
		for (unsigned j = 0; j < MEMBERS; j++)
			assert_int_equal(scene->gets[j].request.status,
					 j < rows[i].complete ? 0 : rows[i].status);
		scene_end(scene);
	}
}

static void test_s3_get__chain__has_the_latest_deadline(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };

	(void)state;
	for (unsigned late = 0; late < MEMBERS; late++) {
		struct scene *scene = scene_begin(steps);

		for (unsigned i = 0; i < MEMBERS; i++)
			if (i != late)
				scene->gets[i].request.deadline_ns = 1; /* long past */
		scene_run(scene);
		check_bytes(scene);
		scene_end(scene);
	}
}

static void test_s3_get__chain_finds_the_queue_full__all_are_told(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);

	(void)state;
	s3_client_destroy(scene->fixture.client);
	scene->fixture.config.queue_max = 0;
	fixture_start(&scene->fixture);
	scene_run(scene);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(scene->gets[i].request.status, -EAGAIN);
	scene_end(scene);
}

static void test_s3_get__no_memory_for_a_chain__goes_one_by_one(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_SERVE } };
	struct scene *scene = scene_begin(steps);

	(void)state;
	/* one connection, so that they end in order */
	s3_client_destroy(scene->fixture.client);
	scene->fixture.config.threads = scene->fixture.config.connections = 1;
	fixture_start(&scene->fixture);
	allocation_fault_arm(1);
	s3_get(scene->fixture.client, &scene->gets[0]);
	allocation_fault_disarm();
	fixture_wait_done(&scene->fixture, MEMBERS);
	check_bytes(scene);
	assert_int_equal(scene->object.seen, MEMBERS);
	scene_end(scene);
}

static void on_blocker_done(struct s3_get *get)
{
	(void)get;
}

/* With the only connection taken, what was promoted is served before the other. */
static void test_s3_get_promote__of_any_member__promotes_the_chain(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_STALL, .part = 10 } };

	(void)state;
	for (unsigned promoted = 0; promoted < MEMBERS; promoted++) {
		struct scene *scene = scene_begin(steps);
		struct s3_get blocker = { .request = { .bucket = "bucket",
						       .key = "other",
						       .deadline_ns = CLOCK_NEVER },
					  .len = 1000,
					  .dst = scene->dst[0],
					  .done = on_blocker_done };
		struct s3_get *carrier;

		s3_client_destroy(scene->fixture.client);
		scene->fixture.config.threads = scene->fixture.config.connections = 1;
		fixture_start(&scene->fixture);
		s3_get(scene->fixture.client, &blocker);
		fixture_wait_requests(&scene->fixture, 1);
		for (unsigned i = 0; i < MEMBERS; i++)
			scene->gets[i].request.background = true;
		s3_get(scene->fixture.client, &scene->gets[0]);
		carrier = get_chain_carrier(&scene->gets[promoted]);
		assert_ptr_not_equal(carrier, &scene->gets[promoted]);
		assert_true(carrier->request.background);
		s3_get_promote(scene->fixture.client, &scene->gets[promoted]);
		assert_false(carrier->request.background);
		s3_client_destroy(scene->fixture.client);
		scene->fixture.client = NULL;
		assert_int_equal(scene->ended, MEMBERS);
		scene_end(scene);
	}
}

static void test_s3_client_destroy__in_the_middle_of_a_chain__cancels_each_once(void **state)
{
	static const struct step steps[SCRIPT_STEPS] = { { .act = ACT_STALL, .part = LEN + 10 } };
	struct scene *scene = scene_begin(steps);

	(void)state;
	s3_get(scene->fixture.client, &scene->gets[0]);
	fixture_wait_done(&scene->fixture, 1);
	s3_client_destroy(scene->fixture.client);
	scene->fixture.client = NULL;
	assert_int_equal(scene->ended, MEMBERS);
	assert_int_equal(scene->gets[0].request.status, 0);
	assert_int_equal(scene->gets[1].request.status, -ECANCELED);
	assert_int_equal(scene->gets[2].request.status, -ECANCELED);
	scene_end(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_get__chain__is_one_request_and_ends_in_order),
		cmocka_unit_test(test_s3_get__chain_fails__ends_all_that_are_not_complete),
		cmocka_unit_test(test_s3_get__chain__has_the_latest_deadline),
		cmocka_unit_test(test_s3_get__chain_finds_the_queue_full__all_are_told),
		cmocka_unit_test(test_s3_get__no_memory_for_a_chain__goes_one_by_one),
		cmocka_unit_test(test_s3_get_promote__of_any_member__promotes_the_chain),
		cmocka_unit_test(
			test_s3_client_destroy__in_the_middle_of_a_chain__cancels_each_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

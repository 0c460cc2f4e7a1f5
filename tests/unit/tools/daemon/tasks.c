/*
 * Tests of tools/daemon/tasks.h: jobs that wait at a gate until the test lets them by.
 */
#include "tools/daemon/tasks.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "tools/daemon/rooms.h"

#define BOUND_NS (20 * NS_PER_S)

/* A job's argument is freed by the tasks. What it points to is static: a job may outlive its test,
 * up to the teardown. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool arrived, open;
	int status;
};

struct place {
	struct daemon_rooms rooms;
	struct clock_manual clock;
	struct tasks *tasks;
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	clock_manual_init(&place->clock, NS_PER_S, 0);
	place->rooms.clock = &place->clock.clock;
	assert_int_equal(tasks_create(&place->rooms, &place->tasks), 0);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;

	tasks_stop(place->tasks);
	tasks_destroy(place->tasks);
	free(place);
	return 0;
}

static void gate_init(struct gate *gate)
{
	*gate = (struct gate){ 0 };
	pthread_mutex_init(&gate->lock, NULL);
	thread_cond_init(&gate->changed);
}

static void gate_set(struct gate *gate, bool *flag)
{
	pthread_mutex_lock(&gate->lock);
	*flag = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static void gate_wait(struct gate *gate, const bool *flag)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + BOUND_NS;

	pthread_mutex_lock(&gate->lock);
	while (!*flag)
		CHECK(thread_cond_wait_until(&gate->changed, &gate->lock, until_ns) == 0);
	pthread_mutex_unlock(&gate->lock);
}

static int gate_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct gate *gate = *(struct gate **)argument;

	(void)task;
	(void)rooms;
	gate_set(gate, &gate->arrived);
	gate_wait(gate, &gate->open);
	return gate->status;
}

static int64_t start(struct place *place, const char *kind, struct gate *gate,
		     int (*run)(struct task *, const struct daemon_rooms *, void *))
{
	struct gate **argument = malloc(sizeof(struct gate *));
	const struct task_job job = { .kind = kind, .run = run, .argument = argument };

	assert_non_null(argument);
	*argument = gate;
	return tasks_start(place->tasks, &job);
}

static bool is_done(const json_t *json)
{
	return json_is_true(json_object_get(json, "done"));
}

/* Return: what is told of it once it is done. */
static json_t *wait_done(struct place *place, int64_t number)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + BOUND_NS;

	while (clock_now_ns(clock_system()) < until_ns) {
		json_t *json = tasks_json(place->tasks, number);

		assert_non_null(json);
		if (is_done(json))
			return json;
		json_decref(json);
	}
	fail_msg("a task that does not end");
	return NULL;
}

static const char *text_of(const json_t *json)
{
	return json_string_value(json_object_get(json, "text"));
}

static void run_one(struct place *place, const char *kind, int status)
{
	static struct gate gate;
	json_t *json;

	gate_init(&gate);
	gate.open = true;
	gate.status = status;
	json = wait_done(place, start(place, kind, &gate, gate_run));
	json_decref(json);
}

static void test_start__job__runs_and_is_told(void **state)
{
	struct place *place = *state;
	static struct gate gate;
	json_t *json;
	int64_t number;

	gate_init(&gate);
	number = start(place, "drain", &gate, gate_run);
	assert_int_equal(number, TASK_NUMBER_FIRST);
	json = tasks_json(place->tasks, number);
	assert_false(is_done(json));
	assert_true(json_is_false(json_object_get(json, "ok")));
	assert_true(json_is_null(json_object_get(json, "progress")));
	assert_true(json_is_null(json_object_get(json, "result")));
	assert_int_equal(json_array_size(json_object_get(json, "lines")), 0);
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "drain");
	json_decref(json);
	gate_set(&gate, &gate.open);
	json = wait_done(place, number);
	assert_true(json_is_true(json_object_get(json, "ok")));
	assert_int_equal(json_integer_value(json_object_get(json, "task")), number);
	assert_string_equal(text_of(json), "done");
	json_decref(json);
}

static void test_start__job_that_fails__its_error_is_told(void **state)
{
	struct place *place = *state;
	static struct gate gate;
	json_t *json;

	gate_init(&gate);
	gate.open = true;
	gate.status = -EIO;
	json = wait_done(place, start(place, "mesh", &gate, gate_run));
	assert_true(json_is_false(json_object_get(json, "ok")));
	assert_non_null(strstr(text_of(json), "EIO"));
	json_decref(json);
}

static void test_start__shared_kind_runs__gives_its_number(void **state)
{
	struct place *place = *state;
	struct task_job job = { .kind = "drain", .run = gate_run, .shared = true };
	static struct gate gate;
	int64_t number = 0;

	gate_init(&gate);
	for (unsigned i = 0; i < 2; i++) {
		struct gate **argument = malloc(sizeof(struct gate *));
		int64_t given;

		assert_non_null(argument);
		*argument = &gate;
		job.argument = argument;
		given = tasks_start(place->tasks, &job);
		assert_true(given > 0);
		if (i == 1)
			assert_int_equal(given, number);
		number = given;
	}
	gate_set(&gate, &gate.open);
	json_decref(wait_done(place, number));
}

static void test_start__same_kind_runs__is_busy(void **state)
{
	struct place *place = *state;
	static struct gate first, second;

	gate_init(&first);
	gate_init(&second);
	second.open = true;
	assert_true(start(place, "mesh", &first, gate_run) > 0);
	assert_int_equal(start(place, "mesh", &second, gate_run), -EBUSY);
	json_decref(wait_done(place, start(place, "locate", &second, gate_run)));
	gate_set(&first, &first.open);
}

static void test_start__all_places_taken__is_refused(void **state)
{
	static const char *const kinds[] = { "a", "b", "c", "d" };
	struct place *place = *state;
	static struct gate gates[TASKS_RUNNING_MAX], more;
	int64_t numbers[TASKS_RUNNING_MAX];

	_Static_assert(ARRAY_COUNT(kinds) == TASKS_RUNNING_MAX, "a kind for each");
	for (unsigned i = 0; i < TASKS_RUNNING_MAX; i++) {
		gate_init(&gates[i]);
		numbers[i] = start(place, kinds[i], &gates[i], gate_run);
	}
	gate_init(&more);
	more.open = true;
	assert_int_equal(start(place, "e", &more, gate_run), -ENOSPC);
	for (unsigned i = 0; i < TASKS_RUNNING_MAX; i++)
		gate_set(&gates[i], &gates[i].open);
	json_decref(wait_done(place, numbers[0]));
	json_decref(wait_done(place, start(place, "e", &more, gate_run)));
}

static void test_json__many_later_ones__forgets_the_oldest(void **state)
{
	struct place *place = *state;
	static struct gate running;
	int64_t still;
	json_t *json;

	gate_init(&running);
	still = start(place, "long", &running, gate_run);
	for (unsigned i = 0; i < TASKS_MAX + 2; i++)
		run_one(place, "short", 0);
	assert_null(tasks_json(place->tasks, still + 1));
	json = tasks_json(place->tasks, still + TASKS_MAX + 2);
	assert_true(is_done(json));
	json_decref(json);
	/* what runs is never forgotten */
	json = tasks_json(place->tasks, still);
	assert_false(is_done(json));
	json_decref(json);
	assert_null(tasks_json(place->tasks, 7));
	gate_set(&running, &running.open);
}

static int sleeper_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct gate *gate = *(struct gate **)argument;

	(void)rooms;
	gate_set(gate, &gate->arrived);
	while (task_sleep(task, 3600 * NS_PER_S))
		;
	CHECK(task_is_cancelled(task));
	task_say(task, "given up");
	return -ECANCELED;
}

static void test_cancel__job_sleeps__ends_and_none_is_started(void **state)
{
	struct place *place = *state;
	static struct gate gate;
	int64_t number = 0;
	json_t *json;

	gate_init(&gate);
	number = start(place, "drain", &gate, sleeper_run);
	gate_wait(&gate, &gate.arrived);
	tasks_cancel(place->tasks);
	json = wait_done(place, number);
	assert_string_equal(text_of(json), "given up");
	assert_true(json_is_false(json_object_get(json, "ok")));
	json_decref(json);
	assert_int_equal(start(place, "mesh", &gate, gate_run), -ECANCELED);
	tasks_stop(place->tasks);
}

static int telling_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct gate *gate = *(struct gate **)argument;

	(void)rooms;
	CHECK(task_sleep(task, 1));
	task_progress(task, 0, 1000, "bytes", "begins");
	gate_set(gate, &gate->arrived);
	gate_wait(gate, &gate->open);
	task_progress(task, 250, 1000, "bytes", "a quarter \xff");
	task_result(task, json_pack("{s:i}", "x", 1));
	task_result(task, json_pack("{s:i}", "x", 2));
	task_say(task, "moved %d bytes", 250);
	return 0;
}

static void test_progress__some_done__time_left_follows_from_the_rate(void **state)
{
	struct place *place = *state;
	static struct gate gate;
	json_t *json, *progress;
	int64_t number;

	gate_init(&gate);
	number = start(place, "drain", &gate, telling_run);
	gate_wait(&gate, &gate.arrived);
	json = tasks_json(place->tasks, number);
	progress = json_object_get(json, "progress");
	assert_int_equal(json_integer_value(json_object_get(progress, "total")), 1000);
	assert_true(json_is_null(json_object_get(progress, "left_ns"))); /* no rate yet */
	assert_string_equal(text_of(progress), "begins");
	assert_true(json_is_null(json_object_get(json, "result")));
	json_decref(json);
	clock_manual_advance(&place->clock, 5 * NS_PER_S);
	gate_set(&gate, &gate.open);
	json = wait_done(place, number);
	progress = json_object_get(json, "progress");
	assert_int_equal(json_integer_value(json_object_get(progress, "done")), 250);
	assert_int_equal(json_integer_value(json_object_get(progress, "rate")), 50);
	assert_int_equal(json_integer_value(json_object_get(progress, "left_ns")), 15 * NS_PER_S);
	assert_string_equal(text_of(progress), "?"); /* no text: JSON cannot hold it */
	assert_string_equal(text_of(json), "moved 250 bytes");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "result"), "x")),
			 2);
	json_decref(json);
}

static int steady_run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct place *place = *(struct place **)argument;

	(void)rooms;
	/* slow for a minute, then ten times as fast for long enough */
	for (unsigned i = 0; i <= 60; i++) {
		task_progress(task, i, 10000, "blocks", "");
		clock_manual_advance(&place->clock, NS_PER_S);
	}
	for (unsigned i = 0; i < 30; i++) {
		task_progress(task, 60 + 10 * i, 10000, "blocks", "");
		clock_manual_advance(&place->clock, NS_PER_S);
	}
	task_progress(task, 360, 10000, "blocks", "");
	return 0;
}

static void test_progress__rate_changes__only_the_last_seconds_count(void **state)
{
	struct place **argument = malloc(sizeof(struct place *));
	struct place *place = *state;
	const struct task_job job = { .kind = "x", .run = steady_run, .argument = argument };
	json_t *json;

	assert_non_null(argument);
	*argument = place;
	json = wait_done(place, tasks_start(place->tasks, &job));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(json, "progress"), "left_ns")),
		964 * NS_PER_S);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start__job__runs_and_is_told, place_setup,
						place_teardown),
		cmocka_unit_test_setup_teardown(test_start__job_that_fails__its_error_is_told,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_start__shared_kind_runs__gives_its_number,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_start__same_kind_runs__is_busy, place_setup,
						place_teardown),
		cmocka_unit_test_setup_teardown(test_start__all_places_taken__is_refused,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_json__many_later_ones__forgets_the_oldest,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_cancel__job_sleeps__ends_and_none_is_started,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
			test_progress__some_done__time_left_follows_from_the_rate, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(
			test_progress__rate_changes__only_the_last_seconds_count, place_setup,
			place_teardown),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

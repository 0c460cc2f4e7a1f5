/*
 * Tests of scheduler.h.
 */
#include "s3/engine/scheduler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "base/check.h"
#include "s3/engine/operation.h"

#define NOW (1000 * NS_PER_S)

static uint64_t cost_of_key(const struct s3_request *request)
{
	return request->key ? strlen(request->key) : 0;
}

static const struct s3_operation operation = { .cost = cost_of_key };

static struct s3_request make(bool background, uint64_t deadline_ns)
{
	return (struct s3_request){ .background = background,
				    .deadline_ns = deadline_ns,
				    .own.operation = &operation };
}

static void submit(struct scheduler *scheduler, struct s3_request *requests, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_true(scheduler_submit(scheduler, &requests[i]));
}

static struct s3_request *next(struct scheduler *scheduler, uint64_t now_ns)
{
	unsigned engine;
	uint64_t wake_ns;
	return scheduler_next(scheduler, now_ns, &engine, &wake_ns);
}

static void drain(struct scheduler *scheduler)
{
	while (scheduler_drain(scheduler))
		;
	scheduler_fini(scheduler);
}

static void test_scheduler_next__background_queued_first__foreground_overtakes(void **state)
{
	struct s3_request requests[] = { make(true, CLOCK_NEVER), make(true, CLOCK_NEVER),
					 make(false, CLOCK_NEVER), make(false, CLOCK_NEVER) };
	struct scheduler scheduler;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	submit(&scheduler, requests, 4);
	assert_ptr_equal(next(&scheduler, NOW), &requests[2]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[3]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[1]);
	assert_null(next(&scheduler, NOW));
	drain(&scheduler);
}

static void
test_scheduler_promote__of_a_waiting_one__puts_it_in_front_of_the_background(void **state)
{
	struct s3_request requests[] = { make(true, CLOCK_NEVER), make(true, CLOCK_NEVER),
					 make(true, CLOCK_NEVER), make(false, CLOCK_NEVER) };
	struct scheduler scheduler;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	submit(&scheduler, requests, 4);
	scheduler_promote(&scheduler, &requests[1]);
	scheduler_promote(&scheduler, &requests[3]); /* changes nothing */
	assert_ptr_equal(next(&scheduler, NOW), &requests[3]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[1]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	/* under way: counts when it comes back from a pause */
	scheduler_promote(&scheduler, &requests[0]);
	scheduler_release(&scheduler, &requests[0], 0);
	scheduler_pause(&scheduler, &requests[0], NOW);
	assert_null(scheduler_expire(&scheduler, NOW));
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[2]);
	drain(&scheduler);
}

static void test_scheduler_next__background_only__leaves_one_in_eight_free(void **state)
{
	struct s3_request background[20], foreground[5];
	struct scheduler scheduler;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(background); i++)
		background[i] = make(true, CLOCK_NEVER);
	for (unsigned i = 0; i < ARRAY_COUNT(foreground); i++)
		foreground[i] = make(false, CLOCK_NEVER);
	assert_int_equal(scheduler_init(&scheduler, 2, 8, 64), 0);
	submit(&scheduler, background, 20);
	while (next(&scheduler, NOW))
		count++;
	assert_int_equal(count, 14);
	submit(&scheduler, foreground, 5);
	assert_ptr_equal(next(&scheduler, NOW), &foreground[0]);
	assert_ptr_equal(next(&scheduler, NOW), &foreground[1]);
	assert_null(next(&scheduler, NOW)); /* 16 connections */
	drain(&scheduler);
}

static void test_scheduler_next__engines__the_first_that_has_time_and_room(void **state)
{
	static const struct {
		bool busy[2]; /* from here on */
		unsigned wanted;
	} rows[] = {
		{ { false, false }, 0 }, { { false, false }, 0 }, { { true, false }, 1 },
		{ { true, true }, 1 },	 { { true, true }, 0 },	  { { true, true }, 1 },
		{ { false, true }, 0 },	 { { false, false }, 1 },
	};
	struct s3_request requests[ARRAY_COUNT(rows)];
	struct scheduler scheduler;
	unsigned engine;
	uint64_t wake_ns;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 2, 4, 64), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		requests[i] = make(false, CLOCK_NEVER);
	submit(&scheduler, requests, ARRAY_COUNT(rows));
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		scheduler_note_busy(&scheduler, 0, rows[i].busy[0]);
		scheduler_note_busy(&scheduler, 1, rows[i].busy[1]);
		assert_non_null(scheduler_next(&scheduler, NOW, &engine, &wake_ns));
		assert_int_equal(engine, rows[i].wanted);
	}
	assert_null(scheduler_next(&scheduler, NOW, &engine, &wake_ns));
	drain(&scheduler);
}

static void test_scheduler_next__concurrent_max__is_live(void **state)
{
	struct s3_request requests[6];
	struct scheduler scheduler;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		requests[i] = make(false, CLOCK_NEVER);
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	scheduler.concurrent_max = 2;
	submit(&scheduler, requests, 6);
	assert_non_null(next(&scheduler, NOW));
	assert_non_null(next(&scheduler, NOW));
	assert_null(next(&scheduler, NOW));
	scheduler.concurrent_max = 3;
	assert_non_null(next(&scheduler, NOW));
	assert_null(next(&scheduler, NOW));
	scheduler.concurrent_max = 1;
	scheduler_release(&scheduler, &requests[0], 0);
	assert_null(next(&scheduler, NOW));
	drain(&scheduler);
}

static void test_scheduler_next__budget_spent__says_when_to_ask_again(void **state)
{
	struct s3_request requests[] = { make(false, CLOCK_NEVER), make(false, CLOCK_NEVER) };
	struct scheduler scheduler;
	unsigned engine;
	uint64_t wake_ns;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	budget_set(&scheduler.budget, 1, 0, NOW);
	submit(&scheduler, requests, 2);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	assert_null(scheduler_next(&scheduler, NOW, &engine, &wake_ns));
	assert_in_range(wake_ns, NOW + NS_PER_S, NOW + NS_PER_S + 10);
	assert_ptr_equal(next(&scheduler, wake_ns), &requests[1]);
	assert_in_range(scheduler.budget_wait_ns, NS_PER_S, NS_PER_S + 10);
	drain(&scheduler);
}

static void test_scheduler_release__bytes_that_did_not_come__are_settled(void **state)
{
	struct s3_request requests[] = { make(false, CLOCK_NEVER), make(false, CLOCK_NEVER) };
	struct scheduler scheduler;

	(void)state;
	requests[0].key = requests[1].key = "a key of more than ten bytes";
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	budget_set(&scheduler.budget, 0, 10, NOW);
	submit(&scheduler, requests, 2);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	assert_null(next(&scheduler, NOW));
	scheduler_release(&scheduler, &requests[0], 0);
	assert_ptr_equal(next(&scheduler, NOW), &requests[1]);
	drain(&scheduler);
}

static void test_scheduler_next__abandoned__costs_no_budget(void **state)
{
	struct s3_request requests[] = { make(false, CLOCK_NEVER), make(false, CLOCK_NEVER),
					 make(false, CLOCK_NEVER) };
	_Atomic bool abandoned = true;
	struct scheduler scheduler;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	budget_set(&scheduler.budget, 1, 0, NOW);
	requests[0].own.abandoned = &abandoned;
	submit(&scheduler, requests, 3);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	assert_ptr_equal(next(&scheduler, NOW), &requests[1]);
	assert_null(next(&scheduler, NOW));
	drain(&scheduler);
}

static void test_scheduler_next__held__hands_out_nothing(void **state)
{
	struct s3_request request = make(false, CLOCK_NEVER);
	struct scheduler scheduler;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 8, 16), 0);
	scheduler.held = true;
	submit(&scheduler, &request, 1);
	assert_null(next(&scheduler, NOW));
	scheduler.held = false;
	assert_ptr_equal(next(&scheduler, NOW), &request);
	drain(&scheduler);
}

static void test_scheduler_submit__queue_full__is_refused(void **state)
{
	struct s3_request requests[3];
	struct scheduler scheduler;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		requests[i] = make(false, CLOCK_NEVER);
	assert_int_equal(scheduler_init(&scheduler, 1, 1, 2), 0);
	submit(&scheduler, requests, 2);
	assert_false(scheduler_submit(&scheduler, &requests[2]));
	assert_non_null(next(&scheduler, NOW));
	assert_true(scheduler_submit(&scheduler, &requests[2]));
	/* what ran comes back although the queue is full */
	scheduler_release(&scheduler, &requests[0], 0);
	scheduler_pause(&scheduler, &requests[0], NOW + 1);
	assert_int_equal(scheduler.waiting, 3);
	drain(&scheduler);
}

static void test_scheduler_expire__deadlines_and_pauses(void **state)
{
	struct s3_request requests[] = { make(false, NOW + 10), make(true, NOW + 20),
					 make(false, CLOCK_NEVER) };
	struct scheduler scheduler;

	(void)state;
	assert_int_equal(scheduler_init(&scheduler, 1, 1, 16), 0);
	submit(&scheduler, requests, 3);
	assert_ptr_equal(next(&scheduler, NOW), &requests[0]);
	scheduler_release(&scheduler, &requests[0], 0);
	scheduler_pause(&scheduler, &requests[0], NOW + 5);
	assert_int_equal(timers_next_ns(&scheduler.timers), NOW + 5);
	assert_null(scheduler_expire(&scheduler, NOW + 4));
	/* the pause is over: it goes ahead of what came later */
	assert_null(scheduler_expire(&scheduler, NOW + 5));
	assert_ptr_equal(next(&scheduler, NOW + 5), &requests[0]);
	scheduler_release(&scheduler, &requests[0], 0);
	scheduler_pause(&scheduler, &requests[0], NOW + 100);
	assert_null(scheduler_expire(&scheduler, NOW + 9));
	assert_ptr_equal(scheduler_expire(&scheduler, NOW + 10), &requests[0]);
	assert_null(scheduler_expire(&scheduler, NOW + 10));
	assert_ptr_equal(scheduler_expire(&scheduler, NOW + 20), &requests[1]);
	assert_null(scheduler_expire(&scheduler, NOW + 1000));
	assert_int_equal(scheduler.waiting, 1);
	drain(&scheduler);
}

static void test_scheduler_init__no_memory__leaves_nothing(void **state)
{
	struct scheduler scheduler;

	(void)state;
	for (unsigned n = 1;; n++) {
		allocation_fault_arm(n);
		int error = scheduler_init(&scheduler, 2, 2, 16);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
	}
	scheduler_fini(&scheduler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_scheduler_next__background_queued_first__foreground_overtakes),
		cmocka_unit_test(
			test_scheduler_promote__of_a_waiting_one__puts_it_in_front_of_the_background),
		cmocka_unit_test(test_scheduler_next__background_only__leaves_one_in_eight_free),
		cmocka_unit_test(test_scheduler_next__engines__the_first_that_has_time_and_room),
		cmocka_unit_test(test_scheduler_next__concurrent_max__is_live),
		cmocka_unit_test(test_scheduler_next__budget_spent__says_when_to_ask_again),
		cmocka_unit_test(test_scheduler_release__bytes_that_did_not_come__are_settled),
		cmocka_unit_test(test_scheduler_next__abandoned__costs_no_budget),
		cmocka_unit_test(test_scheduler_next__held__hands_out_nothing),
		cmocka_unit_test(test_scheduler_submit__queue_full__is_refused),
		cmocka_unit_test(test_scheduler_expire__deadlines_and_pauses),
		cmocka_unit_test(test_scheduler_init__no_memory__leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

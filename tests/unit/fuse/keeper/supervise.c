/*
 * Tests of fuse/keeper/supervise.h.
 */
#include "fuse/keeper/supervise.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

static const struct supervise_end killed = { .signal = SIGKILL };
static const struct supervise_end crashed = { .signal = SIGSEGV };
static const struct supervise_end failed = { .status = 1 };
static const struct supervise_end misused = { .status = 2 };
static const struct supervise_end ended = { .status = 0 };
static const struct supervise_end unknown = { .status = -1 };

/* One that serves at @now_ns. */
static struct supervise serving(uint64_t now_ns)
{
	struct supervise supervise = { 0 };

	supervise_started(&supervise, now_ns);
	supervise_serving(&supervise, now_ns);
	return supervise;
}

/* The next one serves as soon as it may. */
static uint64_t serve_again(struct supervise *supervise)
{
	uint64_t due_ns = supervise_due_ns(supervise);

	supervise_started(supervise, due_ns);
	supervise_serving(supervise, due_ns);
	return due_ns;
}

static void test_ended__never_served__quits_with_its_status(void **state)
{
	static const struct {
		const struct supervise_end *end;
		int status;
	} rows[] = {
		{ &failed, 1 }, { &misused, 2 }, { &ended, 0 }, { &crashed, 1 }, { &unknown, 1 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct supervise supervise = { 0 };
		int status = -1;

		supervise_started(&supervise, 0);
		assert_int_equal(supervise_ended(&supervise, rows[i].end, 5, &status),
				 SUPERVISE_QUIT);
		assert_int_equal(status, rows[i].status);
	}
}

static void test_ended__stopping_or_told__quits(void **state)
{
	static const struct {
		const struct supervise_end *end;
		bool stopping;
		int status;
	} rows[] = { { &ended, true, 0 },
		     { &unknown, true, 0 },
		     { &failed, true, 1 },
		     { &unknown, false, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct supervise supervise = serving(0);
		int status = -1;

		assert_false(supervise_told(&supervise));
		if (rows[i].stopping)
			supervise_stopping(&supervise);
		assert_int_equal(supervise_ended(&supervise, rows[i].end, 5, &status),
				 SUPERVISE_QUIT);
		assert_int_equal(status, rows[i].status);
	}
}

static void test_ended__killed_when_told__one_more_takes_the_mount_off(void **state)
{
	static const bool stopping[] = { true, false };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(stopping); i++) {
		struct supervise supervise = serving(0);
		int status = -1;

		assert_false(supervise_told(&supervise));
		if (stopping[i])
			supervise_stopping(&supervise);
		assert_int_equal(supervise_ended(&supervise, &killed, 5, &status), SUPERVISE_AGAIN);
		assert_int_equal(supervise_due_ns(&supervise), 5);
		supervise_started(&supervise, 5);
		assert_int_equal(supervise_ended(&supervise, &killed, 6, &status), SUPERVISE_QUIT);
		assert_int_equal(status, 1);
	}
}

static void test_ended__by_itself_again_and_again__pauses_grow(void **state)
{
	static const uint64_t pauses_ms[] = { 0, 100, 500, 1000, 2000, 5000, 10000, 30000, 30000 };
	struct supervise supervise = serving(1000);
	uint64_t now_ns = 1000;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(pauses_ms); i++) {
		now_ns += NS_PER_S;
		assert_int_equal(supervise_ended(&supervise, &crashed, now_ns, NULL),
				 i + 1 == SUPERVISE_BROKEN_MAX ? SUPERVISE_AGAIN_FRESH
							       : SUPERVISE_AGAIN);
		assert_int_equal(supervise_due_ns(&supervise) - now_ns, pauses_ms[i] * NS_PER_MS);
		now_ns = serve_again(&supervise);
		assert_int_equal(supervise_due_ns(&supervise), UINT64_MAX);
	}
}

static void test_ended__killed_while_serving__is_replaced_at_once(void **state)
{
	struct supervise supervise = serving(0);
	uint64_t now_ns = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		bool soon = i % 2;

		now_ns += SUPERVISE_SOON_NS - soon;
		assert_int_equal(
			supervise_ended(&supervise, i % 3 ? &killed : &unknown, now_ns, NULL),
			SUPERVISE_AGAIN);
		assert_int_equal(supervise_due_ns(&supervise) - now_ns, soon ? 100 * NS_PER_MS : 0);
		now_ns = serve_again(&supervise);
	}
}

static void test_ended__killed_before_it_serves__pauses_do_not_grow(void **state)
{
	struct supervise supervise = serving(0);

	(void)state;
	supervise_ended(&supervise, &killed, SUPERVISE_SOON_NS, NULL);
	for (unsigned i = 0; i < 20; i++) {
		supervise_started(&supervise, 0);
		assert_int_equal(supervise_ended(&supervise, &killed, 5, NULL), SUPERVISE_AGAIN);
	}
	assert_int_equal(supervise_due_ns(&supervise), 5 + 100 * NS_PER_MS);
}

static void test_ended__after_a_minute_of_serving__pauses_start_over(void **state)
{
	struct supervise supervise = serving(0);
	uint64_t now_ns = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		now_ns += SUPERVISE_WELL_NS;
		assert_int_equal(supervise_ended(&supervise, &crashed, now_ns, NULL),
				 SUPERVISE_AGAIN);
		assert_int_equal(supervise_due_ns(&supervise), now_ns);
		serve_again(&supervise);
	}
}

static void test_ended__by_itself_too_often__begins_afresh_and_goes_on(void **state)
{
	struct supervise supervise = serving(0);

	(void)state;
	for (unsigned i = 1; i <= 4 * SUPERVISE_BROKEN_MAX; i++) {
		assert_int_equal(supervise_ended(&supervise, i % 2 ? &crashed : &failed, i, NULL),
				 i % SUPERVISE_BROKEN_MAX == 0 ? SUPERVISE_AGAIN_FRESH
							       : SUPERVISE_AGAIN);
		supervise_started(&supervise, 0); /* and does not get to serve */
	}
}

static void test_ended__leaving__is_none_of_its_failures(void **state)
{
	struct supervise supervise = serving(0);

	(void)state;
	assert_int_equal(supervise_ended(&supervise, &crashed, 1, NULL), SUPERVISE_AGAIN);
	serve_again(&supervise);
	supervise_leaving(&supervise);
	assert_int_equal(supervise_ended(&supervise, &ended, 2, NULL), SUPERVISE_AGAIN);
	assert_int_equal(supervise_due_ns(&supervise), 2);
	assert_int_equal(supervise.broken, 0);
}

static void test_told__in_a_pause__wants_a_worker_to_stop(void **state)
{
	struct supervise supervise = serving(0);
	int status = -1;

	(void)state;
	supervise_ended(&supervise, &killed, 1, NULL);
	assert_true(supervise_told(&supervise));
	supervise_started(&supervise, 0);
	supervise_stopping(&supervise);
	assert_int_equal(supervise_ended(&supervise, &ended, 2, &status), SUPERVISE_QUIT);
	assert_int_equal(status, 0);
}

static void test_failed__could_not_be_started__pauses(void **state)
{
	struct supervise supervise = serving(0);

	(void)state;
	supervise_ended(&supervise, &crashed, 1, NULL);
	supervise_failed(&supervise, 1);
	assert_int_equal(supervise_due_ns(&supervise), 1 + 100 * NS_PER_MS);
}

static void test_stuck__only_where_readers_wait(void **state)
{
	struct supervise first = { 0 }, next = serving(0);

	(void)state;
	supervise_started(&first, 5);
	assert_false(supervise_stuck(&first, 5 + 2 * SUPERVISE_START_NS));
	assert_false(supervise_stuck(&next, 2 * SUPERVISE_START_NS));
	supervise_ended(&next, &killed, 5, NULL);
	assert_false(supervise_stuck(&next, 5 + 2 * SUPERVISE_START_NS));
	supervise_started(&next, 5);
	assert_false(supervise_stuck(&next, 5 + SUPERVISE_START_NS - 1));
	assert_true(supervise_stuck(&next, 5 + SUPERVISE_START_NS));
}

static void test_serving__said_while_stopping__is_ignored(void **state)
{
	struct supervise supervise = serving(0);

	(void)state;
	supervise_stopping(&supervise);
	supervise_serving(&supervise, 5);
	assert_int_equal(supervise.state, SUPERVISE_STOPPING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended__never_served__quits_with_its_status),
		cmocka_unit_test(test_ended__stopping_or_told__quits),
		cmocka_unit_test(test_ended__killed_when_told__one_more_takes_the_mount_off),
		cmocka_unit_test(test_ended__by_itself_again_and_again__pauses_grow),
		cmocka_unit_test(test_ended__killed_while_serving__is_replaced_at_once),
		cmocka_unit_test(test_ended__killed_before_it_serves__pauses_do_not_grow),
		cmocka_unit_test(test_ended__after_a_minute_of_serving__pauses_start_over),
		cmocka_unit_test(test_ended__by_itself_too_often__begins_afresh_and_goes_on),
		cmocka_unit_test(test_ended__leaving__is_none_of_its_failures),
		cmocka_unit_test(test_told__in_a_pause__wants_a_worker_to_stop),
		cmocka_unit_test(test_failed__could_not_be_started__pauses),
		cmocka_unit_test(test_stuck__only_where_readers_wait),
		cmocka_unit_test(test_serving__said_while_stopping__is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of cache/store/space.h.
 */
#include "cache/store/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/check.h"

#define GIB (UINT64_C(1) << 30)

static void test_measure__configured_and_free__the_smaller_less_a_reserve(void **state)
{
	static const struct {
		uint64_t configured, total, free, used, capacity;
	} rows[] = {
		{ 0, 1000 * GIB, 1000 * GIB, 0, 980 * GIB },	    /* 2 % are left alone */
		{ 0, 20 * GIB, 20 * GIB, 0, 19 * GIB },		    /* 1 GiB at least */
		{ 0, 5 * GIB, 5 * GIB, 0, 5 * GIB - GIB / 2 },	    /* but a tenth at most */
		{ 0, 1000 * GIB, 100 * GIB, 300 * GIB, 380 * GIB }, /* others have 600 */
		{ 0, 1000 * GIB, 0, 300 * GIB, 280 * GIB },
		{ 0, 1000 * GIB, 0, 0, 0 },
		{ 50 * GIB, 1000 * GIB, 1000 * GIB, 0, 50 * GIB },
		{ 50 * GIB, 1000 * GIB, 30 * GIB, 10 * GIB, 20 * GIB },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct space space = { .configured = rows[i].configured, .used = rows[i].used };

		space_measure(&space, rows[i].total, rows[i].free);
		assert_int_equal(space.capacity, rows[i].capacity);
	}
}

static void test_fits__promised_and_unswept__count(void **state)
{
	struct space space = { .capacity = GIB };
	uint64_t left;

	(void)state;
	space.used = GIB / 2;
	space.promised = 1000;
	space.index = 3000;
	space.orphans = 50000;
	left = GIB / 2 - SPACE_FIXED - 54000;
	assert_true(space_fits(&space, left));
	assert_false(space_fits(&space, left + 1));
	space.used = GIB + 5; /* others took the room */
	assert_false(space_fits(&space, 0));
}

static void test_view__watermarks__percent_of_the_capacity(void **state)
{
	struct space space = {
		.capacity = 100 * GIB, .high_percent = 95, .low_percent = 90, .used = GIB
	};
	struct policy_space view = space_view(&space, true);

	(void)state;
	assert_int_equal(view.high, 95 * GIB);
	assert_int_equal(view.low, 90 * GIB);
	assert_int_equal(view.used, GIB + SPACE_FIXED);
	assert_true(view.spare);
}

static void test_change__below_zero__zero(void **state)
{
	struct space space = { .used = 10 };

	(void)state;
	space_change(&space, 5);
	assert_int_equal(space.used, 15);
	space_change(&space, -16);
	assert_int_equal(space.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measure__configured_and_free__the_smaller_less_a_reserve),
		cmocka_unit_test(test_fits__promised_and_unswept__count),
		cmocka_unit_test(test_view__watermarks__percent_of_the_capacity),
		cmocka_unit_test(test_change__below_zero__zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of ledger/places.h.
 */
#include "fuse/ledger/places.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "tests/unit/base/allocation_fault.h"

static void test_take__until_none_is_free__all_in_ascending_order(void **state)
{
	static const uint32_t counts[] = { 1, 63, 64, 65, 100, 4096, 4097, 262144 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct places places;

		assert_int_equal(places_init(&places, counts[i]), 0);
		assert_int_equal(places_next(&places, 0, counts[i]), PLACES_NONE);
		for (uint32_t place = 0; place < counts[i]; place++)
			assert_int_equal(places_take(&places), place);
		assert_int_equal(places_take(&places), PLACES_NONE);
		assert_false(places_claim(&places, counts[i] - 1));
		assert_false(places_claim(&places, counts[i]));
		assert_false(places_claim(&places, UINT32_MAX));
		places_free(&places, counts[i] / 2);
		assert_int_equal(places_take(&places), counts[i] / 2);
		assert_int_equal(places_take(&places), PLACES_NONE);
		places_fini(&places);
	}
}

/* Against an array, at random, in all of three levels. */
static void test_places__at_random__agrees_with_an_array(void **state)
{
	enum { COUNT = 5000 };
	static bool taken[COUNT];
	struct places places;
	struct random random;

	(void)state;
	random_init(&random, 42);
	memset(taken, 0, sizeof(taken));
	assert_int_equal(places_init(&places, COUNT), 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t place = (uint32_t)random_below(&random, COUNT), lowest = 0, next = place;
		uint32_t end = place + (uint32_t)random_below(&random, COUNT);

		while (lowest < COUNT && taken[lowest])
			lowest++;
		while (next < COUNT && !taken[next])
			next++;
		assert_int_equal(places_taken(&places, place), taken[place]);
		assert_int_equal(places_next(&places, place, end),
				 next < end && next < COUNT ? next : PLACES_NONE);
		if (taken[place] && i / 5000 % 2) {
			places_free(&places, place);
			taken[place] = false;
		} else if (random_below(&random, 2)) {
			assert_int_equal(places_claim(&places, place), !taken[place]);
			taken[place] = true;
		} else if (lowest < COUNT) {
			assert_int_equal(places_take(&places), lowest);
			taken[lowest] = true;
		}
	}
	places_fini(&places);
}

static void test_init__no_memory__says_so(void **state)
{
	struct places places = { 0 };

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(places_init(&places, 100), -ENOMEM);
	assert_true(allocation_fault_disarm());
	places_fini(&places); /* of what was never made */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take__until_none_is_free__all_in_ascending_order),
		cmocka_unit_test(test_places__at_random__agrees_with_an_array),
		cmocka_unit_test(test_init__no_memory__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

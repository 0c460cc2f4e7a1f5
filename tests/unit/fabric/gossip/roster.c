/*
 * Tests of fabric/gossip/roster.h.
 */
#include "fabric/gossip/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define LIMIT 300

static struct member_id id_of(uint32_t number)
{
	struct member_id id = { { 1 } };

	memcpy(id.bytes + 1, &number, sizeof(number));
	return id;
}

static void roster_of(struct roster *roster, uint32_t count)
{
	struct member_id self = id_of(0);

	assert_int_equal(roster_init(roster, &self, LIMIT), 0);
	for (uint32_t i = 1; i < count; i++) {
		struct member_id id = id_of(i);

		assert_int_equal(roster_add(roster, &id), i);
	}
}

static void test_find__those_added__have_their_index(void **state)
{
	struct member_id nobody = id_of(9999);
	struct roster roster;

	(void)state;
	roster_of(&roster, 200);
	for (uint32_t i = 0; i < 200; i++) {
		struct member_id id = id_of(i);

		assert_int_equal(roster_find(&roster, &id), i);
		assert_true(member_id_equal(&roster_entry(&roster, i)->id, &id));
	}
	assert_int_equal(roster_find(&roster, &nobody), SWIM_NOBODY);
	assert_null(roster_entry(&roster, 200));
	assert_null(roster_entry(&roster, SWIM_NOBODY));
	roster_fini(&roster);
}

static void test_remove__its_index__is_used_again(void **state)
{
	struct member_id gone = id_of(7), new = id_of(1000);
	struct roster roster;

	(void)state;
	roster_of(&roster, 20);
	roster_touch(&roster, 7);
	roster_remove(&roster, 7);
	assert_null(roster_entry(&roster, 7));
	assert_null(roster_touched(&roster));
	assert_int_equal(roster_find(&roster, &gone), SWIM_NOBODY);
	assert_int_equal(roster_add(&roster, &new), 7);
	assert_int_equal(roster.count, 20);
	roster_fini(&roster);
}

static void test_add__at_the_limit__is_refused(void **state)
{
	struct member_id more = id_of(LIMIT), again = id_of(LIMIT + 1);
	struct roster roster;

	(void)state;
	roster_of(&roster, LIMIT);
	assert_int_equal(roster_add(&roster, &more), SWIM_NOBODY);
	roster_remove(&roster, 5);
	assert_int_equal(roster_add(&roster, &again), 5);
	roster_fini(&roster);
}

static void test_touched__each_once__in_order(void **state)
{
	struct roster roster;

	(void)state;
	roster_of(&roster, 10);
	roster_touch(&roster, 3);
	roster_touch(&roster, 1);
	roster_touch(&roster, 3);
	roster_touch(&roster, SWIM_NOBODY);
	assert_int_equal(roster_touched(&roster)->index, 3);
	assert_int_equal(roster_touched(&roster)->index, 1);
	assert_null(roster_touched(&roster));
	roster_fini(&roster);
}

static void test_at__address_of_one__is_found_until_it_moves(void **state)
{
	struct address address, other;
	char problem[128];
	struct roster roster;

	(void)state;
	assert_int_equal(address_parse("10.0.0.7:7472", 0, &address, problem, sizeof(problem)), 0);
	assert_int_equal(address_parse("10.0.0.7:7473", 0, &other, problem, sizeof(problem)), 0);
	roster_of(&roster, 10);
	assert_int_equal(roster_at(&roster, &address), SWIM_NOBODY);
	roster_entry(&roster, 4)->details.gossip = address;
	roster_entry(&roster, 4)->has_details = true;
	assert_int_equal(roster_at(&roster, &address), 4);
	assert_int_equal(roster_at(&roster, &other), SWIM_NOBODY);
	roster_entry(&roster, 4)->details.gossip = other;
	assert_int_equal(roster_at(&roster, &address), SWIM_NOBODY);
	roster_fini(&roster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find__those_added__have_their_index),
		cmocka_unit_test(test_remove__its_index__is_used_again),
		cmocka_unit_test(test_add__at_the_limit__is_refused),
		cmocka_unit_test(test_touched__each_once__in_order),
		cmocka_unit_test(test_at__address_of_one__is_found_until_it_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

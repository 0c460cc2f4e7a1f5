/*
 * mesh_schedule.c - the rounds of every number of members.
 */
#include "tools/daemon/mesh_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void check_round(unsigned members, const struct mesh_pair *pairs, unsigned count)
{
	bool busy[MESH_MEMBERS_MAX] = { false };

	for (unsigned i = 0; i < count; i++) {
		assert_true(pairs[i].reader < members && pairs[i].target < members);
		assert_int_not_equal(pairs[i].reader, pairs[i].target);
		assert_false(busy[pairs[i].reader]);
		assert_false(busy[pairs[i].target]);
		busy[pairs[i].reader] = busy[pairs[i].target] = true;
	}
}

static void test_mesh_round__any_number_of_members__each_ordered_pair_once(void **state)
{
	static bool seen[MESH_MEMBERS_MAX][MESH_MEMBERS_MAX];
	struct mesh_pair pairs[MESH_PAIRS_MAX];

	(void)state;
	for (unsigned members = 2; members <= MESH_MEMBERS_MAX; members++) {
		unsigned total = 0;

		memset(seen, 0, sizeof(seen));
		for (unsigned round = 0; round < mesh_round_count(members); round++) {
			unsigned count = mesh_round(members, round, pairs);

			check_round(members, pairs, count);
			/* nobody rests but the odd one */
			assert_int_equal(count, members / 2);
			for (unsigned i = 0; i < count; i++) {
				assert_false(seen[pairs[i].reader][pairs[i].target]);
				seen[pairs[i].reader][pairs[i].target] = true;
			}
			total += count;
		}
		assert_int_equal(total, members * (members - 1));
	}
}

static void test_mesh_round__of_two__one_then_the_other_way(void **state)
{
	struct mesh_pair pairs[MESH_PAIRS_MAX];

	(void)state;
	assert_int_equal(mesh_round_count(2), 2);
	assert_int_equal(mesh_round(2, 0, pairs), 1);
	assert_int_equal(pairs[0].reader, 0);
	assert_int_equal(pairs[0].target, 1);
	assert_int_equal(mesh_round(2, 1, pairs), 1);
	assert_int_equal(pairs[0].reader, 1);
	assert_int_equal(pairs[0].target, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_round__any_number_of_members__each_ordered_pair_once),
		cmocka_unit_test(test_mesh_round__of_two__one_then_the_other_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

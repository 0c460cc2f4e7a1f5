/*
 * Tests of fabric/gossip/membership.h: the keys of all members are exchanged.
 */
#include "fabric/gossip/membership.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fabric/gossip/cluster.h"
#include "tests/unit/fabric/gossip/rig.h"

static int keys(struct node *node, enum membership_keys_action action, const uint8_t *id,
		bool force, struct membership_task *out)
{
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";
	int64_t task = membership_keys(node->membership, action, NULL, id, false, force, problem,
				       sizeof(problem));

	if (task < 0)
		return (int)task;
	node_wait_task(node, task, out);
	return out->status;
}

/* Whether all of @count rings hold @expected keys, the first of them @used. */
static void check_rings(struct cluster *cluster, unsigned count, unsigned expected,
			const uint8_t *used)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];

		assert_int_equal(keyring_list(cluster->nodes[i].ring, ids), expected);
		assert_memory_equal(ids[0], used, KEYRING_ID_LEN);
	}
}

static void test_keys__exchanged_by_three_steps__on_all_members_and_in_their_files(void **state)
{
	struct cluster *cluster = *state;
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN], old_id[KEYRING_ID_LEN];
	struct membership_task task;

	cluster_join_all(cluster, 3);
	rig_key_id(1, old_id);
	assert_int_equal(keys(&cluster->nodes[0], MEMBERSHIP_KEYS_ADD, NULL, false, &task), 0);
	check_rings(cluster, 3, 2, old_id);
	assert_int_equal(keyring_list(cluster->nodes[0].ring, ids), 2);
	assert_int_equal(keys(&cluster->nodes[1], MEMBERSHIP_KEYS_USE, ids[1], false, &task), 0);
	check_rings(cluster, 3, 2, ids[1]);
	assert_int_equal(keys(&cluster->nodes[2], MEMBERSHIP_KEYS_REMOVE, old_id, false, &task), 0);
	check_rings(cluster, 3, 1, ids[1]);
	assert_int_equal(keys(&cluster->nodes[0], MEMBERSHIP_KEYS_LIST, NULL, false, &task), 0);
	assert_int_equal(task.answered, 3);
	for (unsigned i = 0; i < 3; i++) {
		char problem[MEMBERSHIP_PROBLEM_MAX];
		struct keyring *kept;
		struct keyring_key key;

		assert_int_equal(
			keyring_load(cluster->nodes[i].secret, &kept, problem, sizeof(problem)), 0);
		assert_int_equal(keyring_used(kept, &key), 0);
		assert_memory_equal(key.id, ids[1], KEYRING_ID_LEN);
		keyring_destroy(kept);
		node_wait_state(&cluster->nodes[i], "n0", MEMBERSHIP_ALIVE);
	}
}

static void test_keys__step_that_would_leave_one_behind__changes_nothing(void **state)
{
	struct cluster *cluster = *state;
	uint8_t key[KEYRING_KEY_LEN], id[KEYRING_ID_LEN], old_id[KEYRING_ID_LEN];
	struct membership_task task;

	cluster_join_all(cluster, 3);
	rig_key(5, key);
	rig_key_id(5, id);
	rig_key_id(1, old_id);
	assert_int_equal(keyring_add(cluster->nodes[0].ring, key), 0);
	assert_int_equal(keyring_add(cluster->nodes[1].ring, key), 0);
	assert_int_equal(keys(&cluster->nodes[0], MEMBERSHIP_KEYS_USE, id, false, &task), -EBUSY);
	assert_int_equal(task.failed, 1);
	check_rings(cluster, 2, 2, old_id);
	assert_int_equal(keys(&cluster->nodes[0], MEMBERSHIP_KEYS_REMOVE, old_id, false, &task),
			 -EBUSY);
	assert_int_equal(keys(&cluster->nodes[2], MEMBERSHIP_KEYS_USE, id, false, &task), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
		TEST(test_keys__exchanged_by_three_steps__on_all_members_and_in_their_files),
		TEST(test_keys__step_that_would_leave_one_behind__changes_nothing),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

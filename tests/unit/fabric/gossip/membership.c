/*
 * Tests of fabric/gossip/membership.h: several members in one process, on the loopback, with short
 * intervals. What is waited for has a bound; nothing is measured.
 */
#include "fabric/gossip/membership.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "fabric/gossip/seal.h"
#include "fabric/gossip/state.h"
#include "fabric/keyring.h"
#include "tests/unit/fabric/gossip/rig.h"

#define NODES_MAX   4
#define BOUND_MS    30000
#define PAUSE_MS    10
#define MEMBERS_MAX 16

struct node {
	struct membership *membership;
	struct keyring *ring;
	char dir[96], secret[128], address[64];
	_Atomic unsigned changes;
};

struct rig {
	char dir[64];
	struct node nodes[NODES_MAX];
};

static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(rig->dir, "/tmp/cenote-membership-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	*state = rig;
	return 0;
}

static void node_stop(struct node *node)
{
	membership_stop(node->membership);
	membership_destroy(node->membership);
	keyring_destroy(node->ring);
	node->membership = NULL;
	node->ring = NULL;
}

static int path_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < NODES_MAX; i++)
		if (rig->nodes[i].membership)
			node_stop(&rig->nodes[i]);
	assert_int_equal(nftw(rig->dir, path_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(rig);
	return 0;
}

static void on_change(void *context, const struct membership_member *member, bool gone)
{
	struct node *node = context;

	(void)member;
	(void)gone;
	atomic_fetch_add(&node->changes, 1);
}

static void config_make(struct membership_config *config)
{
	assert_int_equal(option_defaults(&membership_options, config), 0);
	free(config->listen);
	config->listen = strdup("127.0.0.1:0");
	config->leave_timeout = 2 * NS_PER_S;
	config->swim.probe_interval = 100 * NS_PER_MS;
	config->swim.probe_timeout = 50 * NS_PER_MS;
	config->swim.gossip_interval = 20 * NS_PER_MS;
}

struct variant {
	const char *cluster, *state_dir, *join, *listen;
	uint8_t key;
	uint64_t restart_timeout;
};

/* The node at @index: its own directory, or that of @variant. */
static struct node *node_make(struct rig *rig, unsigned index, const struct variant *variant)
{
	struct node *node = &rig->nodes[index];
	struct membership_details details = { .capacity = index };
	struct membership_subscriber subscriber = { node, on_change };
	struct membership_summary summary;
	struct membership_config config;
	struct membership_setup setup = { .config = &config,
					  .clock = clock_system(),
					  .cluster =
						  variant->cluster ? variant->cluster : RIG_CLUSTER,
					  .secret_file = node->secret,
					  .state_dir = node->dir,
					  .details = &details };
	uint8_t key[KEYRING_KEY_LEN];
	char problem[MEMBERSHIP_PROBLEM_MAX], text[ADDRESS_TEXT_MAX];
	char parent[sizeof(rig->dir)]; /* gcc cannot tell that members of the rig do not overlap */

	memcpy(parent, rig->dir, sizeof(parent));
	snprintf(details.name, sizeof(details.name), "n%u", index);
	snprintf(node->dir, sizeof(node->dir), "%s/%s%u", parent,
		 variant->state_dir ? variant->state_dir : "n", index);
	snprintf(node->secret, sizeof(node->secret), "%s/secret%u", parent, index);
	assert_int_equal(keyring_create(&node->ring), 0);
	rig_key(variant->key ? variant->key : 1, key);
	assert_int_equal(keyring_add(node->ring, key), 0);
	setup.ring = node->ring;
	config_make(&config);
	config.restart_timeout = variant->restart_timeout;
	if (variant->listen) {
		free(config.listen);
		config.listen = strdup(variant->listen);
	}
	if (variant->join) {
		config.join.items = calloc(1, sizeof(char *));
		assert_non_null(config.join.items);
		config.join.items[config.join.count++] = strdup(variant->join);
	}
	if (membership_create(&setup, &node->membership, problem, sizeof(problem)) != 0)
		fail_msg("%s", problem);
	option_free(&membership_options, &config);
	assert_int_equal(membership_subscribe(node->membership, &subscriber), 0);
	assert_int_equal(membership_start(node->membership), 0);
	membership_summary(node->membership, &summary);
	snprintf(node->address, sizeof(node->address), "%s", address_text(&summary.gossip, text));
	return node;
}

static const struct variant plain = { .cluster = NULL };

static struct node *node_start(struct rig *rig, unsigned index)
{
	return node_make(rig, index, &plain);
}

/* The member called @name, as @node sees it. Return: false when it does not. */
static bool member_of(struct node *node, const char *name, struct membership_member *out)
{
	struct membership_member members[MEMBERS_MAX];
	unsigned count = membership_members(node->membership, 0, MEMBERS_MAX, members);

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(members[i].details.name, name) != 0)
			continue;
		*out = members[i];
		return true;
	}
	return false;
}

static void wait_state(struct node *node, const char *name, enum membership_state state)
{
	struct membership_member member = { 0 };
	bool there = false;

	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		there = member_of(node, name, &member);
		if (there && member.state == state)
			return;
		poll(NULL, 0, PAUSE_MS);
	}
	fail_msg("%s is %s, not %s", name, there ? membership_state_names[member.state] : "unknown",
		 membership_state_names[state]);
}

static void wait_task(struct node *node, int64_t number, struct membership_task *out)
{
	assert_true(number > 0);
	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		assert_int_equal(membership_task(node->membership, number, out), 0);
		if (out->done)
			return;
		poll(NULL, 0, PAUSE_MS);
	}
	fail_msg("the task does not end");
}

/* Return: the task's status. */
static int join(struct node *node, const char *address, struct membership_task *out)
{
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";
	int64_t task = membership_join(node->membership, &address, 1, problem, sizeof(problem));

	if (task < 0)
		return (int)task;
	wait_task(node, task, out);
	return out->status;
}

static void all_join(struct rig *rig, unsigned count)
{
	struct membership_task task;

	for (unsigned i = 0; i < count; i++)
		node_start(rig, i);
	for (unsigned i = 1; i < count; i++)
		assert_int_equal(join(&rig->nodes[i], rig->nodes[0].address, &task), 0);
	for (unsigned i = 0; i < count; i++)
		for (unsigned other = 0; other < count; other++) {
			char name[16];

			snprintf(name, sizeof(name), "n%u", other);
			wait_state(&rig->nodes[i], name, MEMBERSHIP_ALIVE);
		}
}

static void test_join__three__all_see_all_and_subscribers_are_told(void **state)
{
	struct rig *rig = *state;
	struct membership_member member;

	all_join(rig, 3);
	assert_true(member_of(&rig->nodes[2], "n1", &member));
	assert_int_equal(member.details.capacity, 1);
	assert_false(member.is_self);
	for (unsigned i = 0; i < 3; i++)
		assert_true(atomic_load(&rig->nodes[i].changes) >= 2);
}

static void test_join__seed_of_the_config_that_comes_later__is_found(void **state)
{
	struct rig *rig = *state;
	char address[64];
	struct variant early = { .join = address }, late = { .listen = address };

	node_start(rig, 0);
	memcpy(address, rig->nodes[0].address, sizeof(address));
	node_stop(&rig->nodes[0]);
	node_make(rig, 1, &early);
	/* it serves although it is alone */
	wait_state(&rig->nodes[1], "n1", MEMBERSHIP_ALIVE);
	node_make(rig, 0, &late);
	wait_state(&rig->nodes[1], "n0", MEMBERSHIP_ALIVE);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_ALIVE);
}

static void test_join__name_of_several_addresses__one_that_answers_is_enough(void **state)
{
	struct rig *rig = *state;
	struct membership_task task;
	char name[64];

	node_start(rig, 0);
	node_start(rig, 1);
	snprintf(name, sizeof(name), "localhost%s", strrchr(rig->nodes[0].address, ':'));
	assert_int_equal(join(&rig->nodes[1], name, &task), 0);
	assert_true(task.answered >= 1);
	wait_state(&rig->nodes[1], "n0", MEMBERSHIP_ALIVE);
	assert_int_equal(join(&rig->nodes[1], "nobody.invalid", &task), -EHOSTUNREACH);
	assert_non_null(strstr(task.lines[0].text, "cannot be resolved"));
}

static void test_join__nobody__says_so_for_each(void **state)
{
	struct rig *rig = *state;
	struct membership_task task;
	char problem[MEMBERSHIP_PROBLEM_MAX];
	const char *bad = "10.0.0.1:x";

	node_start(rig, 0);
	assert_int_equal(join(&rig->nodes[0], "127.0.0.1:1", &task), -EHOSTUNREACH);
	assert_int_equal(task.failed, 1);
	assert_true(task.lines[0].failed);
	assert_non_null(strstr(task.lines[0].text, "nothing listens"));
	assert_int_equal(
		membership_join(rig->nodes[0].membership, &bad, 1, problem, sizeof(problem)),
		-EINVAL);
	assert_non_null(strstr(problem, "neither an address nor a name"));
}

static void test_join__another_cluster_or_key__is_refused_and_counted(void **state)
{
	const struct variant variants[] = { { .cluster = "other" }, { .key = 9 } };
	struct rig *rig = *state;
	struct membership_task task;
	struct membership_member member;

	node_start(rig, 0);
	for (unsigned i = 0; i < 2; i++) {
		node_make(rig, i + 1, &variants[i]);
		assert_true(join(&rig->nodes[i + 1], rig->nodes[0].address, &task) < 0);
		assert_false(member_of(&rig->nodes[0], i ? "n2" : "n1", &member));
	}
	assert_true(counter_get(membership_counters(rig->nodes[0].membership), MEMBERSHIP_FORGED) >=
		    1);
	assert_true(counter_get(membership_counters(rig->nodes[0].membership),
				MEMBERSHIP_FOREIGN) >= 1);
}

static void test_set_details__reach_all(void **state)
{
	struct rig *rig = *state;
	struct membership_details details = { .name = "renamed", .capacity = 99 };
	struct membership_member member;

	all_join(rig, 3);
	membership_set_details(rig->nodes[1].membership, &details);
	wait_state(&rig->nodes[0], "renamed", MEMBERSHIP_ALIVE);
	wait_state(&rig->nodes[2], "renamed", MEMBERSHIP_ALIVE);
	assert_true(member_of(&rig->nodes[2], "renamed", &member));
	assert_int_equal(member.details.capacity, 99);
}

static void test_leave__all_are_told__join_brings_it_back(void **state)
{
	struct rig *rig = *state;
	struct membership_summary summary;
	struct membership_task task;

	all_join(rig, 3);
	wait_task(&rig->nodes[1], membership_leave(rig->nodes[1].membership), &task);
	assert_int_equal(task.status, 0);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_LEFT);
	wait_state(&rig->nodes[2], "n1", MEMBERSHIP_LEFT);
	wait_state(&rig->nodes[1], "n1", MEMBERSHIP_LEFT);
	membership_summary(rig->nodes[1].membership, &summary);
	assert_int_equal(summary.standing, MEMBERSHIP_GONE);
	assert_int_equal(join(&rig->nodes[1], rig->nodes[2].address, &task), 0);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_ALIVE);
	wait_state(&rig->nodes[1], "n1", MEMBERSHIP_ALIVE);
}

static void test_stop__announces_a_restart__and_the_next_life_is_the_same_member(void **state)
{
	const struct variant patient = { .restart_timeout = 60 * NS_PER_S };
	struct rig *rig = *state;
	struct membership_member before, after, members[MEMBERS_MAX];
	struct membership_task task;

	node_start(rig, 0);
	node_make(rig, 1, &patient);
	assert_int_equal(join(&rig->nodes[1], rig->nodes[0].address, &task), 0);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_ALIVE);
	assert_true(member_of(&rig->nodes[0], "n1", &before));
	node_stop(&rig->nodes[1]);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_RESTARTING);
	/* another port, the same state directory */
	node_make(rig, 1, &patient);
	assert_int_equal(join(&rig->nodes[1], rig->nodes[0].address, &task), 0);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_ALIVE);
	assert_true(member_of(&rig->nodes[0], "n1", &after));
	assert_memory_equal(&before.id, &after.id, sizeof(before.id));
	assert_true(before.boot != after.boot);
	assert_true(after.incarnation > before.incarnation);
	assert_false(address_equal(&before.gossip, &after.gossip));
	assert_int_equal(membership_members(rig->nodes[0].membership, 0, MEMBERS_MAX, members), 2);
}

static void test_evidence__of_one_that_answers__costs_it_nothing(void **state)
{
	struct rig *rig = *state;
	struct membership_member member;
	struct member_id nobody = { { 7 } };

	all_join(rig, 2);
	assert_true(member_of(&rig->nodes[0], "n1", &member));
	assert_int_equal(membership_evidence(rig->nodes[0].membership, &nobody, "test"), -ENOENT);
	assert_int_equal(membership_evidence(rig->nodes[0].membership, &member.id, "test"), 0);
	assert_int_equal(membership_evidence(rig->nodes[0].membership, &member.id, "test"),
			 -EAGAIN);
	wait_state(&rig->nodes[0], "n1", MEMBERSHIP_ALIVE);
}

static int keys(struct node *node, enum membership_keys_action action, const uint8_t *id,
		bool force, struct membership_task *out)
{
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";
	int64_t task = membership_keys(node->membership, action, NULL, id, false, force, problem,
				       sizeof(problem));

	if (task < 0)
		return (int)task;
	wait_task(node, task, out);
	return out->status;
}

/* Whether all of @count rings hold @expected keys, the first of them @used. */
static void check_rings(struct rig *rig, unsigned count, unsigned expected, const uint8_t *used)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];

		assert_int_equal(keyring_list(rig->nodes[i].ring, ids), expected);
		assert_memory_equal(ids[0], used, KEYRING_ID_LEN);
	}
}

static void test_keys__exchanged_by_three_steps__on_all_members_and_in_their_files(void **state)
{
	struct rig *rig = *state;
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN], old_id[KEYRING_ID_LEN];
	struct membership_task task;

	all_join(rig, 3);
	rig_key_id(1, old_id);
	assert_int_equal(keys(&rig->nodes[0], MEMBERSHIP_KEYS_ADD, NULL, false, &task), 0);
	check_rings(rig, 3, 2, old_id);
	assert_int_equal(keyring_list(rig->nodes[0].ring, ids), 2);
	assert_int_equal(keys(&rig->nodes[1], MEMBERSHIP_KEYS_USE, ids[1], false, &task), 0);
	check_rings(rig, 3, 2, ids[1]);
	assert_int_equal(keys(&rig->nodes[2], MEMBERSHIP_KEYS_REMOVE, old_id, false, &task), 0);
	check_rings(rig, 3, 1, ids[1]);
	assert_int_equal(keys(&rig->nodes[0], MEMBERSHIP_KEYS_LIST, NULL, false, &task), 0);
	assert_int_equal(task.answered, 3);
	for (unsigned i = 0; i < 3; i++) {
		char problem[MEMBERSHIP_PROBLEM_MAX];
		struct keyring *kept;
		struct keyring_key key;

		assert_int_equal(
			keyring_load(rig->nodes[i].secret, &kept, problem, sizeof(problem)), 0);
		assert_int_equal(keyring_used(kept, &key), 0);
		assert_memory_equal(key.id, ids[1], KEYRING_ID_LEN);
		keyring_destroy(kept);
		wait_state(&rig->nodes[i], "n0", MEMBERSHIP_ALIVE);
	}
}

static void test_keys__step_that_would_leave_one_behind__changes_nothing(void **state)
{
	struct rig *rig = *state;
	uint8_t key[KEYRING_KEY_LEN], id[KEYRING_ID_LEN], old_id[KEYRING_ID_LEN];
	struct membership_task task;

	all_join(rig, 3);
	rig_key(5, key);
	rig_key_id(5, id);
	rig_key_id(1, old_id);
	assert_int_equal(keyring_add(rig->nodes[0].ring, key), 0);
	assert_int_equal(keyring_add(rig->nodes[1].ring, key), 0);
	assert_int_equal(keys(&rig->nodes[0], MEMBERSHIP_KEYS_USE, id, false, &task), -EBUSY);
	assert_int_equal(task.failed, 1);
	check_rings(rig, 2, 2, old_id);
	assert_int_equal(keys(&rig->nodes[0], MEMBERSHIP_KEYS_REMOVE, old_id, false, &task),
			 -EBUSY);
	assert_int_equal(keys(&rig->nodes[2], MEMBERSHIP_KEYS_USE, id, false, &task), -ENOENT);
}

/* What a copied virtual machine has. */
static void identity_copy(const struct rig *rig, const struct node *from, const char *to)
{
	char path[160], problem[MEMBERSHIP_PROBLEM_MAX];
	struct state_member member;
	int lock;

	snprintf(path, sizeof(path), "%s/%s", rig->dir, to);
	assert_int_equal(state_claim(path, &lock, problem, sizeof(problem)), 0);
	state_release(lock);
	assert_int_equal(state_member_load(from->dir, &member, problem, sizeof(problem)), 0);
	assert_int_equal(state_member_save(path, &member, problem, sizeof(problem)), 0);
}

/* The younger of two nodes with one id takes no part; the elder and the third go on. */
static void test_twins__of_one_state_directory__the_elder_stays_and_both_say_so(void **state)
{
	struct rig *rig = *state;
	const struct variant copy = { .state_dir = "copy" };
	struct membership_summary summary = { 0 };
	struct membership_task task;

	all_join(rig, 3);
	identity_copy(rig, &rig->nodes[0], "copy3");
	node_make(rig, 3, &copy);
	join(&rig->nodes[3], rig->nodes[1].address, &task);
	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		membership_summary(rig->nodes[3].membership, &summary);
		if (summary.standing == MEMBERSHIP_DISPLACED)
			break;
		poll(NULL, 0, PAUSE_MS);
	}
	assert_int_equal(summary.standing, MEMBERSHIP_DISPLACED);
	assert_non_null(strstr(summary.problem, "member id"));
	membership_summary(rig->nodes[0].membership, &summary);
	assert_int_equal(summary.standing, MEMBERSHIP_MEMBER);
	assert_non_null(strstr(summary.problem, "member id"));
	wait_state(&rig->nodes[1], "n0", MEMBERSHIP_ALIVE);
	wait_state(&rig->nodes[2], "n0", MEMBERSHIP_ALIVE);
	assert_int_equal(join(&rig->nodes[3], rig->nodes[1].address, &task), -EBUSY);
}

struct flood {
	struct address to;
	_Atomic bool stop;
	unsigned long sent;
};

static void *flood_main(void *argument)
{
	static const uint8_t head[] = { 'C', 'e', 'G', 'o', SEAL_VERSION, 0, 0, 0 };
	struct flood *flood = argument;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t packet[1400];
	unsigned seed = 1;

	while (!atomic_load(&flood->stop)) {
		size_t len = 1 + (size_t)rand_r(&seed) % sizeof(packet);

		for (size_t i = 0; i < len; i++)
			packet[i] = (uint8_t)rand_r(&seed);
		if (flood->sent % 2)
			memcpy(packet, head, sizeof(head));
		sendto(fd, packet, len, 0, (const struct sockaddr *)&flood->to.storage,
		       address_len(&flood->to));
		flood->sent++;
	}
	close(fd);
	return NULL;
}

static void test_flood_of_garbage__costs_counters__and_members_stay(void **state)
{
	struct rig *rig = *state;
	struct membership_summary summary;
	struct flood flood = { .stop = false };
	const struct counters *counters;
	uint64_t probes;
	pthread_t thread;

	all_join(rig, 3);
	membership_summary(rig->nodes[0].membership, &summary);
	flood.to = summary.gossip;
	assert_int_equal(pthread_create(&thread, NULL, flood_main, &flood), 0);
	counters = membership_counters(rig->nodes[0].membership);
	probes = counter_get(counters, MEMBERSHIP_PROBES);
	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		membership_counters(rig->nodes[0].membership);
		if (counter_get(counters, MEMBERSHIP_PROBES) >= probes + 10 &&
		    counter_get(counters, MEMBERSHIP_MALFORMED) > 1000 &&
		    counter_get(counters, MEMBERSHIP_FOREIGN) > 1000)
			break;
		poll(NULL, 0, PAUSE_MS);
	}
	atomic_store(&flood.stop, true);
	pthread_join(thread, NULL);
	assert_true(counter_get(counters, MEMBERSHIP_PROBES) >= probes + 10);
	assert_true(counter_get(counters, MEMBERSHIP_MALFORMED) > 1000);
	assert_true(counter_get(counters, MEMBERSHIP_FOREIGN) > 1000);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned other = 0; other < 3; other++) {
			char name[16];

			snprintf(name, sizeof(name), "n%u", other);
			wait_state(&rig->nodes[i], name, MEMBERSHIP_ALIVE);
		}
}

static void test_create__state_directory_in_use__is_refused(void **state)
{
	struct rig *rig = *state;
	struct node *node = node_start(rig, 0);
	struct membership_details details = { .name = "x" };
	struct membership_config config;
	struct membership_setup setup = { .config = &config,
					  .clock = clock_system(),
					  .cluster = RIG_CLUSTER,
					  .ring = node->ring,
					  .secret_file = node->secret,
					  .state_dir = node->dir,
					  .details = &details };
	char problem[MEMBERSHIP_PROBLEM_MAX];
	struct membership *membership;

	config_make(&config);
	assert_int_equal(membership_create(&setup, &membership, problem, sizeof(problem)), -EBUSY);
	assert_non_null(strstr(problem, "another daemon"));
	option_free(&membership_options, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
		TEST(test_join__three__all_see_all_and_subscribers_are_told),
		TEST(test_join__seed_of_the_config_that_comes_later__is_found),
		TEST(test_join__name_of_several_addresses__one_that_answers_is_enough),
		TEST(test_join__nobody__says_so_for_each),
		TEST(test_join__another_cluster_or_key__is_refused_and_counted),
		TEST(test_set_details__reach_all),
		TEST(test_leave__all_are_told__join_brings_it_back),
		TEST(test_stop__announces_a_restart__and_the_next_life_is_the_same_member),
		TEST(test_evidence__of_one_that_answers__costs_it_nothing),
		TEST(test_keys__exchanged_by_three_steps__on_all_members_and_in_their_files),
		TEST(test_keys__step_that_would_leave_one_behind__changes_nothing),
		TEST(test_twins__of_one_state_directory__the_elder_stays_and_both_say_so),
		TEST(test_flood_of_garbage__costs_counters__and_members_stay),
		TEST(test_create__state_directory_in_use__is_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

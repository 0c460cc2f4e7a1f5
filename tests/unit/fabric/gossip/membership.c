/*
 * Tests of fabric/gossip/membership.h: joining, leaving, restarting, twins, floods.
 */
#include "fabric/gossip/membership.h"

#include <errno.h>
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
#include "fabric/gossip/seal.h"
#include "fabric/gossip/state.h"
#include "fabric/keyring.h"
#include "tests/unit/fabric/gossip/cluster.h"
#include "tests/unit/fabric/gossip/rig.h"

static void test_join__three__all_see_all_and_subscribers_are_told(void **state)
{
	struct cluster *cluster = *state;
	struct membership_member member;

	cluster_join_all(cluster, 3);
	assert_true(node_member(&cluster->nodes[2], "n1", &member));
	assert_int_equal(member.details.capacity, 1);
	assert_false(member.is_self);
	for (unsigned i = 0; i < 3; i++)
		assert_true(atomic_load(&cluster->nodes[i].changes) >= 2);
}

static void test_join__seed_of_the_config_that_comes_later__is_found(void **state)
{
	struct cluster *cluster = *state;
	char address[64];
	struct variant early = { .join = address }, late = { .listen = address };

	node_start(cluster, 0);
	memcpy(address, cluster->nodes[0].address, sizeof(address));
	node_stop(&cluster->nodes[0]);
	node_make(cluster, 1, &early);
	/* it serves although it is alone */
	node_wait_state(&cluster->nodes[1], "n1", MEMBERSHIP_ALIVE);
	node_make(cluster, 0, &late);
	node_wait_state(&cluster->nodes[1], "n0", MEMBERSHIP_ALIVE);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
}

static void test_join__name_of_several_addresses__one_that_answers_is_enough(void **state)
{
	struct cluster *cluster = *state;
	struct membership_task task;
	char name[64];

	node_start(cluster, 0);
	node_start(cluster, 1);
	snprintf(name, sizeof(name), "localhost%s", strrchr(cluster->nodes[0].address, ':'));
	assert_int_equal(node_join(&cluster->nodes[1], name, &task), 0);
	assert_true(task.answered >= 1);
	node_wait_state(&cluster->nodes[1], "n0", MEMBERSHIP_ALIVE);
	assert_int_equal(node_join(&cluster->nodes[1], "nobody.invalid", &task), -EHOSTUNREACH);
	assert_non_null(strstr(task.lines[0].text, "cannot be resolved"));
}

static void test_join__nobody__says_so_for_each(void **state)
{
	struct cluster *cluster = *state;
	struct membership_task task;
	char problem[MEMBERSHIP_PROBLEM_MAX];
	const char *bad = "10.0.0.1:x";

	node_start(cluster, 0);
	assert_int_equal(node_join(&cluster->nodes[0], "127.0.0.1:1", &task), -EHOSTUNREACH);
	assert_int_equal(task.failed, 1);
	assert_true(task.lines[0].failed);
	assert_non_null(strstr(task.lines[0].text, "nothing listens"));
	assert_int_equal(
		membership_join(cluster->nodes[0].membership, &bad, 1, problem, sizeof(problem)),
		-EINVAL);
	assert_non_null(strstr(problem, "neither an address nor a name"));
}

static void test_join__another_cluster_or_key__is_refused_and_counted(void **state)
{
	const struct variant variants[] = { { .cluster = "other" }, { .key = 9 } };
	struct cluster *cluster = *state;
	struct membership_task task;
	struct membership_member member;

	node_start(cluster, 0);
	for (unsigned i = 0; i < 2; i++) {
		node_make(cluster, i + 1, &variants[i]);
		assert_true(node_join(&cluster->nodes[i + 1], cluster->nodes[0].address, &task) <
			    0);
		assert_false(node_member(&cluster->nodes[0], i ? "n2" : "n1", &member));
	}
	assert_true(counter_get(membership_counters(cluster->nodes[0].membership),
				MEMBERSHIP_FORGED) >= 1);
	assert_true(counter_get(membership_counters(cluster->nodes[0].membership),
				MEMBERSHIP_FOREIGN) >= 1);
}

static void test_set_details__reach_all(void **state)
{
	struct cluster *cluster = *state;
	struct membership_details details = { .name = "renamed", .capacity = 99 };
	struct membership_member member;

	cluster_join_all(cluster, 3);
	membership_set_details(cluster->nodes[1].membership, &details);
	node_wait_state(&cluster->nodes[0], "renamed", MEMBERSHIP_ALIVE);
	node_wait_state(&cluster->nodes[2], "renamed", MEMBERSHIP_ALIVE);
	assert_true(node_member(&cluster->nodes[2], "renamed", &member));
	assert_int_equal(member.details.capacity, 99);
}

static void test_leave__all_are_told__join_brings_it_back(void **state)
{
	struct cluster *cluster = *state;
	struct membership_summary summary;
	struct membership_task task;

	cluster_join_all(cluster, 3);
	node_wait_task(&cluster->nodes[1], membership_leave(cluster->nodes[1].membership), &task);
	assert_int_equal(task.status, 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_LEFT);
	node_wait_state(&cluster->nodes[2], "n1", MEMBERSHIP_LEFT);
	node_wait_state(&cluster->nodes[1], "n1", MEMBERSHIP_LEFT);
	membership_summary(cluster->nodes[1].membership, &summary);
	assert_int_equal(summary.standing, MEMBERSHIP_GONE);
	assert_int_equal(node_join(&cluster->nodes[1], cluster->nodes[2].address, &task), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
	node_wait_state(&cluster->nodes[1], "n1", MEMBERSHIP_ALIVE);
}

static void test_drain__all_see_it_leaving__stay_takes_it_back(void **state)
{
	struct cluster *cluster = *state;
	struct membership *leaver;

	cluster_join_all(cluster, 3);
	leaver = cluster->nodes[1].membership;
	assert_int_equal(membership_stay(leaver), -ENOENT);
	assert_int_equal(membership_drain(leaver), 0);
	assert_int_equal(membership_drain(leaver), 0);
	for (unsigned i = 0; i < 3; i++)
		node_wait_state(&cluster->nodes[i], "n1", MEMBERSHIP_LEAVING);
	assert_int_equal(membership_stay(leaver), 0);
	for (unsigned i = 0; i < 3; i++)
		node_wait_state(&cluster->nodes[i], "n1", MEMBERSHIP_ALIVE);
	assert_int_equal(membership_stay(leaver), -ENOENT);
}

static void test_drain__then_leave__is_gone_until_it_joins(void **state)
{
	struct cluster *cluster = *state;
	struct membership_task task;
	struct membership *leaver;

	cluster_join_all(cluster, 3);
	leaver = cluster->nodes[1].membership;
	assert_int_equal(membership_drain(leaver), 0);
	node_wait_task(&cluster->nodes[1], membership_leave(leaver), &task);
	assert_int_equal(task.status, 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_LEFT);
	assert_int_equal(membership_drain(leaver), -ENOTCONN);
	assert_int_equal(membership_stay(leaver), -ENOENT);
	assert_int_equal(node_join(&cluster->nodes[1], cluster->nodes[2].address, &task), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
}

static void test_drain__then_join__is_back_at_once(void **state)
{
	struct cluster *cluster = *state;
	struct membership_task task;

	cluster_join_all(cluster, 3);
	assert_int_equal(membership_drain(cluster->nodes[1].membership), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_LEAVING);
	assert_int_equal(node_join(&cluster->nodes[1], cluster->nodes[2].address, &task), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
	assert_int_equal(membership_stay(cluster->nodes[1].membership), -ENOENT);
}

static void test_drain__its_details_change__it_is_leaving_all_the_same(void **state)
{
	struct membership_details details = { .name = "renamed", .capacity = 99 };
	struct cluster *cluster = *state;

	cluster_join_all(cluster, 3);
	assert_int_equal(membership_drain(cluster->nodes[1].membership), 0);
	membership_set_details(cluster->nodes[1].membership, &details);
	node_wait_state(&cluster->nodes[0], "renamed", MEMBERSHIP_LEAVING);
	node_wait_state(&cluster->nodes[2], "renamed", MEMBERSHIP_LEAVING);
}

static void test_stop__announces_a_restart__and_the_next_life_is_the_same_member(void **state)
{
	const struct variant patient = { .restart_timeout = 60 * NS_PER_S };
	struct cluster *cluster = *state;
	struct membership_member before, after, members[MEMBERS_MAX];
	struct membership_task task;

	node_start(cluster, 0);
	node_make(cluster, 1, &patient);
	assert_int_equal(node_join(&cluster->nodes[1], cluster->nodes[0].address, &task), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
	assert_true(node_member(&cluster->nodes[0], "n1", &before));
	node_stop(&cluster->nodes[1]);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_RESTARTING);
	/* another port, the same state directory */
	node_make(cluster, 1, &patient);
	assert_int_equal(node_join(&cluster->nodes[1], cluster->nodes[0].address, &task), 0);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
	assert_true(node_member(&cluster->nodes[0], "n1", &after));
	assert_memory_equal(&before.id, &after.id, sizeof(before.id));
	assert_true(before.boot != after.boot);
	assert_true(after.incarnation > before.incarnation);
	assert_false(address_equal(&before.gossip, &after.gossip));
	assert_int_equal(membership_members(cluster->nodes[0].membership, 0, MEMBERS_MAX, members),
			 2);
}

static void test_evidence__of_one_that_answers__costs_it_nothing(void **state)
{
	struct cluster *cluster = *state;
	struct membership_member member;
	struct member_id nobody = { { 7 } };

	cluster_join_all(cluster, 2);
	assert_true(node_member(&cluster->nodes[0], "n1", &member));
	assert_int_equal(membership_evidence(cluster->nodes[0].membership, &nobody, "test"),
			 -ENOENT);
	assert_int_equal(membership_evidence(cluster->nodes[0].membership, &member.id, "test"), 0);
	assert_int_equal(membership_evidence(cluster->nodes[0].membership, &member.id, "test"),
			 -EAGAIN);
	node_wait_state(&cluster->nodes[0], "n1", MEMBERSHIP_ALIVE);
}

/* What a copied virtual machine has. */
static void identity_copy(const struct cluster *cluster, const struct node *from, const char *to)
{
	char path[160], problem[MEMBERSHIP_PROBLEM_MAX];
	struct state_member member;
	int lock;

	snprintf(path, sizeof(path), "%s/%s", cluster->dir, to);
	assert_int_equal(state_claim(path, &lock, problem, sizeof(problem)), 0);
	state_release(lock);
	assert_int_equal(state_member_load(from->dir, &member, problem, sizeof(problem)), 0);
	assert_int_equal(state_member_save(path, &member, problem, sizeof(problem)), 0);
}

/* The younger of two nodes with one id takes no part; the elder and the third go on. */
static void test_twins__of_one_state_directory__the_elder_stays_and_both_say_so(void **state)
{
	struct cluster *cluster = *state;
	const struct variant copy = { .state_dir = "copy" };
	struct membership_summary summary = { 0 };
	struct membership_task task;

	cluster_join_all(cluster, 3);
	identity_copy(cluster, &cluster->nodes[0], "copy3");
	node_make(cluster, 3, &copy);
	node_join(&cluster->nodes[3], cluster->nodes[1].address, &task);
	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		membership_summary(cluster->nodes[3].membership, &summary);
		if (summary.standing == MEMBERSHIP_DISPLACED)
			break;
		poll(NULL, 0, PAUSE_MS);
	}
	assert_int_equal(summary.standing, MEMBERSHIP_DISPLACED);
	assert_non_null(strstr(summary.problem, "member id"));
	membership_summary(cluster->nodes[0].membership, &summary);
	assert_int_equal(summary.standing, MEMBERSHIP_MEMBER);
	assert_non_null(strstr(summary.problem, "member id"));
	node_wait_state(&cluster->nodes[1], "n0", MEMBERSHIP_ALIVE);
	node_wait_state(&cluster->nodes[2], "n0", MEMBERSHIP_ALIVE);
	assert_int_equal(node_join(&cluster->nodes[3], cluster->nodes[1].address, &task), -EBUSY);
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
	struct cluster *cluster = *state;
	struct membership_summary summary;
	struct flood flood = { .stop = false };
	const struct counters *counters;
	uint64_t probes;
	pthread_t thread;

	cluster_join_all(cluster, 3);
	membership_summary(cluster->nodes[0].membership, &summary);
	flood.to = summary.gossip;
	assert_int_equal(pthread_create(&thread, NULL, flood_main, &flood), 0);
	counters = membership_counters(cluster->nodes[0].membership);
	probes = counter_get(counters, MEMBERSHIP_PROBES);
	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		membership_counters(cluster->nodes[0].membership);
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
			node_wait_state(&cluster->nodes[i], name, MEMBERSHIP_ALIVE);
		}
}

static void test_create__state_directory_in_use__is_refused(void **state)
{
	struct cluster *cluster = *state;
	struct node *node = node_start(cluster, 0);
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

	node_config(&config);
	assert_int_equal(membership_create(&setup, &membership, problem, sizeof(problem)), -EBUSY);
	assert_non_null(strstr(problem, "another daemon"));
	option_free(&membership_options, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
		TEST(test_join__three__all_see_all_and_subscribers_are_told),
		TEST(test_join__seed_of_the_config_that_comes_later__is_found),
		TEST(test_join__name_of_several_addresses__one_that_answers_is_enough),
		TEST(test_join__nobody__says_so_for_each),
		TEST(test_join__another_cluster_or_key__is_refused_and_counted),
		TEST(test_set_details__reach_all),
		TEST(test_leave__all_are_told__join_brings_it_back),
		TEST(test_drain__all_see_it_leaving__stay_takes_it_back),
		TEST(test_drain__then_leave__is_gone_until_it_joins),
		TEST(test_drain__then_join__is_back_at_once),
		TEST(test_drain__its_details_change__it_is_leaving_all_the_same),
		TEST(test_stop__announces_a_restart__and_the_next_life_is_the_same_member),
		TEST(test_evidence__of_one_that_answers__costs_it_nothing),
		TEST(test_twins__of_one_state_directory__the_elder_stays_and_both_say_so),
		TEST(test_flood_of_garbage__costs_counters__and_members_stay),
		TEST(test_create__state_directory_in_use__is_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * cluster.c - see cluster.h.
 */
#include "tests/unit/fabric/gossip/cluster.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "tests/unit/fabric/gossip/rig.h"

int cluster_setup(void **state)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	assert_non_null(cluster);
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(cluster->dir, "/tmp/cenote-membership-XXXXXX");
	assert_non_null(mkdtemp(cluster->dir));
	*state = cluster;
	return 0;
}

void node_stop(struct node *node)
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

int cluster_teardown(void **state)
{
	struct cluster *cluster = *state;

	for (unsigned i = 0; i < NODES_MAX; i++)
		if (cluster->nodes[i].membership)
			node_stop(&cluster->nodes[i]);
	assert_int_equal(nftw(cluster->dir, path_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(cluster);
	return 0;
}

static void on_change(void *context, const struct membership_member *member, bool gone)
{
	struct node *node = context;

	(void)member;
	(void)gone;
	atomic_fetch_add(&node->changes, 1);
}

void node_config(struct membership_config *config)
{
	assert_int_equal(option_defaults(&membership_options, config), 0);
	free(config->listen);
	config->listen = strdup("127.0.0.1:0");
	config->leave_timeout = 2 * NS_PER_S;
	config->swim.probe_interval = 100 * NS_PER_MS;
	config->swim.probe_timeout = 50 * NS_PER_MS;
	config->swim.gossip_interval = 20 * NS_PER_MS;
}

struct node *node_make(struct cluster *cluster, unsigned index, const struct variant *variant)
{
	struct node *node = &cluster->nodes[index];
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
	char parent[sizeof(
		cluster->dir)]; /* gcc cannot tell that members of the rig do not overlap */

	memcpy(parent, cluster->dir, sizeof(parent));
	snprintf(details.name, sizeof(details.name), "n%u", index);
	snprintf(node->dir, sizeof(node->dir), "%s/%s%u", parent,
		 variant->state_dir ? variant->state_dir : "n", index);
	snprintf(node->secret, sizeof(node->secret), "%s/secret%u", parent, index);
	assert_int_equal(keyring_create(&node->ring), 0);
	rig_key(variant->key ? variant->key : 1, key);
	assert_int_equal(keyring_add(node->ring, key), 0);
	setup.ring = node->ring;
	node_config(&config);
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

struct node *node_start(struct cluster *cluster, unsigned index)
{
	return node_make(cluster, index, &plain);
}

bool node_member(struct node *node, const char *name, struct membership_member *out)
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

void node_wait_state(struct node *node, const char *name, enum membership_state state)
{
	struct membership_member member = { 0 };
	bool there = false;

	for (unsigned waited = 0; waited < BOUND_MS; waited += PAUSE_MS) {
		there = node_member(node, name, &member);
		if (there && member.state == state)
			return;
		poll(NULL, 0, PAUSE_MS);
	}
	fail_msg("%s is %s, not %s", name, there ? membership_state_names[member.state] : "unknown",
		 membership_state_names[state]);
}

void node_wait_task(struct node *node, int64_t number, struct membership_task *out)
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

int node_join(struct node *node, const char *address, struct membership_task *out)
{
	char problem[MEMBERSHIP_PROBLEM_MAX] = "";
	int64_t task = membership_join(node->membership, &address, 1, problem, sizeof(problem));

	if (task < 0)
		return (int)task;
	node_wait_task(node, task, out);
	return out->status;
}

void cluster_join_all(struct cluster *cluster, unsigned count)
{
	struct membership_task task;

	for (unsigned i = 0; i < count; i++)
		node_start(cluster, i);
	for (unsigned i = 1; i < count; i++)
		assert_int_equal(node_join(&cluster->nodes[i], cluster->nodes[0].address, &task),
				 0);
	for (unsigned i = 0; i < count; i++)
		for (unsigned other = 0; other < count; other++) {
			char name[16];

			snprintf(name, sizeof(name), "n%u", other);
			node_wait_state(&cluster->nodes[i], name, MEMBERSHIP_ALIVE);
		}
}

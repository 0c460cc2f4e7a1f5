/*
 * cluster.h - up to four members in one process, on the loopback, with short intervals, in a
 * directory of the test's own. What is waited for has a bound; nothing is measured.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fabric/gossip/membership.h"
#include "fabric/keyring.h"

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

struct cluster {
	char dir[64];
	struct node nodes[NODES_MAX];
};

/* What is different about a node; NULL and 0: nothing. */
struct variant {
	const char *cluster, *state_dir, *join, *listen;
	uint8_t key;
	uint64_t restart_timeout;
};

/** cluster_setup(), cluster_teardown() - the fixture: an empty cluster, *state. */
int cluster_setup(void **state);
int cluster_teardown(void **state);

/** cluster_join_all() - starts @count nodes and waits until all see all. */
void cluster_join_all(struct cluster *cluster, unsigned count);

/** node_config() - for option_free(). */
void node_config(struct membership_config *config);

/** node_start() - the one at @index, called "n<index>"; node_make(): as @variant says. */
struct node *node_start(struct cluster *cluster, unsigned index);
struct node *node_make(struct cluster *cluster, unsigned index, const struct variant *variant);
void node_stop(struct node *node);

/** node_member() - the member called @name, as @node sees it. Return: whether it does. */
bool node_member(struct node *node, const char *name, struct membership_member *out);
void node_wait_state(struct node *node, const char *name, enum membership_state state);

void node_wait_task(struct node *node, int64_t number, struct membership_task *out);
/** node_join() - Return: the task's status. */
int node_join(struct node *node, const char *address, struct membership_task *out);

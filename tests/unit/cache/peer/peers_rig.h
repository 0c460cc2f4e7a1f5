/*
 * peers_rig.h - whole nodes in one process, as the daemon puts them together: gossip and fabric on
 * the loopback (ucx), a cache in memory, and a backing store whose bytes are made up.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "cache/backing.h"
#include "cache/cache.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"
#include "fabric/keyring.h"

#define RIG_NODES_MAX 3
#define RIG_BLOCK_LEN (512u << 10)
#define RIG_WAIT_NS   (60 * NS_PER_S)

struct rig_node {
	struct rig *rig;
	unsigned number;
	char dir[96], secret[112];
	char backing_id[8];
	struct backing backing, *backings[1];
	_Atomic uint64_t fetched; /* bytes from the backing store */
	_Atomic unsigned lists;	  /* that it was asked for */
	struct keyring *ring;
	struct membership *membership;
	struct cache_config cache_config;
	struct cache *cache;
	struct peers_config config;
	struct peers *peers; /* NULL: the node is not up */
	struct address fabric;
};

TAILQ_HEAD(rig_requests, backing_request);

struct rig {
	/* set before the first node is up */
	uint64_t memory;			     /* of each; 0: 64 MiB */
	bool registers_late;			     /* as struct peers_setup */
	void (*tune)(struct peers_config *config);   /* NULL: as it is by default */
	void (*bytes)(const char *key, uint64_t off, /* of objects; NULL: rig_byte() */
		      void *out, size_t len);
	char dir[64];
	struct rig_node nodes[RIG_NODES_MAX];
	uint8_t key; /* of the cluster */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread; /* of the backing stores */
	/* guarded by lock */
	struct rig_requests gets;	  /* asked for, and lists */
	bool held;			  /* nothing is answered */
	const struct rig_node *answering; /* whose get is in hand */
	bool ending;
};

int rig_setup(void **state);
int rig_teardown(void **state);

/** rig_up() - node @number, which joins node @join; -1: nobody. */
struct rig_node *rig_up(struct rig *rig, unsigned number, int join);

/** rig_stop() - what the daemon does first: gossip is told, peers_stop(). rig_down() - all. */
void rig_stop(struct rig_node *node);
void rig_down(struct rig_node *node);

/** rig_wait_placed() - until blocks are placed on @count members, as @node knows. */
void rig_wait_placed(struct rig_node *node, unsigned count);

/** rig_wait_counter() - until a counter of the peers is at least @least. */
void rig_wait_counter(struct rig_node *node, enum peers_counter counter, uint64_t least);

/** rig_hold() - backing stores answer nothing until it is called with false. */
void rig_hold(struct rig *rig, bool held);

/** rig_wait_asked() - until @count gets wait while held. */
void rig_wait_asked(struct rig *rig, unsigned count);

/** rig_list() - the one page that there is below @prefix, of @max_keys names, compared with what it
 *  should be. */
void rig_list(struct rig_node *node, const char *prefix, int max_keys);

/** rig_open() - the object called @key, of @size bytes; every node has the same. */
struct cache_object *rig_open(struct rig_node *node, const char *key, uint64_t size);

/** rig_read() - all of it through @node, compared with what it should be. */
void rig_read(struct rig_node *node, const char *key, uint64_t size);

/** rig_byte() - what an object has at @off. */
uint8_t rig_byte(const char *key, uint64_t off);

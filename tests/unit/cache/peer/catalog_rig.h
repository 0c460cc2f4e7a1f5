/*
 * catalog_rig.h - the catalogs of some nodes on a loop network, each with a fake of the one backing
 * store behind it, a mount that asks, a porter and a cache.
 *
 * All of it is one thread's, on a clock that only rig_run() moves. The store answers at once, or
 * holds what it is asked until rig_answer(). A read of another node's page gets it out of that
 * node's catalog, as the real cache would in the end; reads can be held too.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "cache/peer/catalog_inside.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"

#define RIG_NODES_MAX  65
#define RIG_QUEUE_MAX  2048
#define RIG_TIMEOUT_NS (30 * NS_PER_S)
#define RIG_AGE_NS     (60 * NS_PER_S)
#define RIG_ABSENT_NS  (5 * NS_PER_S)

struct rig;
struct rig_node;

/* A request that the store, or the cache, was given. */
struct rig_held {
	struct backing_list *list; /* one of the three */
	struct backing_head *head;
	struct rig_read *read;
};

struct rig_store {
	struct backing backing;
	struct rig *rig;
	bool holds;
	struct rig_held queue[RIG_QUEUE_MAX];
	unsigned queued;
	unsigned lists, heads, gets; /* that it was asked */
};

struct rig_node {
	struct rig *rig;
	unsigned number;
	bool alive, deaf; /* deaf: is not polled */
	struct identity identity;
	struct transport *transport;
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct placement *placement; /* the rig's, or one of its own */
	struct counters counters;
	struct rig_store store;
	struct backing *backings[1];
	struct catalog *catalog;
	struct catalog_jobs jobs;
	unsigned wakes;
	/* the fake cache */
	bool holds_reads;
	int read_status; /* of reads, instead of bytes */
	struct rig_held reads[RIG_QUEUE_MAX];
	unsigned read_count; /* under way */
	unsigned reads_begun, objects;
};

struct rig {
	struct clock_manual clock;
	struct loop_network *network;
	struct keyring *ring;
	struct peers_config config;
	uint64_t memory_max;
	struct placement *placement;
	struct rig_node nodes[RIG_NODES_MAX];
	unsigned node_count;
	/* what the store has */
	unsigned key_count; /* below every prefix */
	unsigned key_pad;   /* bytes that each name has more */
	unsigned page_keys; /* 0: as many as are asked for */
	char etag[64];	    /* of every key */
	int list_status, head_status;
};

/* What a mount asks. */
struct rig_list {
	struct backing_list list;
	char prefix[64];
	unsigned done, entries;
	uint64_t hash;
};

struct rig_head {
	struct backing_head head;
	char key[64];
	unsigned done;
};

struct rig *rig_create(unsigned node_count);

/** rig_destroy() - stops what is alive, and finds nothing left. */
void rig_destroy(struct rig *rig);

/** rig_node_stop() - as peers_stop() does, what is to be done by then being done. */
void rig_node_stop(struct rig_node *node);

/** rig_node_kill() - its process dies; others learn of it by the network. */
void rig_node_kill(struct rig_node *node);

/** rig_node_start() - (again): another boot. */
void rig_node_start(struct rig_node *node);

/** rig_node_place() - that one's placement: on the nodes [0, @count) but @without. */
void rig_node_place(struct rig_node *node, unsigned count, unsigned without);

/** rig_run() - for so long by the clock, and until nothing more happens at that moment. */
void rig_run(struct rig *rig, uint64_t ns);
void rig_settle(struct rig *rig);

/** rig_answer() - the store's answers to what it holds. Return: how many. */
unsigned rig_answer(struct rig_node *node);

/** rig_reads_end() - the fake cache's reads that are held. */
void rig_reads_end(struct rig_node *node);

uint64_t rig_count(const struct rig_node *node, enum peers_counter counter);

/** rig_lists(), rig_heads() - that the store was asked by all nodes together. */
unsigned rig_lists(const struct rig *rig);
unsigned rig_heads(const struct rig *rig);

/** rig_page() - what the store has of the page that @list asks for goes to its entry(). Return: the
 *  index of the key behind it. */
unsigned rig_page(const struct rig *rig, struct backing_list *list);

/** rig_prefix_of() - a prefix whose first page, of 1000 keys, @number owns; @variant: which. */
void rig_prefix_of(struct rig *rig, unsigned number, unsigned variant, char out[64]);

/** rig_key_of() - a key whose head @number owns. */
void rig_key_of(struct rig *rig, unsigned number, unsigned variant, char out[64]);

/** rig_list() - asks through @node's wrapper for the first page below @prefix. */
void rig_list(struct rig_node *node, struct rig_list *list, const char *prefix);

/** rig_list_fresh() - with ages of 0. */
void rig_list_fresh(struct rig_node *node, struct rig_list *list, const char *prefix);

/** rig_list_for() - with its time. */
void rig_list_for(struct rig_node *node, struct rig_list *list, const char *prefix,
		  uint64_t timeout_ns);

/** rig_list_expect() - done once, with @status, and if that is 0 with what the store has now. */
void rig_list_expect(struct rig *rig, const struct rig_list *list, int status);

void rig_head(struct rig_node *node, struct rig_head *head, const char *key, const char *refused);
void rig_head_expect(const struct rig_head *head, int status, const char *etag);

/** rig_list_now() - rig_list(), rig_settle() and rig_list_expect(). */
void rig_list_now(struct rig_node *node, struct rig_list *list, const char *prefix, int status);

/* --- of a test */

#define RIG_MANY 64

static inline struct rig *rig_of(void **state)
{
	return *state;
}

int rig_setup(void **state); /* three nodes */
int rig_setup_many(void **state);
int rig_setup_alone(void **state);
int rig_teardown(void **state);

/** rig_set_page() - @key_count keys a page, each @key_pad bytes longer; above 3 KiB or so a page
 * does not fit in a message. */
void rig_set_page(struct rig *rig, unsigned key_count, unsigned key_pad);

#define TEST(name)	 cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
#define TEST_MANY(name)	 cmocka_unit_test_setup_teardown(name, rig_setup_many, rig_teardown)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, rig_setup_alone, rig_teardown)

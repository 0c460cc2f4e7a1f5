/*
 * storm.h - the members that storm.c plays havoc with: each reads and sends whenever it is told to,
 * and checks all that becomes of it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "fabric/transport/loop.h"

#define NODES	   50
#define SLOTS	   16
#define SLOT_LEN   ((size_t)16 << 10)
#define MEMORY_LEN (SLOTS * SLOT_LEN)
#define MESSAGES   8	 /* of one node under way */
#define NUMBERS	   65536 /* of one node's messages */

struct storm;
struct storm_node;

struct slot {
	struct transport_read read;
	struct storm_node *node;
	unsigned owner;
	bool busy, filled; /* filled: done() has left `fill` in all of it */
	uint8_t fill;
};

struct storm_message {
	struct transport_message message;
	struct storm_node *node;
	bool busy;
	uint8_t data[64];
};

struct storm_node {
	struct storm *storm;
	unsigned number;
	struct transport *transport; /* NULL: dead */
	struct identity identity;
	struct transport_peer *peers[NODES];
	uint8_t *memory, *landing;
	uint32_t readable;
	struct slot slots[SLOTS];
	struct storm_message messages[MESSAGES];
	uint32_t number_next;
	uint8_t arrived[NUMBERS]; /* of this node's messages */
	bool closing;
};

struct storm {
	uint64_t seed;
	struct random random;
	struct clock_manual clock;
	struct loop_network *network;
	struct loop_faults faults;
	struct keyring *ring;
	struct counters counters;
	struct storm_node nodes[NODES];
	uint64_t done, right;
};

#define STORM_CHECK(storm, condition)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %llu: %s", (unsigned long long)(storm)->seed, #condition);  \
	} while (0)

/** storm_pick() - 0 .. @limit - 1. */
uint64_t storm_pick(struct storm *storm, uint64_t limit);
uint64_t storm_now(struct storm *storm);

/** node_make() - node @number, open; node_open() and node_close(): its transport, once more. */
void node_make(struct storm *storm, unsigned number);
void node_open(struct storm_node *node);
void node_close(struct storm_node *node);
/** node_free() - what node_make() made, and node_close(). */
void node_free(struct storm_node *node);

/** node_read() - anything of anybody; what cannot be started is fine. */
void node_read(struct storm_node *node);
/** node_read_of() - anything of @owner. Return: as transport_read(). */
int node_read_of(struct storm_node *node, unsigned owner, uint64_t timeout_ns);
/** node_send() - a message to anybody. */
void node_send(struct storm_node *node);

/** node_check() - what done() left in the destinations is still there. */
void node_check(const struct storm_node *node);

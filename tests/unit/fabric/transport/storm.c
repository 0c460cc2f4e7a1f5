/*
 * storm.c - fifty transports on a loop where everything goes wrong: delays, losses, slices that
 * never come, connections that break, fences that let late bytes through, cuts in one direction or
 * both, members killed in mid-read and started anew. What must hold all the same:
 *
 *	- done() runs once a read, by its deadline and what a fence takes
 *	- status 0 means the right bytes
 *	- not one byte of a destination changes after done()
 *	- messages arrive in order within a connection; those that ended -ETIMEDOUT never arrive
 *	- afterwards, on a healed network, everybody reads everybody again
 *
 * usage: storm [SEED]   without one, a few fixed seeds. A failure prints its seed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"

#define NODES	    50
#define SLOTS	    16
#define SLOT_LEN    ((size_t)16 << 10)
#define MEMORY_LEN  (SLOTS * SLOT_LEN)
#define STEPS	    6000
#define MESSAGES    8	  /* of one node under way */
#define NUMBERS	    65536 /* of one node's messages */
#define STEP_NS_MAX (500 * UINT64_C(1000))
#define LATE_NS	    (40 * NS_PER_MS) /* a busy transport looks at deadlines each 32nd poll */

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

static uint8_t byte_of(unsigned node, uint64_t off)
{
	return (uint8_t)(((off + 1) * (node + 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static uint64_t pick(struct storm *storm, uint64_t limit)
{
	return random_below(&storm->random, limit);
}

static uint64_t now_of(struct storm *storm)
{
	return clock_now_ns(&storm->clock.clock);
}

/* Anybody but @node: nobody connects to himself. */
static unsigned pick_other(const struct storm_node *node)
{
	return (node->number + 1 + (unsigned)pick(node->storm, NODES - 1)) % NODES;
}

static void check_slot(const struct slot *slot)
{
	const uint8_t *at = slot->node->landing + (size_t)(slot - slot->node->slots) * SLOT_LEN;

	if (!slot->filled)
		return;
	for (size_t i = 0; i < SLOT_LEN; i++)
		STORM_CHECK(slot->node->storm, at[i] == slot->fill);
}

static bool is_right(const struct slot *slot)
{
	const uint8_t *at = slot->read.dst;

	for (size_t i = 0; i < slot->read.len; i++) {
		if (at[i] != byte_of(slot->owner, slot->read.off + i))
			return false;
	}
	return true;
}

static void start_read(struct storm_node *node);

static void read_done(struct transport_read *read)
{
	struct slot *slot = read->context;
	struct storm *storm = slot->node->storm;
	int status = read->status;

	STORM_CHECK(storm, slot->busy);
	STORM_CHECK(storm, status == 0 || status == -ETIMEDOUT || status == -ECONNRESET ||
				   status == -EHOSTUNREACH || status == -ECANCELED);
	STORM_CHECK(storm, now_of(storm) <= read->deadline_ns + storm->faults.fence_ns + LATE_NS);
	STORM_CHECK(storm, status || is_right(slot));
	storm->done++;
	storm->right += !status;
	slot->busy = false;
	slot->filled = true;
	slot->fill = (uint8_t)(slot->fill + 1);
	memset(slot->node->landing + (size_t)(slot - slot->node->slots) * SLOT_LEN, slot->fill,
	       SLOT_LEN);
	if (!slot->node->closing && pick(storm, 4) == 0)
		start_read(slot->node);
}

static struct transport_peer *peer_of(struct storm_node *node, unsigned owner)
{
	struct address address = loop_address(owner);

	if (!node->peers[owner])
		assert_int_equal(
			transport_peer_get(node->transport, &address, NULL, &node->peers[owner]),
			0);
	return node->peers[owner];
}

static struct slot *free_slot(struct storm_node *node)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!node->slots[i].busy)
			return &node->slots[i];
	}
	return NULL;
}

static int start_read_of(struct storm_node *node, unsigned owner, uint64_t timeout_ns)
{
	struct storm *storm = node->storm;
	struct slot *slot = free_slot(node);
	size_t len;
	int error;

	if (!slot)
		return -EAGAIN;
	check_slot(slot);
	len = 1 + pick(storm, SLOT_LEN);
	slot->owner = owner;
	slot->read = (struct transport_read){
		.region = 0,
		.off = pick(storm, MEMORY_LEN - len),
		.len = len,
		.dst = node->landing + (size_t)(slot - node->slots) * SLOT_LEN,
		.deadline_ns = now_of(storm) + timeout_ns,
		.done = read_done,
		.context = slot,
	};
	error = transport_read(peer_of(node, owner), &slot->read);
	if (error)
		return error;
	slot->busy = true;
	slot->filled = false;
	return 0;
}

static void start_read(struct storm_node *node)
{
	int error = start_read_of(node, pick_other(node),
				  NS_PER_MS + pick(node->storm, 300 * NS_PER_MS));

	STORM_CHECK(node->storm, error == 0 || error == -EAGAIN || error == -EHOSTUNREACH);
}

static void message_done(struct transport_message *done)
{
	struct storm_message *message = done->context;
	struct storm_node *node = message->node;
	uint32_t number = bytes_get_u32(message->data + 4);

	STORM_CHECK(node->storm, message->busy);
	STORM_CHECK(node->storm, done->status != -ETIMEDOUT || !node->arrived[number]);
	message->busy = false;
}

static void start_message(struct storm_node *node)
{
	struct storm *storm = node->storm;
	struct storm_message *message = &node->messages[pick(storm, MESSAGES)];
	struct transport_peer *peer = peer_of(node, pick_other(node));

	if (message->busy || node->number_next == NUMBERS)
		return;
	bytes_put_u32(message->data, node->number);
	bytes_put_u32(message->data + 4, node->number_next);
	message->node = node;
	message->message = (struct transport_message){
		.data = message->data,
		.len = sizeof(message->data),
		.deadline_ns = now_of(storm) + NS_PER_MS + pick(storm, 100 * NS_PER_MS),
		.done = message_done,
		.context = message,
	};
	if (transport_send(peer, &message->message))
		return;
	message->busy = true;
	node->number_next++;
}

/* Numbers grow within a connection, so the last one is kept with its peer. */
static void told_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct storm_node *node = context;
	struct storm *storm = node->storm;
	const uint8_t *bytes = data;
	uint32_t sender, number;
	uint32_t *next = transport_peer_context(from);

	STORM_CHECK(storm, len == sizeof(((struct storm_message *)NULL)->data));
	sender = bytes_get_u32(bytes);
	number = bytes_get_u32(bytes + 4);
	STORM_CHECK(storm, sender < NODES && number < NUMBERS);
	if (!next) { /* of this connection; told_down() frees it */
		next = calloc(1, sizeof(*next));
		assert_non_null(next);
		transport_peer_set_context(from, next);
	}
	STORM_CHECK(storm, number >= *next);
	*next = number + 1;
	STORM_CHECK(storm, !storm->nodes[sender].arrived[number]);
	storm->nodes[sender].arrived[number] = 1;
}

static void told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	(void)context;
	(void)status;
	(void)why;
	free(transport_peer_context(peer));
	transport_peer_set_context(peer, NULL);
}

static struct transport_config small_config(void)
{
	struct transport_config config;

	assert_int_equal(option_defaults(&transport_options, &config), 0);
	config.retry_min = 2 * NS_PER_MS;
	config.retry_max = 50 * NS_PER_MS;
	config.connect_timeout = 100 * NS_PER_MS;
	config.slice_len = 4096;
	config.queue_depth = 8;
	config.reads_max = SLOTS;
	config.peers_connected_max = 20;
	return config;
}

static void open_node(struct storm *storm, struct storm_node *node)
{
	const struct transport_environment environment = {
		.clock = &storm->clock.clock,
		.seed = random_u64(&storm->random),
		.identity = &node->identity,
		.events = { .context = node, .message = told_message, .down = told_down },
		.counters = &storm->counters,
	};
	struct transport_config config = small_config();
	char problem[TRANSPORT_PROBLEM_MAX];
	struct address address;
	uint32_t region;

	node->identity.boot++;
	assert_int_equal(loop_transport_open(storm->network, node->number, &config, &environment,
					     &node->transport, problem, sizeof(problem)),
			 0);
	assert_int_equal(transport_region_add(node->transport, node->memory, MEMORY_LEN,
					      TRANSPORT_READABLE, &region, problem,
					      sizeof(problem)),
			 0);
	assert_int_equal(region, 0);
	assert_int_equal(transport_region_add(node->transport, node->landing, MEMORY_LEN,
					      TRANSPORT_LANDING, &region, problem, sizeof(problem)),
			 0);
	assert_int_equal(transport_listen(node->transport, &address, problem, sizeof(problem)), 0);
	option_free(&transport_options, &config);
}

static void close_node(struct storm_node *node)
{
	node->closing = true;
	transport_close(node->transport);
	node->closing = false;
	node->transport = NULL;
	memset(node->peers, 0, sizeof(node->peers));
	for (unsigned i = 0; i < SLOTS; i++)
		STORM_CHECK(node->storm, !node->slots[i].busy);
	for (unsigned i = 0; i < MESSAGES; i++)
		STORM_CHECK(node->storm, !node->messages[i].busy);
}

static uint8_t *map(void)
{
	void *memory =
		mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void make_node(struct storm *storm, unsigned number)
{
	struct storm_node *node = &storm->nodes[number];

	node->storm = storm;
	node->number = number;
	node->memory = map();
	node->landing = map();
	for (size_t i = 0; i < MEMORY_LEN; i++)
		node->memory[i] = byte_of(number, i);
	for (unsigned i = 0; i < SLOTS; i++)
		node->slots[i].node = node;
	snprintf(node->identity.cluster, sizeof(node->identity.cluster), "storm");
	memset(node->identity.member.bytes, (int)number + 1, MEMBER_ID_LEN);
	node->identity.ring = storm->ring;
	open_node(storm, node);
}

static struct loop_faults bad_faults(struct storm *storm)
{
	return (struct loop_faults){
		.delay_min_ns = 1000,
		.delay_max_ns = 1000 + pick(storm, 3 * NS_PER_MS),
		.loss_per_mille = (unsigned)pick(storm, 50),
		.resend_ns = NS_PER_MS + pick(storm, 10 * NS_PER_MS),
		.stall_per_mille = (unsigned)pick(storm, 10),
		.break_per_mille = (unsigned)pick(storm, 5),
		.fence_ns = pick(storm, 20 * NS_PER_MS),
		.late_bytes = true,
		.detect_ns = pick(storm, NS_PER_S),
	};
}

static void strike(struct storm *storm)
{
	struct storm_node *node = &storm->nodes[pick(storm, NODES)];
	unsigned other = (unsigned)pick(storm, NODES);

	switch (pick(storm, 6)) {
	case 0:
		loop_cut(storm->network, node->number, other, true);
		break;
	case 1:
		loop_cut_node(storm->network, node->number, pick(storm, 3) == 0);
		break;
	case 2: /* killed, or stopped in order */
		if (!node->transport)
			break;
		if (pick(storm, 2))
			loop_kill(storm->network, node->number);
		close_node(node);
		break;
	case 3:
	case 4:
		for (unsigned i = 0; i < NODES; i++)
			loop_cut(storm->network, i, other, false);
		loop_cut_node(storm->network, other, false);
		if (!node->transport)
			open_node(storm, node);
		break;
	default:
		if (node->transport && node->peers[other])
			transport_peer_disconnect(node->peers[other]);
		break;
	}
}

static void act(struct storm *storm)
{
	struct storm_node *node = &storm->nodes[pick(storm, NODES)];
	unsigned other = (unsigned)pick(storm, NODES);

	if (!node->transport)
		return;
	start_read(node);
	start_message(node);
	if (pick(storm, 50) == 0 && node->peers[other]) {
		transport_peer_put(node->peers[other]);
		node->peers[other] = NULL;
	}
}

static void step(struct storm *storm)
{
	clock_manual_advance(&storm->clock, 1 + pick(storm, STEP_NS_MAX));
	for (unsigned i = 0; i < NODES; i++) {
		if (storm->nodes[i].transport)
			transport_poll(storm->nodes[i].transport);
	}
}

static void calm_down(struct storm *storm)
{
	struct loop_faults faults = loop_faults_none();

	faults.detect_ns = 100 * NS_PER_MS;
	faults.fence_ns = storm->faults.fence_ns; /* of fences under way */
	loop_network_set_faults(storm->network, &faults);
	for (unsigned i = 0; i < NODES; i++) {
		loop_cut_node(storm->network, i, false);
		if (!storm->nodes[i].transport)
			open_node(storm, &storm->nodes[i]);
	}
	for (uint64_t until_ns = now_of(storm) + NS_PER_S; now_of(storm) < until_ns;)
		step(storm);
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned j = 0; j < SLOTS; j++) {
			STORM_CHECK(storm, !storm->nodes[i].slots[j].busy);
			check_slot(&storm->nodes[i].slots[j]);
		}
	}
}

/* Idle connections keep their places with those who accepted them, of whom there may be more than
   they accept. */
static void let_go(struct storm *storm)
{
	for (unsigned i = 0; i < NODES * NODES; i++) {
		struct transport_peer **peer = &storm->nodes[i / NODES].peers[i % NODES];

		if (*peer)
			transport_peer_put(*peer);
		*peer = NULL;
	}
	for (uint64_t until_ns = now_of(storm) + NS_PER_S; now_of(storm) < until_ns;)
		step(storm);
	STORM_CHECK(storm, !counter_get(&storm->counters, TRANSPORT_PEERS_ACTIVE));
	STORM_CHECK(storm, !counter_get(&storm->counters, TRANSPORT_PEERS_PASSIVE));
}

/* What is healed works again, and soon: back-offs are at most retry_max. */
static void read_everybody(struct storm *storm)
{
	uint64_t right = storm->right, started = 0;

	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned j = 1; j <= 5; j++) {
			int error =
				start_read_of(&storm->nodes[i], (i + j * 7) % NODES, 2 * NS_PER_S);

			STORM_CHECK(storm, !error);
			started++;
		}
	}
	for (uint64_t until_ns = now_of(storm) + 3 * NS_PER_S;
	     now_of(storm) < until_ns && storm->right < right + started;)
		step(storm);
	STORM_CHECK(storm, storm->right >= right + started);
}

static void run(uint64_t seed)
{
	static const uint8_t key[KEYRING_KEY_LEN] = { 7 };
	struct storm *storm = calloc(1, sizeof(*storm));

	assert_non_null(storm);
	storm->seed = seed;
	random_init(&storm->random, seed);
	clock_manual_init(&storm->clock, NS_PER_S, 0);
	assert_int_equal(keyring_create(&storm->ring), 0);
	assert_int_equal(keyring_add(storm->ring, key), 0);
	assert_int_equal(transport_counters_init(&storm->counters), 0);
	assert_int_equal(loop_network_create(&storm->clock.clock, seed, &storm->network), 0);
	storm->faults = bad_faults(storm);
	loop_network_set_faults(storm->network, &storm->faults);
	for (unsigned i = 0; i < NODES; i++)
		make_node(storm, i);
	for (unsigned i = 0; i < STEPS; i++) {
		if (pick(storm, 40) == 0)
			strike(storm);
		for (unsigned j = 0; j < 4; j++)
			act(storm);
		step(storm);
	}
	calm_down(storm);
	let_go(storm);
	read_everybody(storm);
	print_message(
		"seed %llu: %llu reads, %llu right, %llu fences, %llu repeated, %llu "
		"connections, %llu messages\n",
		(unsigned long long)seed, (unsigned long long)storm->done,
		(unsigned long long)storm->right,
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_FENCES),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_READS_REPEATED),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_CONNECTS),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_MESSAGES_RECEIVED));
	for (unsigned i = 0; i < NODES; i++) {
		close_node(&storm->nodes[i]);
		munmap(storm->nodes[i].memory, MEMORY_LEN);
		munmap(storm->nodes[i].landing, MEMORY_LEN);
	}
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_READS_INFLIGHT) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_PEERS_ACTIVE) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_PEERS_PASSIVE) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_REGISTERED) == 0);
	loop_network_destroy(storm->network);
	keyring_destroy(storm->ring);
	counters_fini(&storm->counters);
	free(storm);
}

static uint64_t only_seed;

static void test_transport__a_storm_of_faults__keeps_its_contract(void **state)
{
	(void)state;
	if (only_seed) {
		run(only_seed);
		return;
	}
	for (uint64_t seed = 1; seed <= 3; seed++)
		run(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transport__a_storm_of_faults__keeps_its_contract),
	};

	if (argc > 1)
		only_seed = strtoull(argv[1], NULL, 10);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

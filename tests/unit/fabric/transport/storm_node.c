/*
 * storm_node.c - see storm.h.
 */
#include "tests/unit/fabric/transport/storm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "fabric/keyring.h"

#define LATE_NS (40 * NS_PER_MS) /* a busy transport looks at deadlines each 32nd poll */

static uint8_t byte_of(unsigned node, uint64_t off)
{
	return (uint8_t)(((off + 1) * (node + 3) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

uint64_t storm_pick(struct storm *storm, uint64_t limit)
{
	return random_below(&storm->random, limit);
}

uint64_t storm_now(struct storm *storm)
{
	return clock_now_ns(&storm->clock.clock);
}

/* Anybody but @node: nobody connects to himself. */
static unsigned pick_other(const struct storm_node *node)
{
	return (node->number + 1 + (unsigned)storm_pick(node->storm, NODES - 1)) % NODES;
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

static void read_done(struct transport_read *read)
{
	struct slot *slot = read->context;
	struct storm *storm = slot->node->storm;
	int status = read->status;

	STORM_CHECK(storm, slot->busy);
	STORM_CHECK(storm, status == 0 || status == -ETIMEDOUT || status == -ECONNRESET ||
				   status == -EHOSTUNREACH || status == -ECANCELED);
	STORM_CHECK(storm,
		    storm_now(storm) <= read->deadline_ns + storm->faults.fence_ns + LATE_NS);
	STORM_CHECK(storm, status || is_right(slot));
	storm->done++;
	storm->right += !status;
	slot->busy = false;
	slot->filled = true;
	slot->fill = (uint8_t)(slot->fill + 1);
	memset(slot->node->landing + (size_t)(slot - slot->node->slots) * SLOT_LEN, slot->fill,
	       SLOT_LEN);
	if (!slot->node->closing && storm_pick(storm, 4) == 0)
		node_read(slot->node);
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

int node_read_of(struct storm_node *node, unsigned owner, uint64_t timeout_ns)
{
	struct storm *storm = node->storm;
	struct slot *slot = free_slot(node);
	size_t len;
	int error;

	if (!slot)
		return -EAGAIN;
	check_slot(slot);
	len = 1 + storm_pick(storm, SLOT_LEN);
	slot->owner = owner;
	slot->read = (struct transport_read){
		.region = 0,
		.off = storm_pick(storm, MEMORY_LEN - len),
		.len = len,
		.dst = node->landing + (size_t)(slot - node->slots) * SLOT_LEN,
		.deadline_ns = storm_now(storm) + timeout_ns,
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

void node_read(struct storm_node *node)
{
	int error = node_read_of(node, pick_other(node),
				 NS_PER_MS + storm_pick(node->storm, 300 * NS_PER_MS));

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

void node_send(struct storm_node *node)
{
	struct storm *storm = node->storm;
	struct storm_message *message = &node->messages[storm_pick(storm, MESSAGES)];
	struct transport_peer *peer = peer_of(node, pick_other(node));

	if (message->busy || node->number_next == NUMBERS)
		return;
	bytes_put_u32(message->data, node->number);
	bytes_put_u32(message->data + 4, node->number_next);
	message->node = node;
	message->message = (struct transport_message){
		.data = message->data,
		.len = sizeof(message->data),
		.deadline_ns = storm_now(storm) + NS_PER_MS + storm_pick(storm, 100 * NS_PER_MS),
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
	config.idle_timeout = 200 * NS_PER_MS;
	return config;
}

void node_open(struct storm_node *node)
{
	struct storm *storm = node->storm;
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

void node_close(struct storm_node *node)
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

void node_make(struct storm *storm, unsigned number)
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
	node_open(node);
}

void node_free(struct storm_node *node)
{
	node_close(node);
	munmap(node->memory, MEMORY_LEN);
	munmap(node->landing, MEMORY_LEN);
}

void node_check(const struct storm_node *node)
{
	for (unsigned i = 0; i < SLOTS; i++)
		check_slot(&node->slots[i]);
}

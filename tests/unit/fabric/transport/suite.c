/*
 * suite.c - the nodes of the transport suite, and how its tests wait.
 */
#include "tests/unit/fabric/transport/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"

static const struct suite_backend *the_backend;

uint8_t suite_byte(size_t off)
{
	return (uint8_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

struct transport_config suite_config(void)
{
	struct transport_config config;

	assert_int_equal(option_defaults(&transport_options, &config), 0);
	free(config.listen);
	config.listen = NULL;
	config.slice_len = 64 << 10;
	config.retry_min = 20 * NS_PER_MS;
	config.retry_max = 200 * NS_PER_MS;
	config.read_timeout = 20 * NS_PER_S;
	config.connect_timeout = 20 * NS_PER_S;
	config.numa = false;
	return config;
}

int suite_setup(void **state)
{
	struct suite *suite = calloc(1, sizeof(*suite));

	if (!suite)
		return -1;
	suite->backend = the_backend;
	if (the_backend->begin)
		the_backend->begin();
	*state = suite;
	return 0;
}

void *suite_calloc(struct suite *suite, size_t count, size_t size)
{
	void **lent = reallocarray(suite->lent, suite->lent_count + 1, sizeof(*suite->lent));

	assert_non_null(lent);
	suite->lent = lent;
	lent[suite->lent_count] = calloc(count, size);
	assert_non_null(lent[suite->lent_count]);
	return lent[suite->lent_count++];
}

static void free_node(struct suite_node *node)
{
	suite_node_close(node);
	keyring_destroy(node->ring);
	counters_fini(&node->counters);
	munmap(node->memory, SUITE_MEMORY_LEN);
	munmap(node->landing, SUITE_MEMORY_LEN);
}

int suite_teardown(void **state)
{
	struct suite *suite = *state;

	for (unsigned i = 0; i < suite->node_count; i++)
		free_node(&suite->nodes[i]);
	if (the_backend->end)
		the_backend->end();
	for (unsigned i = 0; i < suite->lent_count; i++)
		free(suite->lent[i]);
	free(suite->lent);
	free(suite);
	return 0;
}

static void told_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct suite_node *node = context;
	struct suite_message *answer;

	assert_false(node->in_call);
	assert_in_range(len, 4, TRANSPORT_MESSAGE_MAX);
	for (size_t i = 4; i < len; i++)
		assert_int_equal(((const uint8_t *)data)[i], suite_byte(i));
	if (node->messages < SUITE_MESSAGES) {
		node->message_lens[node->messages] = len;
		node->message_numbers[node->messages] = bytes_get_u32(data);
	}
	node->messages++;
	if (!node->echo)
		return;
	answer = suite_calloc(node->suite, 1, sizeof(*answer));
	if (suite_message_start(answer, node, from, bytes_get_u32(data), len))
		node->echoes_refused++;
}

static void told_up(void *context, struct transport_peer *peer)
{
	struct suite_node *node = context;

	assert_false(node->in_call);
	assert_true(transport_peer_is_up(peer));
	node->ups++;
	if (transport_peer_kind(peer) == TRANSPORT_PEER_PASSIVE)
		node->passive = peer;
}

static void told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct suite_node *node = context;

	assert_false(node->in_call);
	assert_false(transport_peer_is_up(peer));
	assert_true(status < 0);
	node->downs++;
	node->down_status = status;
	snprintf(node->down_why, sizeof(node->down_why), "%s", why);
	if (node->passive == peer)
		node->passive = NULL;
}

static uint8_t *map_memory(void)
{
	void *memory = mmap(NULL, SUITE_MEMORY_LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

struct suite_node *suite_node_prepare(struct suite *suite, const char *cluster, uint8_t key)
{
	struct suite_node *node = &suite->nodes[suite->node_count];
	uint8_t secret[KEYRING_KEY_LEN];

	assert_true(suite->node_count < SUITE_NODES_MAX);
	memset(secret, key, sizeof(secret));
	node->suite = suite;
	node->which = suite->node_count++;
	node->config = suite_config();
	assert_int_equal(keyring_create(&node->ring), 0);
	assert_int_equal(keyring_add(node->ring, secret), 0);
	snprintf(node->identity.cluster, sizeof(node->identity.cluster), "%s", cluster);
	memset(node->identity.member.bytes, (int)node->which + 1, MEMBER_ID_LEN);
	node->identity.boot = 1;
	node->identity.ring = node->ring;
	assert_int_equal(transport_counters_init(&node->counters), 0);
	node->memory = map_memory();
	node->landing = map_memory();
	for (size_t i = 0; i < SUITE_MEMORY_LEN; i++)
		node->memory[i] = suite_byte(i);
	return node;
}

static void must(int error, const char *what, const char *problem)
{
	if (error)
		fail_msg("%s: %s: %s", what, error_text(error), problem);
}

void suite_node_open(struct suite *suite, struct suite_node *node)
{
	const struct transport_environment environment = {
		.clock = suite->backend->clock,
		.seed = node->which,
		.identity = &node->identity,
		.events = { .context = node,
			    .message = told_message,
			    .up = told_up,
			    .down = told_down },
		.counters = &node->counters,
	};
	struct transport_config config = node->config;
	char problem[TRANSPORT_PROBLEM_MAX] = "", listen[ADDRESS_TEXT_MAX];
	struct transport *transport;

	if (address_port(&node->address)) { /* opened again */
		address_text(&node->address, listen);
		config.listen = listen;
	}
	must(suite->backend->open(node->which, &config, &environment, &transport, problem,
				  sizeof(problem)),
	     "open", problem);
	node->transport = transport;
	must(transport_region_add(transport, node->memory, SUITE_MEMORY_LEN, TRANSPORT_READABLE,
				  &node->readable, problem, sizeof(problem)),
	     "region_add", problem);
	must(transport_region_add(transport, node->landing, SUITE_MEMORY_LEN, TRANSPORT_LANDING,
				  &node->unreadable, problem, sizeof(problem)),
	     "region_add", problem);
	must(transport_listen(transport, &node->address, problem, sizeof(problem)), "listen",
	     problem);
}

struct suite_node *suite_node_add(struct suite *suite)
{
	struct suite_node *node = suite_node_prepare(suite, "suite", 1);

	suite_node_open(suite, node);
	return node;
}

void suite_node_close(struct suite_node *node)
{
	transport_close(node->transport);
	node->transport = NULL;
	assert_null(node->passive);
}

struct transport_peer *suite_peer(struct suite_node *node, const struct suite_node *at)
{
	struct transport_peer *peer;

	assert_int_equal(transport_peer_get(node->transport, &at->address, NULL, &peer), 0);
	return peer;
}

int suite_pump(struct suite *suite)
{
	int count = 0;

	for (unsigned i = 0; i < suite->node_count; i++) {
		if (suite->nodes[i].transport && !suite->nodes[i].held)
			count += transport_poll(suite->nodes[i].transport);
	}
	if (!count && suite->backend->idle)
		suite->backend->idle();
	return count;
}

static uint64_t give_up_ns(void)
{
	return clock_now_ns(clock_system()) + SUITE_PATIENCE_NS;
}

void suite_wait(struct suite *suite, const unsigned *count, unsigned wanted, const char *what)
{
	uint64_t until_ns = give_up_ns();

	while (*count < wanted) {
		suite_pump(suite);
		if (clock_now_ns(clock_system()) > until_ns)
			fail_msg("%s: %u of %u in time", what, *count, wanted);
	}
}

void suite_wait_ns(struct suite *suite, uint64_t ns)
{
	const struct clock *clock = suite->backend->clock;
	uint64_t until_ns = clock_now_ns(clock) + ns;

	while (clock_now_ns(clock) < until_ns)
		suite_pump(suite);
}

void suite_wait_up(struct suite *suite, struct transport_peer *peer)
{
	uint64_t until_ns = give_up_ns();

	while (!transport_peer_is_up(peer)) {
		int error = transport_peer_connect(peer);

		assert_true(error == 0 || error == -EHOSTUNREACH);
		suite_pump(suite);
		if (clock_now_ns(clock_system()) > until_ns)
			fail_msg("no connection in time");
	}
}

static void read_done(struct transport_read *done)
{
	struct suite_read *read = done->context;

	assert_false(read->node->in_call);
	read->calls++;
	if (read->scribble)
		memset(done->dst, read->scribbled, done->len);
}

int suite_read_start(struct suite_read *read, struct suite_node *node, struct transport_peer *peer,
		     uint64_t off, size_t len, size_t dst_off)
{
	int error;

	assert_true(dst_off <= SUITE_MEMORY_LEN && len <= SUITE_MEMORY_LEN - dst_off);
	read->node = node;
	read->calls = 0;
	read->read.off = off;
	read->read.len = len;
	read->read.dst = node->landing + dst_off;
	read->read.done = read_done;
	read->read.context = read;
	node->in_call = true;
	error = transport_read(peer, &read->read);
	node->in_call = false;
	return error;
}

bool suite_read_right(const struct suite_read *read)
{
	const uint8_t *at = read->read.dst;

	for (size_t i = 0; i < read->read.len; i++) {
		if (at[i] != suite_byte((size_t)read->read.off + i))
			return false;
	}
	return true;
}

int suite_read_wait(struct suite *suite, struct suite_read *read)
{
	suite_wait(suite, &read->calls, 1, "a read");
	return read->read.status;
}

void suite_reads_wait(struct suite *suite, struct suite_read *reads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		suite_wait(suite, &reads[i].calls, 1, "reads");
}

static void message_done(struct transport_message *done)
{
	struct suite_message *message = done->context;

	assert_false(message->node->in_call);
	message->calls++;
}

int suite_message_start(struct suite_message *message, struct suite_node *node,
			struct transport_peer *peer, uint32_t number, size_t len)
{
	bool was_in_call = node->in_call;
	int error;

	for (size_t i = 0; i < len; i++)
		message->data[i] = suite_byte(i);
	bytes_put_u32(message->data, number);
	message->node = node;
	message->calls = 0;
	message->message.data = message->data;
	message->message.len = len;
	message->message.done = message_done;
	message->message.context = message;
	node->in_call = true;
	error = transport_send(peer, &message->message);
	node->in_call = was_in_call;
	return error;
}

void suite_stall(struct suite *suite, struct suite_node *node)
{
	if (suite->backend->stall_missing) {
		print_message("skipped: %s\n", suite->backend->stall_missing);
		skip();
	}
	node->held = true;
	if (suite->backend->stall)
		suite->backend->stall(node->which, true);
}

void suite_unstall(struct suite *suite, struct suite_node *node)
{
	node->held = false;
	if (suite->backend->stall)
		suite->backend->stall(node->which, false);
}

uint64_t suite_count(const struct suite_node *node, enum transport_counter counter)
{
	return counter_get(&node->counters, counter);
}

int suite_run_tests(const struct suite_backend *backend, const char *what,
		    const struct CMUnitTest *tests, size_t count)
{
	char name[64];

	the_backend = backend;
	snprintf(name, sizeof(name), "%s: %s", backend->name, what);
	return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int suite_run(const struct suite_backend *backend)
{
	return suite_run_tests(backend, "reads", suite_read_tests, suite_read_test_count) +
	       suite_run_tests(backend, "messages", suite_message_tests, suite_message_test_count) +
	       suite_run_tests(backend, "connections", suite_connection_tests,
			       suite_connection_test_count) +
	       suite_run_tests(backend, "fences", suite_fence_tests, suite_fence_test_count);
}

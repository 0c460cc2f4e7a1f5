/*
 * suite_messages.c - control messages: in order, all of them, and what happens when there are too
 * many.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fabric/transport/suite.h"

static void start(struct suite_message *message, struct suite_node *node,
		  struct transport_peer *peer, uint32_t number, size_t len)
{
	assert_int_equal(suite_message_start(message, node, peer, number, len), 0);
}

static void assert_in_order(const struct suite_node *node, unsigned count)
{
	assert_int_equal(node->messages, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(node->message_numbers[i], i);
}

static void test_transport_send__every_size__arrives_in_order(void **state)
{
	static const size_t lens[] = { 4, 5, 64, 255, 256, 1023, 2048, 4000, 4095, 4096 };
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_message *messages = suite_calloc(suite, 200, sizeof(*messages));

	for (unsigned i = 0; i < 200; i++)
		start(&messages[i], a, peer, i, lens[i % ARRAY_COUNT(lens)]);
	suite_wait(suite, &b->messages, 200, "messages");
	assert_in_order(b, 200);
	for (unsigned i = 0; i < 200; i++) {
		suite_wait(suite, &messages[i].calls, 1, "a message's done");
		assert_int_equal(messages[i].message.status, 0);
		assert_int_equal(b->message_lens[i], lens[i % ARRAY_COUNT(lens)]);
	}
	assert_int_equal(suite_count(a, TRANSPORT_MESSAGES_SENT), 200);
	assert_int_equal(suite_count(b, TRANSPORT_MESSAGES_RECEIVED), 200);
}

static void test_transport_send__without_a_done__arrives_too(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_message message = { 0 };

	start(&message, a, suite_peer(a, b), 0, 4);
	message.message.done = NULL;
	suite_wait(suite, &b->messages, 1, "a message");
	suite_node_close(a); /* at the latest then it is ours again */
}

static void test_transport_send__by_the_passive_side__is_an_answer(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_message *messages = suite_calloc(suite, 100, sizeof(*messages));
	struct transport_peer *peer = suite_peer(a, b);

	b->echo = true;
	for (unsigned i = 0; i < 100; i++)
		start(&messages[i], a, peer, i, 4 + 40 * i);
	suite_wait(suite, &a->messages, 100, "answers");
	assert_in_order(a, 100);
	assert_int_equal(b->echoes_refused, 0);
	assert_int_equal(a->message_lens[99], 4 + 40 * 99);
	for (unsigned i = 0; i < 100; i++)
		suite_wait(suite, &messages[i].calls, 1, "a message's done");
}

#define FLOOD 900

/* To a peer that does not look: some are taken, then none, and when it looks again all come. */
static void test_transport_send__to_a_held_peer__is_eagain_and_recovers(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_message *messages = suite_calloc(suite, FLOOD, sizeof(*messages));
	struct transport_peer *peer = suite_peer(a, b);
	unsigned taken = 0, eagain = 0;

	suite_wait_up(suite, peer);
	b->held = true;
	while (taken < FLOOD && !eagain) {
		int error = suite_message_start(&messages[taken], a, peer, taken, 512);

		if (error) {
			assert_int_equal(error, -EAGAIN);
			eagain++;
		} else {
			taken++;
		}
	}
	assert_int_equal(taken, TRANSPORT_MESSAGES_MAX);
	b->held = false;
	while (taken < FLOOD) {
		if (suite_message_start(&messages[taken], a, peer, taken, 512))
			suite_pump(suite);
		else
			taken++;
	}
	suite_wait(suite, &b->messages, FLOOD, "messages");
	assert_in_order(b, FLOOD);
	for (unsigned i = 0; i < FLOOD; i++)
		suite_wait(suite, &messages[i].calls, 1, "a message's done");
}

static void test_transport_send__no_credit_until_the_deadline__is_etimedout(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_message *messages = suite_calloc(suite, 200, sizeof(*messages));
	struct suite_read read = { .read.region = b->readable };
	struct transport_peer *peer = suite_peer(a, b);
	uint64_t deadline_ns;
	unsigned sent = 0;

	suite_wait_up(suite, peer);
	b->held = true;
	deadline_ns = clock_now_ns(suite->backend->clock) + 300 * NS_PER_MS;
	for (unsigned i = 0; i < 200; i++) {
		messages[i].message.deadline_ns = deadline_ns;
		start(&messages[i], a, peer, i, 4096);
	}
	for (unsigned i = 0; i < 200; i++) {
		suite_wait(suite, &messages[i].calls, 1, "a message's end");
		/* those that were sent are the first ones */
		if (!messages[i].message.status)
			assert_int_equal(sent++, i);
		else
			assert_int_equal(messages[i].message.status, -ETIMEDOUT);
	}
	b->held = false;
	suite_wait(suite, &b->messages, sent, "the messages that were sent");
	assert_in_order(b, sent);
	assert_int_equal(suite_read_start(&read, a, peer, 9, 999, 0), 0);
	assert_int_equal(suite_read_wait(suite, &read), 0);
	assert_int_equal(a->downs, 0);
	assert_int_equal(a->ups, 1);
}

static void test_transport_peer_disconnect__messages_queued__each_ends_once(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_message *messages = suite_calloc(suite, 200, sizeof(*messages));
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	b->held = true;
	for (unsigned i = 0; i < 200; i++)
		start(&messages[i], a, peer, i, 2000);
	transport_peer_disconnect(peer);
	b->held = false;
	for (unsigned i = 0; i < 200; i++) {
		suite_wait(suite, &messages[i].calls, 1, "a message's end");
		assert_true(messages[i].message.status == 0 ||
			    messages[i].message.status == -ECONNRESET);
	}
	suite_wait(suite, &a->downs, 1, "the end of the connection");
	suite_wait(suite, &b->downs, 1, "the end of the connection, there");
}

const struct CMUnitTest suite_message_tests[] = {
	SUITE_TEST(test_transport_send__every_size__arrives_in_order),
	SUITE_TEST(test_transport_send__without_a_done__arrives_too),
	SUITE_TEST(test_transport_send__by_the_passive_side__is_an_answer),
	SUITE_TEST(test_transport_send__to_a_held_peer__is_eagain_and_recovers),
	SUITE_TEST(test_transport_send__no_credit_until_the_deadline__is_etimedout),
	SUITE_TEST(test_transport_peer_disconnect__messages_queued__each_ends_once),
};
const size_t suite_message_test_count = ARRAY_COUNT(suite_message_tests);

/*
 * Tests of peer/outbox.h over a transport that keeps what it is given until the test ends it.
 */
#include "cache/peer/outbox.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"

#define LIMIT	   4
#define NOW_NS	   (5 * NS_PER_S)
#define TIMEOUT_NS (3 * NS_PER_S)

/* --- the transport's side */

static struct transport_message *sent[LIMIT + 1];
static unsigned sent_count;
static int send_error;

/* Nobody looks into it. */
static struct transport_peer *const some_peer = (struct transport_peer *)&sent_count;

int transport_send(struct transport_peer *peer, struct transport_message *message)
{
	assert_ptr_equal(peer, some_peer);
	if (send_error)
		return send_error;
	assert_true(sent_count < ARRAY_COUNT(sent));
	sent[sent_count++] = message;
	return 0;
}

static void end_sent(unsigned index, int status)
{
	struct transport_message *message = sent[index];

	sent[index] = sent[--sent_count];
	message->status = status;
	message->done(message);
}

/* --- */

static struct clock_manual now;
static struct outbox *outbox;

static int begin(void **state)
{
	(void)state;
	sent_count = 0;
	send_error = 0;
	clock_manual_init(&now, NOW_NS, 0);
	return outbox_create(&now.clock, LIMIT, &outbox);
}

static int end(void **state)
{
	(void)state;
	while (sent_count)
		end_sent(0, 0);
	outbox_destroy(outbox);
	return 0;
}

static int send_cancel(uint64_t request)
{
	struct peer_message message = { .kind = PEER_CANCEL, .request = request };

	return outbox_send(outbox, some_peer, &message, TIMEOUT_NS);
}

static void assert_sent(const struct transport_message *message, uint64_t request)
{
	struct peer_message decoded;

	assert_int_equal(peer_message_decode(message->data, message->len, &decoded), 0);
	assert_int_equal(decoded.kind, PEER_CANCEL);
	assert_int_equal(decoded.request, request);
}

static void test_send__several__each_has_its_own_bytes_and_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LIMIT; i++) {
		assert_int_equal(send_cancel(i), 0);
		clock_manual_advance(&now, NS_PER_MS);
	}
	for (unsigned i = 0; i < LIMIT; i++) {
		assert_sent(sent[i], i);
		assert_int_equal(sent[i]->deadline_ns, NOW_NS + i * NS_PER_MS + TIMEOUT_NS);
	}
}

static void test_send__without_end__has_a_time_that_never_comes(void **state)
{
	struct peer_message message = { .kind = PEER_CANCEL };

	(void)state;
	assert_int_equal(outbox_send(outbox, some_peer, &message, CLOCK_NEVER), 0);
	assert_int_equal(sent[0]->deadline_ns, CLOCK_NEVER);
}

static void test_send__too_many__must_wait_for_one_to_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(send_cancel(i), 0);
	assert_int_equal(send_cancel(9), -EAGAIN);
	assert_int_equal(sent_count, LIMIT);
	end_sent(1, 0);
	assert_int_equal(send_cancel(10), 0);
	assert_sent(sent[LIMIT - 1], 10);
	assert_int_equal(send_cancel(11), -EAGAIN);
	assert_int_equal(outbox_dropped(outbox), 0);
}

static void test_send__message_ends__counts_those_that_never_got_out(void **state)
{
	static const struct {
		int status;
		unsigned dropped;
	} rows[] = { { 0, 0 }, { -ETIMEDOUT, 1 }, { -ECONNRESET, 2 }, { 0, 2 }, { -ECANCELED, 3 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(send_cancel(i), 0);
		end_sent(0, rows[i].status);
		assert_int_equal(outbox_dropped(outbox), rows[i].dropped);
	}
}

/* More often than there is room for, so that a lost letter would show. */
static void test_send__refused_by_the_transport__is_told_and_costs_nothing(void **state)
{
	static const int errors[] = { -EAGAIN, -EHOSTUNREACH, -EACCES };

	(void)state;
	for (unsigned i = 0; i < 3 * LIMIT; i++) {
		send_error = errors[i % ARRAY_COUNT(errors)];
		assert_int_equal(send_cancel(i), send_error);
	}
	send_error = 0;
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(send_cancel(i), 0);
	assert_int_equal(outbox_dropped(outbox), 0);
}

static void test_send__cannot_be_encoded__is_told_and_costs_nothing(void **state)
{
	static char key[2 * TRANSPORT_MESSAGE_MAX];
	struct peer_message message = {
		.kind = PEER_STAGE,
		.stage = { .timeout_ms = 1, .version = { "", "", key, "", 1 }, .dataset = "" },
	};

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	for (unsigned i = 0; i < 3 * LIMIT; i++)
		assert_int_equal(outbox_send(outbox, some_peer, &message, TIMEOUT_NS), -EMSGSIZE);
	assert_int_equal(sent_count, 0);
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(send_cancel(i), 0);
}

static void test_send__no_memory__is_told_and_what_was_used_before_is_used_again(void **state)
{
	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(send_cancel(1), -ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_int_equal(send_cancel(2), 0);
	end_sent(0, 0);
	allocation_fault_arm(1);
	assert_int_equal(send_cancel(3), 0);
	assert_false(allocation_fault_disarm());
	for (unsigned i = 1; i < LIMIT; i++)
		assert_int_equal(send_cancel(i), 0);
}

static void test_create__no_memory__fails(void **state)
{
	struct outbox *other;

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(outbox_create(&now.clock, LIMIT, &other), -ENOMEM);
	assert_true(allocation_fault_disarm());
	outbox_destroy(NULL);
}

#define OUTBOX_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OUTBOX_TEST(test_send__several__each_has_its_own_bytes_and_time),
		OUTBOX_TEST(test_send__without_end__has_a_time_that_never_comes),
		OUTBOX_TEST(test_send__too_many__must_wait_for_one_to_end),
		OUTBOX_TEST(test_send__message_ends__counts_those_that_never_got_out),
		OUTBOX_TEST(test_send__refused_by_the_transport__is_told_and_costs_nothing),
		OUTBOX_TEST(test_send__cannot_be_encoded__is_told_and_costs_nothing),
		OUTBOX_TEST(test_send__no_memory__is_told_and_what_was_used_before_is_used_again),
		OUTBOX_TEST(test_create__no_memory__fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

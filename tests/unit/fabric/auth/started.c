/* The greeting side over real sockets: how greetings end, when they are cancelled, what leaks. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "fabric/auth/message.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fabric/auth/meeting.h"

static struct meeting meeting;

static int begin(void **state)
{
	(void)state;
	meeting_init(&meeting, "127.0.0.1");
	return 0;
}

static int finish(void **state)
{
	(void)state;
	meeting_fini(&meeting);
	return 0;
}

static void test_start__at_once_many__all_agree(void **state)
{
	static struct outcome outcomes[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++)
		meeting_start(&meeting, &outcomes[i]);
	for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++) {
		meeting_until(&meeting, &outcomes[i].count, 1);
		assert_int_equal(outcomes[i].status, 0);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(outcomes[i].handshake.proof,
						outcomes[j].handshake.proof, HANDSHAKE_PROOF_LEN);
	}
	assert_true(greeter_next_ns(meeting.client) == CLOCK_NEVER);
}

static void test_start__a_hundred_one_after_the_other__leave_no_descriptor(void **state)
{
	struct outcome outcome;
	struct member_id member;
	uint64_t boot;
	int fds = meeting_count_fds();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		meeting_start(&meeting, &outcome);
		meeting_until(&meeting, &outcome.count, 1);
		assert_int_equal(outcome.status, 0);
		assert_int_equal(proofs_take(&meeting.proofs, outcome.handshake.proof,
					     HANDSHAKE_PROOF_LEN, 0, &member, &boot),
				 0);
	}
	meeting_idle(&meeting);
	assert_int_equal(meeting_count_fds(), fds);
}

static void test_start__an_expected_member__is_asked_for(void **state)
{
	struct member_id other = { { 7 } };
	struct greeting *greeting;
	struct outcome outcome = { 0 };
	uint64_t deadline_ns = clock_now_ns(&meeting.clock.clock) + NS_PER_S;

	(void)state;
	assert_int_equal(greeter_start(meeting.client, &meeting.address, &other, deadline_ns,
				       meeting_done, &outcome, &greeting),
			 0);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -EREMCHG);
	assert_non_null(strstr(outcome.problem, "the client wants 0700"));
}

static void test_start__nobody_listens__is_told_by_poll(void **state)
{
	struct outcome outcome;
	char text[ADDRESS_TEXT_MAX];
	int listener = meeting_listen(1, &meeting.address);

	(void)state;
	close(listener);
	meeting_start(&meeting, &outcome);
	assert_int_equal(outcome.count, 0);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -ECONNREFUSED);
	assert_non_null(strstr(outcome.problem, "nobody listens at "));
	assert_non_null(strstr(outcome.problem, address_text(&meeting.address, text)));
	assert_true(greeter_next_ns(meeting.client) == CLOCK_NEVER);
}

static void test_start__what_cannot_be_connected_to__is_told_by_poll(void **state)
{
	static const struct {
		const char *address; /* NULL: none */
		int status;
	} rows[] = {
		{ NULL, -EAFNOSUPPORT },
		{ "255.255.255.255:9", -EHOSTUNREACH },
	};
	struct outcome outcome;
	char problem[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		memset(&meeting.address, 0, sizeof(meeting.address));
		if (rows[i].address)
			assert_int_equal(address_parse(rows[i].address, 0, &meeting.address,
						       problem, sizeof(problem)),
					 0);
		meeting_start(&meeting, &outcome);
		assert_int_equal(greeter_next_ns(meeting.client), 0);
		meeting_until(&meeting, &outcome.count, 1);
		assert_int_equal(outcome.status, rows[i].status);
	}
}

static void test_start__no_key__is_told_by_poll(void **state)
{
	struct outcome outcome;

	(void)state;
	keyring_destroy(meeting.pair.rings[0]);
	assert_int_equal(keyring_create(&meeting.pair.rings[0]), 0);
	meeting.pair.client.ring = meeting.pair.rings[0];
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -ENOENT);
	assert_non_null(strstr(outcome.problem, "has no key"));
}

/* A listener that takes nobody: its queue is filled first, so that SYNs go unanswered. */
static void test_start__no_answer__ends_at_its_deadline(void **state)
{
	struct outcome filler, outcome;
	int listener = meeting_listen(0, &meeting.address);
	struct pollfd queue = { .fd = listener, .events = POLLIN };

	(void)state;
	meeting_start(&meeting, &filler); /* takes the only place in the queue */
	assert_int_equal(poll(&queue, 1, 10000), 1);
	meeting_start(&meeting, &outcome);
	meeting_turn(&meeting);
	assert_int_equal(filler.count + outcome.count, 0);
	clock_manual_advance(&meeting.clock, 10 * NS_PER_S - 1);
	meeting_settle(&meeting);
	assert_int_equal(filler.count + outcome.count, 0);
	clock_manual_advance(&meeting.clock, 1);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -ETIMEDOUT);
	assert_non_null(strstr(outcome.problem, "no answer from "));
	assert_int_equal(filler.status, -ETIMEDOUT);
	assert_non_null(strstr(filler.problem, "did not finish the handshake in time"));
	close(listener);
}

/* What the listener's one connection says before it closes or keeps silent. */
static void answer(struct outcome *outcome, const void *bytes, size_t len)
{
	int listener = meeting_listen(1, &meeting.address), fd;
	uint8_t hello[HANDSHAKE_MESSAGE_MAX];

	meeting_start(&meeting, outcome);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	meeting_turn(&meeting);
	assert_true(recv(fd, hello, sizeof(hello), 0) > 0);
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	close(fd);
	close(listener);
	meeting_until(&meeting, &outcome->count, 1);
}

static void test_start__another_kind_of_server__is_told(void **state)
{
	static const uint8_t cluster[] = { 'b', 'l', 'u', 'e' };
	uint8_t challenge[MESSAGE_HEADER_LEN + MESSAGE_CHALLENGE_LEN] = { 0 };
	struct outcome outcome;

	(void)state;
	answer(&outcome, "", 0);
	assert_int_equal(outcome.status, -ECONNRESET);
	assert_non_null(strstr(outcome.problem, "in the middle of the handshake"));
	answer(&outcome, "SSH-2.0-x\r\n", 11);
	assert_int_equal(outcome.status, -EPROTO);
	assert_non_null(strstr(outcome.problem, "the server speaks SSH"));
	answer(&outcome, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	assert_int_equal(outcome.status, -EPROTO);
	assert_non_null(strstr(outcome.problem, "the server speaks HTTP"));

	/* of the right cluster, without its key */
	message_encode_header(MESSAGE_CHALLENGE, MESSAGE_CHALLENGE_LEN, challenge);
	memcpy(challenge + MESSAGE_HEADER_LEN, cluster, sizeof(cluster));
	answer(&outcome, challenge, sizeof(challenge));
	assert_int_equal(outcome.status, -EACCES);
	assert_non_null(strstr(outcome.problem, "the server did not prove"));
}

/* An echo server is handed nothing but the client's own HELLO. */
static void test_start__an_echo__is_refused(void **state)
{
	struct outcome outcome;
	int listener = meeting_listen(1, &meeting.address), fd;
	uint8_t hello[HANDSHAKE_MESSAGE_MAX];
	ssize_t len;

	(void)state;
	meeting_start(&meeting, &outcome);
	fd = accept(listener, NULL, NULL);
	meeting_turn(&meeting);
	len = recv(fd, hello, sizeof(hello), 0);
	assert_int_equal(send(fd, hello, (size_t)len, 0), len);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -EPROTO);
	assert_non_null(strstr(outcome.problem, "echoed"));
	close(fd);
	close(listener);
}

/* A refusal is read although the connection was reset behind it: before anything was sent, or
   after. */
static void test_start__reset_after_a_refusal__is_a_refusal(void **state)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	uint8_t refusal[MESSAGE_HEADER_LEN + MESSAGE_REFUSAL_LEN_MAX];
	size_t len =
		message_encode_refusal(MESSAGE_CODE_BUSY, "later", refusal + MESSAGE_HEADER_LEN);
	struct outcome outcome;

	(void)state;
	message_encode_header(MESSAGE_REFUSAL, len, refusal);
	len += MESSAGE_HEADER_LEN;
	for (unsigned greeted = 0; greeted < 2; greeted++) {
		int listener = meeting_listen(1, &meeting.address), fd;
		char byte;

		meeting_start(&meeting, &outcome);
		fd = accept(listener, NULL, NULL);
		if (greeted) {
			meeting_turn(&meeting);
			assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1);
		}
		assert_int_equal(send(fd, refusal, len, 0), len);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		close(fd);
		close(listener);
		meeting_until(&meeting, &outcome.count, 1);
		assert_int_equal(outcome.status, -EBUSY);
		assert_non_null(strstr(outcome.problem, "the server refuses: \"later\""));
	}
}

static void test_cancel__at_any_moment__ends_without_a_word(void **state)
{
	struct outcome outcomes[3];
	struct greeting *greetings[3];

	(void)state;
	for (unsigned turns = 0; turns < 4; turns++) {
		for (unsigned i = 0; i < 3; i++)
			greetings[i] = meeting_start(&meeting, &outcomes[i]);
		for (unsigned i = 0; i < turns; i++) {
			greeter_poll(meeting.client);
			if (i + 1 < turns) /* the last answer stays unread */
				greeter_poll(meeting.server);
		}
		for (unsigned i = 0; i < 3; i++)
			if (!outcomes[i].count)
				greeting_cancel(greetings[i]);
		meeting_idle(&meeting);
		for (unsigned i = 0; i < 3; i++)
			assert_true(outcomes[i].count == 0 || outcomes[i].status == 0);
	}
}

/* Each of several is done in the same poll; the first that is cancels the others and starts a new
   one. */
static struct greeting *siblings[4];
static unsigned dones;
static struct outcome successor;

static void cancel_others(void *context, int status, const struct handshake *handshake,
			  const char *problem)
{
	struct greeting **mine = context;

	(void)handshake;
	(void)problem;
	assert_int_not_equal(status, 0);
	dones++;
	for (size_t i = 0; i < ARRAY_COUNT(siblings); i++)
		if (&siblings[i] != mine)
			greeting_cancel(siblings[i]);
	meeting_start(&meeting, &successor);
}

static void test_done__cancels_and_starts_others__all_is_well(void **state)
{
	int listener = meeting_listen(8, &meeting.address), fd;
	uint64_t deadline_ns = clock_now_ns(&meeting.clock.clock) + NS_PER_S;

	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		dones = 0;
		for (size_t i = 0; i < ARRAY_COUNT(siblings); i++)
			assert_int_equal(greeter_start(meeting.client, &meeting.address, NULL,
						       deadline_ns + late * NS_PER_S, cancel_others,
						       &siblings[i], &siblings[i]),
					 0);
		for (size_t i = 0; i < ARRAY_COUNT(siblings); i++) {
			fd = accept(listener, NULL, NULL);
			if (!late)
				assert_int_equal(send(fd, "garbage", 7, 0), 7);
			close(fd);
			if (late)
				clock_manual_advance(&meeting.clock, NS_PER_S);
		}
		meeting_until(&meeting, &dones, 1);
		meeting_settle(&meeting);
		assert_int_equal(dones, 1);
		fd = accept(listener, NULL, NULL);
		close(fd);
		meeting_until(&meeting, &successor.count, 1);
		assert_int_equal(successor.status, -ECONNRESET);
	}
	close(listener);
}

/* One that starts anew in each done must not keep poll for ever. */
static unsigned again_count;

static void again(void *context, int status, const struct handshake *handshake, const char *problem)
{
	struct greeting *greeting;

	(void)context;
	(void)status;
	(void)handshake;
	(void)problem;
	again_count++;
	assert_int_equal(
		greeter_start(meeting.client, &meeting.address, NULL, 0, again, NULL, &greeting),
		0);
}

static void test_done__starts_anew_each_time__poll_returns(void **state)
{
	(void)state;
	memset(&meeting.address, 0, sizeof(meeting.address));
	again(NULL, 0, NULL, "");
	again_count = 0;
	assert_int_equal(greeter_poll(meeting.client), 1);
	assert_int_equal(again_count, 1);
}

static void test_start__too_many__is_back_pressure(void **state)
{
	static struct outcome outcomes[GREETINGS_STARTED_MAX];
	struct greeting *greeting;
	struct outcome outcome = { 0 };

	(void)state;
	memset(&meeting.address, 0, sizeof(meeting.address));
	for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++)
		meeting_start(&meeting, &outcomes[i]);
	assert_int_equal(greeter_start(meeting.client, &meeting.address, NULL, CLOCK_NEVER,
				       meeting_done, &outcome, &greeting),
			 -EAGAIN);
	assert_int_equal(greeter_poll(meeting.client), GREETINGS_STARTED_MAX);
	assert_int_equal(greeter_start(meeting.client, &meeting.address, NULL, CLOCK_NEVER,
				       meeting_done, &outcome, &greeting),
			 0);
	greeting_cancel(greeting);
}

static void test_start__no_memory_or_descriptor__is_returned(void **state)
{
	struct rlimit old, tight;
	struct greeting *greeting;
	struct outcome outcome = { 0 };

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(greeter_start(meeting.client, &meeting.address, NULL, CLOCK_NEVER,
				       meeting_done, &outcome, &greeting),
			 -ENOMEM);
	assert_true(allocation_fault_disarm());

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(greeter_start(meeting.client, &meeting.address, NULL, CLOCK_NEVER,
				       meeting_done, &outcome, &greeting),
			 -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(outcome.count, 0);
	assert_true(greeter_next_ns(meeting.client) == CLOCK_NEVER);
}

static void test_create_and_listen__fail_at_each_step__leave_nothing(void **state)
{
	const struct greeter_events nobody = { 0 };
	int fds = meeting_count_fds();
	struct address address = meeting.address, bound;
	struct rlimit old, tight;
	struct greeter *greeter = NULL;
	char problem[256];

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(
		greeter_create(&meeting.pair.client, &meeting.clock.clock, NULL, &nobody, &greeter),
		-ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(
		greeter_create(&meeting.pair.client, &meeting.clock.clock, NULL, &nobody, &greeter),
		-EMFILE);
	address_set_port(&address, 0);
	assert_int_equal(greeter_listen(meeting.client, &address, 1, NULL, 0, &bound, problem,
					sizeof(problem)),
			 -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	allocation_fault_arm(1);
	assert_int_equal(greeter_listen(meeting.client, &address, 1, NULL, 0, &bound, problem,
					sizeof(problem)),
			 -ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_null(greeter);
	assert_int_equal(meeting_count_fds(), fds);
	greeter_destroy(NULL);
}

static void test_destroy__in_the_middle__ends_all_without_a_word(void **state)
{
	struct outcome outcomes[3];
	int fd = meeting_connect(&meeting, 0);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		meeting_start(&meeting, &outcomes[i]);
	greeter_poll(meeting.client);
	greeter_poll(meeting.server);
	greeter_destroy(meeting.client);
	greeter_destroy(meeting.server);
	meeting.client = meeting.server = NULL;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(outcomes[i].count, 0);
	assert_int_equal(meeting.refused_count, 0);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(test_start__at_once_many__all_agree),
		TEST(test_start__a_hundred_one_after_the_other__leave_no_descriptor),
		TEST(test_start__an_expected_member__is_asked_for),
		TEST(test_start__nobody_listens__is_told_by_poll),
		TEST(test_start__what_cannot_be_connected_to__is_told_by_poll),
		TEST(test_start__no_key__is_told_by_poll),
		TEST(test_start__no_answer__ends_at_its_deadline),
		TEST(test_start__another_kind_of_server__is_told),
		TEST(test_start__an_echo__is_refused),
		TEST(test_start__reset_after_a_refusal__is_a_refusal),
		TEST(test_cancel__at_any_moment__ends_without_a_word),
		TEST(test_done__cancels_and_starts_others__all_is_well),
		TEST(test_done__starts_anew_each_time__poll_returns),
		TEST(test_start__too_many__is_back_pressure),
		TEST(test_start__no_memory_or_descriptor__is_returned),
		TEST(test_create_and_listen__fail_at_each_step__leave_nothing),
		TEST(test_destroy__in_the_middle__ends_all_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

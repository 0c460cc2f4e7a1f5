/*
 * Tests of fabric/gossip/stream.h: two members on the loopback, and guests who do not behave. Time
 * is moved by hand.
 */
#include "fabric/gossip/stream.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "fabric/gossip/membership.h"
#include "fabric/gossip/socket.h"
#include "fabric/gossip/stream_seal.h"
#include "tests/unit/fabric/gossip/rig.h"

#define ROUNDS_MAX 20000 /* of polling, a millisecond each */
#define TIMEOUT_NS (5 * NS_PER_S)

/* What a question's answer is to be. */
enum manner {
	MANNER_ECHO,
	MANNER_LATER, /* when told */
};

struct side {
	struct identity identity;
	struct streams *streams;
	struct counters counters;
	struct address address;
	enum manner manner;
	uint64_t asked_number;
	unsigned asked, refused;
	int refusal;
	struct seal_sender asker;
};

struct rig {
	struct clock_manual clock;
	struct side a, b; /* a asks b */
	/* what came of a's question */
	unsigned done;
	int status;
	uint8_t *answer;
	size_t answer_len;
	const char *next_question; /* asked once in done() */
};

static void asked(void *context, uint64_t number, const struct seal_sender *from,
		  const struct address *address, const uint8_t *question, size_t len)
{
	struct side *side = context;

	(void)address;
	side->asked++;
	side->asked_number = number;
	side->asker = *from;
	if (side->manner == MANNER_ECHO)
		assert_int_equal(stream_answer(side->streams, number, question, len), 0);
}

static void refused(void *context, const struct address *address, int status)
{
	struct side *side = context;

	(void)address;
	side->refused++;
	side->refusal = status;
}

static void side_start(struct side *side, uint8_t number, const struct clock *clock)
{
	const struct stream_events events = { side, asked, refused, NULL };
	static const struct counter_spec specs[MEMBERSHIP_COUNTER_COUNT];
	struct address any;
	char problem[256];
	int udp, tcp;

	side->identity = rig_identity(number);
	assert_int_equal(counters_init(&side->counters, "gossip", specs, MEMBERSHIP_COUNTER_COUNT),
			 0);
	assert_int_equal(
		streams_create(&side->identity, clock, &events, &side->counters, &side->streams),
		0);
	assert_int_equal(address_parse("127.0.0.1:0", 0, &any, problem, sizeof(problem)), 0);
	assert_int_equal(socket_bind(&any, &udp, &tcp, &side->address, problem, sizeof(problem)),
			 0);
	close(udp);
	streams_listen(side->streams, tcp);
}

static void side_stop(struct side *side)
{
	streams_destroy(side->streams);
	counters_fini(&side->counters);
	rig_identity_fini(&side->identity);
}

static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	clock_manual_init(&rig->clock, NS_PER_S, 0);
	side_start(&rig->a, 1, &rig->clock.clock);
	side_start(&rig->b, 2, &rig->clock.clock);
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;

	side_stop(&rig->a);
	side_stop(&rig->b);
	free(rig->answer);
	free(rig);
	return 0;
}

static void poll_both(struct rig *rig)
{
	struct pollfd pollfds[] = { { .fd = streams_fd(rig->a.streams), .events = POLLIN },
				    { .fd = streams_fd(rig->b.streams), .events = POLLIN } };

	poll(pollfds, 2, 1);
	streams_poll(rig->a.streams);
	streams_poll(rig->b.streams);
}

static void done(void *context, struct stream *stream, int status, const struct seal_sender *from,
		 const uint8_t *answer, size_t len)
{
	struct rig *rig = context;
	const char *next = rig->next_question;

	rig->done++;
	rig->status = status;
	if (status)
		return;
	assert_true(member_id_equal(&from->member, &rig->b.identity.member));
	free(rig->answer);
	rig->answer = malloc(len);
	assert_non_null(rig->answer);
	memcpy(rig->answer, answer, len);
	rig->answer_len = len;
	rig->next_question = NULL;
	if (next)
		assert_int_equal(stream_ask(stream, (const uint8_t *)next, strlen(next)), 0);
}

static void ask(struct rig *rig, const void *question, size_t len)
{
	assert_int_equal(
		streams_open(rig->a.streams, &rig->b.address, TIMEOUT_NS, question, len, done, rig),
		0);
}

static void wait_done(struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < ROUNDS_MAX && rig->done < count; i++)
		poll_both(rig);
	assert_int_equal(rig->done, count);
}

static void test_open__question__is_answered_by_whom_it_was_for(void **state)
{
	struct rig *rig = *state;

	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, 0);
	assert_int_equal(rig->answer_len, 5);
	assert_memory_equal(rig->answer, "hello", 5);
	assert_true(member_id_equal(&rig->b.asker.member, &rig->a.identity.member));
	assert_int_equal(rig->b.asker.boot, rig->a.identity.boot);
}

static void test_open__messages_around_a_record_and_large__arrive_whole(void **state)
{
	static const size_t lens[] = { 1,
				       STREAM_SEAL_RECORD_MAX - 5,
				       STREAM_SEAL_RECORD_MAX - 4,
				       STREAM_SEAL_RECORD_MAX - 3,
				       STREAM_SEAL_RECORD_MAX,
				       3 * STREAM_SEAL_RECORD_MAX - 4,
				       3 << 20 };
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(lens); i++) {
		uint8_t *question = malloc(lens[i]);

		assert_non_null(question);
		for (size_t at = 0; at < lens[i]; at++)
			question[at] = (uint8_t)(at * 31 + at / 256);
		ask(rig, question, lens[i]);
		wait_done(rig, i + 1);
		assert_int_equal(rig->status, 0);
		assert_int_equal(rig->answer_len, lens[i]);
		assert_memory_equal(rig->answer, question, lens[i]);
		free(question);
	}
}

static void test_ask__on_the_same_stream__is_answered_too(void **state)
{
	struct rig *rig = *state;

	rig->next_question = "and then?";
	ask(rig, "first", 5);
	wait_done(rig, 2);
	assert_int_equal(rig->status, 0);
	assert_memory_equal(rig->answer, "and then?", 9);
	assert_int_equal(counter_get(&rig->a.counters, MEMBERSHIP_STREAMS_OPENED), 1);
}

static void test_answer__later__is_taken_as_long_as_the_stream_lives(void **state)
{
	struct rig *rig = *state;

	rig->b.manner = MANNER_LATER;
	ask(rig, "hello", 5);
	for (unsigned i = 0; i < ROUNDS_MAX && !rig->b.asked; i++)
		poll_both(rig);
	assert_int_equal(
		stream_answer(rig->b.streams, rig->b.asked_number, (const uint8_t *)"now", 3), 0);
	wait_done(rig, 1);
	assert_int_equal(rig->status, 0);
	assert_int_equal(
		stream_answer(rig->b.streams, rig->b.asked_number, (const uint8_t *)"now", 3),
		-ENOENT);
}

static void test_answer__never__times_out_at_the_asker(void **state)
{
	struct rig *rig = *state;

	rig->b.manner = MANNER_LATER;
	ask(rig, "hello", 5);
	for (unsigned i = 0; i < ROUNDS_MAX && !rig->b.asked; i++)
		poll_both(rig);
	assert_int_equal(rig->done, 0);
	clock_manual_advance(&rig->clock, TIMEOUT_NS);
	wait_done(rig, 1);
	assert_int_equal(rig->status, -ETIMEDOUT);
}

static void test_open__nobody_there__is_refused(void **state)
{
	struct rig *rig = *state;

	address_set_port(&rig->b.address, 1);
	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, -ECONNREFUSED);
}

static void test_open__oneself__is_noticed(void **state)
{
	struct rig *rig = *state;

	rig->b.address = rig->a.address;
	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, -ELOOP);
}

static void test_open__key_that_the_other_lacks__both_say_so(void **state)
{
	struct rig *rig = *state;
	uint8_t id[KEYRING_ID_LEN];

	rig_add_key(&rig->a.identity, 2);
	rig_key_id(2, id);
	assert_int_equal(keyring_use(rig->a.identity.ring, id), 0);
	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, -ENOKEY);
	assert_int_equal(rig->b.refusal, -ENOKEY);
	assert_int_equal(rig->b.asked, 0);
}

static void test_open__cluster_of_another_name__is_refused(void **state)
{
	struct rig *rig = *state;

	strcpy(rig->a.identity.cluster, "other");
	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, -ECONNRESET);
	assert_int_equal(rig->b.refusal, -EACCES);
	assert_int_equal(rig->b.asked, 0);
}

static int guest_connect(const struct rig *rig)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&rig->b.address.storage,
				 address_len(&rig->b.address)),
			 0);
	return fd;
}

/* Waits until b has hung up. */
static void guest_gone(struct rig *rig, int fd)
{
	uint8_t data[256];

	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		ssize_t got = recv(fd, data, sizeof(data), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			close(fd);
			return;
		}
		poll_both(rig);
	}
	fail_msg("not hung up");
}

static void test_accept__garbage__is_hung_up_and_counted(void **state)
{
	struct rig *rig = *state;
	uint8_t garbage[4096];
	int fd = guest_connect(rig);

	memset(garbage, 0x5a, sizeof(garbage));
	send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
	guest_gone(rig, fd);
	assert_int_equal(rig->b.refusal, -EBADMSG);
	ask(rig, "hello", 5);
	wait_done(rig, 1);
	assert_int_equal(rig->status, 0);
}

static void test_accept__one_who_says_nothing__is_sent_away_in_time(void **state)
{
	struct rig *rig = *state;
	int fd = guest_connect(rig);

	for (unsigned i = 0; i < ROUNDS_MAX && streams_next_ns(rig->b.streams) == CLOCK_NEVER; i++)
		poll_both(rig);
	assert_int_equal(streams_next_ns(rig->b.streams),
			 clock_now_ns(&rig->clock.clock) + STREAM_PROOF_NS);
	clock_manual_advance(&rig->clock, STREAM_PROOF_NS);
	guest_gone(rig, fd);
	assert_int_equal(rig->b.refusal, -ETIMEDOUT);
}

/* A true HELLO proves nothing: what follows is not sealed with the key. */
static void test_accept__hello_and_then_garbage__is_hung_up(void **state)
{
	struct rig *rig = *state;
	uint8_t hello[STREAM_SEAL_HELLO_LEN], garbage[128] = { 100 };
	const uint8_t nonce[32] = { 1 };
	struct stream_seal seal;
	int fd = guest_connect(rig);

	assert_int_equal(stream_seal_open(&seal, &rig->a.identity, nonce, hello), 0);
	stream_seal_wipe(&seal);
	send(fd, hello, sizeof(hello), MSG_NOSIGNAL);
	send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
	guest_gone(rig, fd);
	assert_int_equal(rig->b.refusal, -EACCES);
	assert_int_equal(rig->b.asked, 0);
}

static void test_accept__too_many_of_one_address__are_refused(void **state)
{
	enum { GUESTS = STREAMS_ADDRESS_MAX + 3 };
	struct rig *rig = *state;
	int fds[GUESTS];

	for (unsigned i = 0; i < GUESTS; i++)
		fds[i] = guest_connect(rig);
	for (unsigned i = 0; i < ROUNDS_MAX && rig->b.refused < 3; i++)
		poll_both(rig);
	assert_int_equal(rig->b.refused, 3);
	assert_int_equal(rig->b.refusal, -EBUSY);
	for (unsigned i = 0; i < GUESTS; i++)
		close(fds[i]);
}

static void test_accept__without_descriptors__waits_asleep_and_goes_on(void **state)
{
	struct rig *rig = *state;
	struct pollfd waiting = { .fd = streams_fd(rig->b.streams), .events = POLLIN };
	struct rlimit old, tight;

	ask(rig, "hello", 5);
	assert_int_equal(poll(&waiting, 1, 10000), 1); /* it is at the door */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 1; /* as many as poll(2) is given */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	streams_poll(rig->b.streams);
	assert_int_equal(poll(&waiting, 1, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(streams_next_ns(rig->b.streams),
			 clock_now_ns(&rig->clock.clock) + 100 * NS_PER_MS);
	clock_manual_advance(&rig->clock, 100 * NS_PER_MS);
	wait_done(rig, 1);
	assert_int_equal(rig->status, 0);
}

static void test_open__too_many__is_back_pressure(void **state)
{
	struct rig *rig = *state;

	rig->b.manner = MANNER_LATER;
	for (unsigned i = 0; i < STREAMS_OPENED_MAX; i++)
		ask(rig, "x", 1);
	assert_int_equal(streams_open(rig->a.streams, &rig->b.address, TIMEOUT_NS,
				      (const uint8_t *)"x", 1, done, rig),
			 -EAGAIN);
	clock_manual_advance(&rig->clock, TIMEOUT_NS);
	wait_done(rig, STREAMS_OPENED_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
		TEST(test_open__question__is_answered_by_whom_it_was_for),
		TEST(test_open__messages_around_a_record_and_large__arrive_whole),
		TEST(test_ask__on_the_same_stream__is_answered_too),
		TEST(test_answer__later__is_taken_as_long_as_the_stream_lives),
		TEST(test_answer__never__times_out_at_the_asker),
		TEST(test_open__nobody_there__is_refused),
		TEST(test_open__oneself__is_noticed),
		TEST(test_open__key_that_the_other_lacks__both_say_so),
		TEST(test_open__cluster_of_another_name__is_refused),
		TEST(test_accept__garbage__is_hung_up_and_counted),
		TEST(test_accept__one_who_says_nothing__is_sent_away_in_time),
		TEST(test_accept__hello_and_then_garbage__is_hung_up),
		TEST(test_accept__too_many_of_one_address__are_refused),
		TEST(test_accept__without_descriptors__waits_asleep_and_goes_on),
		TEST(test_open__too_many__is_back_pressure),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * suite_loop.c - the transport suite over the loop, and what only the loop can bring about.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fabric/transport/loop.h"
#include "tests/unit/fabric/transport/suite.h"

static struct clock_manual manual;
static struct loop_network *network;

static struct loop_faults mild_faults(void)
{
	struct loop_faults faults = loop_faults_none();

	faults.delay_max_ns = 20000;
	faults.fence_ns = NS_PER_MS;
	faults.late_bytes = true;
	faults.detect_ns = 30 * NS_PER_S;
	return faults;
}

static void begin(void)
{
	struct loop_faults faults = mild_faults();

	assert_int_equal(loop_network_create(&manual.clock, 1, &network), 0);
	loop_network_set_faults(network, &faults);
}

static void end(void)
{
	loop_network_destroy(network);
}

static int open_node(unsigned which, struct transport_config *config,
		     const struct transport_environment *environment, struct transport **out,
		     char *problem, size_t problem_size)
{
	return loop_transport_open(network, which, config, environment, out, problem, problem_size);
}

/* To the next event, but by a millisecond at most: there are deadlines too. */
static void idle(void)
{
	uint64_t now_ns = clock_now_ns(&manual.clock), next_ns = loop_network_next_ns(network);
	uint64_t by_ns = next_ns > now_ns ? next_ns - now_ns : 10000; /* one is held */

	clock_manual_advance(&manual, by_ns < NS_PER_MS ? by_ns : NS_PER_MS);
}

static void stall(unsigned which, bool stalled)
{
	loop_cut_node(network, which, stalled);
}

static void start(struct suite_read *read, struct suite_node *a, const struct suite_node *b,
		  unsigned number, uint64_t timeout_ns)
{
	read->read.region = b->readable;
	read->read.deadline_ns = clock_now_ns(&manual.clock) + timeout_ns;
	assert_int_equal(suite_read_start(read, a, suite_peer(a, b), number, 5000, 8192UL * number),
			 0);
}

static void set_stalls(unsigned per_mille)
{
	struct loop_faults faults = mild_faults();

	faults.stall_per_mille = per_mille;
	loop_network_set_faults(network, &faults);
}

static void test_transport_read__fenced_along_twice__ends_econnreset(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read first = { 0 }, second = { 0 }, innocent = { 0 };

	suite_wait_up(suite, suite_peer(a, b));
	set_stalls(1000);
	start(&innocent, a, b, 0, 100 * NS_PER_S);
	start(&first, a, b, 1, 100 * NS_PER_MS);
	assert_int_equal(suite_read_wait(suite, &first), -ETIMEDOUT);
	suite_wait(suite, &a->ups, 2, "the next connection");
	assert_int_equal(innocent.calls, 0);
	start(&second, a, b, 2, 100 * NS_PER_MS);
	assert_int_equal(suite_read_wait(suite, &second), -ETIMEDOUT);
	assert_int_equal(suite_read_wait(suite, &innocent), -ECONNRESET);
	assert_int_equal(suite_count(a, TRANSPORT_FENCES), 2);
	assert_int_equal(suite_count(a, TRANSPORT_READS_REPEATED), 1);
}

static void test_transport_read__repeated__ends_by_its_own_deadline(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read first = { 0 }, innocent = { 0 };
	uint64_t deadline_ns;

	suite_wait_up(suite, suite_peer(a, b));
	set_stalls(1000);
	start(&innocent, a, b, 0, 300 * NS_PER_MS);
	start(&first, a, b, 1, 100 * NS_PER_MS);
	deadline_ns = innocent.read.deadline_ns;
	assert_int_equal(suite_read_wait(suite, &first), -ETIMEDOUT);
	stall(b->which, true);
	assert_int_equal(suite_read_wait(suite, &innocent), -ETIMEDOUT);
	assert_in_range(clock_now_ns(&manual.clock), deadline_ns, deadline_ns + 5 * NS_PER_MS);
	stall(b->which, false);
}

/* One that never comes; each 50 ms another one does. */
static void test_transport_read__its_peer_moves__is_not_given_up_before_its_deadline(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);

	suite_wait_up(suite, suite_peer(a, b));
	for (unsigned moving = 0; moving < 2; moving++) {
		struct suite_read stuck = { .read.silence_ns = 100 * NS_PER_MS };
		uint64_t begun_ns = clock_now_ns(&manual.clock), ended_ns, silent_ns;

		set_stalls(1000);
		start(&stuck, a, b, 0, NS_PER_S);
		set_stalls(0);
		for (unsigned i = 0; i < (moving ? 40 : 10) && !stuck.calls; i++) {
			struct suite_read other = { 0 };

			start(&other, a, b, 1, NS_PER_S);
			assert_int_equal(suite_read_wait(suite, &other), 0);
			suite_wait_ns(suite, 50 * NS_PER_MS);
		}
		silent_ns = clock_now_ns(&manual.clock);
		assert_int_equal(stuck.calls, moving);
		assert_int_equal(suite_read_wait(suite, &stuck), -ETIMEDOUT);
		ended_ns = clock_now_ns(&manual.clock);
		if (moving)
			assert_in_range(ended_ns - begun_ns, NS_PER_S, 1100 * NS_PER_MS);
		else
			assert_in_range(ended_ns - silent_ns, 40 * NS_PER_MS, 60 * NS_PER_MS);
		suite_wait_up(suite, suite_peer(a, b));
	}
}

static void test_transport_read__connection_breaks__ends_without_a_repetition(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct loop_faults faults = mild_faults();
	struct suite_read reads[8] = { 0 };

	suite_wait_up(suite, suite_peer(a, b));
	faults.break_per_mille = 1000;
	loop_network_set_faults(network, &faults);
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		start(&reads[i], a, b, i, NS_PER_S);
	suite_reads_wait(suite, reads, ARRAY_COUNT(reads));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(reads[i].read.status, -ECONNRESET);
	assert_int_equal(suite_count(a, TRANSPORT_READS_REPEATED), 0);
	assert_int_equal(suite_count(a, TRANSPORT_FENCES), 0);
}

static void test_transport_read__owner_killed__ends_when_that_is_noticed(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct loop_faults faults = mild_faults();
	struct suite_read reads[8] = { 0 }, after = { 0 };

	faults.detect_ns = 50 * NS_PER_MS;
	loop_network_set_faults(network, &faults);
	suite_wait_up(suite, suite_peer(a, b));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		start(&reads[i], a, b, i, 100 * NS_PER_S);
	loop_kill(network, b->which);
	suite_node_close(b);
	suite_reads_wait(suite, reads, ARRAY_COUNT(reads));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(reads[i].read.status, -ECONNRESET);
	b->identity.boot++;
	suite_node_open(suite, b);
	suite_wait_up(suite, suite_peer(a, b));
	start(&after, a, b, 0, NS_PER_S);
	assert_int_equal(suite_read_wait(suite, &after), 0);
}

/* Its former self died without a word. */
static void test_transport_listen__a_member_started_anew__its_former_self_is_dropped(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);

	suite_wait_up(suite, suite_peer(a, b));
	suite_wait(suite, &b->ups, 1, "up, there");
	loop_kill(network, a->which);
	suite_node_close(a);
	suite_wait_ns(suite, 100 * NS_PER_MS);
	assert_int_equal(b->downs, 0);
	a->identity.boot++;
	suite_node_open(suite, a);
	suite_wait_up(suite, suite_peer(a, b));
	suite_wait(suite, &b->ups, 2, "up again, there");
	suite_wait(suite, &b->downs, 1, "the former one's end");
	assert_string_equal(b->down_why, "the member was started anew");
	assert_int_equal(suite_count(b, TRANSPORT_PEERS_PASSIVE), 1);
}

static void test_transport_read__more_than_the_link_takes__wait_their_turn(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, 200, sizeof(*reads));

	a->config.queue_depth = 2;
	suite_node_open(suite, a);
	for (unsigned i = 0; i < 200; i++)
		start(&reads[i], a, b, i, 100 * NS_PER_S);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(suite_read_wait(suite, &reads[i]), 0);
		assert_true(suite_read_right(&reads[i]));
		/* hardly more than two are under way: nobody is overtaken by many */
		assert_true(i + 8 >= 200 || !reads[i + 8].calls);
	}
}

static void test_transport_send__stuck_in_the_backend__fences(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct loop_faults faults = mild_faults();
	struct suite_message message = { 0 };

	suite_wait_up(suite, suite_peer(a, b));
	faults.delay_min_ns = faults.delay_max_ns = 10 * NS_PER_S;
	loop_network_set_faults(network, &faults);
	message.message.deadline_ns = clock_now_ns(&manual.clock) + 100 * NS_PER_MS;
	assert_int_equal(suite_message_start(&message, a, suite_peer(a, b), 1, 100), 0);
	suite_wait(suite, &message.calls, 1, "the message's end");
	assert_int_equal(message.message.status, -ECONNRESET);
	assert_int_equal(suite_count(a, TRANSPORT_FENCES), 1);
	suite_wait(suite, &a->downs, 1, "the end of the connection");
}

static void test_transport_peer_get__another_member_expected__connects_anew(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct member_id other = { .bytes = { 77 } };
	struct transport_peer *peer = suite_peer(a, b), *same;
	struct suite_read read = { 0 };

	suite_wait_up(suite, peer);
	assert_int_equal(transport_peer_get(a->transport, &b->address, &other, &same), 0);
	assert_ptr_equal(same, peer);
	suite_wait(suite, &a->downs, 1, "the end of the connection");
	start(&read, a, b, 0, NS_PER_S);
	assert_int_equal(suite_read_wait(suite, &read), -EREMCHG);
	/* who is wanted now is there */
	assert_int_equal(transport_peer_get(a->transport, &b->address, &b->identity.member, &same),
			 0);
	start(&read, a, b, 0, NS_PER_S);
	assert_int_equal(suite_read_wait(suite, &read), 0);
}

/* Returns the pause after the connection that is up broke. */
static uint64_t pause_after_break(struct suite *suite, struct suite_node *a, struct suite_node *b)
{
	struct transport_peer *peer = suite_peer(a, b);
	unsigned downs = a->downs;

	suite_node_close(b);
	suite_wait(suite, &a->downs, downs + 1, "the end of the connection");
	suite_node_open(suite, b);
	return transport_peer_retry_ns(peer) - clock_now_ns(&manual.clock);
}

static void test_transport_peer__lived_for_retry_max__starts_with_a_short_pause(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *b = suite_node_add(suite);

	a->config.retry_min = 10 * NS_PER_MS;
	a->config.retry_max = 10 * NS_PER_S;
	suite_node_open(suite, a);
	for (unsigned i = 0; i < 6; i++) {
		suite_wait_up(suite, suite_peer(a, b));
		assert_in_range(pause_after_break(suite, a, b), 0, 10 * NS_PER_MS << i);
	}
	suite_wait_up(suite, suite_peer(a, b));
	assert_in_range(pause_after_break(suite, a, b), 10 * NS_PER_MS, 640 * NS_PER_MS);
	suite_wait_up(suite, suite_peer(a, b));
	suite_wait_ns(suite, 10 * NS_PER_S);
	assert_in_range(pause_after_break(suite, a, b), 0, 10 * NS_PER_MS);
}

/* What callbacks may do to their own peer. */
enum deed { DEED_PUT, DEED_DISCONNECT, DEED_READ_ON, DEED_COUNT };

struct doer {
	struct suite_read read;
	struct transport_peer *peer;
	enum deed deed;
	unsigned *done;
};

static void do_deed(struct transport_read *read)
{
	struct doer *doer = read->context;

	++*doer->done;
	if (doer->deed == DEED_PUT && *doer->done == 1)
		transport_peer_put(doer->peer);
	if (doer->deed == DEED_DISCONNECT)
		transport_peer_disconnect(doer->peer);
	if (doer->deed == DEED_READ_ON && *doer->done < 100) {
		read->deadline_ns = 0;
		assert_int_equal(transport_read(doer->peer, read), 0);
	}
}

static void test_transport_read__done_acts_on_its_peer__all_ends_well(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);

	for (enum deed deed = 0; deed < DEED_COUNT; deed++) {
		struct doer *doers = suite_calloc(suite, 20, sizeof(*doers));
		unsigned done = 0;

		for (unsigned i = 0; i < 20; i++) {
			doers[i].peer = suite_peer(a, b);
			if (i)
				transport_peer_put(doers[i].peer);
			doers[i].deed = deed;
			doers[i].done = &done;
			doers[i].read.read = (struct transport_read){
				.region = b->readable,
				.len = 100,
				.dst = a->landing + 100 * (size_t)i,
				.done = do_deed,
				.context = &doers[i],
			};
			assert_int_equal(transport_read(doers[i].peer, &doers[i].read.read), 0);
		}
		suite_wait(suite, &done, 20, "reads");
		suite_wait_ns(suite, 10 * NS_PER_MS);
	}
	assert_int_equal(suite_count(a, TRANSPORT_READS_INFLIGHT), 0);
}

static const struct CMUnitTest loop_tests[] = {
	SUITE_TEST(test_transport_read__fenced_along_twice__ends_econnreset),
	SUITE_TEST(test_transport_read__repeated__ends_by_its_own_deadline),
	SUITE_TEST(test_transport_read__its_peer_moves__is_not_given_up_before_its_deadline),
	SUITE_TEST(test_transport_read__connection_breaks__ends_without_a_repetition),
	SUITE_TEST(test_transport_read__owner_killed__ends_when_that_is_noticed),
	SUITE_TEST(test_transport_listen__a_member_started_anew__its_former_self_is_dropped),
	SUITE_TEST(test_transport_read__more_than_the_link_takes__wait_their_turn),
	SUITE_TEST(test_transport_send__stuck_in_the_backend__fences),
	SUITE_TEST(test_transport_peer_get__another_member_expected__connects_anew),
	SUITE_TEST(test_transport_peer__lived_for_retry_max__starts_with_a_short_pause),
	SUITE_TEST(test_transport_read__done_acts_on_its_peer__all_ends_well),
};

int main(void)
{
	const struct suite_backend backend = {
		.name = "loop",
		.clock = &manual.clock,
		.open = open_node,
		.idle = idle,
		.stall = stall,
		.big = true,
		.begin = begin,
		.end = end,
	};
	int failed;

	clock_manual_init(&manual, NS_PER_S, 0);
	failed = suite_run(&backend);
	return failed + suite_run_tests(&backend, "faults", loop_tests, ARRAY_COUNT(loop_tests));
}

/*
 * suite_fences.c - peers that do not answer: everything ends in time, and what has ended is not
 * written any more. Each done() fills its destination; later that must still be there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fabric/transport/suite.h"

#define READS	 64
#define READ_LEN 30000
#define PLACE	 32768 /* of each read in the landing memory */

static void start(struct suite *suite, struct suite_read *read, struct suite_node *a,
		  struct transport_peer *peer, unsigned number, uint64_t timeout_ns)
{
	read->read.deadline_ns = clock_now_ns(suite->backend->clock) + timeout_ns;
	read->scribbled = (uint8_t)(number * 2 + 1);
	assert_int_equal(
		suite_read_start(read, a, peer, number * 100UL, READ_LEN, (size_t)number * PLACE),
		0);
}

/* READS of them, with @b stalled; for as long as it takes to be certain that they are under way. */
static struct suite_read *start_unanswered(struct suite *suite, struct suite_node *a,
					   struct suite_node *b, struct transport_peer *peer)
{
	struct suite_read *reads = suite_calloc(suite, READS, sizeof(*reads));

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	suite_stall(suite, b);
	for (unsigned i = 0; i < READS; i++) {
		reads[i].read.region = b->readable;
		reads[i].scribble = true;
		start(suite, &reads[i], a, peer, i, 600 * NS_PER_S);
	}
	suite_wait_ns(suite, 20 * NS_PER_MS);
	return reads;
}

static void assert_untouched(const struct suite_read *reads, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *at = reads[i].read.dst;

		for (size_t byte = 0; reads[i].scribble && byte < READ_LEN; byte++)
			assert_int_equal(at[byte], reads[i].scribbled);
	}
}

static void assert_reads_again(struct suite *suite, struct suite_node *a,
			       struct transport_peer *peer, uint32_t region)
{
	struct suite_read read = { .read.region = region };

	suite_wait_up(suite, peer);
	assert_int_equal(suite_read_start(&read, a, peer, 1, READ_LEN, (size_t)READS * PLACE), 0);
	assert_int_equal(suite_read_wait(suite, &read), 0);
	assert_true(suite_read_right(&read));
}

static void test_transport_read__not_connected_by_its_deadline__ends_without_a_fence(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_read reads[8] = { 0 };

	suite_stall(suite, b);
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		reads[i].read.region = b->readable;
		start(suite, &reads[i], a, peer, i, 100 * NS_PER_MS);
	}
	suite_reads_wait(suite, reads, ARRAY_COUNT(reads));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(reads[i].read.status, -ETIMEDOUT);
	assert_int_equal(suite_count(a, TRANSPORT_FENCES), 0);
	suite_unstall(suite, b);
	transport_peer_disconnect(peer); /* do not wait for connect_timeout */
	assert_reads_again(suite, a, peer, b->readable);
}

static void test_transport_read__one_past_its_deadline__the_others_are_repeated(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, READS, sizeof(*reads));
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	suite_stall(suite, b);
	for (unsigned i = 0; i < READS; i++) {
		reads[i].read.region = b->readable;
		reads[i].scribble = i == 5;
		start(suite, &reads[i], a, peer, i, i == 5 ? 200 * NS_PER_MS : 600 * NS_PER_S);
	}
	assert_int_equal(suite_read_wait(suite, &reads[5]), -ETIMEDOUT);
	suite_unstall(suite, b);
	suite_reads_wait(suite, reads, READS);
	for (unsigned i = 0; i < READS; i++) {
		assert_int_equal(reads[i].calls, 1);
		assert_int_equal(reads[i].read.status, i == 5 ? -ETIMEDOUT : 0);
		assert_true(i == 5 || suite_read_right(&reads[i]));
	}
	assert_untouched(reads, READS);
	assert_int_equal(suite_count(a, TRANSPORT_FENCES), 1);
	assert_int_equal(suite_count(a, TRANSPORT_READ_TIMEOUTS), 1);
	assert_in_range(suite_count(a, TRANSPORT_READS_REPEATED), 1, READS - 1);
	assert_int_equal(a->downs, 1);
	assert_int_equal(a->down_status, -ETIMEDOUT);
}

static void test_transport_read__a_stalled_peer__all_end_by_their_deadlines(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, READS, sizeof(*reads));
	struct transport_peer *peer = suite_peer(a, b);

	for (unsigned round = 0; round < 3; round++) {
		suite_wait_up(suite, peer);
		suite_wait(suite, &b->ups, round + 1, "up, there");
		suite_stall(suite, b);
		for (unsigned i = 0; i < READS; i++) {
			reads[i] =
				(struct suite_read){ .read.region = b->readable, .scribble = true };
			start(suite, &reads[i], a, peer, i, (100 + i) * NS_PER_MS);
		}
		suite_reads_wait(suite, reads, READS);
		for (unsigned i = 0; i < READS; i++)
			assert_int_equal(reads[i].read.status, -ETIMEDOUT);
		suite_unstall(suite, b);
		transport_peer_disconnect(peer); /* the attempt that the repeated ones began */
	}
	assert_reads_again(suite, a, peer, b->readable);
	assert_untouched(reads, READS);
	assert_int_equal(suite_count(a, TRANSPORT_READS_INFLIGHT), 0);
}

static void test_transport_read__a_stalled_peer__ends_when_it_is_silent_too_long(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_read *reads = suite_calloc(suite, READS, sizeof(*reads));

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	suite_stall(suite, b);
	for (unsigned i = 0; i < READS; i++) {
		reads[i] = (struct suite_read){ .read = { .region = b->readable,
							  .silence_ns = 100 * NS_PER_MS },
						.scribble = true };
		start(suite, &reads[i], a, peer, i, 600 * NS_PER_S);
	}
	suite_reads_wait(suite, reads, READS);
	for (unsigned i = 0; i < READS; i++)
		assert_int_equal(reads[i].read.status, -ETIMEDOUT);
	suite_unstall(suite, b);
	assert_reads_again(suite, a, peer, b->readable);
	assert_untouched(reads, READS);
}

static void test_transport_peer_put__of_a_stalled_peer__ends_soon(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_read *reads = start_unanswered(suite, a, b, peer);

	transport_peer_put(peer);
	suite_reads_wait(suite, reads, READS);
	for (unsigned i = 0; i < READS; i++)
		assert_int_equal(reads[i].read.status, -ECANCELED);
	suite_unstall(suite, b);
	assert_reads_again(suite, a, suite_peer(a, b), b->readable);
	assert_untouched(reads, READS);
}

static void test_transport_close__with_a_stalled_peer__ends_everything(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = start_unanswered(suite, a, b, suite_peer(a, b));

	suite_node_close(a);
	for (unsigned i = 0; i < READS; i++) {
		assert_int_equal(reads[i].calls, 1);
		assert_int_equal(reads[i].read.status, -ECANCELED);
	}
	suite_unstall(suite, b);
	suite_wait_ns(suite, 50 * NS_PER_MS);
	assert_untouched(reads, READS);
}

const struct CMUnitTest suite_fence_tests[] = {
	SUITE_TEST(test_transport_read__not_connected_by_its_deadline__ends_without_a_fence),
	SUITE_TEST(test_transport_read__one_past_its_deadline__the_others_are_repeated),
	SUITE_TEST(test_transport_read__a_stalled_peer__all_end_by_their_deadlines),
	SUITE_TEST(test_transport_read__a_stalled_peer__ends_when_it_is_silent_too_long),
	SUITE_TEST(test_transport_peer_put__of_a_stalled_peer__ends_soon),
	SUITE_TEST(test_transport_close__with_a_stalled_peer__ends_everything),
};
const size_t suite_fence_test_count = ARRAY_COUNT(suite_fence_tests);

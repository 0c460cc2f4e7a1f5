/*
 * owner_push.c - units that go as messages.
 */
#include "cache/peer/owner.h"

#include <string.h>

#include "base/check.h"
#include "tests/unit/cache/peer/owner_rig.h"

static int setup(void **state)
{
	struct peers_config config = rig_config();

	*state = rig_create(&config, 1024, 12);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static void expect_pushed(struct rig_reader *reader, uint64_t request, uint64_t index, uint32_t len)
{
	const struct peer_staged *staged = &rig_expect(reader, PEER_STAGED)->staged;

	assert_int_equal(staged->request, request);
	assert_int_equal(staged->off, 0);
	assert_int_equal(staged->lease_ms, 0);
	assert_int_equal(staged->len, len);
	assert_int_equal(staged->checks[0], index * 1000);
	assert_int_equal(reader->pushed_request, request);
	assert_int_equal(reader->pushed_len, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(reader->pushed[i], rig_byte(rig_frame_off(index) + i));
}

static void test_owner_message__push__bytes_then_staged(void **state)
{
	static const struct {
		uint64_t index;
		uint32_t len;
	} rows[] = {
		{ BLOCK(3), RIG_BLOCK_LEN },
		{ GRANULE(5), GRANULE_LEN },
		{ BLOCK(40), 100 },
	};
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t request = rig_ask(&rig->readers[1], rows[i].index, PEER_STAGE_PUSH);

		rig_settle(rig);
		rig_stage_end(rig, rig_stage_of(rig, rows[i].index), 0);
		rig_run(rig, 5 * NS_PER_MS);
		expect_pushed(&rig->readers[1], request, rows[i].index, rows[i].len);
		assert_true(owner_is_idle(rig->owner));
		assert_int_equal(rig_lent(rig), 0);
	}
	assert_int_equal(rig_count(rig, PEERS_STAGED_BYTES), RIG_BLOCK_LEN + GRANULE_LEN + 100);
}

static void test_owner_message__last_piece_filled__frame_given_back(void **state)
{
	struct rig *rig = *state;
	uint64_t request = rig_ask(&rig->readers[1], BLOCK(40), PEER_STAGE_PUSH);

	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(40)), 0);
	assert_int_equal(rig_lent(rig), 0); /* and its piece is still on its way */
	assert_false(owner_is_idle(rig->owner));
	rig_run(rig, NS_PER_MS);
	expect_pushed(&rig->readers[1], request, BLOCK(40), 100);
}

/* More at once than there are pieces for. */
static void test_owner_message__push_for_many__all_get_theirs(void **state)
{
	struct rig *rig = *state;
	uint64_t requests[RIG_READERS_MAX];

	for (unsigned r = 1; r <= 12; r++)
		requests[r] = rig_ask(&rig->readers[r], GRANULE(r), PEER_STAGE_PUSH);
	rig_settle(rig);
	for (unsigned round = 0; round < 2; round++) { /* six are staged at once */
		for (unsigned r = 6 * round + 1; r <= 6 * round + 6; r++)
			rig_stage_end(rig, rig_stage_of(rig, GRANULE(r)), 0);
	}
	rig_run(rig, 20 * NS_PER_MS);
	for (unsigned r = 1; r <= 12; r++)
		expect_pushed(&rig->readers[r], requests[r], GRANULE(r), GRANULE_LEN);
	assert_true(owner_is_idle(rig->owner));
}

static unsigned pieces_of(const struct rig_reader *reader)
{
	return (reader->pushed_len + PEER_PUSH_LEN_MAX - 1) / PEER_PUSH_LEN_MAX;
}

/* Asks for BLOCK(3) to be pushed, and stops in the middle. */
static uint64_t push_half(struct rig *rig, struct rig_reader *reader)
{
	uint64_t request = rig_ask(reader, BLOCK(3), PEER_STAGE_PUSH);

	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(3)), 0);
	for (unsigned i = 0; i < 100 && pieces_of(reader) < 8; i++)
		rig_run(rig, 1000);
	assert_in_range(pieces_of(reader), 8, 24); /* of 33 */
	assert_int_equal(rig_lent(rig), 1);
	return request;
}

static void test_owner_message__cancel_in_mid_push__stops(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];

	rig_cancel(reader, push_half(rig, reader));
	rig_run(rig, 5 * NS_PER_MS);
	assert_in_range(pieces_of(reader), 8, 32);
	rig_expect_nothing(reader);
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_down__in_mid_push__ends(void **state)
{
	struct rig *rig = *state;

	push_half(rig, &rig->readers[1]);
	rig_reader_kill(rig, 1);
	rig_run(rig, 50 * NS_PER_MS);
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
	push_half(rig, &rig->readers[2]);
	transport_peer_disconnect(rig->passive[2]);
	rig_run(rig, 50 * NS_PER_MS);
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_stop__in_mid_push__refused(void **state)
{
	struct rig *rig = *state;
	uint64_t request = push_half(rig, &rig->readers[1]);

	owner_stop(rig->owner);
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
	rig_run(rig, 5 * NS_PER_MS);
	rig_expect_refused(&rig->readers[1], request, PEER_STOPPING);
}

/* A reader that does not listen: the others are served, its own push is given up. */
static void test_owner_message__push_to_the_deaf__others_go_on(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *deaf = &rig->readers[1], *other = &rig->readers[2];
	uint64_t request;

	rig_ask(deaf, BLOCK(3), PEER_STAGE_PUSH);
	rig_settle(rig);
	deaf->deaf = true;
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(3)), 0);
	rig_run(rig, NS_PER_MS);
	request = rig_ask(other, BLOCK(4), PEER_STAGE_PUSH);
	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(4)), 0);
	rig_run(rig, 5 * NS_PER_MS);
	expect_pushed(other, request, BLOCK(4), RIG_BLOCK_LEN);
	assert_int_equal(rig_lent(rig), 1);
	rig_run(rig, 6 * NS_PER_S); /* what waits for the wire was given up */
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
	deaf->deaf = false;
	rig_run(rig, 5 * NS_PER_MS);
	deaf->inbox_first = deaf->inbox_end;
	request = rig_ask(deaf, BLOCK(5), PEER_STAGE_PUSH);
	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(5)), 0);
	rig_run(rig, 5 * NS_PER_MS);
	expect_pushed(deaf, request, BLOCK(5), RIG_BLOCK_LEN);
}

#define QUEUE_LEN (TRANSPORT_MESSAGES_MAX + 16) /* with those that are on the wire */

/* To a reader that is deaf. */
static void fill_queue(struct rig *rig, unsigned reader)
{
	rig_say_nonsense(rig, reader, 16);
	rig_settle(rig);
	rig_say_nonsense(rig, reader, 300);
	rig_settle(rig);
}

/* As many messages wait for the reader as may: the push comes after them. */
static void test_owner_message__push_behind_a_full_queue__tried_again(void **state)
{
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];
	uint64_t request = rig_ask(reader, BLOCK(3), PEER_STAGE_PUSH);

	rig_settle(rig);
	reader->deaf = true;
	fill_queue(rig, 1);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(3)), 0);
	rig_run(rig, NS_PER_S);
	assert_int_equal(reader->pushed_len, 0);
	assert_int_equal(rig_lent(rig), 1);
	reader->deaf = false;
	rig_run(rig, 10 * NS_PER_MS);
	for (unsigned i = 0; i < QUEUE_LEN; i++)
		rig_expect_refused(reader, 0, PEER_UNKNOWN);
	expect_pushed(reader, request, BLOCK(3), RIG_BLOCK_LEN);
}

/* Nothing of it is on its way yet, or a few pieces are. */
static void test_owner_message__push_never_gets_through__given_up(void **state)
{
	struct rig *rig = *state;

	rig->config.lease = NS_PER_S;
	for (unsigned r = 1; r <= 2; r++) {
		rig_ask(&rig->readers[r], BLOCK(r), PEER_STAGE_PUSH);
		rig_settle(rig);
		rig->readers[r].deaf = true;
		if (r == 1)
			fill_queue(rig, r);
		rig_stage_end(rig, rig_stage_of(rig, BLOCK(r)), 0);
		rig_run(rig, NS_PER_S / 2);
		assert_int_equal(rig_lent(rig), 1);
		rig_run(rig, NS_PER_S);
		assert_int_equal(rig_lent(rig), 0);
		assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), r);
		assert_true(owner_is_idle(rig->owner));
	}
}

/* So slow that it would hold its frame for longer than a lease. */
static void test_owner_message__push_slower_than_a_lease__given_up(void **state)
{
	struct loop_faults faults = rig_faults();
	struct rig *rig = *state;
	struct rig_reader *reader = &rig->readers[1];
	uint64_t request = rig_ask(reader, BLOCK(3), PEER_STAGE_PUSH);

	rig_settle(rig);
	faults.delay_min_ns = faults.delay_max_ns = 3 * NS_PER_S;
	loop_network_set_faults(rig->network, &faults);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(3)), 0);
	rig_run(rig, rig->config.lease - NS_PER_S);
	assert_int_equal(rig_lent(rig), 1);
	rig_run(rig, 3 * NS_PER_S);
	assert_int_equal(rig_lent(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), 1);
	assert_true(owner_is_idle(rig->owner));
	rig_run(rig, 4 * NS_PER_S);
	rig_expect_refused(reader, request, PEER_BUSY);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_message__push__bytes_then_staged),
		TEST(test_owner_message__last_piece_filled__frame_given_back),
		TEST(test_owner_message__push_for_many__all_get_theirs),
		TEST(test_owner_message__cancel_in_mid_push__stops),
		TEST(test_owner_down__in_mid_push__ends),
		TEST(test_owner_stop__in_mid_push__refused),
		TEST(test_owner_message__push_to_the_deaf__others_go_on),
		TEST(test_owner_message__push_behind_a_full_queue__tried_again),
		TEST(test_owner_message__push_never_gets_through__given_up),
		TEST(test_owner_message__push_slower_than_a_lease__given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

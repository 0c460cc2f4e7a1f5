/*
 * owner.c - the life of a request: staged, leased, refused.
 */
#include "cache/peer/owner.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/owner_rig.h"

#define LEASE_NS (10 * NS_PER_S)

static struct rig *rig_of(void **state)
{
	return *state;
}

static int setup(void **state)
{
	struct peers_config config = rig_config();

	*state = rig_create(&config, 1024, 3);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static void test_owner_message__stage__staged_with_place_and_checks(void **state)
{
	static const struct {
		uint64_t index;
		uint32_t len;
	} rows[] = {
		{ BLOCK(0), RIG_BLOCK_LEN }, { BLOCK(7), RIG_BLOCK_LEN },
		{ BLOCK(40), 100 }, /* the last one */
		{ GRANULE(3), GRANULE_LEN }, { GRANULE(80), 100 },
	};
	struct rig *rig = rig_of(state);
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t asked_ns = clock_now_ns(&rig->clock.clock);
		uint64_t request = rig_ask(reader, rows[i].index, 0);
		const struct peer_staged *staged;
		struct rig_stage *stage;
		struct object_id id;

		rig_settle(rig);
		rig_expect_nothing(reader);
		stage = rig_stage_of(rig, rows[i].index);
		assert_non_null(stage);
		assert_false(stage->stage->local);
		assert_in_range(stage->stage->deadline_ns, asked_ns + 30 * NS_PER_S,
				asked_ns + 30 * NS_PER_S + NS_PER_MS);
		stage->stage->origin = CACHE_ORIGIN_SSD;
		object_id_of(&stage->stage->version, &id);
		rig_stage_unit(rig, rows[i].index);
		staged = &rig_expect(reader, PEER_STAGED)->staged;
		assert_int_equal(staged->request, request);
		assert_true(object_id_equal(&staged->key.id, &id));
		assert_int_equal(staged->key.index, rows[i].index);
		assert_int_equal(staged->len, rows[i].len);
		assert_int_equal(staged->off, rig_frame_off(rows[i].index));
		assert_int_equal(staged->lease_ms, 10000);
		assert_int_equal(staged->origin, PEER_ORIGIN_SSD);
		for (unsigned c = 0; c < object_granule_count(rows[i].len); c++)
			assert_int_equal(staged->checks[c], rows[i].index * 1000 + c);
	}
	assert_int_equal(rig_count(rig, PEERS_STAGES), ARRAY_COUNT(rows));
	assert_int_equal(rig_count(rig, PEERS_STAGED_SSD), ARRAY_COUNT(rows));
	assert_int_equal(rig_count(rig, PEERS_STAGED_BYTES), 2 * RIG_BLOCK_LEN + GRANULE_LEN + 200);
}

static void test_owner_message__release__frame_given_back(void **state)
{
	struct rig *rig = rig_of(state);
	uint64_t request = rig_staged(&rig->readers[1], BLOCK(1), 0);

	assert_int_equal(rig_lent(rig), 1);
	assert_int_equal(rig_count(rig, PEERS_LEASES), 1);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), RIG_BLOCK_LEN);
	rig_release(&rig->readers[2], request); /* not his */
	rig_release(&rig->readers[1], request + 1);
	rig_settle(rig);
	assert_int_equal(rig_lent(rig), 1);
	rig_release(&rig->readers[1], request);
	rig_release(&rig->readers[1], request);
	rig_settle(rig);
	assert_int_equal(rig_lent(rig), 0);
	assert_true(owner_is_idle(rig->owner));
	assert_int_equal(rig_count(rig, PEERS_MALFORMED), 0);
}

static void test_owner_message__release_of_many__all_given_back(void **state)
{
	struct peer_message message = { .kind = PEER_RELEASE };
	struct rig *rig = rig_of(state);

	for (unsigned i = 0; i < 3; i++)
		message.release.requests[message.release.count++] =
			rig_staged(&rig->readers[1], BLOCK(i), 0);
	message.release.requests[message.release.count++] = 999;
	assert_int_equal(rig_lent(rig), 3);
	assert_int_equal(rig_send(&rig->readers[1], &message), 0);
	rig_settle(rig);
	assert_int_equal(rig_lent(rig), 0);
}

static void test_owner_message__one_unit_for_two__one_frame_two_leases(void **state)
{
	struct rig *rig = rig_of(state);
	uint64_t first = rig_staged(&rig->readers[1], BLOCK(1), 0);
	uint64_t second = rig_staged(&rig->readers[2], BLOCK(1), 0);

	assert_int_equal(rig_count(rig, PEERS_LEASES), 2);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), RIG_BLOCK_LEN);
	rig_release(&rig->readers[1], first);
	rig_settle(rig);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), RIG_BLOCK_LEN);
	rig_release(&rig->readers[2], second);
	rig_settle(rig);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), 0);
}

static void test_owner_tick__lease_over__frame_given_back(void **state)
{
	struct rig *rig = rig_of(state);

	rig_staged(&rig->readers[1], BLOCK(1), 0);
	rig_run(rig, LEASE_NS / 2);
	rig_staged(&rig->readers[1], BLOCK(2), 0);
	rig->config.lease = NS_PER_S; /* live: a later one ends earlier */
	rig_staged(&rig->readers[2], BLOCK(3), 0);
	assert_int_equal(rig_lent(rig), 3);
	rig_run(rig, NS_PER_S);
	assert_int_equal(rig_lent(rig), 2);
	rig_run(rig, LEASE_NS / 2 - 2 * NS_PER_S);
	assert_int_equal(rig_lent(rig), 2);
	rig_run(rig, NS_PER_S);
	assert_int_equal(rig_lent(rig), 1);
	rig_run(rig, LEASE_NS / 2);
	assert_int_equal(rig_lent(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), 3);
	assert_int_equal(owner_tick(rig->owner), CLOCK_NEVER);
}

static void test_owner_message__statuses__refusals(void **state)
{
	static const struct {
		int status;
		unsigned flags;
		enum peer_refusal why;
		enum peers_counter counted;
	} rows[] = {
		{ -ENOENT, PEER_STAGE_LOCAL, PEER_ABSENT_HERE, PEERS_STAGE_ABSENT },
		{ -ENOENT, 0, PEER_GONE, PEERS_STAGE_REFUSED },
		{ -ENOENT, PEER_STAGE_HERE, PEER_GONE, PEERS_STAGE_REFUSED },
		{ -ENOENT, PEER_STAGE_PUSH, PEER_GONE, PEERS_STAGE_REFUSED },
		{ -ESTALE, 0, PEER_STALE, PEERS_STAGE_REFUSED },
		{ -ESTALE, PEER_STAGE_LOCAL, PEER_STALE, PEERS_STAGE_REFUSED },
		{ -EACCES, 0, PEER_DENIED, PEERS_STAGE_REFUSED },
		{ -EIO, 0, PEER_IO, PEERS_STAGE_REFUSED },
		{ -EPROTO, 0, PEER_IO, PEERS_STAGE_REFUSED },
		{ -ETIMEDOUT, 0, PEER_LATE, PEERS_STAGE_REFUSED },
		{ -ENODEV, 0, PEER_UNKNOWN, PEERS_STAGE_REFUSED },
		{ -ENODEV, PEER_STAGE_LOCAL, PEER_UNKNOWN, PEERS_STAGE_REFUSED },
		{ -EINVAL, 0, PEER_UNKNOWN, PEERS_STAGE_REFUSED },
		{ -ECANCELED, 0, PEER_STOPPING, PEERS_STAGE_REFUSED },
		{ -EAGAIN, 0, PEER_BUSY, PEERS_STAGE_REFUSED },
	};
	struct rig *rig = rig_of(state);
	struct rig_reader *reader = &rig->readers[1];

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t request = rig_ask(reader, BLOCK(1), rows[i].flags);
		uint64_t counted = rig_count(rig, rows[i].counted);
		const struct peer_refused *refused;

		rig_settle(rig);
		assert_int_equal(rig_stage_of(rig, BLOCK(1))->stage->local,
				 (rows[i].flags & PEER_STAGE_LOCAL) != 0);
		rig_stage_end(rig, rig_stage_of(rig, BLOCK(1)), rows[i].status);
		rig_settle(rig);
		refused = rig_expect_refused(reader, request, rows[i].why);
		assert_int_equal(refused->retry_ms, rows[i].why == PEER_BUSY ? 20 : 0);
		assert_int_equal(rig_count(rig, rows[i].counted), counted + 1);
		assert_true(owner_is_idle(rig->owner));
	}
}

static void test_owner_message__behind_the_object__refused_unknown(void **state)
{
	static const uint64_t indexes[] = { BLOCK(41),	BLOCK(1000),	GRANULE(81),
					    UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63 };
	struct rig *rig = rig_of(state);

	for (unsigned i = 0; i < ARRAY_COUNT(indexes); i++) {
		uint64_t request = rig_ask(&rig->readers[1], indexes[i], 0);

		rig_settle(rig);
		rig_expect_refused(&rig->readers[1], request, PEER_UNKNOWN);
	}
	assert_int_equal(rig->starts, 0);
	assert_true(owner_is_idle(rig->owner));
}

static void test_owner_message__number_in_use__malformed_and_ignored(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_reader *reader = &rig->readers[1];
	uint64_t request = rig_ask(reader, BLOCK(1), 0);

	rig_ask_for(reader, request, BLOCK(2), 0, 1000);
	rig_ask_for(&rig->readers[2], request, BLOCK(3), 0, 1000); /* his own */
	rig_settle(rig);
	assert_int_equal(rig_count(rig, PEERS_MALFORMED), 1);
	assert_int_equal(rig_count(rig, PEERS_STAGES), 2);
	assert_null(rig_stage_of(rig, BLOCK(2)));
	rig_stage_unit(rig, BLOCK(1));
	assert_int_equal(rig_expect(reader, PEER_STAGED)->staged.request, request);
	rig_ask_for(reader, request, BLOCK(2), 0, 1000); /* leased */
	rig_settle(rig);
	assert_int_equal(rig_count(rig, PEERS_MALFORMED), 2);
	rig_expect_nothing(reader);
	assert_int_equal(rig_lent(rig), 1);
}

static void test_owner_message__what_owners_say__malformed(void **state)
{
	static const struct peer_message messages[] = {
		{ .kind = PEER_STAGED, .staged = { .request = 1, .len = 100, .lease_ms = 1 } },
		{ .kind = PEER_WORKING, .request = 1 },
		{ .kind = PEER_REFUSED, .refused = { .request = 1, .why = PEER_IO } },
		{ .kind = PEER_PUSH, .push = { .request = 1, .len = 4, .data = "abcd" } },
	};
	struct rig *rig = rig_of(state);

	for (unsigned i = 0; i < ARRAY_COUNT(messages); i++) {
		owner_message(rig->owner, rig->passive[1], &messages[i]);
		assert_int_equal(rig_count(rig, PEERS_MALFORMED), i + 1);
	}
}

static void test_owner_message__on_a_connection_that_we_opened__malformed(void **state)
{
	struct rig *rig = rig_of(state);
	const struct peer_message message = { .kind = PEER_HITS, .hits = { .count = 1 } };

	/* any ACTIVE peer will do */
	owner_message(rig->owner, rig->readers[1].owner, &message);
	assert_int_equal(rig_count(rig, PEERS_MALFORMED), 1);
	assert_int_equal(rig->touched_count, 0);
}

static void test_owner_message__hits__touched(void **state)
{
	struct peer_message message = { .kind = PEER_HITS, .hits = { .count = 2 } };
	struct rig *rig = rig_of(state);

	message.hits.keys[0] = (struct window_key){ .id = { { 1 } }, .index = BLOCK(3) };
	message.hits.keys[1] = (struct window_key){ .id = { { 2 } }, .index = GRANULE(4) };
	assert_int_equal(rig_send(&rig->readers[1], &message), 0);
	rig_settle(rig);
	assert_int_equal(rig->touched_count, 2);
	assert_true(window_key_equal(&rig->touched[0], &message.hits.keys[0]));
	assert_true(window_key_equal(&rig->touched[1], &message.hits.keys[1]));
	assert_int_equal(rig_count(rig, PEERS_HITS), 2);
}

static void test_owner_tick__staging__working_every_100_ms(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_reader *reader = &rig->readers[1];

	rig_ask(reader, BLOCK(1), 0);
	rig_run(rig, PEER_WORKING_NS / 2);
	assert_int_equal(reader->working, 0);
	for (unsigned i = 1; i <= 20; i++) {
		uint64_t before_ns = reader->working_ns;

		rig_run(rig, PEER_WORKING_NS);
		assert_int_equal(reader->working, i);
		if (i > 1)
			assert_in_range(reader->working_ns - before_ns, PEER_WORKING_NS - NS_PER_MS,
					PEER_WORKING_NS + NS_PER_MS);
	}
	rig_stage_unit(rig, BLOCK(1));
	rig_expect(reader, PEER_STAGED);
	rig_run(rig, 5 * PEER_WORKING_NS);
	assert_int_equal(reader->working, 20);
}

static void test_owner_message__no_room_for_staged__sent_when_there_is(void **state)
{
	struct peers_config config = rig_config();
	struct rig *rig;
	struct rig_reader *a, *b;

	teardown(state);
	*state = rig = rig_create(&config, 1, 2); /* one message at a time, all together */
	a = &rig->readers[1];
	b = &rig->readers[2];
	rig_ask(a, BLOCK(1), 0);
	rig_ask(b, BLOCK(2), 0);
	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(1)), 0);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(2)), 0);
	rig_run(rig, 3 * NS_PER_MS);
	rig_expect(a, PEER_STAGED);
	rig_expect(b, PEER_STAGED);
	assert_int_equal(rig_lent(rig), 2);
	rig_run(rig, LEASE_NS);
	assert_int_equal(rig_lent(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), 2);
}

static void test_owner_message__staged_cannot_be_said__given_up(void **state)
{
	struct peers_config config = rig_config();
	struct rig *rig;

	teardown(state);
	*state = rig = rig_create(&config, 1, 2);
	rig->config.lease = NS_PER_S;
	rig_ask(&rig->readers[1], BLOCK(1), 0);
	rig_settle(rig);
	rig->readers[2].deaf = true;
	for (unsigned i = 0; i < 32; i++) { /* the last of them stays in the outbox */
		rig_say_nonsense(rig, 2, 1);
		rig_settle(rig);
	}
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(1)), 0);
	rig_run(rig, NS_PER_S / 2);
	rig_expect_nothing(&rig->readers[1]);
	assert_int_equal(rig_lent(rig), 1);
	rig_run(rig, NS_PER_S);
	assert_int_equal(rig_lent(rig), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASES_EXPIRED), 1);
	assert_true(owner_is_idle(rig->owner));
	rig->readers[2].deaf = false;
}

/* Each allocation of a STAGE fails in turn: it is refused, and nothing is left of it. */
static void test_owner_message__without_memory__refused_busy(void **state)
{
	const struct peer_message message = {
		.kind = PEER_STAGE,
		.stage = { .request = 1,
			   .timeout_ms = 1000,
			   .version = { .backing = "s3",
					.bucket = "train",
					.key = "data/shard-000",
					.etag = "e",
					.size = RIG_OBJECT_LEN },
			   .dataset = "/data" },
	};
	struct rig *rig = rig_of(state);
	unsigned nth = 1;

	for (;; nth++) {
		uint64_t refused = rig_count(rig, PEERS_STAGE_REFUSED);

		allocation_fault_arm(nth);
		owner_message(rig->owner, rig->passive[1], &message);
		if (!allocation_fault_disarm())
			break;
		assert_int_equal(rig_count(rig, PEERS_STAGE_REFUSED), refused + 1);
		assert_true(owner_is_idle(rig->owner));
		owner_down(rig->owner, rig->passive[1]); /* from the start */
	}
	assert_in_range(nth, 5, 64);
	assert_int_equal(rig_staging(rig), 1);
}

static void test_owner_create__without_memory__enomem(void **state)
{
	struct rig *rig = rig_of(state);
	const struct owner_setup owner_setup = { .config = &rig->config,
						 .clock = &rig->clock.clock,
						 .counters = &rig->counters,
						 .outbox = rig->outbox,
						 .arena = rig->arena,
						 .arena_len = RIG_ARENA_LEN,
						 .block_len = RIG_BLOCK_LEN };
	const struct peer_message nonsense = { .kind = PEER_STAGE,
					       .stage = { .index = UINT64_MAX } };
	struct owner *owner = NULL;

	for (unsigned nth = 1;; nth++) {
		int error;

		allocation_fault_arm(nth);
		error = owner_create(&owner_setup, &owner);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_null(owner);
	}
	/* one who has asked is remembered until its connection is down, or the owner is no more */
	for (unsigned r = 1; r <= 3; r++)
		owner_message(owner, rig->passive[r], &nonsense);
	assert_true(owner_is_idle(owner));
	owner_destroy(owner);
	owner_destroy(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_message__stage__staged_with_place_and_checks),
		TEST(test_owner_message__release__frame_given_back),
		TEST(test_owner_message__release_of_many__all_given_back),
		TEST(test_owner_message__one_unit_for_two__one_frame_two_leases),
		TEST(test_owner_tick__lease_over__frame_given_back),
		TEST(test_owner_message__statuses__refusals),
		TEST(test_owner_message__behind_the_object__refused_unknown),
		TEST(test_owner_message__number_in_use__malformed_and_ignored),
		TEST(test_owner_message__what_owners_say__malformed),
		TEST(test_owner_message__on_a_connection_that_we_opened__malformed),
		TEST(test_owner_message__hits__touched),
		TEST(test_owner_tick__staging__working_every_100_ms),
		TEST(test_owner_message__no_room_for_staged__sent_when_there_is),
		TEST(test_owner_message__staged_cannot_be_said__given_up),
		TEST(test_owner_message__without_memory__refused_busy),
		TEST(test_owner_create__without_memory__enomem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * owner_recent.c - units that many read at once: who is referred, and to whom.
 */
#include "cache/peer/owner.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/cache/peer/owner_rig.h"

#define HOT_READERS 3

static int setup(void **state)
{
	struct peers_config config = rig_config();

	config.hot_readers = HOT_READERS;
	config.stages_max = 64;
	*state = rig_create(&config, 1024, 16);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static unsigned number_of(const struct member_id *id)
{
	for (unsigned i = 1; i < MEMBER_ID_LEN; i++)
		assert_int_equal(id->bytes[i], id->bytes[0]);
	return id->bytes[0];
}

/* Readers first .. last read @index and give it back: they are its holders. */
static void make_holders(struct rig *rig, uint64_t index, unsigned first, unsigned last)
{
	for (unsigned r = first; r <= last; r++) {
		rig_release(&rig->readers[r], rig_staged(&rig->readers[r], index, 0));
		rig_settle(rig);
	}
}

/* Readers first .. last lease @index and keep it. */
static void make_hot(struct rig *rig, uint64_t index, unsigned first, unsigned last)
{
	for (unsigned r = first; r <= last; r++)
		rig_staged(&rig->readers[r], index, PEER_STAGE_HERE);
}

static const struct peer_refused *ask_referred(struct rig *rig, unsigned r, uint64_t index)
{
	uint64_t request = rig_ask(&rig->readers[r], index, 0);

	rig_settle(rig);
	return rig_expect_refused(&rig->readers[r], request, PEER_REFERRED);
}

static void ask_served(struct rig *rig, unsigned r, uint64_t index, unsigned flags)
{
	rig_release(&rig->readers[r], rig_staged(&rig->readers[r], index, flags));
	rig_settle(rig);
}

static void test_owner_message__hot_unit__referred_to_holders(void **state)
{
	struct rig *rig = *state;
	const struct peer_refused *refused;

	make_holders(rig, BLOCK(1), 1, 2);
	make_hot(rig, BLOCK(1), 3, 5);
	refused = ask_referred(rig, 6, BLOCK(1));
	assert_int_equal(refused->holder_count, 2);
	assert_int_equal(number_of(&refused->holders[0]) + number_of(&refused->holders[1]), 3);
	assert_int_equal(rig_count(rig, PEERS_REFERRED), 1);
	assert_int_equal(rig_count(rig, PEERS_STAGE_REFUSED), 0);
	/* another unit is not hot */
	ask_served(rig, 6, BLOCK(2), 0);
	ask_served(rig, 6, GRANULE(1), 0);
}

static void test_owner_message__hot_unit__flags_that_are_served(void **state)
{
	static const unsigned flags[] = { PEER_STAGE_HERE, PEER_STAGE_LOCAL,
					  PEER_STAGE_HERE | PEER_STAGE_LOCAL };
	struct rig *rig = *state;

	make_holders(rig, BLOCK(1), 1, 2);
	make_hot(rig, BLOCK(1), 3, 5);
	for (unsigned i = 0; i < 3; i++)
		ask_served(rig, 6, BLOCK(1), flags[i]);
	rig_ask(&rig->readers[6], BLOCK(1), PEER_STAGE_PUSH);
	rig_settle(rig);
	assert_non_null(rig_stage_of(rig, BLOCK(1)));
	assert_int_equal(rig_count(rig, PEERS_REFERRED), 0);
}

static void test_owner_message__fewer_readers__served(void **state)
{
	struct rig *rig = *state;
	uint64_t request;

	make_holders(rig, BLOCK(1), 1, 2);
	make_hot(rig, BLOCK(1), 3, 4);
	ask_served(rig, 6, BLOCK(1), 0);
	/* one reader with many requests is one reader */
	make_hot(rig, BLOCK(1), 4, 4);
	make_hot(rig, BLOCK(1), 4, 4);
	ask_served(rig, 6, BLOCK(1), 0);
	/* one that is being staged counts */
	request = rig_ask(&rig->readers[5], BLOCK(1), 0);
	rig_settle(rig);
	ask_referred(rig, 6, BLOCK(1));
	rig_cancel(&rig->readers[5], request);
	rig_settle(rig);
	rig_stage_end(rig, rig_stage_of(rig, BLOCK(1)), -ECANCELED);
	ask_served(rig, 6, BLOCK(1), 0);
}

static void test_owner_message__nobody_but_himself__served(void **state)
{
	struct rig *rig = *state;

	make_hot(rig, BLOCK(1), 3, 5);
	ask_served(rig, 6, BLOCK(1), 0); /* nobody has it yet; now he has */
	ask_served(rig, 6, BLOCK(1), 0);
	assert_int_equal(ask_referred(rig, 7, BLOCK(1))->holder_count, 1);
	/* one who reads it already is not sent away with a second request */
	ask_served(rig, 3, BLOCK(1), 0);
}

static void test_owner_message__many_holders__load_spread(void **state)
{
	struct rig *rig = *state;
	unsigned named[RIG_READERS_MAX + 1] = { 0 }, first[RIG_READERS_MAX + 1] = { 0 };

	make_holders(rig, BLOCK(1), 1, 8);
	make_hot(rig, BLOCK(1), 9, 11);
	for (unsigned i = 0; i < 64; i++) {
		const struct peer_refused *refused = ask_referred(rig, 12 + i % 4, BLOCK(1));

		assert_int_equal(refused->holder_count, PEER_HOLDERS_MAX);
		first[number_of(&refused->holders[0])]++;
		for (unsigned h = 0; h < PEER_HOLDERS_MAX; h++)
			named[number_of(&refused->holders[h])]++;
	}
	for (unsigned r = 1; r <= 8; r++) {
		assert_in_range(first[r], 4, 12); /* 8 would be even */
		assert_in_range(named[r], 24, 40);
	}
	/* never himself: a holder that asks anew */
	for (unsigned i = 0; i < 8; i++) {
		const struct peer_refused *refused = ask_referred(rig, 1, BLOCK(1));

		for (unsigned h = 0; h < refused->holder_count; h++)
			assert_int_not_equal(number_of(&refused->holders[h]), 1);
	}
}

static void test_owner_message__more_holders_than_kept__the_latest(void **state)
{
	struct rig *rig = *state;

	make_holders(rig, BLOCK(1), 1, 12);
	make_hot(rig, BLOCK(1), 13, 15);
	for (unsigned i = 0; i < 16; i++) {
		const struct peer_refused *refused = ask_referred(rig, 16, BLOCK(1));

		for (unsigned h = 0; h < refused->holder_count; h++)
			assert_in_range(number_of(&refused->holders[h]), 5, 12);
	}
}

static void test_owner_message__holders_of_long_ago__served(void **state)
{
	struct rig *rig = *state;

	rig->config.lease = 100 * NS_PER_S;
	make_holders(rig, BLOCK(1), 1, 1);
	rig_run(rig, 20 * NS_PER_S);
	make_holders(rig, BLOCK(1), 2, 2);
	make_hot(rig, BLOCK(1), 3, 5);
	rig_run(rig, 15 * NS_PER_S);
	assert_int_equal(number_of(&ask_referred(rig, 6, BLOCK(1))->holders[0]), 2);
	rig_run(rig, 20 * NS_PER_S);
	ask_served(rig, 6, BLOCK(1), 0);
}

static void test_owner_down__holder_gone__not_named(void **state)
{
	struct rig *rig = *state;
	const struct peer_refused *refused;

	make_holders(rig, BLOCK(1), 1, 2);
	make_hot(rig, BLOCK(1), 3, 5);
	rig_reader_kill(rig, 2);
	rig_run(rig, 50 * NS_PER_MS);
	refused = ask_referred(rig, 6, BLOCK(1));
	assert_int_equal(refused->holder_count, 1);
	assert_int_equal(number_of(&refused->holders[0]), 1);
}

/* More units than are remembered: the ones not used for longest are forgotten. */
static void test_owner_message__many_units__old_ones_forgotten(void **state)
{
	const struct peer_refused *refused;
	struct rig *rig = *state;

	make_holders(rig, BLOCK(1), 1, 1);
	make_holders(rig, BLOCK(2), 1, 1);
	for (unsigned i = 0; i < 1023; i++) {
		const struct object_id id = { { 1, (uint8_t)i, (uint8_t)(i >> 8) } };
		const struct peer_message message = {
			.kind = PEER_STAGE,
			.stage = { .request = 100000 + i,
				   .timeout_ms = 1000,
				   .index = GRANULE(1),
				   .version = { .backing = "s3",
						.bucket = "train",
						.key = "data/shard-000",
						.etag = "",
						.size = RIG_OBJECT_LEN },
				   .dataset = "/data",
				   .id = id },
		};

		owner_message(rig->owner, rig->passive[1], &message);
		rig_stage_unit(rig, GRANULE(1));
		rig_release(&rig->readers[1], 100000 + i);
		rig_settle(rig);
	}
	make_hot(rig, BLOCK(1), 3, 5);
	make_hot(rig, BLOCK(2), 3, 5);
	ask_referred(rig, 6, BLOCK(2));
	ask_served(rig, 6, BLOCK(1), 0);
	/* he alone, and none of the unit that gave way */
	refused = ask_referred(rig, 7, BLOCK(1));
	assert_int_equal(refused->holder_count, 1);
	assert_int_equal(number_of(&refused->holders[0]), 6);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_message__hot_unit__referred_to_holders),
		TEST(test_owner_message__hot_unit__flags_that_are_served),
		TEST(test_owner_message__fewer_readers__served),
		TEST(test_owner_message__nobody_but_himself__served),
		TEST(test_owner_message__many_holders__load_spread),
		TEST(test_owner_message__more_holders_than_kept__the_latest),
		TEST(test_owner_message__holders_of_long_ago__served),
		TEST(test_owner_down__holder_gone__not_named),
		TEST(test_owner_message__many_units__old_ones_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

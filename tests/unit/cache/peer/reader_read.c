/*
 * reader_read.c - what the reader makes of memory, directories and messages that are not what they
 * should be: never a wrong byte, never a crash, and the next way to the bytes.
 */
#include <errno.h>
#include <string.h>

#include "cache/peer/reader_inside.h"
#include "tests/unit/cache/peer/reader_rig.h"

static struct rig rig;

static struct rig_fixture two = { &rig, { .owners = 2 } };
static struct rig_fixture two_directory = { &rig, { .owners = 2, .directory = true } };

static uint64_t a_block(uint64_t from)
{
	return rig_block(&rig, from, 1, 2);
}

static struct rig_owner *owner(void)
{
	return rig_owner(&rig, 1);
}

/* From the owner, or from the second. */
/* Of the slices of READs that start from now on. */
static void set_stalls(unsigned per_mille)
{
	rig.faults.stall_per_mille = per_mille;
	loop_network_set_faults(rig.network, &rig.faults);
}

static void expect_stages(unsigned first, unsigned second)
{
	assert_int_equal(rig_owner(&rig, 1)->stage_count, first);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, second);
}

static void test_reader__frame_recycled__locator_is_dropped(void **state)
{
	uint64_t block = a_block(0);

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig_drop(owner(), block);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), 1);
	expect_stages(2, 0);
	assert_int_equal(owner()->log[1].flags, 0);
	/* the new place is known */
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_LOCATOR), 1);
}

static void test_reader__owner_restarted__locators_are_void(void **state)
{
	uint64_t block = a_block(0), other = a_block(block + 1), third = a_block(other + 1);

	(void)state;
	rig.faults.detect_ns = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, other), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, third), PEER_FETCHED);
	rig_restart(owner());
	rig_run(&rig, NS_PER_S);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), 1);
	/* the epoch is known now: the others are not even tried */
	assert_int_equal(rig_get(&rig, other), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, third), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), 1);
}

static void test_reader__owner_restarted__directory_is_read_anew(void **state)
{
	uint64_t block = a_block(0), other = a_block(block + 1);

	(void)state;
	rig.faults.detect_ns = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	rig_hold(owner(), block);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig_restart(owner());
	rig_hold(owner(), other);
	rig_hold(owner(), block);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(rig_get(&rig, other), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_DIRECTORY), 3);
	expect_stages(0, 0);
}

static bool twist_checks(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.checks[2] ^= 1;
	return true;
}

static bool twist_off(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.off += RIG_BLOCK_LEN;
	return true;
}

static bool twist_off_beyond(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.off = UINT64_MAX - BLOCK_LEN_MAX;
	return true;
}

static bool twist_off_at_the_end(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.off = RIG_ARENA_LEN - 1;
	return true;
}

static bool twist_len(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.len = BLOCK_LEN_MAX;
	return true;
}

static bool twist_len_short(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.len = 1;
	return true;
}

static bool twist_key(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.key.index += 2;
	return true;
}

static bool twist_object(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_STAGED)
		message->staged.key.id.bytes[15] ^= 1;
	return true;
}

/* Another block of the same length: what it says of that one is true. */
static bool twist_unit(struct rig_owner *of, struct peer_message *message)
{
	const struct rig_unit *unit;
	unsigned place;

	if (message->kind != PEER_STAGED)
		return true;
	place = rig_hold(of, (message->staged.key.index >> 1) + 1);
	unit = &of->units[place];
	message->staged.key = unit->key;
	message->staged.off = (uint64_t)place * RIG_BLOCK_LEN;
	memcpy(message->staged.checks, unit->checks, sizeof(unit->checks));
	return true;
}

static void test_reader__staged_is_nonsense__again_then_pushed_then_next(void **state)
{
	static const struct {
		bool (*twist)(struct rig_owner *, struct peer_message *);
		bool when_pushed; /* it matters then, too */
	} rows[] = {
		{ twist_checks, true },	     { twist_off, false },
		{ twist_off_beyond, false }, { twist_off_at_the_end, false },
		{ twist_len, true },	     { twist_len_short, true },
		{ twist_key, true },	     { twist_object, true },
		{ twist_unit, true },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows) * 3; i++) {
		unsigned wrong = 1 + i % 3;

		rig_close(&rig);
		rig_open(&rig, &(struct rig_plan){ .owners = 2 });
		owner()->twist = rows[i / 3].twist;
		owner()->twists = wrong == 3 ? 1000000 : wrong;
		wrong = wrong == 3 && !rows[i / 3].when_pushed ? 2 : wrong;
		assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
		assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), wrong);
		expect_stages(wrong == 1 ? 2 : 3, wrong == 3);
		assert_int_equal(owner()->log[1].flags, 0);
		if (wrong > 1)
			assert_int_equal(owner()->log[2].flags, PEER_STAGE_PUSH);
		assert_int_equal(rig_count(&rig, PEERS_PUSHED), wrong == 2);
		rig_run(&rig, NS_PER_S);
		/* what was leased is given back, wrong or not; what is pushed is not leased */
		assert_int_equal(owner()->release_count, 2);
	}
}

static void make_it_push(void)
{
	owner()->twist = twist_checks;
	owner()->twists = 2;
}

static bool (*second_twist)(struct rig_owner *, struct peer_message *);
static unsigned pushes_seen;

/* Two wrong answers, so that it is pushed; then what the test is about. */
static bool twist_twice_then(struct rig_owner *of, struct peer_message *message)
{
	if (of->stage_count <= 2)
		return twist_checks(of, message);
	return second_twist(of, message);
}

static bool twist_piece_missing(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	return message->kind != PEER_PUSH || ++pushes_seen != 5;
}

static bool twist_piece_twice(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_PUSH && ++pushes_seen == 5)
		message->push.off = 0;
	return true;
}

static bool twist_piece_beyond(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	if (message->kind == PEER_PUSH && ++pushes_seen == 5)
		message->push.off = BLOCK_LEN_MAX - 5000;
	return true;
}

static bool twist_no_end(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	return message->kind != PEER_STAGED;
}

static bool twist_end_at_once(struct rig_owner *of, struct peer_message *message)
{
	(void)of;
	return message->kind != PEER_PUSH;
}

static void test_reader__push_is_nonsense__next(void **state)
{
	static bool (*const rows[])(struct rig_owner *, struct peer_message *) = {
		twist_piece_missing, twist_piece_twice, twist_piece_beyond,
		twist_no_end,	     twist_end_at_once, twist_checks
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rig_close(&rig);
		rig_open(&rig, &(struct rig_plan){ .owners = 2 });
		second_twist = rows[i];
		pushes_seen = 0;
		owner()->twist = twist_twice_then;
		owner()->twists = 1000000;
		assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
		expect_stages(3, 1);
		assert_int_equal(rig_count(&rig, PEERS_PUSHED), 0);
	}
}

static void test_reader__rotten_push__next(void **state)
{
	(void)state;
	make_it_push();
	owner()->rotten_pushes = 1;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	expect_stages(3, 1);
}

static void test_reader__push_that_nobody_wanted__is_malformed(void **state)
{
	struct peer_message message = { .kind = PEER_PUSH };
	struct rig_fetch fetch;

	(void)state;
	owner()->work_ns = 400 * NS_PER_MS;
	rig_fetch(&rig, &fetch, a_block(0), NS_PER_S);
	rig_wait_count(&rig, &owner()->stage_count, 1);
	message.push = (struct peer_push){ owner()->last_request, 0, 100, rig.object.version.key };
	message.push.data = rig.arena;
	rig_say(owner(), &message);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 1);
	expect_stages(1, 1);
}

static void test_reader__pushed__no_locator(void **state)
{
	uint64_t block = a_block(0);

	(void)state;
	make_it_push();
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_PUSHED), 1);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_LOCATOR), 0);
}

/* --- directories */

static void flip(struct rig_owner *of, size_t first, size_t last)
{
	size_t len;
	uint8_t *memory = window_directory_memory(of->directory, &len);

	for (size_t i = first; i < (last < len ? last : len); i++)
		memory[i] ^= (uint8_t)(1 + i % 255);
}

static void test_reader__directory_rotten__stages(void **state)
{
	static const struct {
		size_t first, last;
	} rows[] = {
		{ 0, 1 },
		{ 8, 9 },
		{ 16, 32 },
		{ 40, 41 },
		{ 0, 128 },
		{ 512, 1 << 20 },
		{ 0, (size_t)1 << 30 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t block;

		rig_close(&rig);
		rig_open(&rig, &(struct rig_plan){ .owners = 2, .directory = true });
		block = a_block(0);
		rig_hold(owner(), block);
		flip(owner(), rows[i].first, rows[i].last);
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
		assert_int_equal(rig_get(&rig, a_block(block + 1)), PEER_FETCHED);
		expect_stages(2, 0);
		/* that it is no superblock is found out once a connection */
		if (rows[i].first < 128)
			assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 1);
		assert_int_equal(rig_count(&rig, PEERS_FROM_DIRECTORY), 0);
	}
}

static void test_reader__entry_leads_to_other_bytes__mismatch_then_staged(void **state)
{
	uint64_t block = a_block(0);
	unsigned place = rig_hold(owner(), block);

	(void)state;
	owner()->arena[(size_t)place * RIG_BLOCK_LEN + 200000] ^= 0x10;
	owner()->units[place].used = false; /* the owner knows, and brings it anew */
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MISMATCHES), 1);
	expect_stages(1, 0);
}

static void test_reader__directory_stalls__next(void **state)
{
	uint64_t block = a_block(0);
	struct rig_fetch fetch;

	(void)state;
	set_stalls(1000);
	rig_fetch(&rig, &fetch, block, 10 * NS_PER_S);
	rig_run(&rig, NS_PER_S);
	set_stalls(0);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	expect_stages(0, 1);
	assert_int_equal(rig_count(&rig, PEERS_SILENT), 1);
	/* the scratch was given back, and others may read the superblock */
	rig_run(&rig, NS_PER_S);
	rig_hold(owner(), a_block(block + 1));
	assert_int_equal(rig_get(&rig, a_block(block + 1)), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_DIRECTORY), 1);
}

/* Starts a fetch whose READ, by a locator, does not come. Return: when. */
static uint64_t fetch_stalled(struct rig_fetch *fetch, uint64_t block)
{
	uint64_t begun_ns;

	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	set_stalls(1000);
	begun_ns = rig_now(&rig);
	rig_fetch(&rig, fetch, block, 20 * NS_PER_S);
	return begun_ns;
}

static void test_reader__read_stalls__by_its_own_time_the_next_is_asked(void **state)
{
	uint64_t block = a_block(0), begun_ns;
	struct rig_fetch fetch;

	(void)state;
	begun_ns = fetch_stalled(&fetch, block);
	rig_run(&rig, NS_PER_S);
	set_stalls(0);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 2 * NS_PER_S, 2100 * NS_PER_MS);
	assert_int_equal(rig.evidence[1], 1);
	expect_stages(1, 1);
}

static void test_reader__read_stalls_while_others_come__waited_for_longer(void **state)
{
	uint64_t block = a_block(0), begun_ns;
	struct rig_fetch fetch;

	(void)state;
	begun_ns = fetch_stalled(&fetch, block);
	set_stalls(0);
	while (rig_count(&rig, PEERS_SILENT) == 0 && rig_now(&rig) - begun_ns < 30 * NS_PER_S) {
		rig_hold(owner(), a_block(block + 1));
		assert_int_equal(rig_get(&rig, a_block(block + 1)), PEER_FETCHED);
		rig_run(&rig, NS_PER_S);
	}
	assert_in_range(rig_now(&rig) - begun_ns, 12 * NS_PER_S, 14 * NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
}

static void test_reader__read_stalls_until_the_deadline__ends_after_the_fence(void **state)
{
	uint64_t block = a_block(0), begun_ns;
	struct rig_fetch fetch;

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig.faults.stall_per_mille = 1000;
	rig.faults.fence_ns = 20 * NS_PER_MS;
	rig.faults.late_bytes = true;
	loop_network_set_faults(rig.network, &rig.faults);
	begun_ns = rig_now(&rig);
	rig_fetch(&rig, &fetch, block, 300 * NS_PER_MS);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
	assert_int_equal(fetch.fetch.status, -ETIMEDOUT);
	assert_in_range(rig_now(&rig) - begun_ns, 300 * NS_PER_MS, 350 * NS_PER_MS);
	assert_int_equal(rig.evidence[1], 0); /* it had less time than silence takes */
	memset(fetch.fetch.dst, 0x77, RIG_BLOCK_LEN);
	rig_run(&rig, 100 * NS_PER_MS);
	for (unsigned i = 0; i < RIG_BLOCK_LEN; i++)
		assert_int_equal(((uint8_t *)fetch.fetch.dst)[i], 0x77);
}

static void test_reader__connection_breaks_in_mid_read__one_piece_of_evidence(void **state)
{
	struct rig_fetch fetches[6];
	uint64_t block = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		block = a_block(block + 1);
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	}
	rig.faults.break_per_mille = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	block = 0;
	for (unsigned i = 0; i < 6; i++) {
		block = a_block(block + 1);
		rig_fetch(&rig, &fetches[i], block, 10 * NS_PER_S);
	}
	rig_run(&rig, NS_PER_MS);
	rig.faults.break_per_mille = 0;
	loop_network_set_faults(rig.network, &rig.faults);
	for (unsigned i = 0; i < 6; i++) {
		rig_wait(&rig, &fetches[i]);
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
	}
	assert_int_equal(rig.evidence[1], 1);
	expect_stages(12, 0);
}

/* --- what the owner is told */

static void test_reader__many_hits__in_batches(void **state)
{
	uint64_t block = a_block(0);

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	for (unsigned i = 0; i < PEER_HITS_MAX; i++)
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig_run(&rig, NS_PER_MS);
	assert_int_equal(owner()->hit_count, PEER_HITS_MAX);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	rig_run(&rig, 150 * NS_PER_MS);
	assert_int_equal(owner()->hit_count, PEER_HITS_MAX);
	rig_run(&rig, 100 * NS_PER_MS);
	assert_int_equal(owner()->hit_count, PEER_HITS_MAX + 1);
}

#define READ_TEST(test)	     RIG_TEST(&two, test)
#define DIRECTORY_TEST(test) RIG_TEST(&two_directory, test)

#define BLOCKS_WANTED (3 * BLOCKS_READ_MAX)

/* Blocks of one owner come one pair after the other, in the order in which they were wanted, though
 * all were staged at once; another owner's does not wait for them. */
static void test_reader__many_blocks_of_one_owner__few_are_read_at_a_time(void **state)
{
	static struct rig_fetch fetches[BLOCKS_WANTED], other;
	const struct member_id *id = &owner()->id;
	uint64_t block = 0, last_ns = 0;
	unsigned most = 0;

	(void)state;
	assert_int_equal(rig_get(&rig, a_block(1000)), PEER_FETCHED); /* connected */
	assert_int_equal(rig_get(&rig, rig_block(&rig, 1000, 2, 1)), PEER_FETCHED);
	rig.faults.delay_min_ns = rig.faults.delay_max_ns = 5 * NS_PER_MS;
	loop_network_set_faults(rig.network, &rig.faults);
	for (unsigned i = 0; i < BLOCKS_WANTED; i++) {
		block = a_block(block + 1);
		rig_fetch(&rig, &fetches[i], block, 10 * NS_PER_S);
	}
	rig_fetch(&rig, &other, rig_block(&rig, 1, 2, 1), 10 * NS_PER_S);
	while (!fetches[BLOCKS_WANTED - 1].calls) {
		const struct ledger *ledger = neighbours_find(rig.neighbours, id)->ledger;

		rig_step(&rig);
		assert_in_range(ledger->blocks_read, 0, BLOCKS_READ_MAX);
		if (ledger->blocks_read > most)
			most = ledger->blocks_read;
	}
	assert_int_equal(most, BLOCKS_READ_MAX);
	for (unsigned i = 0; i < BLOCKS_WANTED; i++) {
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
		assert_true(fetches[i].right && fetches[i].done_ns >= last_ns);
		last_ns = fetches[i].done_ns;
	}
	assert_true(fetches[0].done_ns < last_ns);
	assert_true(other.calls == 1 && other.right && other.done_ns < last_ns);
}

/* Those that wait are let go by whatever ends them, and by the end of who is read. */
static void test_reader__waiting_for_other_blocks__ends_with_its_owner(void **state)
{
	static struct rig_fetch fetches[BLOCKS_WANTED];
	uint64_t block = 0;

	(void)state;
	rig.faults.delay_min_ns = rig.faults.delay_max_ns = 5 * NS_PER_MS;
	loop_network_set_faults(rig.network, &rig.faults);
	for (unsigned i = 0; i < BLOCKS_WANTED; i++) {
		block = a_block(block + 1);
		rig_fetch(&rig, &fetches[i], block, 10 * NS_PER_S);
	}
	while (!fetches[0].calls)
		rig_step(&rig);
	rig_kill(owner());
	for (unsigned i = 0; i < BLOCKS_WANTED; i++) {
		rig_wait(&rig, &fetches[i]); /* the second in the ranking has them */
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
		assert_true(fetches[i].right);
	}
	rig_start(owner());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		READ_TEST(test_reader__frame_recycled__locator_is_dropped),
		READ_TEST(test_reader__many_blocks_of_one_owner__few_are_read_at_a_time),
		READ_TEST(test_reader__waiting_for_other_blocks__ends_with_its_owner),
		READ_TEST(test_reader__owner_restarted__locators_are_void),
		DIRECTORY_TEST(test_reader__owner_restarted__directory_is_read_anew),
		READ_TEST(test_reader__staged_is_nonsense__again_then_pushed_then_next),
		READ_TEST(test_reader__push_is_nonsense__next),
		READ_TEST(test_reader__rotten_push__next),
		READ_TEST(test_reader__push_that_nobody_wanted__is_malformed),
		READ_TEST(test_reader__pushed__no_locator),
		DIRECTORY_TEST(test_reader__directory_rotten__stages),
		DIRECTORY_TEST(test_reader__entry_leads_to_other_bytes__mismatch_then_staged),
		DIRECTORY_TEST(test_reader__directory_stalls__next),
		READ_TEST(test_reader__read_stalls__by_its_own_time_the_next_is_asked),
		READ_TEST(test_reader__read_stalls_while_others_come__waited_for_longer),
		READ_TEST(test_reader__read_stalls_until_the_deadline__ends_after_the_fence),
		READ_TEST(test_reader__connection_breaks_in_mid_read__one_piece_of_evidence),
		READ_TEST(test_reader__many_hits__in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

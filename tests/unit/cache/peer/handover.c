/*
 * Tests of handover.c: every block is offered to who owns it, a few at a time, and again where that
 * was of no use; with members that answer as they are told.
 */
#include "cache/peer/handover.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"

#define OWNERS	     3 /* numbers from 1 on */
#define OBJECTS	     24
#define BLOCKS	     200 /* of the first object; the others have one */
#define BLOCK_LEN    (UINT32_C(4) << 20)
#define PENDING_MAX  64
#define BURY_AT	     60 /* in the middle of the first pass */
#define ANSWER_EVERY 8

struct owner {
	bool unreachable, full;
	unsigned busy; /* so many times */
	bool has[OBJECTS][BLOCKS];
	unsigned asks, under_way;
};

struct bench {
	struct clock_manual clock;
	struct placement *placement;
	struct handover_setup setup;
	struct peers_handover out;
	struct owner owners[OWNERS + 1];
	struct peers_inquiry *pending[PENDING_MAX];
	unsigned pending_count, pending_most, owner_most;
	bool hold;		      /* answers wait for some calls of tell() */
	unsigned tells, tells_max;    /* 0: it never has enough */
	unsigned bury;		      /* at tell() number BURY_AT, this owner is dead */
	unsigned list_fails, objects; /* listed; the last is obsolete */
	uint64_t blocks[BLOCKS];
	char keys[OBJECTS][16];
};

static void place(struct bench *bench, unsigned without)
{
	struct placement_member members[OWNERS];
	unsigned count = 0;

	for (uint8_t i = 1; i <= OWNERS; i++) {
		if (i != without)
			members[count++] = (struct placement_member){ .id.bytes = { i },
								      .weight = UINT64_C(1) << 30 };
	}
	assert_int_equal(placement_update(bench->placement, members, count, NULL), 0);
}

/* --- what is here: an object a page */

static unsigned number_of(const struct object_version *version)
{
	return (unsigned)strtoul(version->key, NULL, 10);
}

static int list(void *context, struct store_cursor *cursor, struct store_page *page)
{
	struct bench *bench = context;
	unsigned number = cursor->directory;
	struct store_listed *listed = &page->objects[0];

	if (number == bench->objects)
		return 0;
	cursor->directory++;
	if (number == 1 && bench->list_fails) {
		bench->list_fails--;
		return -EIO;
	}
	snprintf(bench->keys[number], sizeof(bench->keys[number]), "%u", number);
	*listed = (struct store_listed){
		.object.version = { "lake", "b", bench->keys[number], "e", 1000 },
		.object.dataset = "d",
		.blocks = bench->blocks,
		.block_count = 1,
		.obsolete = number == OBJECTS - 1,
	};
	if (number == 0) {
		listed->object.version.size = (uint64_t)BLOCKS * BLOCK_LEN;
		listed->block_count = BLOCKS;
	}
	object_id_of(&listed->object.version, &listed->object.id);
	page->count = 1;
	return 1;
}

/* --- members */

static bool owns(struct bench *bench, unsigned owner, const struct object_version *version,
		 uint64_t block)
{
	const struct placement_table *table = placement_acquire(bench->placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	struct object_id id;
	bool result;

	object_id_of(version, &id);
	result = placement_owners(table, placement_slot(&id, block), owners) > 0 &&
		 owners[0]->id.bytes[0] == owner;
	placement_release(bench->placement, table);
	return result;
}

static void take(struct bench *bench, struct peers_inquiry *inquiry)
{
	const struct peer_inquire *asked = &inquiry->asked;
	struct owner *owner = &bench->owners[inquiry->member.bytes[0]];
	struct peer_taken *taken = &inquiry->report.taken;
	unsigned object = number_of(&asked->version);

	for (unsigned bit = 0; bit < PEER_TAKE_BLOCKS; bit++) {
		uint64_t block = asked->take.first + bit;
		bool *has;

		if (!(asked->take.blocks >> bit & 1))
			continue;
		has = &owner->has[object][block];
		if (!*has &&
		    (owner->full || !owns(bench, inquiry->member.bytes[0], &asked->version, block)))
			continue;
		taken->bytes += *has ? 0 : object_block_len(asked->version.size, block, BLOCK_LEN);
		*has = true;
		taken->blocks |= UINT64_C(1) << bit;
	}
}

static void answer(struct bench *bench, struct peers_inquiry *inquiry)
{
	struct owner *owner = &bench->owners[inquiry->member.bytes[0]];

	owner->under_way--;
	if (owner->unreachable)
		inquiry->status = -EHOSTUNREACH;
	else if (owner->busy > 0 && owner->busy--)
		inquiry->status = -EAGAIN;
	else
		take(bench, inquiry);
	inquiry->done(inquiry);
}

static void ask(void *context, struct peers_inquiry *inquiry)
{
	struct bench *bench = context;
	struct owner *owner = &bench->owners[inquiry->member.bytes[0]];
	unsigned len = (unsigned)__builtin_popcountll(inquiry->asked.take.blocks);

	assert_int_equal(inquiry->asked.topic, PEER_TOPIC_TAKE);
	assert_true(len > 0);
	assert_true(inquiry->asked.version.size < BLOCK_LEN ||
		    (uint64_t)len * BLOCK_LEN <= HANDOVER_RUN_BYTES);
	assert_true(number_of(&inquiry->asked.version) != OBJECTS - 1);
	owner->asks++;
	owner->under_way++;
	if (owner->under_way > bench->owner_most)
		bench->owner_most = owner->under_way;
	if (!bench->hold) {
		answer(bench, inquiry);
		return;
	}
	assert_true(bench->pending_count < PENDING_MAX);
	bench->pending[bench->pending_count++] = inquiry;
	if (bench->pending_count > bench->pending_most)
		bench->pending_most = bench->pending_count;
}

static bool tell(void *context, const struct peers_handover *handover)
{
	struct bench *bench = context;

	assert_true(handover->bytes <= handover->total_bytes || !handover->pass);
	clock_manual_advance(&bench->clock, 100 * NS_PER_MS);
	if (++bench->tells == BURY_AT && bench->bury)
		place(bench, bench->bury);
	while (bench->pending_count > 0 && bench->tells % ANSWER_EVERY == 0)
		answer(bench, bench->pending[--bench->pending_count]);
	return !bench->tells_max || bench->tells_max-- > 1;
}

static int run(struct bench *bench)
{
	return handover_run(&bench->setup, &bench->out);
}

/* --- the bench */

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	clock_manual_init(&bench->clock, NS_PER_S, 0);
	assert_int_equal(placement_create(&bench->placement), 0);
	place(bench, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		bench->blocks[i] = i;
	bench->objects = OBJECTS;
	bench->setup = (struct handover_setup){
		.clock = &bench->clock.clock,
		.placement = bench->placement,
		.block_len = BLOCK_LEN,
		.context = bench,
		.list = list,
		.ask = ask,
		.tell = tell,
	};
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(bench->pending_count, 0);
	placement_destroy(bench->placement);
	free(bench);
	return 0;
}

#define ALL_BLOCKS (BLOCKS + OBJECTS - 2) /* one is obsolete */
#define ALL_BYTES  ((uint64_t)BLOCKS * BLOCK_LEN + (OBJECTS - 2) * UINT64_C(1000))

/* Every block, with one that owns it. Return: how many of them @owner has. */
static unsigned count_had(struct bench *bench, unsigned owner)
{
	unsigned count = 0;

	for (unsigned i = 0; i < OBJECTS; i++)
		for (unsigned j = 0; j < BLOCKS; j++)
			count += bench->owners[owner].has[i][j];
	return count;
}

static void expect_all(struct bench *bench)
{
	assert_int_equal(bench->out.blocks, ALL_BLOCKS);
	assert_int_equal(bench->out.bytes, ALL_BYTES);
	assert_int_equal(bench->out.total_bytes, ALL_BYTES);
	assert_int_equal(bench->out.refused_blocks + bench->out.unanswered_blocks, 0);
}

static void test_handover__all_well__each_block_goes_to_its_owner_once(void **state)
{
	struct bench *bench = *state;
	unsigned had = 0;

	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_int_equal(bench->out.brought_bytes, ALL_BYTES);
	assert_int_equal(bench->out.pass, 1);
	for (unsigned i = 1; i <= OWNERS; i++) {
		assert_true(count_had(bench, i) > 0);
		had += count_had(bench, i);
	}
	assert_int_equal(had, ALL_BLOCKS);
}

static void test_handover__owners_have_it__nothing_is_brought(void **state)
{
	struct bench *bench = *state;

	for (unsigned i = 1; i <= OWNERS; i++)
		memset(bench->owners[i].has, 1, sizeof(bench->owners[i].has));
	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_int_equal(bench->out.brought_bytes, 0);
}

static void test_handover__answers_take_time__few_are_under_way(void **state)
{
	struct bench *bench = *state;

	bench->hold = true;
	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_int_equal(bench->owner_most, HANDOVER_OWNER_MAX);
	assert_in_range(bench->pending_most, 2, HANDOVER_ASKS_MAX);
}

static void test_handover__no_room__is_told_after_a_second_try(void **state)
{
	struct bench *bench = *state;
	unsigned lacking;

	bench->owners[2].full = true;
	assert_int_equal(run(bench), 0);
	lacking = (unsigned)bench->out.refused_blocks;
	assert_int_equal(bench->out.pass, 2);
	assert_true(lacking > 0);
	assert_int_equal(bench->out.blocks + lacking, ALL_BLOCKS);
	assert_int_equal(bench->out.bytes + bench->out.refused_bytes, ALL_BYTES);
	assert_int_equal(bench->out.brought_bytes, bench->out.bytes);
	assert_int_equal(count_had(bench, 2), 0);
}

static void test_handover__busy_owner__is_asked_again(void **state)
{
	struct bench *bench = *state;

	bench->owners[3].busy = 2;
	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_int_equal(bench->out.pass, 2);
}

static void test_handover__owner_dies__its_blocks_go_to_the_next_ones(void **state)
{
	struct bench *bench = *state;

	bench->owners[2].unreachable = true;
	bench->bury = 2;
	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_true(bench->out.pass >= 2);
	assert_int_equal(count_had(bench, 2), 0);
	/* spared for the rest of a pass, not asked for each block */
	assert_true(bench->owners[2].asks <= bench->out.pass * HANDOVER_OWNER_MAX);
}

/* What it had taken by then is gone with it, and this node still has it. */
static void test_handover__owner_dies_with_what_it_took__that_is_handed_over_again(void **state)
{
	struct bench *bench = *state;

	bench->hold = true;
	bench->bury = 1;
	assert_int_equal(run(bench), 0);
	expect_all(bench);
	assert_true(bench->out.pass >= 2);
	assert_int_equal(count_had(bench, 2) + count_had(bench, 3), ALL_BLOCKS);
}

static void test_handover__not_possible__says_why(void **state)
{
	static const struct {
		unsigned unreachable, tells_max, list_fails;
		bool nobody;
		int status;
	} rows[] = {
		{ .nobody = true, .status = -EHOSTUNREACH },
		{ .unreachable = 2, .status = -ETIMEDOUT },
		{ .tells_max = 3, .status = -ECANCELED },
		{ .list_fails = 1000, .status = -EIO },
	};
	struct bench *bench = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		bench->owners[2].unreachable = rows[i].unreachable;
		bench->tells_max = rows[i].tells_max;
		bench->list_fails = rows[i].list_fails;
		bench->hold = true;
		if (rows[i].nobody)
			assert_int_equal(placement_update(bench->placement, NULL, 0, NULL), 0);
		assert_int_equal(run(bench), rows[i].status);
		assert_int_equal(bench->pending_count, 0);
		place(bench, 0);
	}
	/* the one that could not be listed is missing, the others are not */
	assert_int_equal(bench->out.blocks, ALL_BLOCKS - 1);
}

static void test_handover__of_nothing__is_over_at_once(void **state)
{
	struct bench *bench = *state;

	bench->objects = 0;
	assert_int_equal(run(bench), 0);
	assert_int_equal(bench->out.blocks, 0);
	assert_int_equal(bench->out.total_bytes, 0);
}

#define HANDOVER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HANDOVER_TEST(test_handover__all_well__each_block_goes_to_its_owner_once),
		HANDOVER_TEST(test_handover__owners_have_it__nothing_is_brought),
		HANDOVER_TEST(test_handover__answers_take_time__few_are_under_way),
		HANDOVER_TEST(test_handover__no_room__is_told_after_a_second_try),
		HANDOVER_TEST(test_handover__busy_owner__is_asked_again),
		HANDOVER_TEST(test_handover__owner_dies__its_blocks_go_to_the_next_ones),
		HANDOVER_TEST(
			test_handover__owner_dies_with_what_it_took__that_is_handed_over_again),
		HANDOVER_TEST(test_handover__not_possible__says_why),
		HANDOVER_TEST(test_handover__of_nothing__is_over_at_once),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of tools/daemon/locate_owners.h: each block is counted with its owner.
 */
#include "tools/daemon/locate_owners.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

#define MIB UINT64_C(1048576)

/* What the fake placement is like. */
struct place {
	uint64_t members; /* block b is owned by member b / run % members; 0: by nobody */
	uint64_t run;
	unsigned looks; /* cancelled() was asked */
	unsigned looks_max;
};

/* As different from each other as random ones are. */
static struct member_id member(uint64_t number)
{
	struct member_id id = { { 1 } };
	uint64_t mixed = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(id.bytes, &mixed, sizeof(mixed));
	return id;
}

static bool owner_of(void *context, const struct object_id *id, uint64_t block,
		     struct member_id *out_owner)
{
	const struct place *place = context;

	(void)id;
	if (place->members == 0)
		return false;
	*out_owner = member(block / place->run % place->members);
	return true;
}

static bool cancelled(void *context)
{
	struct place *place = context;

	return place->looks++ == place->looks_max;
}

static int find(struct place *place, uint64_t size, bool runs, struct locate_owners **out)
{
	const struct locate_object object = { .size = size,
					      .block_len = 4 * MIB,
					      .context = place,
					      .owner_of = owner_of,
					      .cancelled = cancelled };

	if (!place->looks_max)
		place->looks_max = UINT32_MAX;
	return locate_owners_find(&object, runs, out);
}

static void test_find__blocks_of_some_members__add_up(void **state)
{
	static const struct {
		uint64_t size, members, run;
		unsigned owners, runs;
	} rows[] = {
		{ 0, 3, 1, 0, 0 },
		{ 1, 3, 1, 1, 1 },
		{ 4 * MIB, 3, 1, 1, 1 },
		{ 4 * MIB + 1, 3, 1, 2, 2 },
		{ 40 * MIB + 7, 3, 1, 3, 11 },
		{ 40 * MIB, 3, 4, 3, 3 },
		{ 40 * MIB, 1, 1, 1, 1 },
		{ 40 * MIB, 0, 1, 0, 1 },
		{ 8192 * MIB, 512, 4, 512, 512 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t blocks = (rows[i].size + 4 * MIB - 1) / (4 * MIB), bytes = 0, count = 0;
		struct place place = { .members = rows[i].members, .run = rows[i].run };
		struct locate_owners *owners;

		assert_int_equal(find(&place, rows[i].size, true, &owners), 0);
		assert_int_equal(owners->count, rows[i].owners);
		for (unsigned j = 0; j < owners->count; j++) {
			struct member_id id = member(j);

			assert_int_equal(locate_owners_index(owners, &id), j);
			bytes += owners->owners[j].bytes;
			count += owners->owners[j].blocks;
		}
		assert_int_equal(bytes, rows[i].members ? rows[i].size : 0);
		assert_int_equal(count + owners->others, blocks);
		assert_int_equal(owners->run_count, rows[i].runs);
		assert_int_equal(owners->runs_left, 0);
		locate_owners_free(owners);
	}
}

static void test_find__runs__cover_the_object_in_order(void **state)
{
	struct place place = { .members = 3, .run = 2 };
	struct locate_owners *owners;
	uint64_t next = 0;

	(void)state;
	assert_int_equal(find(&place, 44 * MIB, true, &owners), 0);
	for (unsigned i = 0; i < owners->run_count; i++) {
		assert_int_equal(owners->runs[i].first, next);
		assert_int_equal(owners->runs[i].owner, i % 3);
		next += owners->runs[i].count;
	}
	assert_int_equal(next, 11);
	locate_owners_free(owners);
	assert_int_equal(find(&place, 44 * MIB, false, &owners), 0);
	assert_null(owners->runs);
	assert_int_equal(owners->count, 3);
	locate_owners_free(owners);
}

static void test_find__more_than_there_is_room_for__is_counted(void **state)
{
	struct place place = { .members = 700, .run = 1 };
	struct locate_owners *owners;
	struct member_id id = member(600);

	(void)state;
	assert_int_equal(find(&place, MIB * 4 * 10000, true, &owners), 0);
	assert_int_equal(owners->count, LOCATE_OWNERS_MAX);
	assert_int_equal(locate_owners_index(owners, &id), LOCATE_NOBODY);
	/* 14 times through all, and 200 more */
	assert_int_equal(owners->others, 14 * (700 - LOCATE_OWNERS_MAX));
	assert_int_equal(owners->run_count + (uint64_t)14 * (700 - LOCATE_OWNERS_MAX - 1),
			 10000 - owners->runs_left);
	locate_owners_free(owners);
	place.members = 2;
	assert_int_equal(find(&place, MIB * 4 * 10000, true, &owners), 0);
	assert_int_equal(owners->run_count, LOCATE_RUNS_MAX);
	assert_int_equal(owners->runs_left, 10000 - LOCATE_RUNS_MAX);
	locate_owners_free(owners);
}

static void test_find__too_much_or_cancelled__ends(void **state)
{
	struct place place = { .members = 3, .run = 1 };
	struct locate_owners *owners = NULL;

	(void)state;
	assert_int_equal(find(&place, UINT64_MAX, true, &owners), -E2BIG);
	assert_int_equal(place.looks, 0);
	place.looks_max = 3;
	assert_int_equal(find(&place, LOCATE_BLOCKS_MAX * 4 * MIB, true, &owners), -ECANCELED);
	assert_null(owners);
	locate_owners_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find__blocks_of_some_members__add_up),
		cmocka_unit_test(test_find__runs__cover_the_object_in_order),
		cmocka_unit_test(test_find__more_than_there_is_room_for__is_counted),
		cmocka_unit_test(test_find__too_much_or_cancelled__ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

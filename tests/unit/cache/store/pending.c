/*
 * Tests of cache/store/pending.h: the life of a block between admission and commit.
 */
#include "cache/store/pending.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"

#define PROMISED 1000

struct fixture {
	struct pending pending;
	struct store_object object;
	struct pending_group group;
	int fds[PENDING_GROUP_MAX];
};

static void make(struct fixture *fixture)
{
	pending_init(&fixture->pending);
	fixture->object = (struct store_object){
		.id = { { 1, 2, 3 } },
		.version = { .backing = "s3",
			     .bucket = "b",
			     .key = "k",
			     .etag = "e",
			     .size = 300000 },
		.dataset = "/d",
	};
}

static struct pending_block *admit(struct fixture *fixture, uint64_t block)
{
	return pending_admit(&fixture->pending, &fixture->object, block, 100000, 1, PROMISED);
}

static enum pending_place where(const struct fixture *fixture, uint64_t block)
{
	struct pending_block *found;

	return pending_where(&fixture->pending, &fixture->object.id, block, &found);
}

static struct pending_block *write_block(struct fixture *fixture, uint64_t number, bool ok)
{
	static const uint64_t checks[] = { 11, 22 };
	struct pending_block *block = admit(fixture, number);
	uint64_t promised;

	assert_non_null(block);
	pending_write(&fixture->pending, block, checks);
	assert_int_equal(pending_written(&fixture->pending, block, ok, 5, &promised), -1);
	assert_int_equal(promised, ok ? 0 : PROMISED);
	return block;
}

static void drop(struct fixture *fixture, uint64_t block)
{
	uint32_t segment;

	assert_int_equal(pending_drop(&fixture->pending, &fixture->object.id, block, 7, &segment),
			 0);
	assert_int_equal(segment, 0);
}

/* Return: the promises given back. */
static uint64_t commit(struct fixture *fixture, unsigned count)
{
	uint64_t promised;

	assert_int_equal(fixture->group.count, count);
	assert_int_equal(
		pending_committed(&fixture->pending, &fixture->group, &promised, fixture->fds), 0);
	return promised;
}

static void assert_empty(struct fixture *fixture)
{
	assert_int_equal(fixture->pending.block_count, 0);
	assert_int_equal(fixture->pending.put_bytes, 0);
	assert_int_equal(fixture->pending.put_count, 0);
	assert_null(fixture->pending.objects);
	assert_false(pending_busy(&fixture->pending));
	pending_fini(&fixture->pending);
}

static void test_write__from_admission_to_commit__found_once_written(void **state)
{
	static struct fixture fixture;
	struct pending_block *block;

	(void)state;
	make(&fixture);
	assert_int_equal(where(&fixture, 0), PENDING_ASK_INDEX);
	block = admit(&fixture, 0);
	assert_non_null(block);
	assert_ptr_equal(pending_find_admitted(&fixture.pending, &fixture.object.id, 0), block);
	assert_int_equal(where(&fixture, 0), PENDING_ASK_INDEX);
	assert_null(admit(&fixture, 0));
	assert_non_null(admit(&fixture, 1));
	pending_fini(&fixture.pending);
	make(&fixture);
	block = write_block(&fixture, 0, true);
	assert_int_equal(where(&fixture, 0), PENDING_HERE);
	assert_null(admit(&fixture, 0));
	assert_int_equal(fixture.pending.queued_since_ns, 5);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(where(&fixture, 0), PENDING_HERE);
	assert_int_equal(pending_change_of(block), PENDING_PUT);
	assert_string_equal(pending_object_of(block)->contents.version.key, "k");
	assert_int_equal(pending_block_of(block)->record.checks[1], 22);
	assert_int_equal(commit(&fixture, 1), PROMISED);
	assert_int_equal(where(&fixture, 0), PENDING_ASK_INDEX);
	assert_empty(&fixture);
}

static void test_write__fails__forgotten(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, false);
	assert_int_equal(where(&fixture, 0), PENDING_ASK_INDEX);
	assert_int_equal(pending_oldest(&fixture.pending), UINT64_MAX);
	assert_empty(&fixture);
}

static void test_drop__of_a_committed_block__not_here_until_committed_and_rewritten(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	drop(&fixture, 0);
	drop(&fixture, 0);
	assert_int_equal(where(&fixture, 0), PENDING_NOT_HERE);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(where(&fixture, 0), PENDING_NOT_HERE);
	/* Written anew while the removal is being committed. */
	write_block(&fixture, 0, true);
	assert_int_equal(where(&fixture, 0), PENDING_HERE);
	assert_int_equal(commit(&fixture, 1), PROMISED);
	assert_int_equal(where(&fixture, 0), PENDING_HERE);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(pending_change_of(fixture.group.blocks[0]), PENDING_PUT);
	commit(&fixture, 1);
	assert_empty(&fixture);
}

static void test_drop__while_it_is_committed__removed_by_the_next_group(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, true);
	pending_take(&fixture.pending, &fixture.group);
	drop(&fixture, 0);
	assert_int_equal(where(&fixture, 0), PENDING_NOT_HERE);
	assert_null(admit(&fixture, 0)); /* the commit still reads what the write left */
	commit(&fixture, 1);
	assert_int_equal(where(&fixture, 0), PENDING_NOT_HERE);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(pending_change_of(fixture.group.blocks[0]), PENDING_DROP);
	commit(&fixture, 1);
	assert_empty(&fixture);
}

static void test_drop__of_an_uncommitted_block__promises_are_all_given_back(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, true);
	drop(&fixture, 0);
	assert_int_equal(where(&fixture, 0), PENDING_NOT_HERE);
	write_block(&fixture, 0, true);
	assert_int_equal(where(&fixture, 0), PENDING_HERE);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(commit(&fixture, 1), 2 * PROMISED);
	assert_empty(&fixture);
}

static void test_hold__written_or_held__refused(void **state)
{
	static struct fixture fixture;
	const struct object_id *id = &fixture.object.id;

	(void)state;
	make(&fixture);
	assert_true(pending_hold(&fixture.pending, id));
	assert_false(pending_hold(&fixture.pending, id));
	assert_null(admit(&fixture, 0));
	pending_release(&fixture.pending, id);
	write_block(&fixture, 0, true);
	assert_false(pending_hold(&fixture.pending, id));
	pending_take(&fixture.pending, &fixture.group);
	assert_false(pending_hold(&fixture.pending, id));
	commit(&fixture, 1);
	assert_true(pending_hold(&fixture.pending, id));
	pending_release(&fixture.pending, id);
	assert_empty(&fixture);
}

static void test_bytes__in_all_states__sure_and_unsure(void **state)
{
	static struct fixture fixture;
	struct pending_unsure unsure;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, true);
	pending_take(&fixture.pending, &fixture.group);
	write_block(&fixture, 1, true);
	assert_int_equal(pending_bytes(&fixture.pending, &fixture.object.id, &unsure), 100000);
	assert_int_equal(unsure.count, 1);
	assert_int_equal(unsure.blocks[0].block, 0);
	commit(&fixture, 1);
	assert_int_equal(pending_bytes(&fixture.pending, &fixture.object.id, &unsure), 100000);
	assert_int_equal(unsure.count, 0);
	pending_take(&fixture.pending, &fixture.group);
	commit(&fixture, 1);
	assert_empty(&fixture);
}

static void test_oldest__several_writes__that_of_the_first(void **state)
{
	static struct fixture fixture;
	uint64_t first;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, true);
	first = pending_oldest(&fixture.pending);
	write_block(&fixture, 1, true);
	assert_int_equal(pending_oldest(&fixture.pending), first);
	pending_take(&fixture.pending, &fixture.group);
	write_block(&fixture, 2, true);
	commit(&fixture, 2);
	assert_int_equal(pending_oldest(&fixture.pending), first + 2);
	pending_take(&fixture.pending, &fixture.group);
	commit(&fixture, 1);
	assert_empty(&fixture);
}

static void test_admit__too_many__refused(void **state)
{
	static struct fixture fixture;

	(void)state;
	make(&fixture);
	for (unsigned i = 0; i < PENDING_BLOCKS_MAX; i++)
		assert_non_null(admit(&fixture, i));
	assert_null(admit(&fixture, PENDING_BLOCKS_MAX));
	pending_fini(&fixture.pending);
}

static void test_admit__no_memory__refused_and_nothing_left(void **state)
{
	static struct fixture fixture;

	(void)state;
	for (unsigned nth = 1;; nth++) {
		struct pending_block *block;

		make(&fixture);
		allocation_fault_arm(nth);
		block = admit(&fixture, 0);
		if (!allocation_fault_disarm()) {
			assert_non_null(block);
			break;
		}
		assert_null(block);
		assert_empty(&fixture);
	}
	pending_fini(&fixture.pending);
}

static void test_hold_block__one_of_several__only_that_one(void **state)
{
	struct fixture fixture;
	uint64_t promised;

	(void)state;
	make(&fixture);
	write_block(&fixture, 0, true);
	/* What is happening to a block comes first, be it only its removal. */
	assert_false(pending_hold_block(&fixture.pending, &fixture.object.id, 0));
	drop(&fixture, 1);
	assert_false(pending_hold_block(&fixture.pending, &fixture.object.id, 1));
	assert_true(pending_hold_block(&fixture.pending, &fixture.object.id, 2));
	assert_false(pending_hold_block(&fixture.pending, &fixture.object.id, 2));
	assert_null(admit(&fixture, 2));
	assert_int_equal(where(&fixture, 2), PENDING_ASK_INDEX);
	/* It may be found bad meanwhile, and that be committed. */
	drop(&fixture, 2);
	assert_int_equal(where(&fixture, 2), PENDING_NOT_HERE);
	pending_take(&fixture.pending, &fixture.group);
	assert_int_equal(fixture.group.count, 3);
	pending_committed(&fixture.pending, &fixture.group, &promised, fixture.fds);
	assert_null(admit(&fixture, 2));
	pending_release_block(&fixture.pending, &fixture.object.id, 2);
	assert_empty(&fixture);
	write_block(&fixture, 2, false);
	assert_empty(&fixture);
	pending_fini(&fixture.pending);
}

static void test_hold_block__no_memory__refused_and_nothing_left(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture);
	for (unsigned nth = 1;; nth++) {
		bool held;

		allocation_fault_arm(nth);
		held = pending_hold_block(&fixture.pending, &fixture.object.id, 0);
		if (!allocation_fault_disarm()) {
			assert_true(held);
			break;
		}
		assert_false(held);
		assert_empty(&fixture);
	}
	pending_release_block(&fixture.pending, &fixture.object.id, 0);
	assert_empty(&fixture);
	pending_fini(&fixture.pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write__from_admission_to_commit__found_once_written),
		cmocka_unit_test(test_write__fails__forgotten),
		cmocka_unit_test(
			test_drop__of_a_committed_block__not_here_until_committed_and_rewritten),
		cmocka_unit_test(test_drop__while_it_is_committed__removed_by_the_next_group),
		cmocka_unit_test(test_drop__of_an_uncommitted_block__promises_are_all_given_back),
		cmocka_unit_test(test_hold__written_or_held__refused),
		cmocka_unit_test(test_bytes__in_all_states__sure_and_unsure),
		cmocka_unit_test(test_oldest__several_writes__that_of_the_first),
		cmocka_unit_test(test_admit__too_many__refused),
		cmocka_unit_test(test_admit__no_memory__refused_and_nothing_left),
		cmocka_unit_test(test_hold_block__one_of_several__only_that_one),
		cmocka_unit_test(test_hold_block__no_memory__refused_and_nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of window/records.h: what one process writes the next one reads, and nothing else is
 * believed.
 */
#include "cache/window/records.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/window/buddy.h"

#define MIB	    (UINT64_C(1) << 20)
#define RECORDS_OFF 4096
#define RECORD_LEN  64

static const struct records_shape shape = {
	.arena_len = 64 * MIB,
	.slot_count = (uint64_t)2 * RECORDS_GROUP,
	.block_len = 4 << 20,
};

struct bench {
	uint8_t *tail;
	struct records records;
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->tail = aligned_alloc(4096, records_len(&shape));
	memset(bench->tail, 0, records_len(&shape));
	records_init(&bench->records, &shape, bench->tail);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	free(bench->tail);
	free(bench);
	return 0;
}

static struct record record_of(uint8_t number, uint32_t len, enum record_state as)
{
	return (struct record){
		.key = { .id = { { number, 2, 3 } }, .index = UINT64_C(2) * number },
		.off = 4 * MIB * number,
		.len = len,
		.order = (uint8_t)buddy_order_of(len),
		.state = (uint8_t)as,
		.check = len > GRANULE_LEN ? 0 : 77,
	};
}

static void checks_set(struct bench *bench, const struct record *record)
{
	for (unsigned i = 0; i < object_granule_count(record->len); i++)
		bench->records.checks[record->off / GRANULE_LEN + i] = 1000 * record->off + i;
}

static int over(struct bench *bench, const struct records_shape *wanted, struct owner *owners)
{
	struct records records;

	return records_init_over(&records, wanted, bench->tail, owners);
}

static void test_records__that_were_put__are_read_in_another_life(void **state)
{
	static const enum record_state states[] = { RECORD_FILLING, RECORD_CLEAN, RECORD_OWED,
						    RECORD_WRITING };
	static const uint32_t lens[] = { 1, 5000, GRANULE_LEN, GRANULE_LEN + 1, 4 << 20 };
	struct bench *bench = *state;
	struct owner owners[RECORDS_OWNERS];
	struct records records;
	struct record found;

	for (unsigned i = 0; i < ARRAY_COUNT(states); i++)
		for (unsigned j = 0; j < ARRAY_COUNT(lens); j++) {
			struct record record = record_of((uint8_t)(j + 1), lens[j], states[i]);

			checks_set(bench, &record);
			records_put(&bench->records, 130 + j, &record);
			assert_int_equal(records_init_over(&records, &shape, bench->tail, owners),
					 0);
			assert_int_equal(records_get(&records, 130 + j, &found), 0);
			assert_memory_equal(&found, &record, sizeof(found));
			records_erase(&records, 130 + j);
			assert_int_equal(records_get(&records, 130 + j, &found), -ENOENT);
		}
}

static void test_records_get__any_bit_is_flipped__is_not_believed(void **state)
{
	struct bench *bench = *state;
	struct record record = record_of(3, 200000, RECORD_OWED), found;
	uint8_t *at = bench->tail + RECORDS_OFF, *checks;

	checks_set(bench, &record);
	records_put(&bench->records, 0, &record);
	checks = (uint8_t *)(bench->records.checks + record.off / GRANULE_LEN);
	for (unsigned bit = 0; bit < RECORD_LEN * 8; bit++) {
		at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(records_get(&bench->records, 0, &found), -EBADMSG);
		at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned bit = 0; bit < object_granule_count(record.len) * 64; bit++) {
		checks[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(records_get(&bench->records, 0, &found), -EBADMSG);
		checks[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(records_get(&bench->records, 0, &found), 0);
}

/* Whatever words of two records come together, in whatever order they were stored. */
static void test_records_get__torn__is_one_of_both_or_not_believed(void **state)
{
	struct bench *bench = *state;
	struct record before = record_of(3, 5000, RECORD_FILLING),
		      after = record_of(3, 5000, RECORD_CLEAN), found;
	uint64_t words[2][RECORD_LEN / 8], *at = (uint64_t *)(bench->tail + RECORDS_OFF);

	records_put(&bench->records, 0, &before);
	memcpy(words[0], at, RECORD_LEN);
	records_put(&bench->records, 0, &after);
	memcpy(words[1], at, RECORD_LEN);
	for (unsigned mix = 0; mix < 1u << RECORD_LEN / 8; mix++) {
		for (unsigned i = 0; i < RECORD_LEN / 8; i++)
			at[i] = words[mix >> i & 1][i];
		if (records_get(&bench->records, 0, &found) != 0)
			continue;
		assert_memory_equal(&found,
				    memcmp(at, words[0], RECORD_LEN) == 0 ? &before : &after,
				    sizeof(found));
	}
}

static void test_records_init_over__another_shape__is_refused(void **state)
{
	static const struct records_shape others[] = {
		{ 60 * MIB, (uint64_t)2 * RECORDS_GROUP, 4 << 20, false },
		{ 64 * MIB, (uint64_t)2 * RECORDS_GROUP, 1 << 20, false },
		{ 64 * MIB, (uint64_t)2 * RECORDS_GROUP, 4 << 20, true },
	};
	struct owner owners[RECORDS_OWNERS];

	for (unsigned i = 0; i < ARRAY_COUNT(others); i++)
		assert_int_equal(over(*state, &others[i], owners), -EINVAL);
}

static void test_records_init_over__damaged__is_refused(void **state)
{
	static const struct {
		unsigned at;
		int error;
	} rows[] = {
		{ 0, -EBADMSG },  { 8, -EPROTONOSUPPORT }, { 20, -EBADMSG },
		{ 63, -EBADMSG }, { 64, -EBADMSG },	   { 103, -EBADMSG },
	};
	struct owner owners[RECORDS_OWNERS];
	struct bench *bench = *state;

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		bench->tail[rows[i].at] ^= 4;
		assert_int_equal(over(bench, &shape, owners), rows[i].error);
		bench->tail[rows[i].at] ^= 4;
	}
	assert_int_equal(over(bench, &shape, owners), 0);
	memset(bench->tail, 0, records_len(&shape));
	assert_int_equal(over(bench, &shape, owners), -EBADMSG);
}

static void test_records_take__by_another__says_who(void **state)
{
	const struct owner before = { 4711, 12 };
	struct owner owners[RECORDS_OWNERS];
	struct bench *bench = *state;

	assert_int_equal(over(bench, &shape, owners), 0);
	assert_int_equal(owners[0].pid, getpid());
	assert_int_equal(owners[1].pid, 0);
	records_take(&bench->records, &before);
	assert_int_equal(over(bench, &shape, owners), 0);
	assert_int_equal(owners[0].pid, getpid());
	assert_memory_equal(&owners[1], &before, sizeof(before));
	records_leave(&bench->records, &before);
	assert_int_equal(over(bench, &shape, owners), 0);
	assert_int_equal(owners[0].pid, 0);
	assert_memory_equal(&owners[1], &before, sizeof(before));
}

static void test_records_seal__then_put_and_erased__nothing_changes(void **state)
{
	struct bench *bench = *state;
	struct record one = record_of(1, 5000, RECORD_CLEAN), other = record_of(2, 1, RECORD_OWED);
	struct record found;

	records_put(&bench->records, 0, &one);
	records_seal(&bench->records);
	records_put(&bench->records, 0, &other);
	records_put(&bench->records, 1, &other);
	records_erase(&bench->records, 0);
	assert_int_equal(records_get(&bench->records, 0, &found), 0);
	assert_memory_equal(&found, &one, sizeof(one));
	assert_int_equal(records_get(&bench->records, 1, &found), -ENOENT);
}

static void test_records_used__whatever_is_said__is_within_the_slots(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(records_used(&bench->records), 0);
	records_use(&bench->records, RECORDS_GROUP);
	records_use(&bench->records, 1); /* it only grows */
	assert_int_equal(records_used(&bench->records), RECORDS_GROUP);
	memset(bench->tail + 128, 0xff, 8);
	assert_int_equal(records_used(&bench->records), shape.slot_count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_records__that_were_put__are_read_in_another_life),
		TEST(test_records_get__any_bit_is_flipped__is_not_believed),
		TEST(test_records_get__torn__is_one_of_both_or_not_believed),
		TEST(test_records_init_over__another_shape__is_refused),
		TEST(test_records_init_over__damaged__is_refused),
		TEST(test_records_take__by_another__says_who),
		TEST(test_records_seal__then_put_and_erased__nothing_changes),
		TEST(test_records_used__whatever_is_said__is_within_the_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

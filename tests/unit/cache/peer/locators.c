/*
 * Tests of peer/locators.h: what is remembered, for how long, and that no use of it takes more
 * memory than it may.
 */
#include "cache/peer/locators.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/unit/base/allocation_fault.h"

#define MEMORY	   (256u << 10)
#define AGE_MAX_NS (10 * NS_PER_S)

static struct locators *make(uint64_t memory_max)
{
	struct locators *locators;

	assert_int_equal(locators_create(memory_max, AGE_MAX_NS, &locators), 0);
	return locators;
}

static struct window_key key_of(uint64_t number)
{
	struct window_key key = { .index = number };

	memcpy(key.id.bytes, "an object version", OBJECT_ID_LEN);
	return key;
}

/* All in it follows from @salt. */
static struct locator locator_of(uint32_t len, unsigned salt)
{
	struct locator locator = { .epoch = salt % 3, .off = salt * UINT64_C(4096), .len = len };

	memset(locator.holder.bytes, (int)(salt % 5) + 1, MEMBER_ID_LEN);
	for (unsigned i = 0; i < object_granule_count(len); i++)
		locator.checks[i] = salt * UINT64_C(1000) + i;
	return locator;
}

static void put(struct locators *locators, uint64_t number, uint32_t len, unsigned salt,
		uint64_t now_ns)
{
	struct window_key key = key_of(number);
	struct locator locator = locator_of(len, salt);

	locators_put(locators, &key, &locator, now_ns);
}

static bool knows(struct locators *locators, uint64_t number, uint64_t now_ns)
{
	struct window_key key = key_of(number);
	struct locator locator;

	return locators_get(locators, &key, now_ns, &locator) == 0;
}

static void assert_known(struct locators *locators, uint64_t number, uint32_t len, unsigned salt,
			 uint64_t now_ns)
{
	struct window_key key = key_of(number);
	struct locator wanted = locator_of(len, salt), got;

	assert_int_equal(locators_get(locators, &key, now_ns, &got), 0);
	assert_true(member_id_equal(&got.holder, &wanted.holder));
	assert_int_equal(got.epoch, wanted.epoch);
	assert_int_equal(got.off, wanted.off);
	assert_int_equal(got.len, wanted.len);
	assert_memory_equal(got.checks, wanted.checks,
			    object_granule_count(len) * sizeof(got.checks[0]));
}

static void test_put__each_length__is_got_as_it_was(void **state)
{
	static const uint32_t lengths[] = { 1, GRANULE_LEN, GRANULE_LEN + 1, BLOCK_LEN_MAX };
	struct locators *locators = make(MEMORY);

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++)
		put(locators, i, lengths[i], i, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++)
		assert_known(locators, i, lengths[i], i, 0);
	assert_false(knows(locators, ARRAY_COUNT(lengths), 0));
	locators_destroy(locators);
	locators_destroy(NULL);
}

static void test_put__again__the_latest_is_known(void **state)
{
	struct locators *locators = make(MEMORY);
	uint64_t before;

	(void)state;
	put(locators, 1, GRANULE_LEN, 1, 0);
	before = locators_memory(locators);
	put(locators, 1, BLOCK_LEN_MAX, 2, 0);
	assert_known(locators, 1, BLOCK_LEN_MAX, 2, 0);
	assert_true(locators_memory(locators) > before);
	put(locators, 1, GRANULE_LEN, 3, 0);
	assert_known(locators, 1, GRANULE_LEN, 3, 0);
	assert_int_equal(locators_memory(locators), before);
	locators_destroy(locators);
}

static void test_drop__known__is_gone_and_costs_nothing(void **state)
{
	struct locators *locators = make(MEMORY);
	struct window_key key = key_of(1);
	uint64_t empty = locators_memory(locators);

	(void)state;
	put(locators, 1, BLOCK_LEN_MAX, 1, 0);
	put(locators, 2, 1, 2, 0);
	locators_drop(locators, &key);
	assert_false(knows(locators, 1, 0));
	assert_true(knows(locators, 2, 0));
	locators_drop(locators, &key);
	key = key_of(2);
	locators_drop(locators, &key);
	assert_int_equal(locators_memory(locators), empty);
	locators_destroy(locators);
}

static void test_get__too_old__is_gone(void **state)
{
	struct locators *locators = make(MEMORY);
	uint64_t empty = locators_memory(locators), heard_ns = 7 * NS_PER_S;

	(void)state;
	put(locators, 1, 1, 1, heard_ns);
	assert_true(knows(locators, 1, heard_ns + AGE_MAX_NS)); /* use does not make it younger */
	assert_false(knows(locators, 1, heard_ns + AGE_MAX_NS + 1));
	assert_int_equal(locators_memory(locators), empty);
	put(locators, 1, 1, 1, heard_ns);
	put(locators, 1, 1, 2, heard_ns + NS_PER_S); /* being heard of again does */
	assert_known(locators, 1, 1, 2, heard_ns + NS_PER_S + AGE_MAX_NS);
	locators_destroy(locators);
}

static void test_drop_holder__restarted__only_its_former_ones_are_gone(void **state)
{
	struct locators *locators = make(MEMORY);
	struct locator of_it = locator_of(1, 7);
	bool gone[30];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(gone); i++) {
		struct locator locator = locator_of(1, i);

		put(locators, i, 1, i, 0);
		gone[i] = member_id_equal(&locator.holder, &of_it.holder) &&
			  locator.epoch != of_it.epoch;
	}
	locators_drop_holder(locators, &of_it.holder, of_it.epoch);
	for (unsigned i = 0; i < ARRAY_COUNT(gone); i++)
		assert_int_equal(knows(locators, i, 0), !gone[i]);
	assert_true(gone[2] && gone[12] && !gone[7] && !gone[22] && !gone[3]);
	locators_destroy(locators);
}

static void test_put__no_room__the_least_recently_used_goes(void **state)
{
	struct locators *locators = make(MEMORY);
	uint64_t one = locators_memory(locators), count = 0;

	(void)state;
	put(locators, count++, BLOCK_LEN_MAX, 0, 0);
	one = locators_memory(locators) - one;
	while (locators_memory(locators) + one <= MEMORY)
		put(locators, count++, BLOCK_LEN_MAX, 0, 0);
	assert_true(count > 10);
	assert_true(knows(locators, 0, 0)); /* used */
	put(locators, count, BLOCK_LEN_MAX, 0, 0);
	put(locators, count + 1, BLOCK_LEN_MAX, 0, 0);
	for (uint64_t i = 0; i < count + 2; i++)
		assert_int_equal(knows(locators, i, 0), i != 1 && i != 2);
	locators_destroy(locators);
}

/* One that fits is kept at whatever cost to the others, one that never will costs nothing. */
static void test_put__little_memory__never_takes_more(void **state)
{
	unsigned kept = 0, kept_small = 0;

	(void)state;
	for (uint64_t memory_max = 0; memory_max < 2048; memory_max += 8) {
		struct locators *locators = make(memory_max);
		uint64_t empty = locators_memory(locators);
		bool small;

		put(locators, 1, 1, 1, 0);
		small = knows(locators, 1, 0);
		put(locators, 2, BLOCK_LEN_MAX, 2, 0);
		if (knows(locators, 2, 0)) {
			assert_true(small);
			kept++;
		} else {
			assert_int_equal(knows(locators, 1, 0), small);
		}
		kept_small += small;
		if (small)
			assert_true(locators_memory(locators) <= memory_max);
		else
			assert_int_equal(locators_memory(locators), empty);
		locators_destroy(locators);
	}
	assert_true(kept > 0 && kept_small > kept && kept_small < 2048 / 8);
}

static void test_put__large_one_gives_way_to_itself__is_not_left_stale(void **state)
{
	struct locators *locators = make(512);

	(void)state;
	put(locators, 1, 1, 1, 0);
	assert_true(knows(locators, 1, 0));
	put(locators, 1, BLOCK_LEN_MAX, 2, 0); /* has no room: what was known is void anyway */
	assert_false(knows(locators, 1, 0));
	locators_destroy(locators);
}

/* Compared with what malloc() says that it has given away. */
static void test_memory__many_records__counts_all_that_is_allocated(void **state)
{
	struct locators *locators;
	struct mallinfo2 before = mallinfo2(), after;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer's malloc() does not tell what it gave away\n");
	skip();
#endif
	locators = make(64u << 10);
	for (unsigned i = 0; i < 100; i++)
		put(locators, i, 1 + i * 3000, i, 0);
	after = mallinfo2();
	assert_true(after.uordblks > before.uordblks);
	assert_true(after.uordblks - before.uordblks <= locators_memory(locators));
	assert_true(locators_memory(locators) <= 64u << 10);
	locators_destroy(locators);
}

/* Against a table that forgets nothing: what is known is right, and the bound holds at each step.
 */
static void test_locators__random_use__never_wrong_and_never_too_much(void **state)
{
	enum { KEYS = 600, STEPS = 40000 };
	static struct {
		bool known;
		unsigned salt;
		uint32_t len;
		uint64_t heard_ns;
	} model[KEYS];
	struct locators *locators = make(MEMORY);
	uint64_t now_ns = 0, hits = 0, empty = locators_memory(locators);
	struct random random;

	(void)state;
	random_init(&random, 5);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)random_below(&random, KEYS);
		struct window_key key = key_of(i);

		now_ns += random_below(&random, 10 * NS_PER_MS);
		switch (random_below(&random, 8)) {
		case 0:
		case 1:
		case 2:
			model[i].known = true;
			model[i].salt = step;
			model[i].len = 1 + (uint32_t)random_below(&random, BLOCK_LEN_MAX);
			model[i].heard_ns = now_ns;
			put(locators, i, model[i].len, step, now_ns);
			break;
		case 3:
			model[i].known = false;
			locators_drop(locators, &key);
			break;
		default:
			if (!knows(locators, i, now_ns))
				break;
			assert_true(model[i].known && now_ns - model[i].heard_ns <= AGE_MAX_NS);
			assert_known(locators, i, model[i].len, model[i].salt, now_ns);
			hits++;
		}
		assert_true(locators_memory(locators) <= MEMORY);
	}
	assert_true(hits > STEPS / 10);
	for (unsigned i = 0; i < KEYS; i++) {
		struct window_key key = key_of(i);

		locators_drop(locators, &key);
	}
	assert_int_equal(locators_memory(locators), empty);
	locators_destroy(locators);
}

static void test_locators__no_memory__forgets(void **state)
{
	struct locators *locators;
	uint64_t empty;

	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		allocation_fault_arm(n);
		assert_int_equal(locators_create(MEMORY, AGE_MAX_NS, &locators), -ENOMEM);
		assert_true(allocation_fault_disarm());
	}
	locators = make(MEMORY);
	empty = locators_memory(locators);
	put(locators, 1, 1, 1, 0);
	allocation_fault_arm(1);
	put(locators, 1, 1, 2, 0);
	assert_true(allocation_fault_disarm());
	assert_false(knows(locators, 1, 0));
	assert_int_equal(locators_memory(locators), empty);
	locators_destroy(locators);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put__each_length__is_got_as_it_was),
		cmocka_unit_test(test_put__again__the_latest_is_known),
		cmocka_unit_test(test_drop__known__is_gone_and_costs_nothing),
		cmocka_unit_test(test_get__too_old__is_gone),
		cmocka_unit_test(test_drop_holder__restarted__only_its_former_ones_are_gone),
		cmocka_unit_test(test_put__no_room__the_least_recently_used_goes),
		cmocka_unit_test(test_put__little_memory__never_takes_more),
		cmocka_unit_test(test_put__large_one_gives_way_to_itself__is_not_left_stale),
		cmocka_unit_test(test_memory__many_records__counts_all_that_is_allocated),
		cmocka_unit_test(test_locators__random_use__never_wrong_and_never_too_much),
		cmocka_unit_test(test_locators__no_memory__forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

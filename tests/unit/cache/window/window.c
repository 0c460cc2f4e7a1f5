/*
 * Tests of window/window.h: what stays and what gives way.
 */
#include "cache/window/window.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "cache/core.h"
#include "tests/unit/base/allocation_fault.h"

#define KIB    UINT64_C(1024)
#define MIB    (KIB * KIB)
#define MEMORY (16 * MIB)
#define BLOCK  ((uint32_t)(4 * MIB))

struct bench {
	struct counters counters;
	struct window window;
};

static const struct window_config config = {
	.memory = MEMORY,
	.block_len = BLOCK,
	.arena_fd = -1,
};

static unsigned dropped;

static void drop(struct window_entry *entry)
{
	(void)entry;
	dropped++;
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	dropped = 0;
	assert_int_equal(
		counters_init(&bench->counters, "cache", cache_counter_specs, CACHE_COUNTER_COUNT),
		0);
	assert_int_equal(window_init(&bench->window, &config, &bench->counters, drop), 0);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	window_fini(&bench->window);
	counters_fini(&bench->counters);
	free(bench);
	return 0;
}

static struct window_key key_of(uint64_t number)
{
	struct object_id id = { { 1, 2, 3 } };

	return window_block_key(&id, number);
}

static struct window_entry *add(struct bench *bench, uint64_t number, uint32_t len)
{
	struct window_key key = key_of(number);

	return window_add(&bench->window, &key, len, WINDOW_DEMAND, WINDOW_LOSS_NONE);
}

static struct window_entry *add_as(struct bench *bench, uint64_t number, uint32_t len,
				   enum window_state as)
{
	struct window_entry *entry = add(bench, number, len);

	assert_non_null(entry);
	if (as != WINDOW_FILLING)
		window_set_state(&bench->window, entry, as);
	return entry;
}

static bool has(struct bench *bench, uint64_t number)
{
	struct window_key key = key_of(number);

	return window_find(&bench->window, &key) != NULL;
}

static uint64_t counter(struct bench *bench, enum cache_counter which)
{
	return counter_get(&bench->counters, which);
}

static void test_find__of_each_key__finds_its_entry(void **state)
{
	struct bench *bench = *state;
	struct window_entry *entries[64];
	struct object_id id = { { 1, 2, 3 } };
	struct window_key granule = window_granule_key(&id, 5);

	for (uint64_t i = 0; i < ARRAY_COUNT(entries); i++)
		entries[i] = add_as(bench, i, 4096, WINDOW_CLEAN);
	for (uint64_t i = 0; i < ARRAY_COUNT(entries); i++) {
		struct window_key key = key_of(i);

		assert_ptr_equal(window_find(&bench->window, &key), entries[i]);
	}
	assert_null(window_find(&bench->window, &granule));
	assert_int_equal(counter(bench, CACHE_BLOCKS), 64);
	assert_int_equal(counter(bench, CACHE_MEMORY_USED), 64 * 4096);
}

static void test_add__window_is_full__evicts_the_least_recently_used(void **state)
{
	struct bench *bench = *state;
	struct window_entry *first;

	first = add_as(bench, 0, BLOCK, WINDOW_CLEAN);
	for (uint64_t i = 1; i < 4; i++)
		add_as(bench, i, BLOCK, WINDOW_CLEAN);
	window_ref(&bench->window, first, WINDOW_DEMAND);
	window_unref(&bench->window, first, WINDOW_DEMAND);
	assert_non_null(add(bench, 4, BLOCK));
	assert_true(has(bench, 0));
	assert_false(has(bench, 1));
	assert_int_equal(counter(bench, CACHE_EVICTIONS), 1);
	assert_int_equal(counter(bench, CACHE_MEMORY_USED), MEMORY);
}

static void test_add__all_is_pinned__gets_nothing(void **state)
{
	static const enum window_state states[] = { WINDOW_FILLING, WINDOW_WRITING };
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 4; i++) {
		struct window_entry *entry =
			add_as(bench, i, BLOCK, i < 2 ? states[i] : WINDOW_CLEAN);

		if (i >= 2)
			window_ref(&bench->window, entry, WINDOW_DEMAND);
	}
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), MEMORY);
	assert_null(add(bench, 9, 4096));
	assert_int_equal(counter(bench, CACHE_EVICTIONS), 0);
}

static void test_add__dirty_ones_are_left__take_them_only_for_who_must(void **state)
{
	struct bench *bench = *state;
	struct window_key key = key_of(10);

	for (uint64_t i = 0; i < 3; i++)
		add_as(bench, i, BLOCK, WINDOW_DIRTY);
	add_as(bench, 3, BLOCK, WINDOW_CLEAN);
	assert_non_null(window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, WINDOW_LOSS_ALL));
	assert_false(has(bench, 3)); /* the clean one, though it is younger */
	assert_null(add(bench, 11, BLOCK));
	key = key_of(12);
	assert_non_null(window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, WINDOW_LOSS_ALL));
	assert_false(has(bench, 0));
	assert_true(has(bench, 1));
	assert_int_equal(dropped, 1);
}

static void test_add__dirty_ones_give_way__cheapest_first(void **state)
{
	static const struct {
		enum window_loss loss;
		bool gone[4];
	} rows[] = {
		{ WINDOW_LOSS_NONE, { 0 } },
		{ WINDOW_LOSS_COPIES, { [3] = true } },
		{ WINDOW_LOSS_READ, { [2] = true, [3] = true } },
		{ WINDOW_LOSS_READ, { [2] = true, [3] = true } },
		{ WINDOW_LOSS_ALL, { [1] = true, [2] = true, [3] = true } },
	};
	struct bench *bench = *state;
	struct window *window = &bench->window;

	for (uint64_t i = 0; i < 4; i++) {
		struct window_entry *entry = add(bench, i, BLOCK);

		entry->copy = i == 3;
		entry->ahead = i == 1;
		window_set_state(window, entry, i == 0 ? WINDOW_WRITING : WINDOW_DIRTY);
	}
	assert_int_equal(window->unwritten_bytes, 3 * BLOCK);
	for (uint64_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct window_key key = key_of(10 + i);

		window_add(window, &key, BLOCK, WINDOW_DEMAND, rows[i].loss);
		for (uint64_t j = 0; j < 4; j++)
			assert_int_equal(has(bench, j), !rows[i].gone[j]);
	}
	assert_int_equal(window->unwritten_bytes, BLOCK);
	assert_int_equal(dropped, 3);
}

static void test_next_dirty__own_ones_and_copies__copies_last(void **state)
{
	struct bench *bench = *state;
	struct window *window = &bench->window;
	struct window_entry *entries[4];

	assert_null(window_next_dirty(window));
	for (uint64_t i = 0; i < 4; i++) {
		entries[i] = add(bench, i, BLOCK);
		entries[i]->copy = i < 2;
		window_set_state(window, entries[i], WINDOW_DIRTY);
	}
	entries[1]->copy = false; /* it is not one any more */
	window_set_state(window, entries[1], WINDOW_DIRTY);
	for (unsigned i = 0; i < 4; i++) {
		static const unsigned order[] = { 2, 3, 1, 0 };

		assert_ptr_equal(window_next_dirty(window), entries[order[i]]);
		window_set_state(window, entries[order[i]], WINDOW_CLEAN);
	}
	assert_null(window_next_dirty(window));
	assert_int_equal(window->unwritten_bytes, 0);
}

static void test_add__prefetched_unread__goes_after_what_was_read(void **state)
{
	struct bench *bench = *state;
	struct window_entry *ahead = add(bench, 0, BLOCK);

	ahead->ahead = true;
	window_set_state(&bench->window, ahead, WINDOW_CLEAN);
	assert_int_equal(bench->window.ahead_bytes, BLOCK);
	for (uint64_t i = 1; i < 4; i++)
		add_as(bench, i, BLOCK, WINDOW_CLEAN);
	for (uint64_t i = 4; i < 7; i++) {
		add_as(bench, i, BLOCK, WINDOW_FILLING);
		assert_true(has(bench, 0));
	}
	assert_non_null(add(bench, 7, BLOCK));
	assert_false(has(bench, 0));
	assert_int_equal(bench->window.ahead_bytes, 0);
}

static void test_set_read__prefetched__ages_like_the_others(void **state)
{
	struct bench *bench = *state;
	struct window_entry *ahead = add(bench, 0, BLOCK);

	ahead->ahead = true;
	window_set_state(&bench->window, ahead, WINDOW_CLEAN);
	window_set_read(&bench->window, ahead);
	assert_int_equal(bench->window.ahead_bytes, 0);
	for (uint64_t i = 1; i < 5; i++)
		add_as(bench, i, BLOCK, WINDOW_CLEAN);
	assert_false(has(bench, 0));
}

static void test_add__large_among_small__empties_one_place_only(void **state)
{
	struct bench *bench = *state;
	uint64_t count = MEMORY / (64 * KIB);
	uint64_t left = 0;

	for (uint64_t i = 0; i < count; i++)
		add_as(bench, i, 64 * KIB, WINDOW_CLEAN);
	/* use them in an order that has nothing to do with where they lie */
	for (uint64_t i = 0; i < count; i++) {
		struct window_key key = key_of(i * 37 % count);
		struct window_entry *entry = window_find(&bench->window, &key);

		window_ref(&bench->window, entry, WINDOW_DEMAND);
		window_unref(&bench->window, entry, WINDOW_DEMAND);
	}
	assert_non_null(add(bench, 1000, BLOCK));
	for (uint64_t i = 0; i < count; i++)
		left += has(bench, i);
	assert_int_equal(left, count - 64);
}

static void test_add__the_oldest_have_pinned_neighbours__finds_another_place(void **state)
{
	struct bench *bench = *state;
	uint64_t per_region = BLOCK / 4096;
	struct window_key key = key_of(100000);

	/* entries are bounded: 16 KiB of the arena for each */
	for (uint64_t i = 0; i < 3 * per_region / 4; i++)
		add_as(bench, i, 16384, i % 256 == 0 && i < 512 ? WINDOW_FILLING : WINDOW_CLEAN);
	for (uint64_t i = 0; i < 2; i++) {
		assert_non_null(
			window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, WINDOW_LOSS_NONE));
		key.index += 2;
	}
	assert_null(window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, WINDOW_LOSS_NONE));
	assert_true(has(bench, 0));
	assert_true(has(bench, 256));
}

static void test_add__too_many_small_ones__is_bounded(void **state)
{
	struct bench *bench = *state;
	uint64_t max = MEMORY / 16384;

	for (uint64_t i = 0; i < 2 * max; i++)
		add_as(bench, i, 1, WINDOW_CLEAN);
	assert_int_equal(counter(bench, CACHE_BLOCKS), max);
	assert_false(has(bench, max - 1));
	assert_true(has(bench, max));
}

static void test_set_state__dead_while_referenced__goes_with_the_last_reference(void **state)
{
	struct bench *bench = *state;
	struct window_entry *entry = add(bench, 0, BLOCK);

	window_ref(&bench->window, entry, WINDOW_DEMAND);
	window_set_state(&bench->window, entry, WINDOW_DEAD);
	assert_false(has(bench, 0));
	assert_non_null(add(bench, 0, BLOCK)); /* the key is free again */
	assert_int_equal(counter(bench, CACHE_MEMORY_USED), 2 * BLOCK);
	window_unref(&bench->window, entry, WINDOW_DEMAND);
	assert_int_equal(counter(bench, CACHE_MEMORY_USED), BLOCK);
	assert_true(has(bench, 0));
}

static void test_checks__of_entries__do_not_overlap(void **state)
{
	struct bench *bench = *state;
	struct window_entry *small[8], *large[3];

	for (uint64_t i = 0; i < ARRAY_COUNT(small); i++) {
		small[i] = add(bench, i, 8192);
		*window_checks(&bench->window, small[i]) = i;
	}
	for (uint64_t i = 0; i < ARRAY_COUNT(large); i++) {
		large[i] = add(bench, 100 + i, BLOCK);
		for (unsigned j = 0; j < BLOCK_GRANULES_MAX; j++)
			window_checks(&bench->window, large[i])[j] = 1000 * i + j;
	}
	for (uint64_t i = 0; i < ARRAY_COUNT(small); i++)
		assert_int_equal(*window_checks(&bench->window, small[i]), i);
	for (uint64_t i = 0; i < ARRAY_COUNT(large); i++)
		for (unsigned j = 0; j < BLOCK_GRANULES_MAX; j++)
			assert_int_equal(window_checks(&bench->window, large[i])[j], 1000 * i + j);
}

/* Random life of entries of all sizes; gauges must follow, and in the end all memory is free. */
static void test_window__random_use__keeps_its_books(void **state)
{
	struct bench *bench = *state;
	struct window_entry *held[32];
	unsigned held_count = 0;
	struct random random;

	random_init(&random, 42);
	for (unsigned step = 0; step < 20000; step++) {
		uint32_t len = 1 + (uint32_t)random_below(&random, 1 << random_below(&random, 22));
		struct window_key key = key_of(step);
		struct window_entry *entry = NULL;

		if (held_count < ARRAY_COUNT(held))
			entry = window_add(&bench->window, &key, len, WINDOW_DEMAND,
					   WINDOW_LOSS_ALL);
		if (entry) {
			window_ref(&bench->window, entry, WINDOW_DEMAND);
			window_set_state(&bench->window, entry,
					 random_below(&random, 10) == 0	 ? WINDOW_DEAD
					 : random_below(&random, 3) == 0 ? WINDOW_DIRTY
									 : WINDOW_CLEAN);
			held[held_count++] = entry;
		}
		if (held_count > 0 && (!entry || random_below(&random, 2))) {
			unsigned index = (unsigned)random_below(&random, held_count);

			window_unref(&bench->window, held[index], WINDOW_DEMAND);
			held[index] = held[--held_count];
		}
		assert_int_equal(counter(bench, CACHE_MEMORY_USED), bench->window.arena.buddy.used);
		assert_true(counter(bench, CACHE_MEMORY_PINNED) <=
			    counter(bench, CACHE_MEMORY_USED));
	}
	while (held_count > 0)
		window_unref(&bench->window, held[--held_count], WINDOW_DEMAND);
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
	for (uint64_t i = 0; i < 4; i++) {
		struct window_key key = key_of(UINT32_MAX + i);

		assert_non_null(
			window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, WINDOW_LOSS_ALL));
	}
	assert_int_equal(counter(bench, CACHE_BLOCKS), 4);
}

/* ---- classes: of 4 regions, 1 is for demand alone, 2 more for serve, 1 more for forward ---- */

#define HELD_MAX 48

struct hold {
	struct window_entry *entry;
	enum window_class class;
};

/* Whether a class up to @level pins @entry; what is being written is pinned by the store. */
static bool is_pinned(const struct window_entry *entry, enum window_class level)
{
	for (enum window_class class = 0; class <= level; class ++)
		if (entry->refs[class] > 0 ||
		    (entry->state == WINDOW_FILLING && entry->fill_class == class))
			return true;
	return level == WINDOW_FORWARD && entry->state == WINDOW_WRITING;
}

/* The books on pins, worked out anew. Return: regions that @level pins. */
static uint64_t audit(struct bench *bench, enum window_class level)
{
	struct window *window = &bench->window;
	uint64_t regions = 0, entries = 0;

	for (uint64_t i = 0; i < window->region_count; i++) {
		struct window_entry *entry;
		uint64_t before = entries;

		LIST_FOREACH (entry, &window->regions[i].entries, by_region)
			entries += is_pinned(entry, level);
		assert_int_equal(window->regions[i].pinned[level], entries - before);
		regions += entries > before;
	}
	assert_int_equal(window->pins[level].regions, regions);
	assert_int_equal(window->pins[level].entries, entries);
	assert_true(regions <= window->pins[level].regions_max);
	assert_true(entries <= window->pins[level].entries_max);
	return regions;
}

static void hold_one(struct bench *bench, struct random *random, struct window_entry *entry,
		     struct hold *holds, unsigned *count)
{
	enum window_class class = random_below(random, WINDOW_CLASS_COUNT);

	if (*count == HELD_MAX || !window_ref(&bench->window, entry, class))
		return;
	holds[(*count)++] = (struct hold){ entry, class };
}

static void move_on(struct bench *bench, struct random *random, struct window_entry *entry)
{
	static const enum window_state next[] = {
		[WINDOW_FILLING] = WINDOW_DIRTY,
		[WINDOW_DIRTY] = WINDOW_WRITING,
		[WINDOW_WRITING] = WINDOW_CLEAN,
	};

	if (entry->state == WINDOW_CLEAN || entry->state == WINDOW_DEAD)
		return;
	if (entry->state == WINDOW_FILLING && random_below(random, 3) == 0)
		window_set_state(&bench->window, entry, WINDOW_CLEAN);
	else
		window_set_state(&bench->window, entry, next[entry->state]);
}

static void let_go(struct bench *bench, struct hold *holds, unsigned *count, unsigned index)
{
	window_unref(&bench->window, holds[index].entry, holds[index].class);
	holds[index] = holds[--*count];
}

static void test_window__random_use_by_classes__leaves_each_its_reserve(void **state)
{
	struct bench *bench = *state;
	unsigned count = 0, refused[WINDOW_CLASS_COUNT] = { 0 };
	struct hold holds[HELD_MAX];
	struct random random;

	random_init(&random, 7);
	window_attach(&bench->window, NULL);
	for (unsigned step = 0; step < 20000; step++) {
		enum window_class class = random_below(&random, WINDOW_CLASS_COUNT);
		uint32_t len = 1 + (uint32_t)random_below(&random, 1 << random_below(&random, 23));
		struct window_key key = key_of(step);
		struct window_entry *entry;
		uint64_t demand, serve, all;

		entry = window_add(&bench->window, &key, len, class, WINDOW_LOSS_ALL);
		demand = audit(bench, WINDOW_DEMAND);
		serve = audit(bench, WINDOW_SERVE);
		all = audit(bench, WINDOW_FORWARD);
		assert_true(demand <= 1 && serve <= 3);
		refused[class] += !entry;
		if (entry)
			hold_one(bench, &random, entry, holds, &count);
		else if (class == WINDOW_SERVE)
			assert_true(serve == 3 || all == 4); /* not for what demand pins */
		else if (class == WINDOW_FORWARD)
			assert_int_equal(all, 4); /* nor serve */
		if (entry && (count == 0 || holds[count - 1].entry != entry))
			window_set_state(&bench->window, entry, WINDOW_DEAD);
		for (unsigned i = 0; i < 3 && count > 0; i++) {
			unsigned index = (unsigned)random_below(&random, count);

			move_on(bench, &random, holds[index].entry);
			if (random_below(&random, 2))
				hold_one(bench, &random, holds[index].entry, holds, &count);
			/* once it is clean: only holders find it again */
			else if (holds[index].entry->state == WINDOW_CLEAN)
				let_go(bench, holds, &count, index);
		}
	}
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++)
		assert_in_range(refused[i], 10, 19000);
	while (count > 0) {
		while (holds[0].entry->state != WINDOW_CLEAN)
			move_on(bench, &random, holds[0].entry);
		let_go(bench, holds, &count, 0);
	}
	assert_int_equal(audit(bench, WINDOW_FORWARD), 0);
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
}

static void test_attach__many_small_ones__leave_entries_too(void **state)
{
	struct bench *bench = *state;
	uint64_t limit = bench->window.entry_max / 4, number = 0;
	struct window_key key;

	window_attach(&bench->window, NULL);
	while (add(bench, number, 4096))
		number++;
	assert_int_equal(number, limit);
	key = key_of(number);
	assert_non_null(window_add(&bench->window, &key, 4096, WINDOW_SERVE, WINDOW_LOSS_ALL));
}

/* A class at its limit still has what is free, or may be evicted, in the regions it has pinned. */
static void test_add__no_further_region__takes_frames_beside_its_own(void **state)
{
	struct bench *bench = *state;
	struct window_key key = key_of(1000);
	uint64_t off;

	window_attach(&bench->window, NULL);
	add_as(bench, 0, MIB, WINDOW_CLEAN);
	off = add_as(bench, 1, MIB, WINDOW_FILLING)->off;
	assert_null(add(bench, 2, BLOCK)); /* a region of its own */
	for (uint64_t i = 3; i < 6; i++) {
		struct window_entry *entry = add(bench, i, MIB);

		assert_non_null(entry);
		assert_int_equal(entry->off / BLOCK, off / BLOCK);
	}
	assert_false(has(bench, 0)); /* it gave way */
	assert_null(add(bench, 6, 4096));
	assert_int_equal(audit(bench, WINDOW_DEMAND), 1);
	assert_non_null(window_add(&bench->window, &key, BLOCK, WINDOW_SERVE, WINDOW_LOSS_ALL));
}

static void test_set_fill_class__readers_take_it_over__counts_as_theirs(void **state)
{
	struct bench *bench = *state;
	struct window_key key = key_of(1);
	struct window_entry *entry;

	window_attach(&bench->window, NULL);
	entry = window_add(&bench->window, &key, 4096, WINDOW_FORWARD, WINDOW_LOSS_ALL);
	assert_int_equal(audit(bench, WINDOW_SERVE), 0);
	assert_true(window_ref(&bench->window, entry, WINDOW_SERVE));
	window_set_fill_class(&bench->window, entry, WINDOW_SERVE);
	window_unref(&bench->window, entry, WINDOW_SERVE);
	assert_int_equal(audit(bench, WINDOW_SERVE), 1);
	assert_int_equal(audit(bench, WINDOW_DEMAND), 0);
}

static void test_touch__read_from_elsewhere__is_the_youngest(void **state)
{
	struct bench *bench = *state;
	struct window_entry *entries[4];

	for (uint64_t i = 0; i < 4; i++) {
		entries[i] = add(bench, i, BLOCK);
		entries[i]->ahead = i == 1;
		window_set_state(&bench->window, entries[i], WINDOW_CLEAN);
	}
	window_touch(&bench->window, entries[0]);
	window_touch(&bench->window, entries[1]); /* prefetched: it ages as read from now on */
	assert_non_null(add(bench, 4, BLOCK));
	assert_non_null(add(bench, 5, BLOCK));
	assert_true(has(bench, 0) && has(bench, 1));
	assert_non_null(add(bench, 6, BLOCK));
	assert_false(has(bench, 0));
	assert_int_equal(bench->window.ahead_bytes, 0);
}

static void test_init__any_allocation_fails__leaves_nothing(void **state)
{
	struct counters counters;
	unsigned n;

	(void)state;
	assert_int_equal(
		counters_init(&counters, "cache", cache_counter_specs, CACHE_COUNTER_COUNT), 0);
	for (n = 1;; n++) {
		struct window window;
		int error;

		allocation_fault_arm(n);
		error = window_init(&window, &config, &counters, drop);
		if (!allocation_fault_disarm()) {
			window_fini(&window);
			break;
		}
		assert_int_equal(error, -ENOMEM);
	}
	assert_int_equal(n, 4);
	counters_fini(&counters);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_find__of_each_key__finds_its_entry),
		TEST(test_add__window_is_full__evicts_the_least_recently_used),
		TEST(test_add__all_is_pinned__gets_nothing),
		TEST(test_add__dirty_ones_are_left__take_them_only_for_who_must),
		TEST(test_add__dirty_ones_give_way__cheapest_first),
		TEST(test_next_dirty__own_ones_and_copies__copies_last),
		TEST(test_add__prefetched_unread__goes_after_what_was_read),
		TEST(test_set_read__prefetched__ages_like_the_others),
		TEST(test_add__large_among_small__empties_one_place_only),
		TEST(test_add__the_oldest_have_pinned_neighbours__finds_another_place),
		TEST(test_add__too_many_small_ones__is_bounded),
		TEST(test_set_state__dead_while_referenced__goes_with_the_last_reference),
		TEST(test_checks__of_entries__do_not_overlap),
		TEST(test_window__random_use__keeps_its_books),
		TEST(test_window__random_use_by_classes__leaves_each_its_reserve),
		TEST(test_attach__many_small_ones__leave_entries_too),
		TEST(test_add__no_further_region__takes_frames_beside_its_own),
		TEST(test_set_fill_class__readers_take_it_over__counts_as_theirs),
		TEST(test_touch__read_from_elsewhere__is_the_youngest),
		TEST(test_init__any_allocation_fails__leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of window/buddy.h, against a model that keeps one owner per page.
 */
#include "cache/window/buddy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "tests/unit/base/allocation_fault.h"

#define MIB	   (UINT64_C(1) << 20)
#define PAGE	   (UINT64_C(1) << BUDDY_ORDER_MIN)
#define FRAMES_MAX 4096

struct frame {
	uint64_t off;
	unsigned order;
};

struct model {
	struct buddy buddy;
	struct random random;
	unsigned char *taken; /* per page */
	uint64_t used;
	struct frame frames[FRAMES_MAX];
	unsigned count;
};

static void model_init(struct model *model, uint64_t len, uint64_t seed)
{
	memset(model, 0, sizeof(*model));
	assert_int_equal(buddy_init(&model->buddy, len), 0);
	random_init(&model->random, seed);
	model->taken = calloc(len / PAGE, 1);
}

static void model_fini(struct model *model)
{
	free(model->taken);
	buddy_fini(&model->buddy);
}

/* Whether the model has an aligned free frame of @order in a range. */
static bool has_room(const struct model *model, unsigned order, uint64_t from, uint64_t end)
{
	uint64_t pages = buddy_frame_len(order) / PAGE;

	for (uint64_t first = from / PAGE; first < end / PAGE; first += pages)
		if (!memchr(model->taken + first, 1, pages))
			return true;
	return false;
}

static bool note(struct model *model, unsigned order, uint64_t off)
{
	uint64_t pages = buddy_frame_len(order) / PAGE;

	assert_int_equal(off % buddy_frame_len(order), 0);
	assert_true(off + buddy_frame_len(order) <= model->buddy.len);
	assert_null(memchr(model->taken + off / PAGE, 1, pages));
	memset(model->taken + off / PAGE, 1, pages);
	model->used += pages * PAGE;
	model->frames[model->count++] = (struct frame){ off, order };
	assert_int_equal(model->buddy.used, model->used);
	return true;
}

static bool take(struct model *model, unsigned order)
{
	uint64_t off = UINT64_MAX;
	int error = buddy_alloc(&model->buddy, order, &off);

	/* complete coalescing: it finds room exactly when there is some */
	assert_int_equal(error, has_room(model, order, 0, model->buddy.len) ? 0 : -ENOMEM);
	return !error && note(model, order, off);
}

static bool take_within(struct model *model, unsigned order)
{
	uint64_t from = random_below(&model->random, model->buddy.len / (4 * MIB)) * 4 * MIB;
	uint64_t off = UINT64_MAX;
	int error = buddy_alloc_within(&model->buddy, order, from, &off);

	assert_int_equal(error, has_room(model, order, from, from + 4 * MIB) ? 0 : -ENOMEM);
	assert_true(error || off - from < 4 * MIB);
	return !error && note(model, order, off);
}

static void give_back(struct model *model, unsigned index)
{
	struct frame frame = model->frames[index];
	uint64_t pages = buddy_frame_len(frame.order) / PAGE;

	buddy_free(&model->buddy, frame.off, frame.order);
	memset(model->taken + frame.off / PAGE, 0, pages);
	model->used -= pages * PAGE;
	model->frames[index] = model->frames[--model->count];
	assert_int_equal(model->buddy.used, model->used);
}

static void test_buddy__random_use__agrees_with_the_model(void **state)
{
	static const uint64_t lengths[] = { 4 * MIB, 12 * MIB, 64 * MIB };
	struct model *model = malloc(sizeof(*model));

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++) {
		model_init(model, lengths[i], 1000 + i);
		for (unsigned step = 0; step < 20000; step++) {
			/* phases that grow and phases that shrink */
			bool grow =
				random_below(&model->random, 100) < (step / 1000 % 2 ? 35u : 65u);
			unsigned order = BUDDY_ORDER_MIN +
					 (unsigned)random_below(&model->random, BUDDY_ORDER_COUNT);

			if (grow && model->count < FRAMES_MAX && step % 3 == 0)
				take_within(model, order);
			else if (grow && model->count < FRAMES_MAX)
				take(model, order);
			else if (model->count > 0)
				give_back(model,
					  (unsigned)random_below(&model->random, model->count));
		}
		while (model->count > 0)
			give_back(model, model->count - 1);
		for (uint64_t off = 0; off < lengths[i]; off += 4 * MIB)
			assert_true(take(model, BUDDY_ORDER_MAX));
		assert_false(take(model, BUDDY_ORDER_MIN));
		model_fini(model);
	}
	free(model);
}

static void test_buddy_alloc__lowest_frame_first__keeps_the_high_end_whole(void **state)
{
	struct buddy buddy;
	uint64_t off;

	(void)state;
	assert_int_equal(buddy_init(&buddy, 16 * MIB), 0);
	assert_int_equal(buddy_alloc(&buddy, 12, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(buddy_alloc(&buddy, 22, &off), 0);
	assert_int_equal(off, 4 * MIB);
	assert_int_equal(buddy_alloc(&buddy, 16, &off), 0);
	assert_int_equal(off, 65536);
	buddy_fini(&buddy);
}

static void test_buddy_init__large_range__needs_two_bits_a_page(void **state)
{
	struct buddy buddy;
	uint64_t off, len = UINT64_C(1) << 42;

	(void)state;
	assert_int_equal(buddy_init(&buddy, len), 0); /* touched pages only */
	assert_int_equal(buddy_alloc(&buddy, 12, &off), 0);
	buddy_free(&buddy, off, 12);
	assert_int_equal(buddy.used, 0);
	buddy_fini(&buddy);
}

static void test_buddy_init__no_memory__fails(void **state)
{
	struct buddy buddy;

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(buddy_init(&buddy, 4 * MIB), -ENOMEM);
	assert_true(allocation_fault_disarm());
}

static void test_buddy_order_of__each_length__fits(void **state)
{
	static const struct {
		uint32_t len;
		unsigned order;
	} rows[] = {
		{ 1, 12 },	{ 4096, 12 },	{ 4097, 13 },	{ 65536, 16 },	 { 65537, 17 },
		{ 112640, 17 }, { 131072, 17 }, { 131073, 18 }, { 2097153, 22 }, { 4194304, 22 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(buddy_order_of(rows[i].len), rows[i].order);
}

/* Places that are taken by their names are those that were taken one after the other. */
static void test_buddy_alloc_at__frames_of_another_buddy__takes_the_same(void **state)
{
	struct random random;
	struct buddy before, after;
	struct frame frames[256];
	uint64_t off;

	(void)state;
	random_init(&random, 11);
	assert_int_equal(buddy_init(&before, 64 * MIB), 0);
	assert_int_equal(buddy_init(&after, 64 * MIB), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(frames); i++) {
		frames[i].order = 12 + (unsigned)(random_below(&random, 7));
		assert_int_equal(buddy_alloc(&before, frames[i].order, &frames[i].off), 0);
	}
	for (unsigned i = ARRAY_COUNT(frames); i-- > 0;)
		assert_int_equal(buddy_alloc_at(&after, frames[i].order, frames[i].off), 0);
	assert_int_equal(after.used, before.used);
	while (buddy_alloc(&before, 12, &off) == 0) {
		uint64_t same;

		assert_int_equal(buddy_alloc(&after, 12, &same), 0);
		assert_int_equal(same, off);
	}
	assert_int_equal(buddy_alloc(&after, 12, &off), -ENOMEM);
	buddy_fini(&before);
	buddy_fini(&after);
}

static void test_buddy_alloc_at__some_of_it_is_taken__is_busy(void **state)
{
	static const struct {
		uint64_t off;
		unsigned order;
		int error;
	} rows[] = {
		{ 65536, 16, -EBUSY }, { 65536, 12, -EBUSY }, { 0, 17, -EBUSY },
		{ 0, 22, -EBUSY },     { 131072, 17, 0 },     { 131072, 12, -EBUSY },
		{ 0, 16, 0 },	       { 4 * MIB, 22, 0 },
	};
	struct buddy buddy;

	(void)state;
	assert_int_equal(buddy_init(&buddy, 8 * MIB), 0);
	assert_int_equal(buddy_alloc_at(&buddy, 16, 65536), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(buddy_alloc_at(&buddy, rows[i].order, rows[i].off), rows[i].error);
	buddy_free(&buddy, 4 * MIB, 22);
	buddy_free(&buddy, 65536, 16);
	assert_int_equal(buddy.used, 196608);
	buddy_fini(&buddy);
}

struct free_map {
	bool taken[16 * 256]; /* pages of 16 MiB */
	unsigned calls, calls_max;
};

static int note_free(void *context, uint64_t off, uint64_t len)
{
	struct free_map *map = context;

	for (uint64_t page = off / PAGE; page < (off + len) / PAGE; page++) {
		assert_true(map->taken[page]);
		map->taken[page] = false;
	}
	return ++map->calls == map->calls_max ? -EINTR : 0;
}

static void test_buddy_each_free__whatever_is_taken__gives_the_rest_once(void **state)
{
	struct free_map map = { 0 };
	struct buddy buddy;

	(void)state;
	assert_int_equal(buddy_init(&buddy, 16 * MIB), 0);
	assert_int_equal(buddy_alloc_at(&buddy, 12, 5 * MIB), 0);
	assert_int_equal(buddy_alloc_at(&buddy, 16, 15 * MIB), 0);
	memset(map.taken, true, sizeof(map.taken));
	assert_int_equal(buddy_each_free(&buddy, note_free, &map), 0);
	for (uint64_t page = 0; page < ARRAY_COUNT(map.taken); page++)
		assert_int_equal(map.taken[page],
				 page == UINT64_C(5) * 256 || page / 16 == (uint64_t)15 * 256 / 16);
	memset(&map, true, sizeof(map.taken));
	map.calls = 0;
	map.calls_max = 3;
	assert_int_equal(buddy_each_free(&buddy, note_free, &map), -EINTR);
	assert_int_equal(map.calls, 3);
	buddy_fini(&buddy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buddy_alloc_at__frames_of_another_buddy__takes_the_same),
		cmocka_unit_test(test_buddy_alloc_at__some_of_it_is_taken__is_busy),
		cmocka_unit_test(test_buddy_each_free__whatever_is_taken__gives_the_rest_once),
		cmocka_unit_test(test_buddy__random_use__agrees_with_the_model),
		cmocka_unit_test(test_buddy_alloc__lowest_frame_first__keeps_the_high_end_whole),
		cmocka_unit_test(test_buddy_init__large_range__needs_two_bits_a_page),
		cmocka_unit_test(test_buddy_init__no_memory__fails),
		cmocka_unit_test(test_buddy_order_of__each_length__fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

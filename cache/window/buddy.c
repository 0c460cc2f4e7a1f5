/*
 * buddy.c - frames of powers of two, split when taken and joined with their buddy when given back.
 */
#include "cache/window/buddy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

static uint64_t words_for(uint64_t bits)
{
	return (bits + 63) / 64;
}

/* Words of a set of @bits with all its summaries. */
static uint64_t set_words(uint64_t bits)
{
	uint64_t total = 0;

	do {
		bits = words_for(bits);
		total += bits;
	} while (bits > 1);
	return total;
}

/* Return: the first word behind the set. */
static uint64_t *set_init(struct buddy_set *set, uint64_t bits, uint64_t *words)
{
	set->level_count = 0;
	do {
		CHECK(set->level_count < BUDDY_LEVELS_MAX);
		bits = words_for(bits);
		set->levels[set->level_count++] = words;
		words += bits;
	} while (bits > 1);
	return words;
}

static bool set_has(const struct buddy_set *set, uint64_t bit)
{
	return set->levels[0][bit / 64] >> (bit % 64) & 1;
}

static void set_add(struct buddy_set *set, uint64_t bit)
{
	for (unsigned level = 0; level < set->level_count; level++) {
		uint64_t *word = &set->levels[level][bit / 64];
		uint64_t before = *word;

		*word |= UINT64_C(1) << (bit % 64);
		if (before)
			return;
		bit /= 64;
	}
}

static void set_remove(struct buddy_set *set, uint64_t bit)
{
	for (unsigned level = 0; level < set->level_count; level++) {
		uint64_t *word = &set->levels[level][bit / 64];

		*word &= ~(UINT64_C(1) << (bit % 64));
		if (*word)
			return;
		bit /= 64;
	}
}

static bool set_first(const struct buddy_set *set, uint64_t *out_bit)
{
	uint64_t bit = 0;

	if (set->levels[set->level_count - 1][0] == 0)
		return false;
	for (unsigned level = set->level_count; level-- > 0;)
		bit = bit * 64 + (uint64_t)__builtin_ctzll(set->levels[level][bit]);
	*out_bit = bit;
	return true;
}

static struct buddy_set *set_of(struct buddy *buddy, unsigned order)
{
	return &buddy->free[order - BUDDY_ORDER_MIN];
}

int buddy_init(struct buddy *buddy, uint64_t len)
{
	uint64_t total = 0;
	uint64_t *words;

	CHECK(len > 0 && len % buddy_frame_len(BUDDY_ORDER_MAX) == 0);
	for (unsigned order = BUDDY_ORDER_MIN; order <= BUDDY_ORDER_MAX; order++)
		total += set_words(len >> order);
	words = calloc(total, sizeof(*words));
	if (!words)
		return -ENOMEM;
	*buddy = (struct buddy){ .len = len, .words = words };
	for (unsigned order = BUDDY_ORDER_MIN; order <= BUDDY_ORDER_MAX; order++)
		words = set_init(set_of(buddy, order), len >> order, words);
	for (uint64_t frame = 0; frame < len >> BUDDY_ORDER_MAX; frame++)
		set_add(set_of(buddy, BUDDY_ORDER_MAX), frame);
	return 0;
}

void buddy_fini(struct buddy *buddy)
{
	free(buddy->words);
	buddy->words = NULL;
}

unsigned buddy_order_of(uint32_t len)
{
	unsigned order = BUDDY_ORDER_MIN;

	CHECK(len > 0 && len <= buddy_frame_len(BUDDY_ORDER_MAX));
	if (len > buddy_frame_len(BUDDY_ORDER_MIN))
		order = 32 - (unsigned)__builtin_clz(len - 1);
	return order;
}

/* Splits the free @frame of order @from until there is one of @order. */
static void take(struct buddy *buddy, unsigned from, uint64_t frame, unsigned order,
		 uint64_t *out_off)
{
	set_remove(set_of(buddy, from), frame);
	while (from > order) {
		from--;
		frame *= 2;
		set_add(set_of(buddy, from), frame + 1);
	}
	buddy->used += buddy_frame_len(order);
	*out_off = frame << order;
}

int buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *out_off)
{
	unsigned from = order;
	uint64_t frame;

	CHECK(order >= BUDDY_ORDER_MIN && order <= BUDDY_ORDER_MAX);
	while (from <= BUDDY_ORDER_MAX && !set_first(set_of(buddy, from), &frame))
		from++;
	if (from > BUDDY_ORDER_MAX)
		return -ENOMEM;
	take(buddy, from, frame, order, out_off);
	return 0;
}

/* The first member in [first, first + count): a power of two, and aligned to it. */
static bool set_first_in(const struct buddy_set *set, uint64_t first, uint64_t count,
			 uint64_t *out_bit)
{
	for (uint64_t bit = first; bit < first + count; bit += 64) {
		uint64_t word = set->levels[0][bit / 64] >> (bit % 64);

		if (count < 64)
			word &= (UINT64_C(1) << count) - 1;
		if (!word)
			continue;
		*out_bit = bit + (uint64_t)__builtin_ctzll(word);
		return true;
	}
	return false;
}

int buddy_alloc_within(struct buddy *buddy, unsigned order, uint64_t off, uint64_t *out_off)
{
	CHECK(order >= BUDDY_ORDER_MIN && order <= BUDDY_ORDER_MAX);
	CHECK(off < buddy->len && off % buddy_frame_len(BUDDY_ORDER_MAX) == 0);
	for (unsigned from = order; from <= BUDDY_ORDER_MAX; from++) {
		uint64_t count = UINT64_C(1) << (BUDDY_ORDER_MAX - from);
		uint64_t frame;

		if (!set_first_in(set_of(buddy, from), off >> from, count, &frame))
			continue;
		take(buddy, from, frame, order, out_off);
		return 0;
	}
	return -ENOMEM;
}

/* Splits the free frame of order @from that @off lies in, down to the one of @order there. */
static void carve(struct buddy *buddy, unsigned from, uint64_t off, unsigned order)
{
	set_remove(set_of(buddy, from), off >> from);
	while (from > order) {
		from--;
		set_add(set_of(buddy, from), (off >> from) ^ 1);
	}
	buddy->used += buddy_frame_len(order);
}

int buddy_alloc_at(struct buddy *buddy, unsigned order, uint64_t off)
{
	CHECK(order >= BUDDY_ORDER_MIN && order <= BUDDY_ORDER_MAX);
	CHECK(off < buddy->len && off % buddy_frame_len(order) == 0);
	for (unsigned from = order; from <= BUDDY_ORDER_MAX; from++) {
		if (!set_has(set_of(buddy, from), off >> from))
			continue;
		carve(buddy, from, off, order);
		return 0;
	}
	return -EBUSY;
}

/* A frame that is free, or part of a free one, is being freed twice. */
static void check_taken(struct buddy *buddy, uint64_t off, unsigned order)
{
	for (; order <= BUDDY_ORDER_MAX; order++)
		CHECK(!set_has(set_of(buddy, order), off >> order));
}

void buddy_free(struct buddy *buddy, uint64_t off, unsigned order)
{
	uint64_t frame = off >> order;

	CHECK(order >= BUDDY_ORDER_MIN && order <= BUDDY_ORDER_MAX);
	CHECK(off < buddy->len && off % buddy_frame_len(order) == 0);
	check_taken(buddy, off, order);
	buddy->used -= buddy_frame_len(order);
	while (order < BUDDY_ORDER_MAX && set_has(set_of(buddy, order), frame ^ 1)) {
		set_remove(set_of(buddy, order), frame ^ 1);
		frame /= 2;
		order++;
	}
	set_add(set_of(buddy, order), frame);
}

int buddy_each_free(const struct buddy *buddy,
		    int (*each)(void *context, uint64_t off, uint64_t len), void *context)
{
	for (unsigned order = BUDDY_ORDER_MIN; order <= BUDDY_ORDER_MAX; order++) {
		const struct buddy_set *set = &buddy->free[order - BUDDY_ORDER_MIN];
		int error;

		for (uint64_t frame = 0; frame < buddy->len >> order; frame++) {
			if (!set->levels[0][frame / 64]) {
				frame |= 63;
				continue;
			}
			if (!set_has(set, frame))
				continue;
			error = each(context, frame << order, buddy_frame_len(order));
			if (error)
				return error;
		}
	}
	return 0;
}

/*
 * buddy.h - which parts of an address range are free: a binary buddy allocator over offsets. Pure:
 * it knows no memory, takes no lock and does no I/O.
 *
 * Frames are powers of two from 4 KiB to 4 MiB, aligned to their own size. The lowest free frame
 * that fits is taken, which keeps the high end whole for large frames. Bookkeeping is two bits a
 * page, however fragmented the range is: one bitmap per order with summaries above it, so that
 * everything is O(log).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BUDDY_ORDER_MIN	  12
#define BUDDY_ORDER_MAX	  22
#define BUDDY_ORDER_COUNT (BUDDY_ORDER_MAX - BUDDY_ORDER_MIN + 1)
#define BUDDY_LEVELS_MAX  6 /* 64^6 pages of 4 KiB are more than an address space */

/* A set of small integers that finds its smallest member: bit i of level n+1 says that word i of
 * level n is not 0. */
struct buddy_set {
	uint64_t *levels[BUDDY_LEVELS_MAX];
	unsigned level_count;
};

struct buddy {
	uint64_t len; /* a multiple of the largest frame */
	uint64_t used;
	struct buddy_set free[BUDDY_ORDER_COUNT];
	uint64_t *words; /* of all sets */
};

/** buddy_init() - @len bytes, all free; a multiple of 4 MiB, > 0. Return: 0 or -ENOMEM. */
int buddy_init(struct buddy *buddy, uint64_t len);

/** buddy_fini() - releases the bookkeeping. */
void buddy_fini(struct buddy *buddy);

/** buddy_order_of() - the order of the smallest frame that holds @len bytes, 0 < @len <= 4 MiB. */
unsigned buddy_order_of(uint32_t len);

/** buddy_alloc() - takes a frame. Return: 0 with its offset, or -ENOMEM: none is free. */
int buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *out_off);

/** buddy_alloc_within() - the same, inside the largest frame that begins at @off. */
int buddy_alloc_within(struct buddy *buddy, unsigned order, uint64_t off, uint64_t *out_off);

/**
 * buddy_alloc_at() - takes the frame of @order at @off: for what lies there already.
 * Return: 0; -EBUSY: some of it is taken.
 */
int buddy_alloc_at(struct buddy *buddy, unsigned order, uint64_t off);

/** buddy_free() - gives back a frame that buddy_alloc() gave, with the same @order. */
void buddy_free(struct buddy *buddy, uint64_t off, unsigned order);

/** buddy_each_free() - all that is free, as the largest frames that it makes. Return: 0, or what
 *  @each returned when that was not 0, which ends it. */
int buddy_each_free(const struct buddy *buddy,
		    int (*each)(void *context, uint64_t off, uint64_t len), void *context);

static inline uint64_t buddy_frame_len(unsigned order)
{
	return UINT64_C(1) << order;
}

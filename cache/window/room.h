/*
 * room.h - between the two files of the window: what lies there (window.c), and who gives way when
 * room is needed (room.c).
 */
#pragma once

#include "cache/window/window.h"

#define WINDOW_REGION_ORDER BUDDY_ORDER_MAX

static inline struct window_region *window_region_of(struct window *window, uint64_t off)
{
	return &window->regions[off >> WINDOW_REGION_ORDER];
}

/* window.c */

/** window_may_pin_in() - whether @class may pin something in @region; NULL: in one where nothing is
 *  pinned yet. */
bool window_may_pin_in(const struct window *window, const struct window_region *region,
		       enum window_class class);

/** window_release() - gives the frame back; nobody refers to it. */
void window_release(struct window *window, struct window_entry *entry);

/* room.c */

/** window_make_room() - evicts something, so that a frame of @order may be free. Return: false:
 *  nothing can give way. */
bool window_make_room(struct window *window, unsigned order, enum window_loss loss);

/** window_take_frame() - Return: false: none that @class may have. */
bool window_take_frame(struct window *window, unsigned order, enum window_class class,
		       enum window_loss loss, uint64_t *out_off);

/*
 * room.h - between the files of the window: what lies there (window.c), how it begins and ends
 * (start.c), what another process left (inherit.c, kept.c), and who gives way when room is needed
 * (room.c).
 */
#pragma once

#include "cache/window/window.h"

#define WINDOW_REGION_ORDER BUDDY_ORDER_MAX

struct window_slab {
	LIST_ENTRY(window_slab) link;
	struct window_entry entries[RECORDS_GROUP]; /* of slots that follow each other */
};

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

/** window_enter() - @entry, which is not in the pool any more, is of @key and lies at @off; what
 *  state it is in is the caller's to set, to put on record and to place. */
void window_enter(struct window *window, struct window_entry *entry, const struct window_key *key,
		  uint64_t off, uint32_t len);

/** window_place() - after a change of state or references: the list and the pin that follow. */
void window_place(struct window *window, struct window_entry *entry);

/** window_publish() - peers may read it. */
void window_publish(struct window *window, struct window_entry *entry);

/* start.c */

/** window_grow_pool() - RECORDS_GROUP entries more, for the slots that follow. Return: the first;
 *  NULL: no memory. */
struct window_entry *window_grow_pool(struct window *window);

/* inherit.c */

/**
 * window_inherit() - maps an arena that another process had, and finds its records.
 * Return: 0; or why it does not suit, with @out_problem: a literal that says what.
 */
int window_inherit(struct window *window, const struct records_shape *shape, int fd,
		   const char **out_problem);

/** window_inherit_entries() - makes entries for all that can be taken over. Return: as above;
 *  -ENOMEM. */
int window_inherit_entries(struct window *window, const char **out_problem);

/* kept.c */

/** window_put_on_record() - the next process is to know what has become of the entry. */
void window_put_on_record(struct window *window, const struct window_entry *entry);

/* room.c */

/** window_make_room() - evicts something, so that a frame of @order may be free. Return: false:
 *  nothing can give way. */
bool window_make_room(struct window *window, unsigned order, enum window_loss loss);

/** window_take_frame() - Return: false: none that @class may have. */
bool window_take_frame(struct window *window, unsigned order, enum window_class class,
		       enum window_loss loss, uint64_t *out_off);

/*
 * arena.h - the memory of all payload: a memfd mapped once, of a length that never changes, cut
 * into buddy frames. Nothing else in the cache holds payload, so its length is the bound.
 *
 * Not thread safe but for arena_at(): the window that owns it brings the lock. Frames are not
 * cleared: what a frame holds is known by its owner alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/window/buddy.h"

struct arena {
	struct buddy buddy;
	unsigned char *memory;
	int fd;
};

/**
 * arena_init() - maps @len bytes, rounded down to a multiple of 4 MiB.
 * @huge_pages: take 2 MiB pages when the machine has that many free; said in the log when not.
 * Return: 0; -ENOMEM; -EMFILE, -ENFILE.
 */
int arena_init(struct arena *arena, uint64_t len, bool huge_pages);

/** arena_fini() - unmaps. No frame may be in use by anyone. */
void arena_fini(struct arena *arena);

static inline void *arena_at(const struct arena *arena, uint64_t off)
{
	return arena->memory + off;
}

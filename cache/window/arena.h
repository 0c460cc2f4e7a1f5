/*
 * arena.h - the memory of all payload: a memfd mapped once, of a length that never changes, cut
 * into buddy frames. Nothing else in the cache holds payload, so its length is the bound. Behind
 * the payload lies the tail: what is to be known of it by a process that takes the memfd over
 * (records.h). Peers read the payload, never the tail.
 *
 * Not thread safe but for arena_at(): the window that owns it brings the lock. Frames are not
 * cleared: what a frame holds is known by its owner alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/window/buddy.h"

struct arena {
	struct buddy buddy;
	unsigned char *memory;
	size_t mapped_len;
	int fd;
	bool renewable; /* it has nothing but small pages: arena_renew() */
};

/** arena_payload_len() - @len rounded down to whole largest frames: what is cut into frames. */
uint64_t arena_payload_len(uint64_t len);

/**
 * arena_init() - maps @len bytes, rounded down to a multiple of 4 MiB, all free.
 * @huge_pages: take 2 MiB pages when the machine has that many free; said in the log when not.
 *   False: no transparent ones either, so that each page can be renewed.
 * @tail_len: bytes behind them, zeros.
 * Return: 0; -ENOMEM; -EMFILE, -ENFILE.
 */
int arena_init(struct arena *arena, uint64_t len, bool huge_pages, size_t tail_len);

/**
 * arena_init_over() - maps what another process had: payload and tail are as it left them.
 * @huge_pages: as then. @fd: borrowed. Return: 0; -EINVAL: it is not of that length; -ENOMEM;
 * -EMFILE, -ENFILE.
 */
int arena_init_over(struct arena *arena, uint64_t len, bool huge_pages, size_t tail_len, int fd);

/** arena_fini() - unmaps. No frame may be in use by anyone. */
void arena_fini(struct arena *arena);

/**
 * arena_renew() - takes the pages of [@off, @off + @len), multiples of 4 KiB, out of the arena: new
 * ones, zeros, come when they are touched. What the kernel or a device still writes into the old
 * ones is lost with them. Nobody may have the range registered.
 * Return: 0; -EOPNOTSUPP huge pages, which do not go one by one; -EBUSY some are still there, being
 *   parts of larger ones after all; or the error of the kernel.
 */
int arena_renew(struct arena *arena, uint64_t off, uint64_t len);

static inline void *arena_at(const struct arena *arena, uint64_t off)
{
	return arena->memory + off;
}

/** arena_tail() - behind the payload; page-aligned. */
static inline void *arena_tail(const struct arena *arena)
{
	return arena->memory + arena->buddy.len;
}

/*
 * key.h - what a frame of the arena holds: a whole block of an object version, or a single granule
 * that a small random read brought. The unit in which nodes ask each other for bytes, too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/object.h"

struct window_key {
	struct object_id id;
	uint64_t index; /* block << 1, or granule of the object << 1 | 1 */
};

static inline struct window_key window_block_key(const struct object_id *id, uint64_t block)
{
	return (struct window_key){ .id = *id, .index = block << 1 };
}

static inline struct window_key window_granule_key(const struct object_id *id, uint64_t granule)
{
	return (struct window_key){ .id = *id, .index = granule << 1 | 1 };
}

static inline bool window_key_is_granule(const struct window_key *key)
{
	return key->index & 1;
}

static inline bool window_key_equal(const struct window_key *a, const struct window_key *b)
{
	return a->index == b->index && object_id_equal(&a->id, &b->id);
}

/** window_key_block() - the block that it is, or is a granule of. */
static inline uint64_t window_key_block(const struct window_key *key, uint32_t block_len)
{
	uint64_t number = key->index >> 1;

	return window_key_is_granule(key) ? number / (block_len / GRANULE_LEN) : number;
}

/** window_key_off() - where in the object it begins. */
static inline uint64_t window_key_off(const struct window_key *key, uint32_t block_len)
{
	return (key->index >> 1) * (window_key_is_granule(key) ? GRANULE_LEN : block_len);
}

/** window_key_len() - its bytes in an object of @size; 0 behind its end. */
static inline uint32_t window_key_len(const struct window_key *key, uint64_t size,
				      uint32_t block_len)
{
	return object_block_len(size, key->index >> 1,
				window_key_is_granule(key) ? GRANULE_LEN : block_len);
}

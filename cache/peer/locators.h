/*
 * locators.h - where units lay in the windows of others, when we last heard: a reader that has one
 * needs a single READ. Bounded in bytes and in age; the least recently used goes first. Wrong ones
 * cost a READ and no more, as the bytes that come do not match the checks. Pure.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdint.h>

#include "cache/object.h"
#include "cache/window/key.h"
#include "fabric/identity.h"

struct locators;

struct locator {
	struct member_id holder;
	uint64_t epoch; /* of the holder's arena: another one, and the locator is void */
	uint64_t off;
	uint32_t len;
	uint64_t checks[BLOCK_GRANULES_MAX]; /* one a granule */
};

/** locators_create() - @memory_max: bytes, all that it allocates; when that is too little for a
 * single one, none is ever kept. Return: 0 or -ENOMEM. */
int locators_create(uint64_t memory_max, uint64_t age_max_ns, struct locators **out_locators);

/** locators_destroy() - NULL is fine. */
void locators_destroy(struct locators *locators);

/** locators_put() - remembers @locator for @key, in place of what was known. */
void locators_put(struct locators *locators, const struct window_key *key,
		  const struct locator *locator, uint64_t now_ns);

/** locators_get() - Return: 0, -ENOENT: none, or too old. */
int locators_get(struct locators *locators, const struct window_key *key, uint64_t now_ns,
		 struct locator *out_locator);

/** locators_drop() - @key's was wrong. */
void locators_drop(struct locators *locators, const struct window_key *key);

/** locators_drop_holder() - all of @holder's but those of @epoch. Takes a look at every locator. */
void locators_drop_holder(struct locators *locators, const struct member_id *holder,
			  uint64_t epoch);

uint64_t locators_memory(const struct locators *locators);

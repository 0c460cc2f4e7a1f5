/*
 * places.h - which places of a fixed table are taken. The lowest free one is handed out first, so
 * that what is used of a sparse table stays close together at its beginning.
 *
 * It is a tree of bits: a word of 64 places, above it a word that says which 64 of those are full,
 * and so on; every call but places_next() looks at one word of each level, of which there are at
 * most four. It lies in the process's own memory and is made anew from the records at each
 * adoption: what a dead worker had half taken is free again by itself.
 *
 * Locks: none; the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PLACES_NONE	  UINT32_MAX
#define PLACES_LEVELS_MAX 4 /* 64^4 places: 16 Mi */

struct places {
	uint64_t *words[PLACES_LEVELS_MAX]; /* [0]: a bit a place; one block of memory */
	uint32_t count;
	uint32_t above; /* no place from here on was ever taken */
	unsigned levels;
};

/** places_init() - @count places, all free. Memory is used as they are taken.
 *  Return: 0 or -ENOMEM. */
int places_init(struct places *places, uint32_t count);

/** places_fini() - also of one that is zeros. */
void places_fini(struct places *places);

/** places_take() - Return: the lowest that was free; PLACES_NONE: there is none. */
uint32_t places_take(struct places *places);

/** places_claim() - takes @place. Return: false: it is taken, or there is no such place. */
bool places_claim(struct places *places, uint32_t place);

/** places_free() - @place must be taken. */
void places_free(struct places *places, uint32_t place);

bool places_taken(const struct places *places, uint32_t place);

/** places_next() - Return: the lowest that is taken, from @from to before @end; PLACES_NONE: there
 *  is none. */
uint32_t places_next(const struct places *places, uint32_t from, uint32_t end);

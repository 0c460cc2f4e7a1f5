#include "fuse/ledger/places.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BITS 64
#define FULL UINT64_MAX

static uint32_t words_for(uint32_t bits)
{
	return bits / BITS + (bits % BITS != 0);
}

int places_init(struct places *places, uint32_t count)
{
	uint32_t level_words[PLACES_LEVELS_MAX], bits = count, total = 0;
	unsigned levels = 0;
	uint64_t *memory;

	do {
		CHECK(levels < PLACES_LEVELS_MAX);
		level_words[levels] = words_for(bits);
		total += level_words[levels];
		bits = level_words[levels++];
	} while (bits > 1);
	memory = calloc(total, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	*places = (struct places){ .count = count, .levels = levels };
	bits = count;
	for (unsigned level = 0; level < levels; level++) {
		places->words[level] = memory;
		memory += level_words[level];
		/* What is behind the last one is never free. */
		if (bits % BITS)
			places->words[level][bits / BITS] = FULL << bits % BITS;
		bits = level_words[level];
	}
	return 0;
}

void places_fini(struct places *places)
{
	free(places->words[0]);
	memset(places, 0, sizeof(*places));
}

static void take(struct places *places, uint32_t place)
{
	uint32_t bit = place;

	for (unsigned level = 0; level < places->levels; level++, bit /= BITS) {
		uint64_t *word = &places->words[level][bit / BITS];

		*word |= UINT64_C(1) << bit % BITS;
		if (*word != FULL)
			break;
	}
	if (place >= places->above)
		places->above = place + 1;
}

uint32_t places_take(struct places *places)
{
	uint32_t bit = 0;

	for (unsigned level = places->levels; level-- > 0;) {
		uint64_t word = places->words[level][bit];

		if (word == FULL) /* the topmost is the only one that can be */
			return PLACES_NONE;
		bit = bit * BITS + (uint32_t)__builtin_ctzll(~word);
	}
	take(places, bit);
	return bit;
}

bool places_taken(const struct places *places, uint32_t place)
{
	CHECK(place < places->count);
	return places->words[0][place / BITS] >> place % BITS & 1;
}

bool places_claim(struct places *places, uint32_t place)
{
	if (place >= places->count || places_taken(places, place))
		return false;
	take(places, place);
	return true;
}

void places_free(struct places *places, uint32_t place)
{
	uint32_t bit = place;

	CHECK(places_taken(places, place));
	for (unsigned level = 0; level < places->levels; level++, bit /= BITS) {
		uint64_t *word = &places->words[level][bit / BITS];
		bool was_full = *word == FULL;

		*word &= ~(UINT64_C(1) << bit % BITS);
		if (!was_full)
			break;
	}
}

uint32_t places_next(const struct places *places, uint32_t from, uint32_t end)
{
	if (end > places->above)
		end = places->above;
	for (uint32_t place = from; place < end; place += BITS - place % BITS) {
		uint64_t word = places->words[0][place / BITS] >> place % BITS;

		if (!word)
			continue;
		place += (uint32_t)__builtin_ctzll(word);
		return place < end ? place : PLACES_NONE;
	}
	return PLACES_NONE;
}

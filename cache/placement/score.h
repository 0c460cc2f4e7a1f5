/*
 * score.h - how well a member ranks for a slot: what all members must work out alike, to the bit,
 * on every machine, whatever compiled them. Integers only; a change of anything here is a new
 * PLACEMENT_VERSION, and the known answers in the tests see to it that none goes unnoticed.
 *
 *	slot     the upper 20 bits of XXH3-64(object id, block as 8 bytes, little-endian; a seed)
 *	draw     64 bits for a (member, slot): the upper 20 are a permutation of the slots that the
 *	         member's id chooses, the lower 44 are of splitmix64(fine + slot * golden ratio)
 *	distance -ln(1 - draw / 2^64), in units of 2^-58
 *	score    distance * floor((2^64 - 1) / weight), weight in units of 64 KiB, rounded up
 *
 * The lowest score ranks first; of equal ones, the lower id. It is the race of exponential clocks:
 * a member's chance to come first is its part of the sum of weights, and who is first among some
 * members does not depend on the others.
 *
 * The permutation is what makes shares even. Were a draw 64 independent bits, the slots that one of
 * a thousand members owns would have a deviation of 3.1 %, and in one cluster of three somebody
 * would be more than 3.5 of them off. A member that draws each 2^20th part of the range exactly
 * once is without half of that variance (2.2 %): the same bound is five deviations away.
 */
#pragma once

#include <stdint.h>

#include "cache/placement/placement.h"

#define SCORE_NONE	    (~(__uint128_t)0) /* above all scores */
#define SCORE_DISTANCE_BITS 58		      /* behind the point */

struct score_key {
	uint64_t fine;	  /* where the lower bits of this member's draws begin */
	uint64_t inverse; /* of the weight */
	uint32_t flip;	  /* the permutation: 20 bits each, the factors odd */
	uint32_t factors[3];
};

/* The permutation the other way. */
struct score_reverse {
	uint32_t flip;
	uint32_t inverses[3]; /* of the factors, modulo 2^20 */
};

/** score_init() - makes the table of logarithms; before any other call but placement_slot(). */
void score_init(void);

/** score_key_init() - what the scores of a member are made of. @weight: bytes, > 0. */
void score_key_init(struct score_key *key, const struct member_id *id, uint64_t weight);

/** score_reverse_init() - finds slots by strata. */
void score_reverse_init(struct score_reverse *reverse, const struct score_key *key);

/** score_distance() - -ln(1 - @draw / 2^64) in units of 2^-58; never below @draw >> 6. */
uint64_t score_distance(uint64_t draw);

/** score_of() - the score of a member for @slot. */
__uint128_t score_of(const struct score_key *key, uint32_t slot);

static inline uint32_t score_stir(uint32_t x, uint32_t factor)
{
	x = x * factor & (PLACEMENT_SLOT_COUNT - 1);
	return x ^ x >> (PLACEMENT_SLOT_BITS / 2);
}

/* The upper 20 bits of the draw: a permutation of the slots, as each step can be undone. Written
 * out, as compilers do not unroll the loop and everything waits for this. */
static inline uint32_t score_stratum(const struct score_key *key, uint32_t slot)
{
	uint32_t x = score_stir(slot ^ key->flip, key->factors[0]);

	return score_stir(score_stir(x, key->factors[1]), key->factors[2]);
}

/* The slot that has this stratum. A fold of the upper half onto the lower undoes itself. */
static inline uint32_t score_slot_at(const struct score_reverse *reverse, uint32_t stratum)
{
	const unsigned half = PLACEMENT_SLOT_BITS / 2;
	const uint32_t mask = PLACEMENT_SLOT_COUNT - 1;
	uint32_t x = (stratum ^ stratum >> half) * reverse->inverses[2] & mask;

	x = (x ^ x >> half) * reverse->inverses[1] & mask;
	x = (x ^ x >> half) * reverse->inverses[0] & mask;
	return x ^ reverse->flip;
}

/* No score of a draw with this stratum is lower, as no distance is shorter than draw / 2^64. This
 * and one comparison are the whole cost of a member that does not come into the first four. */
static inline __uint128_t score_floor(const struct score_key *key, uint32_t stratum)
{
	return (__uint128_t)((uint64_t)stratum << (SCORE_DISTANCE_BITS - PLACEMENT_SLOT_BITS)) *
	       key->inverse;
}

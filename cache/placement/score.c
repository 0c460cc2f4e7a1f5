/*
 * score.c - the slot of a block, a member's draws and the logarithm in integers.
 */
#include "cache/placement/score.h"

#include <pthread.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/check.h"

/* One seed a purpose. XXH3's results are the same for ever since 0.8.0. */
#define SEED(purpose) ((uint64_t)(purpose) << 32 | PLACEMENT_VERSION)
#define SEED_SLOT     SEED(1)
#define SEED_STRATUM  SEED(2)
#define SEED_FINE     SEED(3)
#define GOLDEN_RATIO  UINT64_C(0x9e3779b97f4a7c15)
#define WEIGHT_UNIT   65536

/* Logarithms are in units of 2^-63 until they become distances. */
#define FRACTION_BITS 63
#define ONE	      (UINT64_C(1) << FRACTION_BITS)
#define PART_BITS     10
#define PARTS	      (UINT64_C(1) << PART_BITS) /* of [1/2, 1] */
#define TERMS	      4				 /* t^5/5 is below 2^-52 */
#define TERMS_OF_LOGS 6				 /* they are added up: as many as still count */

/* -ln((PARTS + i) / (2 * PARTS)); the first is ln 2, the last 0. */
static uint64_t logs[PARTS + 1];
static pthread_once_t logs_once = PTHREAD_ONCE_INIT;

uint32_t placement_slot(const struct object_id *id, uint64_t block)
{
	uint8_t name[OBJECT_ID_LEN + 8];

	memcpy(name, id->bytes, OBJECT_ID_LEN);
	bytes_put_u64(name + OBJECT_ID_LEN, block);
	return (uint32_t)(XXH3_64bits_withSeed(name, sizeof(name), SEED_SLOT) >>
			  (64 - PLACEMENT_SLOT_BITS));
}

void score_key_init(struct score_key *key, const struct member_id *id, uint64_t weight)
{
	const uint32_t mask = PLACEMENT_SLOT_COUNT - 1;
	XXH128_hash_t hash = XXH3_128bits_withSeed(id->bytes, MEMBER_ID_LEN, SEED_STRATUM);

	CHECK(weight > 0);
	*key = (struct score_key){
		.fine = XXH3_64bits_withSeed(id->bytes, MEMBER_ID_LEN, SEED_FINE),
		.inverse = UINT64_MAX / ((weight - 1) / WEIGHT_UNIT + 1),
		.flip = (uint32_t)hash.low64 & mask,
		.factors = { ((uint32_t)(hash.low64 >> 20) & mask) | 1,
			     ((uint32_t)(hash.low64 >> 40) & mask) | 1,
			     ((uint32_t)hash.high64 & mask) | 1 },
	};
}

/* Newton's iteration: each step doubles the bits that are right, from three on. */
static uint32_t inverse_of(uint32_t odd)
{
	uint32_t x = odd;

	for (unsigned right = 3; right < PLACEMENT_SLOT_BITS; right *= 2)
		x *= 2 - odd * x;
	return x & (PLACEMENT_SLOT_COUNT - 1);
}

void score_reverse_init(struct score_reverse *reverse, const struct score_key *key)
{
	reverse->flip = key->flip;
	for (unsigned i = 0; i < 3; i++)
		reverse->inverses[i] = inverse_of(key->factors[i]);
}

/* The finaliser of splitmix64. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* -ln(1 - t) = t + t^2/2 + t^3/3 + ..., for t <= 1/1024; never below t. */
static inline uint64_t log_near_one(uint64_t t, unsigned terms)
{
	uint64_t sum = ONE / terms;

	for (unsigned term = terms - 1; term > 0; term--)
		sum = ONE / term + (uint64_t)((__uint128_t)t * sum >> FRACTION_BITS);
	return (uint64_t)((__uint128_t)t * sum >> FRACTION_BITS);
}

/* Edge n is edge n+1 times 1 - 1/(n+1): from 1 down. */
static void make_logs(void)
{
	for (uint64_t i = PARTS; i-- > 0;)
		logs[i] = logs[i + 1] + log_near_one(ONE / (PARTS + i + 1), TERMS_OF_LOGS);
}

void score_init(void)
{
	pthread_once(&logs_once, make_logs);
}

/*
 * 1 - draw / 2^64 = m / 2^halvings, with m in [1/2, 1), and m = edge * (1 - t) with the next edge
 * above it: the logarithms of halves and of edges are known, and t is small.
 */
uint64_t score_distance(uint64_t draw)
{
	uint64_t m = -draw, part, t;
	unsigned halvings;

	if (draw == 0)
		return 0;
	halvings = (unsigned)__builtin_clzll(m);
	m <<= halvings;
	part = (m >> (FRACTION_BITS - PART_BITS)) + 1; /* the edge; 2^64 wraps to 0, as it should */
	t = (((part << (FRACTION_BITS - PART_BITS)) - m) << PART_BITS) / part;
	return halvings * (logs[0] >> (FRACTION_BITS - SCORE_DISTANCE_BITS)) +
	       ((logs[part - PARTS] + log_near_one(t, TERMS)) >>
		(FRACTION_BITS - SCORE_DISTANCE_BITS));
}

__uint128_t score_of(const struct score_key *key, uint32_t slot)
{
	uint64_t draw = (uint64_t)score_stratum(key, slot) << (64 - PLACEMENT_SLOT_BITS);

	draw |= mix(key->fine + slot * GOLDEN_RATIO) >> PLACEMENT_SLOT_BITS;
	return (__uint128_t)score_distance(draw) * key->inverse;
}

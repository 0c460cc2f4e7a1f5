/*
 * random.c - xoshiro256++ (Blackman and Vigna, public domain) for what must replay from a seed;
 * getrandom(2) for what must not be guessed.
 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

/* splitmix64: spreads a seed over the state, so that even seed 0 gives a good one. */
static uint64_t split_next(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void random_init(struct random *random, uint64_t seed)
{
	for (unsigned i = 0; i < ARRAY_COUNT(random->state); i++)
		random->state[i] = split_next(&seed);
}

static uint64_t rotate_left(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

uint64_t random_u64(struct random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t random_below(struct random *random, uint64_t limit)
{
	CHECK(limit > 0);
	/* 2^64 mod limit: draws below it would favour small results */
	uint64_t biased = -limit % limit;
	uint64_t draw;

	do {
		draw = random_u64(random);
	} while (draw < biased);
	return draw % limit;
}

uint64_t random_seed(void)
{
	uint64_t seed;

	random_bytes(&seed, sizeof(seed));
	return seed;
}

void random_bytes(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		/* only a signal or a kernel without the call can stop it */
		CHECK(n >= 0 || errno == EINTR);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

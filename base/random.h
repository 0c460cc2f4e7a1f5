/*
 * random.h - randomness, passed in, so that a seed replays a run. Not for keys or nonces: those
 * come from getrandom(2) through random_bytes().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state[4]; /* xoshiro256++; owned by one thread */
};

/** random_init() - seeds a generator; equal seeds give equal sequences. */
void random_init(struct random *random, uint64_t seed);

/** random_u64() - the next 64 bits. */
uint64_t random_u64(struct random *random);

/** random_below() - uniform in [0, @limit), without modulo bias. @limit > 0. */
uint64_t random_below(struct random *random, uint64_t limit);

/** random_seed() - a fresh seed from the kernel. */
uint64_t random_seed(void);

/** random_bytes() - @len unpredictable bytes from the kernel, for ids, keys and nonces. */
void random_bytes(void *out, size_t len);

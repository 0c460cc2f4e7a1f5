/*
 * pattern.c - a mixing function of the place. It has to be cheap, since a --verify run computes it
 * for every byte that arrives, and not secret: who holds the cluster's secret is trusted.
 */
#include "tools/bw/pattern.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define WORD_LEN sizeof(uint64_t)

/* One multiplication of splitmix64's finalizer: neighbours differ in half of their bits. */
static inline uint64_t word_at(uint64_t seed, uint64_t off)
{
	uint64_t x = seed + (off / WORD_LEN) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ (x >> 31);
}

static void words_write(uint8_t *out, uint64_t seed, uint64_t off, size_t len, uint64_t flip)
{
	uint8_t last[WORD_LEN];

	CHECK(off % WORD_LEN == 0);
	for (; len >= WORD_LEN; out += WORD_LEN, off += WORD_LEN, len -= WORD_LEN)
		bytes_put_u64(out, word_at(seed, off) ^ flip);
	bytes_put_u64(last, word_at(seed, off) ^ flip);
	memcpy(out, last, len);
}

void pattern_fill(void *out, uint64_t seed, uint64_t off, size_t len)
{
	words_write(out, seed, off, len, 0);
}

void pattern_spoil(void *out, uint64_t seed, uint64_t off, size_t len)
{
	words_write(out, seed, off, len, UINT64_MAX);
}

static bool bytes_check(const uint8_t *data, uint64_t seed, uint64_t off, size_t len,
			size_t *out_wrong)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t word = word_at(seed, off + i);

		if (data[i] == (uint8_t)(word >> (8 * (i % WORD_LEN))))
			continue;
		if (out_wrong)
			*out_wrong = i;
		return false;
	}
	return true;
}

bool pattern_check(const void *data, uint64_t seed, uint64_t off, size_t len, size_t *out_wrong)
{
	const uint8_t *in = data;
	size_t whole = len - len % WORD_LEN;
	uint64_t difference = 0;

	CHECK(off % WORD_LEN == 0);
	/* All of it at full speed; where it is wrong is looked up only when it is. */
	for (size_t i = 0; i < whole; i += WORD_LEN)
		difference |= bytes_get_u64(in + i) ^ word_at(seed, off + i);
	if (difference)
		return bytes_check(in, seed, off, whole, out_wrong);
	if (bytes_check(in + whole, seed, off + whole, len - whole, out_wrong))
		return true;
	if (out_wrong)
		*out_wrong += whole;
	return false;
}

/*
 * pattern.h - what stands in the memory that is read: each 8 bytes are a function of a seed and of
 * their place, so that a reader can tell for every byte whether it is the right one, and a byte of
 * another place, of another run or of an earlier read is a wrong one.
 *
 * Places are byte offsets in a region, at a multiple of 8; lengths are any. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** pattern_fill() - writes the bytes of [@off, @off + @len). @off: a multiple of 8. */
void pattern_fill(void *out, uint64_t seed, uint64_t off, size_t len);

/**
 * pattern_check() - whether @data is what pattern_fill() writes there.
 * @out_wrong: when it is not, the first wrong byte's offset in @data; may be NULL.
 */
bool pattern_check(const void *data, uint64_t seed, uint64_t off, size_t len, size_t *out_wrong);

/** pattern_spoil() - makes each of @len bytes one that pattern_check() would refuse: what a read
 *  then leaves untouched is found. @off: as for the check that is to fail. */
void pattern_spoil(void *out, uint64_t seed, uint64_t off, size_t len);

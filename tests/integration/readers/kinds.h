/*
 * kinds.h - the ways to read a mount, one a reader. Each does one piece of work and comes back: a
 * file read, a directory listed, a crowd of handles opened and closed.
 */
#pragma once

#include "tests/integration/readers/calls.h"

struct kind {
	const char *name;
	void (*work)(struct reader *reader, void *buffer);
};

#define KIND_BUFFER_LEN (UINT32_C(1) << 20)

extern const struct kind kinds[];
extern const unsigned kind_count;

/** kind_find() - by name; NULL: there is none. */
const struct kind *kind_find(const char *name);

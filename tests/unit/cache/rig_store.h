/*
 * rig_store.h - between the two halves of the rig.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** rig_pattern() - the bytes of the object @key from @off on. */
void rig_pattern(const char *key, uint64_t off, void *out, size_t len);

/** fake_store_reset() - before a cache is made. */
void fake_store_reset(void);

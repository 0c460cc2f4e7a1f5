/*
 * object.h - identity. An object version is (backing id, bucket, key, etag, size); its id is the
 * first 128 bits of the SHA-256 over them. A changed etag is another object: stale and fresh
 * blocks cannot mix, on the SSD, in memory or between nodes.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define OBJECT_ID_LEN	   16
#define OBJECT_ID_TEXT_LEN 33 /* hexadecimal and a NUL */

/* The unit of checking: a small read moves and verifies this much. */
#define GRANULE_LEN	   65536
#define BLOCK_LEN_MAX	   (4u << 20)
#define BLOCK_GRANULES_MAX (BLOCK_LEN_MAX / GRANULE_LEN)

struct object_id {
	uint8_t bytes[OBJECT_ID_LEN];
};

struct object_version {
	const char *backing; /* the configured backing id, the same on all sites */
	const char *bucket;  /* "" where there is none */
	const char *key;
	const char *etag;
	uint64_t size;
};

/** object_id_of() - the id of a version. Any thread. */
void object_id_of(const struct object_version *version, struct object_id *out_id);

/** object_id_text() - lower-case hexadecimal. */
void object_id_text(const struct object_id *id, char out[OBJECT_ID_TEXT_LEN]);

static inline int object_id_equal(const struct object_id *a, const struct object_id *b)
{
	return memcmp(a->bytes, b->bytes, OBJECT_ID_LEN) == 0;
}

/** object_block_len() - bytes of block @block in an object of @size; 0 behind its end. */
static inline uint32_t object_block_len(uint64_t size, uint64_t block, uint32_t block_len)
{
	uint64_t blocks_before = block * block_len;

	if (block >= (size + block_len - 1) / block_len)
		return 0;
	return size - blocks_before < block_len ? (uint32_t)(size - blocks_before) : block_len;
}

/** object_granule_count() - granules of a block of @len bytes. */
static inline unsigned object_granule_count(uint32_t len)
{
	return (len + GRANULE_LEN - 1) / GRANULE_LEN;
}

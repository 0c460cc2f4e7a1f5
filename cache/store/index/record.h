/*
 * record.h - the index's records as bytes: little-endian, a version in front, a CRC-64 over all of
 * it at the end. LMDB keeps no checksums of its own, so a record is believed only after its check.
 *
 *	object   identity, where it is, how much of it is here
 *	block    a block's length and the checks of its granules (objects in files of their own; a
 *	         packed object's single check is in its object record)
 *	segment  a file of packed objects
 *	dataset  what eviction knows of a dataset
 *	meta     the directory as a whole
 *
 * Decoding is strict: what decodes, encodes back to the same bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"

#define RECORD_UUID_LEN	   16
#define RECORD_STRING_MAX  4096 /* bytes of one string of an identity, or of a dataset's name */
#define RECORD_OBJECT_MAX  (64 + 4 * (2 + RECORD_STRING_MAX) + 8)
#define RECORD_BLOCK_MAX   (8 + 8 * BLOCK_GRANULES_MAX + 8)
#define RECORD_SEGMENT_MAX 48
#define RECORD_DATASET_MAX (40 + RECORD_STRING_MAX + 8)
#define RECORD_META_MAX	   48

/* Bytes of someone else's memory, without a NUL. */
struct record_string {
	const char *data;
	uint16_t len;
};

enum record_identity {
	RECORD_BACKING,
	RECORD_BUCKET,
	RECORD_KEY,
	RECORD_ETAG,
	RECORD_IDENTITY_COUNT,
};

struct record_object {
	uint64_t size;
	int64_t mtime_s;
	uint64_t tick;	   /* logical time of its last known access */
	uint64_t resident; /* bytes of its blocks that are here */
	uint64_t check;	   /* packed: of its one granule; else 0 */
	uint32_t dataset;
	uint32_t segment;     /* 0: a file of its own */
	uint32_t segment_off; /* packed: where in the segment; else 0 */
	bool obsolete;
	struct record_string identity[RECORD_IDENTITY_COUNT];
};

struct record_block {
	uint32_t len;
	unsigned check_count;
	uint64_t checks[BLOCK_GRANULES_MAX];
};

struct record_segment {
	uint64_t tick;
	uint32_t dataset;
	uint32_t len;	/* bytes appended and committed */
	uint32_t live;	/* of them, bytes that an object record names */
	uint32_t count; /* objects ever appended */
};

struct record_dataset {
	uint64_t bytes; /* that its object files take; segments are counted by their own records */
	uint64_t tick;
	uint32_t segment; /* the last one appended to; 0: none */
	struct record_string name;
};

struct record_meta {
	uint8_t uuid[RECORD_UUID_LEN]; /* of the format file this index belongs to */
	uint64_t tick;
	uint32_t block_len;
	uint32_t segment_next;
	bool clean; /* closed in order: no file is unaccounted for */
};

/* The encoders return the length written; the buffers hold RECORD_..._MAX bytes. The decoders
 * return 0 or -EBADMSG; strings point into the input. */
size_t record_object_encode(const struct record_object *object, uint8_t *out);
int record_object_decode(const uint8_t *data, size_t len, struct record_object *out);
size_t record_block_encode(const struct record_block *block, uint8_t *out);
int record_block_decode(const uint8_t *data, size_t len, struct record_block *out);
size_t record_segment_encode(const struct record_segment *segment, uint8_t *out);
int record_segment_decode(const uint8_t *data, size_t len, struct record_segment *out);
size_t record_dataset_encode(const struct record_dataset *dataset, uint8_t *out);
int record_dataset_decode(const uint8_t *data, size_t len, struct record_dataset *out);
size_t record_meta_encode(const struct record_meta *meta, uint8_t *out);
int record_meta_decode(const uint8_t *data, size_t len, struct record_meta *out);

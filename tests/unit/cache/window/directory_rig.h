/*
 * directory_rig.h - a directory, and how a peer comes to know it: by copies of parts of its memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/window/directory.h"

#define MIB	      (UINT64_C(1) << 20)
#define RIG_ARENA_LEN (16 * MIB)
#define RIG_EPOCH     UINT64_C(0xe90c4)
#define RIG_GRANULE   UINT64_C(65536)
/* Of the layout, as directory.c documents it. */
#define RIG_WORD_LEN	    ((size_t)8)
#define RIG_ENTRY_LEN	    64
#define RIG_ENTRIES	    8 /* in a bucket */
#define RIG_CHECKS_HEAD_LEN 16

extern const struct member_id rig_owner, rig_stranger;

struct directory_rig {
	struct window_directory *directory;
	const uint8_t *memory;
	size_t len;
	struct directory_shape shape;
};

void rig_init(struct directory_rig *rig, uint64_t arena_len);
void rig_fini(struct directory_rig *rig);

/* What a peer reads: words are whole, their order is any. */
void rig_bucket_read(const struct directory_rig *rig, const struct window_key *key, uint8_t *out);
void rig_checks_read(const struct directory_rig *rig, const struct directory_place *place,
		     uint8_t *out);

/** rig_look_up() - all that a peer does. Return: 0, or -ENOENT. */
int rig_look_up(const struct directory_rig *rig, const struct window_key *key, uint32_t len,
		struct directory_place *out_place, uint64_t out_checks[BLOCK_GRANULES_MAX]);
bool rig_is_there(const struct directory_rig *rig, const struct window_key *key, uint32_t len);

struct window_key rig_key_of(unsigned object, uint64_t index);

/** rig_keys_of_one_bucket() - @count of them. */
void rig_keys_of_one_bucket(const struct directory_rig *rig, struct window_key *out,
			    unsigned count);

void rig_checks_of(uint64_t salt, uint64_t out[BLOCK_GRANULES_MAX]);

/** rig_publish() - with the checks of @salt. */
void rig_publish(struct directory_rig *rig, const struct window_key *key, uint64_t off,
		 uint32_t len, uint64_t salt);

/** rig_entry_make() - an entry byte by byte, sealed as the owner does it. */
void rig_entry_make(uint8_t *entry, const struct window_key *key, uint64_t off, uint32_t len,
		    uint64_t generation, uint64_t check);

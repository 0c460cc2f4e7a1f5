/*
 * directory.h - what lies complete in the arena, written down where peers read it without our CPU:
 * a superblock, buckets of entries, and for each block longer than a granule the checks of its
 * granules. Pure memory: no locks, no I/O, no clock.
 *
 *	superblock --> bucket of a key --> entry: where, how long, generation --> checks
 *
 * A reader trusts nothing it has read before a check over it holds, and that check covers who the
 * owner is, the arena's epoch (random at each start), the key, the generation and the length.
 * So a writer needs no order of its stores: what is torn is not believed. directory.c documents the
 * layout byte by byte.
 *
 * A key has one bucket. When that is full its oldest entry gives way: what is not in the directory
 * can still be had by asking the owner.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"
#include "cache/window/key.h"
#include "fabric/identity.h"

#define DIRECTORY_VERSION	 1
#define DIRECTORY_SUPERBLOCK_LEN 128
#define DIRECTORY_BUCKET_LEN	 512
#define DIRECTORY_CHECKS_LEN_MAX 1024 /* of one block */

struct window_directory; /* the writer's */

/**
 * window_directory_create() - an empty one for an arena of @arena_len bytes (a multiple of 4 MiB).
 * @owner: the member whose memory it is. @epoch: random, another at each start.
 * Return: 0 or -ENOMEM.
 */
int window_directory_create(uint64_t arena_len, const struct member_id *owner, uint64_t epoch,
			    struct window_directory **out_directory);

/** window_directory_destroy() - no peer may read it any more. NULL is fine. */
void window_directory_destroy(struct window_directory *directory);

/** window_directory_memory() - what is to be registered: page-aligned, of a length that never
 * changes. */
void *window_directory_memory(const struct window_directory *directory, size_t *out_len);

uint64_t window_directory_epoch(const struct window_directory *directory);

/**
 * window_directory_publish() - @key lies complete at @off of the arena.
 * @checks: one a granule of @len; borrowed for the call.
 * Threads: one writer at a time (the window's lock).
 */
void window_directory_publish(struct window_directory *directory, const struct window_key *key,
			      uint64_t off, uint32_t len, const uint64_t *checks);

/** window_directory_withdraw() - it does not lie there any more; nothing happens if it was not
 * published.
 */
void window_directory_withdraw(struct window_directory *directory, const struct window_key *key);

/* --- the reader's side: bytes that came from a peer; any bytes at all are fine */

/* What a superblock says. */
struct directory_shape {
	struct member_id owner;
	uint64_t epoch;
	uint64_t arena_len;
	uint64_t bucket_count;
	uint64_t checks_off; /* of the area of checks in the directory's region */
};

/* What an entry says. */
struct directory_place {
	uint64_t off; /* in the arena */
	uint32_t len;
	uint64_t generation;
	uint64_t check; /* of a unit no longer than a granule; else unused */
};

/** directory_shape_read() - Return: 0; -EBADMSG: no superblock of @owner; -EPROTONOSUPPORT. */
int directory_shape_read(const void *superblock, const struct member_id *owner,
			 struct directory_shape *out_shape);

/** directory_bucket_off() - where in the region the bucket of @key lies: DIRECTORY_BUCKET_LEN
 *  bytes. */
uint64_t directory_bucket_off(const struct directory_shape *shape, const struct window_key *key);

/**
 * directory_bucket_find() - the entry of @key, which is @len bytes long.
 * Return: 0; -ENOENT: it is not there, or what is there is not to be believed.
 */
int directory_bucket_find(const struct directory_shape *shape, const void *bucket,
			  const struct window_key *key, uint32_t len,
			  struct directory_place *out_place);

/** directory_checks_at() - where the checks of a unit longer than a granule lie in the region. */
void directory_checks_at(const struct directory_shape *shape, const struct directory_place *place,
			 uint64_t *out_off, size_t *out_len);

/**
 * directory_checks_read() - @out_checks: one a granule of @place.
 * Return: 0; -ENOENT: not (or no longer) those of @key at that generation.
 */
int directory_checks_read(const struct directory_shape *shape, const void *bytes,
			  const struct window_key *key, const struct directory_place *place,
			  uint64_t out_checks[BLOCK_GRANULES_MAX]);

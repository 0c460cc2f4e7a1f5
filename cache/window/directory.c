/*
 * directory.c - the layout of the directory, and how it is written and read.
 *
 * All is a multiple of 8 bytes, at multiples of 8; integers are little-endian.
 *
 *	0	superblock, 128 bytes; zeros up to 512
 *	512	buckets, 512 bytes each; how many is a power of two
 *	...	area of checks: 16 bytes for each granule of the arena
 *	...	zeros to the end of the page
 *
 *	superblock			entry: 64 bytes, 8 to a bucket; one not used is zeros
 *	  0	8  "cenotedr"		   0	16 id of the object version
 *	  8	4  version		  16	8  index of the key
 *	 12	4  zero			  24	8  off in the arena
 *	 16	16 owner		  32	8  generation, from 1 on
 *	 32	8  epoch		  40	4  len
 *	 40	8  length of the arena	  44	4  zero
 *	 48	8  how many buckets	  48	8  check of its bytes; 0 for more than a granule
 *	 56	8  where checks begin	  56	8  own check: CRC-64 over owner, epoch and 0 to 55
 *	 64	56 zero
 *	120	8  own check: CRC-64 over 0 to 119
 *
 *	checks of a unit longer than a granule, from the place of its first granule on
 *	  0	8  generation
 *	  8	8  own check: CRC-64 over owner, epoch, id, index, generation, len (8 bytes), checks
 *	 16	8  check of each granule
 *
 * A unit of n granules, n > 1, lies at a multiple of a granule and so has at least n places of 16
 * bytes for its 16 + 8n: what two units in the arena need never overlaps.
 *
 * The writer's memory ordering. There is none, and none is needed. Peers read by RDMA at any
 * moment of any write: a READ may find some of an entry's words from before and some from after,
 * in any mixture, whatever order we stored them in, as neither the NIC nor the bus promises to
 * fetch the bytes of one READ in order. What must hold follows from the checks alone:
 *
 *   - A word is never torn. All stores are of 8 aligned bytes and atomic, so the compiler neither
 *     splits them nor uses the place for anything else meanwhile. They are relaxed: no fence.
 *   - An entry, or the checks of a unit, are believed only when the own check over all their words
 *     holds. In a mixture with one word of another time it cannot hold (CRC-64 finds every burst
 *     of 64 bits), with several it does one time in 2^64.
 *   - The two are read by different READs, and may be of different times each. What joins them is
 *     the key and the generation, given out once in an epoch: both are under both own checks. A
 *     former run of this node has another epoch, another node at its address another owner.
 *   - The bytes in the arena and what is said of them are not ordered either. An entry that is
 *     seen before its bytes are, or after its frame was given to another unit, makes a reader
 *     fetch bytes that do not match their checks: a READ lost, nothing worse.
 *   - That stores become visible at all, and soon, is the coherence of caches and NIC; the release
 *     of the window's lock keeps the compiler from putting them off beyond it.
 *
 * The writer reads what it wrote where it wrote it: peers can read this memory and no more.
 */
#include "cache/window/directory.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "cache/window/buddy.h"

#define MAGIC		      UINT64_C(0x726465746f6e6563) /* "cenotedr" */
#define PAGE_LEN	      4096
#define WORD_LEN	      ((size_t)8)
#define BUCKETS_OFF	      512
#define ENTRY_LEN	      64
#define ENTRY_WORDS	      (ENTRY_LEN / WORD_LEN)
#define ENTRY_SEALED_LEN      (ENTRY_LEN - WORD_LEN)
#define SUPERBLOCK_SEALED_LEN (DIRECTORY_SUPERBLOCK_LEN - WORD_LEN)
#define BUCKET_ENTRIES	      (DIRECTORY_BUCKET_LEN / ENTRY_LEN)
#define CHECKS_HEAD_LEN	      (2 * WORD_LEN)
#define CHECKS_PLACE_LEN      (2 * WORD_LEN) /* for each granule of the arena */
#define CHECKS_LEN(granules)  (CHECKS_HEAD_LEN + (granules)*WORD_LEN)
#define ARENA_LEN_MAX	      (UINT64_C(1) << 48)
#define BUCKETS_MIN	      64
#define BUCKETS_MAX	      (ARENA_LEN_MAX / BUCKET_ARENA_LEN)
#define BUCKET_ARENA_LEN      (UINT64_C(256) << 10) /* two entries for 64 KiB of arena */

static_assert(CHECKS_LEN(2) <= 2 * CHECKS_PLACE_LEN, "from two granules on there is room");
static_assert(CHECKS_LEN(BLOCK_GRANULES_MAX) <= DIRECTORY_CHECKS_LEN_MAX, "as the header says");
static_assert((1u << BUDDY_ORDER_MAX) % GRANULE_LEN == 0, "an arena is whole granules");

struct window_directory {
	void *memory;
	size_t len;
	struct directory_shape shape;
	uint64_t generation; /* of the latest publication */
};

/* --- shape */

static uint64_t bucket_count_of(uint64_t arena_len)
{
	uint64_t count = BUCKETS_MIN;

	while (count < arena_len / BUCKET_ARENA_LEN)
		count *= 2;
	return count;
}

static uint64_t checks_off_of(uint64_t bucket_count)
{
	return BUCKETS_OFF + bucket_count * DIRECTORY_BUCKET_LEN;
}

static void superblock_encode(const struct directory_shape *shape,
			      uint8_t out[DIRECTORY_SUPERBLOCK_LEN])
{
	memset(out, 0, DIRECTORY_SUPERBLOCK_LEN);
	bytes_put_u64(out, MAGIC);
	bytes_put_u32(out + 8, DIRECTORY_VERSION);
	memcpy(out + 16, shape->owner.bytes, MEMBER_ID_LEN);
	bytes_put_u64(out + 32, shape->epoch);
	bytes_put_u64(out + 40, shape->arena_len);
	bytes_put_u64(out + 48, shape->bucket_count);
	bytes_put_u64(out + 56, shape->checks_off);
	bytes_put_u64(out + SUPERBLOCK_SEALED_LEN, digest_crc64(out, SUPERBLOCK_SEALED_LEN));
}

/* Whether whatever is computed from @shape stays within what it describes and cannot overflow. */
static bool shape_is_sane(const struct directory_shape *shape)
{
	uint64_t count = shape->bucket_count;

	return shape->arena_len > 0 && shape->arena_len <= ARENA_LEN_MAX &&
	       shape->arena_len % buddy_frame_len(BUDDY_ORDER_MAX) == 0 && count >= BUCKETS_MIN &&
	       count <= BUCKETS_MAX && (count & (count - 1)) == 0 &&
	       shape->checks_off == checks_off_of(count);
}

int directory_shape_read(const void *superblock, const struct member_id *owner,
			 struct directory_shape *out_shape)
{
	const uint8_t *at = superblock;
	struct directory_shape shape = {
		.epoch = bytes_get_u64(at + 32),
		.arena_len = bytes_get_u64(at + 40),
		.bucket_count = bytes_get_u64(at + 48),
		.checks_off = bytes_get_u64(at + 56),
	};

	memcpy(shape.owner.bytes, at + 16, MEMBER_ID_LEN);
	if (bytes_get_u64(at) != MAGIC)
		return -EBADMSG;
	/* another version may seal its superblock in another way */
	if (bytes_get_u32(at + 8) != DIRECTORY_VERSION)
		return -EPROTONOSUPPORT;
	if (bytes_get_u64(at + SUPERBLOCK_SEALED_LEN) != digest_crc64(at, SUPERBLOCK_SEALED_LEN) ||
	    !member_id_equal(&shape.owner, owner) || !shape_is_sane(&shape))
		return -EBADMSG;
	*out_shape = shape;
	return 0;
}

/* Ids are random already; the units of one object are spread by a multiplication, whose high bits
 * are the good ones. The same on all nodes of this version. */
uint64_t directory_bucket_off(const struct directory_shape *shape, const struct window_key *key)
{
	uint64_t spread = (key->index + 1) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = bytes_get_u64(key->id.bytes) ^ spread ^ spread >> 32;

	return BUCKETS_OFF + (hash & (shape->bucket_count - 1)) * DIRECTORY_BUCKET_LEN;
}

/* --- entries and checks as bytes */

#define OWNER_LEN  (MEMBER_ID_LEN + WORD_LEN) /* and epoch */
#define KEY_LEN	   (OBJECT_ID_LEN + WORD_LEN)
#define SEALED_MAX (OWNER_LEN + KEY_LEN + 2 * WORD_LEN + BLOCK_GRANULES_MAX * WORD_LEN)

static void owner_encode(const struct directory_shape *shape, uint8_t out[OWNER_LEN])
{
	memcpy(out, shape->owner.bytes, MEMBER_ID_LEN);
	bytes_put_u64(out + MEMBER_ID_LEN, shape->epoch);
}

static void key_encode(const struct window_key *key, uint8_t out[KEY_LEN])
{
	memcpy(out, key->id.bytes, OBJECT_ID_LEN);
	bytes_put_u64(out + OBJECT_ID_LEN, key->index);
}

static uint64_t entry_seal(const struct directory_shape *shape, const uint8_t *entry)
{
	uint8_t sealed[OWNER_LEN + ENTRY_SEALED_LEN];

	owner_encode(shape, sealed);
	memcpy(sealed + OWNER_LEN, entry, ENTRY_SEALED_LEN);
	return digest_crc64(sealed, sizeof(sealed));
}

/* @checks: as they lie in the memory, one a granule of @place. */
static uint64_t checks_seal(const struct directory_shape *shape, const struct window_key *key,
			    const struct directory_place *place, const uint8_t *checks)
{
	size_t checks_len = object_granule_count(place->len) * WORD_LEN;
	uint8_t sealed[SEALED_MAX], *at = sealed + OWNER_LEN + KEY_LEN;

	owner_encode(shape, sealed);
	key_encode(key, sealed + OWNER_LEN);
	bytes_put_u64(at, place->generation);
	bytes_put_u64(at + WORD_LEN, place->len);
	memcpy(at + 2 * WORD_LEN, checks, checks_len);
	return digest_crc64(sealed, (size_t)(at - sealed) + 2 * WORD_LEN + checks_len);
}

static void entry_encode(const struct directory_shape *shape, const struct window_key *key,
			 const struct directory_place *place, uint8_t out[ENTRY_LEN])
{
	key_encode(key, out);
	bytes_put_u64(out + 24, place->off);
	bytes_put_u64(out + 32, place->generation);
	bytes_put_u32(out + 40, place->len);
	bytes_put_u32(out + 44, 0);
	bytes_put_u64(out + 48, place->check);
	bytes_put_u64(out + ENTRY_SEALED_LEN, entry_seal(shape, out));
}

/* Whether a unit of that length can lie there, and its checks in their area. */
static bool place_is_sane(const struct directory_shape *shape, const struct directory_place *place)
{
	return place->len > 0 && place->len <= BLOCK_LEN_MAX && place->off < shape->arena_len &&
	       place->len <= shape->arena_len - place->off &&
	       (place->len <= GRANULE_LEN || place->off % GRANULE_LEN == 0);
}

/* Return: whether @entry speaks of @key at @len and is to be believed. */
static bool entry_decode(const struct directory_shape *shape, const uint8_t *entry,
			 const struct window_key *key, uint32_t len,
			 struct directory_place *out_place)
{
	uint8_t wanted[KEY_LEN];
	struct directory_place place = {
		.off = bytes_get_u64(entry + 24),
		.generation = bytes_get_u64(entry + 32),
		.len = bytes_get_u32(entry + 40),
		.check = bytes_get_u64(entry + 48),
	};

	key_encode(key, wanted);
	if (memcmp(entry, wanted, KEY_LEN) != 0 || place.len != len ||
	    bytes_get_u64(entry + ENTRY_SEALED_LEN) != entry_seal(shape, entry) ||
	    !place_is_sane(shape, &place))
		return false;
	*out_place = place;
	return true;
}

int directory_bucket_find(const struct directory_shape *shape, const void *bucket,
			  const struct window_key *key, uint32_t len,
			  struct directory_place *out_place)
{
	const uint8_t *entry = bucket;

	for (unsigned i = 0; i < BUCKET_ENTRIES; i++, entry += ENTRY_LEN)
		if (entry_decode(shape, entry, key, len, out_place))
			return 0;
	return -ENOENT;
}

void directory_checks_at(const struct directory_shape *shape, const struct directory_place *place,
			 uint64_t *out_off, size_t *out_len)
{
	*out_off = shape->checks_off + place->off / GRANULE_LEN * CHECKS_PLACE_LEN;
	*out_len = CHECKS_LEN(object_granule_count(place->len));
}

int directory_checks_read(const struct directory_shape *shape, const void *bytes,
			  const struct window_key *key, const struct directory_place *place,
			  uint64_t out_checks[BLOCK_GRANULES_MAX])
{
	const uint8_t *at = bytes, *checks = at + CHECKS_HEAD_LEN;

	CHECK(place_is_sane(shape, place)); /* directory_bucket_find() gave it */
	if (bytes_get_u64(at) != place->generation ||
	    bytes_get_u64(at + WORD_LEN) != checks_seal(shape, key, place, checks))
		return -ENOENT;
	for (unsigned i = 0; i < object_granule_count(place->len); i++)
		out_checks[i] = bytes_get_u64(checks + i * WORD_LEN);
	return 0;
}

/* --- the writer */

int window_directory_create(uint64_t arena_len, const struct member_id *owner, uint64_t epoch,
			    struct window_directory **out_directory)
{
	uint64_t bucket_count = bucket_count_of(arena_len);
	struct window_directory *directory = calloc(1, sizeof(*directory));
	uint8_t superblock[DIRECTORY_SUPERBLOCK_LEN];

	if (!directory)
		return -ENOMEM;
	directory->shape = (struct directory_shape){
		.owner = *owner,
		.epoch = epoch,
		.arena_len = arena_len,
		.bucket_count = bucket_count,
		.checks_off = checks_off_of(bucket_count),
	};
	CHECK(shape_is_sane(&directory->shape));
	directory->len = directory->shape.checks_off + arena_len / GRANULE_LEN * CHECKS_PLACE_LEN;
	directory->len += -directory->len % PAGE_LEN;
	/* Shared, so that a fork() never makes us write to a copy that the NIC does not read. */
	directory->memory = mmap(NULL, directory->len, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (directory->memory == MAP_FAILED) {
		free(directory);
		return -ENOMEM;
	}
	superblock_encode(&directory->shape, superblock);
	memcpy(directory->memory, superblock, sizeof(superblock)); /* no peer knows of it yet */
	*out_directory = directory;
	return 0;
}

void window_directory_destroy(struct window_directory *directory)
{
	if (!directory)
		return;
	CHECK(munmap(directory->memory, directory->len) == 0);
	free(directory);
}

void *window_directory_memory(const struct window_directory *directory, size_t *out_len)
{
	*out_len = directory->len;
	return directory->memory;
}

uint64_t window_directory_epoch(const struct window_directory *directory)
{
	return directory->shape.epoch;
}

static _Atomic uint64_t *words_at(const struct window_directory *directory, uint64_t off)
{
	return (_Atomic uint64_t *)directory->memory + off / WORD_LEN;
}

static void words_store(_Atomic uint64_t *words, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	for (size_t i = 0; i < len / WORD_LEN; i++) {
		uint64_t word;

		memcpy(&word, from + i * WORD_LEN, WORD_LEN);
		atomic_store_explicit(&words[i], word, memory_order_relaxed);
	}
}

static uint64_t word_load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t entry_generation(const _Atomic uint64_t *entry)
{
	return le64toh(word_load(&entry[4]));
}

static bool entry_is_of(const _Atomic uint64_t *entry, const uint64_t key[3])
{
	return word_load(&entry[0]) == key[0] && word_load(&entry[1]) == key[1] &&
	       word_load(&entry[2]) == key[2] && entry_generation(entry);
}

/* Return: the entry of @key, or NULL with @out_oldest: one that is not used, or the oldest. */
static _Atomic uint64_t *entry_find(const struct window_directory *directory,
				    const struct window_key *key, _Atomic uint64_t **out_oldest)
{
	_Atomic uint64_t *entry = words_at(directory, directory_bucket_off(&directory->shape, key));
	_Atomic uint64_t *oldest = entry;
	uint64_t wanted[3];

	static_assert(sizeof(wanted) == KEY_LEN, "the first words of an entry");
	key_encode(key, (uint8_t *)wanted);
	for (unsigned i = 0; i < BUCKET_ENTRIES; i++, entry += ENTRY_WORDS) {
		if (entry_is_of(entry, wanted))
			return entry;
		if (entry_generation(entry) < entry_generation(oldest))
			oldest = entry;
	}
	*out_oldest = oldest;
	return NULL;
}

static void checks_publish(struct window_directory *directory, const struct window_key *key,
			   const struct directory_place *place, const uint64_t *checks)
{
	uint8_t bytes[CHECKS_LEN(BLOCK_GRANULES_MAX)];
	uint64_t off;
	size_t len;

	for (unsigned i = 0; i < object_granule_count(place->len); i++)
		bytes_put_u64(bytes + CHECKS_LEN(i), checks[i]);
	bytes_put_u64(bytes, place->generation);
	bytes_put_u64(bytes + WORD_LEN,
		      checks_seal(&directory->shape, key, place, bytes + CHECKS_HEAD_LEN));
	directory_checks_at(&directory->shape, place, &off, &len);
	words_store(words_at(directory, off), bytes, len);
}

void window_directory_publish(struct window_directory *directory, const struct window_key *key,
			      uint64_t off, uint32_t len, const uint64_t *checks)
{
	struct directory_place place = {
		.off = off,
		.len = len,
		.generation = ++directory->generation,
		.check = len > GRANULE_LEN ? 0 : checks[0],
	};
	_Atomic uint64_t *oldest = NULL, *entry = entry_find(directory, key, &oldest);
	uint8_t bytes[ENTRY_LEN];

	CHECK(place_is_sane(&directory->shape, &place));
	if (len > GRANULE_LEN)
		checks_publish(directory, key, &place, checks);
	entry_encode(&directory->shape, key, &place, bytes);
	words_store(entry ? entry : oldest, bytes, sizeof(bytes));
}

void window_directory_withdraw(struct window_directory *directory, const struct window_key *key)
{
	static const uint8_t nothing[ENTRY_LEN];
	_Atomic uint64_t *oldest = NULL, *entry = entry_find(directory, key, &oldest);

	if (entry)
		words_store(entry, nothing, sizeof(nothing));
}

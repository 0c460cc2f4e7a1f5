/*
 * directory_rig.c - a directory read as a peer does.
 */
#include "tests/unit/cache/window/directory_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/digest.h"

const struct member_id rig_owner = { "the owner's id." };
const struct member_id rig_stranger = { "somebody else's" };

static void copy_words(void *to, const void *from, size_t len)
{
	const _Atomic uint64_t *words = from;
	uint8_t *out = to;

	assert_int_equal(len % RIG_WORD_LEN, 0);
	for (size_t i = 0; i < len / RIG_WORD_LEN; i++) {
		uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);

		memcpy(out + i * RIG_WORD_LEN, &word, RIG_WORD_LEN);
	}
}

void rig_init(struct directory_rig *rig, uint64_t arena_len)
{
	assert_int_equal(window_directory_create(arena_len, &rig_owner, RIG_EPOCH, &rig->directory),
			 0);
	rig->memory = window_directory_memory(rig->directory, &rig->len);
	assert_int_equal(directory_shape_read(rig->memory, &rig_owner, &rig->shape), 0);
}

void rig_fini(struct directory_rig *rig)
{
	window_directory_destroy(rig->directory);
}

void rig_bucket_read(const struct directory_rig *rig, const struct window_key *key, uint8_t *out)
{
	uint64_t off = directory_bucket_off(&rig->shape, key);

	assert_true(off <= rig->len && DIRECTORY_BUCKET_LEN <= rig->len - off);
	copy_words(out, rig->memory + off, DIRECTORY_BUCKET_LEN);
}

void rig_checks_read(const struct directory_rig *rig, const struct directory_place *place,
		     uint8_t *out)
{
	uint64_t off;
	size_t len;

	directory_checks_at(&rig->shape, place, &off, &len);
	assert_true(len <= DIRECTORY_CHECKS_LEN_MAX);
	assert_true(off >= rig->shape.checks_off && off <= rig->len && len <= rig->len - off);
	copy_words(out, rig->memory + off, len);
}

int rig_look_up(const struct directory_rig *rig, const struct window_key *key, uint32_t len,
		struct directory_place *out_place, uint64_t out_checks[BLOCK_GRANULES_MAX])
{
	uint8_t bucket[DIRECTORY_BUCKET_LEN], checks[DIRECTORY_CHECKS_LEN_MAX];

	rig_bucket_read(rig, key, bucket);
	if (directory_bucket_find(&rig->shape, bucket, key, len, out_place))
		return -ENOENT;
	if (len <= GRANULE_LEN) {
		out_checks[0] = out_place->check;
		return 0;
	}
	rig_checks_read(rig, out_place, checks);
	return directory_checks_read(&rig->shape, checks, key, out_place, out_checks);
}

bool rig_is_there(const struct directory_rig *rig, const struct window_key *key, uint32_t len)
{
	struct directory_place place;
	uint64_t checks[BLOCK_GRANULES_MAX];

	return rig_look_up(rig, key, len, &place, checks) == 0;
}

struct window_key rig_key_of(unsigned object, uint64_t index)
{
	struct window_key key = { .index = index };
	char text[16];

	memset(text, (int)object, sizeof(text));
	memcpy(key.id.bytes, text, OBJECT_ID_LEN);
	return key;
}

void rig_checks_of(uint64_t salt, uint64_t out[BLOCK_GRANULES_MAX])
{
	for (unsigned i = 0; i < BLOCK_GRANULES_MAX; i++)
		out[i] = (salt + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
}

void rig_publish(struct directory_rig *rig, const struct window_key *key, uint64_t off,
		 uint32_t len, uint64_t salt)
{
	uint64_t checks[BLOCK_GRANULES_MAX];

	rig_checks_of(salt, checks);
	window_directory_publish(rig->directory, key, off, len, checks);
}

void rig_keys_of_one_bucket(const struct directory_rig *rig, struct window_key *out, unsigned count)
{
	uint64_t index = 0;

	out[0] = rig_key_of(1, index);
	for (unsigned i = 1; i < count; i++)
		do {
			out[i] = rig_key_of(1, ++index);
		} while (directory_bucket_off(&rig->shape, &out[i]) !=
			 directory_bucket_off(&rig->shape, &out[0]));
}

static void entry_seal(uint8_t *entry)
{
	uint8_t sealed[24 + 56];

	memcpy(sealed, rig_owner.bytes, 16);
	bytes_put_u64(sealed + 16, RIG_EPOCH);
	memcpy(sealed + 24, entry, 56);
	bytes_put_u64(entry + 56, digest_crc64(sealed, sizeof(sealed)));
}

void rig_entry_make(uint8_t *entry, const struct window_key *key, uint64_t off, uint32_t len,
		    uint64_t generation, uint64_t check)
{
	memset(entry, 0, RIG_ENTRY_LEN);
	memcpy(entry, key->id.bytes, 16);
	bytes_put_u64(entry + 16, key->index);
	bytes_put_u64(entry + 24, off);
	bytes_put_u64(entry + 32, generation);
	bytes_put_u32(entry + 40, len);
	bytes_put_u64(entry + 48, check);
	entry_seal(entry);
}

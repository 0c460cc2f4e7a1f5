/*
 * Tests of window/directory.h: entries and checks of another time, words of different times mixed
 * in any way, damage, and bytes of peers gone mad. Nothing that was not published is ever believed.
 */
#include "cache/window/directory.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/random.h"
#include "tests/unit/cache/window/directory_rig.h"

/* An entry read before and checks read after something has changed. */
static void test_checks_read__of_another_time__are_refused(void **state)
{
	struct window_key key = rig_key_of(4, 8), other = rig_key_of(5, 8);
	uint8_t bucket[DIRECTORY_BUCKET_LEN], checks[DIRECTORY_CHECKS_LEN_MAX];
	uint64_t out[BLOCK_GRANULES_MAX];
	struct directory_place place, stale;
	struct directory_shape shape;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, 0, 3 * GRANULE_LEN, 1);
	rig_bucket_read(&rig, &key, bucket);
	assert_int_equal(directory_bucket_find(&rig.shape, bucket, &key, 3 * GRANULE_LEN, &stale),
			 0);
	rig_checks_read(&rig, &stale, checks);
	assert_int_equal(directory_checks_read(&rig.shape, checks, &key, &stale, out), 0);

	/* whose the checks are is under their own check as well */
	assert_int_equal(directory_checks_read(&rig.shape, checks, &other, &stale, out), -ENOENT);
	shape = rig.shape;
	shape.epoch++;
	assert_int_equal(directory_checks_read(&shape, checks, &key, &stale, out), -ENOENT);
	shape = rig.shape;
	shape.owner = rig_stranger;
	assert_int_equal(directory_checks_read(&shape, checks, &key, &stale, out), -ENOENT);
	place = stale;
	place.len--; /* as many checks, another length */
	assert_int_equal(directory_checks_read(&rig.shape, checks, &key, &place, out), -ENOENT);
	place = stale;
	place.generation++;
	assert_int_equal(directory_checks_read(&rig.shape, checks, &key, &place, out), -ENOENT);

	/* the same unit was published again at the same place, with other bytes or the same */
	for (unsigned salt = 1; salt <= 2; salt++) {
		rig_publish(&rig, &key, 0, 3 * GRANULE_LEN, salt);
		rig_checks_read(&rig, &stale, checks);
		assert_int_equal(directory_checks_read(&rig.shape, checks, &key, &stale, out),
				 -ENOENT);
	}
	/* another unit lies there now */
	window_directory_withdraw(rig.directory, &key);
	rig_publish(&rig, &other, 0, 3 * GRANULE_LEN, 1);
	rig_checks_read(&rig, &stale, checks);
	assert_int_equal(directory_checks_read(&rig.shape, checks, &key, &stale, out), -ENOENT);
	rig_fini(&rig);
}

static void test_find__any_byte_changed__is_not_believed(void **state)
{
	struct window_key key = rig_key_of(4, 8);
	uint8_t bucket[DIRECTORY_BUCKET_LEN], checks[DIRECTORY_CHECKS_LEN_MAX];
	uint32_t len = 5 * GRANULE_LEN - 17;
	uint64_t out[BLOCK_GRANULES_MAX];
	struct directory_place place, found;
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, 0, len, 1);
	rig_bucket_read(&rig, &key, bucket);
	assert_int_equal(directory_bucket_find(&rig.shape, bucket, &key, len, &place), 0);
	rig_checks_read(&rig, &place, checks);
	for (unsigned at = 0; at < RIG_ENTRY_LEN; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bucket[at] ^= (uint8_t)(1 << bit);
			assert_int_equal(
				directory_bucket_find(&rig.shape, bucket, &key, len, &found),
				-ENOENT);
			bucket[at] ^= (uint8_t)(1 << bit);
		}
	}
	for (unsigned at = 0; at < RIG_CHECKS_HEAD_LEN + 5 * RIG_WORD_LEN; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			checks[at] ^= (uint8_t)(1 << bit);
			assert_int_equal(
				directory_checks_read(&rig.shape, checks, &key, &place, out),
				-ENOENT);
			checks[at] ^= (uint8_t)(1 << bit);
		}
	}
	rig_fini(&rig);
}

/* Words of @after where @mixture has a bit, else of @before. */
static void mix(const uint8_t *before, const uint8_t *after, size_t len, uint64_t mixture,
		uint8_t *out)
{
	for (size_t word = 0; word < len / RIG_WORD_LEN; word++)
		memcpy(out + word * RIG_WORD_LEN,
		       (mixture >> word & 1 ? after : before) + word * RIG_WORD_LEN, RIG_WORD_LEN);
}

/* Whether the bucket of @keys[0], one entry of which is a mixture, speaks of neither key but as it
 * was before or after. */
static void assert_no_mixture_believed(const struct directory_rig *rig, const uint8_t *before,
				       const uint8_t *after, const struct window_key *keys,
				       uint32_t len)
{
	uint8_t bucket[DIRECTORY_BUCKET_LEN] = { 0 };
	struct directory_place place;

	for (uint64_t mixture = 0; mixture < 256; mixture++) {
		bool whole;

		mix(before, after, RIG_ENTRY_LEN, mixture, bucket);
		whole = !memcmp(bucket, before, RIG_ENTRY_LEN) ||
			!memcmp(bucket, after, RIG_ENTRY_LEN);
		for (unsigned k = 0; k < 2 && !whole; k++)
			assert_int_equal(
				directory_bucket_find(&rig->shape, bucket, &keys[k], len, &place),
				-ENOENT);
	}
}

static void test_find__words_of_two_times_mixed__are_not_believed(void **state)
{
	uint8_t times[4][DIRECTORY_BUCKET_LEN];
	struct window_key keys[2];
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_keys_of_one_bucket(&rig, keys, 2);
	rig_publish(&rig, &keys[0], 0, 4096, 1);
	rig_bucket_read(&rig, &keys[0], times[0]);
	rig_publish(&rig, &keys[0], 4096, 4096, 2); /* moved, with other bytes */
	rig_bucket_read(&rig, &keys[0], times[1]);
	window_directory_withdraw(rig.directory, &keys[0]);
	rig_bucket_read(&rig, &keys[0], times[2]);
	rig_publish(&rig, &keys[1], 0, 4096, 3); /* another unit in its entry */
	rig_bucket_read(&rig, &keys[0], times[3]);
	for (unsigned a = 0; a < ARRAY_COUNT(times); a++)
		for (unsigned b = 0; b < ARRAY_COUNT(times); b++)
			assert_no_mixture_believed(&rig, times[a], times[b], keys, 4096);
	rig_fini(&rig);
}

static void test_checks_read__words_of_two_times_mixed__are_not_believed(void **state)
{
	uint8_t before[DIRECTORY_CHECKS_LEN_MAX], after[DIRECTORY_CHECKS_LEN_MAX];
	uint8_t mixed[DIRECTORY_CHECKS_LEN_MAX];
	struct window_key key = rig_key_of(1, 0);
	uint32_t len = 6 * GRANULE_LEN;
	uint64_t checks[BLOCK_GRANULES_MAX];
	struct directory_place places[2];
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	rig_publish(&rig, &key, 0, len, 1);
	assert_int_equal(rig_look_up(&rig, &key, len, &places[0], checks), 0);
	rig_checks_read(&rig, &places[0], before);
	rig_publish(&rig, &key, 0, len, 2);
	assert_int_equal(rig_look_up(&rig, &key, len, &places[1], checks), 0);
	rig_checks_read(&rig, &places[1], after);
	for (uint64_t mixture = 0; mixture < 256; mixture++) {
		mix(before, after, RIG_CHECKS_HEAD_LEN + 6 * RIG_WORD_LEN, mixture, mixed);
		assert_int_equal(directory_checks_read(&rig.shape, mixed, &key, &places[0], checks),
				 mixture == 0 ? 0 : -ENOENT);
		assert_int_equal(directory_checks_read(&rig.shape, mixed, &key, &places[1], checks),
				 mixture == 255 ? 0 : -ENOENT);
	}
	rig_fini(&rig);
}

/* An owner gone mad seals nonsense. */
static void test_find__sealed_nonsense__is_not_believed(void **state)
{
	static const struct {
		const char *what;
		uint64_t off;
		uint32_t len;
		int error;
	} rows[] = {
		{ "sane", 4096, 4096, 0 },
		{ "last byte", RIG_ARENA_LEN - 1, 1, 0 },
		{ "nothing", 0, 0, -ENOENT },
		{ "longer than a block", 0, BLOCK_LEN_MAX + 1, -ENOENT },
		{ "longest", 0, UINT32_MAX, -ENOENT },
		{ "behind the arena", RIG_ARENA_LEN, 1, -ENOENT },
		{ "over its end", RIG_ARENA_LEN - 1, 2, -ENOENT },
		{ "off overflows", UINT64_MAX, 1, -ENOENT },
		{ "off and len overflow", UINT64_MAX - 99, 100, -ENOENT },
		{ "checks between granules", 4096, GRANULE_LEN + 1, -ENOENT },
	};
	struct window_key key = rig_key_of(1, 0);
	struct directory_rig rig;

	(void)state;
	rig_init(&rig, RIG_ARENA_LEN);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t bucket[DIRECTORY_BUCKET_LEN] = { 0 };
		struct directory_place place;
		int error;

		rig_entry_make(bucket + (DIRECTORY_BUCKET_LEN - RIG_ENTRY_LEN), &key, rows[i].off,
			       rows[i].len, 5, 1);
		error = directory_bucket_find(&rig.shape, bucket, &key, rows[i].len, &place);
		if (error != rows[i].error)
			fail_msg("%s: %d", rows[i].what, error);
	}
	rig_fini(&rig);
}

/* --- a peer that reads while it is written */

#define RACE_KEYS    12 /* of one bucket, which has room for fewer */
#define RACE_PLACES  3	/* in the arena, so that their checks overwrite each other's */
#define RACE_LOOKUPS 300000

struct race {
	struct directory_rig rig;
	struct window_key keys[RACE_KEYS];
	atomic_bool over;
};

static uint32_t race_len(unsigned key)
{
	static const uint32_t lengths[] = { 5000, 3 * GRANULE_LEN, GRANULE_LEN, BLOCK_LEN_MAX };

	return lengths[key % ARRAY_COUNT(lengths)];
}

/* What no two publications have in common: all that is read is checked against it. */
static uint64_t race_check(unsigned key, uint64_t off, uint64_t generation, unsigned granule)
{
	uint64_t facts[] = { key, off, generation, granule };

	return digest_xxh3(facts, sizeof(facts));
}

static void *race_write(void *argument)
{
	struct race *race = argument;
	uint64_t checks[BLOCK_GRANULES_MAX], generation = 0;
	struct random random;

	random_init(&random, 1);
	while (!atomic_load(&race->over)) {
		unsigned key = (unsigned)random_below(&random, RACE_KEYS);
		uint64_t off = random_below(&random, RACE_PLACES) * 2 * RIG_GRANULE;

		if (random_below(&random, 4) == 0) {
			window_directory_withdraw(race->rig.directory, &race->keys[key]);
			continue;
		}
		generation++;
		for (unsigned i = 0; i < object_granule_count(race_len(key)); i++)
			checks[i] = race_check(key, off, generation, i);
		window_directory_publish(race->rig.directory, &race->keys[key], off, race_len(key),
					 checks);
	}
	return NULL;
}

static void test_look_up__while_it_is_written__never_believes_what_was_not(void **state)
{
	static struct race race;
	uint64_t checks[BLOCK_GRANULES_MAX];
	unsigned found[2] = { 0, 0 }; /* without and with an area of checks */
	struct random random;
	pthread_t writer;

	(void)state;
	rig_init(&race.rig, RIG_ARENA_LEN);
	rig_keys_of_one_bucket(&race.rig, race.keys, RACE_KEYS);
	random_init(&random, 2);
	assert_int_equal(pthread_create(&writer, NULL, race_write, &race), 0);
	for (unsigned n = 0; n < RACE_LOOKUPS || !found[0] || !found[1]; n++) {
		unsigned key = (unsigned)random_below(&random, RACE_KEYS);
		uint32_t len = race_len(key);
		struct directory_place place;

		if (rig_look_up(&race.rig, &race.keys[key], len, &place, checks))
			continue;
		found[len > GRANULE_LEN]++;
		for (unsigned i = 0; i < object_granule_count(len); i++)
			if (checks[i] != race_check(key, place.off, place.generation, i))
				fail_msg("lookup %u: key %u, granule %u", n, key, i);
	}
	atomic_store(&race.over, true);
	pthread_join(writer, NULL);
	rig_fini(&race.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks_read__of_another_time__are_refused),
		cmocka_unit_test(test_find__any_byte_changed__is_not_believed),
		cmocka_unit_test(test_find__words_of_two_times_mixed__are_not_believed),
		cmocka_unit_test(test_checks_read__words_of_two_times_mixed__are_not_believed),
		cmocka_unit_test(test_find__sealed_nonsense__is_not_believed),
		cmocka_unit_test(test_look_up__while_it_is_written__never_believes_what_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

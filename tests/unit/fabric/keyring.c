/* The ring in memory and what is derived from its keys. */
#include "fabric/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "tests/unit/base/allocation_fault.h"

static void key_of(uint8_t number, uint8_t out[KEYRING_KEY_LEN])
{
	memset(out, number, KEYRING_KEY_LEN);
}

static void id_of(uint8_t number, uint8_t out[KEYRING_ID_LEN])
{
	uint8_t key[KEYRING_KEY_LEN], digest[DIGEST_SHA256_LEN];
	const struct digest_part parts[] = { { "cenote key id", 13 }, { key, sizeof(key) } };

	key_of(number, key);
	digest_sha256(parts, ARRAY_COUNT(parts), digest);
	memcpy(out, digest, KEYRING_ID_LEN);
}

static int add(struct keyring *ring, uint8_t number)
{
	uint8_t key[KEYRING_KEY_LEN];

	key_of(number, key);
	return keyring_add(ring, key);
}

/* A ring of the keys 1, 2 ... @count. */
static struct keyring *ring_of(uint8_t count)
{
	struct keyring *ring;

	assert_int_equal(keyring_create(&ring), 0);
	for (uint8_t number = 1; number <= count; number++)
		assert_int_equal(add(ring, number), 0);
	return ring;
}

/* The ring's keys are @numbers, in this order. */
static void assert_keys(const struct keyring *ring, const char *numbers)
{
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN], expected[KEYRING_ID_LEN];
	struct keyring_key keys[KEYRING_KEYS_MAX];

	assert_int_equal(keyring_list(ring, ids), strlen(numbers));
	assert_int_equal(keyring_copy(ring, keys), strlen(numbers));
	for (size_t i = 0; numbers[i]; i++) {
		id_of((uint8_t)(numbers[i] - '0'), expected);
		assert_memory_equal(ids[i], expected, KEYRING_ID_LEN);
		assert_memory_equal(keys[i].id, expected, KEYRING_ID_LEN);
		assert_int_equal(keys[i].key[0], numbers[i] - '0');
		assert_int_equal(keys[i].key[KEYRING_KEY_LEN - 1], numbers[i] - '0');
	}
}

static void test_create__no_memory__is_said(void **state)
{
	struct keyring *ring = NULL;

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(keyring_create(&ring), -ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_null(ring);
	keyring_destroy(NULL);
}

static void test_used__empty_ring__is_none(void **state)
{
	struct keyring *ring = ring_of(0);
	struct keyring_key key;
	uint8_t id[KEYRING_ID_LEN];

	(void)state;
	id_of(1, id);
	assert_int_equal(keyring_used(ring, &key), -ENOENT);
	assert_int_equal(keyring_find(ring, id, &key), -ENOENT);
	assert_int_equal(keyring_use(ring, id), -ENOENT);
	assert_int_equal(keyring_remove(ring, id), -ENOENT);
	assert_keys(ring, "");
	keyring_destroy(ring);
}

static void test_add__the_first__is_used(void **state)
{
	struct keyring *ring = ring_of(3);
	struct keyring_key key;
	uint8_t id[KEYRING_ID_LEN];

	(void)state;
	assert_int_equal(keyring_used(ring, &key), 0);
	assert_int_equal(key.key[0], 1);
	id_of(3, id);
	assert_int_equal(keyring_find(ring, id, &key), 0);
	assert_int_equal(key.key[0], 3);
	keyring_key_wipe(&key);
	assert_int_equal(key.key[0], 0);
	assert_keys(ring, "123");
	keyring_destroy(ring);
}

static void test_add__again_or_too_many__changes_nothing(void **state)
{
	struct keyring *ring = ring_of(KEYRING_KEYS_MAX);
	uint64_t version = keyring_version(ring);

	(void)state;
	assert_int_equal(add(ring, 9), -ENOSPC);
	assert_int_equal(add(ring, 4), 0);
	assert_int_equal(keyring_version(ring), version);
	assert_keys(ring, "12345678");
	keyring_destroy(ring);
}

static void test_rotation__each_step__keeps_the_others(void **state)
{
	struct keyring *ring = ring_of(3);
	uint64_t version = keyring_version(ring);
	uint8_t id[KEYRING_ID_LEN];

	(void)state;
	id_of(3, id);
	assert_int_equal(keyring_use(ring, id), 0);
	assert_int_not_equal(keyring_version(ring), version);
	assert_keys(ring, "312");

	version = keyring_version(ring);
	assert_int_equal(keyring_use(ring, id), 0);
	assert_int_equal(keyring_version(ring), version);
	assert_int_equal(keyring_remove(ring, id), -EBUSY);
	assert_int_equal(keyring_version(ring), version);

	id_of(1, id);
	assert_int_equal(keyring_remove(ring, id), 0);
	assert_int_not_equal(keyring_version(ring), version);
	assert_int_equal(keyring_remove(ring, id), -ENOENT);
	assert_keys(ring, "32");
	assert_int_equal(add(ring, 1), 0);
	assert_keys(ring, "321");
	keyring_destroy(ring);
}

/* HKDF-SHA-256 of RFC 5869 without a salt, by its definition. */
static void hkdf(const uint8_t *key, const void *info, size_t info_len, uint8_t out[64])
{
	uint8_t salt[DIGEST_SHA256_LEN] = { 0 }, extracted[DIGEST_SHA256_LEN];
	uint8_t block[DIGEST_SHA256_LEN + 64];

	digest_hmac_sha256(salt, sizeof(salt), key, KEYRING_KEY_LEN, extracted);
	memcpy(block, info, info_len);
	block[info_len] = 1;
	digest_hmac_sha256(extracted, sizeof(extracted), block, info_len + 1, out);
	memcpy(block, out, DIGEST_SHA256_LEN);
	memcpy(block + DIGEST_SHA256_LEN, info, info_len);
	block[DIGEST_SHA256_LEN + info_len] = 2;
	digest_hmac_sha256(extracted, sizeof(extracted), block, DIGEST_SHA256_LEN + info_len + 1,
			   out + DIGEST_SHA256_LEN);
}

static void test_derive__any_length__is_hkdf_sha256(void **state)
{
	static const char *const infos[] = { "", "gossip", "cenote fabric handshake" };
	static const size_t lens[] = { 1, 12, 16, 32, 33, 64 };
	uint8_t expected[64], out[65];
	struct keyring_key key;

	(void)state;
	for (size_t i = 0; i < sizeof(key.key); i++)
		key.key[i] = (uint8_t)(7 * i);
	for (size_t i = 0; i < ARRAY_COUNT(infos); i++) {
		hkdf(key.key, infos[i], strlen(infos[i]), expected);
		for (size_t j = 0; j < ARRAY_COUNT(lens); j++) {
			memset(out, 0xee, sizeof(out));
			keyring_derive(&key, infos[i], strlen(infos[i]), out, lens[j]);
			assert_memory_equal(out, expected, lens[j]);
			assert_int_equal(out[lens[j]], 0xee);
		}
	}
}

#define ROUNDS 2000

static void *rotate(void *argument)
{
	struct keyring *ring = argument;
	uint8_t one[KEYRING_ID_LEN], two[KEYRING_ID_LEN];

	id_of(1, one);
	id_of(2, two);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK(keyring_use(ring, two) == 0);
		CHECK(keyring_remove(ring, one) == 0);
		CHECK(add(ring, 1) == 0);
		CHECK(keyring_use(ring, one) == 0);
		CHECK(keyring_remove(ring, two) == 0);
		CHECK(add(ring, 2) == 0);
	}
	return NULL;
}

static void test_used__while_another_thread_rotates__is_always_a_whole_key(void **state)
{
	struct keyring *ring = ring_of(2);
	struct keyring_key key;
	uint8_t expected[KEYRING_KEY_LEN], id[KEYRING_ID_LEN];
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, rotate, ring), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(keyring_used(ring, &key), 0);
		key_of(key.key[0], expected);
		id_of(key.key[0], id);
		assert_memory_equal(key.key, expected, sizeof(expected));
		assert_memory_equal(key.id, id, sizeof(id));
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_keys(ring, "12");
	keyring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create__no_memory__is_said),
		cmocka_unit_test(test_used__empty_ring__is_none),
		cmocka_unit_test(test_add__the_first__is_used),
		cmocka_unit_test(test_add__again_or_too_many__changes_nothing),
		cmocka_unit_test(test_rotation__each_step__keeps_the_others),
		cmocka_unit_test(test_derive__any_length__is_hkdf_sha256),
		cmocka_unit_test(test_used__while_another_thread_rotates__is_always_a_whole_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of digest.h against published vectors.
 */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

static void assert_hex(const uint8_t *digest, const char *wanted)
{
	char hex[2 * DIGEST_SHA256_LEN + 1];

	digest_hex(digest, DIGEST_SHA256_LEN, hex);
	assert_string_equal(hex, wanted);
}

/* FIPS 180-4 examples. */
static void test_digest_sha256__published_texts__has_the_published_values(void **state)
{
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	uint8_t out[DIGEST_SHA256_LEN];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct digest_part part = { rows[i].text, strlen(rows[i].text) };

		digest_sha256(&part, 1, out);
		assert_hex(out, rows[i].hex);
	}
}

static void test_digest_sha256__in_parts__equals_the_whole(void **state)
{
	const struct digest_part parts[] = { { "a", 1 }, { NULL, 0 }, { "bc", 2 } };
	uint8_t out[DIGEST_SHA256_LEN];

	(void)state;
	digest_sha256(parts, 3, out);
	assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256(NULL, 0, out);
	assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, cases 1, 2, 3, 4, 6 and 7. */
static void test_digest_hmac_sha256__rfc_4231__has_its_values(void **state)
{
	static const char case_6[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	static const char case_7[] =
		"This is a test using a larger than block-size key and a larger than block-size "
		"data. The key needs to be hashed before being used by the HMAC algorithm.";
	static const struct {
		uint8_t key_byte, data_byte; /* key 0: 1, 2, 3 ... */
		size_t key_len, data_len;
		const char *key, *data; /* NULL: made of the byte */
		const char *hex;
	} rows[] = {
		{ 0x0b, 0, 20, 8, NULL, "Hi There",
		  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ 0, 0, 4, 28, "Jefe", "what do ya want for nothing?",
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ 0xaa, 0xdd, 20, 50, NULL, NULL,
		  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
		{ 0, 0xcd, 25, 50, NULL, NULL,
		  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
		{ 0xaa, 0, 131, sizeof(case_6) - 1, NULL, case_6,
		  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
		{ 0xaa, 0, 131, sizeof(case_7) - 1, NULL, case_7,
		  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
	};
	uint8_t key[131], data[50], out[DIGEST_SHA256_LEN];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		for (unsigned j = 0; j < sizeof(key); j++)
			key[j] = rows[i].key_byte ? rows[i].key_byte : (uint8_t)(j + 1);
		memset(data, rows[i].data_byte, sizeof(data));
		digest_hmac_sha256(rows[i].key ? (const void *)rows[i].key : key, rows[i].key_len,
				   rows[i].data ? (const void *)rows[i].data : data,
				   rows[i].data_len, out);
		assert_hex(out, rows[i].hex);
	}
}

static void test_digest_hmac_sha256__empty_key_and_data__is_defined(void **state)
{
	uint8_t out[DIGEST_SHA256_LEN];

	(void)state;
	digest_hmac_sha256("", 0, "", 0, out);
	assert_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* The plain definition of CRC-64/XZ: polynomial of ECMA-182, reflected, inverted in and out. */
static uint64_t crc64_by_bits(const uint8_t *data, size_t len)
{
	uint64_t crc = UINT64_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT64_C(0xc96c5795d7870f42) : 0);
	}
	return ~crc;
}

static void test_digest_crc64__check_text__is_crc_64_xz(void **state)
{
	(void)state;
	assert_int_equal(digest_crc64("123456789", 9), UINT64_C(0x995dc9bbdf1939fa));
	assert_int_equal(digest_crc64("", 0), 0);
}

/* ISA-L takes other paths by length and alignment: all must agree with the definition. */
static void test_digest_crc64__any_length_and_alignment__is_the_definition(void **state)
{
	static uint8_t data[5000];
	struct random random;

	(void)state;
	random_init(&random, 3);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random_u64(&random);
	for (size_t len = 0; len < 300; len++)
		assert_int_equal(digest_crc64(data + len % 17, len),
				 crc64_by_bits(data + len % 17, len));
	assert_int_equal(digest_crc64(data + 3, 4096), crc64_by_bits(data + 3, 4096));
}

static void test_digest_crc64__one_flipped_bit__differs(void **state)
{
	uint8_t data[64] = { 0 };
	uint64_t whole = digest_crc64(data, sizeof(data));

	(void)state;
	for (unsigned bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(digest_crc64(data, sizeof(data)) != whole);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_digest_xxh3__published_and_different_texts__differ(void **state)
{
	(void)state;
	assert_int_equal(digest_xxh3("", 0), UINT64_C(0x2d06800538d394c2));
	assert_true(digest_xxh3("a", 1) != digest_xxh3("b", 1));
}

static void test_digest_hex__all_digits__are_lower_case(void **state)
{
	static const uint8_t data[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	char hex[17];

	(void)state;
	digest_hex(data, sizeof(data), hex);
	assert_string_equal(hex, "0123456789abcdef");
	digest_hex(data, 0, hex);
	assert_string_equal(hex, "");
}

static void test_digest_unhex__what_was_written__is_read_again(void **state)
{
	static const uint8_t data[] = { 0x00, 0x01, 0x9a, 0xbf, 0xff };
	char hex[2 * sizeof(data) + 1];
	uint8_t out[sizeof(data)];

	(void)state;
	digest_hex(data, sizeof(data), hex);
	assert_true(digest_unhex(hex, sizeof(data), out));
	assert_memory_equal(out, data, sizeof(data));
	assert_true(digest_unhex("0fx", 1, out));
	assert_int_equal(out[0], 0x0f);
	assert_true(digest_unhex("", 0, out));
}

static void test_digest_unhex__anything_else__is_refused(void **state)
{
	static const char *const rows[] = {
		"", "1", "1g", "g1", "AB", "aB", " 1", "1/", ":1", "`a"
	};
	uint8_t out[1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_false(digest_unhex(rows[i], 1, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_sha256__published_texts__has_the_published_values),
		cmocka_unit_test(test_digest_sha256__in_parts__equals_the_whole),
		cmocka_unit_test(test_digest_hmac_sha256__rfc_4231__has_its_values),
		cmocka_unit_test(test_digest_hmac_sha256__empty_key_and_data__is_defined),
		cmocka_unit_test(test_digest_crc64__check_text__is_crc_64_xz),
		cmocka_unit_test(test_digest_crc64__any_length_and_alignment__is_the_definition),
		cmocka_unit_test(test_digest_crc64__one_flipped_bit__differs),
		cmocka_unit_test(test_digest_xxh3__published_and_different_texts__differ),
		cmocka_unit_test(test_digest_hex__all_digits__are_lower_case),
		cmocka_unit_test(test_digest_unhex__what_was_written__is_read_again),
		cmocka_unit_test(test_digest_unhex__anything_else__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

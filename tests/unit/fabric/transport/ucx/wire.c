/*
 * Tests of the bytes of UCX's side of the fabric.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/random.h"
#include "fabric/transport/ucx/wire.h"

static const struct ucx_hello a_hello = { 0x1234567890abcdef, 65536,
					  "thirty-two bytes of proof......" };

static struct ucx_welcome a_welcome(unsigned region_count)
{
	struct ucx_welcome welcome = { .to = 7,
				       .token = UINT64_MAX,
				       .eager_max = 100,
				       .depth = 64,
				       .region_count = region_count };

	for (unsigned i = 0; i < region_count; i++) {
		welcome.regions[i].index = i;
		welcome.regions[i].len = UINT64_C(1) << (i % 64);
	}
	return welcome;
}

static void test_hello_decode__what_was_encoded__is_the_same(void **state)
{
	uint8_t bytes[UCX_HELLO_LEN];
	struct ucx_hello back;

	(void)state;
	assert_int_equal(ucx_hello_encode(&a_hello, bytes), sizeof(bytes));
	assert_int_equal(ucx_hello_decode(bytes, sizeof(bytes), &back), 0);
	assert_true(back.token == a_hello.token && back.eager_max == a_hello.eager_max);
	assert_memory_equal(back.proof, a_hello.proof, sizeof(back.proof));
}

static void test_hello_decode__anything_else__says_what_it_is(void **state)
{
	uint8_t bytes[UCX_HELLO_LEN + 1] = { 0 };
	struct ucx_hello back;

	(void)state;
	ucx_hello_encode(&a_hello, bytes);
	for (size_t len = 0; len < UCX_HELLO_LEN; len++)
		assert_int_equal(ucx_hello_decode(bytes, len, &back), -EBADMSG);
	assert_int_equal(ucx_hello_decode(bytes, sizeof(bytes), &back), -EBADMSG);
	bytes[4]++; /* the version */
	assert_int_equal(ucx_hello_decode(bytes, UCX_HELLO_LEN, &back), -EPROTONOSUPPORT);
	bytes[4]--;
	bytes[0]++; /* the magic number */
	assert_int_equal(ucx_hello_decode(bytes, UCX_HELLO_LEN, &back), -EBADMSG);
	bytes[0]--;
	memset(bytes + 6, 0, 8); /* the token 0 is none */
	assert_int_equal(ucx_hello_decode(bytes, UCX_HELLO_LEN, &back), -EBADMSG);
}

static void test_welcome_decode__what_was_encoded__is_the_same(void **state)
{
	static const unsigned counts[] = { 0, 1, TRANSPORT_REGIONS_MAX };
	uint8_t bytes[UCX_WELCOME_LEN_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
		struct ucx_welcome welcome = a_welcome(counts[i]), back;
		size_t len = ucx_welcome_encode(&welcome, bytes);

		assert_int_equal(ucx_welcome_decode(bytes, len, &back), 0);
		assert_true(back.to == 7 && back.token == UINT64_MAX && back.eager_max == 100 &&
			    back.depth == 64 && back.region_count == counts[i]);
		for (unsigned j = 0; j < counts[i]; j++)
			assert_true(back.regions[j].index == j &&
				    back.regions[j].len == welcome.regions[j].len);
		for (size_t cut = 0; cut < len; cut++)
			assert_true(ucx_welcome_decode(bytes, cut, &back) < 0);
	}
}

static void test_welcome_decode__a_region_beyond_all__is_ebadmsg(void **state)
{
	uint8_t bytes[UCX_WELCOME_LEN_MAX];
	struct ucx_welcome welcome = a_welcome(1), back;
	size_t len = ucx_welcome_encode(&welcome, bytes);

	(void)state;
	bytes_put_u32(bytes + 28, TRANSPORT_REGIONS_MAX);
	assert_int_equal(ucx_welcome_decode(bytes, len, &back), -EBADMSG);
	bytes_put_u16(bytes + 8, UCX_WIRE_VERSION + 1);
	assert_int_equal(ucx_welcome_decode(bytes, len, &back), -EPROTONOSUPPORT);
}

static void test_refusal_decode__what_was_encoded__is_the_same(void **state)
{
	struct ucx_refusal refusal = { .to = 9, .status = -EACCES, .text = "no such proof" }, back;
	uint8_t bytes[UCX_REFUSAL_LEN_MAX];
	size_t len = ucx_refusal_encode(&refusal, bytes);

	(void)state;
	assert_int_equal(ucx_refusal_decode(bytes, len, &back), 0);
	assert_true(back.to == 9 && back.status == -EACCES);
	assert_string_equal(back.text, refusal.text);
	bytes_put_u32(bytes + 8, (uint32_t)-ENOSPC); /* not one of those that may be said */
	assert_int_equal(ucx_refusal_decode(bytes, len, &back), 0);
	assert_int_equal(back.status, -EIO);
	bytes_put_u32(bytes + 8, 0);
	assert_int_equal(ucx_refusal_decode(bytes, len, &back), -EBADMSG);
	bytes_put_u32(bytes + 8, (uint32_t)-EBUSY);
	bytes[14] = 0; /* a text that ends before its end */
	assert_int_equal(ucx_refusal_decode(bytes, len, &back), -EBADMSG);
}

static void test_read_decode__a_full_batch__is_the_same(void **state)
{
	uint8_t bytes[UCX_READ_HEAD_LEN + UCX_REQUESTS_MAX * UCX_REQUEST_LEN + 1];
	struct ucx_request back[UCX_REQUESTS_MAX];
	size_t len = ucx_read_begin(5, bytes);

	(void)state;
	for (uint32_t i = 0; i < UCX_REQUESTS_MAX; i++) {
		const struct ucx_request request = { i << 16, i, UINT64_MAX - i, UINT32_MAX - i };

		len += ucx_read_add(bytes, &request);
	}
	assert_true(ucx_to(bytes, len) == 5);
	assert_int_equal(ucx_read_decode(bytes, len, back), UCX_REQUESTS_MAX);
	for (uint32_t i = 0; i < UCX_REQUESTS_MAX; i++)
		assert_true(back[i].id == i << 16 && back[i].region == i &&
			    back[i].off == UINT64_MAX - i && back[i].len == UINT32_MAX - i);
	assert_int_equal(ucx_read_decode(bytes, len - 1, back), -EBADMSG);
	assert_int_equal(ucx_read_decode(bytes, len + 1, back), -EBADMSG);
	bytes_put_u16(bytes + 8, UCX_REQUESTS_MAX + 1);
	assert_int_equal(ucx_read_decode(bytes, len, back), -EBADMSG);
	bytes_put_u16(bytes + 8, 0);
	assert_int_equal(ucx_read_decode(bytes, UCX_READ_HEAD_LEN, back), -EBADMSG);
}

static void test_answer_decode__a_status_of_its_own__becomes_eio(void **state)
{
	static const struct ucx_piece pieces[] = { { 1, 4096, 0 },
						   { 2, 0, -ERANGE },
						   { 3, 0, 12345 } };
	uint8_t bytes[UCX_ANSWER_HEAD_LEN + 3 * UCX_PIECE_LEN];
	struct ucx_piece back[UCX_PIECES_MAX];
	size_t len = ucx_answer_begin(5, bytes);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		len += ucx_answer_add(bytes, &pieces[i]);
	assert_int_equal(ucx_answer_decode(bytes, len, back), 3);
	assert_true(back[0].id == 1 && back[0].len == 4096 && !back[0].status);
	assert_int_equal(back[1].status, -ERANGE);
	assert_int_equal(back[2].status, -EIO);
}

static void test_message_decode__lengths__are_bounded(void **state)
{
	uint8_t bytes[UCX_MESSAGE_HEAD_LEN + TRANSPORT_MESSAGE_MAX + 1] = { 0 };
	const uint8_t *at;
	uint32_t number;

	(void)state;
	ucx_message_begin(3, 77, bytes);
	assert_int_equal(ucx_message_decode(bytes, UCX_MESSAGE_HEAD_LEN, &number, &at), -EBADMSG);
	assert_int_equal(ucx_message_decode(bytes, UCX_MESSAGE_HEAD_LEN + 1, &number, &at), 1);
	assert_true(number == 77 && at == bytes + UCX_MESSAGE_HEAD_LEN);
	assert_int_equal(ucx_message_decode(bytes, sizeof(bytes) - 1, &number, &at),
			 TRANSPORT_MESSAGE_MAX);
	assert_int_equal(ucx_message_decode(bytes, sizeof(bytes), &number, &at), -EBADMSG);
}

static void test_offer_decode__what_was_encoded__is_the_same(void **state)
{
	struct address addresses[UCX_OFFER_ADDRESSES_MAX], back[UCX_OFFER_ADDRESSES_MAX];
	uint8_t bytes[TRANSPORT_OFFER_MAX];
	char problem[128];

	(void)state;
	for (unsigned count = 1; count <= UCX_OFFER_ADDRESSES_MAX; count++) {
		size_t len;

		assert_int_equal(address_parse(count % 2 ? "10.0.0.7" : "fd00::7",
					       (uint16_t)(7000 + count), &addresses[count - 1],
					       problem, sizeof(problem)),
				 0);
		len = ucx_offer_encode(addresses, count, bytes);
		assert_int_equal(ucx_offer_decode(bytes, len, back), (int)count);
		for (unsigned i = 0; i < count; i++)
			assert_true(address_equal(&addresses[i], &back[i]));
		for (size_t cut = 0; cut < len; cut++)
			assert_true(ucx_offer_decode(bytes, cut, back) < 0);
	}
	address_set_port(&addresses[0], 0);
	assert_int_equal(ucx_offer_decode(bytes, ucx_offer_encode(addresses, 1, bytes), back),
			 -EBADMSG);
	bytes[0]++;
	assert_int_equal(ucx_offer_decode(bytes, 2 + ADDRESS_WIRE_LEN, back), -EPROTONOSUPPORT);
}

/* Whatever comes: no more than the arrays hold, and nothing outside the bytes (asan looks). */
static void test_decoders__random_bytes__keep_their_bounds(void **state)
{
	struct random random;
	struct ucx_hello hello;
	struct ucx_welcome welcome;
	struct ucx_refusal refusal;
	struct ucx_request requests[UCX_REQUESTS_MAX];
	struct ucx_piece pieces[UCX_PIECES_MAX];
	struct address addresses[UCX_OFFER_ADDRESSES_MAX];

	(void)state;
	random_init(&random, 42);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t bytes[128];
		size_t len = random_below(&random, sizeof(bytes) + 1);
		uint8_t *end = bytes + sizeof(bytes) - len; /* so that asan sees one too many */

		for (size_t i = 0; i < len; i++)
			end[i] = random_below(&random, 4) ? 0 : (uint8_t)random_u64(&random);
		ucx_hello_decode(end, len, &hello);
		ucx_refusal_decode(end, len, &refusal);
		if (!ucx_welcome_decode(end, len, &welcome))
			assert_true(welcome.region_count <= TRANSPORT_REGIONS_MAX);
		assert_true(ucx_read_decode(end, len, requests) <= UCX_REQUESTS_MAX);
		assert_true(ucx_answer_decode(end, len, pieces) <= UCX_PIECES_MAX);
		assert_true(ucx_offer_decode(end, len, addresses) <= UCX_OFFER_ADDRESSES_MAX);
		ucx_to(end, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello_decode__what_was_encoded__is_the_same),
		cmocka_unit_test(test_hello_decode__anything_else__says_what_it_is),
		cmocka_unit_test(test_welcome_decode__what_was_encoded__is_the_same),
		cmocka_unit_test(test_welcome_decode__a_region_beyond_all__is_ebadmsg),
		cmocka_unit_test(test_refusal_decode__what_was_encoded__is_the_same),
		cmocka_unit_test(test_read_decode__a_full_batch__is_the_same),
		cmocka_unit_test(test_answer_decode__a_status_of_its_own__becomes_eio),
		cmocka_unit_test(test_message_decode__lengths__are_bounded),
		cmocka_unit_test(test_offer_decode__what_was_encoded__is_the_same),
		cmocka_unit_test(test_decoders__random_bytes__keep_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * wire.c - the bytes of the verbs backend: what is encoded decodes, and nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "fabric/transport/verbs/wire.h"

static struct wire_hello some_hello(void)
{
	struct wire_hello hello = {
		.role = WIRE_DATA, .rail = 3, .mtu = 5, .session = 0x1122334455667788, .attempt = 7
	};

	for (unsigned i = 0; i < sizeof(hello.secret); i++)
		hello.secret[i] = (uint8_t)(i + 1);
	return hello;
}

static void test_wire_hello__data__comes_back(void **state)
{
	struct wire_hello hello = some_hello(), got;
	uint8_t bytes[WIRE_HELLO_LEN];
	unsigned version = 0;

	(void)state;
	wire_hello_encode(&hello, bytes);
	assert_int_equal(wire_hello_decode(bytes, sizeof(bytes), &got, &version), 0);
	assert_int_equal(version, WIRE_VERSION);
	assert_int_equal(got.role, hello.role);
	assert_int_equal(got.rail, hello.rail);
	assert_int_equal(got.mtu, hello.mtu);
	assert_int_equal(got.attempt, hello.attempt);
	assert_true(got.session == hello.session);
	assert_memory_equal(got.secret, hello.secret, sizeof(got.secret));
}

static void test_wire_hello_decode__a_byte_changed__is_refused_or_another(void **state)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t value;
		int result;
	} rows[] = {
		{ "magic", 0, 'x', -EBADMSG },
		{ "version", 4, WIRE_VERSION + 1, -EPROTONOSUPPORT },
		{ "role 0", 5, 0, -EBADMSG },
		{ "role 3", 5, 3, -EBADMSG },
		{ "rail 8", 6, TRANSPORT_RAILS_MAX, -EBADMSG },
		{ "mtu 0", 7, 0, -EBADMSG },
		{ "mtu 6", 7, 6, -EBADMSG },
		{ "attempt 0", 48, 0, -EBADMSG },
		{ "padding", 55, 1, -EBADMSG },
		{ "a control queue with a session", 5, WIRE_CONTROL, -EBADMSG },
	};
	struct wire_hello hello = some_hello(), got;
	unsigned version;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t bytes[WIRE_HELLO_LEN];

		wire_hello_encode(&hello, bytes);
		bytes[rows[i].at] = rows[i].value;
		if (wire_hello_decode(bytes, sizeof(bytes), &got, &version) != rows[i].result)
			fail_msg("%s", rows[i].what);
	}
	assert_int_equal(wire_hello_decode("cnte", 4, &got, &version), -EBADMSG);
}

static void test_wire_welcome__padded_by_the_network__comes_back(void **state)
{
	const struct wire_welcome welcome = { .mtu = 4, .session = 42 };
	struct wire_welcome got;
	uint8_t bytes[196] = { 0 };

	(void)state;
	wire_welcome_encode(&welcome, bytes);
	assert_int_equal(wire_welcome_decode(bytes, sizeof(bytes), &got), 0);
	assert_int_equal(got.mtu, 4);
	assert_true(got.session == 42);
	assert_int_equal(wire_welcome_decode(bytes, WIRE_WELCOME_LEN - 1, &got), -EBADMSG);
	assert_int_equal(wire_welcome_decode(NULL, 0, &got), -EBADMSG);
	bytes[5] = 0;
	assert_int_equal(wire_welcome_decode(bytes, sizeof(bytes), &got), -EBADMSG);
}

static void test_wire_refusal__each_status__comes_back_with_its_text(void **state)
{
	static const struct {
		int status, got;
	} rows[] = { { -EACCES, -EACCES },
		     { -EBUSY, -EBUSY },
		     { -EPROTONOSUPPORT, -EPROTONOSUPPORT },
		     { -ENOMEM, -ECONNREFUSED } };
	uint8_t bytes[148] = { 0 };
	char text[TRANSPORT_REFUSAL_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t len = wire_refusal_encode(rows[i].status, "no \x01 room", bytes);

		assert_true(len <= sizeof(bytes));
		assert_int_equal(wire_refusal_decode(bytes, sizeof(bytes), text), rows[i].got);
		assert_string_equal(text, "no ? room");
	}
	assert_int_equal(wire_refusal_decode("something else", 14, text), 0);
	assert_int_equal(wire_refusal_decode(NULL, 0, text), 0);
}

static void test_wire_refusal_encode__a_long_text__is_cut(void **state)
{
	char text[TRANSPORT_REFUSAL_MAX], long_text[2 * TRANSPORT_REFUSAL_MAX + 1];
	uint8_t bytes[WIRE_REFUSAL_MAX];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	assert_int_equal(wire_refusal_encode(-EBUSY, long_text, bytes), WIRE_REFUSAL_MAX);
	assert_int_equal(wire_refusal_decode(bytes, sizeof(bytes), text), -EBUSY);
	assert_int_equal(strlen(text), TRANSPORT_REFUSAL_MAX - 1);
}

static void test_wire_tag__anything_else__differs(void **state)
{
	const uint8_t proof[WIRE_SECRET_LEN] = { 1 }, other_proof[WIRE_SECRET_LEN] = { 2 };
	struct wire_hello hello = some_hello(), other;
	uint8_t tag[WIRE_SECRET_LEN], other_tag[WIRE_SECRET_LEN];

	(void)state;
	wire_tag(proof, &hello, tag);
	wire_tag(proof, &hello, other_tag);
	assert_true(wire_secret_equal(tag, other_tag));
	wire_tag(other_proof, &hello, other_tag);
	assert_false(wire_secret_equal(tag, other_tag));
	other = hello;
	other.session++;
	wire_tag(proof, &other, other_tag);
	assert_false(wire_secret_equal(tag, other_tag));
	other = hello;
	other.rail++;
	wire_tag(proof, &other, other_tag);
	assert_false(wire_secret_equal(tag, other_tag));
	other = hello;
	other.attempt++;
	wire_tag(proof, &other, other_tag);
	assert_false(wire_secret_equal(tag, other_tag));
}

static struct wire_rail rail_at(uint8_t index, const char *text)
{
	struct wire_rail rail = { .index = index };
	char problem[128];

	assert_int_equal(address_parse(text, 0, &rail.address, problem, sizeof(problem)), 0);
	return rail;
}

static void test_wire_offer__rails__come_back(void **state)
{
	const struct wire_rail rails[] = { rail_at(0, "10.0.0.7:7471"), rail_at(2, "[fd00::7]:9") };
	struct wire_rail got[TRANSPORT_RAILS_MAX];
	uint8_t bytes[TRANSPORT_OFFER_MAX];
	size_t len = wire_offer_encode(rails, ARRAY_COUNT(rails), bytes);

	(void)state;
	assert_int_equal(wire_offer_decode(bytes, len, got), 2);
	for (unsigned i = 0; i < ARRAY_COUNT(rails); i++) {
		assert_int_equal(got[i].index, rails[i].index);
		assert_true(address_equal(&got[i].address, &rails[i].address));
	}
	assert_int_equal(wire_offer_decode(bytes, len - 1, got), -EBADMSG);
	bytes[0]++;
	assert_int_equal(wire_offer_decode(bytes, len, got), -EPROTONOSUPPORT);
}

static void test_wire_offer_decode__odd_rails__are_refused(void **state)
{
	const struct wire_rail twice[] = { rail_at(1, "10.0.0.7:1"), rail_at(1, "10.0.0.8:1") };
	const struct wire_rail far = rail_at(TRANSPORT_RAILS_MAX, "10.0.0.7:1");
	const struct wire_rail any = rail_at(0, "0.0.0.0:1"), portless = rail_at(0, "10.0.0.7:0");
	struct wire_rail got[TRANSPORT_RAILS_MAX];
	uint8_t bytes[TRANSPORT_OFFER_MAX];

	(void)state;
	assert_int_equal(wire_offer_decode(bytes, wire_offer_encode(twice, 2, bytes), got),
			 -EBADMSG);
	assert_int_equal(wire_offer_decode(bytes, wire_offer_encode(&far, 1, bytes), got),
			 -EBADMSG);
	assert_int_equal(wire_offer_decode(bytes, wire_offer_encode(&any, 1, bytes), got),
			 -EBADMSG);
	assert_int_equal(wire_offer_decode(bytes, wire_offer_encode(&portless, 1, bytes), got),
			 -EBADMSG);
	assert_int_equal(wire_offer_decode(bytes, wire_offer_encode(NULL, 0, bytes), got),
			 -EBADMSG);
}

static void test_wire_header_decode__a_wrong_length_or_type__is_refused(void **state)
{
	const struct wire_header header = { .type = WIRE_MESSAGE, .credits = 3, .len = 2 };
	struct wire_header got;
	uint8_t bytes[WIRE_HEADER_LEN + 2] = { 0 };

	(void)state;
	wire_header_encode(&header, bytes);
	assert_int_equal(wire_header_decode(bytes, sizeof(bytes), &got), 0);
	assert_int_equal(got.type, WIRE_MESSAGE);
	assert_int_equal(got.credits, 3);
	assert_int_equal(got.len, 2);
	assert_int_equal(wire_header_decode(bytes, sizeof(bytes) - 1, &got), -EBADMSG);
	assert_int_equal(wire_header_decode(bytes, WIRE_HEADER_LEN - 1, &got), -EBADMSG);
	bytes[0] = 0;
	assert_int_equal(wire_header_decode(bytes, sizeof(bytes), &got), -EBADMSG);
	bytes[0] = WIRE_PONG + 1;
	assert_int_equal(wire_header_decode(bytes, sizeof(bytes), &got), -EBADMSG);
}

static void test_wire_keys_decode__bounds(void **state)
{
	static const struct {
		const char *what;
		struct wire_keys keys;
		int result;
	} rows[] = {
		{ "one chunk", { 0, 0, 4096, 4096, 0, 1, NULL }, 0 },
		{ "the last chunk", { 63, 7, 3 * WIRE_CHUNK_LEN, 0, 2, 1, NULL }, 0 },
		{ "no region of that number", { 64, 0, 4096, 0, 0, 1, NULL }, -EBADMSG },
		{ "no rail of that number", { 0, 8, 4096, 0, 0, 1, NULL }, -EBADMSG },
		{ "empty", { 0, 0, 0, 0, 0, 1, NULL }, -EBADMSG },
		{ "beyond the address space", { 0, 0, 2, UINT64_MAX - 1, 0, 1, NULL }, -EBADMSG },
		{ "too many chunks",
		  { 0, 0, (WIRE_CHUNKS_MAX + 1) * WIRE_CHUNK_LEN, 0, 0, 1, NULL },
		  -EBADMSG },
		{ "first behind the end", { 0, 0, 4096, 0, 1, 1, NULL }, -EBADMSG },
		{ "more than there are", { 0, 0, 4096, 0, 0, 2, NULL }, -EBADMSG },
		{ "none", { 0, 0, 4096, 0, 0, 0, NULL }, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t bytes[WIRE_KEYS_HEADER_LEN + 8] = { 0 };
		size_t len = WIRE_KEYS_HEADER_LEN + 4 * (size_t)rows[i].keys.count;
		struct wire_keys got;

		wire_keys_encode(&rows[i].keys, bytes);
		if (wire_keys_decode(bytes, len, &got) != rows[i].result)
			fail_msg("%s", rows[i].what);
		if (rows[i].result)
			continue;
		assert_true(got.len == rows[i].keys.len && got.base == rows[i].keys.base);
		assert_int_equal(got.first, rows[i].keys.first);
		assert_int_equal(wire_keys_decode(bytes, len + 1, &got), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_hello__data__comes_back),
		cmocka_unit_test(test_wire_hello_decode__a_byte_changed__is_refused_or_another),
		cmocka_unit_test(test_wire_welcome__padded_by_the_network__comes_back),
		cmocka_unit_test(test_wire_refusal__each_status__comes_back_with_its_text),
		cmocka_unit_test(test_wire_refusal_encode__a_long_text__is_cut),
		cmocka_unit_test(test_wire_tag__anything_else__differs),
		cmocka_unit_test(test_wire_offer__rails__come_back),
		cmocka_unit_test(test_wire_offer_decode__odd_rails__are_refused),
		cmocka_unit_test(test_wire_header_decode__a_wrong_length_or_type__is_refused),
		cmocka_unit_test(test_wire_keys_decode__bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of tools/bw/note.h: the codec.
 */
#include "tools/bw/note.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static struct note sample(enum note_kind kind)
{
	struct note note = {
		.kind = kind,
		.number = 7,
		.region = 3,
		.clients = 5,
		.region_len = UINT64_C(1) << 40,
		.seed = UINT64_MAX,
		.read_len = 65536,
		.depth = 128,
		.footprint = 12345,
		.verify = 1,
		.reads = 99,
		.corrupt = 1,
		.elapsed_ns = 1000000007,
		.cpu_ns = 42,
		.ports = { 7480, 65535 },
		.port_count = 2,
		.text = "why it cannot be",
	};

	assert_int_equal(address_parse("[fe80::1]:7480", 0, &note.address, (char[64]){ 0 }, 64), 0);
	return note;
}

static void test_decode__what_encode_writes__is_the_same(void **state)
{
	(void)state;
	for (int kind = NOTE_HELLO; kind < NOTE_KIND_END; kind++) {
		struct note note = sample((enum note_kind)kind), decoded;
		uint8_t bytes[NOTE_LEN];

		note_encode(&note, bytes);
		assert_int_equal(note_decode(bytes, sizeof(bytes), &decoded), 0);
		assert_int_equal(decoded.kind, note.kind);
		assert_int_equal(decoded.number, note.number);
		assert_int_equal(decoded.region, note.region);
		assert_int_equal(decoded.clients, note.clients);
		assert_int_equal(decoded.region_len, note.region_len);
		assert_int_equal(decoded.seed, note.seed);
		assert_int_equal(decoded.read_len, note.read_len);
		assert_int_equal(decoded.depth, note.depth);
		assert_int_equal(decoded.footprint, note.footprint);
		assert_int_equal(decoded.verify, note.verify);
		assert_int_equal(decoded.reads, note.reads);
		assert_int_equal(decoded.corrupt, note.corrupt);
		assert_int_equal(decoded.elapsed_ns, note.elapsed_ns);
		assert_int_equal(decoded.cpu_ns, note.cpu_ns);
		assert_int_equal(decoded.port_count, note.port_count);
		assert_memory_equal(decoded.ports, note.ports, sizeof(note.ports));
		assert_string_equal(decoded.text, note.text);
		assert_true(address_equal(&decoded.address, &note.address));
	}
}

/* Offsets of the layout that note.h draws. */
#define AT_MAGIC   0
#define AT_VERSION 4
#define AT_KIND	   6
#define AT_VERIFY  (20 + 5 * 8)
#define AT_ADDRESS (20 + 10 * 8)
#define AT_PORTS   (AT_ADDRESS + ADDRESS_WIRE_LEN)
#define AT_TEXT	   (AT_PORTS + 1 + 2 * NOTE_PORTS_MAX)

static void test_decode__damaged__refused_and_nothing_is_written(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int error;
	} rows[] = {
		{ AT_MAGIC, 0, -EBADMSG },
		{ AT_VERSION, NOTE_VERSION + 1, -EPROTONOSUPPORT },
		{ AT_KIND, 0, -EBADMSG },
		{ AT_KIND, NOTE_KIND_END, -EBADMSG },
		{ AT_KIND + 1, 1, -EBADMSG },
		{ AT_VERIFY, 2, -EBADMSG },
		{ AT_VERIFY + 7, 1, -EBADMSG },
		{ AT_ADDRESS, 9, -EBADMSG },
		{ AT_PORTS, NOTE_PORTS_MAX + 1, -EBADMSG },
		{ AT_PORTS, 3, -EBADMSG }, /* a port 0 among them */
		{ AT_PORTS, 1, -EBADMSG }, /* a port behind the last */
		{ AT_TEXT, '\n', -EBADMSG },
		{ AT_TEXT + 1, 0x7f, -EBADMSG },
		{ AT_TEXT + 1, 0, -EBADMSG }, /* bytes behind its end */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct note note = sample(NOTE_INFO), decoded = { .number = 1234 };
		uint8_t bytes[NOTE_LEN];

		note_encode(&note, bytes);
		bytes[rows[i].at] = rows[i].value;
		if (note_decode(bytes, sizeof(bytes), &decoded) != rows[i].error)
			fail_msg("row %zu: not %d", i, rows[i].error);
		assert_int_equal(decoded.number, 1234);
	}
}

static void test_decode__any_other_length__refused(void **state)
{
	struct note note = sample(NOTE_HELLO), decoded;
	uint8_t bytes[NOTE_LEN + 1] = { 0 };

	(void)state;
	note_encode(&note, bytes);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		if (len != NOTE_LEN)
			assert_int_equal(note_decode(bytes, len, &decoded), -EBADMSG);
}

static void test_decode__text_without_an_end__refused(void **state)
{
	struct note note = sample(NOTE_FAILED), decoded;
	uint8_t bytes[NOTE_LEN];

	(void)state;
	note_encode(&note, bytes);
	memset(bytes + AT_TEXT, 'x', NOTE_TEXT_MAX);
	assert_int_equal(note_decode(bytes, sizeof(bytes), &decoded), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode__what_encode_writes__is_the_same),
		cmocka_unit_test(test_decode__damaged__refused_and_nothing_is_written),
		cmocka_unit_test(test_decode__any_other_length__refused),
		cmocka_unit_test(test_decode__text_without_an_end__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

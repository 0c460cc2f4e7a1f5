/*
 * Tests of fabric/gossip/wire.h.
 */
#include "fabric/gossip/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static struct member_id id_of(uint8_t number)
{
	struct member_id id;

	memset(id.bytes, number, sizeof(id.bytes));
	return id;
}

static struct address address_of(const char *text)
{
	struct address address;
	char problem[128];

	assert_int_equal(address_parse(text, 1, &address, problem, sizeof(problem)), 0);
	return address;
}

static struct wire_details details_of(uint8_t number)
{
	struct wire_details details = {
		.boot = UINT64_C(0x1122334455667788) + number,
		.gossip = address_of("10.0.0.7:7472"),
		.said = { .capacity = UINT64_C(1) << 40, .config = 77 },
	};

	details.said.fabric = address_of("[fd00::7]:7471");
	strcpy(details.said.name, "gpu-7");
	strcpy(details.said.site, "north");
	strcpy(details.said.version, "0.1.0");
	return details;
}

/* One of each sort. */
static void message_fill(struct wire_message *message, enum swim_message_kind kind)
{
	memset(message, 0, sizeof(*message));
	message->kind = kind;
	if (kind != SWIM_GOSSIP)
		message->sequence = 0xdeadbeef;
	if (kind == SWIM_PING || kind == SWIM_PING_REQ)
		message->target = id_of(9);
	message->rumor_count = 5;
	message->rumors[0] = (struct wire_rumor){ .kind = SWIM_RUMOR_ALIVE,
						  .phase = SWIM_SERVING,
						  .detailed = true,
						  .member = id_of(1),
						  .incarnation = 1,
						  .details = details_of(1) };
	message->rumors[1] = (struct wire_rumor){ .kind = SWIM_RUMOR_ALIVE,
						  .phase = SWIM_RESTARTING,
						  .detailed = true,
						  .member = id_of(2),
						  .incarnation = 2,
						  .remaining_ms = 30000,
						  .details = details_of(2) };
	message->rumors[2] = (struct wire_rumor){ .kind = SWIM_RUMOR_SUSPECT,
						  .member = id_of(3),
						  .accuser = id_of(4),
						  .incarnation = 3 };
	message->rumors[3] = (struct wire_rumor){ .kind = SWIM_RUMOR_DEAD,
						  .member = id_of(5),
						  .incarnation = SWIM_INCARNATION_MAX };
	message->rumors[4] = (struct wire_rumor){ .kind = SWIM_RUMOR_LEFT,
						  .phase = SWIM_LEAVING,
						  .detailed = true,
						  .member = id_of(6),
						  .incarnation = 4,
						  .details = details_of(6) };
	message->rumors[4].details.gossip = address_of("[::1]:1");
	memset(&message->rumors[4].details.said.fabric, 0, sizeof(struct address));
	message->rumors[4].details.said.name[0] = '\0';
}

static int decode_exactly(const uint8_t *data, size_t len, struct wire_message *out)
{
	uint8_t *exact = malloc(len ? len : 1);
	int error;

	assert_non_null(exact);
	memcpy(exact, data, len);
	error = wire_message_decode(exact, len, out);
	free(exact);
	return error;
}

static void test_message_decode__what_encode_wrote__is_the_same(void **state)
{
	static struct wire_message in, out;
	uint8_t data[SEAL_PLAIN_MAX], again[SEAL_PLAIN_MAX];

	(void)state;
	for (unsigned kind = SWIM_PING; kind < SWIM_MESSAGE_KINDS; kind++) {
		size_t len, expected;

		message_fill(&in, (enum swim_message_kind)kind);
		len = wire_message_encode(&in, data, sizeof(data));
		expected = wire_message_header_len(in.kind);
		for (unsigned i = 0; i < in.rumor_count; i++)
			expected += wire_rumor_len(&in.rumors[i]);
		assert_int_equal(len, expected);
		memset(&out, 0xee, sizeof(out));
		assert_int_equal(decode_exactly(data, len, &out), 0);
		assert_int_equal(out.sequence, in.sequence);
		assert_int_equal(out.rumor_count, in.rumor_count);
		assert_string_equal(out.rumors[1].details.said.name, "gpu-7");
		assert_int_equal(out.rumors[1].remaining_ms, 30000);
		assert_true(address_equal(&out.rumors[0].details.said.fabric,
					  &in.rumors[0].details.said.fabric));
		assert_int_equal(wire_message_encode(&out, again, sizeof(again)), len);
		assert_memory_equal(again, data, len);
	}
}

static void test_message_decode__cut_anywhere_or_longer__is_refused(void **state)
{
	static struct wire_message in, out;
	uint8_t data[SEAL_PLAIN_MAX + 1] = { 0 };
	size_t len;

	(void)state;
	message_fill(&in, SWIM_PING);
	len = wire_message_encode(&in, data, SEAL_PLAIN_MAX);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(decode_exactly(data, cut, &out), -EBADMSG);
	assert_int_equal(decode_exactly(data, len + 1, &out), -EBADMSG);
}

static void test_message_decode__senseless__is_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t data[48];
		size_t len;
	} rows[] = {
		{ "kind 0", { 0, 0 }, 2 },
		{ "a kind that is none", { SWIM_MESSAGE_KINDS, 0 }, 2 },
		{ "too many rumors", { SWIM_GOSSIP, SWIM_RUMORS_MAX + 1 }, 2 },
		{ "a rumor kind that is none", { SWIM_GOSSIP, 1, 9, [3 ... 18] = 1 }, 23 },
		{ "alive without details", { SWIM_GOSSIP, 1, 1, [3 ... 18] = 1 }, 23 },
		{ "about nobody", { SWIM_GOSSIP, 1, 3 }, 23 },
		{ "accused by nobody", { SWIM_GOSSIP, 1, 0x82, [3 ... 18] = 1 }, 39 },
		{ "a phase that is none", { SWIM_GOSSIP, 1, 0x41, [3 ... 18] = 1, [23] = 9 }, 25 },
		{ "details of no length", { SWIM_GOSSIP, 1, 0x41, [3 ... 18] = 1 }, 25 },
		{ "a ping to nobody", { SWIM_PING }, 22 },
	};
	static struct wire_message out;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		if (decode_exactly(rows[i].data, rows[i].len, &out) != -EBADMSG)
			fail_msg("%s was taken", rows[i].what);
}

static size_t rumor_make(uint8_t out[WIRE_RUMOR_MAX + 8], size_t *out_details_at)
{
	static struct wire_message in;

	message_fill(&in, SWIM_GOSSIP);
	*out_details_at = WIRE_RUMOR_LEN + 1;
	return wire_rumor_encode(&in.rumors[0], out);
}

static void
test_rumor_decode__details_of_a_newer_version__what_is_behind_is_passed_over(void **state)
{
	uint8_t data[WIRE_RUMOR_MAX + 8];
	struct wire_rumor out;
	size_t details_at;
	size_t len = rumor_make(data, &details_at);
	struct wire_reader reader = { data, data + len + 3 };

	(void)state;
	data[details_at] += 3;
	memset(data + len, 0xab, 3);
	assert_int_equal(wire_rumor_decode(&reader, &out), 0);
	assert_ptr_equal(reader.at, reader.end);
	assert_string_equal(out.details.said.version, "0.1.0");
}

static void test_rumor_decode__control_bytes_in_a_name__are_refused(void **state)
{
	uint8_t data[WIRE_RUMOR_MAX + 8];
	struct wire_rumor out;
	size_t details_at;
	size_t len = rumor_make(data, &details_at);
	struct wire_reader reader = { data, data + len };
	uint8_t *name = memmem(data, len, "gpu-7", 5);

	(void)state;
	assert_non_null(name);
	name[1] = '\033';
	assert_int_equal(wire_rumor_decode(&reader, &out), -EBADMSG);
}

static void test_rumor_encode__longest_details__fit(void **state)
{
	static struct wire_message in;
	uint8_t data[WIRE_RUMOR_MAX];
	struct wire_rumor *rumor = &in.rumors[1], out;
	struct wire_reader reader;
	size_t len;

	(void)state;
	message_fill(&in, SWIM_GOSSIP);
	rumor->accuser = id_of(8);
	rumor->details.gossip = rumor->details.said.fabric = address_of("[fd00::7]:7471");
	memset(rumor->details.said.name, 'n', MEMBERSHIP_NAME_MAX - 1);
	memset(rumor->details.said.site, 's', MEMBERSHIP_SITE_MAX - 1);
	memset(rumor->details.said.version, 'v', MEMBERSHIP_VERSION_MAX - 1);
	len = wire_rumor_encode(rumor, data);
	assert_int_equal(len, wire_rumor_len(rumor));
	reader = (struct wire_reader){ data, data + len };
	assert_int_equal(wire_rumor_decode(&reader, &out), 0);
	assert_string_equal(out.details.said.name, rumor->details.said.name);
}

static void test_ask_decode__what_encode_wrote__is_the_same(void **state)
{
	static const struct wire_ask rows[] = {
		{ .kind = WIRE_DIGEST, .number = UINT64_MAX },
		{ .kind = WIRE_SAME },
		{ .kind = WIRE_DIFFERENT },
		{ .kind = WIRE_VIEW },
		{ .kind = WIRE_PING },
		{ .kind = WIRE_PONG },
		{ .kind = WIRE_TWIN, .number = 12345 },
		{ .kind = WIRE_TWIN_ANSWER, .number = 1 },
		{ .kind = WIRE_KEYS, .action = MEMBERSHIP_KEYS_LIST },
		{ .kind = WIRE_KEYS, .action = MEMBERSHIP_KEYS_ADD, .key = { 1, 2, 3 } },
		{ .kind = WIRE_KEYS,
		  .action = MEMBERSHIP_KEYS_USE,
		  .ids = { { 9 } },
		  .id_count = 1 },
		{ .kind = WIRE_KEYS,
		  .action = MEMBERSHIP_KEYS_REMOVE,
		  .ids = { { 8 } },
		  .id_count = 1 },
		{ .kind = WIRE_KEYS_ANSWER,
		  .status = -EIO,
		  .ids = { { 1 }, { 2 } },
		  .id_count = 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t data[WIRE_ASK_MAX + 1] = { 0 };
		size_t len = wire_ask_encode(&rows[i], data);
		struct wire_ask out;

		assert_int_equal(wire_ask_decode(data, len, &out), 0);
		out.rest = (struct wire_reader){ 0 };
		assert_memory_equal(&out, &rows[i], sizeof(out));
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(wire_ask_decode(data, cut, &out), -EBADMSG);
		if (rows[i].kind != WIRE_VIEW)
			assert_int_equal(wire_ask_decode(data, len + 1, &out), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_decode__what_encode_wrote__is_the_same),
		cmocka_unit_test(test_message_decode__cut_anywhere_or_longer__is_refused),
		cmocka_unit_test(test_message_decode__senseless__is_refused),
		cmocka_unit_test(
			test_rumor_decode__details_of_a_newer_version__what_is_behind_is_passed_over),
		cmocka_unit_test(test_rumor_decode__control_bytes_in_a_name__are_refused),
		cmocka_unit_test(test_rumor_encode__longest_details__fit),
		cmocka_unit_test(test_ask_decode__what_encode_wrote__is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Handshakes that somebody meddles with: bytes changed, sent back, replayed, or of no handshake. */
#include "fabric/auth/handshake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fabric/auth/message.h"
#include "tests/unit/fabric/auth/pair.h"

/* Whatever the byte: the client never gets to DONE, and the server only when all that it received
   was as it was sent. */
static void test_handshake__one_changed_byte_on_the_way__is_never_agreed(void **state)
{
	/* the messages' lengths in the order in which they are sent */
	static const size_t lens[] = { 152, 160, 40, 8 + 1 + 16 + 32 };
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (size_t message = 0; message < ARRAY_COUNT(lens); message++) {
		for (size_t off = 0; off < lens[message]; off++) {
			struct handshake *sides[] = { &pair.from_client, &pair.from_server };

			pair_begin(&pair);
			for (size_t step = 0; step < message; step++)
				pair_step(sides[step % 2], sides[(step + 1) % 2], 0);
			assert_int_equal(sides[message % 2]->out_len, lens[message]);
			sides[message % 2]->out[off] ^= 0x40;
			pair_run(&pair, 0);
			assert_int_not_equal(pair.from_client.state, HANDSHAKE_DONE);
			if (message < 3)
				assert_int_not_equal(pair.from_server.state, HANDSHAKE_DONE);
			/* but for lengths that promise more than comes, it is noticed */
			if (message < 3 && (off < 6 || off > 7))
				assert_int_equal(pair.from_server.state, HANDSHAKE_REFUSED);
		}
	}
	pair_fini(&pair);
}

static void test_client__its_own_messages_sent_back__is_refused(void **state)
{
	uint8_t echo[HANDSHAKE_MESSAGE_MAX], proof[64];
	struct handshake *client;
	size_t len;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	client = &pair.from_client;
	len = client->out_len;
	memcpy(echo, client->out, len);
	handshake_sent(client, len);
	assert_int_equal(handshake_input(client, echo, len), -EPROTO);
	assert_non_null(strstr(client->problem, "echoed"));

	/* the client's PROOF in place of the server's WELCOME */
	pair_begin(&pair);
	pair_step(&pair.from_client, &pair.from_server, 0);
	pair_step(&pair.from_server, &pair.from_client, 0);
	len = client->out_len;
	memcpy(proof, client->out, len);
	handshake_sent(client, len);
	assert_int_equal(handshake_input(client, proof, len), -EPROTO);

	/* dressed up as one: the HMACs differ by role */
	pair_begin(&pair);
	pair_step(&pair.from_client, &pair.from_server, 0);
	pair_step(&pair.from_server, &pair.from_client, 0);
	message_encode_header(MESSAGE_WELCOME, MESSAGE_WELCOME_LEN_MIN, echo);
	echo[MESSAGE_HEADER_LEN] = 0;
	memcpy(echo + MESSAGE_HEADER_LEN + 1, client->out + MESSAGE_HEADER_LEN, MESSAGE_MAC_LEN);
	assert_int_equal(
		handshake_input(client, echo, MESSAGE_HEADER_LEN + MESSAGE_WELCOME_LEN_MIN),
		-EACCES);
	pair_fini(&pair);
}

/* The server's CHALLENGE carries an HMAC that must not do as the client's PROOF. */
static void test_server__its_own_hmac_sent_back__is_refused(void **state)
{
	uint8_t proof[MESSAGE_HEADER_LEN + MESSAGE_MAC_LEN];
	struct handshake *server;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	server = &pair.from_server;
	pair_step(&pair.from_client, server, 0);
	message_encode_header(MESSAGE_PROOF, MESSAGE_MAC_LEN, proof);
	memcpy(proof + MESSAGE_HEADER_LEN, server->out + server->out_len - MESSAGE_MAC_LEN,
	       MESSAGE_MAC_LEN);
	assert_int_equal(handshake_input(server, proof, sizeof(proof)), -EACCES);
	assert_non_null(strstr(server->problem, "the client did not prove"));
	pair_fini(&pair);
}

/* What each side said, recorded. */
struct record {
	uint8_t bytes[2 * HANDSHAKE_MESSAGE_MAX];
	size_t len;
};

static void record(struct record *record, const struct handshake *handshake)
{
	memcpy(record->bytes + record->len, handshake->out, handshake->out_len);
	record->len += handshake->out_len;
}

static void test_handshake__replayed__is_refused(void **state)
{
	uint8_t fresh[HANDSHAKE_NONCE_LEN] = { 0xf5 };
	struct record client = { .len = 0 }, server = { .len = 0 };
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	while (pair.from_client.out_len || pair.from_server.out_len) {
		record(&client, &pair.from_client);
		pair_step(&pair.from_client, &pair.from_server, 0);
		record(&server, &pair.from_server);
		pair_step(&pair.from_server, &pair.from_client, 0);
	}
	pair_assert_agreed(&pair);

	handshake_init_server(&pair.from_server, &pair.server, fresh, 2, NULL, 0);
	assert_int_equal(handshake_input(&pair.from_server, client.bytes, client.len), -EACCES);
	assert_non_null(strstr(pair.from_server.problem, "wrong secret"));
	assert_int_equal(handshake_init_client(&pair.from_client, &pair.client, NULL, fresh), 0);
	assert_int_equal(handshake_input(&pair.from_client, server.bytes, server.len), -EACCES);
	assert_non_null(strstr(pair.from_client.problem, "wrong secret"));
	pair_fini(&pair);
}

static void test_handshake__what_is_none__is_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *name;
	} rows[] = {
#define ROW(bytes, name) { bytes, sizeof(bytes) - 1, name }
		ROW("GET / HTTP/1.1\r\n\r\n", "speaks HTTP (its first byte is 0x47)"),
		ROW("PRI * HTTP/2.0\r\n", "HTTP/2"),
		ROW("\x16\x03\x01\x02\x00\x01\x00\x01", "TLS"),
		ROW("SSH-2.0-OpenSSH", "SSH"),
		ROW("\0\0\0\0", "something else (its first byte is 0x00)"),
		ROW("G", "something else (its first byte is 0x47)"),
		ROW("\xcenox", "something else (its first byte is 0xce)"),
#undef ROW
	};
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct handshake *server = &pair.from_server, *client = &pair.from_client;
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;

		pair_begin(&pair);
		handshake_sent(client, client->out_len);
		assert_int_equal(handshake_input(client, bytes, rows[i].len), -EPROTO);
		assert_true(client->foreign);
		assert_non_null(strstr(client->problem, rows[i].name));
		assert_int_equal(handshake_input(server, bytes, rows[i].len), -EPROTO);
		assert_true(server->foreign);
		assert_non_null(strstr(server->problem, rows[i].name));
		assert_int_equal(handshake_input(server, bytes, rows[i].len), -EPROTO);
	}
	pair_fini(&pair);
}

static void test_handshake__messages_out_of_order_or_length__are_refused(void **state)
{
	static const struct {
		enum message_type type;
		size_t len;
		const char *text;
	} rows[] = {
		{ MESSAGE_CHALLENGE, MESSAGE_CHALLENGE_LEN, "type 2 came where HELLO is due" },
		{ MESSAGE_PROOF, MESSAGE_MAC_LEN, "type 3 came where HELLO is due" },
		{ 0, 0, "type 0 came where HELLO is due" },
		{ MESSAGE_HELLO, MESSAGE_HELLO_LEN - 1, "a HELLO of 143 bytes" },
		{ MESSAGE_HELLO, MESSAGE_HELLO_LEN + 1, "a HELLO of 145 bytes" },
		{ MESSAGE_REFUSAL, 1, "a REFUSAL of 1 bytes" },
		{ MESSAGE_REFUSAL, MESSAGE_REFUSAL_LEN_MAX + 1, "a REFUSAL of 203 bytes" },
	};
	uint8_t header[MESSAGE_HEADER_LEN];
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		pair_begin(&pair);
		message_encode_header(rows[i].type, rows[i].len, header);
		assert_int_equal(handshake_input(&pair.from_server, header, sizeof(header)),
				 -EPROTO);
		assert_non_null(strstr(pair.from_server.problem, rows[i].text));
		assert_false(pair.from_server.foreign);
	}
	pair_fini(&pair);
}

static void test_handshake__a_garbled_cluster_name__is_refused(void **state)
{
	static const size_t offs[] = { MESSAGE_HEADER_LEN + 5,
				       MESSAGE_HEADER_LEN + CLUSTER_NAME_MAX - 1 };
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (size_t i = 0; i < ARRAY_COUNT(offs); i++) {
		pair_begin(&pair);
		pair.from_client.out[offs[i]] = 'x';
		pair_run(&pair, 0);
		pair_assert_refused(&pair, -EPROTO, "a field is garbled");
	}
	pair_begin(&pair);
	memset(pair.from_client.out + MESSAGE_HEADER_LEN, 'x', CLUSTER_NAME_MAX);
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EPROTO, "a field is garbled");
	pair_fini(&pair);
}

static void test_input__bytes_behind_the_end__are_refused(void **state)
{
	struct handshake *client, *server;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	client = &pair.from_client;
	server = &pair.from_server;
	pair_step(client, server, 0);
	pair_step(server, client, 0);
	client->out[client->out_len++] = 0;
	assert_int_equal(pair_step(client, server, 0), -EPROTO);
	/* The WELCOME that was not sent is not sent any more. */
	assert_int_equal(pair_step(server, client, 0), -EPROTO);
	assert_true(client->by_other);

	pair_begin(&pair);
	pair_run(&pair, 0);
	pair_assert_agreed(&pair);
	assert_int_equal(handshake_input(client, (const uint8_t *)"x", 1), -EPROTO);
	pair_assert_no_secret(client);
	pair_fini(&pair);
}

/* A refusal's text is of somebody who is not known to be of ours. */
static void test_refusal__any_text__is_printed_safely(void **state)
{
	uint8_t message[MESSAGE_HEADER_LEN + MESSAGE_REFUSAL_LEN_MAX];
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (unsigned byte = 0; byte < 256; byte++) {
		pair_begin(&pair);
		message_encode_header(MESSAGE_REFUSAL, MESSAGE_REFUSAL_LEN_MAX, message);
		memset(message + MESSAGE_HEADER_LEN, (int)byte, MESSAGE_REFUSAL_LEN_MAX);
		assert_true(handshake_input(&pair.from_client, message, sizeof(message)) < 0);
		assert_int_equal(strlen(pair.from_client.problem), 22 + MESSAGE_TEXT_MAX);
		for (const char *p = pair.from_client.problem; *p; p++)
			assert_true(*p >= ' ' && *p <= '~');
		assert_int_equal(pair.from_client.out_len, 152); /* nothing is answered */
	}
	pair_fini(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake__one_changed_byte_on_the_way__is_never_agreed),
		cmocka_unit_test(test_client__its_own_messages_sent_back__is_refused),
		cmocka_unit_test(test_server__its_own_hmac_sent_back__is_refused),
		cmocka_unit_test(test_handshake__replayed__is_refused),
		cmocka_unit_test(test_handshake__what_is_none__is_named),
		cmocka_unit_test(test_handshake__messages_out_of_order_or_length__are_refused),
		cmocka_unit_test(test_handshake__a_garbled_cluster_name__is_refused),
		cmocka_unit_test(test_input__bytes_behind_the_end__are_refused),
		cmocka_unit_test(test_refusal__any_text__is_printed_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

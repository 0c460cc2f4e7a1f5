/* The listening side over real sockets: who connects to it, and what becomes of him. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "fabric/auth/message.h"
#include "tests/unit/fabric/auth/meeting.h"

#define SAME_ADDRESS_MAX (GREETINGS_SERVED_MAX / 4)

static struct meeting meeting;

static int begin(void **state)
{
	(void)state;
	meeting_init(&meeting, "127.0.0.1");
	return 0;
}

static int finish(void **state)
{
	(void)state;
	meeting_fini(&meeting);
	return 0;
}

/* All that the server sends until it closes. */
static size_t read_all(int fd, uint8_t *out, size_t size)
{
	size_t len = 0;
	ssize_t got;

	for (;;) {
		got = recv(fd, out + len, size - len, MSG_DONTWAIT);
		if (got == 0)
			return len;
		if (got > 0)
			len += (size_t)got;
		else if (errno == EAGAIN)
			meeting_turn(&meeting);
		else
			fail_msg("recv: %s", strerror(errno));
	}
}

/* The text of the one REFUSAL that the server answers with. */
static void read_refusal(int fd, uint16_t *out_code, char text[MESSAGE_TEXT_MAX + 1])
{
	uint8_t bytes[1024];
	size_t len = read_all(fd, bytes, sizeof(bytes));
	struct message_header header;

	assert_true(len >= MESSAGE_HEADER_LEN + MESSAGE_REFUSAL_LEN_MIN);
	assert_memory_equal(bytes, message_magic, MESSAGE_MAGIC_LEN);
	header = message_decode_header(bytes);
	assert_int_equal(header.type, MESSAGE_REFUSAL);
	assert_int_equal(header.len, len - MESSAGE_HEADER_LEN);
	message_decode_refusal(bytes + MESSAGE_HEADER_LEN, header.len, out_code, text);
}

static void assert_closed(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char byte;

	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void test_served__who_proves_himself__gets_the_offer_and_one_proof(void **state)
{
	struct outcome outcome;
	struct member_id member;
	uint64_t boot, now_ns = clock_now_ns(&meeting.clock.clock);

	(void)state;
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, 0);
	assert_int_equal(outcome.handshake.kind, 2);
	assert_int_equal(outcome.handshake.offer_len, 16);
	assert_memory_equal(outcome.handshake.offer, "where to connect", 16);
	assert_int_equal(proofs_take(&meeting.proofs, outcome.handshake.proof, HANDSHAKE_PROOF_LEN,
				     now_ns, &member, &boot),
			 0);
	assert_true(member_id_equal(&member, &meeting.pair.client.member));
	assert_int_equal(boot, meeting.pair.client.boot);
	assert_int_equal(proofs_take(&meeting.proofs, outcome.handshake.proof, HANDSHAKE_PROOF_LEN,
				     now_ns, &member, &boot),
			 -EACCES);
	meeting_idle(&meeting);
	assert_int_equal(meeting.refused_count, 0);
}

static void test_served__another_secret__is_told_to_both(void **state)
{
	uint8_t ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN];
	struct outcome outcome;

	(void)state;
	pair_add_key(meeting.pair.rings[0], 7);
	keyring_list(meeting.pair.rings[0], ids);
	assert_int_equal(keyring_use(meeting.pair.rings[0], ids[1]), 0);
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -EACCES);
	assert_non_null(strstr(outcome.problem, "the server refuses: \"wrong secret"));
	assert_int_equal(meeting.refused_count, 1);
	assert_int_equal(meeting.refused_status, -EACCES);
	assert_non_null(strstr(meeting.refused_problem, "wrong secret: the client's key"));
	meeting_idle(&meeting);
}

/* The server's answer is changed on the way: the client refuses, and the server hears of it. */
static void test_served__refused_by_the_client__is_told(void **state)
{
	struct handshake hello;
	static const uint8_t body[] = { 4, 0, 'n', 'o', 't', ' ', 'm', 'e' };
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 5 }, refusal[64];
	int fd = meeting_connect(&meeting, 0);

	(void)state;
	assert_int_equal(handshake_init_client(&hello, &meeting.pair.client, NULL, nonce), 0);
	assert_int_equal(send(fd, hello.out, hello.out_len, 0), hello.out_len);
	message_encode_header(MESSAGE_REFUSAL, sizeof(body), refusal);
	memcpy(refusal + MESSAGE_HEADER_LEN, body, sizeof(body));
	assert_int_equal(send(fd, refusal, MESSAGE_HEADER_LEN + 8, 0), MESSAGE_HEADER_LEN + 8);
	meeting_until(&meeting, &meeting.refused_count, 1);
	assert_int_equal(meeting.refused_status, -EREMCHG);
	assert_string_equal(meeting.refused_problem, "the client refuses: \"not me\"");
	assert_false(meeting.refused_foreign);
	close(fd);
}

static void test_served__what_is_no_handshake__is_answered_and_closed(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, "speaks HTTP" },
		{ "\x16\x03\x01\x02\x00\x01", 6, "speaks TLS" },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, "something else" },
	};
	char text[MESSAGE_TEXT_MAX + 1];
	uint16_t code;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		int fd = meeting_connect(&meeting, 0);

		assert_int_equal(send(fd, rows[i].bytes, rows[i].len, 0), rows[i].len);
		read_refusal(fd, &code, text);
		assert_int_equal(code, MESSAGE_CODE_PROTOCOL);
		assert_non_null(strstr(text, rows[i].text));
		assert_int_equal(meeting.refused_count, i + 1);
		assert_int_equal(meeting.refused_foreign, 1);
		assert_int_equal(meeting.refused_status, -EPROTO);
		close(fd);
	}
	meeting_idle(&meeting);
}

/* The refusal must not be lost to a reset, and the sender must not hold a place for ever. */
static void test_served__an_endless_stream_of_garbage__is_refused_and_bounded(void **state)
{
	static uint8_t garbage[256 * 1024];
	char text[MESSAGE_TEXT_MAX + 1];
	uint8_t answer[1024];
	int fd = meeting_connect(&meeting, 0);
	size_t total = 0;
	ssize_t got;

	(void)state;
	memset(garbage, 'x', sizeof(garbage));
	while (greeter_next_ns(meeting.server) == CLOCK_NEVER)
		meeting_turn(&meeting);
	while (greeter_next_ns(meeting.server) != CLOCK_NEVER) {
		ssize_t sent = send(fd, garbage, sizeof(garbage), MSG_DONTWAIT | MSG_NOSIGNAL);

		total += sent > 0 ? (size_t)sent : 0;
		assert_true(total < 64 << 20);
		meeting_settle(&meeting);
	}
	got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	assert_true(got > MESSAGE_HEADER_LEN + MESSAGE_REFUSAL_LEN_MIN);
	message_printable(answer + 10, (size_t)got - 10, text);
	assert_non_null(strstr(text, "not a handshake"));
	assert_int_equal(meeting.refused_count, 1);
	close(fd);
}

static void test_served__refused_and_still_there__is_closed_in_time(void **state)
{
	int fd = meeting_connect(&meeting, 0);
	char text[MESSAGE_TEXT_MAX + 1];
	uint16_t code;

	(void)state;
	assert_int_equal(send(fd, "x", 1, 0), 1);
	read_refusal(fd, &code, text);
	assert_true(greeter_next_ns(meeting.server) <=
		    clock_now_ns(&meeting.clock.clock) + NS_PER_S);
	clock_manual_advance(&meeting.clock, NS_PER_S);
	greeter_poll(meeting.server);
	assert_true(greeter_next_ns(meeting.server) == CLOCK_NEVER);
	assert_int_equal(meeting.refused_count, 1);
	close(fd);
}

static void test_served__who_leaves__is_told(void **state)
{
	static const struct {
		size_t said;
		bool foreign;
		const char *text;
	} rows[] = {
		{ 0, true, "left without a word" },
		{ 10, true, "in the middle" },
		{ 152, false, "in the middle" },
	};
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 5 };
	struct handshake hello;

	(void)state;
	assert_int_equal(handshake_init_client(&hello, &meeting.pair.client, NULL, nonce), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		int fd = meeting_connect(&meeting, 0);

		if (rows[i].said)
			assert_int_equal(send(fd, hello.out, rows[i].said, 0), rows[i].said);
		shutdown(fd, SHUT_WR); /* a half-close: nothing more can come of it */
		meeting_until(&meeting, &meeting.refused_count, i + 1);
		assert_int_equal(meeting.refused_status, -ECONNRESET);
		assert_int_equal(meeting.refused_foreign, rows[i].foreign);
		assert_non_null(strstr(meeting.refused_problem, rows[i].text));
		close(fd);
	}
}

/* Who ends his side after PROOF has said all that he has to say. */
static void test_served__half_closed_after_the_proof__is_welcomed(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 5 }, piece[HANDSHAKE_MESSAGE_MAX];
	int fd = meeting_connect(&meeting, 0);
	struct handshake client;
	size_t len;

	(void)state;
	assert_int_equal(handshake_init_client(&client, &meeting.pair.client, NULL, nonce), 0);
	assert_int_equal(send(fd, client.out, client.out_len, 0), client.out_len);
	handshake_sent(&client, client.out_len);
	while (client.state == HANDSHAKE_WAITS_CHALLENGE) {
		ssize_t got = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);

		if (got < 0)
			meeting_turn(&meeting);
		else
			handshake_input(&client, piece, (size_t)got);
	}
	assert_int_equal(send(fd, client.out, client.out_len, 0), client.out_len);
	shutdown(fd, SHUT_WR);
	len = read_all(fd, piece, sizeof(piece));
	assert_int_equal(handshake_input(&client, piece, len), 1);
	assert_int_equal(meeting.refused_count, 0);
	close(fd);
	handshake_fini(&client);
}

/* One byte now and then does not buy more time. */
static void test_served__a_slow_talker__is_closed_when_patience_ends(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 5 };
	int fd = meeting_connect(&meeting, 0);
	struct handshake hello;

	(void)state;
	assert_int_equal(handshake_init_client(&hello, &meeting.pair.client, NULL, nonce), 0);
	meeting_turn(&meeting);
	for (unsigned i = 0; i < 49; i++) {
		assert_int_equal(send(fd, hello.out + i, 1, 0), 1);
		clock_manual_advance(&meeting.clock, GREETING_PATIENCE_NS / 50);
		meeting_settle(&meeting);
		assert_int_equal(meeting.refused_count, 0);
	}
	clock_manual_advance(&meeting.clock, GREETING_PATIENCE_NS / 50);
	meeting_settle(&meeting);
	assert_int_equal(meeting.refused_count, 1);
	assert_int_equal(meeting.refused_status, -ETIMEDOUT);
	assert_int_equal(meeting.refused_foreign, 1);
	assert_closed(fd);
	close(fd);
}

static void test_served__many_from_one_address__leave_room_for_others(void **state)
{
	int fds[SAME_ADDRESS_MAX + 1];
	char text[MESSAGE_TEXT_MAX + 1];
	struct outcome outcome;
	uint16_t code;

	(void)state;
	for (unsigned i = 0; i <= SAME_ADDRESS_MAX; i++) {
		fds[i] = meeting_connect(&meeting, 2);
		meeting_settle(&meeting);
	}
	read_refusal(fds[SAME_ADDRESS_MAX], &code, text);
	assert_int_equal(code, MESSAGE_CODE_BUSY);
	assert_non_null(strstr(text, "too many handshakes with the client's address"));
	assert_int_equal(meeting.refused_status, -EBUSY);
	assert_int_equal(meeting.refused_count, 1);

	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, 0);
	for (unsigned i = 0; i <= SAME_ADDRESS_MAX; i++)
		close(fds[i]);
	meeting_until(&meeting, &meeting.refused_count, 1 + SAME_ADDRESS_MAX);
}

static void test_served__all_places_silent__the_oldest_gives_way(void **state)
{
	int fds[GREETINGS_SERVED_MAX];
	struct outcome outcome;
	char byte;

	(void)state;
	for (unsigned i = 0; i < GREETINGS_SERVED_MAX; i++) {
		fds[i] = meeting_connect(&meeting, 2 + i / SAME_ADDRESS_MAX);
		meeting_settle(&meeting);
		clock_manual_advance(&meeting.clock, NS_PER_MS);
	}
	assert_int_equal(meeting.refused_count, 0);
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -EBUSY);
	assert_non_null(strstr(outcome.problem, "the server refuses: \"the server is busy"));
	assert_int_equal(meeting.refused_count, 1);

	clock_manual_advance(&meeting.clock, NS_PER_S - GREETINGS_SERVED_MAX * NS_PER_MS);
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, 0);
	assert_closed(fds[0]);
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(meeting.refused_count, 2);
	for (unsigned i = 0; i < GREETINGS_SERVED_MAX; i++)
		close(fds[i]);
}

static void test_served__no_room_for_the_proof__is_busy(void **state)
{
	struct handshake agreed = { .state = HANDSHAKE_DONE };
	struct outcome outcome;

	(void)state;
	for (unsigned i = 0; i < PROOFS_MAX; i++)
		assert_int_equal(
			proofs_add(&meeting.proofs, &agreed, clock_now_ns(&meeting.clock.clock)),
			0);
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, -EBUSY);
	assert_int_equal(meeting.refused_status, -EBUSY);
	meeting_settle(&meeting);
	clock_manual_advance(&meeting.clock, PROOFS_LIFE_NS);
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, 0);
}

static void test_served__no_descriptor_left__waits_instead_of_spinning(void **state)
{
	struct rlimit old, tight;
	struct outcome outcome;
	int fd = meeting_connect(&meeting, 0);

	(void)state;
	meeting_start(&meeting, &outcome);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 2; /* as many as poll(2) is given */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	while (greeter_next_ns(meeting.server) == CLOCK_NEVER)
		meeting_turn(&meeting);
	meeting_settle(&meeting); /* ends: the listener does not keep the server awake */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(outcome.count, 0);

	clock_manual_advance(&meeting.clock, 100 * NS_PER_MS);
	meeting_until(&meeting, &outcome.count, 1);
	assert_int_equal(outcome.status, 0);
	close(fd);
}

static void test_listen__over_ipv6__works(void **state)
{
	static const char *const hosts[] = { "[::1]", "[::]" };
	struct address address;
	struct outcome outcome;
	char problem[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
		uint16_t port;

		finish(state);
		meeting_init(&meeting, hosts[i]);
		port = address_port(&meeting.address);
		assert_int_equal(address_parse("::1", port, &meeting.address, problem, 128), 0);
		meeting_start(&meeting, &outcome);
		meeting_until(&meeting, &outcome.count, 1);
		assert_int_equal(outcome.status, 0);
		/* [::] is every address, IPv4's too */
		assert_int_equal(address_parse("127.0.0.1", port, &address, problem, 128), 0);
		meeting.address = address;
		meeting_start(&meeting, &outcome);
		meeting_until(&meeting, &outcome.count, 1);
		assert_int_equal(outcome.status, i ? 0 : -ECONNREFUSED);
	}
}

static void test_listen__where_it_cannot__says_why(void **state)
{
	struct address elsewhere, bound;
	char problem[256], text[ADDRESS_TEXT_MAX];

	(void)state;
	address_text(&meeting.address, text);
	assert_int_equal(greeter_listen(meeting.client, &meeting.address, 1, NULL, 0, &bound,
					problem, sizeof(problem)),
			 -EADDRINUSE);
	assert_non_null(strstr(problem, text));
	assert_non_null(strstr(problem, "EADDRINUSE"));
	assert_int_equal(address_parse("192.0.2.1", 0, &elsewhere, problem, sizeof(problem)), 0);
	assert_int_equal(greeter_listen(meeting.client, &elsewhere, 1, NULL, 0, &bound, problem,
					sizeof(problem)),
			 -EADDRNOTAVAIL);
	/* and may try again */
	address_set_port(&meeting.address, 0);
	assert_int_equal(greeter_listen(meeting.client, &meeting.address, 1, NULL, 0, &bound,
					problem, sizeof(problem)),
			 0);
}

/* A restarted daemon listens where it did, although old connections are not forgotten yet. */
static void test_listen__again_at_once__gets_its_port(void **state)
{
	struct outcome outcome;
	struct address bound;
	char problem[256];
	const struct greeter_events nobody = { 0 };

	(void)state;
	meeting_start(&meeting, &outcome);
	meeting_until(&meeting, &outcome.count, 1);
	greeter_destroy(meeting.server);
	assert_int_equal(greeter_create(&meeting.pair.server, &meeting.clock.clock, &meeting.proofs,
					&nobody, &meeting.server),
			 0);
	assert_int_equal(greeter_listen(meeting.server, &meeting.address, 2, NULL, 0, &bound,
					problem, sizeof(problem)),
			 0);
	assert_true(address_equal(&bound, &meeting.address));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(test_served__who_proves_himself__gets_the_offer_and_one_proof),
		TEST(test_served__another_secret__is_told_to_both),
		TEST(test_served__refused_by_the_client__is_told),
		TEST(test_served__what_is_no_handshake__is_answered_and_closed),
		TEST(test_served__an_endless_stream_of_garbage__is_refused_and_bounded),
		TEST(test_served__refused_and_still_there__is_closed_in_time),
		TEST(test_served__who_leaves__is_told),
		TEST(test_served__half_closed_after_the_proof__is_welcomed),
		TEST(test_served__a_slow_talker__is_closed_when_patience_ends),
		TEST(test_served__many_from_one_address__leave_room_for_others),
		TEST(test_served__all_places_silent__the_oldest_gives_way),
		TEST(test_served__no_room_for_the_proof__is_busy),
		TEST(test_served__no_descriptor_left__waits_instead_of_spinning),
		TEST(test_listen__over_ipv6__works),
		TEST(test_listen__where_it_cannot__says_why),
		TEST(test_listen__again_at_once__gets_its_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

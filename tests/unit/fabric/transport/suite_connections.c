/*
 * suite_connections.c - who may connect, and what becomes of connections.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/fabric/transport/suite.h"

static void test_transport_peer__connected__is_known_on_both_sides(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	int mark;

	assert_true(member_id_is_none(transport_peer_member(peer)));
	assert_false(transport_peer_is_up(peer));
	assert_int_equal(transport_peer_region_len(peer, 0), 0);
	assert_ptr_equal(suite_peer(a, b), peer);
	assert_int_equal(transport_peer_kind(peer), TRANSPORT_PEER_ACTIVE);
	assert_int_equal(transport_peer_connect(peer), 0);
	suite_wait(suite, &a->ups, 1, "up");
	suite_wait(suite, &b->ups, 1, "up, there");
	assert_true(member_id_equal(transport_peer_member(peer), &b->identity.member));
	assert_true(member_id_equal(transport_peer_member(b->passive), &a->identity.member));
	assert_int_equal(transport_peer_kind(b->passive), TRANSPORT_PEER_PASSIVE);
	assert_true(address_equal(transport_peer_address(peer), &b->address));
	transport_peer_set_context(peer, &mark);
	assert_ptr_equal(transport_peer_context(peer), &mark);
	assert_int_equal(suite_count(a, TRANSPORT_CONNECTS), 1);
	assert_int_equal(suite_count(b, TRANSPORT_ACCEPTS), 1);
	assert_int_equal(suite_count(a, TRANSPORT_PEERS_ACTIVE), 1);
	assert_int_equal(suite_count(b, TRANSPORT_PEERS_PASSIVE), 1);
	transport_peer_put(peer);
	assert_int_equal(transport_peer_connect(peer), 0);
}

static void test_transport_read__refused__says_why_on_both_sides(void **state)
{
	static const struct {
		const char *cluster;
		uint8_t key;
		bool other_member;
		int status;
	} rows[] = {
		{ "suite", 2, false, -EACCES },
		{ "another", 1, false, -EACCES },
		{ "suite", 1, true, -EREMCHG },
	};
	struct suite *suite = *state;
	struct suite_node *b = suite_node_add(suite);

	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct suite_node *a = suite_node_prepare(suite, rows[i].cluster, rows[i].key);
		struct suite_read read = { .read.region = b->readable };
		struct transport_peer *peer;
		struct member_id other = { .bytes = { 99 } };

		/* refused is refused for as long as the test takes on a slow machine */
		a->config.retry_min = a->config.retry_max = 100 * NS_PER_S;
		suite_node_open(suite, a);
		assert_int_equal(transport_peer_get(a->transport, &b->address,
						    rows[i].other_member ? &other : NULL, &peer),
				 0);
		assert_int_equal(suite_read_start(&read, a, peer, 0, 1000, 0), 0);
		assert_int_equal(suite_read_wait(suite, &read), rows[i].status);
		suite_wait(suite, &a->downs, 1, "being told");
		assert_int_equal(a->down_status, rows[i].status);
		assert_true(strlen(a->down_why) > 10);
		print_message("refused: %s\n", a->down_why);
		assert_int_equal(suite_read_start(&read, a, peer, 0, 1000, 0), rows[i].status);
		while (suite_count(b, TRANSPORT_REFUSALS) < i + 1)
			suite_pump(suite);
		suite_node_close(a);
	}
	assert_int_equal(suite_count(b, TRANSPORT_REFUSALS), ARRAY_COUNT(rows));
	assert_int_equal(b->ups, 0);
}

/* A pause is at most its base, which doubles from retry_min to retry_max. */
static void test_transport_read__nobody_listens__backs_off_longer_each_time(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	const struct clock *clock = suite->backend->clock;
	struct transport_peer *peer = suite_peer(a, b);
	uint64_t base_ns = a->config.retry_min;

	suite_node_close(b);
	for (unsigned i = 1; i <= 5; i++) {
		struct suite_read read = { .read.region = b->readable };
		uint64_t retry_ns;

		assert_int_equal(suite_read_start(&read, a, peer, 0, 1000, 0), 0);
		assert_int_equal(suite_read_wait(suite, &read), -EHOSTUNREACH);
		suite_wait(suite, &a->downs, i, "being told");
		retry_ns = transport_peer_retry_ns(peer);
		assert_true(retry_ns <= clock_now_ns(clock) + base_ns);
		while (clock_now_ns(clock) < retry_ns)
			suite_pump(suite);
		assert_int_equal(transport_peer_retry_ns(peer), 0);
		base_ns = base_ns * 2 < a->config.retry_max ? base_ns * 2 : a->config.retry_max;
	}
	assert_int_equal(suite_count(a, TRANSPORT_CONNECT_FAILURES), 5);
}

static void test_transport_read__during_back_off__is_ehostunreach(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *b = suite_node_add(suite);
	struct suite_read read = { .read.region = b->readable };
	struct suite_message message = { 0 };
	struct transport_peer *peer;

	a->config.retry_min = a->config.retry_max = 100 * NS_PER_S;
	suite_node_open(suite, a);
	peer = suite_peer(a, b);
	suite_node_close(b);
	assert_int_equal(suite_read_start(&read, a, peer, 0, 1000, 0), 0);
	assert_int_equal(suite_read_wait(suite, &read), -EHOSTUNREACH);
	assert_int_equal(suite_read_start(&read, a, peer, 0, 1000, 0), -EHOSTUNREACH);
	assert_int_equal(suite_message_start(&message, a, peer, 0, 100), -EHOSTUNREACH);
	assert_int_equal(transport_peer_connect(peer), -EHOSTUNREACH);
	assert_true(transport_peer_retry_ns(peer) > clock_now_ns(suite->backend->clock));
}

static void read_again(struct suite *suite, struct suite_node *a, const struct suite_node *b)
{
	struct suite_read read = { .read.region = b->readable };
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	assert_int_equal(suite_read_start(&read, a, peer, 77, 7777, 0), 0);
	assert_int_equal(suite_read_wait(suite, &read), 0);
	assert_true(suite_read_right(&read));
	transport_peer_put(peer);
}

static void test_transport_read__peer_back_at_its_address__is_read_again(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);

	for (unsigned i = 1; i <= 3; i++) {
		read_again(suite, a, b);
		suite_node_close(b);
		suite_wait(suite, &a->downs, i, "the end of the connection");
		assert_false(transport_peer_is_up(peer));
		b->identity.boot++;
		suite_node_open(suite, b);
	}
	read_again(suite, a, b);
}

#define FLYING 200

static void start_many(struct suite_read *reads, struct suite_node *a, struct transport_peer *peer,
		       uint32_t region)
{
	for (unsigned i = 0; i < FLYING; i++) {
		reads[i] = (struct suite_read){ .read.region = region,
						.scribble = true,
						.scribbled = (uint8_t)(i | 1) };
		assert_int_equal(
			suite_read_start(&reads[i], a, peer, i * 100UL, 16000, i * 16384UL), 0);
	}
}

/* What done() wrote is still there. */
static void assert_untouched(const struct suite_read *reads)
{
	for (unsigned i = 0; i < FLYING; i++) {
		const uint8_t *at = reads[i].read.dst;

		for (size_t byte = 0; byte < reads[i].read.len; byte++)
			assert_int_equal(at[byte], reads[i].scribbled);
	}
}

static void assert_ended(const struct suite_read *reads, int status)
{
	for (unsigned i = 0; i < FLYING; i++) {
		assert_int_equal(reads[i].calls, 1);
		if (reads[i].read.status)
			assert_int_equal(reads[i].read.status, status);
	}
}

static void test_transport_peer_put__reads_in_flight__end_ecanceled(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, FLYING, sizeof(*reads));
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	start_many(reads, a, peer, b->readable);
	transport_peer_put(peer);
	suite_reads_wait(suite, reads, FLYING);
	suite_wait(suite, &b->downs, 1, "the end of the connection, there");
	assert_ended(reads, -ECANCELED);
	assert_untouched(reads);
	assert_int_equal(a->downs, 0);
	assert_int_equal(suite_count(a, TRANSPORT_READS_INFLIGHT), 0);
	read_again(suite, a, b);
}

static void test_transport_peer_disconnect__reads_in_flight__end_and_next_connects(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, FLYING, sizeof(*reads)), after = { 0 };
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	start_many(reads, a, peer, b->readable);
	transport_peer_disconnect(peer);
	/* where no read is landing any more */
	assert_int_equal(suite_read_start(&after, a, peer, 3, 3000, SUITE_MEMORY_LEN - 4096), 0);
	assert_int_equal(suite_read_wait(suite, &after), 0);
	assert_true(suite_read_right(&after));
	suite_reads_wait(suite, reads, FLYING);
	assert_ended(reads, -ECONNRESET);
	assert_untouched(reads);
	assert_int_equal(a->downs, 1);
	assert_int_equal(a->ups, 2);
	assert_int_equal(suite_count(a, TRANSPORT_READS_REPEATED), 0);
}

static void test_transport_close__all_in_flight__ends_everything(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, FLYING, sizeof(*reads)), queued[4] = { 0 };
	struct suite_message *messages = suite_calloc(suite, 50, sizeof(*messages));
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_node *c = suite_node_add(suite);

	suite_wait_up(suite, peer);
	suite_wait(suite, &b->ups, 1, "up, there");
	start_many(reads, a, peer, b->readable);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(suite_message_start(&messages[i], a, peer, i, 1000), 0);
	for (unsigned i = 0; i < 4; i++) /* still to be connected */
		assert_int_equal(suite_read_start(&queued[i], a, suite_peer(a, c), 0, 100,
						  SUITE_MEMORY_LEN - 4096UL * (i + 1)),
				 0);
	suite_node_close(a);
	assert_ended(reads, -ECANCELED);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(queued[i].calls, 1);
		assert_int_equal(queued[i].read.status, -ECANCELED);
	}
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(messages[i].calls, 1);
		assert_true(!messages[i].message.status ||
			    messages[i].message.status == -ECANCELED);
	}
	suite_wait(suite, &b->downs, 1, "the end of the connection, there");
	suite_wait_ns(suite, 20 * NS_PER_MS);
	assert_untouched(reads);
}

static void test_transport_close__by_the_owner__reads_end_econnreset(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read *reads = suite_calloc(suite, FLYING, sizeof(*reads));
	struct transport_peer *peer = suite_peer(a, b);

	suite_wait_up(suite, peer);
	start_many(reads, a, peer, b->readable);
	suite_node_close(b);
	suite_reads_wait(suite, reads, FLYING);
	suite_wait(suite, &a->downs, 1, "the end of the connection");
	assert_ended(reads, -ECONNRESET);
	suite_wait_ns(suite, 20 * NS_PER_MS);
	assert_untouched(reads);
}

static void test_transport_read__beyond_peers_connected_max__closes_the_oldest(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *owners[4];
	struct transport_peer *peers[4];

	a->config.peers_connected_max = 2;
	suite_node_open(suite, a);
	for (unsigned i = 0; i < 4; i++) {
		owners[i] = suite_node_add(suite);
		peers[i] = suite_peer(a, owners[i]);
	}
	for (unsigned i = 0; i < 12; i++) {
		struct suite_read read = { .read.region = owners[i % 4]->readable };

		assert_int_equal(suite_read_start(&read, a, peers[i % 4], i, 500, 0), 0);
		assert_int_equal(suite_read_wait(suite, &read), 0);
		assert_true(suite_read_right(&read));
		assert_in_range(suite_count(a, TRANSPORT_PEERS_ACTIVE), 1, 2);
		/* this one and the one before it are connected */
		assert_true(transport_peer_is_up(peers[i % 4]));
		if (i)
			assert_true(transport_peer_is_up(peers[(i + 3) % 4]));
	}
	assert_int_equal(suite_count(a, TRANSPORT_CONNECTS), 12);
	assert_int_equal(a->downs, 10);
	assert_int_equal(a->down_status, -ECANCELED);
}

static void test_transport_read__of_more_peers_than_may_be_connected__all_get_a_turn(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1);
	struct suite_read reads[10] = { 0 };

	a->config.peers_connected_max = 3;
	suite_node_open(suite, a);
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		struct suite_node *owner = suite_node_add(suite);

		reads[i].read.region = owner->readable;
		assert_int_equal(
			suite_read_start(&reads[i], a, suite_peer(a, owner), i, 60000, i << 16), 0);
	}
	suite_reads_wait(suite, reads, ARRAY_COUNT(reads));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		assert_int_equal(reads[i].read.status, 0);
		assert_true(suite_read_right(&reads[i]));
	}
	assert_in_range(suite_count(a, TRANSPORT_PEERS_ACTIVE), 1, 3);
}

static void test_transport_listen__more_come_than_are_accepted__the_last_is_refused(void **state)
{
	struct suite *suite = *state;
	struct suite_node *b = suite_node_prepare(suite, "suite", 1);
	struct suite_node *a = suite_node_add(suite), *c = suite_node_add(suite);
	struct suite_read read = { 0 };

	b->config.peers_connected_max = 1;
	suite_node_open(suite, b);
	suite_wait_up(suite, suite_peer(a, b));
	read.read.region = b->readable;
	assert_int_equal(suite_read_start(&read, c, suite_peer(c, b), 0, 100, 0), 0);
	assert_int_equal(suite_read_wait(suite, &read), -EHOSTUNREACH);
	print_message("refused: %s\n", c->down_why);
	assert_true(transport_peer_is_up(suite_peer(a, b)));
	assert_true(suite_count(b, TRANSPORT_REFUSALS) > 0);
	suite_node_close(a);
	suite_wait(suite, &b->downs, 1, "room");
	read_again(suite, c, b);
}

/* Whoever opened it closes it, quietly: another one has the place, and it comes back by itself. */
static void test_transport_peer__not_used_for_idle_timeout__makes_room(void **state)
{
	struct suite *suite = *state;
	struct suite_node *b = suite_node_prepare(suite, "suite", 1);
	struct suite_node *readers[2];

	b->config.peers_connected_max = 1;
	suite_node_open(suite, b);
	for (unsigned i = 0; i < 2; i++) {
		readers[i] = suite_node_prepare(suite, "suite", 1);
		readers[i]->config.idle_timeout = 50 * NS_PER_MS;
		suite_node_open(suite, readers[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct suite_node *reader = readers[i % 2];
		struct suite_read read = { .read.region = b->readable };
		struct transport_peer *peer = suite_peer(reader, b);

		assert_int_equal(transport_peer_retry_ns(peer), 0);
		assert_int_equal(suite_read_start(&read, reader, peer, i, 500, 0), 0);
		assert_int_equal(suite_read_wait(suite, &read), 0);
		assert_true(suite_read_right(&read));
		suite_wait(suite, &reader->downs, 1 + i / 2, "it closes what it does not use");
		assert_int_equal(reader->down_status, -ECANCELED);
		suite_wait(suite, &b->downs, 1 + i, "its end, there");
	}
	assert_int_equal(suite_count(b, TRANSPORT_REFUSALS), 0);
	assert_int_equal(suite_count(readers[0], TRANSPORT_CONNECT_FAILURES), 0);
}

static void test_transport_peer__used_for_long__is_not_closed(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *b = suite_node_add(suite);
	const struct clock *clock = suite->backend->clock;
	struct suite_read read = { .read.region = b->readable };
	struct transport_peer *peer;
	uint64_t until_ns;

	a->config.idle_timeout = 20 * NS_PER_MS;
	suite_node_open(suite, a);
	peer = suite_peer(a, b);
	suite_wait_up(suite, peer);
	until_ns = clock_now_ns(clock) + 10 * a->config.idle_timeout;
	while (clock_now_ns(clock) < until_ns) {
		read.read.deadline_ns = 0;
		assert_int_equal(suite_read_start(&read, a, peer, 0, 500, 0), 0);
		assert_int_equal(suite_read_wait(suite, &read), 0);
	}
	assert_int_equal(a->downs, 0);
	assert_int_equal(suite_count(a, TRANSPORT_CONNECTS), 1);
}

static unsigned count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

#define ROUNDS 40

/* The first rounds make what is kept. */
static void test_transport_peer__connected_often__leaves_no_descriptors(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);
	unsigned before = 0;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		read_again(suite, a, b);
		transport_peer_disconnect(peer);
		suite_wait(suite, &a->downs, i, "the end of the connection");
		while (suite_count(b, TRANSPORT_PEERS_PASSIVE))
			suite_pump(suite);
		if (i == 3)
			before = count_descriptors();
	}
	assert_in_range(count_descriptors(), 0, before);
	assert_int_equal(suite_count(a, TRANSPORT_CONNECTS), ROUNDS);
}

static void test_transport_listen__a_foreign_client__is_counted_and_harmless(void **state)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	int fd;

	if (!suite->backend->tcp) {
		print_message("skipped: no TCP port\n");
		skip();
	}
	fd = socket(b->address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const void *)&b->address.storage, address_len(&b->address)),
			 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while (!suite_count(b, TRANSPORT_FOREIGN))
		suite_pump(suite);
	close(fd);
	read_again(suite, a, b);
	assert_int_equal(suite_count(b, TRANSPORT_FOREIGN), 1);
}

const struct CMUnitTest suite_connection_tests[] = {
	SUITE_TEST(test_transport_peer__connected__is_known_on_both_sides),
	SUITE_TEST(test_transport_read__refused__says_why_on_both_sides),
	SUITE_TEST(test_transport_read__nobody_listens__backs_off_longer_each_time),
	SUITE_TEST(test_transport_read__during_back_off__is_ehostunreach),
	SUITE_TEST(test_transport_read__peer_back_at_its_address__is_read_again),
	SUITE_TEST(test_transport_peer_put__reads_in_flight__end_ecanceled),
	SUITE_TEST(test_transport_peer_disconnect__reads_in_flight__end_and_next_connects),
	SUITE_TEST(test_transport_close__all_in_flight__ends_everything),
	SUITE_TEST(test_transport_close__by_the_owner__reads_end_econnreset),
	SUITE_TEST(test_transport_read__beyond_peers_connected_max__closes_the_oldest),
	SUITE_TEST(test_transport_read__of_more_peers_than_may_be_connected__all_get_a_turn),
	SUITE_TEST(test_transport_listen__more_come_than_are_accepted__the_last_is_refused),
	SUITE_TEST(test_transport_peer__not_used_for_idle_timeout__makes_room),
	SUITE_TEST(test_transport_peer__used_for_long__is_not_closed),
	SUITE_TEST(test_transport_peer__connected_often__leaves_no_descriptors),
	SUITE_TEST(test_transport_listen__a_foreign_client__is_counted_and_harmless),
};
const size_t suite_connection_test_count = ARRAY_COUNT(suite_connection_tests);

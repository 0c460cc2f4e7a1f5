/*
 * suite_reads.c - reads bring the right bytes, once, and no others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/random.h"
#include "tests/unit/fabric/transport/suite.h"

static void test_transport_read__every_size_and_offset__brings_those_bytes(void **state)
{
	static const struct {
		uint64_t off;
		size_t len;
	} rows[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ 3, 7 },
		{ 0, 4096 },
		{ 4095, 2 },
		{ 1, 4095 },
		{ 12345, 65536 },
		{ 65535, 1 },
		{ 65535, 2 },
		{ 0, 65536 },
		{ 0, 65537 },
		{ 65536 - 7, 65536 + 14 },
		{ 0, 1 << 20 },
		{ (1 << 20) - 1, (1 << 20) + 2 },
		{ 7, (2 << 20) + 13 },
		{ 0, SUITE_MEMORY_LEN - 4096 },
		{ SUITE_MEMORY_LEN - 1, 1 },
		{ SUITE_MEMORY_LEN - 4096, 4096 },
	};
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *peer = suite_peer(a, b);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct suite_read read = { .read.region = b->readable };
		uint8_t *end = a->landing + 2048 + rows[i].len;

		memset(a->landing, 0xa5, SUITE_MEMORY_LEN);
		assert_int_equal(suite_read_start(&read, a, peer, rows[i].off, rows[i].len, 2048),
				 0);
		assert_int_equal(suite_read_wait(suite, &read), 0);
		assert_true(suite_read_right(&read));
		assert_int_equal(a->landing[2047], 0xa5);
		assert_int_equal(*end, 0xa5);
	}
	assert_int_equal(suite_count(a, TRANSPORT_READS), ARRAY_COUNT(rows));
	assert_int_equal(suite_count(a, TRANSPORT_READS_INFLIGHT), 0);
	assert_int_equal(suite_count(a, TRANSPORT_READ_ERRORS), 0);
}

static void test_transport_read__outside_the_region__is_erange(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	const struct {
		uint32_t region;
		uint64_t off;
		size_t len;
	} rows[] = {
		{ b->readable, SUITE_MEMORY_LEN, 1 },
		{ b->readable, SUITE_MEMORY_LEN - 1, 2 },
		{ b->readable, 1, SUITE_MEMORY_LEN },
		{ b->readable, UINT64_MAX, 1 },
		{ b->readable, UINT64_MAX - 4095, 4096 },
		{ b->unreadable, 0, 1 },
		{ 2, 0, 1 },
		{ TRANSPORT_REGIONS_MAX, 0, 1 },
		{ UINT32_MAX, 0, 1 },
	};
	struct transport_peer *peer = suite_peer(a, b);
	struct suite_read early[ARRAY_COUNT(rows)] = { 0 }, late = { 0 };

	memset(a->landing, 0xa5, SUITE_MEMORY_LEN);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		early[i].read.region = rows[i].region;
		assert_int_equal(suite_read_start(&early[i], a, peer, rows[i].off, rows[i].len, 0),
				 0);
	}
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(suite_read_wait(suite, &early[i]), -ERANGE);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		late.read.region = rows[i].region;
		assert_int_equal(suite_read_start(&late, a, peer, rows[i].off, rows[i].len, 0),
				 -ERANGE);
	}
	assert_int_equal(late.calls, 0);
	assert_true(transport_peer_is_up(peer));
	assert_int_equal(transport_peer_region_len(peer, b->readable), SUITE_MEMORY_LEN);
	assert_int_equal(transport_peer_region_len(peer, b->unreadable), 0);
	assert_int_equal(transport_peer_region_len(peer, UINT32_MAX), 0);
	for (size_t i = 0; i < SUITE_MEMORY_LEN; i++)
		assert_int_equal(a->landing[i], 0xa5);
}

#define MANY	 600UL
#define MANY_LEN 6000

/* Both ways at once, of random places, each to a place of its own. */
static void test_transport_read__many_both_ways__each_is_done_once(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct transport_peer *there = suite_peer(a, b), *back = suite_peer(b, a);
	struct suite_read *reads = suite_calloc(suite, 2 * MANY, sizeof(*reads));
	struct random random;

	random_init(&random, 5);
	for (size_t i = 0; i < 2 * MANY; i++) {
		size_t len = 1 + random_below(&random, MANY_LEN);
		uint64_t off = random_below(&random, SUITE_MEMORY_LEN - len);

		reads[i].read.region = i % 2 ? a->readable : b->readable;
		assert_int_equal(suite_read_start(&reads[i], i % 2 ? b : a, i % 2 ? back : there,
						  off, len, i / 2 * MANY_LEN),
				 0);
	}
	suite_reads_wait(suite, reads, 2 * MANY);
	suite_wait_ns(suite, 5 * NS_PER_MS);
	for (size_t i = 0; i < 2 * MANY; i++) {
		assert_int_equal(reads[i].calls, 1);
		assert_int_equal(reads[i].read.status, 0);
		assert_true(suite_read_right(&reads[i]));
	}
}

static void test_transport_read__beyond_reads_max__is_eagain_until_a_done(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_prepare(suite, "suite", 1), *b = suite_node_add(suite);
	struct suite_read reads[9] = { 0 };
	struct transport_peer *peer;

	a->config.reads_max = 8;
	suite_node_open(suite, a);
	peer = suite_peer(a, b);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(suite_read_start(&reads[i], a, peer, 0, 100, 4096UL * i), 0);
	assert_int_equal(suite_read_start(&reads[8], a, peer, 0, 100, 4096UL * 8), -EAGAIN);
	suite_reads_wait(suite, reads, 8);
	assert_int_equal(suite_read_start(&reads[8], a, peer, 0, 100, 4096UL * 8), 0);
	assert_int_equal(suite_read_wait(suite, &reads[8]), 0);
}

/* A chain: each done begins the next read, as a reader of a file would. */
struct chain {
	struct suite_read read;
	struct transport_peer *peer;
	unsigned left, ended;
};

static void chain_done(struct transport_read *done)
{
	struct chain *chain = done->context;

	assert_int_equal(done->status, 0);
	assert_true(suite_read_right(&chain->read));
	if (!chain->left--) {
		chain->ended = 1;
		return;
	}
	done->off = (done->off + 4097) % (SUITE_MEMORY_LEN - done->len);
	done->deadline_ns = 0;
	assert_int_equal(transport_read(chain->peer, done), 0);
}

static void test_transport_read__begun_by_a_done__goes_on(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct chain chains[16];

	for (unsigned i = 0; i < ARRAY_COUNT(chains); i++) {
		struct suite_read read = { .node = a,
					   .read = { .region = b->readable,
						     .off = i,
						     .len = 3000,
						     .dst = a->landing + 4096UL * i,
						     .done = chain_done,
						     .context = &chains[i] } };

		chains[i] = (struct chain){ .read = read, .peer = suite_peer(a, b), .left = 50 };
		assert_int_equal(transport_read(chains[i].peer, &chains[i].read.read), 0);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(chains); i++)
		suite_wait(suite, &chains[i].ended, 1, "a chain");
	assert_int_equal(suite_count(a, TRANSPORT_READ_BYTES), 16 * 51 * 3000);
}

static void test_transport_read__of_several_peers__each_gives_its_own(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite);
	struct suite_read reads[12] = { 0 };

	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		struct suite_node *b = suite_node_add(suite);

		memset(b->memory, (int)(10 + i), 4096);
		reads[i].read.region = b->readable;
		assert_int_equal(
			suite_read_start(&reads[i], a, suite_peer(a, b), 0, 4096, 4096UL * i), 0);
	}
	suite_reads_wait(suite, reads, ARRAY_COUNT(reads));
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		assert_int_equal(reads[i].read.status, 0);
		assert_int_equal(a->landing[4096UL * i], 10 + i);
		assert_int_equal(a->landing[4096UL * i + 4095], 10 + i);
	}
	assert_int_equal(suite_count(a, TRANSPORT_PEERS_ACTIVE), ARRAY_COUNT(reads));
}

#define BIG_LEN	   (((size_t)1 << 30) + ((size_t)4 << 20))
#define BIG_BORDER ((size_t)1 << 30) /* of registrations */

/* A region that is registered in two chunks: reads over the border, and right before and behind. */
static void test_transport_read__across_chunks_of_a_region__brings_those_bytes(void **state)
{
	static const struct {
		uint64_t off;
		size_t len;
	} rows[] = {
		{ BIG_BORDER - 1, 2 },
		{ BIG_BORDER - 4096, 4096 },
		{ BIG_BORDER, 4096 },
		{ BIG_BORDER - 100000, 200000 },
		{ BIG_BORDER - (1 << 20), 2 << 20 },
		{ BIG_BORDER - 3, 70000 },
	};
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint32_t region;
	uint8_t *big;

	if (!suite->backend->big) {
		print_message("skipped: no memory for a region of more than 1 GiB\n");
		skip();
	}
	big = mmap(NULL, BIG_LEN, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(big, MAP_FAILED);
	for (size_t i = BIG_BORDER - (1 << 20); i < BIG_BORDER + (1 << 20); i++)
		big[i] = suite_byte(i);
	if (transport_region_add(b->transport, big, BIG_LEN, TRANSPORT_READABLE, &region, problem,
				 sizeof(problem)))
		fail_msg("%s", problem);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct suite_read read = { .read.region = region };

		assert_int_equal(
			suite_read_start(&read, a, suite_peer(a, b), rows[i].off, rows[i].len, 0),
			0);
		assert_int_equal(suite_read_wait(suite, &read), 0);
		assert_true(suite_read_right(&read));
	}
	suite_node_close(a);
	suite_node_close(b);
	munmap(big, BIG_LEN);
}

static void test_transport_wait__a_read_under_way__returns_when_it_is_done(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite), *b = suite_node_add(suite);
	struct suite_read read = { .read.region = b->readable };
	struct transport_peer *peer = suite_peer(a, b);
	uint64_t until_ns;

	if (suite->backend->idle)
		skip(); /* its clock does not move by itself */
	suite_wait_up(suite, peer);
	suite_wait_ns(suite, NS_PER_MS);
	until_ns = clock_now_ns(suite->backend->clock) + 20 * NS_PER_S;
	assert_int_equal(suite_read_start(&read, a, peer, 5, 70000, 0), 0);
	while (!read.calls && clock_now_ns(suite->backend->clock) < until_ns) {
		transport_wait(a->transport, clock_now_ns(suite->backend->clock) + NS_PER_MS);
		transport_poll(b->transport);
	}
	assert_int_equal(read.calls, 1);
	assert_int_equal(read.read.status, 0);
	assert_true(suite_read_right(&read));
}

static void test_transport_wake__before_a_wait__ends_it(void **state)
{
	struct suite *suite = *state;
	struct suite_node *a = suite_node_add(suite);
	uint64_t start_ns;

	if (suite->backend->idle)
		skip();
	while (transport_poll(a->transport))
		;
	start_ns = clock_now_ns(suite->backend->clock);
	transport_wake(a->transport);
	while (transport_wait(a->transport, start_ns + SUITE_PATIENCE_NS))
		;
	assert_true(clock_now_ns(suite->backend->clock) < start_ns + SUITE_PATIENCE_NS);
}

const struct CMUnitTest suite_read_tests[] = {
	SUITE_TEST(test_transport_read__every_size_and_offset__brings_those_bytes),
	SUITE_TEST(test_transport_read__outside_the_region__is_erange),
	SUITE_TEST(test_transport_read__many_both_ways__each_is_done_once),
	SUITE_TEST(test_transport_read__beyond_reads_max__is_eagain_until_a_done),
	SUITE_TEST(test_transport_read__begun_by_a_done__goes_on),
	SUITE_TEST(test_transport_read__of_several_peers__each_gives_its_own),
	SUITE_TEST(test_transport_read__across_chunks_of_a_region__brings_those_bytes),
	SUITE_TEST(test_transport_wait__a_read_under_way__returns_when_it_is_done),
	SUITE_TEST(test_transport_wake__before_a_wait__ends_it),
};
const size_t suite_read_test_count = ARRAY_COUNT(suite_read_tests);

/*
 * Tests of peers.h: several nodes in one process (peers_rig.h). What is waited for has a bound;
 * nothing is measured.
 */
#include "cache/peer/peers.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/placement/placement.h"
#include "tests/unit/cache/peer/peers_rig.h"

#define BLOCKS 24
#define SIZE   ((uint64_t)BLOCKS * RIG_BLOCK_LEN - 12345)
#define ASKED  (BLOCKS / 2) /* at least: more than this a node does not stage for one other */

static void two_up(struct rig *rig, struct rig_node **a, struct rig_node **b)
{
	*a = rig_up(rig, 0, -1);
	*b = rig_up(rig, 1, 0);
	rig_wait_placed(*a, 2);
	rig_wait_placed(*b, 2);
}

/* --- whole reads */

static void test_read__on_two_nodes__fetches_each_block_once(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;
	uint64_t from_a, from_b;

	two_up(rig, &a, &b);
	rig_read(b, "k", SIZE);
	assert_int_equal(a->fetched + b->fetched, SIZE);
	rig_read(a, "k", SIZE);
	assert_int_equal(a->fetched + b->fetched, SIZE);
	from_a = counter_get(peers_counters(b->peers), PEERS_FETCHED_BYTES);
	from_b = counter_get(peers_counters(a->peers), PEERS_FETCHED_BYTES);
	assert_int_equal(from_a + from_b, SIZE);
	assert_true(from_a > 0 && from_b > 0);
	assert_int_equal(atomic_load(&peers_latency(b->peers)->count) +
				 atomic_load(&peers_latency(a->peers)->count),
			 BLOCKS);
}

static void test_read__of_a_small_object__comes_from_the_other_too(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;
	char key[2] = "a";

	two_up(rig, &a, &b);
	for (; key[0] < 'i'; key[0]++) {
		rig_read(a, key, 1000 + (uint64_t)key[0]);
		rig_read(b, key, 1000 + (uint64_t)key[0]);
	}
	assert_int_equal(a->fetched + b->fetched, 8 * 1000 + ('a' + 'h') * 4);
}

/* It is read from before it knows where blocks are placed. */
static void test_read__of_a_node_that_has_just_come__waits_until_it_knows_the_others(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a = rig_up(rig, 0, -1), *b;

	rig_wait_placed(a, 1);
	rig_read(a, "k", SIZE);
	b = rig_up(rig, 1, 0);
	rig_read(b, "k", SIZE);
	assert_int_equal(b->fetched, 0);
	assert_int_equal(a->fetched, SIZE);
}

static void test_read__of_a_node_alone__asks_nobody(void **state)
{
	struct rig_node *a = rig_up(*state, 0, -1);

	rig_wait_placed(a, 1);
	rig_read(a, "k", SIZE);
	assert_int_equal(a->fetched, SIZE);
	assert_int_equal(counter_get(peers_counters(a->peers), PEERS_FETCHED_BYTES), 0);
}

/* Before and after its first member is placed, and when others own it. */
static void test_owns__of_all_blocks__is_true_on_one_node_each(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;
	unsigned owned[2] = { 0 };

	two_up(rig, &a, &b);
	for (uint64_t block = 0; block < 1000; block++) {
		const struct object_id id = { .bytes = { 1 } };
		bool of_a = peers_owns(a->peers, &id, block);

		assert_int_equal(of_a, !peers_owns(b->peers, &id, block));
		owned[of_a]++;
	}
	assert_true(owned[0] > 300 && owned[1] > 300);
}

static void test_members__when_one_leaves__are_placed_anew(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;
	const struct object_id id = { .bytes = { 1 } };

	two_up(rig, &a, &b);
	rig_down(b);
	rig_wait_placed(a, 1);
	for (uint64_t block = 0; block < 100; block++)
		assert_true(peers_owns(a->peers, &id, block));
	rig_read(a, "k", SIZE);
	assert_int_equal(a->fetched, SIZE);
}

/* --- stopping */

struct started {
	struct cache_read read;
	_Atomic int done;
};

static void started_done(struct cache_read *read)
{
	atomic_store(&CONTAINER_OF(read, struct started, read)->done, 1);
}

static void wait_done(struct started *started)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;

	while (!atomic_load(&started->done)) {
		if (clock_now_ns(clock_system()) > deadline_ns)
			fail_msg("a read has not ended");
		poll(NULL, 0, 1);
	}
}

static void reads_start(struct rig_node *node, struct cache_object *object,
			struct started reads[BLOCKS])
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		reads[i] = (struct started){
			.read = { .object = object,
				  .off = (uint64_t)i * RIG_BLOCK_LEN,
				  .len = 1,
				  .done = started_done },
		};
		assert_int_equal(cache_read_start(node->cache, &reads[i].read), 0);
	}
}

/* Pages that fit in a message, and such as are read like objects. */
static void test_list__on_two_nodes__asks_the_backing_store_once(void **state)
{
	static const int sizes[] = { 1, 10, 1000 };
	struct rig *rig = *state;
	struct rig_node *nodes[2];
	char prefix[16];

	two_up(rig, &nodes[0], &nodes[1]);
	for (unsigned i = 0; i < 12; i++) {
		unsigned before = nodes[0]->lists + nodes[1]->lists;

		snprintf(prefix, sizeof(prefix), "d%u/", i);
		rig_list(nodes[i % 2], prefix, sizes[i % 3]);
		rig_list(nodes[1 - i % 2], prefix, sizes[i % 3]);
		rig_list(nodes[i % 2], prefix, sizes[i % 3]);
		assert_int_equal(nodes[0]->lists + nodes[1]->lists - before, 1);
	}
	assert_true(nodes[0]->lists > 0 && nodes[1]->lists > 0); /* each owns some */
	for (unsigned i = 0; i < 2; i++) {
		const struct counters *counters = peers_counters(nodes[i]->peers);

		assert_int_equal(counter_get(counters, PEERS_CATALOG_FALLBACKS), 0);
		assert_true(counter_get(counters, PEERS_CATALOG_ASKS) > 0);
	}
	assert_int_equal(nodes[0]->fetched + nodes[1]->fetched, 0);
}

/* The owner's backing store does not answer, and then the reader is to stop. */
static void test_stop__of_the_reader_in_the_middle_of_fetches__ends_them(void **state)
{
	struct rig *rig = *state;
	struct started reads[BLOCKS];
	struct cache_object *object;
	struct rig_node *a, *b;

	two_up(rig, &a, &b);
	rig_hold(rig, true);
	object = rig_open(b, "k", SIZE);
	reads_start(b, object, reads);
	rig_wait_counter(a, PEERS_STAGES, 1);
	rig_wait_asked(rig, ASKED);
	rig_stop(b);
	cache_stop(b->cache);
	for (unsigned i = 0; i < BLOCKS; i++) {
		wait_done(&reads[i]);
		assert_int_equal(reads[i].read.status, -ECANCELED);
	}
	cache_object_put(object);
	rig_down(b);
	rig_hold(rig, false);
	rig_read(a, "k", SIZE);
}

/* The owner stops in the middle of its stages: the reader goes on without it. */
static void test_stop__of_the_owner_in_the_middle_of_stages__costs_readers_nothing(void **state)
{
	struct rig *rig = *state;
	struct started reads[BLOCKS];
	struct cache_object *object;
	struct rig_node *a, *b;

	two_up(rig, &a, &b);
	rig_hold(rig, true);
	object = rig_open(b, "k", SIZE);
	reads_start(b, object, reads);
	rig_wait_asked(rig, ASKED);
	rig_down(a);
	rig_hold(rig, false);
	for (unsigned i = 0; i < BLOCKS; i++) {
		wait_done(&reads[i]);
		assert_int_equal(reads[i].read.status, 0);
		cache_read_finish(&reads[i].read);
	}
	cache_object_put(object);
	rig_read(b, "k", SIZE);
}

struct late {
	struct peer_fetch fetch;
	_Atomic int done;
};

static void late_done(struct peer_fetch *fetch)
{
	atomic_store(&CONTAINER_OF(fetch, struct late, fetch)->done, 1);
}

static void test_fetch__after_the_stop__is_cancelled(void **state)
{
	struct rig_node *a = rig_up(*state, 0, -1);
	struct late late = { .fetch.done = late_done };

	rig_stop(a);
	peers_fetch(a->peers, &late.fetch);
	while (!atomic_load(&late.done))
		poll(NULL, 0, 1);
	assert_int_equal(late.fetch.outcome, PEER_FAILED);
	assert_int_equal(late.fetch.status, -ECANCELED);
}

/* --- strangers */

struct stranger {
	struct transport *transport;
	struct transport_peer *peer;
	struct transport_message message;
	bool down;
};

static void stranger_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct stranger *stranger = context;

	(void)peer;
	(void)status;
	(void)why;
	stranger->down = true;
}

/* A member of the cluster says what none says: it is shown the door, and counted. */
static void test_message__that_no_member_sends__ends_its_connection(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "hello", 5 },	   /* another version */
		{ "\x01\x00", 2 }, /* no kind */
		{ "\x01\x06"
		  "12345678",
		  10 }, /* WORKING, which only owners say */
	};
	struct rig_node *a = rig_up(*state, 0, -1);
	const struct identity identity = {
		.cluster = "rig", .member.bytes = { 9 }, .boot = 1, .ring = a->ring
	};
	struct transport_config config;

	assert_int_equal(option_defaults(&transport_options, &config), 0);
	config.kind = TRANSPORT_UCX;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct stranger stranger = {
			.message = { .data = rows[i].bytes, .len = rows[i].len },
		};
		const struct transport_environment environment = {
			.clock = clock_system(),
			.identity = &identity,
			.events = { .context = &stranger, .down = stranger_down },
		};
		uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
		char problem[TRANSPORT_PROBLEM_MAX];

		if (transport_open(&config, &environment, &stranger.transport, problem,
				   sizeof(problem)) != 0)
			fail_msg("%s", problem);
		assert_int_equal(
			transport_peer_get(stranger.transport, &a->fabric, NULL, &stranger.peer),
			0);
		assert_int_equal(transport_send(stranger.peer, &stranger.message), 0);
		while (!stranger.down && clock_now_ns(clock_system()) < deadline_ns)
			transport_wait(stranger.transport, deadline_ns);
		assert_true(stranger.down);
		rig_wait_counter(a, PEERS_MALFORMED, i + 1);
		transport_close(stranger.transport);
	}
	option_free(&transport_options, &config);
}

/* --- what cannot be */

static void test_create__that_cannot_be__says_why_and_leaves_nothing(void **state)
{
	struct rig_node *a = rig_up(*state, 0, -1);
	struct cache_config cache_config;
	struct cache *cache;
	char taken[ADDRESS_TEXT_MAX], problem[TRANSPORT_PROBLEM_MAX];
	const struct {
		const char *listen, *device, *named;
	} rows[] = {
		{ address_text(&a->fabric, taken), NULL, "" },
		{ "127.0.0.1:0", "nosuch0", "nosuch0" },
	};

	assert_int_equal(option_defaults(&cache_options, &cache_config), 0);
	cache_config.memory = 64 << 20;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct transport_config transport;
		struct peers_setup setup = { .config = &a->config,
					     .transport = &transport,
					     .clock = clock_system(),
					     .membership = a->membership };
		struct address address;
		struct peers *peers;

		assert_int_equal(cache_create(&cache_config, clock_system(), &cache, problem,
					      sizeof(problem)),
				 0);
		setup.cache = cache;
		assert_int_equal(option_defaults(&transport_options, &transport), 0);
		transport.kind = TRANSPORT_UCX;
		free(transport.listen);
		transport.listen = strdup(rows[i].listen);
		if (rows[i].device) {
			transport.devices.items = calloc(1, sizeof(char *));
			assert_non_null(transport.devices.items);
			transport.devices.items[transport.devices.count++] = strdup(rows[i].device);
		}
		problem[0] = '\0';
		assert_true(peers_create(&setup, &peers, &address, problem, sizeof(problem)) < 0);
		if (!problem[0] || !strstr(problem, rows[i].named))
			fail_msg("\"%s\" does not name \"%s\"", problem, rows[i].named);
		option_free(&transport_options, &transport);
		cache_stop(cache);
		cache_destroy(cache);
	}
	option_free(&cache_options, &cache_config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
		RIG_TEST(test_read__on_two_nodes__fetches_each_block_once),
		RIG_TEST(test_read__of_a_small_object__comes_from_the_other_too),
		RIG_TEST(test_read__of_a_node_that_has_just_come__waits_until_it_knows_the_others),
		RIG_TEST(test_read__of_a_node_alone__asks_nobody),
		RIG_TEST(test_owns__of_all_blocks__is_true_on_one_node_each),
		RIG_TEST(test_members__when_one_leaves__are_placed_anew),
		RIG_TEST(test_list__on_two_nodes__asks_the_backing_store_once),
		RIG_TEST(test_stop__of_the_reader_in_the_middle_of_fetches__ends_them),
		RIG_TEST(test_stop__of_the_owner_in_the_middle_of_stages__costs_readers_nothing),
		RIG_TEST(test_fetch__after_the_stop__is_cancelled),
		RIG_TEST(test_message__that_no_member_sends__ends_its_connection),
		RIG_TEST(test_create__that_cannot_be__says_why_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

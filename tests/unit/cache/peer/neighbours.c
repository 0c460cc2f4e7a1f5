/*
 * neighbours.c - who can be asked: addresses, connections, the breaker, restarts. The connections
 * are those of a loop network in which nobody else lives.
 */
#include "cache/peer/neighbours.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/host.h"

static struct clock_manual manual;
static struct loop_network *network;
static struct keyring *ring;
static struct identity identity;
static struct transport *transport;
static struct counters counters;
static struct peers_config config;
static struct neighbours *neighbours;
static unsigned evidence_count, given_up_count, hopeful_count;
static struct neighbour *last_given_up;

static struct member_id member(unsigned number)
{
	struct member_id id;

	memset(id.bytes, (int)number, sizeof(id.bytes));
	return id;
}

static void evidence(void *context, const struct member_id *id, const char *why)
{
	(void)context;
	assert_int_equal(id->bytes[0], 1);
	assert_string_equal(why, "because");
	evidence_count++;
}

static void given_up(void *context, struct neighbour *neighbour)
{
	(void)context;
	last_given_up = neighbour;
	assert_false(neighbour->shape_known);
	given_up_count++;
}

static void hopeful(void *context, struct neighbour *neighbour)
{
	(void)context;
	(void)neighbour;
	hopeful_count++;
}

static void open_transport(void)
{
	const struct transport_environment environment = { .clock = &manual.clock,
							   .identity = &identity };
	struct transport_config transport_config;

	assert_int_equal(option_defaults(&transport_options, &transport_config), 0);
	transport = host_open(network, 0, &transport_config, &environment);
}

static int setup(void **state)
{
	static struct counter_spec specs[PEERS_COUNTER_COUNT];
	static const uint8_t key[KEYRING_KEY_LEN] = { 1 };
	const struct neighbours_watcher watcher = { .given_up = given_up, .hopeful = hopeful };
	struct neighbours_setup plan = { .config = &config,
					 .counters = &counters,
					 .evidence = evidence };

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	evidence_count = given_up_count = hopeful_count = 0;
	clock_manual_init(&manual, NS_PER_S, 0);
	assert_int_equal(option_defaults(&peers_options, &config), 0);
	assert_int_equal(counters_init(&counters, "peers", specs, PEERS_COUNTER_COUNT), 0);
	assert_int_equal(keyring_create(&ring), 0);
	assert_int_equal(keyring_add(ring, key), 0);
	identity = (struct identity){ .cluster = "c", .member = member(99), .ring = ring };
	assert_int_equal(loop_network_create(&manual.clock, 1, &network), 0);
	open_transport();
	plan.transport = transport;
	assert_int_equal(neighbours_create(&plan, &neighbours), 0);
	neighbours_watch(neighbours, &watcher);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	neighbours_destroy(neighbours);
	assert_int_equal(counter_get(&counters, PEERS_BREAKERS_OPEN), 0);
	transport_close(transport);
	loop_network_destroy(network);
	keyring_destroy(ring);
	counters_fini(&counters);
	option_free(&peers_options, &config);
	return 0;
}

static uint64_t now(void)
{
	return clock_now_ns(&manual.clock);
}

static struct neighbour *find(unsigned number)
{
	struct member_id id = member(number);

	return neighbours_find(neighbours, &id);
}

/* @where: a number of the loop; -1: none. */
static int update(unsigned number, int where)
{
	struct member_id id = member(number);
	struct address address = { 0 };

	if (where >= 0)
		address = loop_address((unsigned)where);
	return neighbours_update(neighbours, &id, &address);
}

static bool usable(unsigned number)
{
	return neighbour_usable(neighbours, find(number), now());
}

static void fail_times(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		neighbour_failed(neighbours, find(1), now(), "because");
}

static void expect_open(unsigned count)
{
	assert_int_equal(counter_get(&counters, PEERS_BREAKERS_OPEN), count);
}

static void test_neighbours_update__new__is_found_and_connected_when_wanted(void **state)
{
	(void)state;
	assert_null(find(1));
	assert_int_equal(update(1, 1), 0);
	assert_non_null(find(1));
	assert_null(find(1)->peer);
	assert_true(usable(1));
	assert_non_null(find(1)->peer);
	assert_ptr_equal(transport_peer_context(find(1)->peer), find(1));
}

static void test_neighbours_update__no_address__is_not_usable(void **state)
{
	(void)state;
	assert_int_equal(update(1, -1), 0);
	assert_non_null(find(1));
	assert_false(usable(1));
	assert_int_equal(update(1, 1), 0);
	assert_true(usable(1));
	assert_int_equal(update(1, -1), 0);
	assert_false(usable(1));
	assert_null(find(1)->peer);
}

static void test_neighbours_update__same_address__keeps_the_connection(void **state)
{
	struct transport_peer *peer;

	(void)state;
	update(1, 1);
	usable(1);
	peer = find(1)->peer;
	find(1)->shape_known = true;
	given_up_count = hopeful_count = 0;
	assert_int_equal(update(1, 1), 0);
	assert_ptr_equal(find(1)->peer, peer);
	assert_true(find(1)->shape_known);
	assert_int_equal(given_up_count, 0);
	assert_int_equal(hopeful_count, 1);
}

static void test_neighbours_update__moved__gives_up_the_connection(void **state)
{
	struct address there = loop_address(2);

	(void)state;
	update(1, 1);
	usable(1);
	find(1)->shape_known = true;
	fail_times(3);
	given_up_count = 0;
	assert_int_equal(update(1, 2), 0);
	assert_null(find(1)->peer);
	assert_int_equal(given_up_count, 1);
	assert_ptr_equal(last_given_up, find(1));
	expect_open(0); /* what failed was elsewhere */
	assert_true(usable(1));
	assert_true(address_equal(transport_peer_address(find(1)->peer), &there));
}

static void test_neighbours_update__anothers_address__the_last_told_has_it(void **state)
{
	(void)state;
	update(1, 5);
	usable(1);
	given_up_count = 0;
	assert_int_equal(update(2, 5), 0);
	assert_false(usable(1));
	assert_null(find(1)->peer);
	assert_int_equal(given_up_count, 2); /* the newcomer had nothing to give up */
	assert_true(usable(2));
	assert_ptr_equal(transport_peer_context(find(2)->peer), find(2));
	assert_int_equal(update(1, 5), 0);
	assert_true(usable(1));
	assert_false(usable(2));
}

static void test_neighbours_remove__known_or_not__is_forgotten(void **state)
{
	struct member_id id = member(1);
	struct neighbour *neighbour;

	(void)state;
	neighbours_remove(neighbours, &id);
	update(1, 1);
	usable(1);
	fail_times(3);
	neighbour = find(1);
	given_up_count = 0;
	neighbours_remove(neighbours, &id);
	assert_ptr_equal(last_given_up, neighbour);
	assert_int_equal(given_up_count, 1);
	assert_null(find(1));
	expect_open(0);
	assert_int_equal(update(2, 1), 0); /* the address is free */
	assert_true(usable(2));
}

static void test_neighbour_failed__in_a_row__opens_the_breaker(void **state)
{
	(void)state;
	update(1, 1);
	fail_times(2);
	assert_true(usable(1));
	neighbour_answered(neighbours, find(1));
	fail_times(2);
	assert_true(usable(1));
	expect_open(0);
	fail_times(1);
	assert_false(usable(1));
	expect_open(1);
	fail_times(1);
	expect_open(1);
	assert_int_equal(evidence_count, 6);
}

static void test_neighbour_usable__open__one_probe_at_a_time(void **state)
{
	(void)state;
	update(1, 1);
	fail_times(3);
	clock_manual_advance(&manual, config.breaker_probe - 1);
	assert_false(usable(1));
	clock_manual_advance(&manual, 1);
	assert_true(usable(1));
	assert_false(usable(1));
	clock_manual_advance(&manual, config.breaker_probe / 2);
	fail_times(1);
	clock_manual_advance(&manual, config.breaker_probe - 1);
	assert_false(usable(1));
	clock_manual_advance(&manual, 1);
	assert_true(usable(1));
	neighbour_answered(neighbours, find(1));
	assert_true(usable(1));
	expect_open(0);
	fail_times(1);
	assert_true(usable(1));
}

static void test_neighbours_restarting__silence_counts_for_nothing(void **state)
{
	struct member_id id = member(1), nobody = member(7);

	(void)state;
	neighbours_restarting(neighbours, &nobody, now() + NS_PER_S);
	update(1, 1);
	fail_times(3);
	hopeful_count = evidence_count = 0;
	neighbours_restarting(neighbours, &id, now() + NS_PER_S);
	assert_true(neighbour_is_restarting(find(1), now()));
	assert_int_equal(hopeful_count, 1);
	expect_open(0);
	fail_times(10);
	assert_true(usable(1));
	assert_int_equal(evidence_count, 0);
	neighbours_restarting(neighbours, &id, now() + NS_PER_S);
	assert_int_equal(hopeful_count, 1); /* no news */
	clock_manual_advance(&manual, NS_PER_S);
	assert_false(neighbour_is_restarting(find(1), now()));
	fail_times(3);
	assert_false(usable(1));
	neighbours_restarting(neighbours, &id, 0);
	assert_int_equal(hopeful_count, 2);
	assert_true(usable(1));
}

static void test_neighbours_leaving__of_some__are_listed_with_their_weights(void **state)
{
	struct placement_member leaving[NEIGHBOURS_LEAVING_MAX];
	struct member_id one = member(1), two = member(2), nobody = member(7);

	(void)state;
	update(1, 1);
	update(2, 2);
	update(3, 3);
	neighbours_leaving(neighbours, &nobody, 5);
	assert_int_equal(neighbours_leaving_list(neighbours, leaving), 0);
	neighbours_leaving(neighbours, &one, 5);
	neighbours_leaving(neighbours, &one, 6);
	neighbours_leaving(neighbours, &two, 7);
	assert_int_equal(neighbours_leaving_list(neighbours, leaving), 2);
	neighbours_leaving(neighbours, &two, 0);
	assert_int_equal(neighbours_leaving_list(neighbours, leaving), 1);
	assert_true(member_id_equal(&leaving[0].id, &one));
	assert_int_equal(leaving[0].weight, 6);
	neighbours_remove(neighbours, &one);
	assert_int_equal(neighbours_leaving_list(neighbours, leaving), 0);
}

static void test_neighbours_restarting__back__the_pause_of_its_connection_is_over(void **state)
{
	struct member_id id = member(1);

	(void)state;
	update(1, 1);
	usable(1);
	neighbours_restarting(neighbours, &id, now() + 60 * NS_PER_S);
	for (unsigned i = 0; i < 100; i++) { /* nobody is there */
		transport_peer_connect(find(1)->peer);
		transport_poll(transport);
		clock_manual_advance(&manual, 10 * NS_PER_MS);
	}
	assert_int_not_equal(transport_peer_retry_ns(find(1)->peer), 0);
	neighbours_restarting(neighbours, &id, 0);
	assert_true(usable(1));
	assert_int_equal(transport_peer_retry_ns(find(1)->peer), 0);
}

static void test_neighbours_stop__nobody_is_usable(void **state)
{
	(void)state;
	update(1, 1);
	update(2, 2);
	usable(1);
	given_up_count = 0;
	neighbours_stop(neighbours);
	neighbours_stop(neighbours);
	assert_int_equal(given_up_count, 2);
	assert_null(find(1)->peer);
	assert_false(usable(1));
	assert_int_equal(update(3, 3), 0);
	assert_false(usable(3));
}

static void test_neighbours__out_of_memory__as_if_not_told(void **state)
{
	(void)state;
	for (unsigned n = 1, failed = 1; failed; n++) {
		unsigned number = n;
		int error;

		allocation_fault_arm(n);
		error = update(number, (int)number);
		failed = allocation_fault_disarm();
		if (!failed) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		if (find(number))
			assert_false(usable(number));
		assert_int_equal(update(number, (int)number), 0);
		allocation_fault_arm(1);
		assert_false(usable(number));
		allocation_fault_disarm();
		assert_true(usable(number));
		for (unsigned i = 1; i <= n; i++) { /* the tables are to be made anew */
			struct member_id id = member(i);

			neighbours_remove(neighbours, &id);
		}
	}
}

#define NEIGHBOURS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NEIGHBOURS_TEST(test_neighbours_update__new__is_found_and_connected_when_wanted),
		NEIGHBOURS_TEST(test_neighbours_update__no_address__is_not_usable),
		NEIGHBOURS_TEST(test_neighbours_update__same_address__keeps_the_connection),
		NEIGHBOURS_TEST(test_neighbours_update__moved__gives_up_the_connection),
		NEIGHBOURS_TEST(test_neighbours_update__anothers_address__the_last_told_has_it),
		NEIGHBOURS_TEST(test_neighbours_remove__known_or_not__is_forgotten),
		NEIGHBOURS_TEST(test_neighbour_failed__in_a_row__opens_the_breaker),
		NEIGHBOURS_TEST(test_neighbour_usable__open__one_probe_at_a_time),
		NEIGHBOURS_TEST(test_neighbours_restarting__silence_counts_for_nothing),
		NEIGHBOURS_TEST(test_neighbours_leaving__of_some__are_listed_with_their_weights),
		NEIGHBOURS_TEST(
			test_neighbours_restarting__back__the_pause_of_its_connection_is_over),
		NEIGHBOURS_TEST(test_neighbours_stop__nobody_is_usable),
		NEIGHBOURS_TEST(test_neighbours__out_of_memory__as_if_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * storm.c - fifty transports on a loop where everything goes wrong: delays, losses, slices that
 * never come, connections that break, fences that let late bytes through, cuts in one direction or
 * both, members killed in mid-read and started anew. What must hold all the same:
 *
 *	- done() runs once a read, by its deadline and what a fence takes
 *	- status 0 means the right bytes
 *	- not one byte of a destination changes after done()
 *	- messages arrive in order within a connection; those that ended -ETIMEDOUT never arrive
 *	- afterwards, on a healed network, everybody reads everybody again
 *
 * usage: storm [SEED]   without one, a few fixed seeds. A failure prints its seed.
 */
#include "tests/unit/base/slow.h"
#include "tests/unit/fabric/transport/storm.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fabric/keyring.h"

#define STEPS	    6000
#define STEP_NS_MAX (500 * UINT64_C(1000))

static struct loop_faults bad_faults(struct storm *storm)
{
	return (struct loop_faults){
		.delay_min_ns = 1000,
		.delay_max_ns = 1000 + storm_pick(storm, 3 * NS_PER_MS),
		.loss_per_mille = (unsigned)storm_pick(storm, 50),
		.resend_ns = NS_PER_MS + storm_pick(storm, 10 * NS_PER_MS),
		.stall_per_mille = (unsigned)storm_pick(storm, 10),
		.break_per_mille = (unsigned)storm_pick(storm, 5),
		.fence_ns = storm_pick(storm, 20 * NS_PER_MS),
		.late_bytes = true,
		.detect_ns = storm_pick(storm, NS_PER_S),
	};
}

static void strike(struct storm *storm)
{
	struct storm_node *node = &storm->nodes[storm_pick(storm, NODES)];
	unsigned other = (unsigned)storm_pick(storm, NODES);

	switch (storm_pick(storm, 6)) {
	case 0:
		loop_cut(storm->network, node->number, other, true);
		break;
	case 1:
		loop_cut_node(storm->network, node->number, storm_pick(storm, 3) == 0);
		break;
	case 2: /* killed, or stopped in order */
		if (!node->transport)
			break;
		if (storm_pick(storm, 2))
			loop_kill(storm->network, node->number);
		node_close(node);
		break;
	case 3:
	case 4:
		for (unsigned i = 0; i < NODES; i++)
			loop_cut(storm->network, i, other, false);
		loop_cut_node(storm->network, other, false);
		if (!node->transport)
			node_open(node);
		break;
	default:
		if (node->transport && node->peers[other])
			transport_peer_disconnect(node->peers[other]);
		break;
	}
}

static void act(struct storm *storm)
{
	struct storm_node *node = &storm->nodes[storm_pick(storm, NODES)];
	unsigned other = (unsigned)storm_pick(storm, NODES);

	if (!node->transport)
		return;
	node_read(node);
	node_send(node);
	if (storm_pick(storm, 50) == 0 && node->peers[other]) {
		transport_peer_put(node->peers[other]);
		node->peers[other] = NULL;
	}
}

static void step(struct storm *storm)
{
	clock_manual_advance(&storm->clock, 1 + storm_pick(storm, STEP_NS_MAX));
	for (unsigned i = 0; i < NODES; i++) {
		if (storm->nodes[i].transport)
			transport_poll(storm->nodes[i].transport);
	}
}

static void calm_down(struct storm *storm)
{
	struct loop_faults faults = loop_faults_none();

	faults.detect_ns = 100 * NS_PER_MS;
	faults.fence_ns = storm->faults.fence_ns; /* of fences under way */
	loop_network_set_faults(storm->network, &faults);
	for (unsigned i = 0; i < NODES; i++) {
		loop_cut_node(storm->network, i, false);
		if (!storm->nodes[i].transport)
			node_open(&storm->nodes[i]);
	}
	for (uint64_t until_ns = storm_now(storm) + NS_PER_S; storm_now(storm) < until_ns;)
		step(storm);
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned j = 0; j < SLOTS; j++)
			STORM_CHECK(storm, !storm->nodes[i].slots[j].busy);
		node_check(&storm->nodes[i]);
	}
}

/* Idle connections keep their places with those who accepted them, of whom there may be more than
   they accept; not for long. */
static void fall_asleep(struct storm *storm)
{
	for (uint64_t until_ns = storm_now(storm) + NS_PER_S; storm_now(storm) < until_ns;)
		step(storm);
	STORM_CHECK(storm, !counter_get(&storm->counters, TRANSPORT_PEERS_ACTIVE));
	STORM_CHECK(storm, !counter_get(&storm->counters, TRANSPORT_PEERS_PASSIVE));
}

/* What is healed works again, and soon: back-offs are at most retry_max. */
static void read_everybody(struct storm *storm)
{
	uint64_t right = storm->right, started = 0;

	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned j = 1; j <= 5; j++) {
			int error =
				node_read_of(&storm->nodes[i], (i + j * 7) % NODES, 2 * NS_PER_S);

			STORM_CHECK(storm, !error);
			started++;
		}
	}
	for (uint64_t until_ns = storm_now(storm) + 3 * NS_PER_S;
	     storm_now(storm) < until_ns && storm->right < right + started;)
		step(storm);
	STORM_CHECK(storm, storm->right >= right + started);
}

static void run(uint64_t seed)
{
	static const uint8_t key[KEYRING_KEY_LEN] = { 7 };
	struct storm *storm = calloc(1, sizeof(*storm));

	assert_non_null(storm);
	storm->seed = seed;
	random_init(&storm->random, seed);
	clock_manual_init(&storm->clock, NS_PER_S, 0);
	assert_int_equal(keyring_create(&storm->ring), 0);
	assert_int_equal(keyring_add(storm->ring, key), 0);
	assert_int_equal(transport_counters_init(&storm->counters), 0);
	assert_int_equal(loop_network_create(&storm->clock.clock, seed, &storm->network), 0);
	storm->faults = bad_faults(storm);
	loop_network_set_faults(storm->network, &storm->faults);
	for (unsigned i = 0; i < NODES; i++)
		node_make(storm, i);
	for (unsigned i = 0; i < STEPS; i++) {
		if (storm_pick(storm, 40) == 0)
			strike(storm);
		for (unsigned j = 0; j < 4; j++)
			act(storm);
		step(storm);
	}
	calm_down(storm);
	fall_asleep(storm);
	read_everybody(storm);
	print_message(
		"seed %llu: %llu reads, %llu right, %llu fences, %llu repeated, %llu "
		"connections, %llu messages\n",
		(unsigned long long)seed, (unsigned long long)storm->done,
		(unsigned long long)storm->right,
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_FENCES),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_READS_REPEATED),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_CONNECTS),
		(unsigned long long)counter_get(&storm->counters, TRANSPORT_MESSAGES_RECEIVED));
	for (unsigned i = 0; i < NODES; i++)
		node_free(&storm->nodes[i]);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_READS_INFLIGHT) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_PEERS_ACTIVE) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_PEERS_PASSIVE) == 0);
	STORM_CHECK(storm, counter_get(&storm->counters, TRANSPORT_REGISTERED) == 0);
	loop_network_destroy(storm->network);
	keyring_destroy(storm->ring);
	counters_fini(&storm->counters);
	free(storm);
}

static uint64_t only_seed;

static void test_transport__a_storm_of_faults__keeps_its_contract(void **state)
{
	(void)state;
	if (only_seed) {
		run(only_seed);
		return;
	}
	for (uint64_t seed = 1; seed <= SLOWED(3); seed++)
		run(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transport__a_storm_of_faults__keeps_its_contract),
	};

	if (argc > 1)
		only_seed = strtoull(argv[1], NULL, 10);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * measure.c - how fast a node reads from another: a node that measures and two targets on a loop
 * network. Time is moved by hand, to the next thing that happens.
 */
#include "cache/peer/measure.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/log.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/host.h"

#define ARENA_LEN   ((size_t)1 << 20)
#define TARGETS	    2
#define READS_MAX   128
#define PATIENCE_NS (300 * NS_PER_S)
#define WAITING	    1 /* a status that is none */

struct node {
	struct identity identity;
	struct transport *transport; /* NULL: not running */
	uint8_t *arena;
};

struct asked {
	struct measurement measurement;
	unsigned calls; /* of done() */
	uint64_t done_ns;
	struct asked *then; /* is started inside done() */
};

static struct clock_manual manual;
static struct loop_network *network;
static struct keyring *ring;
static struct peers_config config;
static struct counters counters, transport_counters;
static struct neighbours *neighbours;
static struct measure *measure;
static struct node nodes[1 + TARGETS]; /* [0] measures */
static unsigned evidence_count;
static bool stopped_targets; /* their processes: their memory is read all the same */

static uint64_t now(void)
{
	return clock_now_ns(&manual.clock);
}

/* A tenth of a millisecond each way: a second is some thousand READs, and not millions. */
static struct loop_faults usual_faults(void)
{
	struct loop_faults faults = loop_faults_none();

	faults.delay_min_ns = faults.delay_max_ns = 100000;
	return faults;
}

/* --- nodes */

static void open_node(unsigned number)
{
	struct node *node = &nodes[number];
	struct transport_environment environment = {
		.clock = &manual.clock,
		.identity = &node->identity,
		.counters = number ? NULL : &transport_counters,
	};
	struct transport_config transport_config = host_config();

	node->identity = (struct identity){ .cluster = "c", .ring = ring };
	node->identity.member = host_member(number);
	transport_config.reads_max = READS_MAX;
	transport_config.retry_min = 20 * NS_PER_MS;
	transport_config.retry_max = 200 * NS_PER_MS;
	transport_config.connect_timeout = NS_PER_S;
	transport_config.slice_len = 64 << 10;
	node->transport = host_open(network, number, &transport_config, &environment);
	host_add_region(node->transport, node->arena, ARENA_LEN, TRANSPORT_READABLE,
			PEER_REGION_ARENA);
	host_listen(node->transport);
}

static void close_node(unsigned number)
{
	transport_close(nodes[number].transport);
	nodes[number].transport = NULL;
}

static void kill_node(unsigned number)
{
	loop_kill(network, number);
	close_node(number);
}

static void on_evidence(void *context, const struct member_id *id, const char *why)
{
	(void)context;
	(void)id;
	(void)why;
	evidence_count++;
}

static int setup(void **state)
{
	static struct counter_spec specs[PEERS_COUNTER_COUNT];
	static const uint8_t key[KEYRING_KEY_LEN] = { 1 };
	struct neighbours_setup plan = { .config = &config,
					 .counters = &counters,
					 .evidence = on_evidence };
	struct loop_faults faults = usual_faults();
	struct member_id self = host_member(0);

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	stopped_targets = false;
	evidence_count = 0;
	clock_manual_init(&manual, NS_PER_S, 0);
	assert_int_equal(option_defaults(&peers_options, &config), 0);
	assert_int_equal(counters_init(&counters, "peers", specs, PEERS_COUNTER_COUNT), 0);
	assert_int_equal(transport_counters_init(&transport_counters), 0);
	assert_int_equal(keyring_create(&ring), 0);
	assert_int_equal(keyring_add(ring, key), 0);
	assert_int_equal(loop_network_create(&manual.clock, 1, &network), 0);
	loop_network_set_faults(network, &faults);
	for (unsigned i = 0; i <= TARGETS; i++) {
		nodes[i].arena = mmap(NULL, ARENA_LEN, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(nodes[i].arena, MAP_FAILED);
		open_node(i);
	}
	plan.transport = nodes[0].transport;
	assert_int_equal(neighbours_create(&plan, &neighbours), 0);
	for (unsigned i = 1; i <= TARGETS; i++) {
		struct member_id id = host_member(i);
		struct address address = loop_address(i);

		assert_int_equal(neighbours_update(neighbours, &id, &address), 0);
	}
	assert_int_equal(
		measure_create(nodes[0].transport, neighbours, &manual.clock, &self, 7, &measure),
		0);
	return 0;
}

static void step(void);

static int teardown(void **state)
{
	(void)state;
	measure_stop(measure);
	neighbours_stop(neighbours);
	while (!measure_is_idle(measure))
		step();
	neighbours_destroy(neighbours);
	for (unsigned i = 0; i <= TARGETS; i++)
		close_node(i);
	measure_destroy(measure);
	loop_network_destroy(network);
	for (unsigned i = 0; i <= TARGETS; i++)
		munmap(nodes[i].arena, ARENA_LEN);
	keyring_destroy(ring);
	counters_fini(&counters);
	counters_fini(&transport_counters);
	option_free(&peers_options, &config);
	return 0;
}

static void step(void)
{
	uint64_t next_ns = now() + NS_PER_MS, at_ns;

	transport_poll(nodes[0].transport);
	at_ns = measure_tick(measure);
	assert_true(at_ns > now()); /* it would spin */
	next_ns = at_ns < next_ns ? at_ns : next_ns;
	for (unsigned i = 1; i <= TARGETS && !stopped_targets; i++) {
		if (nodes[i].transport)
			transport_poll(nodes[i].transport);
	}
	at_ns = loop_network_next_ns(network);
	if (at_ns <= now())
		at_ns = now() + 1000;
	next_ns = at_ns < next_ns ? at_ns : next_ns;
	clock_manual_advance(&manual, next_ns - now());
}

static void run(uint64_t ns)
{
	for (uint64_t until_ns = now() + ns; now() < until_ns;)
		step();
}

/* --- measurements */

static void start(struct asked *asked)
{
	measure_start(measure, &asked->measurement);
}

static void asked_done(struct measurement *measurement)
{
	struct asked *asked = measurement->context;

	assert_int_equal(asked->calls, 0);
	asked->calls++;
	asked->done_ns = now();
	if (asked->then)
		start(asked->then);
}

/* 16 at a time of 16 KiB, 1 MiB, within a second; 5 s in all. */
static struct measurement usual(unsigned target)
{
	return (struct measurement){
		.asked = { .target = host_member(target),
			   .duration_ms = 1000,
			   .bytes = 1 << 20,
			   .read_len = 16 << 10,
			   .depth = 16 },
		.deadline_ns = now() + 5 * NS_PER_S,
		.status = WAITING,
	};
}

static void ask(struct asked *asked, const struct measurement *measurement)
{
	*asked = (struct asked){ .measurement = *measurement };
	asked->measurement.done = asked_done;
	asked->measurement.context = asked;
	start(asked);
	assert_int_equal(asked->calls, 0);
}

static void wait_for(const struct asked *asked)
{
	for (uint64_t until_ns = now() + PATIENCE_NS; !asked->calls; step())
		assert_true(now() < until_ns);
}

static void expect(struct asked *asked, int status)
{
	wait_for(asked);
	assert_int_equal(asked->measurement.status, status);
}

static uint64_t count(enum transport_counter counter)
{
	return counter_get(&transport_counters, counter);
}

/* --- what is measured */

static void test_measure__bytes_run_out_first__exactly_so_many(void **state)
{
	static const struct {
		uint64_t bytes;
		uint32_t read_len;
		unsigned depth, reads;
	} rows[] = {
		{ 1 << 20, 16 << 10, 16, 64 },
		{ (1 << 20) + 5, 16 << 10, 16, 65 }, /* the last one is as long as is left */
		{ 1, 4096, 64, 1 },
		{ UINT64_C(4096000), 4096, 1, 1000 }, /* a number of READs is a number of bytes */
		{ 100, 1, 3, 100 },
		{ 3 << 20, PEER_MEASURE_LEN_MAX, 2, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct measurement measurement = usual(1);
		const struct peer_measured *measured;
		uint64_t bytes = count(TRANSPORT_READ_BYTES);
		struct asked asked;

		measurement.asked.bytes = rows[i].bytes;
		measurement.asked.read_len = rows[i].read_len;
		measurement.asked.depth = rows[i].depth;
		ask(&asked, &measurement);
		expect(&asked, 0);
		measured = &asked.measurement.measured;
		assert_int_equal(measured->bytes, rows[i].bytes);
		assert_int_equal(measured->reads, rows[i].reads);
		assert_int_equal(count(TRANSPORT_READ_BYTES) - bytes, rows[i].bytes);
		assert_true(measured->ns > 0);
		assert_true(measured->p50_ns > 0 && measured->p50_ns <= measured->p99_ns);
		assert_true(measured->p99_ns <= measured->max_ns &&
			    measured->max_ns <= measured->ns);
	}
	assert_int_equal(evidence_count, 0);
}

static void test_measure__time_runs_out_first__ends_with_what_was_read(void **state)
{
	struct measurement measurement = usual(1);
	const struct peer_measured *measured;
	uint64_t begun_ns = now();
	struct asked asked;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	measurement.asked.duration_ms = 20;
	ask(&asked, &measurement);
	expect(&asked, 0);
	measured = &asked.measurement.measured;
	assert_in_range(measured->ns, 19 * NS_PER_MS, 21 * NS_PER_MS);
	assert_int_equal(measured->bytes, (uint64_t)measured->reads * (16 << 10));
	assert_true(measured->reads > 1000);
	assert_true(asked.done_ns - begun_ns < 25 * NS_PER_MS);
	assert_int_equal(count(TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure__one_at_a_time__its_latency_is_the_networks(void **state)
{
	struct measurement measurement = usual(1);
	const struct peer_measured *measured;
	struct asked asked;

	(void)state;
	measurement.asked.depth = 1;
	measurement.asked.read_len = 4096;
	measurement.asked.duration_ms = 100;
	ask(&asked, &measurement);
	expect(&asked, 0);
	measured = &asked.measurement.measured;
	/* the histogram's buckets are 3.2 % wide */
	assert_in_range(measured->p50_ns, 100000, 210000);
	assert_in_range(measured->max_ns, measured->p50_ns * 9 / 10, 210000);
	assert_in_range(measured->ns, 99 * measured->reads * 1000, 210 * measured->reads * 1000);
}

static void test_measure__depth__so_many_at_a_time_as_fit(void **state)
{
	static const struct {
		uint32_t read_len;
		unsigned depth, expected;
	} rows[] = {
		{ 4096, 64, 64 },
		{ 1, 64, 64 },
		{ PEER_MEASURE_LEN_MAX, 64, MEASURE_LANDING_LEN / PEER_MEASURE_LEN_MAX },
		{ PEER_MEASURE_LEN_MAX - 1, 64, MEASURE_LANDING_LEN / PEER_MEASURE_LEN_MAX },
		{ 128 << 10, 3, 3 },
	};
	struct loop_faults faults = usual_faults();

	(void)state;
	faults.delay_min_ns = faults.delay_max_ns = 2 * NS_PER_MS;
	loop_network_set_faults(network, &faults);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct measurement measurement = usual(1);
		struct asked asked;
		uint64_t most = 0;

		measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
		measurement.asked.duration_ms = 20;
		measurement.asked.read_len = rows[i].read_len;
		measurement.asked.depth = rows[i].depth;
		ask(&asked, &measurement);
		for (; !asked.calls; step())
			most = count(TRANSPORT_READS_INFLIGHT) > most
				       ? count(TRANSPORT_READS_INFLIGHT)
				       : most;
		assert_int_equal(asked.measurement.status, 0);
		assert_int_equal(most, rows[i].expected);
	}
}

static void test_measure__connecting__takes_none_of_its_time(void **state)
{
	struct loop_faults faults = usual_faults();
	struct measurement measurement = usual(1);
	uint64_t begun_ns = now();
	struct asked asked;

	(void)state;
	faults.delay_min_ns = faults.delay_max_ns = 300 * NS_PER_MS;
	loop_network_set_faults(network, &faults);
	measurement.asked.bytes = 4096;
	measurement.asked.read_len = 4096;
	ask(&asked, &measurement);
	expect(&asked, 0);
	/* there and back: once to connect, once to read */
	assert_true(asked.done_ns - begun_ns >= 1200 * NS_PER_MS);
	assert_in_range(asked.measurement.measured.ns, 600 * NS_PER_MS, 610 * NS_PER_MS);
}

/* --- what goes wrong */

static void test_measure__no_way_to_the_target__says_why(void **state)
{
	static const struct {
		unsigned target;
		bool known, killed;
		int status;
	} rows[] = {
		{ 0, true, false, -EINVAL },	    /* this node */
		{ 9, false, false, -EHOSTUNREACH }, /* unknown */
		{ 1, true, true, -EHOSTUNREACH },   /* nobody is there */
	};
	struct loop_faults faults = usual_faults();

	(void)state;
	faults.detect_ns = 10 * NS_PER_MS;
	loop_network_set_faults(network, &faults);
	kill_node(1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct measurement measurement = usual(rows[i].target);
		struct asked asked;

		ask(&asked, &measurement);
		expect(&asked, rows[i].status);
		assert_int_equal(asked.measurement.measured.bytes, 0);
		assert_int_equal(asked.measurement.measured.ns, 0);
	}
}

static void test_measure__another_cluster_answers__is_refused(void **state)
{
	static const uint8_t other[KEYRING_KEY_LEN] = { 2 };
	struct measurement measurement = usual(1);
	struct keyring *stranger;
	struct asked asked;

	(void)state;
	assert_int_equal(keyring_create(&stranger), 0);
	assert_int_equal(keyring_add(stranger, other), 0);
	nodes[1].identity.ring = stranger;
	ask(&asked, &measurement);
	expect(&asked, -EACCES);
	nodes[1].identity.ring = ring;
	keyring_destroy(stranger);
}

static void test_measure__back_off_of_an_earlier_failure__is_waited_for(void **state)
{
	struct member_id id = host_member(1);
	struct transport_peer *peer;
	struct measurement measurement;
	struct asked asked;

	(void)state;
	kill_node(1);
	assert_true(neighbour_usable(neighbours, neighbours_find(neighbours, &id), now()));
	peer = neighbours_find(neighbours, &id)->peer;
	for (unsigned i = 0; i < 5; i++) {
		transport_peer_connect(peer);
		while (!transport_peer_retry_ns(peer))
			step();
		run(transport_peer_retry_ns(peer) - now());
	}
	transport_peer_connect(peer);
	while (!transport_peer_retry_ns(peer))
		step();
	open_node(1);
	measurement = usual(1);
	ask(&asked, &measurement);
	expect(&asked, 0);
}

static void test_measure__silent_when_connecting__ends_at_the_deadline(void **state)
{
	struct measurement measurement = usual(1);
	struct asked asked;

	(void)state;
	stopped_targets = true;
	measurement.deadline_ns = now() + 500 * NS_PER_MS;
	ask(&asked, &measurement);
	expect(&asked, -ETIMEDOUT);
	assert_in_range(asked.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 10 * NS_PER_MS);
}

/* What is under way when it ends may still be written: done() is after that. */
static void test_measure__silent_half_way__ends_when_nothing_can_be_written(void **state)
{
	struct loop_faults faults = usual_faults();
	struct measurement measurement = usual(1);
	struct asked asked, next;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	ask(&asked, &measurement);
	run(20 * NS_PER_MS);
	assert_true(asked.measurement.measured.reads > 0);
	faults.stall_per_mille = 1000;
	faults.fence_ns = 50 * NS_PER_MS;
	faults.late_bytes = true;
	faults.detect_ns = CLOCK_NEVER;
	loop_network_set_faults(network, &faults);
	expect(&asked, -ETIMEDOUT);
	assert_int_equal(count(TRANSPORT_READS_INFLIGHT), 0);
	assert_in_range(asked.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 100 * NS_PER_MS);
	assert_true(asked.measurement.measured.bytes > 0); /* what was read by then */
	faults = usual_faults();
	loop_network_set_faults(network, &faults);
	measurement = usual(1);
	ask(&next, &measurement);
	expect(&next, 0);
}

static void test_measure__target_dies_half_way__ends_at_once(void **state)
{
	struct loop_faults faults = usual_faults();
	struct measurement measurement = usual(1);
	struct asked asked, other;
	uint64_t killed_ns;

	(void)state;
	faults.detect_ns = 30 * NS_PER_MS;
	faults.fence_ns = 5 * NS_PER_MS;
	faults.late_bytes = true;
	loop_network_set_faults(network, &faults);
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	ask(&asked, &measurement);
	measurement = usual(2);
	ask(&other, &measurement);
	run(20 * NS_PER_MS);
	kill_node(1);
	killed_ns = now();
	expect(&asked, -ECONNRESET);
	assert_true(asked.done_ns - killed_ns < 200 * NS_PER_MS);
	assert_true(asked.measurement.measured.bytes > 0);
	expect(&other, 0);
}

static void test_measure__target_leaves_the_cluster__ends_at_once(void **state)
{
	struct member_id id = host_member(1);
	struct measurement measurement = usual(1);
	struct asked asked;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	ask(&asked, &measurement);
	run(20 * NS_PER_MS);
	neighbours_remove(neighbours, &id);
	expect(&asked, -EHOSTUNREACH);
	assert_int_equal(count(TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure__a_slow_link__does_not_lose_its_connection(void **state)
{
	struct loop_faults faults = usual_faults();
	struct measurement measurement = usual(1);
	struct asked asked;

	(void)state;
	ask(&asked, &measurement);
	expect(&asked, 0);
	faults.delay_min_ns = faults.delay_max_ns = 200 * NS_PER_MS;
	loop_network_set_faults(network, &faults);
	measurement = usual(1);
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	measurement.asked.duration_ms = 10000; /* longer than there is */
	ask(&asked, &measurement);
	expect(&asked, 0);
	assert_true(asked.done_ns < measurement.deadline_ns);
	assert_int_equal(count(TRANSPORT_FENCES), 0);
	assert_true(asked.measurement.measured.reads >= 16);
}

/* --- others' reads */

static struct transport_read others[READS_MAX];
static unsigned others_under_way;

static void other_done(struct transport_read *read)
{
	(void)read;
	others_under_way--;
}

static void test_measure__the_transport_is_full__waits_for_room(void **state)
{
	struct loop_faults faults = usual_faults(), slow = usual_faults();
	struct address address = loop_address(2);
	struct measurement measurement = usual(1);
	struct transport_peer *peer;
	struct asked asked;

	(void)state;
	slow.delay_min_ns = slow.delay_max_ns = 300 * NS_PER_MS;
	assert_int_equal(transport_peer_get(nodes[0].transport, &address, NULL, &peer), 0);
	assert_int_equal(transport_peer_connect(peer), 0);
	while (!transport_peer_is_up(peer))
		step();
	loop_network_set_faults(network, &slow);
	for (unsigned i = 0; i < READS_MAX; i++) {
		others[i] = (struct transport_read){ .len = 4096,
						     .dst = nodes[0].arena,
						     .done = other_done };
		assert_int_equal(transport_read(peer, &others[i]), 0);
		others_under_way++;
	}
	loop_network_set_faults(network, &faults);
	ask(&asked, &measurement);
	run(100 * NS_PER_MS);
	assert_int_equal(others_under_way, READS_MAX);
	assert_int_equal(asked.calls, 0);
	expect(&asked, 0);
	assert_int_equal(asked.measurement.measured.bytes, measurement.asked.bytes);
	while (others_under_way)
		step();
	transport_peer_put(peer);
}

/* --- the queue */

static void test_measure__several__one_after_the_other(void **state)
{
	struct measurement measurement;
	struct asked asked[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		measurement = usual(1 + i % TARGETS);
		measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
		measurement.asked.duration_ms = 50;
		ask(&asked[i], &measurement);
	}
	while (!asked[2].calls) {
		step();
		assert_true(count(TRANSPORT_READS_INFLIGHT) <= 16);
	}
	assert_true(asked[1].done_ns - asked[0].done_ns >= 49 * NS_PER_MS);
	assert_true(asked[2].done_ns - asked[1].done_ns >= 49 * NS_PER_MS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(asked[i].measurement.status, 0);
}

static void test_measure__from_inside_done__is_next(void **state)
{
	struct measurement measurement = usual(2);
	struct asked first, second;

	(void)state;
	second = (struct asked){ .measurement = measurement };
	second.measurement.done = asked_done;
	second.measurement.context = &second;
	measurement = usual(1);
	ask(&first, &measurement);
	first.then = &second;
	expect(&first, 0);
	expect(&second, 0);
}

static void test_measure__queue_full__the_next_is_refused(void **state)
{
	static struct asked asked[MEASURES_MAX + 2];
	struct measurement measurement = usual(1);

	(void)state;
	measurement.asked.bytes = 4096;
	ask(&asked[0], &measurement);
	measure_tick(measure); /* it runs: it has a place no more */
	for (unsigned i = 1; i <= MEASURES_MAX + 1; i++)
		ask(&asked[i], &measurement);
	expect(&asked[MEASURES_MAX + 1], -EAGAIN);
	for (unsigned i = 0; i <= MEASURES_MAX; i++)
		expect(&asked[i], 0);
	ask(&asked[0], &measurement);
	expect(&asked[0], 0);
}

static void test_measure__deadline_while_it_waits__is_late(void **state)
{
	struct measurement measurement = usual(1);
	struct asked running, waiting;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	ask(&running, &measurement);
	measurement.deadline_ns = now() + 100 * NS_PER_MS;
	ask(&waiting, &measurement);
	expect(&waiting, -ETIMEDOUT);
	assert_in_range(waiting.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 2 * NS_PER_MS);
	assert_int_equal(running.calls, 0);
	expect(&running, 0);
}

static void test_measure_stop__all_end_canceled(void **state)
{
	struct measurement measurement = usual(1);
	struct asked running, waiting, late;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	ask(&running, &measurement);
	ask(&waiting, &measurement);
	run(10 * NS_PER_MS);
	assert_false(measure_is_idle(measure));
	measure_stop(measure);
	ask(&late, &measurement);
	expect(&running, -ECANCELED);
	expect(&waiting, -ECANCELED);
	expect(&late, -ECANCELED);
	assert_true(measure_is_idle(measure));
	assert_true(running.measurement.measured.bytes > 0);
	assert_int_equal(count(TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure_stop__while_connecting__ends_at_once(void **state)
{
	struct measurement measurement = usual(1);
	struct asked asked;

	(void)state;
	stopped_targets = true;
	ask(&asked, &measurement);
	run(10 * NS_PER_MS);
	measure_stop(measure);
	measure_tick(measure);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.measurement.status, -ECANCELED);
}

static void test_measure__no_memory_to_land_in__the_next_one_tries_again(void **state)
{
	struct measurement measurement = usual(1);
	struct asked asked;

	(void)state;
	for (unsigned n = 1;; n++) {
		bool failed;

		ask(&asked, &measurement);
		allocation_fault_arm(n);
		measure_tick(measure);
		failed = allocation_fault_disarm();
		expect(&asked, failed ? -ENOMEM : 0);
		if (!failed)
			break;
	}
	assert_int_equal(asked.measurement.measured.bytes, measurement.asked.bytes);
}

static void test_measure_create__no_memory__says_so(void **state)
{
	struct member_id self = host_member(0);
	struct measure *none = NULL;

	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(
		measure_create(nodes[0].transport, neighbours, &manual.clock, &self, 7, &none),
		-ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_null(none);
	measure_destroy(NULL);
}

#define MEASURE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEASURE_TEST(test_measure__bytes_run_out_first__exactly_so_many),
		MEASURE_TEST(test_measure__time_runs_out_first__ends_with_what_was_read),
		MEASURE_TEST(test_measure__one_at_a_time__its_latency_is_the_networks),
		MEASURE_TEST(test_measure__depth__so_many_at_a_time_as_fit),
		MEASURE_TEST(test_measure__connecting__takes_none_of_its_time),
		MEASURE_TEST(test_measure__no_way_to_the_target__says_why),
		MEASURE_TEST(test_measure__another_cluster_answers__is_refused),
		MEASURE_TEST(test_measure__back_off_of_an_earlier_failure__is_waited_for),
		MEASURE_TEST(test_measure__silent_when_connecting__ends_at_the_deadline),
		MEASURE_TEST(test_measure__silent_half_way__ends_when_nothing_can_be_written),
		MEASURE_TEST(test_measure__target_dies_half_way__ends_at_once),
		MEASURE_TEST(test_measure__target_leaves_the_cluster__ends_at_once),
		MEASURE_TEST(test_measure__a_slow_link__does_not_lose_its_connection),
		MEASURE_TEST(test_measure__the_transport_is_full__waits_for_room),
		MEASURE_TEST(test_measure__several__one_after_the_other),
		MEASURE_TEST(test_measure__from_inside_done__is_next),
		MEASURE_TEST(test_measure__queue_full__the_next_is_refused),
		MEASURE_TEST(test_measure__deadline_while_it_waits__is_late),
		MEASURE_TEST(test_measure_stop__all_end_canceled),
		MEASURE_TEST(test_measure_stop__while_connecting__ends_at_once),
		MEASURE_TEST(test_measure__no_memory_to_land_in__the_next_one_tries_again),
		MEASURE_TEST(test_measure_create__no_memory__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

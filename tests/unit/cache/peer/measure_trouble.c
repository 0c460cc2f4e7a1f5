/*
 * measure_trouble.c - how fast a node reads from another that is slow, silent, gone or another's,
 * or when memory is short.
 */
#include "tests/unit/cache/peer/measure_rig.h"

#include <errno.h>

#include "tests/unit/base/allocation_fault.h"

static struct rig rig;

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
	struct loop_faults faults = rig_usual_faults();

	(void)state;
	faults.detect_ns = 10 * NS_PER_MS;
	loop_network_set_faults(rig.network, &faults);
	rig_kill(&rig, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct measurement measurement = rig_usual(&rig, rows[i].target);
		struct rig_asked asked;

		rig_ask(&rig, &asked, &measurement);
		rig_expect(&asked, rows[i].status);
		assert_int_equal(asked.measurement.measured.bytes, 0);
		assert_int_equal(asked.measurement.measured.ns, 0);
	}
}

static void test_measure__another_cluster_answers__is_refused(void **state)
{
	static const uint8_t other[KEYRING_KEY_LEN] = { 2 };
	struct measurement measurement = rig_usual(&rig, 1);
	struct keyring *stranger;
	struct rig_asked asked;

	(void)state;
	assert_int_equal(keyring_create(&stranger), 0);
	assert_int_equal(keyring_add(stranger, other), 0);
	rig.nodes[1].identity.ring = stranger;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, -EACCES);
	rig.nodes[1].identity.ring = rig.ring;
	keyring_destroy(stranger);
}

static void test_measure__back_off_of_an_earlier_failure__is_waited_for(void **state)
{
	struct member_id id = host_member(1);
	struct transport_peer *peer;
	struct measurement measurement;
	struct rig_asked asked;

	(void)state;
	rig_kill(&rig, 1);
	assert_true(neighbour_usable(rig.neighbours, neighbours_find(rig.neighbours, &id),
				     rig_now(&rig)));
	peer = neighbours_find(rig.neighbours, &id)->peer;
	for (unsigned i = 0; i < 5; i++) {
		transport_peer_connect(peer);
		while (!transport_peer_retry_ns(peer))
			rig_step(&rig);
		rig_run(&rig, transport_peer_retry_ns(peer) - rig_now(&rig));
	}
	transport_peer_connect(peer);
	while (!transport_peer_retry_ns(peer))
		rig_step(&rig);
	rig_start(&rig, 1);
	measurement = rig_usual(&rig, 1);
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
}

static void test_measure__silent_when_connecting__ends_at_the_deadline(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked;

	(void)state;
	rig.stopped_targets = true;
	measurement.deadline_ns = rig_now(&rig) + 500 * NS_PER_MS;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, -ETIMEDOUT);
	assert_in_range(asked.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 10 * NS_PER_MS);
}

/* What is under way when it ends may still be written: done() is after that. */
static void test_measure__silent_half_way__ends_when_nothing_can_be_written(void **state)
{
	struct loop_faults faults = rig_usual_faults();
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked, next;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	rig_ask(&rig, &asked, &measurement);
	rig_run(&rig, 20 * NS_PER_MS);
	assert_true(asked.measurement.measured.reads > 0);
	faults.stall_per_mille = 1000;
	faults.fence_ns = 50 * NS_PER_MS;
	faults.late_bytes = true;
	faults.detect_ns = CLOCK_NEVER;
	loop_network_set_faults(rig.network, &faults);
	rig_expect(&asked, -ETIMEDOUT);
	assert_int_equal(rig_count(&rig, TRANSPORT_READS_INFLIGHT), 0);
	assert_in_range(asked.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 100 * NS_PER_MS);
	assert_true(asked.measurement.measured.bytes > 0); /* what was read by then */
	faults = rig_usual_faults();
	loop_network_set_faults(rig.network, &faults);
	measurement = rig_usual(&rig, 1);
	rig_ask(&rig, &next, &measurement);
	rig_expect(&next, 0);
}

static void test_measure__target_dies_half_way__ends_at_once(void **state)
{
	struct loop_faults faults = rig_usual_faults();
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked, other;
	uint64_t killed_ns;

	(void)state;
	faults.detect_ns = 30 * NS_PER_MS;
	faults.fence_ns = 5 * NS_PER_MS;
	faults.late_bytes = true;
	loop_network_set_faults(rig.network, &faults);
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	rig_ask(&rig, &asked, &measurement);
	measurement = rig_usual(&rig, 2);
	rig_ask(&rig, &other, &measurement);
	rig_run(&rig, 20 * NS_PER_MS);
	rig_kill(&rig, 1);
	killed_ns = rig_now(&rig);
	rig_expect(&asked, -ECONNRESET);
	assert_true(asked.done_ns - killed_ns < 200 * NS_PER_MS);
	assert_true(asked.measurement.measured.bytes > 0);
	rig_expect(&other, 0);
}

static void test_measure__target_leaves_the_cluster__ends_at_once(void **state)
{
	struct member_id id = host_member(1);
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	rig_ask(&rig, &asked, &measurement);
	rig_run(&rig, 20 * NS_PER_MS);
	neighbours_remove(rig.neighbours, &id);
	rig_expect(&asked, -EHOSTUNREACH);
	assert_int_equal(rig_count(&rig, TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure__a_slow_link__does_not_lose_its_connection(void **state)
{
	struct loop_faults faults = rig_usual_faults();
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked;

	(void)state;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
	faults.delay_min_ns = faults.delay_max_ns = 200 * NS_PER_MS;
	loop_network_set_faults(rig.network, &faults);
	measurement = rig_usual(&rig, 1);
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	measurement.asked.duration_ms = 10000; /* longer than there is */
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
	assert_true(asked.done_ns < measurement.deadline_ns);
	assert_int_equal(rig_count(&rig, TRANSPORT_FENCES), 0);
	assert_true(asked.measurement.measured.reads >= 16);
}

static void test_measure__no_memory_to_land_in__the_next_one_tries_again(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked;

	(void)state;
	for (unsigned n = 1;; n++) {
		bool failed;

		rig_ask(&rig, &asked, &measurement);
		allocation_fault_arm(n);
		measure_tick(rig.measure);
		failed = allocation_fault_disarm();
		rig_expect(&asked, failed ? -ENOMEM : 0);
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
	assert_int_equal(measure_create(rig.nodes[0].transport, rig.neighbours, &rig.clock.clock,
					&self, 7, &none),
			 -ENOMEM);
	assert_true(allocation_fault_disarm());
	assert_null(none);
	measure_destroy(NULL);
}

#define MEASURE_TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEASURE_TEST(test_measure__no_way_to_the_target__says_why),
		MEASURE_TEST(test_measure__another_cluster_answers__is_refused),
		MEASURE_TEST(test_measure__back_off_of_an_earlier_failure__is_waited_for),
		MEASURE_TEST(test_measure__silent_when_connecting__ends_at_the_deadline),
		MEASURE_TEST(test_measure__silent_half_way__ends_when_nothing_can_be_written),
		MEASURE_TEST(test_measure__target_dies_half_way__ends_at_once),
		MEASURE_TEST(test_measure__target_leaves_the_cluster__ends_at_once),
		MEASURE_TEST(test_measure__a_slow_link__does_not_lose_its_connection),
		MEASURE_TEST(test_measure__no_memory_to_land_in__the_next_one_tries_again),
		MEASURE_TEST(test_measure_create__no_memory__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

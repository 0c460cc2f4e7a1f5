/*
 * measure.c - how fast a node reads from another: what is measured, and in which order.
 */
#include "tests/unit/cache/peer/measure_rig.h"

#include <errno.h>

static struct rig rig;

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
		struct measurement measurement = rig_usual(&rig, 1);
		const struct peer_measured *measured;
		uint64_t bytes = rig_count(&rig, TRANSPORT_READ_BYTES);
		struct rig_asked asked;

		measurement.asked.bytes = rows[i].bytes;
		measurement.asked.read_len = rows[i].read_len;
		measurement.asked.depth = rows[i].depth;
		rig_ask(&rig, &asked, &measurement);
		rig_expect(&asked, 0);
		measured = &asked.measurement.measured;
		assert_int_equal(measured->bytes, rows[i].bytes);
		assert_int_equal(measured->reads, rows[i].reads);
		assert_int_equal(rig_count(&rig, TRANSPORT_READ_BYTES) - bytes, rows[i].bytes);
		assert_true(measured->ns > 0);
		assert_true(measured->p50_ns > 0 && measured->p50_ns <= measured->p99_ns);
		assert_true(measured->p99_ns <= measured->max_ns &&
			    measured->max_ns <= measured->ns);
	}
	assert_int_equal(rig.evidence_count, 0);
}

static void test_measure__time_runs_out_first__ends_with_what_was_read(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	const struct peer_measured *measured;
	uint64_t begun_ns = rig_now(&rig);
	struct rig_asked asked;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	measurement.asked.duration_ms = 20;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
	measured = &asked.measurement.measured;
	assert_in_range(measured->ns, 19 * NS_PER_MS, 21 * NS_PER_MS);
	assert_int_equal(measured->bytes, (uint64_t)measured->reads * (16 << 10));
	assert_true(measured->reads > 1000);
	assert_true(asked.done_ns - begun_ns < 25 * NS_PER_MS);
	assert_int_equal(rig_count(&rig, TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure__one_at_a_time__its_latency_is_the_networks(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	const struct peer_measured *measured;
	struct rig_asked asked;

	(void)state;
	measurement.asked.depth = 1;
	measurement.asked.read_len = 4096;
	measurement.asked.duration_ms = 100;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
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
	struct loop_faults faults = rig_usual_faults();

	(void)state;
	faults.delay_min_ns = faults.delay_max_ns = 2 * NS_PER_MS;
	loop_network_set_faults(rig.network, &faults);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct measurement measurement = rig_usual(&rig, 1);
		struct rig_asked asked;
		uint64_t most = 0;

		measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
		measurement.asked.duration_ms = 20;
		measurement.asked.read_len = rows[i].read_len;
		measurement.asked.depth = rows[i].depth;
		rig_ask(&rig, &asked, &measurement);
		for (; !asked.calls; rig_step(&rig))
			most = rig_count(&rig, TRANSPORT_READS_INFLIGHT) > most
				       ? rig_count(&rig, TRANSPORT_READS_INFLIGHT)
				       : most;
		assert_int_equal(asked.measurement.status, 0);
		assert_int_equal(most, rows[i].expected);
	}
}

static void test_measure__connecting__takes_none_of_its_time(void **state)
{
	struct loop_faults faults = rig_usual_faults();
	struct measurement measurement = rig_usual(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);
	struct rig_asked asked;

	(void)state;
	faults.delay_min_ns = faults.delay_max_ns = 300 * NS_PER_MS;
	loop_network_set_faults(rig.network, &faults);
	measurement.asked.bytes = 4096;
	measurement.asked.read_len = 4096;
	rig_ask(&rig, &asked, &measurement);
	rig_expect(&asked, 0);
	/* there and back: once to connect, once to read */
	assert_true(asked.done_ns - begun_ns >= 1200 * NS_PER_MS);
	assert_in_range(asked.measurement.measured.ns, 600 * NS_PER_MS, 610 * NS_PER_MS);
}

/* --- others' reads */

static struct transport_read others[RIG_READS_MAX];
static unsigned others_under_way;

static void other_done(struct transport_read *read)
{
	(void)read;
	others_under_way--;
}

static void test_measure__the_transport_is_full__waits_for_room(void **state)
{
	struct loop_faults faults = rig_usual_faults(), slow = rig_usual_faults();
	struct address address = loop_address(2);
	struct measurement measurement = rig_usual(&rig, 1);
	struct transport_peer *peer;
	struct rig_asked asked;

	(void)state;
	slow.delay_min_ns = slow.delay_max_ns = 300 * NS_PER_MS;
	assert_int_equal(transport_peer_get(rig.nodes[0].transport, &address, NULL, &peer), 0);
	assert_int_equal(transport_peer_connect(peer), 0);
	while (!transport_peer_is_up(peer))
		rig_step(&rig);
	loop_network_set_faults(rig.network, &slow);
	for (unsigned i = 0; i < RIG_READS_MAX; i++) {
		others[i] = (struct transport_read){ .len = 4096,
						     .dst = rig.nodes[0].arena,
						     .done = other_done };
		assert_int_equal(transport_read(peer, &others[i]), 0);
		others_under_way++;
	}
	loop_network_set_faults(rig.network, &faults);
	rig_ask(&rig, &asked, &measurement);
	rig_run(&rig, 100 * NS_PER_MS);
	assert_int_equal(others_under_way, RIG_READS_MAX);
	assert_int_equal(asked.calls, 0);
	rig_expect(&asked, 0);
	assert_int_equal(asked.measurement.measured.bytes, measurement.asked.bytes);
	while (others_under_way)
		rig_step(&rig);
	transport_peer_put(peer);
}

/* --- the queue */

static void test_measure__several__one_after_the_other(void **state)
{
	struct measurement measurement;
	struct rig_asked asked[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		measurement = rig_usual(&rig, 1 + i % RIG_TARGETS);
		measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
		measurement.asked.duration_ms = 50;
		rig_ask(&rig, &asked[i], &measurement);
	}
	while (!asked[2].calls) {
		rig_step(&rig);
		assert_true(rig_count(&rig, TRANSPORT_READS_INFLIGHT) <= 16);
	}
	assert_true(asked[1].done_ns - asked[0].done_ns >= 49 * NS_PER_MS);
	assert_true(asked[2].done_ns - asked[1].done_ns >= 49 * NS_PER_MS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(asked[i].measurement.status, 0);
}

static void test_measure__from_inside_done__is_next(void **state)
{
	struct measurement measurement = rig_usual(&rig, 2);
	struct rig_asked first, second;

	(void)state;
	rig_prepare(&rig, &second, &measurement);
	measurement = rig_usual(&rig, 1);
	rig_ask(&rig, &first, &measurement);
	first.then = &second;
	rig_expect(&first, 0);
	rig_expect(&second, 0);
}

static void test_measure__queue_full__the_next_is_refused(void **state)
{
	static struct rig_asked asked[MEASURES_MAX + 2];
	struct measurement measurement = rig_usual(&rig, 1);

	(void)state;
	measurement.asked.bytes = 4096;
	rig_ask(&rig, &asked[0], &measurement);
	measure_tick(rig.measure); /* it runs: it has a place no more */
	for (unsigned i = 1; i <= MEASURES_MAX + 1; i++)
		rig_ask(&rig, &asked[i], &measurement);
	rig_expect(&asked[MEASURES_MAX + 1], -EAGAIN);
	for (unsigned i = 0; i <= MEASURES_MAX; i++)
		rig_expect(&asked[i], 0);
	rig_ask(&rig, &asked[0], &measurement);
	rig_expect(&asked[0], 0);
}

static void test_measure__deadline_while_it_waits__is_late(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked running, waiting;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	rig_ask(&rig, &running, &measurement);
	measurement.deadline_ns = rig_now(&rig) + 100 * NS_PER_MS;
	rig_ask(&rig, &waiting, &measurement);
	rig_expect(&waiting, -ETIMEDOUT);
	assert_in_range(waiting.done_ns, measurement.deadline_ns,
			measurement.deadline_ns + 2 * NS_PER_MS);
	assert_int_equal(running.calls, 0);
	rig_expect(&running, 0);
}

static void test_measure_stop__all_end_canceled(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked running, waiting, late;

	(void)state;
	measurement.asked.bytes = PEER_MEASURE_BYTES_MAX;
	rig_ask(&rig, &running, &measurement);
	rig_ask(&rig, &waiting, &measurement);
	rig_run(&rig, 10 * NS_PER_MS);
	assert_false(measure_is_idle(rig.measure));
	measure_stop(rig.measure);
	rig_ask(&rig, &late, &measurement);
	rig_expect(&running, -ECANCELED);
	rig_expect(&waiting, -ECANCELED);
	rig_expect(&late, -ECANCELED);
	assert_true(measure_is_idle(rig.measure));
	assert_true(running.measurement.measured.bytes > 0);
	assert_int_equal(rig_count(&rig, TRANSPORT_READS_INFLIGHT), 0);
}

static void test_measure_stop__while_connecting__ends_at_once(void **state)
{
	struct measurement measurement = rig_usual(&rig, 1);
	struct rig_asked asked;

	(void)state;
	rig.stopped_targets = true;
	rig_ask(&rig, &asked, &measurement);
	rig_run(&rig, 10 * NS_PER_MS);
	measure_stop(rig.measure);
	measure_tick(rig.measure);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.measurement.status, -ECANCELED);
}

#define MEASURE_TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEASURE_TEST(test_measure__bytes_run_out_first__exactly_so_many),
		MEASURE_TEST(test_measure__time_runs_out_first__ends_with_what_was_read),
		MEASURE_TEST(test_measure__one_at_a_time__its_latency_is_the_networks),
		MEASURE_TEST(test_measure__depth__so_many_at_a_time_as_fit),
		MEASURE_TEST(test_measure__connecting__takes_none_of_its_time),
		MEASURE_TEST(test_measure__the_transport_is_full__waits_for_room),
		MEASURE_TEST(test_measure__several__one_after_the_other),
		MEASURE_TEST(test_measure__from_inside_done__is_next),
		MEASURE_TEST(test_measure__queue_full__the_next_is_refused),
		MEASURE_TEST(test_measure__deadline_while_it_waits__is_late),
		MEASURE_TEST(test_measure_stop__all_end_canceled),
		MEASURE_TEST(test_measure_stop__while_connecting__ends_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

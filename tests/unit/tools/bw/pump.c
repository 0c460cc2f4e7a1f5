/*
 * Tests of tools/bw/pump.h, over a transport_read() of our own that a test answers by hand.
 */
#include "tools/bw/pump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/bw/pattern.h"
#include "tools/bw/plan.h"

#define SEED	   5
#define REGION_LEN 65536
#define LEN	   1000
#define DEPTH	   4

/* The reads in flight, the oldest first. */
static struct transport_read *flying[64];
static unsigned flying_count, room;
static uint8_t memory[65536];
static struct transport_peer *const peer = (struct transport_peer *)memory; /* only compared */

int transport_read(struct transport_peer *at, struct transport_read *read)
{
	assert_ptr_equal(at, peer);
	assert_true(read->off + read->len <= REGION_LEN);
	assert_int_equal(read->deadline_ns, 0);
	if (flying_count >= room)
		return -EAGAIN;
	flying[flying_count++] = read;
	read->deadline_ns = 1; /* as the real one does */
	return 0;
}

static struct transport_read *land_one(void)
{
	struct transport_read *read = flying[0];

	assert_true(flying_count > 0);
	flying_count--;
	for (unsigned i = 0; i < flying_count; i++)
		flying[i] = flying[i + 1];
	return read;
}

/* Ends the oldest; with the right bytes unless it fails. */
static void end_one(int status)
{
	struct transport_read *read = land_one();

	if (!status)
		pattern_fill(read->dst, SEED, read->off, read->len);
	read->status = status;
	read->done(read);
}

static const struct pump_source source = {
	.peer = (struct transport_peer *)memory,
	.region_len = REGION_LEN,
	.seed = SEED,
	.memory = memory,
	.memory_len = sizeof(memory),
	.verify = true,
};

static void start(struct pump *pump, struct samples *samples, uint64_t reads)
{
	const struct pump_run run = {
		.len = LEN,
		.depth = DEPTH,
		.footprint = plan_footprint(0, LEN, DEPTH),
		.samples = samples,
	};

	flying_count = 0;
	room = 64;
	assert_int_equal(pump_init(pump, clock_system(), DEPTH), 0);
	pump_start(pump, &source, &run, reads);
}

static void test_by_time__counted_between_two_moments_only(void **state)
{
	struct samples samples;
	struct pump pump;

	(void)state;
	samples_init(&samples, 1);
	start(&pump, &samples, PUMP_UNLIMITED);
	assert_int_equal(flying_count, DEPTH);
	for (int i = 0; i < 10; i++)
		end_one(0);
	assert_int_equal(pump.result.reads, 0);
	pump_count(&pump, PUMP_UNLIMITED);
	for (int i = 0; i < 20; i++)
		end_one(0);
	assert_int_equal(flying_count, DEPTH);
	pump_freeze(&pump);
	pump_stop(&pump);
	while (flying_count > 0)
		end_one(0);
	assert_true(pump_is_idle(&pump));
	assert_int_equal(pump.result.reads, 20);
	assert_int_equal(pump.result.bytes, 20 * LEN);
	assert_int_equal(pump.result.all_reads, 30 + DEPTH);
	assert_int_equal(pump_progress(&pump), 30 + DEPTH);
	assert_int_equal(samples.count, 20);
	assert_int_equal(pump.result.corrupt, 0);
	pump_fini(&pump);
	samples_fini(&samples);
}

static void test_by_number__exactly_so_many(void **state)
{
	struct pump pump;

	(void)state;
	start(&pump, NULL, 6);
	for (int i = 0; i < 6; i++)
		end_one(0);
	assert_true(pump_is_idle(&pump));
	pump_count(&pump, 9);
	for (int i = 0; i < 9; i++)
		end_one(0);
	assert_int_equal(flying_count, 0);
	assert_true(pump_is_idle(&pump));
	assert_int_equal(pump.result.reads, 9);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_no_room__tried_again_at_the_next_turn(void **state)
{
	struct pump pump;

	(void)state;
	start(&pump, NULL, 0);
	room = 1;
	pump_count(&pump, 5);
	assert_int_equal(flying_count, 1);
	assert_false(pump_is_idle(&pump));
	for (int i = 0; i < 5; i++) {
		pump_turn(&pump);
		assert_int_equal(flying_count, 1);
		end_one(0);
	}
	pump_turn(&pump);
	assert_true(pump_is_idle(&pump));
	assert_int_equal(pump.result.reads, 5);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_wrong_bytes__counted_with_their_place(void **state)
{
	struct transport_read *read;
	struct pump pump;

	(void)state;
	start(&pump, NULL, 0);
	pump_count(&pump, 3);
	end_one(0);
	read = land_one();
	pattern_fill(read->dst, SEED, read->off, read->len);
	((uint8_t *)read->dst)[LEN - 1] ^= 1;
	read->status = 0;
	read->done(read);
	end_one(0);
	assert_int_equal(pump.result.reads, 3);
	assert_int_equal(pump.result.corrupt, 1);
	assert_int_equal(pump.result.corrupt_off, read->off + LEN - 1);
	pump_stop(&pump);
	pump_fini(&pump);
}

/* A done() without a write: what the slot's last read left there must not pass. */
static void test_nothing_was_written__is_wrong(void **state)
{
	struct pump pump;

	(void)state;
	start(&pump, NULL, UINT64_C(2) * DEPTH);
	for (int i = 0; i < 2 * DEPTH; i++)
		end_one(0);
	pump_count(&pump, 1);
	flying[0]->status = 0;
	flying_count = 0;
	pump.slots[0].read.done(&pump.slots[0].read);
	assert_int_equal(pump.result.corrupt, 1);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_a_read_fails__no_new_ones_and_its_destination_is_watched(void **state)
{
	struct transport_read *first;
	unsigned changed;
	struct pump pump;

	(void)state;
	start(&pump, NULL, PUMP_UNLIMITED);
	pump_count(&pump, PUMP_UNLIMITED);
	first = flying[0];
	end_one(-ECONNRESET);
	assert_int_equal(flying_count, DEPTH - 1);
	end_one(0);
	end_one(-ETIMEDOUT);
	end_one(-ECONNRESET);
	assert_true(pump_is_idle(&pump));
	assert_int_equal(pump_failed(&pump), 3);
	assert_int_equal(pump.result.failed[0].status, -ECONNRESET);
	assert_int_equal(pump.result.failed[0].count, 2);
	assert_int_equal(pump_watched(&pump, &changed), 3);
	assert_int_equal(changed, 0);
	((uint8_t *)first->dst)[17] ^= 1;
	assert_int_equal(pump_watched(&pump, &changed), 3);
	assert_int_equal(changed, 1);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_small_footprint__all_from_and_to_the_same_bytes(void **state)
{
	struct pump_source unverified = source;
	const struct pump_run run = { .len = 4096, .depth = DEPTH, .footprint = 4096 };
	struct pump pump;

	(void)state;
	flying_count = 0;
	unverified.verify = false;
	assert_int_equal(pump_init(&pump, clock_system(), DEPTH), 0);
	pump_start(&pump, &unverified, &run, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++) {
		assert_ptr_equal(flying[i]->dst, memory);
		assert_int_equal(flying[i]->off, 0);
	}
	while (flying_count > 0)
		end_one(0);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_offsets__go_over_all_of_the_footprint(void **state)
{
	struct pump_source unverified = source;
	const struct pump_run run = { .len = 4096,
				      .depth = DEPTH,
				      .footprint = UINT64_C(5) * 4096 };
	uint64_t seen = 0;
	struct pump pump;

	(void)state;
	flying_count = 0;
	unverified.verify = false;
	assert_int_equal(pump_init(&pump, clock_system(), DEPTH), 0);
	pump_start(&pump, &unverified, &run, 10);
	for (int i = 0; i < 10; i++) {
		seen |= UINT64_C(1) << (flying[0]->off / 4096);
		end_one(0);
	}
	assert_int_equal(seen, 0x1f);
	pump_stop(&pump);
	pump_fini(&pump);
}

static void test_result_add__more_statuses_than_places__none_is_lost(void **state)
{
	struct pump_result all = { 0 };
	uint64_t count = 0;

	(void)state;
	for (int i = 1; i <= 10; i++) {
		struct pump_result one = { .reads = 1, .failed = { { -i, 2 } } };

		pump_result_add(&all, &one);
	}
	for (unsigned i = 0; i < PUMP_STATUSES_MAX; i++)
		count += all.failed[i].count;
	assert_int_equal(count, 20);
	assert_int_equal(all.reads, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time__counted_between_two_moments_only),
		cmocka_unit_test(test_by_number__exactly_so_many),
		cmocka_unit_test(test_no_room__tried_again_at_the_next_turn),
		cmocka_unit_test(test_wrong_bytes__counted_with_their_place),
		cmocka_unit_test(test_nothing_was_written__is_wrong),
		cmocka_unit_test(test_a_read_fails__no_new_ones_and_its_destination_is_watched),
		cmocka_unit_test(test_small_footprint__all_from_and_to_the_same_bytes),
		cmocka_unit_test(test_offsets__go_over_all_of_the_footprint),
		cmocka_unit_test(test_result_add__more_statuses_than_places__none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Tests of peers that register their memory late, as after a takeover: what this node has itself is
 * there meanwhile, what it asks of others comes when that is done.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cache/peer/peers.h"
#include "fabric/transport/transport.h"
#include "tests/unit/cache/peer/peers_rig.h"

#define SIZE  ((uint64_t)8 * RIG_BLOCK_LEN)
#define TRIES 3

static _Atomic bool refused; /* no memory is registered */
static _Atomic unsigned refusals;

int __real_transport_region_add(struct transport *transport, void *base, size_t len,
				enum transport_access access, uint32_t *out_region, char *problem,
				size_t problem_size);
int __wrap_transport_region_add(struct transport *transport, void *base, size_t len,
				enum transport_access access, uint32_t *out_region, char *problem,
				size_t problem_size);

int __wrap_transport_region_add(struct transport *transport, void *base, size_t len,
				enum transport_access access, uint32_t *out_region, char *problem,
				size_t problem_size)
{
	if (atomic_load(&refused)) {
		atomic_fetch_add(&refusals, 1);
		return -ENOMEM;
	}
	return __real_transport_region_add(transport, base, len, access, out_region, problem,
					   problem_size);
}

static int setup(void **state)
{
	atomic_store(&refused, false);
	atomic_store(&refusals, 0);
	return rig_setup(state);
}

static void refusals_wait(unsigned least)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), RIG_WAIT_NS);

	while (atomic_load(&refusals) < least) {
		assert_true(clock_now_ns(clock_system()) < deadline_ns);
		nanosleep(&pause, NULL);
	}
}

static void test_read__registered_late__comes_from_the_others(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;

	rig->registers_late = true;
	a = rig_up(rig, 0, -1);
	b = rig_up(rig, 1, 0);
	rig_wait_placed(a, 2);
	rig_wait_placed(b, 2);
	rig_read(b, "k", SIZE);
	rig_read(a, "k", SIZE);
	assert_int_equal(a->fetched + b->fetched, SIZE);
}

static void test_create__memory_cannot_be_registered_yet__is_tried_until_it_can(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a, *b;

	a = rig_up(rig, 0, -1);
	rig->registers_late = true;
	atomic_store(&refused, true);
	b = rig_up(rig, 1, 0);
	refusals_wait(TRIES);
	atomic_store(&refused, false);
	rig_wait_placed(a, 2);
	rig_wait_placed(b, 2);
	rig_read(b, "k", SIZE);
	rig_read(a, "k", SIZE);
	assert_int_equal(a->fetched + b->fetched, SIZE);
}

static void test_stop__memory_cannot_be_registered__ends(void **state)
{
	struct rig *rig = *state;
	struct rig_node *a;

	rig->registers_late = true;
	atomic_store(&refused, true);
	a = rig_up(rig, 0, -1);
	refusals_wait(1);
	rig_down(a);
	assert_int_equal(a->fetched, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read__registered_late__comes_from_the_others,
						setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_create__memory_cannot_be_registered_yet__is_tried_until_it_can, setup,
			rig_teardown),
		cmocka_unit_test_setup_teardown(test_stop__memory_cannot_be_registered__ends, setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

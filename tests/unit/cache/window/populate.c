/*
 * Tests of window/populate.h.
 */
#include "cache/window/populate.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

#define MIB	(UINT64_C(1) << 20)
#define LEN	(66 * MIB)
#define WAIT_NS (20 * NS_PER_S)

static const struct counter_spec specs[] = { { "populated", COUNTER_GAUGE, "bytes", "" } };

static void *memory_map(void)
{
	void *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static bool all_resident(void *memory)
{
	static unsigned char pages[LEN / 4096];

	assert_int_equal(mincore(memory, LEN, pages), 0);
	for (size_t i = 0; i < sizeof(pages); i++)
		if (!(pages[i] & 1))
			return false;
	return true;
}

static void test_populate__left_alone__touches_every_page(void **state)
{
	uint64_t give_up_ns = clock_now_ns(clock_system()) + WAIT_NS;
	struct counters counters;
	struct populate populate;
	void *memory = memory_map();

	(void)state;
	assert_int_equal(counters_init(&counters, "test", specs, ARRAY_COUNT(specs)), 0);
	populate_start(&populate, memory, LEN, &counters, 0);
	while (counter_get(&counters, 0) < LEN) {
		assert_true(clock_now_ns(clock_system()) < give_up_ns);
		sched_yield();
	}
	assert_true(all_resident(memory));
	populate_stop(&populate);
	populate_stop(&populate); /* twice is fine */
	counters_fini(&counters);
	munmap(memory, LEN);
}

static void test_populate__stopped_at_once__ends(void **state)
{
	struct counters counters;
	struct populate populate;
	void *memory = memory_map();

	(void)state;
	assert_int_equal(counters_init(&counters, "test", specs, ARRAY_COUNT(specs)), 0);
	populate_start(&populate, memory, LEN, &counters, 0);
	populate_stop(&populate);
	assert_true(counter_get(&counters, 0) <= LEN);
	counters_fini(&counters);
	munmap(memory, LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_populate__left_alone__touches_every_page),
		cmocka_unit_test(test_populate__stopped_at_once__ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

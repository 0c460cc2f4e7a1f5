/*
 * Tests of namespace.h: its life, and each of its steps with every allocation failing in turn.
 */
#include "fuse/namespace/namespace.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/namespace/rig.h"

#define ROOT   1
#define FAULTS 1000 /* no step allocates so often */

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig);
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "d/x", 1, "e1");
	for (unsigned i = 0; i < 1500; i++) {
		char key[16];

		snprintf(key, sizeof(key), "n%04u", i);
		fake_put(&rig.fake, key, 1, "e1");
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (rig.ns)
		rig_stop(&rig);
	return 0;
}

static void test_create__allocations_fail__nothing_is_left(void **state)
{
	struct backing *const backings[] = { &rig.fake.backing };
	struct namespace_settings settings = { .config = &rig.config,
					       .backings = backings,
					       .backing_count = 1,
					       .clock = &rig.clock.clock,
					       .ledger = rig.ledger,
					       .counters = &rig.counters };
	char problem[256];

	(void)state;
	for (unsigned n = 1; n < FAULTS; n++) {
		int err;

		allocation_fault_arm(n);
		err = namespace_create(&settings, &rig.ns, problem, sizeof(problem));
		if (!allocation_fault_disarm()) {
			assert_int_equal(err, 0);
			return;
		}
		assert_int_equal(err, -ENOMEM);
	}
	fail();
}

static void test_lookup__allocations_fail__enomem_and_then_found(void **state)
{
	static const char *const names[] = { "a", "d" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		bool failed = true;

		for (unsigned n = 1; failed; n++) {
			uint64_t id = 0;
			int err;

			assert_true(n < FAULTS);
			rig.ns = NULL;
			rig_start(&rig);
			allocation_fault_arm(n);
			err = rig_lookup(&rig, ROOT, names[i], &id);
			failed = allocation_fault_disarm();
			assert_true(err == 0 || (failed && err == -ENOMEM));
			if (err == 0)
				namespace_forget(rig.ns, id, 1);
			assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
			assert_int_equal(rig_lookup(&rig, ROOT, names[i], &id), 0);
			namespace_destroy(rig.ns);
		}
	}
	rig.ns = NULL;
	rig_start(&rig);
}

/* Reads a directory with the @n-th allocation failing, and goes on after errors. */
static bool read_with_fault(unsigned n, bool plus, bool scrambled)
{
	struct rig_reader reader;
	unsigned errors = 0;
	bool failed;

	rig_start(&rig);
	rig.fake.page_max = 600;
	rig.fake.scrambled = scrambled;
	rig_open(&rig, &reader, ROOT, plus);
	allocation_fault_arm(n);
	while (rig_read_all(&rig, &reader) != 0) {
		assert_int_equal(reader.read.status, -ENOMEM);
		assert_true(++errors < 2);
	}
	failed = allocation_fault_disarm();
	assert_true(failed || errors == 0);
	assert_true(reader.count == 1502);
	rig_close(&rig, &reader);
	namespace_destroy(rig.ns);
	assert_int_equal(rig_counter(&rig, MOUNT_LISTING_BYTES), 0);
	return failed;
}

static void test_read__allocations_fail__enomem_at_most_and_then_all_names(void **state)
{
	(void)state;
	for (unsigned n = 1; read_with_fault(n, false, false); n++)
		assert_true(n < FAULTS);
	for (unsigned n = 1; read_with_fault(n, false, true); n++)
		assert_true(n < FAULTS);
	/* A node more or less is no matter: the name is given without. */
	for (unsigned n = 1; n < 200 && read_with_fault(n, true, false); n++)
		;
	rig.ns = NULL;
	rig_start(&rig);
}

static void test_file__allocations_fail__enomem(void **state)
{
	struct namespace_file *file;
	uint64_t id;

	(void)state;
	rig_start(&rig);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	allocation_fault_arm(1);
	assert_int_equal(namespace_file(rig.ns, id, true, &file), -ENOMEM);
	assert_true(allocation_fault_disarm());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create__allocations_fail__nothing_is_left),
		TEST(test_lookup__allocations_fail__enomem_and_then_found),
		TEST(test_read__allocations_fail__enomem_at_most_and_then_all_names),
		TEST(test_file__allocations_fail__enomem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

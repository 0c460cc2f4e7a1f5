/*
 * Tests of the backing files in ledger/ledger.h.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/fuse/ledger/rig.h"

static struct ledger_backing found[RIG_MAX];

static struct ledger_backing backing_of(int32_t id, uint64_t node)
{
	struct ledger_backing backing = { .id = id, .directory = (uint32_t)id % 5, .node = node };

	memset(backing.object.bytes, id % 256, sizeof(backing.object.bytes));
	return backing;
}

static void add(struct ledger *ledger, int32_t id, uint64_t node)
{
	struct ledger_backing backing = backing_of(id, node);

	assert_int_equal(ledger_backing_add(ledger, &backing), 0);
}

static void assert_found(unsigned index, int32_t id, uint64_t node)
{
	struct ledger_backing wanted = backing_of(id, node);

	assert_int_equal(found[index].id, id);
	assert_int_equal(found[index].directory, wanted.directory);
	assert_int_equal(found[index].node, node);
	assert_memory_equal(&found[index].object, &wanted.object, sizeof(wanted.object));
}

static void test_add_and_remove__the_next_worker_finds_what_is_left(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	assert_int_equal(ledger_backing_last(ledger), 0);
	add(ledger, 1, 51);
	add(ledger, INT32_MAX, 53);
	add(ledger, 2, 52);
	ledger_backing_remove(ledger, INT32_MAX);
	ledger_backing_remove(ledger, INT32_MAX);
	ledger_backing_remove(ledger, 999);
	ledger = rig_next(ledger);
	assert_int_equal(rig_backings(ledger, found), 2);
	assert_found(0, 1, 51);
	assert_found(1, 2, 52);
	assert_int_equal(ledger_backing_last(ledger), INT32_MAX);
	ledger_destroy(ledger);
}

static void test_add__an_id_that_is_there__takes_its_place(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	add(ledger, 7, 51);
	add(ledger, 7, 52);
	assert_int_equal(rig_backings(ledger, found), 1);
	assert_found(0, 7, 52);
	ledger_backing_remove(ledger, 7);
	assert_int_equal(rig_backings(ledger, found), 0);
	ledger_destroy(ledger);
}

static void test_add__no_place_left__enospc(void **state)
{
	struct ledger *ledger = rig_create();
	struct ledger_backing backing = backing_of(9, 59);

	(void)state;
	places_fini(&ledger->backings);
	assert_int_equal(places_init(&ledger->backings, 1), 0);
	add(ledger, 8, 58);
	assert_int_equal(ledger_backing_add(ledger, &backing), -ENOSPC);
	assert_int_equal(ledger_backing_last(ledger), 8);
	ledger_backing_remove(ledger, 8);
	add(ledger, 9, 59);
	ledger_destroy(ledger);
}

/* Ids that share a place in the table by which they are found, and go in any order. */
static void test_remove__at_random__each_is_found_by_its_id(void **state)
{
	enum { COUNT = 3000 };
	static int32_t ids[COUNT];
	struct ledger *ledger = rig_create();
	struct random random;
	unsigned count = 0;

	(void)state;
	random_init(&random, 7);
	for (unsigned round = 0; round < 10; round++) {
		while (count < COUNT) {
			int32_t id = (int32_t)(random_below(&random, 4) << 28 |
					       (random_below(&random, 1500) + 1));
			bool is_there = false;

			for (unsigned i = 0; i < count && !is_there; i++)
				is_there = ids[i] == id;
			if (!is_there)
				ids[count++] = id;
			add(ledger, id, (uint64_t)id + 1);
		}
		assert_int_equal(rig_backings(ledger, found), count);
		while (count > COUNT / 4) {
			unsigned i = (unsigned)random_below(&random, count);

			ledger_backing_remove(ledger, ids[i]);
			ids[i] = ids[--count];
		}
		ledger = rig_next(ledger);
		assert_int_equal(rig_backings(ledger, found), count);
	}
	while (count > 0)
		ledger_backing_remove(ledger, ids[--count]);
	assert_int_equal(rig_backings(ledger, found), 0);
	ledger_destroy(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_remove__the_next_worker_finds_what_is_left),
		cmocka_unit_test(test_add__an_id_that_is_there__takes_its_place),
		cmocka_unit_test(test_add__no_place_left__enospc),
		cmocka_unit_test(test_remove__at_random__each_is_found_by_its_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

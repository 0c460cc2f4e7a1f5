/*
 * Tests of suspects.c, through the namespace's door: nodes that the kernel may not know.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "fuse/namespace/node.h"
#include "tests/unit/fuse/namespace/restore_fault.h"
#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID

static struct rig rig;

static int teardown(void **state)
{
	restore_fault_reset();
	return rig_teardown(state);
}

static bool suspected(uint64_t id, struct namespace_suspect *out)
{
	struct namespace_suspect batch[3];
	unsigned count, found = 0;

	while ((count = namespace_suspects(rig.ns, batch, ARRAY_COUNT(batch))) > 0)
		for (unsigned i = 0; i < count; i++) {
			if (batch[i].id != id)
				continue;
			found++;
			*out = batch[i];
		}
	assert_true(found <= 1);
	return found == 1;
}

static void test_suspects__all_that_changed_lately__each_once(void **state)
{
	struct namespace_suspect batch[7];
	unsigned count, total = 0;
	uint64_t ids[50];
	char key[16];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(ids); i++) {
		snprintf(key, sizeof(key), "a%02u", i);
		fake_put(&rig.fake, key, 1, "e1");
	}
	for (unsigned i = 0; i < ARRAY_COUNT(ids); i++) {
		snprintf(key, sizeof(key), "a%02u", i);
		ids[i] = rig_look_up(&rig, ROOT, key);
	}
	assert_int_equal(namespace_suspects(rig.ns, batch, 7), 0); /* nobody died */
	rig_take_over(&rig);
	while ((count = namespace_suspects(rig.ns, batch, 7)) > 0) {
		assert_true(count <= 7);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(batch[i].id, ids[total + i]);
			assert_int_equal(batch[i].lookups, 1);
		}
		total += count;
	}
	assert_int_equal(total, ARRAY_COUNT(ids));
	assert_int_equal(namespace_suspects(rig.ns, batch, 7), 0);
}

static void test_suspects__changed_long_before_or_since__are_none(void **state)
{
	static const struct {
		int64_t changed_s; /* from the last change */
		bool suspected;
	} rows[] = { { -1, true }, { -29, true }, { -31, false }, { -3600, false } };
	struct namespace_suspect suspect;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "z", 1, "e1");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t id = rig_look_up(&rig, ROOT, "a"), last = rig_look_up(&rig, ROOT, "z");

		rig_adopt(&rig);
		restore_fault_changed(rig.ledger, id, rows[i].changed_s * (int64_t)NS_PER_S);
		rig_start(&rig);
		assert_int_equal(suspected(id, &suspect), rows[i].suspected);
		restore_fault_reset();
		namespace_forget(rig.ns, id, 1);
		namespace_forget(rig.ns, last, 1);
	}
	rig_look_up(&rig, ROOT, "a");
	rig_take_over(&rig);
	assert_false(suspected(rig_look_up(&rig, ROOT, "a"), &suspect));
}

static void test_forget_suspect__only_while_it_is_one(void **state)
{
	struct namespace_suspect suspect;
	uint64_t id, other;

	(void)state;
	fake_put(&rig.fake, "d/a", 1, "e1");
	fake_put(&rig.fake, "b", 1, "e1");
	id = rig_look_up(&rig, rig_look_up(&rig, ROOT, "d"), "a");
	rig_look_up(&rig, ROOT, "b");
	rig_take_over(&rig);
	assert_true(suspected(id, &suspect));
	assert_true(namespace_forget_suspect(rig.ns, &suspect));
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	assert_false(namespace_forget_suspect(rig.ns, &suspect)); /* there is none */
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_S);
	other = rig_look_up(&rig, ROOT, "b");
	namespace_forget(rig.ns, other, 1);
	rig_take_over(&rig);
	assert_true(suspected(other, &suspect));
	rig_look_up(&rig, ROOT, "b"); /* the kernel got to know it meanwhile */
	assert_false(namespace_forget_suspect(rig.ns, &suspect));
	assert_int_equal(rig_open_status(&rig, other), 0);
}

#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, rig_setup, teardown, &rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_suspects__all_that_changed_lately__each_once),
		TEST(test_suspects__changed_long_before_or_since__are_none),
		TEST(test_forget_suspect__only_while_it_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

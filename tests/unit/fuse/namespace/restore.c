/*
 * Tests of restore.h, through the namespace's door: what the worker before left in the ledger, by
 * dying at a quiet moment.
 */
#include "fuse/namespace/restore.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/namespace/restore_fault.h"
#include "tests/unit/fuse/namespace/rig.h"

#define ROOT	    NODE_ROOT_ID
#define AGAIN	    (UINT64_C(1) << 63)
#define DIRECTORIES 100
#define FILES	    100 /* of each */
#define FAULTS	    100000

static struct rig rig;

static int teardown(void **state)
{
	restore_fault_reset();
	return rig_teardown(state);
}

/* --- all of it -------------------------------------------------------------------------------- */

struct seen {
	uint64_t id;
	struct namespace_attributes attributes;
};

static void see(struct seen *seen, uint64_t id)
{
	seen->id = id;
	seen->attributes = rig_attributes(&rig, id);
}

static void assert_seen(const struct seen *seen)
{
	struct namespace_attributes now = rig_attributes(&rig, seen->id);

	assert_int_equal(now.ino, seen->attributes.ino);
	assert_int_equal(now.size, seen->attributes.size);
	assert_int_equal(now.mtime_s, seen->attributes.mtime_s);
	assert_int_equal(now.mode, seen->attributes.mode);
	assert_int_equal(now.uid, seen->attributes.uid);
}

static void test_take_over__a_tree_of_10000__is_as_it_was_and_nobody_is_asked(void **state)
{
	static struct seen directories[DIRECTORIES], files[DIRECTORIES][FILES];
	unsigned heads, lists;
	char key[64];

	(void)state;
	for (unsigned d = 0; d < DIRECTORIES; d++)
		for (unsigned f = 0; f < FILES; f++) {
			snprintf(key, sizeof(key), "d%02u/f%02u", d, f);
			fake_put(&rig.fake, key, d * 1000 + f, "e1");
		}
	for (unsigned d = 0; d < DIRECTORIES; d++) {
		snprintf(key, sizeof(key), "d%02u", d);
		see(&directories[d], rig_look_up(&rig, ROOT, key));
		for (unsigned f = 0; f < FILES; f++) {
			snprintf(key, sizeof(key), "f%02u", f);
			see(&files[d][f], rig_look_up(&rig, directories[d].id, key));
		}
		/* The kernel may forget a directory and know files in it. */
		if (d % 2)
			namespace_forget(rig.ns, directories[d].id, 1);
	}
	heads = rig.fake.heads;
	lists = rig.fake.lists;
	rig_take_over(&rig);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1 + DIRECTORIES * (FILES + 1));
	for (unsigned d = 0; d < DIRECTORIES; d++) {
		assert_seen(&directories[d]);
		for (unsigned f = 0; f < FILES; f++) {
			assert_seen(&files[d][f]);
			assert_int_equal(rig_open_status(&rig, files[d][f].id), 0);
			snprintf(key, sizeof(key), "b/k/d%02u/f%02u", d, f);
			rig_assert_key(&rig, files[d][f].id, key);
		}
	}
	assert_int_equal(rig.fake.heads, heads);
	assert_int_equal(rig.fake.lists, lists);
	for (unsigned d = 0; d < DIRECTORIES; d++) {
		for (unsigned f = 0; f < FILES; f++)
			namespace_forget(rig.ns, files[d][f].id, 1);
		if (d % 2 == 0)
			namespace_forget(rig.ns, directories[d].id, 1);
	}
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	assert_int_equal(rig_records(&rig), 0);
}

static void test_take_over__a_name__is_asked_for_anew(void **state)
{
	uint64_t id, other;
	unsigned heads;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	heads = rig.fake.heads;
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_MS);
	assert_int_equal(rig_look_up(&rig, ROOT, "a"), id);
	assert_int_equal(rig.fake.heads, heads + 1);
	assert_int_equal(rig_look_up(&rig, ROOT, "a"), id); /* and is known from then on */
	assert_int_equal(rig.fake.heads, heads + 1);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_MS);
	fake_put(&rig.fake, "a", 2, "e2");
	other = rig_look_up(&rig, ROOT, "a");
	assert_true(other > id);
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	assert_int_equal(rig_open_status(&rig, other), 0);
	assert_string_equal(rig.obsolete_etag, "e1");
}

static void test_take_over__answers_from_before__do_not_count(void **state)
{
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	clock_manual_advance(&rig.clock, 20 * NS_PER_S);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, 3 * NS_PER_S);
	assert_int_equal(rig_look_up(&rig, ROOT, "a"), id);
	assert_int_equal(rig.fake.head.max_age_ns, 3 * NS_PER_S);
}

static void test_take_over__modes_and_flags__as_they_were(void **state)
{
	struct namespace_file *file;
	uint64_t direct, passthrough, fallen, superseded, successor;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		fake_put(&rig.fake, (const char *const[]){ "a", "b", "c", "d" }[i], i, "e1");
	direct = rig_look_up(&rig, ROOT, "a");
	rig.passthrough = true;
	passthrough = rig_look_up(&rig, ROOT, "b");
	fallen = rig_look_up(&rig, ROOT, "c");
	superseded = rig_look_up(&rig, ROOT, "d");
	namespace_fall_back(rig.ns, fallen);
	rig.passthrough = false;
	namespace_supersede(rig.ns, superseded);
	rig_take_over(&rig);
	assert_false(namespace_is_passthrough(rig.ns, direct));
	assert_true(namespace_is_passthrough(rig.ns, passthrough));
	assert_false(namespace_is_passthrough(rig.ns, fallen));
	assert_int_equal(rig_open_status(&rig, superseded), -ESTALE);
	successor = rig_look_up(&rig, ROOT, "d");
	assert_true(successor != superseded);
	assert_int_equal(namespace_file(rig.ns, successor, true, &file), 0);
	assert_true(file->fresh);
	assert_false(file->passthrough);
	namespace_file_free(file);
}

static void test_take_over__refused__stale_and_not_to_be_found_in_old_answers(void **state)
{
	uint64_t id, again;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	namespace_refused(rig.ns, id);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_S);
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	assert_int_equal(rig_attributes(&rig, id).size, 1);
	again = rig_look_up(&rig, ROOT, "a");
	assert_string_equal(rig.fake.head.refused, "e1");
	assert_int_equal(rig.fake.head.max_age_ns, NS_PER_S);
	assert_true(again != id);
	assert_int_equal(rig_open_status(&rig, again), 0);
}

static bool is_fresh(uint64_t id)
{
	struct namespace_file *file;
	bool fresh;

	assert_int_equal(namespace_file(rig.ns, id, true, &file), 0);
	fresh = file->fresh;
	namespace_file_free(file);
	return fresh;
}

/* The caller was sent by ESTALE from one node to the next, before the death: not once more. */
static void test_take_over__new_of_its_name__stays_new_and_is_kept(void **state)
{
	uint64_t before, after;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	before = rig_look_up(&rig, ROOT, "a");
	fake_put(&rig.fake, "a", 1, "e2");
	namespace_refused(rig.ns, before);
	after = rig_look_up(&rig, ROOT, "a");
	assert_true(is_fresh(after));
	namespace_forget(rig.ns, after, 1); /* the kernel does that, and then asks again */
	clock_manual_advance(&rig.clock, NS_PER_S);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_S);
	assert_true(is_fresh(after));
	assert_int_equal(rig_look_up(&rig, ROOT, "a"), after);
	clock_manual_advance(&rig.clock, 10 * NS_PER_S);
	assert_false(is_fresh(after));
	namespace_forget(rig.ns, after, 1);
	rig_take_over(&rig); /* by now it is one as any other, and nobody knows it */
	assert_int_equal(rig_open_status(&rig, after), -ESTALE);
	assert_int_equal(rig_open_status(&rig, before), -ESTALE);
	namespace_forget(rig.ns, before, 1);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_take_over__numbers__are_never_given_twice(void **state)
{
	uint64_t id, other;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "b", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	namespace_forget(rig.ns, id, 1);
	rig.clock.wall_ns -= INT64_C(3600) * (int64_t)NS_PER_S; /* set back */
	rig_take_over(&rig);
	other = rig_look_up(&rig, ROOT, "b");
	assert_true(other > id);
}

static void test_take_over__allocations_fail__enomem_and_nothing_is_lost(void **state)
{
	uint64_t file, below;
	bool failed = true;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "d/x", 1, "e1");
	file = rig_look_up(&rig, ROOT, "a");
	below = rig_look_up(&rig, rig_look_up(&rig, ROOT, "d"), "x");
	for (unsigned n = 1; failed; n++) {
		struct backing *const backings[] = { &rig.fake.backing };
		struct namespace_settings settings = { .config = &rig.config,
						       .backings = backings,
						       .backing_count = 1,
						       .clock = &rig.clock.clock,
						       .ledger = NULL,
						       .counters = &rig.counters };
		char problem[256];
		int err;

		assert_true(n < FAULTS);
		rig_adopt(&rig);
		settings.ledger = rig.ledger;
		allocation_fault_arm(n);
		err = namespace_create(&settings, &rig.ns, problem, sizeof(problem));
		failed = allocation_fault_disarm();
		assert_int_equal(err, failed ? -ENOMEM : 0);
	}
	assert_int_equal(rig_open_status(&rig, file), 0);
	assert_int_equal(rig_open_status(&rig, below), 0);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 4);
}

/* --- references ------------------------------------------------------------------------------- */

static int look_up_as(uint64_t unique, const char *name, uint64_t *out_id)
{
	struct namespace_lookup lookup = { .parent = ROOT, .name = name, .unique = unique };
	int ended = namespace_lookup_start(rig.ns, &lookup);

	assert_int_equal(ended, 1);
	*out_id = lookup.attributes.id;
	return lookup.status;
}

static void test_lookup__comes_again__is_counted_once(void **state)
{
	static const struct {
		bool again; /* the worker died before it replied */
		uint64_t lookups;
	} rows[] = { { true, 2 }, { false, 3 } };

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "b", 1, "e1");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const char *name = i ? "b" : "a";
		uint64_t id = rig_look_up(&rig, ROOT, name), unique = rig_unique(&rig), got;

		assert_int_equal(look_up_as(unique, name, &got), 0);
		rig_take_over(&rig);
		clock_manual_advance(&rig.clock, NS_PER_S);
		namespace_forget(rig.ns, rig_look_up(&rig, ROOT, name),
				 1); /* makes it known again */
		assert_int_equal(
			look_up_as(rows[i].again ? unique | AGAIN : rig_unique(&rig), name, &got),
			0);
		assert_int_equal(got, id);
		namespace_forget(rig.ns, id, rows[i].lookups - 1);
		rig_attributes(&rig, id);
		namespace_forget(rig.ns, id, 1);
		assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	}
}

/* The second time it gives one entry less; that one is not left with a reference for ever. */
static void test_readdirplus__comes_again__each_is_counted_once(void **state)
{
	struct rig_reader reader;
	uint64_t ids[3] = { 0 };

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "b", 1, "e1");
	fake_put(&rig.fake, "d/x", 1, "e1");
	for (unsigned i = 0; i < 2; i++) {
		rig_open(&rig, &reader, ROOT, true);
		reader.read.unique = 1000 | (i ? AGAIN : 0);
		reader.read.offset = 0;
		assert_int_equal(namespace_read_start(rig.ns, &reader.read), 0);
		fake_run_all(&rig.fake);
		assert_int_equal(reader.count, 3 - i);
		/* Others the second time: the kernel never heard of the first. */
		for (unsigned j = 0; j < reader.count; j++)
			ids[j] = reader.ids[j];
		rig_close(&rig, &reader);
		if (i == 0) {
			rig_take_over(&rig);
			fake_delete(&rig.fake, "b");
		}
		clock_manual_advance(&rig.clock, NS_PER_S);
	}
	for (unsigned j = 0; j < 2; j++)
		namespace_forget(rig.ns, ids[j], 1);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_lookup__not_the_kernels__is_not_restored(void **state)
{
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	namespace_forget(rig.ns, id, 1);
	id = rig_look_up(&rig, ROOT, "a");
	assert_int_equal(look_up_as(0, "a", &id), 0);
	namespace_forget(rig.ns, id, 1);
	rig_attributes(&rig, id); /* held by us */
	rig_take_over(&rig);
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static void test_lookup__no_room_in_the_ledger__enomem_and_a_listing_gives_names_alone(void **state)
{
	struct rig_reader reader;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "b", 1, "e1");
	id = rig_look_up(&rig, ROOT, "a");
	restore_fault_full(true);
	assert_int_equal(rig_lookup(&rig, ROOT, "b", NULL), -ENOMEM);
	assert_int_equal(rig_look_up(&rig, ROOT, "a"), id); /* what is there is there */
	fake_put(&rig.fake, "a", 1, "e2");
	clock_manual_advance(&rig.clock, 61 * NS_PER_S);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), -ENOMEM);
	assert_int_equal(rig_open_status(&rig, id), 0); /* who has the old one keeps it */
	rig_open(&rig, &reader, ROOT, true);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 2);
	assert_int_equal(reader.ids[1], 0);
	rig_close(&rig, &reader);
	restore_fault_full(false);
	assert_int_equal(rig_lookup(&rig, ROOT, "b", NULL), 0);
}

#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, rig_setup, teardown, &rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_over__a_tree_of_10000__is_as_it_was_and_nobody_is_asked),
		TEST(test_take_over__a_name__is_asked_for_anew),
		TEST(test_take_over__answers_from_before__do_not_count),
		TEST(test_take_over__modes_and_flags__as_they_were),
		TEST(test_take_over__refused__stale_and_not_to_be_found_in_old_answers),
		TEST(test_take_over__new_of_its_name__stays_new_and_is_kept),
		TEST(test_take_over__numbers__are_never_given_twice),
		TEST(test_take_over__allocations_fail__enomem_and_nothing_is_lost),
		TEST(test_lookup__comes_again__is_counted_once),
		TEST(test_readdirplus__comes_again__each_is_counted_once),
		TEST(test_lookup__not_the_kernels__is_not_restored),
		TEST(test_lookup__no_room_in_the_ledger__enomem_and_a_listing_gives_names_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

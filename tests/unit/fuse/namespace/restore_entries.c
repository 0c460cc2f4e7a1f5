/*
 * Tests of restore.h, through the namespace's door: the worker that takes over has other mount
 * entries than the one before.
 */
#include "fuse/namespace/restore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID

static struct rig rig;

static char path_images[] = "/images", path_x_text[] = "/x/text", path_x_more[] = "/x/more",
	    path_other[] = "/other", path_root[] = "/", path_x[] = "/x", bucket_k[] = "k",
	    bucket_m[] = "m", prefix_p[] = "p/";

struct place {
	char *path, *bucket, *prefix;
};

static void configure(const struct place *places, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		rig.entries[i].path = places[i].path;
		rig.entries[i].bucket = places[i].bucket;
		rig.entries[i].prefix = places[i].prefix;
	}
	rig.config.entries.count = count;
}

#define IMAGES                                                                                     \
	{                                                                                          \
		path_images, bucket_k, none                                                        \
	}
#define TEXT                                                                                       \
	{                                                                                          \
		path_x_text, bucket_k, none                                                        \
	}
#define MORE                                                                                       \
	{                                                                                          \
		path_x_more, bucket_k, none                                                        \
	}

static void test_take_over__other_mount_entries__those_that_are_the_same_go_on(void **state)
{
	static char none[] = "";
	static const struct place before[] = { IMAGES, TEXT, MORE };
	static const struct {
		struct place places[4];
		unsigned count;
		bool goes_on[3]; /* by entry of before */
		bool above;	 /* the directory x does */
	} rows[] = {
		{ { IMAGES, TEXT, MORE }, 3, { true, true, true }, true },
		{ { MORE, IMAGES, TEXT }, 3, { true, true, true }, true },
		{ { MORE }, 1, { false, false, true }, true },
		{ { { path_other, bucket_k, none }, TEXT }, 2, { false, true, false }, true },
		{ { IMAGES }, 1, { true, false, false }, false },
		{ { { path_images, bucket_m, none }, TEXT, MORE }, 3, { false, true, true }, true },
		{ { { path_images, bucket_k, prefix_p }, TEXT }, 2, { false, true, false }, true },
		{ { { path_x, bucket_k, none }, IMAGES }, 2, { true, false, false }, false },
		{ { { path_root, bucket_k, none } }, 1, { false, false, false }, false },
	};

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	fake_put(&rig.fake, "d/a", 2, "e1");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t x, roots[3], files[3], below[3];

		configure(before, ARRAY_COUNT(before));
		rig_take_over(&rig);
		x = rig_look_up(&rig, ROOT, "x");
		roots[0] = rig_look_up(&rig, ROOT, "images");
		roots[1] = rig_look_up(&rig, x, "text");
		roots[2] = rig_look_up(&rig, x, "more");
		for (unsigned j = 0; j < 3; j++) {
			uint64_t directory = rig_look_up(&rig, roots[j], "d");

			files[j] = rig_look_up(&rig, roots[j], "a");
			below[j] = rig_look_up(&rig, directory, "a");
			namespace_forget(rig.ns, directory, 1);
		}
		configure(rows[i].places, rows[i].count);
		rig_take_over(&rig);
		if (rows[i].above)
			rig_attributes(&rig, x);
		else
			rig_assert_gone(&rig, x);
		for (unsigned j = 0; j < 3; j++) {
			if (!rows[i].goes_on[j]) {
				rig_assert_gone(&rig, roots[j]);
				rig_assert_gone(&rig, files[j]);
				rig_assert_gone(&rig, below[j]);
				continue;
			}
			assert_int_equal(rig_open_status(&rig, files[j]), 0);
			rig_assert_key(&rig, below[j], "b/k/d/a");
			clock_manual_advance(&rig.clock, NS_PER_S);
			assert_int_equal(rig_look_up(&rig, roots[j], "a"), files[j]);
			namespace_forget(rig.ns, files[j], 1);
		}
		configure(before, ARRAY_COUNT(before)); /* back again: all is found */
		rig_take_over(&rig);
		for (unsigned j = 0; j < 3; j++) {
			rig_assert_key(&rig, below[j], "b/k/d/a");
			assert_int_equal(rig_open_status(&rig, files[j]), 0);
			namespace_forget(rig.ns, roots[j], 1);
			namespace_forget(rig.ns, files[j], 1);
			namespace_forget(rig.ns, below[j], 1);
		}
		namespace_forget(rig.ns, x, 1);
		assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	}
}

static void test_forget__of_what_is_gone__frees_it(void **state)
{
	uint64_t file, directory;

	(void)state;
	fake_put(&rig.fake, "d/a", 1, "e1");
	directory = rig_look_up(&rig, ROOT, "d");
	file = rig_look_up(&rig, directory, "a");
	rig.entries[0].bucket = bucket_m;
	rig_take_over(&rig);
	rig_assert_gone(&rig, file);
	rig_assert_gone(&rig, directory);
	assert_int_equal(rig_look_up(&rig, ROOT, "d") == directory, false);
	namespace_forget(rig.ns, directory, 1);
	namespace_forget(rig.ns, file, 1);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 2);
}

static void
test_take_over__entries_come_and_go__their_places_in_the_ledger_are_used_again(void **state)
{
	char paths[2][32];

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	for (unsigned i = 0; i < 2 * LEDGER_ENTRIES_MAX + 2; i++) {
		uint64_t id;

		snprintf(paths[i % 2], sizeof(paths[0]), "/entry%u", i);
		rig.entries[0].path = paths[i % 2];
		rig_take_over(&rig);
		id = rig_look_up(&rig, ROOT, paths[i % 2] + 1);
		namespace_forget(rig.ns, id, 1);
	}
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_over__other_mount_entries__those_that_are_the_same_go_on),
		TEST(test_forget__of_what_is_gone__frees_it),
		TEST(test_take_over__entries_come_and_go__their_places_in_the_ledger_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

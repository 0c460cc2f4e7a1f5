/*
 * Tests of restore.h, through the namespace's door: what the worker before left in
 * the ledger, by dying at a quiet moment or, made by hand, at any other.
 */
#include "fuse/namespace/restore.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

static int setup(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	restore_fault_reset();
	rig_stop(&rig);
	return 0;
}

static struct namespace_attributes attributes_of(uint64_t id)
{
	struct namespace_attributes attributes;

	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	return attributes;
}

static int count_node(void *context, uint32_t place, const struct ledger_node *node)
{
	(void)place;
	(void)node;
	++*(unsigned *)context;
	return 0;
}

static unsigned records(void)
{
	unsigned count = 0;

	assert_int_equal(ledger_nodes_each(rig.ledger, count_node, &count), 0);
	return count;
}

/* --- all of it -------------------------------------------------------------------------------- */

struct seen {
	uint64_t id;
	struct namespace_attributes attributes;
};

static void see(struct seen *seen, uint64_t id)
{
	seen->id = id;
	seen->attributes = attributes_of(id);
}

static void assert_seen(const struct seen *seen)
{
	struct namespace_attributes now = attributes_of(seen->id);

	assert_int_equal(now.ino, seen->attributes.ino);
	assert_int_equal(now.size, seen->attributes.size);
	assert_int_equal(now.mtime_s, seen->attributes.mtime_s);
	assert_int_equal(now.mode, seen->attributes.mode);
	assert_int_equal(now.uid, seen->attributes.uid);
}

static void assert_key(uint64_t id, const char *wanted)
{
	char key[NAMES_KEY_MAX + 1];

	assert_int_equal(namespace_describe(rig.ns, id, key, sizeof(key)), 0);
	assert_string_equal(key, wanted);
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
			assert_key(files[d][f].id, key);
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
	assert_int_equal(records(), 0);
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
	assert_int_equal(attributes_of(id).size, 1);
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
		attributes_of(id);
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
	attributes_of(id); /* held by us */
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

/* --- mount entries ---------------------------------------------------------------------------- */

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

static void assert_gone(uint64_t id)
{
	struct namespace_directory directory;
	struct namespace_attributes attributes;
	char key[NAMES_KEY_MAX + 1];

	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), -ESTALE);
	assert_int_equal(namespace_describe(rig.ns, id, key, sizeof(key)), -ESTALE);
	assert_int_equal(namespace_directory_open(rig.ns, id, &directory), -ESTALE);
	assert_int_equal(rig_lookup(&rig, id, "a", NULL), -ESTALE);
	assert_int_equal(rig_open_status(&rig, id), -ESTALE);
	namespace_refused(rig.ns, id);
	namespace_supersede(rig.ns, id);
	namespace_fall_back(rig.ns, id);
	assert_int_equal(namespace_siblings(rig.ns, id, 1000, NULL, 0), 0);
	namespace_siblings_refused(rig.ns, id, 0);
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
			attributes_of(x);
		else
			assert_gone(x);
		for (unsigned j = 0; j < 3; j++) {
			if (!rows[i].goes_on[j]) {
				assert_gone(roots[j]);
				assert_gone(files[j]);
				assert_gone(below[j]);
				continue;
			}
			assert_int_equal(rig_open_status(&rig, files[j]), 0);
			assert_key(below[j], "b/k/d/a");
			clock_manual_advance(&rig.clock, NS_PER_S);
			assert_int_equal(rig_look_up(&rig, roots[j], "a"), files[j]);
			namespace_forget(rig.ns, files[j], 1);
		}
		configure(before, ARRAY_COUNT(before)); /* back again: all is found */
		rig_take_over(&rig);
		for (unsigned j = 0; j < 3; j++) {
			assert_key(below[j], "b/k/d/a");
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
	assert_gone(file);
	assert_gone(directory);
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

/* --- by hand ---------------------------------------------------------------------------------- */

/* A record as another worker might have left it. */
struct record {
	uint64_t id, parent;
	int16_t entry;
	uint8_t kind;
	const char *name;
	unsigned lookups;
	uint8_t flags;
	/* what becomes of it */
	enum { FOUND, STALE, GONE, NOTHING } wanted;
};

static void write_record(const struct record *record)
{
	struct ledger_node node = {
		.id = record->id,
		.parent = record->parent,
		.size = record->id,
		.mtime_s = 1000,
		.entry = record->entry,
		.kind = record->kind,
		.flags = record->flags,
		.name = record->name,
		.name_len = strlen(record->name),
		.etag = record->kind == NODE_FILE ? "e1" : "",
	};
	uint32_t place;

	assert_int_equal(ledger_node_add(rig.ledger, &node, &place), 0);
	for (unsigned i = 0; i < record->lookups; i++)
		ledger_node_raise(rig.ledger, place, rig_unique(&rig));
}

static void assert_record(const struct record *record)
{
	struct namespace_attributes attributes;
	int err = namespace_attributes(rig.ns, record->id, &attributes);

	print_message("record %lu\n", (unsigned long)record->id);
	assert_int_equal(err, record->wanted == FOUND || record->wanted == STALE ? 0 : -ESTALE);
	if (err == 0 && record->kind == NODE_FILE) {
		assert_int_equal(attributes.size, record->id);
		assert_int_equal(rig_open_status(&rig, record->id),
				 record->wanted == FOUND ? 0 : -ESTALE);
	}
	if (record->wanted == GONE)
		assert_gone(record->id);
}

#define FILE_OF(id, parent, name, wanted)                                                          \
	{                                                                                          \
		id, parent, 0, NODE_FILE, name, 1, 0, wanted                                       \
	}
#define DIRECTORY_OF(id, parent, name, lookups, wanted)                                            \
	{                                                                                          \
		id, parent, 0, NODE_DIRECTORY, name, lookups, 0, wanted                            \
	}

static void test_restore__half_made__is_made_sense_of(void **state)
{
	static const struct record records_left[] = {
		/* the children first: records come in no order */
		FILE_OF(103, 102, "f", FOUND),
		DIRECTORY_OF(102, 101, "e", 0, FOUND), /* stands above others */
		DIRECTORY_OF(101, ROOT, "d", 0, FOUND),
		/* made, nobody was told */
		{ 110, ROOT, 0, NODE_FILE, "told-nobody", 0, 0, NOTHING },
		DIRECTORY_OF(111, ROOT, "empty", 0, NOTHING),
		DIRECTORY_OF(112, 111, "empty", 0, NOTHING),
		/* the next of a name was made, the one before not outdated yet */
		FILE_OF(121, ROOT, "twice", FOUND),
		FILE_OF(120, ROOT, "twice", STALE),
		/* the next of a name was made, and nobody told of it: it never was */
		FILE_OF(130, ROOT, "once", STALE),
		{ 131, ROOT, 0, NODE_FILE, "once", 0, 0, NOTHING },
		/* no parent, or none that can be */
		FILE_OF(140, 9999, "orphan", GONE),
		FILE_OF(141, 142, "of a younger one", GONE),
		DIRECTORY_OF(142, ROOT, "younger", 1, FOUND),
		DIRECTORY_OF(150, 151, "round", 1, GONE),
		DIRECTORY_OF(151, 150, "about", 1, GONE),
		DIRECTORY_OF(152, 152, "itself", 1, GONE),
		FILE_OF(160, 103, "below a file", GONE),
		FILE_OF(161, 140, "below what is gone", GONE),
		FILE_OF(162, 0, "below nothing", GONE),
		/* an entry that is not there, or not the parent's */
		{ 170, ROOT, 1, NODE_FILE, "entry 1", 1, 0, GONE },
		{ 171, ROOT, 32767, NODE_FILE, "no entry", 1, 0, GONE },
		{ 172, ROOT, NODE_ENTRY_NONE, NODE_DIRECTORY, "above", 1, 0, GONE },
		/* names that no key has */
		DIRECTORY_OF(180, ROOT, "..", 1, GONE),
		DIRECTORY_OF(181, ROOT, ".", 1, GONE),
		DIRECTORY_OF(182, ROOT, "", 1, GONE),
		/* flags */
		{ 190, ROOT, 0, NODE_FILE, "outdated", 1, LEDGER_NODE_OUTDATED, STALE },
		{ 191, ROOT, 0, NODE_FILE, "superseded", 1, LEDGER_NODE_SUPERSEDED, STALE },
		/* a number that is the root's, or nobody's */
		{ ROOT, ROOT, 0, NODE_DIRECTORY, "root", 1, 0, FOUND },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(records_left); i++)
		write_record(&records_left[i]);
	rig_take_over(&rig);
	for (size_t i = 0; i < ARRAY_COUNT(records_left); i++)
		assert_record(&records_left[i]);
	for (size_t i = 0; i < ARRAY_COUNT(records_left); i++)
		namespace_forget(rig.ns, records_left[i].id, 1);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	assert_int_equal(records(), 0);
}

static void test_restore__one_number_twice__one_of_them_is_dropped(void **state)
{
	static const struct record first = FILE_OF(100, ROOT, "a", FOUND),
				   second = FILE_OF(100, ROOT, "b", FOUND);

	(void)state;
	write_record(&first);
	write_record(&second);
	rig_take_over(&rig);
	assert_record(&first);
	assert_int_equal(records(), 1);
	namespace_forget(rig.ns, 100, 1);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

/* Deeper than any key is long. */
static void test_restore__a_path_too_long__ends_where_keys_do(void **state)
{
	static char name[NAMES_COMPONENT_MAX + 1];
	static const int wanted[] = { 0, 0, 0, 0, -ESTALE, -ESTALE };

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	for (unsigned i = 0; i < ARRAY_COUNT(wanted); i++) {
		struct record record = DIRECTORY_OF(100 + i, i ? 99 + i : ROOT, name, 1, FOUND);

		write_record(&record);
	}
	rig_take_over(&rig);
	for (unsigned i = 0; i < ARRAY_COUNT(wanted); i++) {
		struct namespace_attributes attributes;

		assert_int_equal(namespace_attributes(rig.ns, 100 + i, &attributes), wanted[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(test_take_over__other_mount_entries__those_that_are_the_same_go_on),
		TEST(test_forget__of_what_is_gone__frees_it),
		TEST(test_take_over__entries_come_and_go__their_places_in_the_ledger_are_used_again),
		TEST(test_restore__half_made__is_made_sense_of),
		TEST(test_restore__one_number_twice__one_of_them_is_dropped),
		TEST(test_restore__a_path_too_long__ends_where_keys_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

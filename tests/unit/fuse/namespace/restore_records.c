/*
 * Tests of restore.h, through the namespace's door: records of the ledger made by hand, as a worker
 * leaves them that dies at any moment, or as none does.
 */
#include "fuse/namespace/restore.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID

static struct rig rig;

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
		rig_assert_gone(&rig, record->id);
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
	assert_int_equal(rig_records(&rig), 0);
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
	assert_int_equal(rig_records(&rig), 1);
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

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_restore__half_made__is_made_sense_of),
		TEST(test_restore__one_number_twice__one_of_them_is_dropped),
		TEST(test_restore__a_path_too_long__ends_where_keys_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

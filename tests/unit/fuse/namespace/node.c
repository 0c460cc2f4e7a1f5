/*
 * Tests of node.h.
 */
#include "fuse/namespace/node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BASE (UINT64_C(1700000000) << 32)

static struct ledger *ledger;
static struct node_table table;
static uint64_t unique;

static int setup(void **state)
{
	(void)state;
	unique = 0;
	if (ledger_create(&ledger) != 0)
		return -1;
	return node_table_init(&table, ledger, BASE);
}

static int teardown(void **state)
{
	(void)state;
	node_table_fini(&table, NULL);
	ledger_destroy(ledger);
	return 0;
}

static void refer(struct node *node)
{
	unique += 2;
	node_refer(&table, node, unique);
}

static struct node *create(struct node *parent, enum node_kind kind, const char *name,
			   const char *etag)
{
	struct node *node = node_create(&table, parent, kind, 0, name, strlen(name), etag);

	assert_non_null(node);
	refer(node);
	return node;
}

static void test_create__found_by_id_and_by_name(void **state)
{
	struct node *node = create(table.root, NODE_FILE, "a", "e1");

	(void)state;
	assert_true(node->id > BASE);
	assert_ptr_equal(node_find(&table, node->id), node);
	assert_ptr_equal(node_child(&table, table.root, "a", 1), node);
	assert_null(node_child(&table, table.root, "ab", 2));
	assert_null(node_find(&table, node->id + 1));
	assert_string_equal(node_name(node), "a");
	assert_string_equal(node_etag(node), "e1");
}

static void test_create__again__is_another_id_and_the_old_one_goes_on(void **state)
{
	struct node *old = create(table.root, NODE_FILE, "a", "e1");
	uint64_t old_id = old->id;
	struct node *new = create(table.root, NODE_FILE, "a", "e2");

	(void)state;
	assert_true(new->id != old_id);
	assert_true(old->outdated);
	assert_ptr_equal(node_child(&table, table.root, "a", 1), new);
	assert_ptr_equal(node_find(&table, old_id), old);
	node_forget(&table, old, 1);
	assert_null(node_find(&table, old_id));
	assert_ptr_equal(node_child(&table, table.root, "a", 1), new);
}

static void test_forget__the_last_reference__frees_it_and_its_parents(void **state)
{
	struct node *a = create(table.root, NODE_DIRECTORY, "a", "");
	struct node *b = create(a, NODE_DIRECTORY, "b", "");
	struct node *c = create(b, NODE_FILE, "c", "e");
	uint64_t a_id = a->id, c_id = c->id;

	(void)state;
	refer(c);
	refer(c);
	node_forget(&table, a, 1); /* the kernel may forget parents first */
	node_forget(&table, b, 1);
	assert_ptr_equal(node_find(&table, a_id), a);
	node_forget(&table, c, 2);
	assert_ptr_equal(node_find(&table, c_id), c);
	node_forget(&table, c, 1);
	assert_null(node_find(&table, a_id));
	assert_int_equal(table.count, 1);
}

static void test_forget__root_or_too_often__does_no_harm(void **state)
{
	struct node *a = create(table.root, NODE_FILE, "a", "e");

	(void)state;
	node_pin(a);
	node_forget(&table, a, 1000);
	assert_int_equal(node_lookups(&table, a), 0);
	node_unpin(&table, a);
	node_forget(&table, table.root, 5);
	assert_ptr_equal(node_find(&table, NODE_ROOT_ID), table.root);
}

static void test_path__below_an_entry_and_above(void **state)
{
	struct node *above =
		node_create(&table, table.root, NODE_DIRECTORY, NODE_ENTRY_NONE, "x", 1, "");
	struct node *entry = node_create(&table, above, NODE_DIRECTORY, 0, "images", 6, "");
	struct node *a = create(entry, NODE_DIRECTORY, "a", "");
	struct node *b = create(a, NODE_FILE, "b.bin", "e");
	char path[64];

	(void)state;
	assert_int_equal(node_path(table.root, path, sizeof(path)), 1);
	assert_string_equal(path, "/");
	assert_int_equal(node_path(above, path, sizeof(path)), 2);
	assert_string_equal(path, "/x");
	assert_int_equal(node_path(entry, path, sizeof(path)), 0);
	assert_string_equal(path, "");
	assert_int_equal(node_path(b, path, sizeof(path)), 7);
	assert_string_equal(path, "a/b.bin");
	assert_int_equal(node_path(b, path, 7), -ENAMETOOLONG);
}

static void test_path__entry_at_the_root(void **state)
{
	struct node *a, *b;
	char path[64];

	(void)state;
	table.root->entry = 0;
	a = create(table.root, NODE_DIRECTORY, "a", "");
	b = create(a, NODE_FILE, "b", "e");
	assert_int_equal(node_path(table.root, path, sizeof(path)), 0);
	assert_int_equal(node_path(b, path, sizeof(path)), 3);
	assert_string_equal(path, "a/b");
}

static void test_create__many__are_small(void **state)
{
	struct node *directory = create(table.root, NODE_DIRECTORY, "d", "");

	(void)state;
	assert_true(sizeof(struct node) <= 240);
	for (unsigned i = 0; i < 100000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%08u", i);
		create(directory, NODE_FILE, name, "0123456789abcdef0123456789abcdef");
	}
	assert_int_equal(table.count, 100002);
	for (unsigned i = 0; i < 100000; i += 7) {
		char name[16];

		snprintf(name, sizeof(name), "%08u", i);
		node_forget(&table, node_child(&table, directory, name, 8), 1);
		assert_null(node_child(&table, directory, name, 8));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create__found_by_id_and_by_name),
		TEST(test_create__again__is_another_id_and_the_old_one_goes_on),
		TEST(test_forget__the_last_reference__frees_it_and_its_parents),
		TEST(test_forget__root_or_too_often__does_no_harm),
		TEST(test_path__below_an_entry_and_above),
		TEST(test_path__entry_at_the_root),
		TEST(test_create__many__are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

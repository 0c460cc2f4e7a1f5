/*
 * Tests of directory_tree.h: nothing outside the tree, no mixed versions, listings as a bucket has.
 */
#include "cache/directory_tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/cache/tree.h"

static int set_up(void **state)
{
	struct tree *tree = malloc(sizeof(*tree));

	tree_make(tree);
	*state = tree;
	return 0;
}

static int tear_down(void **state)
{
	tree_remove(*state);
	free(*state);
	return 0;
}

static int go_on(void *context)
{
	(void)context;
	return 0;
}

static void no_progress(void *context, size_t filled)
{
	(void)context;
	(void)filled;
}

static void test_head__of_a_file__tells_size_and_version(void **state)
{
	struct tree *tree = *state;
	struct backing_meta first, second;

	tree_write(tree, "a/b", "hello");
	assert_int_equal(tree_head(tree->root, "", "a/b", &first), 0);
	assert_int_equal(first.size, 5);
	assert_int_equal(tree_head(tree->root, "a", "b", &second), 0);
	assert_string_equal(first.etag, second.etag);
	assert_int_equal(first.mtime_s, second.mtime_s);
	tree_write(tree, "a/b", "hello!");
	assert_int_equal(tree_head(tree->root, "", "a/b", &second), 0);
	assert_string_not_equal(first.etag, second.etag);
}

static void test_head__of_what_is_no_object__is_not_found(void **state)
{
	static const char *const keys[] = {
		"",
		"nothing",
		"dir",
		"dir/",
		"dir//file",
		"/dir/file",
		"./dir/file",
		"dir/../dir/file",
		"../outside",
		"dir/file/more",
		"link-out",
		"link-up",
		"link-dangling",
		"link-loop",
		"pipe",
		"link-dir",
		"..",
		".",
	};
	struct tree *tree = *state;
	struct backing_meta meta;
	char path[256];

	tree_write(tree, "dir/file", "x");
	assert_int_equal(symlinkat("/etc/passwd", tree->root, "link-out"), 0);
	assert_int_equal(symlinkat("../../etc/passwd", tree->root, "link-up"), 0);
	assert_int_equal(symlinkat("nowhere", tree->root, "link-dangling"), 0);
	assert_int_equal(symlinkat("link-loop", tree->root, "link-loop"), 0);
	assert_int_equal(symlinkat("dir", tree->root, "link-dir"), 0);
	snprintf(path, sizeof(path), "%s/pipe", tree->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(keys); i++)
		if (tree_head(tree->root, "", keys[i], &meta) != -ENOENT)
			fail_msg("'%s' was found", keys[i]);
	assert_int_equal(tree_head(tree->root, "..", "etc/passwd", &meta), -ENOENT);
	assert_int_equal(tree_head(tree->root, "nowhere", "file", &meta), -ENOENT);
}

static void test_head__of_a_link_that_stays_inside__follows_it(void **state)
{
	struct tree *tree = *state;
	struct backing_meta meta;

	tree_write(tree, "dir/file", "hello");
	assert_int_equal(symlinkat("dir/file", tree->root, "link"), 0);
	assert_int_equal(symlinkat("dir", tree->root, "link-dir"), 0);
	assert_int_equal(tree_head(tree->root, "", "link", &meta), 0);
	assert_int_equal(meta.size, 5);
	assert_int_equal(tree_head(tree->root, "", "link-dir/file", &meta), 0);
}

static int read_all(struct tree *tree, const char *key, const char *etag, uint64_t off, char *out,
		    size_t len, int (*stop)(void *context))
{
	struct backing_get get = {
		.request = { .bucket = "", .key = key },
		.etag = etag,
		.off = off,
		.len = len,
		.dst = out,
	};

	return tree_read(tree->root, &get, stop, no_progress, tree);
}

static void test_read__of_a_range__gets_its_bytes(void **state)
{
	struct tree *tree = *state;
	struct backing_meta meta;
	char out[6] = "";

	tree_write(tree, "file", "0123456789");
	assert_int_equal(tree_head(tree->root, "", "file", &meta), 0);
	assert_int_equal(read_all(tree, "file", meta.etag, 3, out, 5, go_on), 0);
	assert_string_equal(out, "34567");
	assert_int_equal(read_all(tree, "file", meta.etag, 8, out, 5, go_on), -ERANGE);
	assert_int_equal(read_all(tree, "fil", meta.etag, 8, out, 2, go_on), -ENOENT);
	assert_int_equal(read_all(tree, "file", "other", 8, out, 2, go_on), -ESTALE);
}

static int rewrite(void *context)
{
	tree_write(context, "file", "abc");
	return 0;
}

static int give_up(void *context)
{
	(void)context;
	return -ETIMEDOUT;
}

static void test_read__file_changes_meanwhile__is_stale_and_not_mixed(void **state)
{
	struct tree *tree = *state;
	struct backing_meta meta;
	char out[6] = "";

	tree_write(tree, "file", "0123456789");
	assert_int_equal(tree_head(tree->root, "", "file", &meta), 0);
	assert_int_equal(read_all(tree, "file", meta.etag, 0, out, 5, rewrite), -ESTALE);
	assert_int_equal(tree_head(tree->root, "", "file", &meta), 0);
	assert_int_equal(read_all(tree, "file", meta.etag, 0, out, 3, give_up), -ETIMEDOUT);
}

#define LISTED_MAX 2048

struct listed {
	char keys[LISTED_MAX][32];
	bool prefix[LISTED_MAX];
	unsigned count;
};

static void collect(void *context, const char *key, const struct backing_meta *meta)
{
	struct listed *listed = context;

	assert_true(listed->count < LISTED_MAX && strlen(key) < sizeof(listed->keys[0]));
	memcpy(listed->keys[listed->count], key, strlen(key) + 1);
	listed->prefix[listed->count++] = meta == NULL;
}

static bool is_listed(const struct listed *listed, const char *key)
{
	for (unsigned i = 0; i < listed->count; i++)
		if (strcmp(listed->keys[i], key) == 0)
			return true;
	return false;
}

static int list(struct tree *tree, struct listed *listed, const char *bucket, const char *prefix,
		bool delimited)
{
	struct backing_list request = {
		.request = { .bucket = bucket },
		.prefix = prefix,
		.delimited = delimited,
	};

	listed->count = 0;
	return tree_list(tree->root, &request, request.token, collect, go_on, listed);
}

static void test_list__of_one_level__has_its_files_and_directories(void **state)
{
	struct listed *listed = malloc(sizeof(*listed));
	struct tree *tree = *state;

	tree_write(tree, "a/one", "1");
	tree_write(tree, "a/two", "2");
	tree_write(tree, "a/b/three", "3");
	tree_write(tree, "top", "4");
	assert_int_equal(symlinkat("a/one", tree->root, "link"), 0);
	assert_int_equal(symlinkat("/etc/passwd", tree->root, "link-out"), 0);
	assert_int_equal(symlinkat("a", tree->root, "link-dir"), 0);
	assert_int_equal(list(tree, listed, "", "", true), 0);
	assert_int_equal(listed->count, 4);
	assert_true(is_listed(listed, "a/") && is_listed(listed, "top") &&
		    is_listed(listed, "link") && is_listed(listed, "link-dir/"));
	assert_int_equal(list(tree, listed, "", "a/", true), 0);
	assert_int_equal(listed->count, 3);
	assert_true(is_listed(listed, "a/one") && is_listed(listed, "a/two") &&
		    is_listed(listed, "a/b/"));
	assert_int_equal(list(tree, listed, "a", "", true), 0);
	assert_int_equal(listed->count, 3);
	assert_true(is_listed(listed, "one") && is_listed(listed, "b/"));
	free(listed);
}

static void test_list__undelimited__goes_down(void **state)
{
	struct listed *listed = malloc(sizeof(*listed));
	struct tree *tree = *state;

	tree_write(tree, "a/one", "1");
	tree_write(tree, "a/b/three", "3");
	tree_write(tree, "top", "4");
	tree_write(tree, "tip/x", "5");
	assert_int_equal(symlinkat(".", tree->root, "self"), 0);
	assert_int_equal(list(tree, listed, "", "", false), 0);
	assert_int_equal(listed->count, 4);
	assert_true(is_listed(listed, "a/one") && is_listed(listed, "a/b/three"));
	assert_int_equal(list(tree, listed, "", "t", false), 0);
	assert_int_equal(listed->count, 2);
	assert_true(is_listed(listed, "top") && is_listed(listed, "tip/x"));
	free(listed);
}

static void test_list__prefix_is_not_there__is_empty(void **state)
{
	static const char *const prefixes[] = { "nothing/", "a/../a/", "../", "a//", "/", "file/" };
	struct listed *listed = malloc(sizeof(*listed));
	struct tree *tree = *state;

	tree_write(tree, "a/one", "1");
	tree_write(tree, "file", "1");
	for (unsigned i = 0; i < ARRAY_COUNT(prefixes); i++) {
		assert_int_equal(list(tree, listed, "", prefixes[i], true), 0);
		assert_int_equal(listed->count, 0);
	}
	assert_int_equal(list(tree, listed, "no-bucket", "", true), -ENOENT);
	assert_int_equal(list(tree, listed, "..", "", true), -ENOENT);
	free(listed);
}

static void test_list__in_pages__has_each_entry_once(void **state)
{
	struct listed *listed = calloc(1, sizeof(*listed));
	struct tree *tree = *state;
	struct backing_list request = {
		.request = { .bucket = "" }, .prefix = "d/", .delimited = true, .max_keys = 100
	};
	unsigned pages = 0;

	for (unsigned i = 0; i < 1000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d/%u", i);
		tree_write(tree, key, "x");
	}
	do {
		unsigned before = listed->count;

		assert_int_equal(
			tree_list(tree->root, &request, request.token, collect, go_on, listed), 0);
		assert_true(listed->count - before <= 100);
	} while (request.token[0] && ++pages < 100);
	assert_int_equal(listed->count, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d/%u", i);
		assert_true(is_listed(listed, key));
	}
	free(listed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_head__of_a_file__tells_size_and_version),
		TEST(test_head__of_what_is_no_object__is_not_found),
		TEST(test_head__of_a_link_that_stays_inside__follows_it),
		TEST(test_read__of_a_range__gets_its_bytes),
		TEST(test_read__file_changes_meanwhile__is_stale_and_not_mixed),
		TEST(test_list__of_one_level__has_its_files_and_directories),
		TEST(test_list__undelimited__goes_down),
		TEST(test_list__prefix_is_not_there__is_empty),
		TEST(test_list__in_pages__has_each_entry_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

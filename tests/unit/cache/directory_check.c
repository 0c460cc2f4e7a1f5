/*
 * Tests of directory_check.c: what is said about directories, and that nothing is left in them.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "tests/unit/cache/tree.h"

struct findings {
	char text[4096];
	unsigned good, bad;
};

static void note(void *context, enum cache_finding finding, const char *text)
{
	struct findings *findings = context;
	size_t len = strlen(findings->text);

	if (finding == CACHE_FINDING_OK)
		findings->good++;
	else
		findings->bad++;
	snprintf(findings->text + len, sizeof(findings->text) - len, "%s\n", text);
}

static struct findings check(char *path, uint64_t capacity)
{
	struct cache_directory_config config = { .path = path, .capacity = capacity };
	struct findings findings = { 0 };

	cache_directory_check(&config, note, &findings);
	return findings;
}

static unsigned entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void test_check__of_a_directory__finds_it_writable_and_leaves_nothing(void **state)
{
	struct findings findings;
	struct tree tree;

	(void)state;
	tree_make(&tree);
	findings = check(tree.path, 0);
	assert_non_null(strstr(findings.text, "is there and writable"));
	assert_non_null(strstr(findings.text, "GiB are free"));
	assert_non_null(strstr(findings.text, "discard"));
	assert_int_equal(entries(tree.path), 2);
	tree_remove(&tree);
}

static void test_check__of_what_is_not_there_yet__looks_above(void **state)
{
	struct findings findings;
	struct tree tree;
	char path[128];

	(void)state;
	tree_make(&tree);
	snprintf(path, sizeof(path), "%s/cache/ssd0", tree.path);
	findings = check(path, 0);
	assert_non_null(strstr(findings.text, "will be made in"));
	assert_int_equal(entries(tree.path), 2);
	tree_remove(&tree);
}

static void test_check__of_what_cannot_work__says_why(void **state)
{
	struct findings findings;
	struct tree tree;
	char path[128], shared_memory[] = "/dev/shm";

	(void)state;
	tree_make(&tree);
	tree_write(&tree, "file", "x");
	snprintf(path, sizeof(path), "%s/file", tree.path);
	findings = check(path, 0);
	assert_non_null(strstr(findings.text, "not a directory"));
	assert_int_equal(findings.bad, 1);
	snprintf(path, sizeof(path), "%s/file/below", tree.path);
	findings = check(path, 0);
	assert_non_null(strstr(findings.text, "ENOTDIR"));
	findings = check(tree.path, UINT64_C(1) << 60);
	assert_non_null(strstr(findings.text, "larger than the file system"));
	if (access(shared_memory, W_OK) == 0) {
		findings = check(shared_memory, 0);
		assert_true(findings.bad > 0);
	}
	tree_remove(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check__of_a_directory__finds_it_writable_and_leaves_nothing),
		cmocka_unit_test(test_check__of_what_is_not_there_yet__looks_above),
		cmocka_unit_test(test_check__of_what_cannot_work__says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

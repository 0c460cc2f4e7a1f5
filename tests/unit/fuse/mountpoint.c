/*
 * Tests of mountpoint.h, as far as they need no privilege: nothing is mounted.
 */
#include "fuse/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

static char directory[64];

static int setup(void **state)
{
	char path[128];
	FILE *file;

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/cenote-mountpoint-XXXXXX");
	CHECK(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/empty", directory);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/full", directory);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/full/x", directory);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/file", directory);
	file = fopen(path, "w");
	CHECK(file && fclose(file) == 0);
	snprintf(path, sizeof(path), "%s/link", directory);
	CHECK(symlink("empty", path) == 0);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "link", "full/x", "full", "empty", "file", "" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		CHECK(remove(path) == 0);
	}
	return 0;
}

static void test_prepare__rows(void **state)
{
	static const struct {
		const char *name;
		bool allow_nonempty;
		int err;
		const char *found, *problem;
	} rows[] = {
		{ "empty", false, 0, "empty", NULL },
		{ "empty/", false, 0, "empty", NULL },
		{ "./empty", false, 0, "empty", NULL },
		{ "link", false, 0, "empty", NULL },
		{ "full", false, -ENOTEMPTY, NULL, "allow_nonempty" },
		{ "full", true, 0, "full", NULL },
		{ "file", false, -ENOTDIR, NULL, "Not a directory" },
		{ "nothing", false, -ENOENT, NULL, "mkdir -p" },
		{ "nothing/below", false, -ENOENT, NULL, "No such file" },
		{ "empty/..", false, -EINVAL, NULL, "Invalid" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mountpoint_options options = { .allow_nonempty = rows[i].allow_nonempty };
		struct mountpoint mountpoint = { 0 };
		char path[128], found[128], problem[512] = "";

		snprintf(path, sizeof(path), "%s/%s", directory, rows[i].name);
		assert_int_equal(
			mountpoint_prepare(path, &options, &mountpoint, problem, sizeof(problem)),
			rows[i].err);
		if (rows[i].problem && !strstr(problem, rows[i].problem))
			fail_msg("%s: %s", path, problem);
		if (!rows[i].found)
			continue;
		snprintf(found, sizeof(found), "%s/%s", directory, rows[i].found);
		assert_string_equal(mountpoint.path, found);
		mountpoint_unmount(&mountpoint); /* nothing is mounted: nothing happens */
		mountpoint_fini(&mountpoint);
	}
}

static void test_adopt__no_mount_of_the_connection__is_not_mounted(void **state)
{
	struct mountpoint mountpoint;
	char path[128], problem[512] = "";
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/./empty", directory);
	assert_int_equal(mountpoint_adopt(path, false, fd, &mountpoint, problem, sizeof(problem)),
			 0);
	snprintf(path, sizeof(path), "%s/empty", directory);
	assert_string_equal(mountpoint.path, path);
	assert_false(mountpoint.mounted);
	mountpoint_unmount(&mountpoint);
	mountpoint_fini(&mountpoint);
	assert_int_equal(
		mountpoint_adopt("/proc", false, fd, &mountpoint, problem, sizeof(problem)), 0);
	assert_false(mountpoint.mounted); /* a mount, but not one of ours */
	mountpoint_fini(&mountpoint);
	snprintf(path, sizeof(path), "%s/nothing/below", directory);
	assert_int_equal(mountpoint_adopt(path, false, fd, &mountpoint, problem, sizeof(problem)),
			 -ENOENT);
	assert_non_null(strstr(problem, "nothing/below"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_prepare__rows),
		TEST(test_adopt__no_mount_of_the_connection__is_not_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

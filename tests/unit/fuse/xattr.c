/*
 * Tests of attributes of all kinds and of what a read-only mount refuses, with a test as the
 * kernel.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/unit/fuse/kernel.h"

static struct kernel kernel;
static uint64_t file, directory;

static int setup(void **state)
{
	struct fuse_entry_out entry;

	(void)state;
	kernel_setup(&kernel);
	kernel_start(&kernel);
	fake_put(&kernel.rig.fake, "a", 100, "etag-1");
	fake_put(&kernel.rig.fake, "d/x", 100, "etag-2");
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	file = entry.nodeid;
	assert_int_equal(kernel_lookup(&kernel, 1, "d", &entry), 0);
	directory = entry.nodeid;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return 0;
}

static int getxattr_size(uint64_t node, const char *name, uint32_t size)
{
	struct {
		struct fuse_getxattr_in in;
		char name[64];
	} in = { .in.size = size };

	snprintf(in.name, sizeof(in.name), "%s", name);
	return kernel_ask(&kernel, FUSE_GETXATTR, node, &in, sizeof(in.in) + strlen(name) + 1);
}

static void assert_xattr(uint64_t node, const char *name, const char *value)
{
	struct fuse_getxattr_out out;

	assert_int_equal(getxattr_size(node, name, 0), 0);
	memcpy(&out, kernel.reply.data, sizeof(out));
	assert_int_equal(out.size, strlen(value));
	if (out.size > 1) /* 0 would ask for the length again */
		assert_int_equal(getxattr_size(node, name, out.size - 1), -ERANGE);
	assert_int_equal(getxattr_size(node, name, 1000), 0);
	assert_int_equal(kernel.reply_len, strlen(value));
	assert_memory_equal(kernel.reply.data, value, strlen(value));
}

static void test_getxattr__of_a_file(void **state)
{
	struct object_version version = {
		.backing = "b", .bucket = "k", .key = "a", .etag = "etag-1", .size = 100
	};
	char text[OBJECT_ID_TEXT_LEN];
	struct object_id id;

	(void)state;
	object_id_of(&version, &id);
	object_id_text(&id, text);
	assert_xattr(file, "user.cenote.etag", "etag-1");
	assert_xattr(file, "user.cenote.object", text);
	assert_xattr(file, "user.cenote.key", "b/k/a");
	assert_xattr(file, "user.cenote.resident", "0");
	assert_int_equal(getxattr_size(file, "user.other", 100), -ENODATA);
	assert_int_equal(getxattr_size(file, "system.posix_acl_access", 100), -ENODATA);
	assert_int_equal(getxattr_size(12345, "user.cenote.etag", 100), -ESTALE);
	assert_int_equal(kernel_counter(&kernel, MOUNT_ERRORS), 0);
}

static void test_getxattr__of_a_directory(void **state)
{
	(void)state;
	assert_xattr(directory, "user.cenote.key", "b/k/d/");
	assert_int_equal(getxattr_size(directory, "user.cenote.etag", 100), -ENODATA);
	assert_int_equal(getxattr_size(directory, "user.cenote.object", 100), -ENODATA);
	assert_int_equal(getxattr_size(directory, "user.cenote.resident", 100), -ENODATA);
}

static void test_listxattr__what_there_is(void **state)
{
	struct fuse_getxattr_in in = { .size = 1000 };

	(void)state;
	assert_int_equal(kernel_ask(&kernel, FUSE_LISTXATTR, file, &in, sizeof(in)), 0);
	assert_int_equal(kernel.reply_len, sizeof("user.cenote.etag\0user.cenote.object\0"
						  "user.cenote.resident\0user.cenote.key"));
	assert_int_equal(kernel_ask(&kernel, FUSE_LISTXATTR, directory, &in, sizeof(in)), 0);
	assert_int_equal(kernel.reply_len, sizeof("user.cenote.key"));
	in.size = 5;
	assert_int_equal(kernel_ask(&kernel, FUSE_LISTXATTR, file, &in, sizeof(in)), -ERANGE);
	assert_int_equal(kernel_ask(&kernel, FUSE_LISTXATTR, 12345, &in, sizeof(in)), -ESTALE);
}

static void test_getattr__of_file_directory_and_root(void **state)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;

	(void)state;
	assert_int_equal(kernel_ask(&kernel, FUSE_GETATTR, file, &in, sizeof(in)), 0);
	memcpy(&out, kernel.reply.data, sizeof(out));
	assert_int_equal(out.attr.size, 100);
	assert_int_equal(out.attr_valid, 60);
	assert_int_equal(kernel_ask(&kernel, FUSE_GETATTR, directory, &in, sizeof(in)), 0);
	memcpy(&out, kernel.reply.data, sizeof(out));
	assert_int_equal(out.attr.mode, S_IFDIR | 0550);
	assert_int_equal(kernel_ask(&kernel, FUSE_GETATTR, 1, &in, sizeof(in)), 0);
	memcpy(&out, kernel.reply.data, sizeof(out));
	assert_true(S_ISDIR(out.attr.mode));
}

static void test_statfs__has_the_longest_name(void **state)
{
	struct fuse_statfs_out out;

	(void)state;
	assert_int_equal(kernel_ask(&kernel, FUSE_STATFS, 1, NULL, 0), 0);
	memcpy(&out, kernel.reply.data, sizeof(out));
	assert_int_equal(out.st.namelen, 255);
	assert_int_equal(out.st.bfree, 0);
}

static void test_writing__erofs(void **state)
{
	static const char zeros[256] = "";
	static const struct {
		uint32_t opcode;
		size_t len; /* of the argument, with names "" behind it */
	} rows[] = {
		{ FUSE_SETATTR, sizeof(struct fuse_setattr_in) },
		{ FUSE_MKNOD, sizeof(struct fuse_mknod_in) + 2 },
		{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in) + 2 },
		{ FUSE_UNLINK, 2 },
		{ FUSE_RMDIR, 2 },
		{ FUSE_SYMLINK, 4 },
		{ FUSE_RENAME, sizeof(struct fuse_rename_in) + 4 },
		{ FUSE_RENAME2, sizeof(struct fuse_rename2_in) + 4 },
		{ FUSE_LINK, sizeof(struct fuse_link_in) + 2 },
		{ FUSE_WRITE, sizeof(struct fuse_write_in) },
		{ FUSE_SETXATTR, sizeof(struct fuse_setxattr_in) + 4 },
		{ FUSE_REMOVEXATTR, 2 },
		{ FUSE_CREATE, sizeof(struct fuse_create_in) + 2 },
		{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(kernel_ask(&kernel, rows[i].opcode, file, zeros, rows[i].len),
				 -EROFS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_getxattr__of_a_file),
		TEST(test_getxattr__of_a_directory),
		TEST(test_listxattr__what_there_is),
		TEST(test_getattr__of_file_directory_and_root),
		TEST(test_statfs__has_the_longest_name),
		TEST(test_writing__erofs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

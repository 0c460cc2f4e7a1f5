/*
 * Tests of LOOKUP, FORGET and reading directories, with a test as the kernel.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/unit/fuse/kernel.h"

static struct kernel kernel;

static int setup(void **state)
{
	(void)state;
	kernel_setup(&kernel);
	kernel_start(&kernel);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return 0;
}

static void put_many(unsigned count)
{
	char key[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(key, sizeof(key), i % 3 ? "n%04u" : "n%04u/x", i);
		fake_put(&kernel.rig.fake, key, i, "e");
	}
}

static void test_lookup__a_file__its_entry(void **state)
{
	struct fuse_entry_out entry;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 1000, "e");
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	assert_int_equal(entry.attr.size, 1000);
	assert_int_equal(entry.attr.mode, S_IFREG | 0440);
	assert_int_equal(entry.attr.nlink, 1);
	assert_int_equal(entry.attr.uid, 7);
	assert_int_equal(entry.attr.mtime, 1000);
	assert_int_equal(entry.entry_valid, 60);
	assert_true(entry.attr.ino != entry.nodeid);
}

static void test_lookup__nothing__a_negative_entry_with_its_time(void **state)
{
	struct fuse_entry_out entry;

	(void)state;
	assert_int_equal(kernel_lookup(&kernel, 1, "nothing", &entry), 0);
	assert_int_equal(entry.nodeid, 0);
	assert_int_equal(entry.entry_valid, 5);
	kernel.rig.entries[0].negative_timeout = 0;
	assert_int_equal(kernel_lookup(&kernel, 1, "nothing", &entry), -ENOENT);
}

static void test_lookup__statuses__as_a_caller_may_see_them(void **state)
{
	static const struct {
		int status, error;
	} rows[] = {
		{ -EIO, -EIO },	   { -ETIMEDOUT, -EIO }, { -EACCES, -EACCES },
		{ -EPROTO, -EIO }, { -EAGAIN, -EIO },	 { -EINVAL, -EIO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fuse_entry_out entry;

		kernel.rig.fake.head_status = rows[i].status;
		assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), rows[i].error);
	}
	assert_int_equal(kernel_counter(&kernel, MOUNT_ERRORS), ARRAY_COUNT(rows));
}

static void test_forget__the_last__the_node_is_gone(void **state)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[2];
	} batch = { .in.count = 2 };
	struct fuse_getattr_in getattr = { 0 };
	struct fuse_entry_out a, b;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 1, "e");
	fake_put(&kernel.rig.fake, "b", 1, "e");
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &a), 0);
	assert_int_equal(kernel_lookup(&kernel, 1, "b", &b), 0);
	batch.one[0] = (struct fuse_forget_one){ .nodeid = a.nodeid, .nlookup = 1 };
	batch.one[1] = (struct fuse_forget_one){ .nodeid = b.nodeid, .nlookup = 1 };
	kernel_send(&kernel, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch));
	/* Another thread may be faster with this one: until both are through. */
	for (unsigned i = 0; i < 20000 && kernel_counter(&kernel, MOUNT_NODES) > 1; i++)
		assert_int_equal(kernel_ask(&kernel, FUSE_STATFS, 1, NULL, 0), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_NODES), 1);
	assert_int_equal(kernel_ask(&kernel, FUSE_GETATTR, a.nodeid, &getattr, sizeof(getattr)),
			 -ESTALE);
}

/* Reads a directory with answers of @size. Return: its names, "." and ".." not counted. */
static unsigned read_all(uint64_t handle, uint32_t size, bool plus)
{
	uint64_t off = 0;
	unsigned count = 0;

	for (;;) {
		size_t at = 0;
		struct fuse_read_in in = { .fh = handle, .offset = off, .size = size };

		assert_int_equal(kernel_ask(&kernel, plus ? FUSE_READDIRPLUS : FUSE_READDIR, 1, &in,
					    sizeof(in)),
				 0);
		assert_true(kernel.reply_len <= size);
		if (kernel.reply_len == 0)
			return count;
		while (at < kernel.reply_len) {
			const struct fuse_direntplus *full = (const void *)(kernel.reply.data + at);
			const struct fuse_dirent *entry = plus ? &full->dirent : (const void *)full;

			assert_true(entry->off != off);
			off = entry->off;
			count += entry->name[0] != '.';
			if (plus && entry->name[0] != '.')
				assert_true(full->entry_out.nodeid > 1);
			at += plus ? FUSE_DIRENTPLUS_SIZE(full) : FUSE_DIRENT_SIZE(entry);
		}
		assert_int_equal(at, kernel.reply_len);
	}
}

static void test_readdir__small_and_large_answers__all_names(void **state)
{
	static const uint32_t sizes[] = { 256, 4096, 131072, 8 << 20 };
	uint64_t handle;

	(void)state;
	put_many(1000);
	kernel.rig.fake.page_max = 100;
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), 0);
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		if (sizes[i] <= KERNEL_REPLY_MAX / 2) /* what our sockets carry */
			assert_int_equal(read_all(handle, sizes[i], true), 1000);
		assert_int_equal(read_all(handle, sizes[i], false), 1000);
	}
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, handle);
}

static void test_readdir__interrupted__eintr_at_once(void **state)
{
	uint64_t handle, unique;

	(void)state;
	put_many(10);
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), 0);
	unique = kernel_read_send(&kernel, FUSE_READDIR, 1, handle, 0, 4096);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_interrupt(&kernel, unique);
	assert_int_equal(kernel_receive(&kernel), unique);
	assert_int_equal(kernel.reply.header.error, -EINTR);
	fake_run_all(&kernel.rig.fake);
	assert_true(kernel_silent(&kernel));
	assert_int_equal(read_all(handle, 4096, false), 10);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, handle);
}

static void test_lookup__interrupted__eintr_at_once_and_others_wait_on(void **state)
{
	uint64_t first, second;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 1, "e");
	first = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);
	second = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_interrupt(&kernel, first);
	assert_int_equal(kernel_receive(&kernel), first);
	assert_int_equal(kernel.reply.header.error, -EINTR);
	fake_run_all(&kernel.rig.fake);
	assert_int_equal(kernel_receive(&kernel), second);
	assert_int_equal(kernel.reply.header.error, 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_INTERRUPTS), 1);
}

static void test_stop__open_directories_and_waiting_readers__nothing_is_left(void **state)
{
	uint64_t handle;

	(void)state;
	put_many(10);
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &handle), 0);
	kernel_read_send(&kernel, FUSE_READDIR, 1, handle, 0, 4096);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_send(&kernel, FUSE_LOOKUP, 1, "n0000", 6);
	/* teardown: stops, the backing store answers, and all is freed */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookup__a_file__its_entry),
		TEST(test_lookup__nothing__a_negative_entry_with_its_time),
		TEST(test_lookup__statuses__as_a_caller_may_see_them),
		TEST(test_forget__the_last__the_node_is_gone),
		TEST(test_readdir__small_and_large_answers__all_names),
		TEST(test_readdir__interrupted__eintr_at_once),
		TEST(test_lookup__interrupted__eintr_at_once_and_others_wait_on),
		TEST(test_stop__open_directories_and_waiting_readers__nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

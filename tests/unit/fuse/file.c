/*
 * Tests of OPEN, READ and RELEASE, with a test as the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fuse/kernel.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

static struct kernel kernel;
static char expected[128 * KIB];

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

static uint64_t node_of(const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(kernel_lookup(&kernel, 1, name, &entry), 0);
	assert_true(entry.nodeid != 0);
	return entry.nodeid;
}

static int read_at(uint64_t node, uint64_t handle, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = { .fh = handle, .offset = off, .size = size };

	return kernel_ask(&kernel, FUSE_READ, node, &in, sizeof(in));
}

static void assert_bytes(const char *etag, uint64_t off, size_t len)
{
	assert_int_equal(kernel.reply_len, len);
	fake_bytes(etag, off, expected, len);
	assert_memory_equal(kernel.reply.data, expected, len);
}

static void test_open__flags(void **state)
{
	static const struct {
		uint32_t flags;
		int error;
	} rows[] = { { O_RDONLY, 0 },
		     { O_WRONLY, -EROFS },
		     { O_RDWR, -EROFS },
		     { O_RDONLY | O_DIRECT, 0 } };
	uint64_t node;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 10, "e");
	node = node_of("a");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fuse_open_in in = { .flags = rows[i].flags };
		struct fuse_open_out out;

		assert_int_equal(kernel_ask(&kernel, FUSE_OPEN, node, &in, sizeof(in)),
				 rows[i].error);
		if (rows[i].error)
			continue;
		memcpy(&out, kernel.reply.data, sizeof(out));
		assert_true(out.open_flags & FOPEN_DIRECT_IO);
		kernel_release(&kernel, FUSE_RELEASE, node, out.fh);
	}
}

static void test_read__ranges__the_bytes_and_the_end(void **state)
{
	static const uint64_t size = 5 * MIB + 123;
	static const struct {
		uint64_t off;
		uint32_t len, got;
	} rows[] = {
		{ 0, 64 * KIB, 64 * KIB },   { 1, 1, 1 },
		{ 4 * MIB - 10, 20, 20 }, /* over a block's end */
		{ size - 5, 64 * KIB, 5 },   { size, 64 * KIB, 0 },
		{ size + MIB, 64 * KIB, 0 }, { 3 * MIB + 17, 100 * KIB, 100 * KIB },
	};
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", size, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(read_at(node, handle, rows[i].off, rows[i].len), 0);
		assert_bytes("e1", rows[i].off, rows[i].got);
	}
	assert_true(mount_read_latency(kernel.mount)->count > 0);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
}

static void test_read__empty_file__the_end_at_once(void **state)
{
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 0, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	assert_int_equal(read_at(node, handle, 0, 4096), 0);
	assert_int_equal(kernel.reply_len, 0);
	assert_int_equal(kernel.rig.fake.gets, 0);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_read__interrupted__eintr_at_once_and_another_gets_the_bytes(void **state)
{
	uint64_t node, handle, first, second;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	first = kernel_read_send(&kernel, FUSE_READ, node, handle, 0, 100);
	second = kernel_read_send(&kernel, FUSE_READ, node, handle, 0, 100);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_interrupt(&kernel, first);
	assert_int_equal(kernel_receive(&kernel), first);
	assert_int_equal(kernel.reply.header.error, -EINTR);
	fake_run_all(&kernel.rig.fake);
	assert_int_equal(kernel_receive(&kernel), second);
	assert_int_equal(kernel.reply.header.error, 0);
	assert_bytes("e1", 0, 100);
	assert_int_equal(kernel.rig.fake.gets, 1);
	kernel_interrupt(&kernel, second); /* too late: kept for a request to come, or refused */
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_read__interrupt_overtakes_the_request__eintr(void **state)
{
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	kernel_interrupt(&kernel, kernel.unique + 2);
	kernel_read_send(&kernel, FUSE_READ, node, handle, 0, 100);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_receive(&kernel);
	assert_int_equal(kernel.reply.header.error, -EINTR);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_read__many_interrupted_while_answered__each_has_one_answer(void **state)
{
	uint64_t node, handle;
	unsigned answers = 0;
	char name[16];

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		snprintf(name, sizeof(name), "f%u", round);
		fake_put(&kernel.rig.fake, name, 100, "e1");
	}
	for (unsigned round = 0; round < 100; round++) {
		uint64_t uniques[16];
		unsigned count = 0;

		snprintf(name, sizeof(name), "f%u", round);
		node = node_of(name);
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
		for (unsigned i = 0; i < ARRAY_COUNT(uniques); i++)
			uniques[i] = kernel_read_send(&kernel, FUSE_READ, node, handle, 0, 100);
		assert_true(fake_wait(&kernel.rig.fake));
		for (unsigned i = 0; i < ARRAY_COUNT(uniques); i++) {
			kernel_interrupt(&kernel, uniques[i]);
			if (i == round % ARRAY_COUNT(uniques))
				fake_run_all(&kernel.rig.fake);
		}
		while (count < ARRAY_COUNT(uniques)) {
			kernel_receive_answering(&kernel);
			assert_true(kernel.reply.header.error == 0 ||
				    kernel.reply.header.error == -EINTR);
			count++;
		}
		answers += count;
	}
	assert_int_equal(answers, 1600);
}

static void test_read__overwritten__old_bytes_or_estale_and_then_the_new_ones(void **state)
{
	struct fuse_open_in open_in = { 0 };
	uint64_t node, handle, after;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 20 * MIB, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	assert_int_equal(read_at(node, handle, 0, 4096), 0);
	assert_bytes("e1", 0, 4096);
	fake_put(&kernel.rig.fake, "a", 20 * MIB, "e2");
	assert_int_equal(read_at(node, handle, 0, 4096), 0);
	assert_bytes("e1", 0, 4096);
	assert_int_equal(read_at(node, handle, 16 * MIB, 4096), -ESTALE);
	/* The kernel still believes the name: OPEN says ESTALE once, then it looks again. */
	assert_int_equal(kernel_ask(&kernel, FUSE_OPEN, node, &open_in, sizeof(open_in)), -ESTALE);
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS_STALE), 1);
	after = node_of("a");
	assert_true(after != node);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, after, &handle), 0);
	assert_int_equal(read_at(after, handle, 16 * MIB, 4096), 0);
	assert_bytes("e2", 16 * MIB, 4096);
	kernel_release(&kernel, FUSE_RELEASE, after, handle);
}

static void test_read__deleted__estale(void **state)
{
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	fake_delete(&kernel.rig.fake, "a");
	assert_int_equal(read_at(node, handle, 0, 100), -ESTALE);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_read__an_error__is_given_and_not_kept(void **state)
{
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	kernel.rig.fake.get_status = -EACCES;
	assert_int_equal(read_at(node, handle, 0, 100), -EACCES);
	kernel.rig.fake.get_status = 0;
	assert_int_equal(read_at(node, handle, 0, 100), 0);
	assert_bytes("e1", 0, 100);
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static void test_stop__a_read_waits__all_is_freed(void **state)
{
	uint64_t node, handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	kernel_read_send(&kernel, FUSE_READ, node, handle, 0, 100);
	assert_true(fake_wait(&kernel.rig.fake));
	/* teardown: the handle is open, the read is under way */
}

static void test_read__in_sequence__fetched_ahead(void **state)
{
	uint64_t node, handle;

	(void)state;
	kernel.mount->readahead_max = 16 * MIB;
	fake_put(&kernel.rig.fake, "a", 40 * MIB, "e1");
	node = node_of("a");
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
	for (uint64_t off = 0; off < 2 * MIB; off += 64 * KIB)
		assert_int_equal(read_at(node, handle, off, 64 * KIB), 0);
	fake_run_all(&kernel.rig.fake);
	assert_true(kernel.rig.fake.gets >= 3); /* block 0, and ahead of it */
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

static int small_setup(void **state)
{
	(void)state;
	kernel_setup(&kernel);
	kernel.rig.entries[0].kind = MOUNT_SMALL_FILES;
	kernel_start(&kernel);
	return 0;
}

static void test_small_files__never_opened__read_by_node(void **state)
{
	struct fuse_open_in in = { 0 };
	uint64_t node;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 5 * MIB, "e1");
	node = node_of("a");
	assert_int_equal(kernel_ask(&kernel, FUSE_OPEN, node, &in, sizeof(in)), -ENOSYS);
	for (uint64_t off = 0; off < 5 * MIB; off += MIB) {
		assert_int_equal(read_at(node, 0, off + 17, 64 * KIB), 0);
		assert_bytes("e1", off + 17, 64 * KIB);
	}
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_OPENS), 0);
}

static void test_small_files__replaced_before_it_is_read__names_are_forgotten(void **state)
{
	uint64_t node, after;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 20 * MIB, "e1");
	node = node_of("a");
	fake_put(&kernel.rig.fake, "a", 20 * MIB, "e2");
	assert_int_equal(read_at(node, 0, 0, 4096), -ESTALE);
	assert_int_equal(kernel.epochs, 1);
	after = node_of("a");
	assert_int_not_equal(after, node);
	assert_int_equal(read_at(after, 0, 0, 4096), 0);
	assert_bytes("e2", 0, 4096);
	assert_int_equal(kernel.epochs, 1);
}

static void test_read__files_in_order__the_next_ones_are_fetched(void **state)
{
	uint64_t directory, node, handle;
	char name[16];

	(void)state;
	kernel.mount->sibling_max = 16 * MIB;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		fake_put(&kernel.rig.fake, name, 1000, "e1");
	}
	assert_int_equal(kernel_open(&kernel, FUSE_OPENDIR, 1, &directory), 0);
	kernel_read_send(&kernel, FUSE_READDIR, 1, directory, 0, 64 * KIB);
	assert_true(fake_wait(&kernel.rig.fake));
	fake_run_all(&kernel.rig.fake);
	kernel_receive(&kernel);
	kernel_release(&kernel, FUSE_RELEASEDIR, 1, directory);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		node = node_of(name);
		assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), 0);
		assert_int_equal(read_at(node, handle, 0, 1000), 0);
		assert_bytes("e1", 0, 1000);
		kernel_release(&kernel, FUSE_RELEASE, node, handle);
	}
	fake_run_all(&kernel.rig.fake);
	assert_true(kernel.rig.fake.gets > 20);
	assert_int_equal(kernel.rig.fake.heads, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open__flags),
		TEST(test_read__ranges__the_bytes_and_the_end),
		TEST(test_read__empty_file__the_end_at_once),
		TEST(test_read__interrupted__eintr_at_once_and_another_gets_the_bytes),
		TEST(test_read__interrupt_overtakes_the_request__eintr),
		TEST(test_read__many_interrupted_while_answered__each_has_one_answer),
		TEST(test_read__overwritten__old_bytes_or_estale_and_then_the_new_ones),
		TEST(test_read__deleted__estale),
		TEST(test_read__an_error__is_given_and_not_kept),
		TEST(test_stop__a_read_waits__all_is_freed),
		TEST(test_read__in_sequence__fetched_ahead),
		TEST(test_read__files_in_order__the_next_ones_are_fetched),
		cmocka_unit_test_setup_teardown(test_small_files__never_opened__read_by_node,
						small_setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_small_files__replaced_before_it_is_read__names_are_forgotten,
			small_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

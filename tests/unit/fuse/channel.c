/*
 * Tests of channel.h, with a test as the kernel.
 */
#include "fuse/channel.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fuse/kernel.h"

#define DIRECT_IO_ALLOW_MMAP (1u << 4)

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

static void test_start__init__says_what_libfuse_cannot(void **state)
{
	const struct fuse_init_out *out = &kernel.init;

	(void)state;
	assert_int_equal(out->major, 7);
	assert_true(out->flags & FUSE_INIT_EXT);
	assert_true(out->flags2 & DIRECT_IO_ALLOW_MMAP);
	assert_int_equal(out->max_pages, 256); /* 1 MiB */
	assert_true(out->max_write <= 4096);
	assert_int_equal(out->max_background, 64);
	assert_true(out->flags & FUSE_DO_READDIRPLUS);
	assert_true(out->flags & FUSE_PARALLEL_DIROPS);
	assert_false(out->flags & FUSE_EXPORT_SUPPORT);
	assert_false(out->flags & FUSE_AUTO_INVAL_DATA);
}

static void test_start__no_init__is_refused(void **state)
{
	struct backing *const backings[] = { &kernel.rig.fake.backing };
	struct fuse_in_header header = { .len = sizeof(header), .opcode = FUSE_STATFS };
	struct mount_setup setup;
	struct mount *mount;
	char problem[256] = "";
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(write(pair[0], &header, sizeof(header)), sizeof(header));
	setup = kernel_mount_setup(&kernel, backings, pair[1]);
	setup.kept = NULL;
	setup.board = NULL;
	assert_int_equal(mount_serve(&setup, &mount, problem, sizeof(problem)), -EPROTO);
	assert_non_null(strstr(problem, "INIT"));
	close(pair[0]);
}

static void test_ended__the_connection_closes__is_readable(void **state)
{
	struct pollfd ended = { .fd = mount_ended(kernel.mount), .events = POLLIN };

	(void)state;
	assert_int_equal(poll(&ended, 1, 0), 0);
	close(kernel.fd);
	kernel.fd = -1;
	assert_int_equal(poll(&ended, 1, 20000), 1);
}

static void test_refuse__new_requests__get_enotconn_and_handles_can_go(void **state)
{
	struct fuse_entry_out entry;
	uint64_t handle;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 10, "e");
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, entry.nodeid, &handle), 0);
	channel_refuse(kernel.mount->channel);
	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), -ENOTCONN);
	kernel_release(&kernel, FUSE_RELEASE, entry.nodeid, handle);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
}

static void test_unknown_operation__enosys(void **state)
{
	(void)state;
	assert_int_equal(kernel_ask(&kernel, FUSE_BMAP, 1, NULL, 0), -ENOSYS);
	assert_int_equal(kernel_ask(&kernel, 4000, 1, NULL, 0), -ENOSYS);
	assert_int_equal(kernel_ask(&kernel, FUSE_FLUSH, 1, NULL, 0), -ENOSYS);
}

static void test_stop__a_request_waits__is_answered_first(void **state)
{
	uint64_t unique;

	(void)state;
	fake_put(&kernel.rig.fake, "a", 10, "e");
	unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);
	assert_true(fake_wait(&kernel.rig.fake));
	mount_stop(kernel.mount, 0); /* out of time: but it still has its answer to come */
	fake_run_all(&kernel.rig.fake);
	while (kernel_receive(&kernel) != unique)
		;
	assert_int_equal(kernel.reply.header.error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_start__init__says_what_libfuse_cannot),
		TEST(test_start__no_init__is_refused),
		TEST(test_ended__the_connection_closes__is_readable),
		TEST(test_refuse__new_requests__get_enotconn_and_handles_can_go),
		TEST(test_unknown_operation__enosys),
		TEST(test_stop__a_request_waits__is_answered_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

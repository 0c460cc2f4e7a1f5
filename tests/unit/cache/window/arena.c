/*
 * Tests of window/arena.h.
 */
#include "cache/window/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB  (UINT64_C(1) << 20)
#define TAIL 8192

static void test_arena__of_a_length__is_that_long_and_writable(void **state)
{
	struct arena arena;
	struct stat st;

	(void)state;
	assert_int_equal(arena_init(&arena, 66 * MIB, false, TAIL), 0);
	assert_int_equal(arena.buddy.len, 64 * MIB);
	assert_int_equal(fstat(arena.fd, &st), 0);
	assert_int_equal(st.st_size, 66 * MIB); /* with the tail, in whole huge pages */
	memset(arena_at(&arena, 0), 1, 4096);
	memset(arena_at(&arena, 64 * MIB - 4096), 2, 4096);
	arena_fini(&arena);
}

static void test_arena__huge_pages_wanted__is_there_with_or_without(void **state)
{
	struct arena arena;

	(void)state;
	assert_int_equal(arena_init(&arena, 64 * MIB, true, TAIL), 0);
	memset(arena_at(&arena, 64 * MIB - 4096), 2, 4096);
	arena_fini(&arena);
}

static void test_arena__no_descriptor_left__fails(void **state)
{
	struct rlimit before, none = { 0 };
	struct arena arena;
	int error;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	error = arena_init(&arena, 64 * MIB, false, TAIL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, -EMFILE);
}

static void test_arena_init_over__what_another_had__is_all_there(void **state)
{
	struct arena before, arena;
	uint64_t off;
	int fd;

	(void)state;
	assert_int_equal(arena_init(&before, 64 * MIB, false, TAIL), 0);
	memset(arena_at(&before, MIB), 7, 4096);
	memset(arena_tail(&before), 8, TAIL);
	fd = dup(before.fd);
	arena_fini(&before);
	assert_int_equal(arena_init_over(&arena, 64 * MIB, false, TAIL, fd), 0);
	assert_int_equal(*(unsigned char *)arena_at(&arena, MIB + 4095), 7);
	assert_int_equal(*((unsigned char *)arena_tail(&arena) + TAIL - 1), 8);
	assert_int_equal(buddy_alloc(&arena.buddy, BUDDY_ORDER_MAX, &off), 0);
	assert_int_equal(off, 0);
	arena_fini(&arena);
	close(fd); /* it was borrowed */
}

static void test_arena_init_over__does_not_suit__fails(void **state)
{
	struct arena before, arena;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(arena_init(&before, 64 * MIB, false, TAIL), 0);
	assert_int_equal(arena_init_over(&arena, 60 * MIB, false, TAIL, before.fd), -EINVAL);
	assert_int_equal(arena_init_over(&arena, 64 * MIB, false, 3 * MIB, before.fd), -EINVAL);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(arena_init_over(&arena, 64 * MIB, false, TAIL, pipe_fds[0]), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	arena_fini(&before);
}

/* As direct I/O of a process that has died does: it has the pages, and no mapping of the memfd. */
static void test_arena_renew__pages_are_written_to_by_who_has_them__does_not_show(void **state)
{
	unsigned char wanted[4096] = { 0 }, late[4096];
	struct arena arena;
	struct iovec page;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(arena_init(&arena, 64 * MIB, false, TAIL), 0);
	memset(arena_at(&arena, MIB), 7, (size_t)3 * 4096);
	assert_int_equal(pipe(pipe_fds), 0);
	page = (struct iovec){ arena_at(&arena, MIB + 4096), 4096 };
	assert_int_equal(vmsplice(pipe_fds[1], &page, 1, 0), 4096); /* pins the page */
	assert_int_equal(arena_renew(&arena, MIB + 4096, 4096), 0);
	assert_memory_equal(arena_at(&arena, MIB + 4096), wanted, 4096);
	memset(arena_at(&arena, MIB + 4096), 9, 4096);
	assert_int_equal(read(pipe_fds[0], late, sizeof(late)), 4096);
	assert_int_equal(late[0], 7); /* it is another page now */
	assert_int_equal(*(unsigned char *)arena_at(&arena, MIB + 4095), 7);
	assert_int_equal(*(unsigned char *)arena_at(&arena, MIB + 8192), 7);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_init_over__what_another_had__is_all_there),
		cmocka_unit_test(test_arena_init_over__does_not_suit__fails),
		cmocka_unit_test(
			test_arena_renew__pages_are_written_to_by_who_has_them__does_not_show),
		cmocka_unit_test(test_arena__of_a_length__is_that_long_and_writable),
		cmocka_unit_test(test_arena__huge_pages_wanted__is_there_with_or_without),
		cmocka_unit_test(test_arena__no_descriptor_left__fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

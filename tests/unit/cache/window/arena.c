/*
 * Tests of window/arena.h.
 */
#include "cache/window/arena.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

static void test_arena__of_a_length__is_that_long_and_writable(void **state)
{
	struct arena arena;
	struct stat st;

	(void)state;
	assert_int_equal(arena_init(&arena, 66 * MIB, false), 0);
	assert_int_equal(arena.buddy.len, 64 * MIB);
	assert_int_equal(fstat(arena.fd, &st), 0);
	assert_int_equal(st.st_size, 64 * MIB);
	memset(arena_at(&arena, 0), 1, 4096);
	memset(arena_at(&arena, 64 * MIB - 4096), 2, 4096);
	arena_fini(&arena);
}

static void test_arena__huge_pages_wanted__is_there_with_or_without(void **state)
{
	struct arena arena;

	(void)state;
	assert_int_equal(arena_init(&arena, 64 * MIB, true), 0);
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
	error = arena_init(&arena, 64 * MIB, false);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, -EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena__of_a_length__is_that_long_and_writable),
		cmocka_unit_test(test_arena__huge_pages_wanted__is_there_with_or_without),
		cmocka_unit_test(test_arena__no_descriptor_left__fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * check.h - CHECK(): what cannot happen if our code is right. On in every build.
 *
 * A failed CHECK writes one line to stderr and aborts: going on would risk wrong bytes. What the
 * world can do (a full disk, a bad packet) is an error code, never a CHECK.
 */
#pragma once

#include <stddef.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			check_failed(#condition, __FILE__, __LINE__, __func__);                    \
	} while (0)

/* 0; does not compile on anything but an array. */
#define CHECK_IS_ARRAY(a)                                                                          \
	(0 * sizeof(struct {                                                                       \
		 _Static_assert(!__builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0])), \
				"not an array");                                                   \
		 int unused;                                                                       \
	 }))

/* An array's element count; does not compile on a pointer. */
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]) + CHECK_IS_ARRAY(a))

/* The struct that holds @member at @pointer. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/** check_failed() - reports the broken invariant and aborts the process. */
_Noreturn void check_failed(const char *condition, const char *file, int line,
			    const char *function);

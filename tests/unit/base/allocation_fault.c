/*
 * allocation_fault.c - the wrapped allocators, counting.
 */
#include "tests/unit/base/allocation_fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Atomic: code under test may have threads that allocate. */
static _Atomic unsigned left; /* allocations until the one that fails; 0: unarmed */
static _Atomic bool failed;

void allocation_fault_arm(unsigned nth)
{
	left = nth;
	failed = false;
}

bool allocation_fault_disarm(void)
{
	left = 0;
	return failed;
}

static bool fails(void)
{
	unsigned now = left;

	while (now > 0 && !atomic_compare_exchange_weak(&left, &now, now - 1))
		;
	if (now != 1)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
	if (fails() || __builtin_mul_overflow(count, size, &size))
		return NULL;
	return __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = fails() ? NULL : __real_malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list arguments;
	int len;

	if (fails())
		return -1;
	va_start(arguments, format);
	len = vasprintf(out, format, arguments);
	va_end(arguments);
	return len;
}

/*
 * buffer.h - memory to read from or into: page-aligned, in huge pages when there are any, touched
 * when it is given out, so that no measurement pays for a page fault.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *base;
	size_t len; /* as asked for */
	size_t mapped_len;
};

/** buffer_init() - @len bytes of zeros. Return: 0, -ENOMEM with @problem. */
int buffer_init(struct buffer *buffer, size_t len, char *problem, size_t problem_size);

/** buffer_fini() - may be called twice. */
void buffer_fini(struct buffer *buffer);

/*
 * buffer.c - mappings, populated before they are used: an allocation that the machine cannot hold
 * is an error here, not a kill later.
 */
#include "tools/bw/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "tools/terminal.h"

#define HUGE_LEN (2u << 20)

static void *map(size_t len, int flags)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* Free RAM, or what a container leaves of it, is the kernel's to judge: MADV_POPULATE_WRITE fails
   with ENOMEM only where nothing can be reclaimed. Before Linux 5.14 the first use will tell. */
static int populate(void *base, size_t len)
{
	if (madvise(base, len, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS) {
		memset(base, 0, len);
		return 0;
	}
	return -errno;
}

int buffer_init(struct buffer *buffer, size_t len, char *problem, size_t problem_size)
{
	size_t mapped_len = (len + HUGE_LEN - 1) / HUGE_LEN * HUGE_LEN;
	char needed[TERMINAL_TEXT_MAX];
	uint8_t *base = MAP_FAILED;
	int error = 0;

	if (len >= HUGE_LEN)
		base = map(mapped_len, MAP_HUGETLB | MAP_POPULATE);
	if (base == MAP_FAILED) {
		base = map(mapped_len, 0);
		if (base == MAP_FAILED)
			error = -errno;
		else
			(void)madvise(base, mapped_len, MADV_HUGEPAGE);
	}
	if (!error) {
		error = populate(base, mapped_len);
		if (error)
			munmap(base, mapped_len);
	}
	if (error) {
		snprintf(problem, problem_size, "no %s of memory: %s", text_bytes(len, needed),
			 error_text(error));
		return -ENOMEM;
	}
	buffer->base = base;
	buffer->len = len;
	buffer->mapped_len = mapped_len;
	return 0;
}

void buffer_fini(struct buffer *buffer)
{
	if (buffer->base)
		munmap(buffer->base, buffer->mapped_len);
	buffer->base = NULL;
	buffer->len = buffer->mapped_len = 0;
}

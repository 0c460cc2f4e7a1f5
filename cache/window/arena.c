/*
 * arena.c - the mapping. A memfd rather than anonymous memory, so that it can be handed to another
 * process whole. Pages come when they are first touched, by populate.h or by who needs them first;
 * a frame's pages stay when it is given back, since the next one takes them.
 */
#include "cache/window/arena.h"

#include <errno.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

#define HUGE_PAGE_FLAGS (MFD_HUGETLB | MFD_HUGE_2MB)

static int map(struct arena *arena, uint64_t len, unsigned flags)
{
	int fd = memfd_create("cenote-arena", MFD_CLOEXEC | flags);
	void *memory;
	int error;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) != 0)
		goto close_fd;
	/* Huge pages are reserved here, so that none is missing at a page fault (SIGBUS). */
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		goto close_fd;
	arena->memory = memory;
	arena->fd = fd;
	return 0;

close_fd:
	error = -errno;
	close(fd);
	return error;
}

int arena_init(struct arena *arena, uint64_t len, bool huge_pages)
{
	int error;

	len -= len % buddy_frame_len(BUDDY_ORDER_MAX);
	error = buddy_init(&arena->buddy, len);
	if (error)
		return error;
	error = huge_pages ? map(arena, len, HUGE_PAGE_FLAGS) : -ENOENT;
	if (error && huge_pages)
		log_warning("cache.memory",
			    "huge_pages=unavailable error=\"%s\" hint=\"raise vm.nr_hugepages to "
			    "%llu; going on with small pages\"",
			    error_text(error), (unsigned long long)(len >> 21));
	if (error)
		error = map(arena, len, 0);
	if (error) {
		buddy_fini(&arena->buddy);
		return error;
	}
	/* payload has no place in a core dump; both are wishes, not needs */
	(void)madvise(arena->memory, len, MADV_DONTDUMP);
	(void)madvise(arena->memory, len, MADV_HUGEPAGE);
	return 0;
}

void arena_fini(struct arena *arena)
{
	CHECK(munmap(arena->memory, arena->buddy.len) == 0);
	close(arena->fd);
	buddy_fini(&arena->buddy);
}

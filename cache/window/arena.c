/*
 * arena.c - the mapping. A memfd rather than anonymous memory, so that it can be handed to another
 * process whole. Pages come when they are first touched, by populate.h or by who needs them first;
 * a frame's pages stay when it is given back, since the next one takes them.
 */
#include "cache/window/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

#define HUGE_PAGE_FLAGS (MFD_HUGETLB | MFD_HUGE_2MB)
#define HUGE_PAGE_LEN	(UINT64_C(2) << 20)

uint64_t arena_payload_len(uint64_t len)
{
	return len - len % buddy_frame_len(BUDDY_ORDER_MAX);
}

/* The same with huge pages and without, so that the length alone does not tell them apart. */
static size_t mapped_len_of(uint64_t len, size_t tail_len)
{
	return (len + tail_len + HUGE_PAGE_LEN - 1) / HUGE_PAGE_LEN * HUGE_PAGE_LEN;
}

/* Takes @fd on success. */
static int map(struct arena *arena, int fd, size_t mapped_len, bool huge_pages)
{
	/* Huge pages are reserved here, so that none is missing at a page fault (SIGBUS). */
	void *memory = mmap(NULL, mapped_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	/* payload has no place in a core dump; both are wishes, not needs */
	(void)madvise(memory, mapped_len, MADV_DONTDUMP);
	(void)madvise(memory, mapped_len, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	arena->memory = memory;
	arena->mapped_len = mapped_len;
	arena->fd = fd;
	arena->renewable = !huge_pages;
	return 0;
}

static int map_new(struct arena *arena, size_t mapped_len, bool huge_pages, unsigned flags)
{
	int fd = memfd_create("cenote-arena", MFD_CLOEXEC | flags);
	int error;

	if (fd < 0)
		return -errno;
	error = ftruncate(fd, (off_t)mapped_len) == 0 ? 0 : -errno;
	if (!error)
		error = map(arena, fd, mapped_len, huge_pages);
	if (error)
		close(fd);
	return error;
}

int arena_init(struct arena *arena, uint64_t len, bool huge_pages, size_t tail_len)
{
	size_t mapped_len;
	int error;

	len = arena_payload_len(len);
	mapped_len = mapped_len_of(len, tail_len);
	error = buddy_init(&arena->buddy, len);
	if (error)
		return error;
	error = huge_pages ? map_new(arena, mapped_len, true, HUGE_PAGE_FLAGS) : -ENOENT;
	if (error && huge_pages)
		log_warning("cache.memory",
			    "huge_pages=unavailable error=\"%s\" hint=\"raise vm.nr_hugepages to "
			    "%llu; going on with small pages\"",
			    error_text(error), (unsigned long long)(mapped_len / HUGE_PAGE_LEN));
	if (error)
		error = map_new(arena, mapped_len, huge_pages, 0);
	if (error)
		buddy_fini(&arena->buddy);
	return error;
}

int arena_init_over(struct arena *arena, uint64_t len, bool huge_pages, size_t tail_len, int fd)
{
	size_t mapped_len;
	struct stat st;
	int error, own;

	len = arena_payload_len(len);
	mapped_len = mapped_len_of(len, tail_len);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != mapped_len)
		return -EINVAL;
	error = buddy_init(&arena->buddy, len);
	if (error)
		return error;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	error = own < 0 ? -errno : map(arena, own, mapped_len, huge_pages);
	if (!error)
		return 0;
	if (own >= 0)
		close(own);
	buddy_fini(&arena->buddy);
	return error;
}

void arena_fini(struct arena *arena)
{
	CHECK(munmap(arena->memory, arena->mapped_len) == 0);
	close(arena->fd);
	buddy_fini(&arena->buddy);
}

/* Whether no page is left there. The kernel leaves one that is a part of a larger one which
 * somebody has pinned: then it only clears it, and says nothing. */
static bool is_hole(const struct arena *arena, uint64_t off, uint64_t len)
{
	off_t data = lseek(arena->fd, (off_t)off, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data - off >= len;
}

int arena_renew(struct arena *arena, uint64_t off, uint64_t len)
{
	CHECK(off < arena->buddy.len && len <= arena->buddy.len - off);
	if (!arena->renewable)
		return -EOPNOTSUPP;
	if (fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		      (off_t)len) != 0)
		return -errno;
	return is_hole(arena, off, len) ? 0 : -EBUSY;
}

/*
 * files.c - the machine's file system behind struct files.
 */
#include "cache/store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_open(const struct files *files, int dirfd, const char *path, int flags)
{
	int fd = openat(dirfd, path, flags | O_CLOEXEC, 0600);

	(void)files;
	return fd < 0 ? -errno : fd;
}

static int system_write(const struct files *files, int fd, const void *data, uint32_t len,
			uint64_t off)
{
	const char *at = data;

	(void)files;
	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		off += (uint64_t)n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int system_truncate(const struct files *files, int fd, uint64_t size)
{
	(void)files;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

static int system_sync_data(const struct files *files, int fd)
{
	(void)files;
	return fdatasync(fd) ? -errno : 0;
}

static int system_sync_directory(const struct files *files, int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	(void)files;
	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		error = -errno;
	close(fd);
	return error;
}

static int system_sync_all(const struct files *files, int fd)
{
	(void)files;
	return syncfs(fd) ? -errno : 0;
}

static int system_punch(const struct files *files, int fd, uint64_t off, uint64_t len)
{
	int result;

	(void)files;
	do
		result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
				   (off_t)len);
	while (result != 0 && errno == EINTR);
	return result ? -errno : 0;
}

static int system_seal(const struct files *files, int fd)
{
	(void)files;
	return fchmod(fd, 0400) ? -errno : 0;
}

static int system_unlink(const struct files *files, int dirfd, const char *path)
{
	(void)files;
	return unlinkat(dirfd, path, 0) ? -errno : 0;
}

static int system_rename(const struct files *files, int dirfd, const char *from, const char *to)
{
	(void)files;
	return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

static int system_make_directory(const struct files *files, int dirfd, const char *path)
{
	(void)files;
	return mkdirat(dirfd, path, 0700) ? -errno : 0;
}

static int system_io(const struct files *files, const struct ring_op *op, int result)
{
	(void)files;
	(void)op;
	return result;
}

const struct files *files_system(void)
{
	static const struct files machine = {
		.open = system_open,
		.write = system_write,
		.truncate = system_truncate,
		.sync_data = system_sync_data,
		.sync_directory = system_sync_directory,
		.sync_all = system_sync_all,
		.punch = system_punch,
		.seal = system_seal,
		.unlink = system_unlink,
		.rename = system_rename,
		.make_directory = system_make_directory,
		.io = system_io,
	};

	return &machine;
}

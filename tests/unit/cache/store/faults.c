/*
 * faults.c - calls that fail on demand.
 */
#include "tests/unit/cache/store/faults.h"

#include <stddef.h>

#include "cache/store/ring.h"

/* 0, or the error that this call shall give. */
static int fault(const struct files *files, enum fault_call call)
{
	struct faults *faults = files->context;
	int armed = atomic_load(&faults->call);

	if (armed != (int)call && (armed != FAULT_ANY || call >= FAULT_IO_READ))
		return 0;
	if (atomic_fetch_sub(&faults->after, 1) > 0)
		return 0;
	if (atomic_fetch_sub(&faults->times, 1) <= 0)
		return 0;
	atomic_fetch_add(&faults->failed, 1);
	return atomic_load(&faults->error);
}

static int fault_open(const struct files *files, int dirfd, const char *path, int flags)
{
	int error = fault(files, FAULT_OPEN);

	return error ? error : files_system()->open(files, dirfd, path, flags);
}

static int fault_write(const struct files *files, int fd, const void *data, uint32_t len,
		       uint64_t off)
{
	int error = fault(files, FAULT_WRITE);

	return error ? error : files_system()->write(files, fd, data, len, off);
}

static int fault_truncate(const struct files *files, int fd, uint64_t size)
{
	int error = fault(files, FAULT_TRUNCATE);

	return error ? error : files_system()->truncate(files, fd, size);
}

static int fault_punch(const struct files *files, int fd, uint64_t off, uint64_t len)
{
	int error = fault(files, FAULT_PUNCH);

	return error ? error : files_system()->punch(files, fd, off, len);
}

static int fault_seal(const struct files *files, int fd)
{
	int error = fault(files, FAULT_SEAL);

	return error ? error : files_system()->seal(files, fd);
}

static int fault_sync_data(const struct files *files, int fd)
{
	int error = fault(files, FAULT_SYNC);

	return error ? error : files_system()->sync_data(files, fd);
}

static int fault_sync_directory(const struct files *files, int dirfd, const char *path)
{
	int error = fault(files, FAULT_SYNC);

	return error ? error : files_system()->sync_directory(files, dirfd, path);
}

static int fault_sync_all(const struct files *files, int fd)
{
	int error = fault(files, FAULT_SYNC);

	return error ? error : files_system()->sync_all(files, fd);
}

static int fault_unlink(const struct files *files, int dirfd, const char *path)
{
	int error = fault(files, FAULT_UNLINK);

	return error ? error : files_system()->unlink(files, dirfd, path);
}

static int fault_rename(const struct files *files, int dirfd, const char *from, const char *to)
{
	int error = fault(files, FAULT_RENAME);

	return error ? error : files_system()->rename(files, dirfd, from, to);
}

static int fault_make_directory(const struct files *files, int dirfd, const char *path)
{
	int error = fault(files, FAULT_MAKE_DIRECTORY);

	return error ? error : files_system()->make_directory(files, dirfd, path);
}

static int fault_io(const struct files *files, const struct ring_op *op, int result)
{
	int error = 0;

	if (op->kind == RING_READ)
		error = fault(files, FAULT_IO_READ);
	else if (op->kind == RING_WRITE)
		error = fault(files, FAULT_IO_WRITE);
	return error ? error : result;
}

void faults_init(struct faults *faults)
{
	*faults = (struct faults){
		.files = {
			.open = fault_open,
			.write = fault_write,
			.truncate = fault_truncate,
			.punch = fault_punch,
			.seal = fault_seal,
			.sync_data = fault_sync_data,
			.sync_directory = fault_sync_directory,
			.sync_all = fault_sync_all,
			.unlink = fault_unlink,
			.rename = fault_rename,
			.make_directory = fault_make_directory,
			.io = fault_io,
			.context = faults,
		},
	};
}

void faults_set(struct faults *faults, enum fault_call call, int error, int after, int times)
{
	atomic_store(&faults->call, FAULT_NONE);
	atomic_store(&faults->error, error);
	atomic_store(&faults->after, after);
	atomic_store(&faults->times, times);
	atomic_store(&faults->failed, 0);
	atomic_store(&faults->call, (int)call);
}

/*
 * recorder.c - a log of operations, and its replay up to a point.
 */
#include "tests/unit/cache/store/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "cache/store/ring.h"

#define FDS_MAX	   4096
#define PATH_LEN   64
#define SECTOR_LEN 512

enum kind {
	MAKE_DIRECTORY,
	CREATE,
	WRITE,
	TRUNCATE,
	PUNCH,
	UNLINK,
	RENAME,
	SYNC_DATA,	/* of a file: what it covers is safe */
	SYNC_DIRECTORY, /* names in a folder */
	SYNC_ALL,
	INDEX, /* LMDB committed: its whole file */
};

struct operation {
	enum kind kind;
	char path[PATH_LEN];
	char to[PATH_LEN]; /* RENAME */
	uint64_t off;	   /* WRITE, PUNCH; TRUNCATE: the size */
	size_t len;
	uint8_t *data;
	unsigned covers; /* SYNC: operations that were done when it began */
};

struct recorder {
	struct files files;
	char root[256];
	pthread_mutex_t lock;
	struct operation *operations;
	unsigned count, size;
	char paths[FDS_MAX][PATH_LEN]; /* by descriptor */
};

static struct recorder *recorder_of(const struct files *files)
{
	return files->context;
}

unsigned recorder_count(struct recorder *recorder)
{
	unsigned count;

	pthread_mutex_lock(&recorder->lock);
	count = recorder->count;
	pthread_mutex_unlock(&recorder->lock);
	return count;
}

unsigned recorder_punches(struct recorder *recorder)
{
	unsigned punches = 0;

	pthread_mutex_lock(&recorder->lock);
	for (unsigned i = 0; i < recorder->count; i++)
		punches += recorder->operations[i].kind == PUNCH;
	pthread_mutex_unlock(&recorder->lock);
	return punches;
}

static struct operation *append_locked(struct recorder *recorder, enum kind kind, const char *path)
{
	struct operation *operation;

	if (recorder->count == recorder->size) {
		recorder->size = recorder->size ? recorder->size * 2 : 256;
		recorder->operations = realloc(recorder->operations,
					       recorder->size * sizeof(*recorder->operations));
		CHECK(recorder->operations);
	}
	operation = &recorder->operations[recorder->count++];
	memset(operation, 0, sizeof(*operation));
	operation->kind = kind;
	snprintf(operation->path, sizeof(operation->path), "%s", path);
	return operation;
}

static void append(struct recorder *recorder, enum kind kind, const char *path, const char *to,
		   unsigned covers)
{
	struct operation *operation;

	pthread_mutex_lock(&recorder->lock);
	operation = append_locked(recorder, kind, path);
	snprintf(operation->to, sizeof(operation->to), "%s", to);
	operation->covers = covers;
	pthread_mutex_unlock(&recorder->lock);
}

static void append_data(struct recorder *recorder, enum kind kind, const char *path, uint64_t off,
			const void *data, size_t len)
{
	struct operation *operation;
	uint8_t *copy = malloc(len ? len : 1);

	CHECK(copy);
	if (len)
		memcpy(copy, data, len);
	pthread_mutex_lock(&recorder->lock);
	operation = append_locked(recorder, kind, path);
	operation->off = off;
	operation->data = copy;
	operation->len = len;
	pthread_mutex_unlock(&recorder->lock);
}

/* --- recording --- */

static int record_open(const struct files *files, int dirfd, const char *path, int flags)
{
	struct recorder *recorder = recorder_of(files);
	struct stat st;
	bool there = fstatat(dirfd, path, &st, 0) == 0;
	int fd = files_system()->open(files, dirfd, path, flags);

	if (fd < 0)
		return fd;
	CHECK(fd < FDS_MAX);
	pthread_mutex_lock(&recorder->lock);
	snprintf(recorder->paths[fd], PATH_LEN, "%s", path);
	if (!there)
		append_locked(recorder, CREATE, path);
	else if (flags & O_TRUNC)
		append_locked(recorder, TRUNCATE, path);
	pthread_mutex_unlock(&recorder->lock);
	return fd;
}

static int record_write(const struct files *files, int fd, const void *data, uint32_t len,
			uint64_t off)
{
	struct recorder *recorder = recorder_of(files);
	int error = files_system()->write(files, fd, data, len, off);

	if (!error)
		append_data(recorder, WRITE, recorder->paths[fd], off, data, len);
	return error;
}

static int record_truncate(const struct files *files, int fd, uint64_t size)
{
	struct recorder *recorder = recorder_of(files);
	int error = files_system()->truncate(files, fd, size);

	if (!error)
		append_data(recorder, TRUNCATE, recorder->paths[fd], size, NULL, 0);
	return error;
}

static int record_punch(const struct files *files, int fd, uint64_t off, uint64_t len)
{
	struct recorder *recorder = recorder_of(files);
	int error = files_system()->punch(files, fd, off, len);

	struct operation *operation;

	if (error)
		return error;
	pthread_mutex_lock(&recorder->lock);
	operation = append_locked(recorder, PUNCH, recorder->paths[fd]);
	operation->off = off;
	operation->len = len;
	pthread_mutex_unlock(&recorder->lock);
	return 0;
}

/* Not written down: it is not synced, and what is found after a cut is a new file. */
static int record_seal(const struct files *files, int fd)
{
	return files_system()->seal(files, fd);
}

static int record_sync_data(const struct files *files, int fd)
{
	struct recorder *recorder = recorder_of(files);
	unsigned covers = recorder_count(recorder);
	int error = files_system()->sync_data(files, fd);

	if (!error)
		append(recorder, SYNC_DATA, recorder->paths[fd], "", covers);
	return error;
}

static int record_sync_directory(const struct files *files, int dirfd, const char *path)
{
	unsigned covers = recorder_count(recorder_of(files));
	int error = files_system()->sync_directory(files, dirfd, path);

	if (!error)
		append(recorder_of(files), SYNC_DIRECTORY, path, "", covers);
	return error;
}

static int record_sync_all(const struct files *files, int fd)
{
	unsigned covers = recorder_count(recorder_of(files));
	int error = files_system()->sync_all(files, fd);

	if (!error)
		append(recorder_of(files), SYNC_ALL, "", "", covers);
	return error;
}

static int record_unlink(const struct files *files, int dirfd, const char *path)
{
	int error = files_system()->unlink(files, dirfd, path);

	if (!error)
		append(recorder_of(files), UNLINK, path, "", 0);
	return error;
}

static int record_rename(const struct files *files, int dirfd, const char *from, const char *to)
{
	int error = files_system()->rename(files, dirfd, from, to);

	if (!error)
		append(recorder_of(files), RENAME, from, to, 0);
	return error;
}

static int record_make_directory(const struct files *files, int dirfd, const char *path)
{
	int error = files_system()->make_directory(files, dirfd, path);

	/* The directory itself is made by the replay. */
	if (!error && dirfd != AT_FDCWD)
		append(recorder_of(files), MAKE_DIRECTORY, path, "", 0);
	return error;
}

static int record_io(const struct files *files, const struct ring_op *op, int result)
{
	struct recorder *recorder = recorder_of(files);

	if (op->kind == RING_WRITE && result > 0)
		append_data(recorder, WRITE, recorder->paths[op->fd], op->off, op->data,
			    (size_t)result);
	return result;
}

static void record_commit(const struct files *files, const char *index_path)
{
	char path[512];
	uint8_t *data;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/data.mdb", index_path);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	data = malloc((size_t)st.st_size);
	CHECK(data && pread(fd, data, (size_t)st.st_size, 0) == st.st_size);
	close(fd);
	append_data(recorder_of(files), INDEX, "index/data.mdb", 0, data, (size_t)st.st_size);
	free(data);
}

struct recorder *recorder_make(const char *root)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	CHECK(recorder);
	pthread_mutex_init(&recorder->lock, NULL);
	snprintf(recorder->root, sizeof(recorder->root), "%s", root);
	recorder->files = (struct files){
		.open = record_open,
		.write = record_write,
		.truncate = record_truncate,
		.punch = record_punch,
		.seal = record_seal,
		.sync_data = record_sync_data,
		.sync_directory = record_sync_directory,
		.sync_all = record_sync_all,
		.unlink = record_unlink,
		.rename = record_rename,
		.make_directory = record_make_directory,
		.io = record_io,
		.committed = record_commit,
		.context = recorder,
	};
	return recorder;
}

void recorder_free(struct recorder *recorder)
{
	for (unsigned i = 0; i < recorder->count; i++)
		free(recorder->operations[i].data);
	free(recorder->operations);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}

const struct files *recorder_files(struct recorder *recorder)
{
	return &recorder->files;
}

/* --- replay --- */

static void folder_of(const char *path, char out[PATH_LEN])
{
	const char *slash = strrchr(path, '/');

	snprintf(out, PATH_LEN, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static bool is_name(enum kind kind)
{
	return kind == MAKE_DIRECTORY || kind == CREATE || kind == UNLINK || kind == RENAME;
}

static bool covers(const struct operation *sync, unsigned at, const struct operation *operation)
{
	char folder[PATH_LEN];

	if (at >= sync->covers)
		return false;
	switch (sync->kind) {
	case SYNC_ALL:
		return true;
	case SYNC_DATA:
		return !is_name(operation->kind) && strcmp(sync->path, operation->path) == 0;
	case SYNC_DIRECTORY:
		folder_of(operation->path, folder);
		return is_name(operation->kind) && strcmp(sync->path, folder) == 0;
	default:
		return false;
	}
}

/* Whether a sync among the first @count makes operation @at safe. */
static bool is_safe(const struct recorder *recorder, unsigned at, unsigned count)
{
	for (unsigned i = at + 1; i < count; i++) {
		if (covers(&recorder->operations[i], at, &recorder->operations[at]))
			return true;
	}
	return false;
}

static void write_part(int fd, const struct operation *operation, struct random *random)
{
	for (size_t done = 0; done < operation->len; done += SECTOR_LEN) {
		size_t len = operation->len - done;

		if (len > SECTOR_LEN)
			len = SECTOR_LEN;
		if (!random || random_below(random, 2))
			CHECK(pwrite(fd, operation->data + done, len,
				     (off_t)(operation->off + done)) == (ssize_t)len);
	}
}

/* A file whose name was lost takes no data. */
static void apply_data(int root, const struct operation *operation, struct random *random)
{
	int fd = openat(root, operation->path, O_WRONLY);

	if (fd < 0)
		return;
	if (operation->kind == TRUNCATE)
		CHECK(ftruncate(fd, (off_t)operation->off) == 0);
	else if (operation->kind == PUNCH)
		CHECK(files_system()->punch(NULL, fd, operation->off, operation->len) == 0);
	else
		write_part(fd, operation, random);
	close(fd);
}

static void apply_index(int root, const struct operation *operation)
{
	int fd = openat(root, operation->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return;
	CHECK(pwrite(fd, operation->data, operation->len, 0) == (ssize_t)operation->len);
	close(fd);
}

static void apply(int root, const struct operation *operation, struct random *random)
{
	switch (operation->kind) {
	case MAKE_DIRECTORY:
		(void)!mkdirat(root, operation->path, 0700);
		break;
	case CREATE: {
		int fd = openat(root, operation->path, O_WRONLY | O_CREAT, 0600);

		if (fd >= 0)
			close(fd);
		break;
	}
	case UNLINK:
		(void)!unlinkat(root, operation->path, 0);
		break;
	case RENAME:
		(void)!renameat(root, operation->path, root, operation->to);
		break;
	case WRITE:
	case TRUNCATE:
	case PUNCH:
		apply_data(root, operation, random);
		break;
	default:
		break;
	}
}

/* Only the last commit of the index matters. */
static void apply_last_index(const struct recorder *recorder, unsigned count, int root)
{
	for (unsigned i = count; i-- > 0;) {
		if (recorder->operations[i].kind == INDEX) {
			apply_index(root, &recorder->operations[i]);
			return;
		}
	}
}

void recorder_cut(struct recorder *recorder, unsigned count, uint64_t seed, const char *path)
{
	struct random random;
	int root;

	random_init(&random, seed);
	CHECK(mkdir(path, 0700) == 0);
	root = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(root >= 0);
	for (unsigned i = 0; i < count; i++) {
		const struct operation *operation = &recorder->operations[i];
		unsigned luck = (unsigned)random_below(&random, 3);

		if (is_safe(recorder, i, count) || luck == 1)
			apply(root, operation, NULL);
		else if (luck == 2 && operation->kind == WRITE)
			apply(root, operation, &random);
	}
	apply_last_index(recorder, count, root);
	close(root);
}

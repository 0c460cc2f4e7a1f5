/*
 * kinds.c - what is read is verified by call_read() and call_touch(), and what failed is written
 * down there: here it only ends the piece of work.
 */
#include "tests/integration/readers/kinds.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#define RANDOM_READS 48
#define MAP_TOUCHES  24
#define CROWD	     24
#define HELD	     6
#define HELD_ROUNDS  400
#define LIST_LEN     2048 /* small, so that a long directory takes many calls */
#define STATS	     32

/* A place in @file and a length there, at most @len_max. @out_len is 0 for an empty file. */
static void place_pick(struct reader *reader, const struct dataset_file *file, size_t len_max,
		       uint64_t *out_off, size_t *out_len)
{
	uint64_t left;

	*out_off = reader_random(reader, file->size);
	left = file->size - *out_off;
	*out_len = 1 + (size_t)reader_random(reader, len_max);
	if (*out_len > left)
		*out_len = (size_t)left;
}

/* A file, where half of the time the kernel has no page of it that is not mapped. */
static int open_picked(struct reader *reader, const struct dataset_file **out_file)
{
	int fd;

	*out_file = reader_pick(reader);
	fd = call_open(reader, (*out_file)->path, 0);
	if (fd >= 0 && reader_random(reader, 2))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

static void sequential(struct reader *reader, void *buffer)
{
	const struct dataset_file *file;
	int fd = open_picked(reader, &file);
	size_t len = (size_t)4096 << reader_random(reader, 9);
	uint64_t off = 0;
	long got;

	if (fd < 0)
		return;
	do {
		got = call_read(reader, fd, file, buffer, len, off);
		off += got > 0 ? (uint64_t)got : 0;
	} while (got > 0 && reader_goes_on(reader));
	call_close(reader, fd, file->path);
}

static void scattered(struct reader *reader, void *buffer)
{
	const struct dataset_file *file;
	int fd = open_picked(reader, &file);
	uint64_t off;
	size_t len;

	if (fd < 0)
		return;
	for (unsigned i = 0; i < RANDOM_READS && reader_goes_on(reader); i++) {
		place_pick(reader, file, 256 << 10, &off, &len);
		if (call_read(reader, fd, file, buffer, len, off) < 0)
			break;
	}
	call_close(reader, fd, file->path);
}

/* The next access of @map asks the file system again, unless another mapping has the page. */
static void map_forget(int fd, void *map, const struct dataset_file *file)
{
	madvise(map, file->size, MADV_DONTNEED);
	if (fd >= 0)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void mapped(struct reader *reader, int flags)
{
	const struct dataset_file *file = reader_pick(reader);
	int fd = call_open(reader, file->path, 0);
	uint64_t off;
	size_t len;
	void *map;

	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	map = file->size ? call_map(reader, fd, file, flags) : NULL;
	call_close(reader, fd, file->path); /* a mapping outlives its handle */
	if (!map)
		return;
	for (unsigned i = 0; i < MAP_TOUCHES && reader_goes_on(reader); i++) {
		place_pick(reader, file, 128 << 10, &off, &len);
		if (!call_touch(reader, map, file, len, off))
			break;
	}
	munmap(map, file->size);
}

static void map_private(struct reader *reader, void *buffer)
{
	(void)buffer;
	mapped(reader, MAP_PRIVATE);
}

static void map_shared(struct reader *reader, void *buffer)
{
	(void)buffer;
	mapped(reader, MAP_SHARED);
}

/* As the kernel gives them: <dirent.h> of glibc is the same but for its name. */
static void names_count(const char *buffer, long len, uint64_t *count, uint64_t *sum)
{
	for (long at = 0; at < len;) {
		const struct dirent64 *entry = (const void *)(buffer + at);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			*count += 1;
			*sum += dataset_name_hash(entry->d_name);
		}
		at += entry->d_reclen;
	}
}

static void list(struct reader *reader, void *buffer)
{
	const struct dataset *dataset = reader->dataset;
	const struct dataset_directory *directory =
		&dataset->directories[reader_random(reader, dataset->directory_count)];
	int fd = call_open(reader, directory->path, O_DIRECTORY);
	uint64_t count = 0, sum = 0;
	long got;

	if (fd < 0)
		return;
	do {
		got = call_list(reader, fd, directory->path, buffer, LIST_LEN);
		if (got > 0)
			names_count(buffer, got, &count, &sum);
	} while (got > 0);
	if (got == 0 && (count != directory->count || sum != directory->sum))
		reader_trouble(reader, CALL_LIST, directory->path,
			       "%" PRIu64 " names in place of %" PRIu64 ", or others", count,
			       directory->count);
	call_close(reader, fd, directory->path);
}

static void check_stat(struct reader *reader, enum call call, const struct dataset_file *file,
		       const struct stat *found)
{
	if (!S_ISREG(found->st_mode) || (uint64_t)found->st_size != file->size)
		reader_trouble(reader, call, file->path, "mode %o, %lld bytes in place of %" PRIu64,
			       found->st_mode, (long long)found->st_size, file->size);
}

static void attributes(struct reader *reader, void *buffer)
{
	char absent[64];

	(void)buffer;
	for (unsigned i = 0; i < STATS && reader_goes_on(reader); i++) {
		const struct dataset_file *file = reader_pick(reader);
		struct stat found;

		if (call_stat(reader, file->path, &found) == 0)
			check_stat(reader, CALL_STAT, file, &found);
	}
	snprintf(absent, sizeof(absent), "absent-%" PRIu64, reader_random(reader, UINT64_MAX));
	call_absent(reader, absent);
}

static void crowd(struct reader *reader, void *buffer)
{
	const struct dataset_file *files[CROWD];
	struct stat found;
	int fds[CROWD];

	for (unsigned i = 0; i < CROWD; i++) {
		files[i] = reader_pick(reader);
		fds[i] = call_open(reader, files[i]->path, 0);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		if (fds[i] < 0)
			continue;
		if (call_fstat(reader, fds[i], files[i]->path, &found) == 0)
			check_stat(reader, CALL_FSTAT, files[i], &found);
		if (reader_random(reader, 2))
			call_read(reader, fds[i], files[i], buffer, 4096, 0);
		call_close(reader, fds[i], files[i]->path);
	}
}

struct held {
	const struct dataset_file *file;
	void *map; /* NULL: none */
	int fd;
};

static void held_use(struct reader *reader, struct held *held, void *buffer)
{
	uint64_t off;
	size_t len;

	place_pick(reader, held->file, 64 << 10, &off, &len);
	call_read(reader, held->fd, held->file, buffer, len, off);
	if (!held->map || len == 0)
		return;
	map_forget(held->fd, held->map, held->file);
	call_touch(reader, held->map, held->file, len, off);
}

/* Handles and mappings that are older than several of the daemon's lives. */
static void hold(struct reader *reader, void *buffer)
{
	struct held held[HELD];

	for (unsigned i = 0; i < HELD; i++) {
		held[i] = (struct held){ .file = reader_pick(reader) };
		held[i].fd = call_open(reader, held[i].file->path, 0);
		if (held[i].fd >= 0 && held[i].file->size > 0)
			held[i].map = call_map(reader, held[i].fd, held[i].file,
					       i % 2 ? MAP_SHARED : MAP_PRIVATE);
	}
	for (unsigned i = 0; i < HELD_ROUNDS && reader_goes_on(reader); i++) {
		struct held *each = &held[reader_random(reader, HELD)];

		if (each->fd >= 0)
			held_use(reader, each, buffer);
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i].map)
			munmap(held[i].map, held[i].file->size);
		if (held[i].fd >= 0)
			call_close(reader, held[i].fd, held[i].file->path);
	}
}

const struct kind kinds[] = {
	{ "sequential", sequential }, { "random", scattered }, { "private", map_private },
	{ "shared", map_shared },     { "list", list },	       { "stat", attributes },
	{ "crowd", crowd },	      { "hold", hold },
};
const unsigned kind_count = ARRAY_COUNT(kinds);

const struct kind *kind_find(const char *name)
{
	for (unsigned i = 0; i < kind_count; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

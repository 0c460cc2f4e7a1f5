/*
 * reader.c - the reader of the benchmarks, the same for every file system under test: it opens,
 * reads and counts, so that what is measured is the file system.
 *
 *	reader read FILE               the whole file in 1 MiB reads
 *	reader random FILE COUNT LEN   COUNT reads of LEN bytes at random multiples of LEN
 *	reader tree DIRECTORY          every file below it, in the order of the directories
 *	reader crowd COUNT FILE...     COUNT threads, each with the file open and all files open at
 *	                               once before the first read; threads of one file share it
 *
 * Prints one line of JSON: files, bytes, seconds, and a fingerprint of one word in each 4 KiB, so
 * that a fast answer is known to be the right one at a negligible price. Exit status 1 on errors.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_LEN     (1u << 20)
#define STRIDE	     4096
#define STACK_LEN    (64u << 10)
#define THREADS_MAX  100000u
#define CROWD_BUFFER (128u << 10)

struct result {
	uint64_t files, bytes, fingerprint;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "reader: %s: %s\n", what, strerror(error));
	exit(1);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The sum does not depend on the order in which files or parts are read. */
static uint64_t fingerprint(const char *bytes, size_t len, uint64_t off)
{
	uint64_t sum = 0, word;

	for (size_t at = 0; at + sizeof(word) <= len; at += STRIDE) {
		memcpy(&word, bytes + at, sizeof(word));
		sum += word * (off + at + 1);
	}
	return sum;
}

/* Reads [off, end) of an open file, or to its end. */
static void read_range(const char *path, int fd, uint64_t off, uint64_t end, char *buffer,
		       size_t buffer_len, struct result *result)
{
	while (off < end) {
		size_t want = end - off < buffer_len ? end - off : buffer_len;
		ssize_t got = pread(fd, buffer, want, (off_t)off);

		if (got < 0)
			die(path, errno);
		if (got == 0)
			break;
		result->bytes += (size_t)got;
		result->fingerprint += fingerprint(buffer, (size_t)got, off);
		off += (size_t)got;
	}
}

static void read_file(const char *path, char *buffer, struct result *result)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path, errno);
	read_range(path, fd, 0, UINT64_MAX, buffer, READ_LEN, result);
	close(fd);
	result->files++;
}

static char *buffer_create(size_t len)
{
	void *buffer = NULL;
	int error = posix_memalign(&buffer, STRIDE, len);

	if (error)
		die("buffer", error);
	memset(buffer, 0, len); /* its page faults are not the file system's */
	return buffer;
}

static void run_read(const char *path, struct result *result)
{
	char *buffer = buffer_create(READ_LEN);

	read_file(path, buffer, result);
	free(buffer);
}

/* splitmix64: the same offsets for everyone. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void run_random(const char *path, uint64_t count, uint64_t len, struct result *result)
{
	char *buffer = buffer_create(len);
	uint64_t state = 1, places;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status))
		die(path, errno);
	places = (uint64_t)status.st_size / len;
	if (places == 0)
		die("file too small", ERANGE);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t off = random_next(&state) % places * len;

		read_range(path, fd, off, off + len, buffer, len, result);
	}
	close(fd);
	result->files = 1;
	free(buffer);
}

/* As a loader does: what a listing names is opened without being stat'ed first, so only an entry
 * without a type is asked for it. */
static int is_directory(int parent, const struct dirent *entry)
{
	struct stat status;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return !fstatat(parent, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) &&
	       S_ISDIR(status.st_mode);
}

static void read_tree(const char *path, char *buffer, struct result *result)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	char below[PATH_MAX];

	if (!directory)
		die(path, errno);
	while ((errno = 0, entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (is_directory(dirfd(directory), entry))
			read_tree(below, buffer, result);
		else
			read_file(below, buffer, result);
	}
	if (errno)
		die(path, errno);
	closedir(directory);
}

static void run_tree(const char *path, struct result *result)
{
	char *buffer = buffer_create(READ_LEN);

	read_tree(path, buffer, result);
	free(buffer);
}

struct crowd {
	pthread_barrier_t all_open;
	unsigned count;
	unsigned path_count;
	char **paths;
};

struct member {
	pthread_t thread;
	struct crowd *crowd;
	unsigned index;
	struct result result;
};

/* Member i has the file i % path_count, and of it the part i / path_count. */
static void *member_main(void *argument)
{
	struct member *member = argument;
	const struct crowd *crowd = member->crowd;
	const char *path = crowd->paths[member->index % crowd->path_count];
	uint64_t shares = crowd->count / crowd->path_count;
	uint64_t share = member->index / crowd->path_count;
	struct stat status;
	char *buffer;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status))
		die(path, errno);
	pthread_barrier_wait(&member->crowd->all_open);
	buffer = malloc(CROWD_BUFFER);
	if (!buffer)
		die("buffer", ENOMEM);
	if (share < shares) {
		uint64_t part = ((uint64_t)status.st_size / shares + STRIDE) & ~(STRIDE - 1ull);

		read_range(path, fd, share * part, (share + 1) * part, buffer, CROWD_BUFFER,
			   &member->result);
	}
	free(buffer);
	close(fd);
	member->result.files = 1;
	return NULL;
}

static void run_crowd(unsigned count, char **paths, unsigned path_count, struct result *result)
{
	struct rlimit descriptors = { count + 64, count + 64 };
	struct crowd crowd = { .count = count, .paths = paths, .path_count = path_count };
	struct member *members = calloc(count, sizeof(*members));
	pthread_attr_t attributes;

	if (!members)
		die("crowd", ENOMEM);
	if (setrlimit(RLIMIT_NOFILE, &descriptors))
		die("open files", errno);
	pthread_barrier_init(&crowd.all_open, NULL, count);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_LEN);
	for (unsigned i = 0; i < count; i++) {
		int error;

		members[i].crowd = &crowd;
		members[i].index = i;
		error = pthread_create(&members[i].thread, &attributes, member_main, &members[i]);
		if (error)
			die("thread", error);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(members[i].thread, NULL);
		result->files += members[i].result.files;
		result->bytes += members[i].result.bytes;
		result->fingerprint += members[i].result.fingerprint;
	}
	pthread_attr_destroy(&attributes);
	pthread_barrier_destroy(&crowd.all_open);
	free(members);
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value == 0 || value > max)
		die(text, EINVAL);
	return value;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	struct result result = { 0 };
	double start = now_s();

	if (!strcmp(mode, "read") && argc == 3) {
		run_read(argv[2], &result);
	} else if (!strcmp(mode, "random") && argc == 5) {
		run_random(argv[2], number(argv[3], UINT32_MAX), number(argv[4], READ_LEN),
			   &result);
	} else if (!strcmp(mode, "tree") && argc == 3) {
		run_tree(argv[2], &result);
	} else if (!strcmp(mode, "crowd") && argc > 3) {
		run_crowd((unsigned)number(argv[2], THREADS_MAX), argv + 3, (unsigned)argc - 3,
			  &result);
	} else {
		fprintf(stderr, "usage: reader read FILE | random FILE COUNT LEN | tree DIRECTORY"
				" | crowd COUNT FILE...\n");
		return 2;
	}
	printf("{\"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f,"
	       " \"fingerprint\": \"%016" PRIx64 "\"}\n",
	       result.files, result.bytes, now_s() - start, result.fingerprint);
	return 0;
}

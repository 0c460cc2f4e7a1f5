/*
 * calls.c - calls are timed between begin() and end(); what has begun and not ended is seen by the
 * main thread, which tells what hangs.
 */
#include "tests/integration/readers/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

const char *const call_names[CALL_COUNT] = {
	[CALL_OPEN] = "open",	[CALL_READ] = "read",	    [CALL_CLOSE] = "close",
	[CALL_STAT] = "stat",	[CALL_FSTAT] = "fstat",	    [CALL_MAP] = "mmap",
	[CALL_TOUCH] = "touch", [CALL_OPENDIR] = "opendir", [CALL_LIST] = "getdents",
};

/* Where this thread goes on when a mapping cannot be read; NULL: it reads none. */
static _Thread_local sigjmp_buf *on_bus_error;

int reader_init(struct reader *reader)
{
	reader->slow = calloc(CALL_SLOW_MAX, sizeof(*reader->slow));
	return reader->slow ? 0 : -ENOMEM;
}

void reader_fini(struct reader *reader)
{
	free(reader->slow);
	reader->slow = NULL;
}

bool reader_goes_on(const struct reader *reader)
{
	return !atomic_load(reader->stopping) && reader->trouble_count < TROUBLE_MAX;
}

/* splitmix64: the same choices for the same seed. */
uint64_t reader_random(struct reader *reader, uint64_t below)
{
	uint64_t z = (reader->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return below ? (z ^ (z >> 31)) % below : 0;
}

const struct dataset_file *reader_pick(struct reader *reader)
{
	return &reader->dataset->files[reader_random(reader, reader->dataset->file_count)];
}

static uint64_t now_ns(void)
{
	return clock_now_ns(clock_system());
}

static uint64_t begin(struct reader *reader, enum call call)
{
	uint64_t now = now_ns();

	atomic_store(&reader->under_way, call);
	atomic_store(&reader->since_ns, now);
	return now;
}

/* Return: how long it took. */
static uint64_t end(struct reader *reader, enum call call, uint64_t start_ns)
{
	uint64_t took = now_ns() - start_ns;

	atomic_store(&reader->since_ns, 0);
	atomic_fetch_add(&reader->made, 1);
	histogram_record(&reader->latency[call], took);
	if (took < CALL_SLOW_NS)
		return took;
	if (reader->slow_count == CALL_SLOW_MAX)
		reader->slow_dropped++;
	else
		reader->slow[reader->slow_count++] = (struct slow_call){ start_ns, took, call };
	return took;
}

static struct trouble *trouble_next(struct reader *reader)
{
	if (reader->trouble_count == TROUBLE_MAX)
		return &reader->trouble[TROUBLE_MAX - 1];
	return &reader->trouble[reader->trouble_count++];
}

/* Ends the call; @result below 0: it failed with errno. Return: @result. */
static long ended(struct reader *reader, enum call call, const char *path, uint64_t off,
		  uint64_t start_ns, long result)
{
	int error = errno;
	uint64_t took = end(reader, call, start_ns);

	if (result < 0)
		*trouble_next(reader) = (struct trouble){ .path = path,
							  .call = call,
							  .error = error,
							  .off = off,
							  .start_ns = start_ns,
							  .took_ns = took };
	return result;
}

void reader_trouble(struct reader *reader, enum call call, const char *path, const char *format,
		    ...)
{
	struct trouble *trouble = trouble_next(reader);
	va_list arguments;

	*trouble = (struct trouble){ .path = path, .call = call, .start_ns = now_ns() };
	va_start(arguments, format);
	vsnprintf(trouble->what, sizeof(trouble->what), format, arguments);
	va_end(arguments);
}

int call_open(struct reader *reader, const char *path, int flags)
{
	enum call call = flags & O_DIRECTORY ? CALL_OPENDIR : CALL_OPEN;
	uint64_t start = begin(reader, call);

	return (int)ended(reader, call, path, 0, start,
			  openat(reader->mount, path, flags | O_RDONLY | O_CLOEXEC));
}

void call_close(struct reader *reader, int fd, const char *path)
{
	uint64_t start = begin(reader, CALL_CLOSE);

	ended(reader, CALL_CLOSE, path, 0, start, close(fd));
}

int call_stat(struct reader *reader, const char *path, struct stat *out)
{
	uint64_t start = begin(reader, CALL_STAT);

	return (int)ended(reader, CALL_STAT, path, 0, start, fstatat(reader->mount, path, out, 0));
}

int call_fstat(struct reader *reader, int fd, const char *path, struct stat *out)
{
	uint64_t start = begin(reader, CALL_FSTAT);

	return (int)ended(reader, CALL_FSTAT, path, 0, start, fstat(fd, out));
}

void call_absent(struct reader *reader, const char *path)
{
	uint64_t start = begin(reader, CALL_STAT);
	struct stat found;
	int result = fstatat(reader->mount, path, &found, 0);
	bool absent = result < 0 && errno == ENOENT;

	if (result == 0)
		errno = EEXIST;
	ended(reader, CALL_STAT, "(a name that is not there)", 0, start, absent ? 0 : -1);
}

long call_list(struct reader *reader, int fd, const char *path, void *buffer, size_t len)
{
	uint64_t start = begin(reader, CALL_LIST);

	return ended(reader, CALL_LIST, path, 0, start, syscall(SYS_getdents64, fd, buffer, len));
}

/* Return: whether they are right. */
static bool check_bytes(struct reader *reader, enum call call, const struct dataset_file *file,
			const void *data, size_t len, uint64_t off)
{
	uint64_t wrong;

	if (dataset_right(file, data, len, off, &wrong)) {
		atomic_fetch_add(&reader->bytes, len);
		return true;
	}
	reader_trouble(reader, call, file->path, "wrong byte at %llu of [%llu, %llu)",
		       (unsigned long long)wrong, (unsigned long long)off,
		       (unsigned long long)off + len);
	return false;
}

long call_read(struct reader *reader, int fd, const struct dataset_file *file, void *buffer,
	       size_t len, uint64_t off)
{
	uint64_t start = begin(reader, CALL_READ), left = off < file->size ? file->size - off : 0;
	long got = ended(reader, CALL_READ, file->path, off, start,
			 pread(fd, buffer, len, (off_t)off));

	if (got < 0)
		return got;
	if ((uint64_t)got != (left < len ? left : len)) {
		reader_trouble(reader, CALL_READ, file->path, "%ld bytes at %llu, %llu are left",
			       got, (unsigned long long)off, (unsigned long long)left);
		return -1;
	}
	return check_bytes(reader, CALL_READ, file, buffer, (size_t)got, off) ? got : -1;
}

void *call_map(struct reader *reader, int fd, const struct dataset_file *file, int flags)
{
	uint64_t start = begin(reader, CALL_MAP);
	void *map = mmap(NULL, file->size, PROT_READ, flags, fd, 0);

	ended(reader, CALL_MAP, file->path, 0, start, map == MAP_FAILED ? -1 : 0);
	return map == MAP_FAILED ? NULL : map;
}

/* Brings the pages in. Return: -1: it cannot be read. */
static long touch(const volatile char *bytes, size_t len)
{
	sigjmp_buf here;
	long sum = 0;

	if (sigsetjmp(here, 1)) {
		on_bus_error = NULL;
		errno = EIO;
		return -1;
	}
	on_bus_error = &here;
	for (size_t at = 0; at < len; at += 4096)
		sum += bytes[at] != 0;
	sum += bytes[len - 1] != 0;
	on_bus_error = NULL;
	return sum >= 0 ? 0 : -1;
}

bool call_touch(struct reader *reader, const void *map, const struct dataset_file *file, size_t len,
		uint64_t off)
{
	const char *bytes = (const char *)map + off;
	uint64_t start = begin(reader, CALL_TOUCH);

	if (ended(reader, CALL_TOUCH, file->path, off, start, touch(bytes, len)) < 0)
		return false;
	return check_bytes(reader, CALL_TOUCH, file, bytes, len, off);
}

static void on_signal(int number)
{
	if (on_bus_error)
		siglongjmp(*on_bus_error, 1);
	signal(number, SIG_DFL);
	raise(number);
}

void calls_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
}

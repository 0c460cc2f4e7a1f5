/*
 * calls.h - system calls of one reader, each timed, each of whose failures is written down: what
 * failed, of which file, when, and how long it took to fail.
 *
 * A reader is a thread's own; the main thread looks at the atomics while it runs, and at the rest
 * after it has ended.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/histogram.h"
#include "tests/integration/readers/dataset.h"

#define CALL_SLOW_NS  UINT64_C(1000000)	  /* what takes longer is listed one by one */
#define CALL_SLOW_MAX (UINT32_C(1) << 16) /* of one reader */
#define TROUBLE_MAX   20		  /* of one reader: then it ends */

enum call {
	CALL_OPEN,
	CALL_READ,
	CALL_CLOSE,
	CALL_STAT,
	CALL_FSTAT,
	CALL_MAP,
	CALL_TOUCH, /* bytes of a mapping */
	CALL_OPENDIR,
	CALL_LIST,
	CALL_COUNT,
};

extern const char *const call_names[CALL_COUNT];

struct slow_call {
	uint64_t start_ns, took_ns; /* CLOCK_MONOTONIC */
	enum call call;
};

struct trouble {
	char what[160];
	const char *path; /* of the dataset */
	enum call call;
	int error; /* 0: wrong bytes */
	uint64_t off, start_ns, took_ns;
};

struct reader {
	const struct dataset *dataset;
	const char *kind;
	int mount; /* descriptor of the mountpoint */
	unsigned number;
	uint64_t random;
	const atomic_bool *stopping;
	struct histogram *latency; /* CALL_COUNT, of all readers together */

	atomic_uint_fast64_t made, bytes; /* calls that came back; what was verified */
	atomic_uint_fast64_t since_ns;	  /* of the call under way; 0: none */
	atomic_uint under_way;		  /* enum call */
	atomic_bool ended;

	struct slow_call *slow; /* CALL_SLOW_MAX */
	uint32_t slow_count, slow_dropped;
	struct trouble trouble[TROUBLE_MAX];
	unsigned trouble_count;
};

/** reader_init() - Return: 0 or -ENOMEM. reader_fini(): of one whose thread has ended. */
int reader_init(struct reader *reader);
void reader_fini(struct reader *reader);

/** reader_goes_on() - false once it is told to end, or has seen too much trouble. */
bool reader_goes_on(const struct reader *reader);

uint64_t reader_random(struct reader *reader, uint64_t below);
const struct dataset_file *reader_pick(struct reader *reader);

/** reader_trouble() - what is wrong beside errors and bytes: names missing, another size. */
void reader_trouble(struct reader *reader, enum call call, const char *path, const char *format,
		    ...) __attribute__((format(printf, 4, 5)));

/* Each: as the system call of that name; -1 when it failed, which is written down. @path: relative
 * to the mount, and to the dataset's memory. */
int call_open(struct reader *reader, const char *path, int flags);
void call_close(struct reader *reader, int fd, const char *path);
int call_stat(struct reader *reader, const char *path, struct stat *out);
int call_fstat(struct reader *reader, int fd, const char *path, struct stat *out);
long call_list(struct reader *reader, int fd, const char *path, void *buffer, size_t len);

/** call_absent() - a name that is not there: to find it is the failure. */
void call_absent(struct reader *reader, const char *path);

/** call_read() - reads and verifies [@off, @off + @len) of @file; less at its end.
 *  Return: how much; -1. */
long call_read(struct reader *reader, int fd, const struct dataset_file *file, void *buffer,
	       size_t len, uint64_t off);

/** call_map() - the whole of @file. @flags: MAP_SHARED or MAP_PRIVATE. Return: NULL: failed. */
void *call_map(struct reader *reader, int fd, const struct dataset_file *file, int flags);

/** call_touch() - verifies [@off, @off + @len) of @map; a SIGBUS is a failed call (EIO).
 *  Return: false: failed. */
bool call_touch(struct reader *reader, const void *map, const struct dataset_file *file, size_t len,
		uint64_t off);

/** calls_catch_signals() - SIGBUS, for call_touch(). Once, before readers run. */
void calls_catch_signals(void);

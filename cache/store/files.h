/*
 * files.h - the system calls that change what is on an SSD, behind a table: a test records the
 * sequence and replays every prefix of it, or lets a call fail. Paths are relative to @dirfd.
 *
 * Each returns 0 (open: a descriptor) or a negative errno. write writes all of it. Direct I/O goes
 * through the ring; io() sees its result and may change it.
 */
#pragma once

#include <stdint.h>

struct ring_op;

struct files {
	int (*open)(const struct files *files, int dirfd, const char *path, int flags);
	int (*write)(const struct files *files, int fd, const void *data, uint32_t len,
		     uint64_t off);
	int (*truncate)(const struct files *files, int fd, uint64_t size);
	int (*sync_data)(const struct files *files, int fd);
	int (*sync_directory)(const struct files *files, int dirfd, const char *path);
	int (*sync_all)(const struct files *files, int fd); /* of the file system */
	int (*punch)(const struct files *files, int fd, uint64_t off, uint64_t len); /* the size
											stays */
	/* Takes away the permissions to write; need not survive a power cut. */
	int (*seal)(const struct files *files, int fd);
	int (*unlink)(const struct files *files, int dirfd, const char *path);
	int (*rename)(const struct files *files, int dirfd, const char *from, const char *to);
	int (*make_directory)(const struct files *files, int dirfd, const char *path);
	int (*io)(const struct files *files, const struct ring_op *op, int result);
	void (*committed)(const struct files *files, const char *index_path); /* or NULL */
	void *context;
};

/** files_system() - the machine's. Lives for ever. */
const struct files *files_system(void);

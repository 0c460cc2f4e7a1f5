/*
 * dataset.h - what a mount is known to hold. Each file is made of 16-byte records (tag, offset)
 * with a tag of its own: a byte of another file, place or version is a wrong one.
 *
 * The list is a text file, a line each:
 *
 *	file TAG SIZE PATH
 *	directory COUNT SUM PATH
 *
 * with COUNT names in the directory, and SUM the sum of their FNV-1a hashes. PATH is relative to
 * the mount. harness/readers.py writes it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dataset_file {
	char *path;
	uint64_t tag, size;
};

struct dataset_directory {
	char *path;
	uint64_t count, sum;
};

struct dataset {
	struct dataset_file *files;
	struct dataset_directory *directories;
	size_t file_count, directory_count;
};

/** dataset_load() - reads the list. Return: 0; -errno of the file; -EBADMSG a line that is none;
 *  -EINVAL there is no file or no directory in it. */
int dataset_load(const char *list, struct dataset *out);

void dataset_free(struct dataset *dataset);

/** dataset_right() - whether @len bytes at @off of @file are what they must be.
 *  @out_off: the first wrong one's, when not. */
bool dataset_right(const struct dataset_file *file, const void *data, size_t len, uint64_t off,
		   uint64_t *out_off);

/** dataset_name_hash() - FNV-1a, 64 bits. */
uint64_t dataset_name_hash(const char *name);

/*
 * layout.h - the files of a cache directory and their names.
 *
 *	<dir>/lock               one daemon per directory (flock)
 *	<dir>/format             "cenote-store 1", block_len, uuid: written first, replaced whole
 *	<dir>/objects/ab/<id>    object files
 *	<dir>/segments/<number>  packed objects
 *	<dir>/index/             LMDB
 *	<dir>/replacement        a new object file, until it has its name
 *
 * What is in objects/ and segments/ and not in the index is removed, so a folder with those names
 * but without our format file is not taken for a cache directory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"
#include "cache/store/files.h"
#include "cache/store/index/record.h"
#include "cache/store/store.h"

#define LAYOUT_SEGMENT_LEN 20 /* "segments/" and a number */

struct layout {
	int root_fd; /* of the directory; -1: closed */
	int lock_fd;
	uint8_t uuid[RECORD_UUID_LEN];
	bool fresh; /* made just now, or with another block length: no index can belong to it */
};

/** layout_init() - closed. */
void layout_init(struct layout *layout);

/**
 * layout_open() - makes or opens the directory and its folders, takes its lock.
 * @problem: says what is wrong and what to do.
 * Return: 0; -EBUSY another daemon has it; -EINVAL not a cache directory; or from the file system.
 */
int layout_open(struct layout *layout, const struct files *files, const char *path,
		uint32_t block_len, char *problem, size_t problem_size);

/** layout_close() - closed is fine. */
void layout_close(struct layout *layout);

/** layout_same() - whether @path still leads to the opened directory. Return: 0 or why not. */
int layout_same(const struct layout *layout, const char *path);

/** layout_object_path() / layout_folder_path() - of an object's file, and the folder it is in. */
void layout_object_path(const struct object_id *id, char out[STORE_PATH_LEN]);
void layout_folder_path(const struct object_id *id, char out[STORE_PATH_LEN]);
void layout_segment_path(uint32_t segment, char out[LAYOUT_SEGMENT_LEN]);

/** layout_object_name() / layout_segment_name() - what a file's name stands for; false: nothing of
 *  ours. */
bool layout_object_name(const char *name, struct object_id *out_id);
bool layout_segment_name(const char *name, uint32_t *out_segment);

/** layout_open_cached() - opens @path if that needs no I/O. Return: a descriptor; -EAGAIN. */
int layout_open_cached(const struct layout *layout, const char *path, int flags);

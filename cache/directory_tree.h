/*
 * directory_tree.h - a directory tree read as a bucket of objects: keys are paths, a file's version
 * is what its inode says about it. Blocking calls without state; any thread.
 *
 * Keys come from others, so that nothing they name may lie outside: every path is resolved by the
 * kernel beneath the root (openat2, RESOLVE_BENEATH). Symbolic links are followed as long as they
 * stay there. Only regular files are objects.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/backing.h"

/**
 * tree_head() - size, time and etag of an object.
 * @root: descriptor of the root directory. @bucket: "" or a directory below it.
 * Return: 0; -ENOENT no such file, or not a regular one; -EACCES; -EINVAL too long; -EIO.
 */
int tree_head(int root, const char *bucket, const char *key, struct backing_meta *out_meta);

/**
 * tree_read() - reads a range of one version.
 * @stop: asked between pieces; an error ends the read with it. @progress: after each piece, with
 * the bytes that are final; the version was verified after they were read. Both get @context.
 * Return: 0; -ESTALE another version is there now; -ERANGE the file is shorter; and as tree_head().
 */
int tree_read(int root, const struct backing_get *get, int (*stop)(void *context),
	      void (*progress)(void *context, size_t filled), void *context);

/**
 * tree_list() - one page of a listing, see struct backing_list.
 * @entry and @stop get @context. @token: in and out, BACKING_TOKEN_MAX bytes.
 * Return: 0 (a prefix that is not there has no entries), -EACCES, -EINVAL, -EIO, -EMFILE, -ENOMEM.
 */
int tree_list(int root, const struct backing_list *list, char *token,
	      void (*entry)(void *context, const char *key, const struct backing_meta *meta),
	      int (*stop)(void *context), void *context);

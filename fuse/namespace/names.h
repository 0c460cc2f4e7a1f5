/*
 * names.h - from keys to paths and back. Pure: strings in, strings out, no state, any thread.
 *
 * A bucket is a flat set of keys; a directory is what its keys say by their slashes. The rule for
 * keys that a file system cannot show:
 *
 *	- A key is a path below its mount entry, one component between slashes. A component is 1 to
 *	  255 bytes and neither "." nor "..". A key with another component ("a//b", "./x", "/a", a
 *	  component of 256 bytes) has no path: it is left out of listings, counted in
 *	  mount_keys_hidden, and reachable by no name.
 *	- A key that ends with a slash ("dir/") is a marker: it makes the directory exist, its own
 *	  bytes cannot be read (a marker that has bytes is counted as hidden).
 *	- Where a key "a" and keys below "a/" both exist, the directory wins: the object "a" is
 *	  hidden and counted.
 *	- Bytes are taken as they are: no case folding, no Unicode normalisation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_COMPONENT_MAX 255
#define NAMES_KEY_MAX	    1024 /* of S3; BACKING_KEY_MAX */
#define NAMES_PATH_MAX	    1024 /* of a mount entry */

/* What a listed key is to the directory that was listed. */
enum names_kind {
	NAMES_FILE,
	NAMES_DIRECTORY,
	NAMES_SELF,   /* the directory's own marker */
	NAMES_HIDDEN, /* cannot be a file name */
};

/** names_component_valid() - whether @len bytes can be a file name and a key's component. */
bool names_component_valid(const char *name, size_t len);

/**
 * names_classify() - what a key, or a common prefix, is below the directory's @prefix.
 * @prefix: "" or ends with a slash. @key: as listed, borrowed.
 * @out_name: set for NAMES_FILE and NAMES_DIRECTORY: points into @key, not NUL-ended.
 */
enum names_kind names_classify(const char *prefix, const char *key, const char **out_name,
			       size_t *out_len);

/**
 * names_key_of_path() - the key of @path ("train/a.bin", without a slash at its start) below a
 * mount entry with @prefix. Return: the key's length; -ENAMETOOLONG beyond NAMES_KEY_MAX; -EINVAL
 * for a component that cannot be a file name.
 */
int names_key_of_path(const char *prefix, const char *path, char out_key[NAMES_KEY_MAX + 1]);

/**
 * names_path_of_key() - the inverse.
 * Return: the path's length; -EINVAL when the key has no path (see above, markers included) or does
 *         not begin with @prefix.
 */
int names_path_of_key(const char *prefix, const char *key, char out_path[NAMES_KEY_MAX + 1]);

/**
 * names_entry_path_check() - whether a mount entry's path is "/" or "/a/b": absolute, without
 * empty,
 * "." and ".." components, at most NAMES_PATH_MAX bytes.
 * Return: NULL, or what is wrong with it.
 */
const char *names_entry_path_check(const char *path);

/** names_entry_nested() - whether one entry path is the other's or lies inside it. */
bool names_entry_nested(const char *a, const char *b);

/**
 * names_below() - the component of entry path @path that follows directory @directory ("/", "/a").
 * @out_last: whether the path ends there: it is the entry's own directory.
 * Return: the component, pointing into @path with *@out_len bytes, or NULL when @path does not lie
 *         below @directory.
 */
const char *names_below(const char *directory, const char *path, size_t *out_len, bool *out_last);

/**
 * names_dataset() - what a file belongs to for eviction: the entry's path and at most @depth
 * directories below it.
 * @path: the file's path below the entry, "train/cats/1.jpg".
 * @out: holds NAMES_PATH_MAX + 1 + NAMES_KEY_MAX bytes; "/images/train".
 */
void names_dataset(const char *entry_path, const char *path, unsigned depth, char *out,
		   size_t out_size);

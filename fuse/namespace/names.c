/*
 * names.c - see names.h.
 */
#include "fuse/namespace/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool names_component_valid(const char *name, size_t len)
{
	if (len == 0 || len > NAMES_COMPONENT_MAX || memchr(name, '/', len))
		return false;
	if (name[0] != '.')
		return true;
	return len > 2 || (len == 2 && name[1] != '.');
}

enum names_kind names_classify(const char *prefix, const char *key, const char **out_name,
			       size_t *out_len)
{
	size_t prefix_len = strlen(prefix);
	const char *name = key + prefix_len;
	const char *slash;
	size_t len;

	if (strncmp(key, prefix, prefix_len) != 0)
		return NAMES_HIDDEN;
	if (*name == '\0')
		return NAMES_SELF;
	slash = strchr(name, '/');
	len = slash ? (size_t)(slash - name) : strlen(name);
	if (!names_component_valid(name, len))
		return NAMES_HIDDEN;
	*out_name = name;
	*out_len = len;
	return slash ? NAMES_DIRECTORY : NAMES_FILE;
}

static bool path_valid(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!names_component_valid(path, len))
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}

int names_key_of_path(const char *prefix, const char *path, char out_key[NAMES_KEY_MAX + 1])
{
	size_t prefix_len = strlen(prefix), path_len = strlen(path);

	if (!path_valid(path))
		return -EINVAL;
	if (prefix_len > NAMES_KEY_MAX || path_len > NAMES_KEY_MAX - prefix_len)
		return -ENAMETOOLONG;
	memcpy(out_key, prefix, prefix_len + 1);
	memcpy(out_key + prefix_len, path, path_len + 1);
	return (int)(prefix_len + path_len);
}

int names_path_of_key(const char *prefix, const char *key, char out_path[NAMES_KEY_MAX + 1])
{
	size_t prefix_len = strlen(prefix), len;

	if (strncmp(key, prefix, prefix_len) != 0)
		return -EINVAL;
	len = strlen(key + prefix_len);
	if (prefix_len + len > NAMES_KEY_MAX || !path_valid(key + prefix_len))
		return -EINVAL;
	memcpy(out_path, key + prefix_len, len + 1);
	return (int)len;
}

const char *names_entry_path_check(const char *path)
{
	if (path[0] != '/')
		return "it must begin with a slash";
	if (strlen(path) > NAMES_PATH_MAX)
		return "it is longer than 1024 bytes";
	if (path[1] == '\0')
		return NULL;
	if (path[strlen(path) - 1] == '/')
		return "it must not end with a slash";
	if (!path_valid(path + 1))
		return "its components must be 1 to 255 bytes, not '.' and not '..'";
	return NULL;
}

bool names_entry_nested(const char *a, const char *b)
{
	size_t len = strlen(a), b_len = strlen(b);

	if (b_len < len) {
		const char *swap = a;

		a = b;
		b = swap;
		len = b_len;
	}
	if (len == 1) /* "/" */
		return true;
	return strncmp(a, b, len) == 0 && (b[len] == '\0' || b[len] == '/');
}

const char *names_below(const char *directory, const char *path, size_t *out_len, bool *out_last)
{
	size_t len = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
	const char *name;

	if (strncmp(directory, path, len) != 0 || path[len] != '/' || path[len + 1] == '\0')
		return NULL;
	name = path + len + 1;
	*out_len = strcspn(name, "/");
	*out_last = name[*out_len] == '\0';
	return name;
}

void names_dataset(const char *entry_path, const char *path, unsigned depth, char *out,
		   size_t out_size)
{
	size_t len = 0;

	while (depth-- > 0) {
		size_t next = strcspn(path + len, "/");

		if (path[len + next] == '\0') /* the file itself */
			break;
		len += next + 1;
	}
	if (len == 0)
		snprintf(out, out_size, "%s", entry_path);
	else
		snprintf(out, out_size, "%s/%.*s", entry_path[1] ? entry_path : "", (int)len - 1,
			 path);
}

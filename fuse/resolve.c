/*
 * resolve.c - paths as people give them: pure text until the namespace looks its names up. No
 * process of ours may ask the kernel what lies in its own mount.
 */
#include <errno.h>
#include <stdio.h>

#include "fuse/inside.h"
#include "fuse/namespace/resolve.h"
#include "fuse/parts.h"

/* Cuts the last component of the first *@len bytes. */
static void component_drop(const char *path, size_t *len)
{
	while (*len > 0 && path[--*len] != '/')
		;
}

/* Without "//", "." and ".." and a slash at the end; the root is "". */
static int path_tidy(const char *path, char out[MOUNT_PATH_MAX])
{
	size_t used = 0;

	while (*path) {
		size_t len = strcspn(path += strspn(path, "/"), "/");

		if (len == 2 && memcmp(path, "..", 2) == 0) {
			component_drop(out, &used);
		} else if (len > 0 && !(len == 1 && *path == '.')) {
			if (len >= MOUNT_PATH_MAX - used - 1)
				return -ENAMETOOLONG;
			out[used++] = '/';
			memcpy(out + used, path, len);
			used += len;
		}
		path += len;
	}
	out[used] = '\0';
	return 0;
}

/* What follows @root in @path; NULL: it is not below it. */
static const char *path_below(const char *path, const char *root)
{
	char tidy[MOUNT_PATH_MAX];
	size_t len;

	if (path_tidy(root, tidy) != 0)
		return NULL;
	len = strlen(tidy);
	if (strncmp(path, tidy, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

/* The mountpoint may have been given by way of a symbolic link. */
static int path_find(const struct mount *mount, const char *path, char out[MOUNT_PATH_MAX],
		     bool *out_below)
{
	char tidy[MOUNT_PATH_MAX];
	const char *below;
	int error = path_tidy(path, tidy);

	if (error)
		return error;
	below = path_below(tidy, mount_path(mount));
	if (!below && mount->config->path)
		below = path_below(tidy, mount->config->path);
	*out_below = below != NULL;
	if (!below)
		below = tidy;
	snprintf(out, MOUNT_PATH_MAX, "%s", *below ? below : "/");
	return 0;
}

/* Of a path that is not below the mountpoint: it may have been meant for another file system. */
static void outside_explain(const struct mount *mount, const char *path, bool entry_found,
			    char *problem, size_t problem_size)
{
	size_t len = strlen(problem);

	if (entry_found)
		snprintf(problem + len, problem_size - len, " (not below the mountpoint %s)",
			 mount_path(mount));
	else
		snprintf(problem, problem_size,
			 "%s is neither below the mountpoint %s nor a path of the namespace", path,
			 mount_path(mount));
}

/* Whether the first component of a path of the namespace is that of a mount entry. */
static bool entry_is_found(const struct mount *mount, const char *path)
{
	const struct mount_entry_config *entries = mount->config->entries.items;
	size_t len = strcspn(path + 1, "/");

	for (unsigned i = 0; i < mount->config->entries.count; i++) {
		const char *entry = entries[i].path + 1;

		if (*entry == '\0' ||
		    (strcspn(entry, "/") == len && strncmp(entry, path + 1, len) == 0))
			return true;
	}
	return false;
}

static int object_find(struct mount *mount, const struct mount_question *question,
		       struct mount_object *object, char *problem, size_t problem_size)
{
	struct namespace_path path = { .text = object->path,
				       .deadline_ns = question->deadline_ns,
				       .cancelled = question->cancelled,
				       .context = question->context };
	struct mount *part = parts_find(mount, object->path, &path.root_len);
	int error;

	mount = part ? part : mount;
	mount_work_begin(mount);
	error = namespace_resolve(mount->ns, &path, &object->file, &object->confirmed, problem,
				  problem_size);
	mount_work_end(mount);
	if (error)
		return error;
	object->version = object->file->version;
	object->mtime_s = object->file->mtime_s;
	object->dataset = object->file->dataset;
	return 0;
}

int mount_resolve(struct mount *mount, const struct mount_question *question,
		  struct mount_object *out_object, char *problem, size_t problem_size)
{
	struct mount_object object = { 0 };
	bool below = false;
	int error = question->path[0] == '/' ? 0 : -EINVAL;

	if (error)
		snprintf(problem, problem_size, "'%s' is not an absolute path", question->path);
	if (!error) {
		error = path_find(mount, question->path, object.path, &below);
		if (error)
			snprintf(problem, problem_size, "a path has at most %d bytes",
				 MOUNT_PATH_MAX - 1);
	}
	if (!error)
		error = object_find(mount, question, &object, problem, problem_size);
	if (error == -ENOENT && !below)
		outside_explain(mount, question->path, entry_is_found(mount, object.path), problem,
				problem_size);
	if (error)
		return error;
	*out_object = object;
	return 0;
}

void mount_object_fini(struct mount_object *object)
{
	namespace_file_free(object->file);
	object->file = NULL;
}

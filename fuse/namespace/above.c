/*
 * above.c - see above.h.
 */
#include "fuse/namespace/above.h"

#include <errno.h>
#include <string.h>

/* Entry @index's component below @directory. Return: NULL: it is not below it. A small-files
 * entry's own directory is an empty one here: what is in it is mounted there. */
static const char *component(const struct namespace *ns, const char *directory, unsigned index,
			     size_t *out_len, int *out_entry)
{
	bool last;
	const struct mount_entry_config *config = ns->entries[index].config;
	const char *name = names_below(directory, config->path, out_len, &last);

	if (name)
		*out_entry =
			last && config->kind != MOUNT_SMALL_FILES ? (int)index : NODE_ENTRY_NONE;
	return name;
}

/* The first entry with that component. Return: its index, or the count of entries. */
static unsigned first_with(const struct namespace *ns, const char *directory, const char *name,
			   size_t len, int *out_entry)
{
	unsigned index;

	for (index = 0; index < ns->entry_count; index++) {
		size_t other_len;
		const char *other = component(ns, directory, index, &other_len, out_entry);

		if (other && other_len == len && memcmp(other, name, len) == 0)
			break;
	}
	return index;
}

int above_at(const struct namespace *ns, const struct node *parent, unsigned index,
	     struct above_component *out)
{
	char directory[NAMES_PATH_MAX + 1];
	const char *name;
	int entry;

	if (node_path(parent, directory, sizeof(directory)) < 0)
		return -ENAMETOOLONG;
	name = component(ns, directory, index, &out->name_len, &out->entry);
	if (!name || first_with(ns, directory, name, out->name_len, &entry) != index)
		return 0;
	memcpy(out->name, name, out->name_len);
	out->name[out->name_len] = '\0';
	return 1;
}

bool above_elsewhere(const struct namespace *ns, const struct node *directory)
{
	char path[NAMES_PATH_MAX + 1];

	if (node_path(directory, path, sizeof(path)) < 0)
		return false;
	for (unsigned i = 0; i < ns->entry_count; i++) {
		const struct mount_entry_config *config = ns->entries[i].config;

		if (config->kind == MOUNT_SMALL_FILES && strcmp(config->path, path) == 0)
			return true;
	}
	return false;
}

int above_find(const struct namespace *ns, const struct node *parent, const char *name, size_t len)
{
	char directory[NAMES_PATH_MAX + 1];
	int entry;

	if (node_path(parent, directory, sizeof(directory)) < 0 ||
	    first_with(ns, directory, name, len, &entry) == ns->entry_count)
		return NODE_ENTRY_GONE;
	return entry;
}

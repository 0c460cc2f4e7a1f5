/*
 * mounted.c - reads /proc/self/mounts.
 */
#include "tools/mounted.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>

void mounted_type(const char *path, char *out, size_t out_size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	size_t len = strlen(path);
	struct mntent entry;
	char line[4096];

	out[0] = '\0';
	while (len > 1 && path[len - 1] == '/')
		len--;
	/* The last one covers those before it. */
	while (mounts && getmntent_r(mounts, &entry, line, sizeof(line)))
		if (strlen(entry.mnt_dir) == len && strncmp(entry.mnt_dir, path, len) == 0)
			snprintf(out, out_size, "%s", entry.mnt_type);
	if (mounts)
		endmntent(mounts);
}

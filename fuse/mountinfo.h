/*
 * mountinfo.h - one line of /proc/self/mountinfo:
 *
 *	36 35 0:48 / /mnt/data ro,nosuid - fuse.cenote cenote ro,user_id=0
 *
 * Pure but for mountinfo_top() and mountinfo_of_device().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MOUNTINFO_PATH_MAX 4096

struct mountinfo {
	unsigned device_major, device_minor;
	char path[MOUNTINFO_PATH_MAX]; /* unescaped */
	char type[64];		       /* "fuse.cenote" */
};

/** mountinfo_parse() - Return: 0, or -EINVAL for a line that is not as above. */
int mountinfo_parse(const char *line, struct mountinfo *out);

/** mountinfo_top() - the topmost mount at exactly @path. Return: 0; -ENOENT none; an I/O error. */
int mountinfo_top(const char *path, struct mountinfo *out);

/** mountinfo_of_device() - a mount of the anonymous device 0:@device_minor: the topmost at @path if
 *  there is one, else the last. Return: as mountinfo_top(). */
int mountinfo_of_device(unsigned device_minor, const char *path, struct mountinfo *out);

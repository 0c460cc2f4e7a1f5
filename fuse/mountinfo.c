/*
 * mountinfo.c - see mountinfo.h.
 */
#include "fuse/mountinfo.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int octal(char c)
{
	return c >= '0' && c <= '7' ? c - '0' : -1;
}

/* Space, tab, newline and backslash are written as \ooo. */
static int unescape(const char *from, size_t len, char *to, size_t to_size)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (used + 1 >= to_size)
			return -EINVAL;
		if (c == '\\' && len - i > 3 && octal(from[i + 1]) >= 0 &&
		    octal(from[i + 2]) >= 0 && octal(from[i + 3]) >= 0) {
			c = (char)(octal(from[i + 1]) << 6 | octal(from[i + 2]) << 3 |
				   octal(from[i + 3]));
			i += 3;
		}
		to[used++] = c;
	}
	to[used] = '\0';
	return 0;
}

/* The field with number @index, counted from 0. */
static const char *field(const char *line, unsigned index, size_t *out_len)
{
	while (index-- > 0) {
		line = strchr(line, ' ');
		if (!line)
			return NULL;
		line++;
	}
	*out_len = strcspn(line, " \n");
	return line;
}

int mountinfo_parse(const char *line, struct mountinfo *out)
{
	size_t len = 0, path_len = 0;
	const char *device = field(line, 2, &len);
	const char *path = field(line, 4, &path_len);
	const char *type = strstr(line, " - "); /* the optional fields end there */
	char *end;

	if (!device || !path || !type)
		return -EINVAL;
	out->device_major = (unsigned)strtoul(device, &end, 10);
	if (*end != ':')
		return -EINVAL;
	out->device_minor = (unsigned)strtoul(end + 1, &end, 10);
	if (*end != ' ' || unescape(path, path_len, out->path, sizeof(out->path)) != 0)
		return -EINVAL;
	type += strlen(" - ");
	return unescape(type, strcspn(type, " \n"), out->type, sizeof(out->type));
}

int mountinfo_top(const char *path, struct mountinfo *out)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mountinfo *info = malloc(sizeof(*info));
	char *line = NULL;
	size_t room = 0;
	int err = -ENOENT;

	if (!file || !info) {
		err = file ? -ENOMEM : -errno;
		goto out;
	}
	while (getline(&line, &room, file) > 0) { /* later ones lie on top */
		if (mountinfo_parse(line, info) == 0 && strcmp(info->path, path) == 0) {
			*out = *info;
			err = 0;
		}
	}
out:
	free(line);
	free(info);
	if (file)
		fclose(file);
	return err;
}

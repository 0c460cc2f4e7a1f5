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

/* The last line that @better() prefers to the one found so far, if any was. */
static int search(bool (*better)(const struct mountinfo *info, const struct mountinfo *found,
				 const void *context),
		  const void *context, struct mountinfo *out)
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
		if (mountinfo_parse(line, info) == 0 && better(info, err ? NULL : out, context)) {
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

static bool at_path(const struct mountinfo *info, const struct mountinfo *found,
		    const void *context)
{
	(void)found;
	return strcmp(info->path, context) == 0;
}

int mountinfo_top(const char *path, struct mountinfo *out)
{
	return search(at_path, path, out);
}

struct device {
	unsigned minor;
	const char *path;
};

static bool of_device(const struct mountinfo *info, const struct mountinfo *found,
		      const void *context)
{
	const struct device *device = context;

	if (info->device_major != 0 || info->device_minor != device->minor)
		return false;
	return !found || strcmp(info->path, device->path) == 0 ||
	       strcmp(found->path, device->path) != 0;
}

int mountinfo_of_device(unsigned device_minor, const char *path, struct mountinfo *out)
{
	const struct device device = { device_minor, path };

	return search(of_device, &device, out);
}

/*
 * directory_check.c - what `cenote check` says of a cache directory before a daemon uses it. A
 * directory that is not there yet is judged by the nearest one above it; nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/cache.h"

#define FREE_BYTES_MIN	(UINT64_C(1) << 30)
#define FREE_INODES_MIN 10000
#define DIRECT_LEN	4096
#define MOUNT_LINE_MAX	4096

struct check {
	void (*report)(void *context, enum cache_finding finding, const char *text);
	void *context;
	const char *path;  /* as configured */
	char at[PATH_MAX]; /* what is looked at: path, or what is there of it */
	uint64_t capacity;
};

static void finding(const struct check *check, enum cache_finding found, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void finding(const struct check *check, enum cache_finding found, const char *format, ...)
{
	char text[2 * PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check->report(check->context, found, text);
}

/* Cuts the last part off an absolute path. Return: false at the root. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || !path[1])
		return false;
	slash[slash == path ? 1 : 0] = 0;
	return true;
}

static bool check_there(struct check *check)
{
	struct stat st;
	int error;

	if (snprintf(check->at, sizeof(check->at), "%s", check->path) >= PATH_MAX) {
		finding(check, CACHE_FINDING_BAD, "the path is too long: %.64s...", check->path);
		return false;
	}
	while ((error = stat(check->at, &st) == 0 ? 0 : errno) == ENOENT && go_up(check->at))
		;
	if (error) {
		finding(check, CACHE_FINDING_BAD, "%s: %s", check->at, error_text(error));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		finding(check, CACHE_FINDING_BAD,
			"%s is not a directory: name another or move it away", check->at);
		return false;
	}
	if (access(check->at, W_OK | X_OK) != 0) {
		finding(check, CACHE_FINDING_BAD,
			"%s is not writable (%s): chown it to the user of cenoted", check->at,
			error_text(errno));
		return false;
	}
	if (strcmp(check->at, check->path) == 0)
		finding(check, CACHE_FINDING_OK, "%s is there and writable", check->path);
	else
		finding(check, CACHE_FINDING_OK, "%s will be made in %s, which is writable",
			check->path, check->at);
	return true;
}

/* Return: 0, or the errno of what failed; *out_step says what that was. */
static int try_direct(const char *directory, const char **out_step)
{
	char name[PATH_MAX + 32];
	int fd, error = 0;
	void *page;

	*out_step = "O_DIRECT";
	snprintf(name, sizeof(name), "%s/.cenote-check-XXXXXX", directory);
	fd = mkostemp(name, O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return errno;
	unlink(name);
	*out_step = "a write of 4 KiB with O_DIRECT";
	page = aligned_alloc(DIRECT_LEN, DIRECT_LEN);
	if (!page) {
		close(fd);
		return ENOMEM;
	}
	memset(page, 0, DIRECT_LEN);
	if (pwrite(fd, page, DIRECT_LEN, 0) != DIRECT_LEN)
		error = errno ? errno : ENOSPC;
	free(page);
	close(fd);
	return error;
}

static void check_direct(const struct check *check)
{
	const char *step;
	int error = try_direct(check->at, &step);

	if (error)
		finding(check, CACHE_FINDING_BAD,
			"%s: %s fails (%s): use a local file system such as ext4 or xfs", check->at,
			step, error_text(error));
	else
		finding(check, CACHE_FINDING_OK, "O_DIRECT works");
}

static void check_kind(const struct check *check)
{
	struct statfs fs;

	if (statfs(check->at, &fs) != 0) {
		finding(check, CACHE_FINDING_BAD, "%s: statfs: %s", check->at, error_text(errno));
		return;
	}
	if (fs.f_type == OVERLAYFS_SUPER_MAGIC)
		finding(check, CACHE_FINDING_BAD,
			"%s lies on overlayfs, which copies and cannot be trusted with O_DIRECT: "
			"mount a volume of the SSD's own file system there",
			check->at);
	else if (fs.f_type == TMPFS_MAGIC)
		finding(check, CACHE_FINDING_SLOW,
			"%s lies on tmpfs, that is in memory: raise cache.memory instead, or name "
			"a directory on an SSD",
			check->at);
	else
		finding(check, CACHE_FINDING_OK, "the file system is one of a disk");
}

static void check_space(const struct check *check)
{
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(check->at, &fs) != 0) {
		finding(check, CACHE_FINDING_BAD, "%s: statvfs: %s", check->at, error_text(errno));
		return;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	finding(check, bytes >= FREE_BYTES_MIN ? CACHE_FINDING_OK : CACHE_FINDING_SLOW,
		"%.1f GiB are free%s", (double)bytes / (1 << 30),
		bytes < FREE_BYTES_MIN ? ": at least 1 GiB is needed to be of any use" : "");
	if (check->capacity > (uint64_t)fs.f_blocks * fs.f_frsize)
		finding(check, CACHE_FINDING_SLOW,
			"capacity (%.1f GiB) is larger than the file system (%.1f GiB): lower it, "
			"or 0 for what is there",
			(double)check->capacity / (1 << 30),
			(double)fs.f_blocks * (double)fs.f_frsize / (1 << 30));
	if (fs.f_files == 0) /* made as needed */
		return;
	finding(check, fs.f_favail >= FREE_INODES_MIN ? CACHE_FINDING_OK : CACHE_FINDING_SLOW,
		"%llu inodes are free%s", (unsigned long long)fs.f_favail,
		fs.f_favail < FREE_INODES_MIN ? ": an object over 32 KiB takes one each" : "");
}

/* Whether a mountinfo line ("36 35 98:0 /root /point opts - ext4 /dev/sda super,opts") is of
 * device @dev and has the option discard. */
static bool mounts_discard(char *line, dev_t dev)
{
	char *device = strchr(line, ' '), *minor_text, *options;
	unsigned long major_number;

	device = device ? strchr(device + 1, ' ') : NULL;
	if (!device)
		return false;
	major_number = strtoul(device + 1, &minor_text, 10);
	if (*minor_text != ':' || makedev(major_number, strtoul(minor_text + 1, NULL, 10)) != dev)
		return false;
	options = strstr(line, " - ");
	options = options ? strrchr(options, ' ') : NULL;
	if (!options)
		return false;
	for (char *next = NULL, *option = strtok_r(options, " ,\n", &next); option;
	     option = strtok_r(NULL, " ,\n", &next))
		if (strcmp(option, "discard") == 0 || strncmp(option, "discard=", 8) == 0)
			return true;
	return false;
}

static void check_discard(const struct check *check)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[MOUNT_LINE_MAX];
	bool discard = false;
	struct stat st;

	if (!mounts || stat(check->at, &st) != 0) {
		if (mounts)
			fclose(mounts);
		finding(check, CACHE_FINDING_SLOW,
			"/proc/self/mountinfo cannot be read: is /proc mounted?");
		return;
	}
	while (!discard && fgets(line, sizeof(line), mounts))
		discard = mounts_discard(line, st.st_dev);
	fclose(mounts);
	if (discard)
		finding(check, CACHE_FINDING_SLOW,
			"%s is mounted with discard, which makes each eviction many times as "
			"slow: mount it without and run fstrim from a timer",
			check->at);
	else
		finding(check, CACHE_FINDING_OK, "not mounted with discard");
}

void cache_directory_check(const struct cache_directory_config *config,
			   void (*report)(void *context, enum cache_finding finding,
					  const char *text),
			   void *context)
{
	struct check check = {
		.report = report,
		.context = context,
		.path = config->path,
		.capacity = config->capacity,
	};

	if (!check_there(&check))
		return;
	check_kind(&check);
	check_direct(&check);
	check_space(&check);
	check_discard(&check);
}
